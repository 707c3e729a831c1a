//! Logs without search: the order of the entries is known, and is tried against the clock.
//!
//! An append that was told its offset, or whose value somebody read at one, can stand nowhere else: it is
//! *bound* to its place. All others are alike but for their calls and returns. The log is read from the
//! front and is kept as short as it can be: it grows only when a return forces it to, by the entry bound to
//! the next place, or, where none is, by the free append that returns first (one in doubt only if there is
//! no other). What was read says how long the log was at some moment, at least or at most; since it is as
//! short as possible at all times and passes every length, a bound from above is tested at the call, and
//! one from below forces it to grow at the return.
//!
//! That is exact. Take a linearization that agrees with this construction up to a return, where the log must
//! grow to some length. In the linearization it grows at least so far; what goes beyond can follow the
//! return, because nothing else returns there. If it put another free append where this construction puts the
//! one that returns first, they can change places.
//!
//! Left open: a value read that several appends may have written; an append in doubt that was told an offset
//! (a prefix of a log knows such), where one that must happen is free to take that place. The argument is
//! our own; all small histories agree.

use super::{AppendLog, LogAct, LogRet, place};
use crate::linearizability::{Position, Shortcut, Task};
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

type LogTask<'h> = Task<'h, AppendLog>;

const NONE: u32 = u32::MAX;

/// Why there is no answer yet: none can be given, or it is no.
enum End {
    Open,
    Refuted(Vec<u32>),
}

/// Whether the operations of one log are linearizable; `None` if this cannot tell.
pub(super) fn decide(log: &AppendLog, tasks: &[LogTask<'_>]) -> Option<Shortcut> {
    let answer = Places::new(log, tasks).and_then(|places| Growth::new(&places).run());
    match answer {
        Ok(()) => Some(Shortcut::Linearizable),
        Err(End::Refuted(ids)) => Some(Shortcut::Refuted(ids)),
        Err(End::Open) => None,
    }
}

/// One place of the log.
#[derive(Clone, Copy)]
struct Place<'h> {
    /// What stands there, if somebody knows.
    value: Option<&'h Value>,
    /// Who read it.
    reader: u32,
    /// The append bound to it, or one in doubt that can stand nowhere else.
    append: u32,
}

const UNKNOWN: Place<'_> = Place { value: None, reader: NONE, append: NONE };

/// Which append stands where.
struct Places<'t, 'h> {
    tasks: &'t [LogTask<'h>],
    places: Vec<Place<'h>>,
    initial: usize,
    /// Of each task, the place it is bound to.
    place_of: Vec<u32>,
}

/// Whether it is an append that may have happened.
fn appends(task: &LogTask<'_>) -> bool {
    matches!(task.op.act, LogAct::Append(_)) && !matches!(task.outcome, Outcome::Fail(_))
}

fn offset(task: &LogTask<'_>) -> Option<u64> {
    match task.outcome {
        Outcome::Ok(LogRet::At(offset)) => Some(*offset),
        _ => None,
    }
}

/// Where a read began, and the entries it saw.
fn seen<'h>(task: &LogTask<'h>) -> Option<(u64, &'h [Value])> {
    if task.in_doubt() {
        return None;
    }
    match (&task.op.act, task.outcome) {
        (LogAct::Read(_), Outcome::Ok(LogRet::Entry(Value::Nil))) => None,
        (LogAct::Read(offset), Outcome::Ok(LogRet::Entry(entry))) => {
            Some((*offset, std::slice::from_ref(entry)))
        }
        (LogAct::ReadAll, Outcome::Ok(LogRet::Entries(entries))) => Some((0, entries)),
        (LogAct::Poll(offset), Outcome::Ok(LogRet::Entries(entries))) => Some((*offset, entries)),
        _ => None,
    }
}

