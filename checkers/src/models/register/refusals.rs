//! Cas that were refused and did not say what they saw.
//!
//! All that such a cas says is that at some moment between its call and its return the register did not hold
//! the value that it expected. So a history is linearizable if and only if for each of them there is another
//! value of which it may as well have been a read: a choice of values under which the chains still fit
//! together ([`super::zones`]). Three answers are certain:
//!
//! 1. *No*, if the chains do not fit together without the refusals at all.
//! 2. *Yes*, if some layout of the chains has room for every refusal. The first one tried sets every value as
//!    early as it can be; a refusal that finds its value there from call to return is then made a read of
//!    another value that the chains admit, and they are laid out again, a few times.
//! 3. *No*, if the chains admit no other value at all for one refusal, taken by itself. Writes in doubt
//!    that nobody saw are among the values tried, for one may be what the refusal is owed to.
//!
//! Between these the answer is left to the search: whether the general case is polynomial is not known
//! (nothing was found in the literature).

use super::chains::{Chains, Group, INITIAL, NONE, Number, Silent};
use super::layout::Layout;
use super::zones::{Contradiction, Zones};
use crate::linearizability::{NEVER, Position};

/// What is known of the refusals.
pub(super) enum Answer {
    /// There is a linearization with all of them.
    Fit,
    /// There is none: these contradict each other, if it is known which.
    Contradict(Option<Contradiction>),
    /// Nobody knows.
    Open,
}

/// How often chains are laid out anew.
const LAYOUTS_MAX: usize = 48;
/// And, over long histories, how many values are laid out in all.
const WORK_MAX: usize = 30_000_000;
/// How many refusals may be compared with every value.
const SCANS_MAX: usize = 64;
/// How far from its own place in the layout a refusal looks for another value first.
const NEAR: usize = 12;

/// Finds room for the refusals between chains that fit together.
pub(super) fn place(chains: &mut Chains<'_>, zones: Zones) -> Answer {
    let all = std::mem::take(&mut chains.silent);
    let mut open: Vec<Silent> = unplaced(chains, &zones, &all);
    if open.is_empty() {
        return Answer::Fit;
    }
    let mut scans = SCANS_MAX;
    let mut room = Room::new(chains, zones);
    for refusal in &open {
        if let Some(contradiction) = room.forced(chains, refusal) {
            return Answer::Contradict(Some(contradiction));
        }
        if !room.has_any(chains, refusal, &mut scans) {
            return if scans == 0 { Answer::Open } else { Answer::Contradict(None) };
        }
    }
    let mut settled: Vec<Silent> = Vec::new();
    let (mut layouts, mut share) = (0, open.len());
    while layouts < LAYOUTS_MAX && layouts * chains.groups.len() < WORK_MAX {
        layouts += 1;
        let before = chains.groups.clone();
        let trial = &open[..share.min(open.len())];
        if !room.settle(chains, trial) {
            return Answer::Open;
        }
        match chains.link().and_then(|()| Zones::new(chains)) {
            Ok(zones) => {
                settled.extend_from_slice(trial);
                let rest: Vec<Silent> = all.iter().filter(|one| !contains(&settled, one)).copied().collect();
                open = unplaced(chains, &zones, &rest);
                if open.is_empty() {
                    return Answer::Fit;
                }
                room = Room::new(chains, zones);
                share = open.len();
            }
            // Each of them has room, but not all at once: fewer.
            Err(_) if share > 1 => {
                chains.groups = before;
                share /= 2;
            }
            Err(_) => return Answer::Open,
        }
    }
    Answer::Open
}

fn contains(some: &[Silent], one: &Silent) -> bool {
    some.iter().any(|other| other.call == one.call)
}

/// The refusals that find the value which they did not see, from call to return, when every value is set as
/// early as the order of the chains allows.
fn unplaced(chains: &Chains<'_>, zones: &Zones, refusals: &[Silent]) -> Vec<Silent> {
    let layout = Layout::new(chains, zones);
    refusals.iter().filter(|refusal| layout.room(refusal).is_none()).copied().collect()
}

