//! From when to when a lock must be held: the near-linear test of mutexes and semaphores.
//!
//! A hold that began and ended for certain lasts at least from the return of its acquire to the call of its
//! release, and it can be made to last no longer: the acquire is put last, the release first. If the acquire
//! returned only after the release was called, or one of the two is in doubt and was called before the other
//! one returned, the whole hold fits into any *moment* of a span. What must be held, and where a moment must
//! be found, does not depend on other holders. A history without refusals is therefore linearizable if and
//! only if the spans in which the lock must be held leave enough permits to each other, and to a moment in
//! each span of the other kind (for one permit these are the forward and backward zones of Gibbons & Korach
//! 1997, section 4; see [`crate::models::register`]).
//!
//! That is exact for a holder with one acquire and one release. Others are taken apart first:
//! - Operations that came one after the other, those in doubt last, happened in this order: each release
//!   ends what the acquires before it began, and one in doubt is best put at its call.
//! - Where a second acquire and a second release are in doubt they end the hold early and begin it again:
//!   that only ever leaves more room, if they were called before the certain ones could be needed.
//! - Too many acquires or releases for their counterparts are refuted at once.
//!
//! Any other holder is left aside. What is refuted without it is refuted; else the answer stays open.
//!
//! A refusal saw too few permits at some point. Where the lock must be held that is plain; elsewhere holds
//! would have to be stretched, and the answer stays open here (see [`super::alternation`]).

use super::{Effect, Holder, LockOp, LockRet, effect, fence};
use crate::linearizability::{NEVER, Position, Task};
use elenchus_core::model::Model;
use elenchus_core::value::Value;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// No task.
const NONE: u32 = u32::MAX;
/// A holder with more operations than this is not looked through for every denial.
const LOOKED_THROUGH_MAX: u32 = 64;

/// A span in which some permits must be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) struct Hold {
    /// From here on: the return of the acquire.
    pub start: Position,
    /// Up to here: the call of the release.
    pub end: Position,
    /// It may begin from here on, and last up to here.
    pub widest: (Position, Position),
    pub permits: u32,
    pub group: u32,
    pub fence: Option<i64>,
}

/// A span in which some permits must be held at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) struct Moment {
    pub first: Position,
    pub last: Position,
    pub permits: u32,
    pub group: u32,
    pub fence: Option<i64>,
}

/// The operations of one holder.
#[derive(Clone, Copy)]
struct Group {
    /// A task that names the holder.
    named: u32,
    first: u32,
    last: u32,
    acquires: u32,
    releases: u32,
    /// The first to be called of those in doubt.
    acquire_in_doubt: u32,
    release_in_doubt: u32,
    acquires_in_doubt: u32,
    releases_in_doubt: u32,
    /// Certain operations came one after the other, those in doubt last.
    in_order: bool,
    last_done: Position,
    /// The lock is this holder's at first.
    initial: bool,
}

const EMPTY: Group = Group {
    named: NONE,
    first: NONE,
    last: NONE,
    acquires: 0,
    releases: 0,
    acquire_in_doubt: NONE,
    release_in_doubt: NONE,
    acquires_in_doubt: 0,
    releases_in_doubt: 0,
    in_order: true,
    last_done: 0,
    initial: false,
};

/// What a lock is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) struct Rules<'m> {
    /// Who holds it at first.
    pub initial: Option<&'m Holder>,
    /// Whether one holder may hold it more than once.
    pub repeatable: bool,
}

/// A lock's history, taken apart by holder.
pub(in crate::models) struct Holds<'t, 'h, M: Model> {
    tasks: &'t [Task<'h, M>],
    groups: Vec<Group>,
    /// Of each task, the next one of its group.
    next: Vec<u32>,
    pub holds: Vec<Hold>,
    pub moments: Vec<Moment>,
    /// Refusals for want of permits.
    pub busy: Vec<u32>,
    /// How many releases were declined.
    pub denials: usize,
    /// Whether all that is asked could be judged.
    pub complete: bool,
    /// Tasks of one holder that contradict each other.
    pub impossible: Option<Vec<u32>>,
}

