//! The operations of one register by the values that they set and saw, linked into chains by its cas.
//!
//! An operation in doubt counts only if its value was seen, or replaced by a cas that counts; then it
//! happened, and its return lies beyond the end. A refusal that says what it saw is a read; one that does
//! not is set aside ([`super::refusals`]).

use super::zones::Contradiction;
use super::{Register, RegisterOp, RegisterRet};
use crate::linearizability::{NEVER, Position};
use crate::models::numbers::Numbers;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;

type Task<'h> = crate::linearizability::Task<'h, Register>;

/// The number of a value.
pub(super) type Number = u32;

/// The number of no value.
pub(super) const NONE: Number = Number::MAX;

/// Of more values than these that cannot have been set, the earliest is not looked for.
const BROKEN_MAX: usize = 64;

/// The initial value's number.
pub(super) const INITIAL: Number = 0;

/// One value: who set it, and who saw it.
#[derive(Clone, Copy)]
pub(super) struct Group {
    /// Call of the operation that set it; [`NEVER`] if nobody did.
    pub call: Position,
    /// And its return.
    pub done: Position,
    pub first_read_returned: Position,
    pub last_read_called: Position,
    /// The value that the one who set it replaced by cas; [`NONE`] of a write.
    pub replaces: Number,
    /// The value that a cas that counts put in its place.
    pub next: Number,
    /// Whether it must have been set.
    pub counts: bool,
}

const UNSEEN: Group = Group {
    call: NEVER,
    done: NEVER,
    first_read_returned: NEVER,
    last_read_called: 0,
    replaces: NONE,
    next: NONE,
    counts: false,
};

impl Group {
    pub(super) fn is_set(&self) -> bool {
        self.call != NEVER
    }

    /// The earliest return that needs the value to have been set, of those in this group.
    pub(super) fn needed_by(&self) -> Position {
        self.done.min(self.first_read_returned)
    }
}

/// A cas that was refused and did not say what it saw: not the value that it expected.
#[derive(Clone, Copy)]
pub(super) struct Silent {
    pub expected: Number,
    pub call: Position,
    pub done: Position,
}

/// Consecutive values, from a write (or the initial value) on, each set by a cas from the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub first: Number,
    pub first_return: Position,
    pub last_call: Position,
}

impl Chain {
    pub(super) fn is_forward(&self) -> bool {
        self.first_return < self.last_call
    }
}

/// Why there are no chains to be judged.
pub(super) enum Stop {
    /// A value is set twice, so that nobody knows which chain saw it.
    Ambiguous,
    /// This operation alone is impossible.
    Impossible(u32),
}