/// Where each value can be held beside all others.
struct Room {
    /// Of each value: the last call that must lie before it is set, its own setter's included.
    after: Vec<Position>,
    /// Of each value: the first return that needs a later value of its chain.
    before: Vec<Position>,
    /// Of each value: its chain's first return and last call.
    zone: Vec<(Position, Position)>,
    /// Of each value: the first one of its chain.
    first: Vec<Number>,
    zones: Zones,
    /// The backward zones once more, by their first returns.
    by_return: Vec<(Position, Position, Number)>,
    /// Values in the order in which they can be set.
    order: Vec<(Position, Number)>,
    /// Values in doubt that nobody saw, by the calls of their writes.
    spare: Vec<(Position, Number)>,
}

impl Room {
    fn new(chains: &Chains<'_>, mut zones: Zones) -> Room {
        let count = chains.groups.len();
        let (mut after, mut before) = (vec![NEVER; count], vec![NEVER; count]);
        let (mut zone, mut first) = (vec![(NEVER, 0); count], vec![NONE; count]);
        let initial = chains.group(INITIAL);
        let unseen = initial.next == NONE && initial.last_read_called == 0;
        let alone = unseen.then_some((INITIAL, (0, 0)));
        let all = zones.forward.iter().chain(&zones.backward);
        let starts = all.map(|chain| (chain.first, (chain.first_return, chain.last_call))).chain(alone);
        let mut order = Vec::with_capacity(count);
        for (start, own) in starts {
            let values: Vec<Number> = chains.values(start).collect();
            let mut last_call = 0;
            for number in &values {
                let group = chains.group(*number);
                last_call = last_call.max(group.call);
                after[*number as usize] = last_call;
                last_call = last_call.max(group.last_read_called);
                (zone[*number as usize], first[*number as usize]) = (own, start);
                order.push((after[*number as usize], *number));
            }
            let mut first_return = NEVER;
            for number in values.iter().rev() {
                before[*number as usize] = first_return;
                first_return = first_return.min(chains.group(*number).needed_by());
            }
        }
        order.sort_unstable();
        let is_spare = |group: &Group| group.is_set() && !group.counts;
        let mut spare: Vec<(Position, Number)> = (0..)
            .zip(&chains.groups)
            .filter(|(_, group)| is_spare(group))
            .map(|(i, g)| (g.call, i))
            .collect();
        spare.sort_unstable();
        zones.backward.sort_unstable_by_key(|chain| chain.last_call);
        let mut by_return: Vec<_> =
            zones.backward.iter().map(|chain| (chain.first_return, chain.last_call, chain.first)).collect();
        by_return.sort_unstable();
        Room { after, before, zone, first, zones, by_return, order, spare }
    }

    /// Whether the chains hold the value that was not seen over the whole of the refusal, by two of their own
    /// operations: those contradict it.
    fn forced(&self, chains: &Chains<'_>, refusal: &Silent) -> Option<Contradiction> {
        let at = refusal.expected as usize;
        let group = chains.group(refusal.expected);
        if self.first[at] == NONE {
            return None;
        }
        let set_before = group.needed_by().min(self.before[at]);
        let held_until = self.after[at].max(group.last_read_called);
        if set_before > refusal.call || held_until < refusal.done {
            return None;
        }
        let last = chains.values(self.first[at]).find(|number| chains.group(*number).call == held_until);
        let doubtful = last.filter(|number| chains.group(*number).done == NEVER);
        let forced = doubtful.map(|number| chains.forced_by(number));
        Some(Contradiction::of([set_before, held_until, refusal.call].into_iter().chain(forced)))
    }

    /// Whether there is a value that the refusal may have seen. `scans` is how often all may be tried; none are
    /// left if this is not certain.
    fn has_any(&self, chains: &Chains<'_>, refusal: &Silent, scans: &mut usize) -> bool {
        if self.nearby(chains, refusal).is_some() {
            return true;
        }
        if *scans == 0 {
            return false;
        }
        *scans -= 1;
        let found = (0..chains.groups.len() as Number).any(|number| self.admits(chains, refusal, number));
        // The last one must not leave it looking uncertain.
        *scans = if found { *scans } else { (*scans).max(1) };
        found
    }