impl<'t, 'h, M: Model<Op = LockOp, Ret = LockRet>> Holds<'t, 'h, M> {
    pub(in crate::models) fn new(tasks: &'t [Task<'h, M>], rules: Rules<'_>) -> Self {
        let mut all = Holds {
            tasks,
            groups: Vec::new(),
            next: vec![NONE; tasks.len()],
            holds: Vec::with_capacity(tasks.len() / 2),
            moments: Vec::new(),
            busy: Vec::new(),
            denials: 0,
            complete: true,
            impossible: None,
        };
        let not_held = all.group(rules.initial);
        if rules.initial.is_some() && !all.groups.iter().any(|group| group.initial) {
            // Whoever holds it at first does nothing, and keeps it.
            all.groups.push(Group { initial: true, ..EMPTY });
        }
        for number in 0..all.groups.len() as u32 {
            if let Err(end) = all.take(number, rules) {
                match end {
                    End::Open => all.complete = false,
                    End::Refuted => all.impossible = Some(all.ids([number])),
                }
            }
        }
        all.denials = not_held.len();
        for (task, number) in not_held {
            all.take_denial(task, number);
        }
        all
    }

    /// Sorts the tasks by holder. Returns denials (of one who did not hold) with their groups.
    fn group(&mut self, initial: Option<&Holder>) -> Vec<(u32, u32)> {
        let mut numbers: HashMap<&Holder, u32, BuildHasherDefault<QuickHasher>> = HashMap::default();
        numbers.reserve(self.tasks.len() / 2);
        let mut denials = Vec::new();
        for (task, at) in self.tasks.iter().zip(0u32..) {
            let what = effect(task.op, task.outcome);
            match what {
                Effect::SawBusy if task.in_doubt() => continue,
                Effect::SawBusy => {
                    self.busy.push(at);
                    continue;
                }
                Effect::SawNotHeld if task.in_doubt() => continue,
                _ => {}
            }
            let next = self.groups.len() as u32;
            let number = *numbers.entry(&task.op.holder).or_insert(next);
            if number == next {
                self.groups.push(Group { initial: initial == Some(&task.op.holder), named: at, ..EMPTY });
            }
            if what == Effect::SawNotHeld {
                denials.push((at, number));
            } else {
                self.enter(at, number, what == Effect::Acquire);
            }
        }
        denials
    }

    fn enter(&mut self, at: u32, number: u32, acquires: bool) {
        let task = &self.tasks[at as usize];
        let group = &mut self.groups[number as usize];
        match group.last {
            NONE => group.first = at,
            last => self.next[last as usize] = at,
        }
        group.last = at;
        // Whoever comes after one in doubt comes after NEVER.
        if task.call < group.last_done && !(task.in_doubt() && group.last_done == NEVER) {
            group.in_order = false;
        }
        group.last_done = group.last_done.max(task.done);
        let first = |known: u32| if known == NONE { at } else { known };
        match (acquires, task.in_doubt()) {
            (true, false) => group.acquires += 1,
            (false, false) => group.releases += 1,
            (true, true) => {
                group.acquires_in_doubt += 1;
                group.acquire_in_doubt = first(group.acquire_in_doubt);
            }
            (false, true) => {
                group.releases_in_doubt += 1;
                group.release_in_doubt = first(group.release_in_doubt);
            }
        }
    }

    /// The numbers of all that these groups' holders did and saw, for a contradiction: what was refused could
    /// as well have happened if it were released.
    pub(in crate::models) fn ids(&self, groups: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let named = groups.into_iter().map(|group| self.groups[group as usize].named);
        let name = |at: u32| &self.tasks[at as usize].op.holder;
        let mut holders: Vec<&Holder> = named.filter(|at| *at != NONE).map(name).collect();
        holders.sort_unstable();
        holders.dedup();
        let concerned = |task: &&Task<'h, M>| holders.binary_search(&&task.op.holder).is_ok();
        self.tasks.iter().filter(concerned).map(|task| task.id).collect()
    }

    fn members(&self, group: u32) -> impl Iterator<Item = usize> + '_ {
        let first = self.groups[group as usize].first;
        let step = |at: &u32| (self.next[*at as usize] != NONE).then(|| self.next[*at as usize]);
        std::iter::successors((first != NONE).then_some(first), step).map(|at| at as usize)
    }

    fn take(&mut self, number: u32, rules: Rules<'_>) -> Result<(), End> {
        let group = self.groups[number as usize];
        if group.acquires + group.releases == 0 && !group.initial {
            return Ok(());
        }
        match (group.in_order, group.acquires, group.releases) {
            (true, ..) => self.take_in_order(number, rules),
            (false, 0 | 1, 0 | 1) if !group.initial && self.alike(number) => self.take_pair(number),
            (false, ..) => self.too_many(number, rules),
        }
    }

    /// Whether all operations of a group are about as many permits.
    fn alike(&self, number: u32) -> bool {
        let mut permits = self.members(number).map(|at| self.tasks[at].op.permits);
        let first = permits.next();
        permits.all(|other| Some(other) == first)
    }

    /// Operations in order: each release ends what is open, the latest first.
    fn take_in_order(&mut self, number: u32, rules: Rules<'_>) -> Result<(), End> {
        let group = self.groups[number as usize];
        // Permits held, since when, and the acquire's call and token.
        let mut open: Vec<Hold> = Vec::new();
        let held = |start, from, permits, fence| Hold {
            start,
            end: NEVER,
            widest: (from, NEVER),
            permits,
            group: number,
            fence,
        };
        if group.initial {
            open.push(held(0, 0, 1, None));
        }
        let mut in_doubt = Vec::new();
        let mut at = group.first;
        while at != NONE {
            let task = &self.tasks[at as usize];
            match effect(task.op, task.outcome) {
                Effect::Acquire if task.in_doubt() => {}
                Effect::Release if task.in_doubt() => in_doubt.push(at),
                Effect::Acquire if open.is_empty() || rules.repeatable => {
                    open.push(held(task.done, task.call, task.op.permits, fence(task.outcome)));
                }
                Effect::Acquire => return Err(End::Refuted),
                _ => self.end(&mut open, task.op.permits, task.call, task.done)?,
            }
            at = self.next[at as usize];
        }
        let left: u64 = open.iter().map(|hold| u64::from(hold.permits)).sum();
        let wanted: u64 = in_doubt.iter().map(|at| u64::from(self.tasks[*at as usize].op.permits)).sum();
        let enough = wanted <= left;
        let mut known = Ok(());
        for at in in_doubt {
            let task = &self.tasks[at as usize];
            // If they cannot all happen, the first may not be the best to choose where they differ.
            if !enough && !self.alike(number) {
                known = Err(End::Open);
                break;
            }
            if self.end(&mut open, task.op.permits, task.call, NEVER).is_err() {
                break;
            }
        }
        self.holds.extend(open);
        known
    }

    /// Ends some permits of the latest open holds here.
    fn end(
        &mut self,
        open: &mut Vec<Hold>,
        permits: u32,
        end: Position,
        latest: Position,
    ) -> Result<(), End> {
        let held: u64 = open.iter().map(|hold| u64::from(hold.permits)).sum();
        if held < u64::from(permits) {
            return Err(End::Refuted);
        }
        let mut left = permits;
        while left > 0 {
            let hold = open.last_mut().expect("enough is held");
            let part = left.min(hold.permits);
            let widest = (hold.widest.0, latest);
            self.holds.push(Hold { permits: part, end: end.max(hold.start), widest, ..*hold });
            hold.permits -= part;
            left -= part;
            if hold.permits == 0 {
                open.pop();
            }
        }
        Ok(())
    }

    /// At most one certain acquire and one certain release, and any number in doubt.
    fn take_pair(&mut self, number: u32) -> Result<(), End> {
        let group = self.groups[number as usize];
        let certain = |acquires: bool| {
            let wanted = |at: &usize| {
                let task = &self.tasks[*at];
                !task.in_doubt() && (effect(task.op, task.outcome) == Effect::Acquire) == acquires
            };
            self.members(number).find(wanted)
        };
        let in_doubt = |at: u32| (at != NONE).then_some(at as usize);
        let (maybe_acquired, maybe_released) =
            (in_doubt(group.acquire_in_doubt), in_doubt(group.release_in_doubt));
        // One of several in doubt may bear a token that the others do not.
        let fenced_doubt = group.acquires_in_doubt > 1
            && self
                .members(number)
                .any(|at| self.tasks[at].in_doubt() && fence(self.tasks[at].outcome).is_some());
        match (certain(true), certain(false)) {
            (None, None) => Ok(()),
            (Some(acquire), None) => self.push(number, acquire, maybe_released),
            (None, Some(release)) => match maybe_acquired {
                Some(acquire) if self.tasks[acquire].call < self.tasks[release].done => match fenced_doubt {
                    true => Err(End::Open),
                    false => self.push(number, acquire, Some(release)),
                },
                _ => Err(End::Refuted),
            },
            (Some(acquire), Some(release)) => {
                match maybe_acquired {
                    Some(again) => {
                        self.take_again(number, acquire, release, again, maybe_released, fenced_doubt)
                    }
                    // A second release in doubt has nothing to release.
                    None if self.tasks[acquire].call < self.tasks[release].done => {
                        self.push(number, acquire, Some(release))
                    }
                    None => Err(End::Refuted),
                }
            }
        }
    }

    /// A certain acquire and release, and an acquire in doubt; perhaps a release in doubt as well, to end the
    /// hold early so that it can begin again.
    fn take_again(
        &mut self,
        number: u32,
        acquire: usize,
        release: usize,
        again: usize,
        early: Option<usize>,
        fenced_doubt: bool,
    ) -> Result<(), End> {
        let (a, r) = (&self.tasks[acquire], &self.tasks[release]);
        if a.done > r.call {
            return Err(End::Open);
        }
        let tasks = self.tasks;
        let called = |at: usize| tasks[at].call;
        match early {
            Some(early) if called(early) < r.call && called(again) < r.done => {
                if called(again) > r.call || fenced_doubt || fence(self.tasks[again].outcome).is_some() {
                    return Err(End::Open);
                }
                self.push(number, acquire, Some(early))?;
                self.push(number, again, Some(release))
            }
            _ => self.push(number, acquire, Some(release)),
        }
    }

    /// A hold by these two, of which one is certain.
    fn push(&mut self, group: u32, acquire: usize, release: Option<usize>) -> Result<(), End> {
        let (tasks, permits) = (self.tasks, self.tasks[acquire].op.permits);
        let (from, start) = (tasks[acquire].call, tasks[acquire].done);
        let fence = fence(tasks[acquire].outcome);
        let (end, latest) = release.map_or((NEVER, NEVER), |at| (tasks[at].call, tasks[at].done));
        if start < end {
            self.holds.push(Hold { start, end, widest: (from, latest), permits, group, fence });
        } else {
            self.moments.push(Moment {
                first: from.max(end),
                last: start.min(latest),
                permits,
                group,
                fence,
            });
        }
        Ok(())
    }

    /// A group that is no pair: refuted if there are not enough counterparts, else left open.
    fn too_many(&self, number: u32, rules: Rules<'_>) -> Result<(), End> {
        let group = self.groups[number as usize];
        let (mut acquired, mut released) = (u64::from(group.initial), 0);
        for task in self.members(number).map(|at| &self.tasks[at]) {
            match effect(task.op, task.outcome) {
                Effect::Acquire => acquired += u64::from(task.op.permits),
                _ if task.in_doubt() => {}
                _ => released += u64::from(task.op.permits),
            }
        }
        let releases = group.releases + group.releases_in_doubt;
        let acquires = group.acquires + u32::from(group.initial);
        match released > acquired || (!rules.repeatable && acquires > releases + 1) {
            true => Err(End::Refuted),
            false => Err(End::Open),
        }
    }

    /// A release that was declined: its holder did not hold the lock. Where all that the holder did is certain
    /// and was not done meanwhile, there is no doubt whether it did.
    fn take_denial(&mut self, at: u32, number: u32) {
        let task = &self.tasks[at as usize];
        let group = self.groups[number as usize];
        let count = group.acquires + group.releases + group.acquires_in_doubt + group.releases_in_doubt;
        if !group.in_order || count > LOOKED_THROUGH_MAX {
            self.complete = false;
            return;
        }
        let apart = self.members(number).all(|other| {
            let other = &self.tasks[other];
            !other.in_doubt() && (other.done < task.call || task.done < other.call)
        });
        let before = self.members(number).filter(|other| self.tasks[*other].done < task.call);
        let balance: i64 = before
            .map(|other| match effect(self.tasks[other].op, self.tasks[other].outcome) {
                Effect::Acquire => i64::from(self.tasks[other].op.permits),
                _ => -i64::from(self.tasks[other].op.permits),
            })
            .sum();
        let held = balance + i64::from(group.initial);
        match (apart, held < i64::from(task.op.permits)) {
            (true, true) => {}
            (true, false) => {
                self.impossible = Some(self.ids([number]));
            }
            (false, _) => self.complete = false,
        }
    }

    /// A task by its place.
    pub(in crate::models) fn task(&self, at: u32) -> &'t Task<'h, M> {
        &self.tasks[at as usize]
    }

    /// The owners of all groups, numbered.
    pub(in crate::models) fn owners(&self) -> Owners<'h> {
        let mut owners = Owners::default();
        for group in &self.groups {
            let owner = &self.tasks[group.named as usize].op.holder.owner;
            let next = owners.numbers.len() as u32;
            owners.of_group.push(*owners.numbers.entry(owner).or_insert(next));
        }
        owners
    }

    /// Whether every holder acquires and releases in turn, one operation after the other, and only its last is
    /// in doubt: then it is clear who released, if one knows that somebody did ([`super::pairing`]).
    pub(in crate::models) fn in_turn(&self) -> bool {
        let mut groups = (0..).zip(&self.groups);
        groups.all(|(number, group)| {
            let mut held = group.initial;
            let certain = group.in_order && group.acquires_in_doubt + group.releases_in_doubt <= 1;
            certain
                && self.members(number).all(|at| {
                    let acquires = effect(self.tasks[at].op, self.tasks[at].outcome) == Effect::Acquire;
                    std::mem::replace(&mut held, acquires) != acquires
                })
        })
    }
}

/// The owners of a lock.
#[derive(Default)]
pub(in crate::models) struct Owners<'h> {
    pub numbers: HashMap<&'h Value, u32, BuildHasherDefault<QuickHasher>>,
    pub of_group: Vec<u32>,
}

/// Why a holder was not taken apart.
enum End {
    /// It contradicts itself.
    Refuted,
    /// Nothing is known.
    Open,
}

/// A hash for holders: quick, and good enough for numbers. Nothing is iterated in its order.
#[derive(Default)]
pub(in crate::models) struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}
