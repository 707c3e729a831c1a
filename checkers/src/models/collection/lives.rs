//! The lives of values: when each was added, seen and removed, as far as the tasks of one key say.

use super::Reason;
use crate::linearizability::{NEVER, Position, Task};
use crate::models::numbers::Numbers;
use elenchus_core::model::Model;
use elenchus_core::value::Value;

/// A position in the log, half as wide as [`Position`]; what was inside at first comes before all of the log.
pub type At = u32;

/// After everything.
pub const END: At = At::MAX;

/// No operation's number.
pub const NOBODY: u32 = u32::MAX;

/// What an operation did, told by the values of the collection.
pub enum Deed<'h> {
    /// It added this.
    Adds(&'h Value),
    /// It removed this.
    Removes(&'h Value),
    /// It saw this as the next to be removed, and left it.
    Shows(&'h Value),
    /// It found nothing inside.
    FindsNothing,
    /// It removed something if there was anything, and does not say what.
    RemovesSomething,
    /// It changed nothing and says nothing.
    Nothing,
    /// No collection would have done so.
    Absurd,
}

/// One value: positions, and the numbers of the operations that they come from.
#[derive(Clone, Copy)]
pub struct Life {
    pub add_call: At,
    /// [`END`] if it is not certain that it was added, but for what was seen of it.
    pub add_done: At,
    /// The first return of those that certainly removed it or saw it.
    pub first: At,
    /// The last call of those that certainly added it, removed it or saw it.
    pub last: At,
    /// The first call of those that may have removed it, and say so.
    pub own: At,
    pub added_by: u32,
    pub first_by: u32,
    pub last_by: u32,
    /// [`NOBODY`] if it was not removed for certain.
    pub removed_by: u32,
    /// [`END`] likewise.
    removed: At,
}

const UNBORN: Life = Life {
    add_call: END,
    add_done: END,
    first: END,
    last: 0,
    own: END,
    added_by: NOBODY,
    first_by: NOBODY,
    last_by: NOBODY,
    removed_by: NOBODY,
    removed: END,
};

impl Life {
    /// From here on it was certainly inside, until it was removed.
    pub fn inside(&self) -> At {
        self.add_done.min(self.first)
    }

    /// The operation that says so.
    pub fn inside_by(&self) -> u32 {
        if self.first < self.add_done { self.first_by } else { self.added_by }
    }

    /// Whether nobody is known to have removed it.
    pub fn is_loose(&self) -> bool {
        self.removed_by == NOBODY
    }

    fn is_seen(&self) -> bool {
        self.first != END
    }

    fn is_added(&self) -> bool {
        self.add_call != END
    }

    fn seen(&mut self, call: At, done: At, id: u32) {
        if done < self.first {
            (self.first, self.first_by) = (done, id);
        }
        // The first one may have been called at 0.
        if call >= self.last {
            (self.last, self.last_by) = (call, id);
        }
    }
}

/// Somebody found nothing inside.
#[derive(Clone, Copy)]
pub struct Empty {
    pub call: At,
    pub done: At,
    pub id: u32,
}

/// One key's history, told by its values.
pub struct Lives {
    /// The values that were certainly inside at some time, in the order of the calls that added them.
    pub lives: Vec<Life>,
    pub empties: Vec<Empty>,
    /// The calls of removals in doubt that do not say what they removed, in their order.
    pub blind: Vec<At>,
    /// Released operations are called here, before the log.
    pub origin: At,
}

impl Lives {
    /// The values that nobody removed for certain, by their numbers.
    pub fn loose(&self) -> impl Iterator<Item = u32> {
        self.lives.iter().zip(0..).filter(|(life, _)| life.is_loose()).map(|(_, number)| number)
    }

    /// How many of the blind removals were called before the log.
    pub fn released(&self) -> usize {
        self.blind.partition_point(|call| *call <= self.origin)
    }

    /// Nobody can have found nothing there: too many values that nobody removed for certain.
    pub fn crowded(&self, empty: Empty, others: Vec<u32>) -> Reason {
        let inside = self.lives.iter().filter(|life| life.is_loose() && life.inside() < empty.done);
        Reason::Crowded { empty: empty.id, inside: inside.map(Life::inside_by).collect(), others }
    }
}

/// The lives of the values in the tasks of one key, or why they contradict each other; `None` if a value is
/// added twice or something else is there that this cannot judge.
///
/// What may have been added, and was not seen for certain, is left out: if it was there, the history without
/// it and without its removal is a history of the same collection.
pub fn gather<'h, M: Model>(
    initial: &'h [Value],
    tasks: &[Task<'h, M>],
    deed: impl Fn(&Task<'h, M>) -> Deed<'h>,
) -> Option<Result<Lives, Reason>> {
    let mut book = Book::new(initial, tasks.len())?;
    for task in tasks {
        book.enter(deed(task), task.call, task.done, task.id)?;
    }
    Some(book.close())
}

struct Book<'h> {
    numbers: Numbers<'h>,
    lives: Vec<Life>,
    /// The values in the order of the calls that added them.
    order: Vec<u32>,
    empties: Vec<Empty>,
    blind: Vec<At>,
    twice: Option<Reason>,
    origin: At,
}

impl<'h> Book<'h> {
    fn new(initial: &'h [Value], tasks: usize) -> Option<Book<'h>> {
        let mut book = Book {
            numbers: Numbers::with_capacity(tasks),
            lives: Vec::with_capacity(tasks / 2),
            order: Vec::with_capacity(tasks / 2),
            empties: Vec::new(),
            blind: Vec::new(),
            twice: None,
            origin: At::try_from(initial.len()).ok()?,
        };
        for (value, at) in initial.iter().zip(0..) {
            book.add(value, at, at, NOBODY)?;
        }
        Some(book)
    }

    /// Enters what an operation did; `None` if this cannot be judged.
    fn enter(&mut self, deed: Deed<'h>, call: Position, done: Position, id: u32) -> Option<()> {
        let certain = done != NEVER;
        let (call, done) = (self.at(call)?, self.at(done)?);
        match deed {
            Deed::Absurd => return None,
            Deed::Nothing => {}
            Deed::Adds(value) => self.add(value, call, done, id)?,
            Deed::RemovesSomething if certain => return None,
            Deed::RemovesSomething => self.blind.push(call),
            Deed::Removes(value) if certain => {
                let life = self.life(value);
                let before = std::mem::replace(&mut life.removed_by, id);
                life.removed = done;
                life.seen(call, done, id);
                if before != NOBODY {
                    self.twice.get_or_insert(Reason::Twice { first: before, second: id });
                }
            }
            Deed::Removes(value) => {
                let life = self.life(value);
                life.own = life.own.min(call);
            }
            Deed::Shows(value) if certain => self.life(value).seen(call, done, id),
            Deed::FindsNothing if certain => self.empties.push(Empty { call, done, id }),
            Deed::Shows(_) | Deed::FindsNothing => {}
        }
        Some(())
    }

    fn add(&mut self, value: &'h Value, call: At, done: At, id: u32) -> Option<()> {
        let number = self.number(value);
        let life = &mut self.lives[number as usize];
        if life.is_added() {
            return None;
        }
        (life.add_call, life.add_done, life.added_by) = (call, done, id);
        self.order.push(number);
        Some(())
    }

    fn life(&mut self, value: &'h Value) -> &mut Life {
        let number = self.number(value);
        &mut self.lives[number as usize]
    }

    fn number(&mut self, value: &'h Value) -> u32 {
        let number = self.numbers.number(value);
        if number as usize == self.lives.len() {
            self.lives.push(UNBORN);
        }
        number
    }

    /// `None` if the log is longer than this can count.
    fn at(&self, position: Position) -> Option<At> {
        if position == NEVER {
            return Some(END);
        }
        let at = At::try_from(position).ok()?.checked_add(self.origin)?;
        (at != END).then_some(at)
    }

    fn close(self) -> Result<Lives, Reason> {
        let Book { numbers, lives, order, empties, blind, twice, origin } = self;
        drop(numbers);
        if let Some(reason) = twice {
            return Err(reason);
        }
        if let Some(phantom) = lives.iter().find(|life| !life.is_added() && life.is_seen()) {
            return Err(Reason::Phantom { seen: phantom.first_by });
        }
        let mut sorted = Vec::with_capacity(order.len());
        for number in order {
            let mut life = lives[number as usize];
            if life.add_done == END && !life.is_seen() {
                continue;
            }
            if life.first < life.add_call {
                return Err(Reason::Early { seen: life.first_by, added: life.added_by });
            }
            if life.removed < life.last {
                return Err(Reason::Gone { seen: life.last_by, removed: life.removed_by });
            }
            if life.add_call >= life.last {
                (life.last, life.last_by) = (life.add_call, life.added_by);
            }
            sorted.push(life);
        }
        Ok(Lives { lives: sorted, empties, blind, origin })
    }
}