impl<'t, 'h> Places<'t, 'h> {
    fn new(log: &'h AppendLog, tasks: &'t [LogTask<'h>]) -> Result<Places<'t, 'h>, End>
    where
        't: 'h,
    {
        let initial = log.initial.len();
        // What was declined would count if it were released.
        let any_append = |task: &&LogTask<'_>| matches!(task.op.act, LogAct::Append(_));
        let length_max = initial + tasks.iter().filter(any_append).count();
        let mut places = vec![UNKNOWN; length_max];
        for (place, value) in places.iter_mut().zip(&log.initial) {
            place.value = Some(value);
        }
        let mut all = Places { tasks, places, initial, place_of: vec![NONE; tasks.len()] };
        all.sanity()?;
        all.take_reads()?;
        all.take_offsets()?;
        all.find_writers()?;
        Ok(all)
    }

    /// Answers of a kind that this cannot judge.
    fn sanity(&self) -> Result<(), End> {
        let nil = |task: &LogTask<'_>| matches!(&task.op.act, LogAct::Append(Value::Nil));
        let no_answer = |task: &LogTask<'_>| {
            !task.in_doubt()
                && match (&task.op.act, task.outcome) {
                    (LogAct::Append(_), Outcome::Ok(ret)) => !matches!(ret, LogRet::Done | LogRet::At(_)),
                    (LogAct::Read(_), Outcome::Ok(ret)) => !matches!(ret, LogRet::Entry(_)),
                    (_, Outcome::Ok(ret)) => !matches!(ret, LogRet::Entries(_)),
                    _ => false,
                }
        };
        // A nil that was read would be an entry, or none.
        let initial_nil = self.places.iter().any(|place| place.value.is_some_and(Value::is_nil));
        match initial_nil || self.tasks.iter().any(|task| nil(task) || no_answer(task)) {
            true => Err(End::Open),
            false => Ok(()),
        }
    }

    fn ids(&self, tasks: &[u32]) -> Vec<u32> {
        let mut ids: Vec<u32> =
            tasks.iter().filter(|at| **at != NONE).map(|at| self.tasks[*at as usize].id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn refuted(&self, tasks: &[u32]) -> End {
        End::Refuted(self.ids(tasks))
    }

    fn take_reads(&mut self) -> Result<(), End> {
        for (at, task) in (0..).zip(self.tasks) {
            let Some((from, entries)) = seen(task) else { continue };
            let end = place(from).saturating_add(entries.len());
            if !entries.is_empty() && end > self.places.len() {
                // So many entries were never appended.
                return Err(self.refuted(&[at]));
            }
            for (number, entry) in (place(from)..end).zip(entries) {
                let known = self.places[number];
                match known.value {
                    Some(value) if value != entry => return Err(self.refuted(&[at, known.reader])),
                    Some(_) => {}
                    None => self.places[number] = Place { value: Some(entry), reader: at, ..known },
                }
            }
        }
        Ok(())
    }

    fn take_offsets(&mut self) -> Result<(), End> {
        let certain = |task: &&LogTask<'_>| !task.in_doubt();
        for in_doubt in [false, true] {
            for (at, task) in (0..).zip(self.tasks).filter(|(_, task)| certain(task) != in_doubt) {
                let (LogAct::Append(value), Some(offset)) = (&task.op.act, offset(task)) else { continue };
                let known = self.places.get(place(offset)).copied();
                let wrong = known.is_none_or(|known| known.value.is_some_and(|held| held != value));
                match known {
                    Some(known) if !wrong && known.append == NONE && place(offset) >= self.initial => {
                        self.places[place(offset)].append = at;
                        self.place_of[at as usize] = offset as u32;
                    }
                    // One in doubt did not happen then.
                    _ if in_doubt => {}
                    None => return Err(self.refuted(&[at])),
                    Some(known) if wrong => return Err(self.refuted(&[at, known.reader])),
                    Some(known) => return Err(self.refuted(&[at, known.append])),
                }
            }
        }
        Ok(())
    }

    /// Who appended what was read, where no offset says so.
    fn find_writers(&mut self) -> Result<(), End> {
        let unexplained = |(number, place): &(usize, &Place<'_>)| {
            let certain = place.append != NONE && !self.tasks[place.append as usize].in_doubt();
            *number >= self.initial && place.value.is_some() && !certain
        };
        let wanted: Vec<usize> =
            self.places.iter().enumerate().filter(unexplained).map(|(number, _)| number).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut writers: HashMap<&Value, Vec<u32>> = HashMap::with_capacity(wanted.len());
        for number in &wanted {
            writers.insert(self.places[*number].value.expect("it is known"), Vec::new());
        }
        for (at, task) in (0..).zip(self.tasks).filter(|(_, task)| appends(task) && offset(task).is_none()) {
            let LogAct::Append(value) = &task.op.act else { continue };
            if let Some(writers) = writers.get_mut(value) {
                writers.push(at);
            }
        }
        let mut taken: HashMap<&Value, usize> = HashMap::new();
        for number in wanted {
            let Place { value, reader, append } = self.places[number];
            let value = value.expect("it is known");
            let before = taken.insert(value, number);
            match (&writers[value][..], append) {
                ([], NONE) => return Err(self.refuted(&self.of_value(value, &[reader]))),
                // The one in doubt whose offset this is.
                ([], _) => {}
                (&[writer], NONE) => match before {
                    Some(other) => {
                        let readers = [reader, self.places[other].reader];
                        return Err(self.refuted(&self.of_value(value, &readers)));
                    }
                    None => {
                        self.places[number].append = writer;
                        self.place_of[writer as usize] = number as u32;
                    }
                },
                _ => return Err(End::Open),
            }
        }
        Ok(())
    }

    /// These, and whoever appends this value or says so.
    fn of_value(&self, value: &Value, others: &[u32]) -> Vec<u32> {
        let same = |task: &LogTask<'_>| matches!(&task.op.act, LogAct::Append(other) if other == value);
        let appends = (0..).zip(self.tasks).filter(|(_, task)| same(task)).map(|(at, _)| at);
        appends.chain(others.iter().copied()).collect()
    }

    /// The tasks that prove that this append stands where it does.
    fn proof(&self, append: u32) -> Vec<u32> {
        let task = &self.tasks[append as usize];
        match (&task.op.act, offset(task)) {
            (LogAct::Append(value), told) if told.is_none() || task.in_doubt() => {
                let reader = self.places[self.place_of[append as usize] as usize].reader;
                self.of_value(value, &[reader])
            }
            _ => vec![append],
        }
    }
}

/// The log as it grows.
struct Growth<'p, 't, 'h> {
    places: &'p Places<'t, 'h>,
    length: usize,
    /// Free appends that were called and must happen, by their returns.
    free: BinaryHeap<Reverse<(Position, u32)>>,
    /// How many in doubt could stand anywhere.
    in_doubt: u64,
    /// Which free appends happened.
    happened: Vec<bool>,
    /// The longest that the log must have been so far by the word of one task alone, and that task.
    longest: (usize, u32),
    now: Position,
}

impl<'p, 't, 'h> Growth<'p, 't, 'h> {
    fn new(places: &'p Places<'t, 'h>) -> Self {
        Growth {
            places,
            length: places.initial,
            free: BinaryHeap::new(),
            in_doubt: 0,
            happened: vec![false; places.tasks.len()],
            longest: (0, NONE),
            now: 0,
        }
    }

    fn run(mut self) -> Result<(), End> {
        let tasks = self.places.tasks;
        let mut returns: Vec<(Position, u32)> = Vec::with_capacity(tasks.len());
        returns
            .extend((0..).zip(tasks).filter(|(_, task)| !task.in_doubt()).map(|(at, task)| (task.done, at)));
        returns.sort_by_key(|(done, _)| *done);
        let mut called = 0;
        for (done, at) in returns {
            while called < tasks.len() && tasks[called].call < done {
                self.call(called as u32)?;
                called += 1;
            }
            self.now = done;
            self.returned(at)?;
        }
        Ok(())
    }

    fn call(&mut self, at: u32) -> Result<(), End> {
        let task = &self.places.tasks[at as usize];
        if !appends(task) {
            return match most(task) {
                Some(most) if self.length > most => Err(self.too_long(at, most)),
                _ => Ok(()),
            };
        }
        let bound = self.places.place_of[at as usize] != NONE;
        match (bound, task.in_doubt()) {
            (true, _) => {}
            // It was told an offset that is another one's: it did not happen.
            (false, true) if offset(task).is_some() => {}
            (false, true) => self.in_doubt += 1,
            (false, false) => self.free.push(Reverse((task.done, at))),
        }
        Ok(())
    }

    fn returned(&mut self, at: u32) -> Result<(), End> {
        let task = &self.places.tasks[at as usize];
        let least = match (appends(task), self.places.place_of[at as usize]) {
            (false, _) => seen(task)
                .filter(|(_, entries)| !entries.is_empty())
                .map_or(0, |(from, entries)| place(from) + entries.len()),
            (true, NONE) => return self.place_free(at),
            (true, number) => number as usize + 1,
        };
        if least > self.longest.0 {
            self.longest = (least, at);
        }
        while self.length < least {
            self.grow()?;
        }
        Ok(())
    }

    /// A free append returns: the log grows until it stands somewhere.
    fn place_free(&mut self, at: u32) -> Result<(), End> {
        while !self.happened[at as usize] {
            self.grow()?;
        }
        Ok(())
    }

    /// The log grows by one entry.
    fn grow(&mut self) -> Result<(), End> {
        let next = self.places.places.get(self.length).copied().unwrap_or(UNKNOWN);
        let bound = next.append;
        while self.free.peek().is_some_and(|Reverse((_, at))| self.happened[*at as usize]) {
            self.free.pop();
        }
        let called = bound != NONE && self.places.tasks[bound as usize].call < self.now;
        let only_one =
            bound != NONE && (next.value.is_some() || !self.places.tasks[bound as usize].in_doubt());
        if only_one && !called {
            return Err(self.not_called(bound));
        }
        if bound != NONE && !only_one && !self.free.is_empty() {
            return Err(End::Open);
        }
        if !called {
            match self.free.pop() {
                Some(Reverse((_, at))) => self.happened[at as usize] = true,
                None if self.in_doubt > 0 => self.in_doubt -= 1,
                None => return Err(End::Refuted(Vec::new())),
            }
        }
        self.length += 1;
        Ok(())
    }

    /// The entry that must come next was not appended yet.
    fn not_called(&self, bound: u32) -> End {
        // What holds alone: a task that ended before, and needs a log that is longer than this.
        if self.longest.0 <= self.length {
            return End::Refuted(Vec::new());
        }
        let mut proof = self.places.proof(bound);
        proof.extend(self.because_of_longest());
        self.places.refuted(&proof)
    }

    /// The log was too long for this read when it was called.
    fn too_long(&self, read: u32, most: usize) -> End {
        if most < self.places.initial {
            return self.places.refuted(&[read]);
        }
        if self.longest.0 <= most {
            return End::Refuted(Vec::new());
        }
        let mut proof = self.because_of_longest();
        proof.push(read);
        self.places.refuted(&proof)
    }

    fn because_of_longest(&self) -> Vec<u32> {
        let at = self.longest.1;
        if appends(&self.places.tasks[at as usize]) { self.places.proof(at) } else { vec![at] }
    }
}

/// How long the log was at most when this read happened.
fn most(task: &LogTask<'_>) -> Option<usize> {
    if task.in_doubt() {
        return None;
    }
    match (&task.op.act, task.outcome) {
        (LogAct::Read(offset), Outcome::Ok(LogRet::Entry(Value::Nil))) => Some(place(*offset)),
        (LogAct::ReadAll, Outcome::Ok(LogRet::Entries(entries))) => Some(entries.len()),
        (LogAct::Poll(offset), Outcome::Ok(LogRet::Entries(entries))) => {
            Some(place(*offset).saturating_add(entries.len()))
        }
        _ => None,
    }
}