/// What an operation says of the register.
pub(super) enum Role<'h> {
    /// Nothing, and it need not have happened.
    Absent,
    /// Nothing, though it happened.
    Mute,
    /// It held this.
    Sees(&'h Value),
    /// It held this afterwards, if the operation happened, and before that what it replaced.
    Sets { value: &'h Value, replaces: Option<&'h Value> },
    /// It held something else than this.
    Differs(&'h Value),
    /// Nothing that can be.
    Impossible,
}

impl<'h> Role<'h> {
    pub(super) fn of(register: &Register, task: &Task<'h>) -> Role<'h> {
        match (task.op, task.outcome) {
            (RegisterOp::Read { .. }, _) | (_, Outcome::Fail(_)) if task.in_doubt() => Role::Absent,
            (RegisterOp::Cas { from, to, .. }, _) if from == to && task.in_doubt() => Role::Absent,
            (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) if register.is_seen(value) => {
                Role::Sees(value)
            }
            (RegisterOp::Read { .. }, _) => Role::Mute,
            (RegisterOp::Write { .. }, Outcome::Fail(_)) => Role::Impossible,
            (RegisterOp::Cas { from, .. }, Outcome::Fail(failure)) => match failure {
                Failure::Refused(Some(RegisterRet::Saw(value))) if value == from => Role::Impossible,
                Failure::Refused(Some(RegisterRet::Saw(value))) => Role::Sees(value),
                Failure::Refused(_) => Role::Differs(from),
                Failure::NotDone(_) => Role::Absent,
            },
            (RegisterOp::Write { value, .. }, _) => Role::Sets { value, replaces: None },
            (RegisterOp::Cas { from, to, .. }, _) if from == to => Role::Sees(from),
            (RegisterOp::Cas { from, to, .. }, _) => Role::Sets { value: to, replaces: Some(from) },
        }
    }
}

/// What the operations of one register did, by value.
pub(super) struct Chains<'h> {
    register: &'h Register,
    numbers: Numbers<'h>,
    pub groups: Vec<Group>,
    pub silent: Vec<Silent>,
}

impl<'h> Chains<'h> {
    pub(super) fn new(register: &'h Register, tasks: &[Task<'h>]) -> Result<Chains<'h>, Stop> {
        let mut numbers = Numbers::with_capacity(tasks.len());
        numbers.number(&register.initial);
        let initial = Group { call: 0, done: 0, counts: true, ..UNSEEN };
        let mut chains = Chains { register, numbers, groups: vec![initial], silent: Vec::new() };
        tasks.iter().try_for_each(|task| chains.take(task))?;
        Ok(chains)
    }

    fn take(&mut self, task: &Task<'h>) -> Result<(), Stop> {
        match Role::of(self.register, task) {
            Role::Absent | Role::Mute => {}
            Role::Sees(value) => {
                let number = self.number(value);
                self.add_read(number, task.call, task.done);
            }
            Role::Sets { value, replaces } => {
                let replaces = replaces.map_or(NONE, |value| self.number(value));
                self.take_setter(task, value, replaces)?;
            }
            Role::Differs(value) => {
                let expected = self.number(value);
                self.silent.push(Silent { expected, call: task.call, done: task.done });
            }
            Role::Impossible => return Err(Stop::Impossible(task.id)),
        }
        Ok(())
    }

    /// Somebody saw the value between these.
    pub(super) fn add_read(&mut self, number: Number, call: Position, done: Position) {
        let group = &mut self.groups[number as usize];
        group.first_read_returned = group.first_read_returned.min(done);
        group.last_read_called = group.last_read_called.max(call);
        group.counts = true;
    }

    fn take_setter(&mut self, task: &Task<'h>, value: &'h Value, replaces: Number) -> Result<(), Stop> {
        let number = self.number(value);
        let group = &mut self.groups[number as usize];
        if group.is_set() {
            return Err(Stop::Ambiguous);
        }
        (group.call, group.done, group.replaces) = (task.call, task.done, replaces);
        group.counts |= !task.in_doubt();
        Ok(())
    }

    /// Whether it is a refused cas that, had it succeeded, would have set a value which others set or saw. Free to
    /// succeed it would explain what they saw, so it is a part of what contradicts.
    pub(super) fn might_set(&self, task: &Task<'_>) -> bool {
        let (RegisterOp::Cas { to, .. }, Outcome::Fail(_), false) = (task.op, task.outcome, task.in_doubt())
        else {
            return false;
        };
        self.numbers.get(to).is_some_and(|number| {
            let group = self.group(number);
            group.is_set() || group.counts
        })
    }

    /// The number of a value that somebody set or saw.
    pub(super) fn known(&self, value: &Value) -> Option<Number> {
        self.numbers.get(value)
    }

    fn number(&mut self, value: &'h Value) -> Number {
        let number = self.numbers.number(value);
        if number as usize == self.groups.len() {
            self.groups.push(UNSEEN);
        }
        number
    }

    pub(super) fn group(&self, number: Number) -> &Group {
        &self.groups[number as usize]
    }

    /// Marks whatever must have been set, and finds what replaced each value.
    pub(super) fn link(&mut self) -> Result<(), Contradiction> {
        let mut broken: Vec<[Number; 2]> = Vec::new();
        for start in 0..self.groups.len() as Number {
            let mut at = start;
            while at != NONE && self.group(at).counts {
                at = self.link_one(at).unwrap_or_else(|pair| {
                    broken.push(pair);
                    NONE
                });
            }
        }
        let contradictions = broken.iter().take(BROKEN_MAX).map(|pair| pair.map(|i| self.forced_by(i)));
        match contradictions.min_by_key(|ends| ends[0].max(ends[1])) {
            Some(ends) => Err(Contradiction::of(ends)),
            None => Ok(()),
        }
    }

    /// Links a value that counts to the one that it replaced, and gives that one if it did not count yet. If
    /// this is impossible, those that both count.
    fn link_one(&mut self, number: Number) -> Result<Number, [Number; 2]> {
        let group = *self.group(number);
        if !group.is_set() {
            // A value that was seen must have been set.
            return Err([number; 2]);
        }
        if group.replaces == NONE {
            return Ok(NONE);
        }
        let replaced = &mut self.groups[group.replaces as usize];
        match replaced.next {
            NONE => replaced.next = number,
            other if other == number => return Ok(NONE),
            // Two cas cannot both replace it.
            other => return Err([number, other]),
        }
        let counted = std::mem::replace(&mut replaced.counts, true);
        Ok(if counted { NONE } else { group.replaces })
    }

    /// The return of an operation that needs this value to have been set.
    pub(super) fn forced_by(&self, number: Number) -> Position {
        let mut at = number;
        // A value that counts is needed by its own operations, or by a cas that counts.
        for _ in 0..self.groups.len() {
            let group = self.group(at);
            if group.needed_by() != NEVER || group.next == NONE {
                return group.needed_by();
            }
            at = group.next;
        }
        NEVER
    }

    /// Gives every chain to `take`, or says which operations of one are out of order.
    pub(super) fn each(&self, mut take: impl FnMut(Chain)) -> Result<(), Contradiction> {
        let (mut reached, mut counted) = (0, 0);
        let mut disorder: Option<(Position, Position)> = None;
        for first in 0..self.groups.len() as Number {
            let group = self.group(first);
            counted += usize::from(group.counts);
            if !group.counts || group.replaces != NONE {
                continue;
            }
            let (chain, length, late) = self.chain(first);
            reached += length;
            match late {
                None => take(chain),
                Some(late) if disorder.is_none_or(|(_, end)| late.1 < end) => disorder = Some(late),
                Some(_) => {}
            }
        }
        if let Some((call, end)) = disorder {
            return Err(Contradiction::of([call, end]));
        }
        // What no chain reaches replaces itself in a circle.
        if reached < counted { Err(Contradiction::of([self.in_a_circle()])) } else { Ok(()) }
    }

    /// The chain that starts here, how many values it has, and, if it is out of order, the call that stands
    /// before a return in it although it came later.
    fn chain(&self, first: Number) -> (Chain, usize, Option<(Position, Position)>) {
        let mut chain = Chain { first, first_return: NEVER, last_call: 0 };
        let (mut length, mut late): (usize, Option<(Position, Position)>) = (0, None);
        let mut at = first;
        while at != NONE {
            let group = self.group(at);
            let mut check = |done: Position, last_call: Position| {
                if done < last_call && late.is_none_or(|(_, end)| done < end) {
                    late = Some((last_call, done));
                }
            };
            // `last_call` is forced to lie before whatever comes now.
            check(group.done, chain.last_call);
            chain.last_call = chain.last_call.max(group.call);
            check(group.first_read_returned, chain.last_call);
            chain.last_call = chain.last_call.max(group.last_read_called);
            chain.first_return = chain.first_return.min(group.needed_by());
            length += 1;
            at = group.next;
        }
        (chain, length, late)
    }

    /// The earliest return that needs a value which no chain reaches.
    #[cold]
    fn in_a_circle(&self) -> Position {
        let mut reached = vec![false; self.groups.len()];
        let starts = (0..self.groups.len() as Number)
            .filter(|i| self.group(*i).counts && self.group(*i).replaces == NONE);
        for first in starts {
            for number in self.values(first) {
                reached[number as usize] = true;
            }
        }
        let circle = self.groups.iter().zip(reached).filter(|(group, reached)| group.counts && !reached);
        circle.map(|(group, _)| group.needed_by()).min().unwrap_or(NEVER)
    }

    /// The values of the chain that starts here.
    pub(super) fn values(&self, first: Number) -> impl Iterator<Item = Number> {
        let follow = |number: Number| Some(number).filter(|number| *number != NONE);
        std::iter::successors(follow(first), move |number| follow(self.group(*number).next))
    }

    /// Two chains that cannot both have held the register: the first return and the last call of each.
    pub(super) fn clash(&self, one: &Chain, other: &Chain) -> Contradiction {
        Contradiction::of([one, other].into_iter().flat_map(|chain| {
            let last = self.values(chain.first).find(|number| self.group(*number).call == chain.last_call);
            // The call alone proves nothing of an operation in doubt; whoever saw its value does.
            let doubtful = last.filter(|number| self.group(*number).done == NEVER);
            let forced = doubtful.map(|number| self.forced_by(number));
            [Some(chain.first_return), Some(chain.last_call), forced].into_iter().flatten()
        }))
    }
}