    /// A value that the refusal may have seen: one in doubt that nobody saw, or one of those set about then.
    fn nearby(&self, chains: &Chains<'_>, refusal: &Silent) -> Option<Number> {
        let at = self.order.partition_point(|(from, _)| *from <= refusal.call);
        let earlier = self.order[at.saturating_sub(NEAR)..at].iter().rev();
        let later = self.order[at..(at + NEAR).min(self.order.len())].iter();
        let spare = self.spare.iter().take(NEAR).chain(self.spare_about(refusal));
        let mut values = earlier.chain(later).chain(spare).map(|(_, number)| *number);
        values.find(|number| self.admits(chains, refusal, *number))
    }

    /// Values in doubt whose writes were called last before the refusal returned.
    fn spare_about(&self, refusal: &Silent) -> impl Iterator<Item = &(Position, Number)> {
        let end = self.spare.partition_point(|(call, _)| *call < refusal.done);
        self.spare[end.saturating_sub(NEAR)..end].iter().rev()
    }

    /// Whether the chains would still fit together if the refusal had read this value.
    fn admits(&self, chains: &Chains<'_>, refusal: &Silent, number: Number) -> bool {
        let Silent { expected, call, done } = *refusal;
        let group = chains.group(number);
        if number == expected || !group.is_set() {
            return false;
        }
        if self.first[number as usize] != NONE {
            let (after, before) = (self.after[number as usize], self.before[number as usize]);
            return after < done
                && call < before
                && self.fits(self.first[number as usize], self.zone[number as usize], call, done);
        }
        // In doubt, and nobody saw it. A cas must follow a value that no other one replaced.
        let Some(replaced) = (group.replaces != NONE).then_some(group.replaces as usize) else {
            return group.call < done && self.fits(NONE, (NEVER, group.call), call, done);
        };
        let held = chains.group(group.replaces);
        let last_call = self.after[replaced].max(held.last_read_called).max(group.call);
        let (first_return, zone_call) = self.zone[replaced];
        self.first[replaced] != NONE
            && held.next == NONE
            && last_call < done
            && self.fits(self.first[replaced], (first_return, zone_call.max(group.call)), call, done)
    }

    /// Whether a chain still fits to the others when it must also last until `call` and begin before `done`.
    fn fits(&self, first: Number, zone: (Position, Position), call: Position, done: Position) -> bool {
        let (first_return, last_call) = (zone.0.min(done), zone.1.max(call));
        let forward = &self.zones.forward;
        if last_call <= first_return {
            // The last forward zone that begins before its end must not surround it.
            let before = forward.partition_point(|other| other.first_return < last_call);
            return before == 0 || forward[before - 1].last_call <= first_return;
        }
        let begun = forward.partition_point(|other| other.first_return < last_call);
        let others = forward[..begun].iter().rev().filter(|other| other.first != first);
        if others.take(1).any(|other| first_return < other.last_call) {
            return false;
        }
        self.surrounds_none(first, (first_return, last_call), zone)
    }

    /// Whether no backward zone lies inside of what was `old` and now is `new`.
    fn surrounds_none(&self, first: Number, new: (Position, Position), old: (Position, Position)) -> bool {
        let calls = &self.zones.backward;
        let was_forward = old.0 < old.1;
        // One that lies inside now and did not before ends its calls, or its returns, in what was added.
        let calls_end = if was_forward { old.0 } else { new.1 };
        let from = calls.partition_point(|other| other.last_call <= new.0);
        let to = calls.partition_point(|other| other.last_call <= calls_end).max(from);
        let inside = |last_call: Position, first_return: Position, other: Number| {
            other != first && new.0 < last_call && first_return < new.1
        };
        if calls[from..to].iter().any(|other| inside(other.last_call, other.first_return, other.first)) {
            return false;
        }
        if !was_forward {
            return true;
        }
        let from = self.by_return.partition_point(|other| other.0 < old.1);
        let to = self.by_return.partition_point(|other| other.0 < new.1).max(from);
        !self.by_return[from..to].iter().any(|other| inside(other.1, other.0, other.2))
    }

    /// Makes each of these refusals a read of a value that it may have seen; whether there is one for all.
    fn settle(&self, chains: &mut Chains<'_>, refusals: &[Silent]) -> bool {
        refusals.iter().all(|refusal| {
            let near = self.nearby(chains, refusal);
            let any = || (0..chains.groups.len() as Number).find(|i| self.admits(chains, refusal, *i));
            let Some(number) = near.or_else(any) else { return false };
            chains.add_read(number, refusal.call, refusal.done);
            true
        })
    }
}
