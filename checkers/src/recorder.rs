//! Records what threads do to an object of this process, for a checker.
//!
//! Each thread takes a [`Client`] and performs its operations through it. Both ends of an operation are stamped from
//! one counter, the first before the object is touched and the second after it answered, with full fences, so
//! that intervals are only ever wider than what happened: on a processor that reorders, a stamp that slipped
//! into the operation would accuse a correct object.

use elenchus_core::event::Index;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Cause, Outcome};
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What all threads record into.
///
/// ```
/// use elenchus_checkers::linearizability::check_operations;
/// use elenchus_checkers::models::register::{Register, RegisterOp, RegisterRet};
/// use elenchus_checkers::recorder::Recorder;
/// use elenchus_core::{budget::Budget, value::Value, verdict::Validity};
/// use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
///
/// let (cell, recorder, key) = (AtomicI64::new(0), Recorder::new(), Value::Nil);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let mut client = recorder.client();
///         for i in 1..=100 {
///             let write = RegisterOp::Write { key: key.clone(), value: Value::Int(i) };
///             client.perform(write, || { cell.store(i, SeqCst); RegisterRet::Done });
///         }
///     });
///     scope.spawn(|| {
///         let mut client = recorder.client();
///         for _ in 0..100 {
///             let read = RegisterOp::Read { key: key.clone() };
///             client.perform(read, || RegisterRet::Saw(Value::Int(cell.load(SeqCst))));
///         }
///     });
/// });
/// let register = Register { initial: Value::Int(0), ..Register::default() };
/// let verdict = check_operations(&register, &recorder.operations(), &Budget::unlimited());
/// assert_eq!(verdict.validity, Validity::Valid);
/// ```
#[derive(Debug)]
pub struct Recorder<O, R> {
    operations: Mutex<Vec<Operation<O, R>>>,
    next_index: AtomicU32,
    next_process: AtomicU32,
    epoch: Instant,
}

impl<O, R> Default for Recorder<O, R> {
    fn default() -> Recorder<O, R> {
        Recorder::new()
    }
}

impl<O, R> Recorder<O, R> {
    /// An empty record.
    pub fn new() -> Recorder<O, R> {
        Recorder {
            operations: Mutex::new(Vec::new()),
            next_index: AtomicU32::new(0),
            next_process: AtomicU32::new(0),
            epoch: Instant::now(),
        }
    }

    /// A client of one thread. Its operations join the record when it is dropped.
    pub fn client(&self) -> Client<'_, O, R> {
        Client { recorder: self, process: self.process(), operations: Vec::new() }
    }

    fn process(&self) -> Process {
        Process(self.next_process.fetch_add(1, Ordering::Relaxed))
    }

    /// What all clients that were dropped have done, in the order of the calls.
    pub fn operations(self) -> Vec<Operation<O, R>> {
        let mut operations = self.operations.into_inner().unwrap_or_else(PoisonError::into_inner);
        operations.sort_by_key(|operation| operation.call);
        operations
    }

    /// The next place in the log. Nothing that the thread does moves over it, in either direction.
    fn stamp(&self) -> (Index, Time) {
        fence(Ordering::SeqCst);
        let index = self.next_index.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        (index, Time(self.epoch.elapsed().as_nanos() as u64))
    }
}

/// One thread's part of a record.
#[derive(Debug)]
pub struct Client<'r, O, R> {
    recorder: &'r Recorder<O, R>,
    process: Process,
    operations: Vec<Operation<O, R>>,
}

impl<O, R: Clone> Client<'_, O, R> {
    /// Performs an operation that always answers, and returns the answer. If it panics it is recorded as in
    /// doubt, and the panic goes on.
    pub fn perform(&mut self, op: O, act: impl FnOnce() -> R) -> R {
        let mut answer = None;
        self.attempt(op, || {
            let ret = act();
            answer = Some(ret.clone());
            Outcome::Ok(ret)
        });
        answer.expect("the operation answered, or its panic went on")
    }

    /// Performs an operation that may be refused, fail, or end in doubt.
    pub fn attempt(&mut self, op: O, act: impl FnOnce() -> Outcome<R>) {
        let (process, doubt) = (self.process, Outcome::Info(Cause::from("it panicked")));
        let (call, called) = self.recorder.stamp();
        let result = catch_unwind(AssertUnwindSafe(act));
        let (end, ended) = self.recorder.stamp();
        let (outcome, panic) = match result {
            Ok(outcome) => (outcome, None),
            Err(panic) => (doubt, Some(panic)),
        };
        let done = if outcome.is_info() { Operation::<O, R>::OPEN } else { end };
        self.operations.push(Operation { process, op, outcome, call, done, called, ended: Some(ended) });
        if done == Operation::<O, R>::OPEN {
            // What is in doubt may go on for ever, and a process does one thing at a time.
            self.process = self.recorder.process();
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl<O, R> Drop for Client<'_, O, R> {
    fn drop(&mut self) {
        let mut all = self.recorder.operations.lock().unwrap_or_else(PoisonError::into_inner);
        all.append(&mut self.operations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_one_client_follow_each_other_and_those_of_two_overlap() {
        let recorder: Recorder<&str, u32> = Recorder::new();
        let mut one = recorder.client();
        let mut other = recorder.client();
        one.perform("outer", || other.perform("inner", || 7));
        assert_eq!(one.perform("later", || 8), 8);
        drop((one, other));
        let operations = recorder.operations();
        let ends: Vec<_> = operations.iter().map(|o| (o.op, o.process.0, o.call, o.done)).collect();
        assert_eq!(ends, [("outer", 0, 0, 3), ("inner", 1, 1, 2), ("later", 0, 4, 5)]);
        assert!(operations.iter().all(|o| o.outcome.is_ok() && o.ended > Some(o.called)));
    }

    #[test]
    fn an_operation_that_panics_is_in_doubt_and_the_panic_goes_on() {
        let recorder: Recorder<&str, u32> = Recorder::new();
        let mut client = recorder.client();
        let went = catch_unwind(AssertUnwindSafe(|| client.perform("falls", || panic!("on purpose"))));
        assert!(went.is_err());
        client.perform("goes on", || 9);
        drop(client);
        let operations = recorder.operations();
        assert_ne!(operations[0].process, operations[1].process);
        assert!(operations[0].outcome.is_info() && operations[0].done == Operation::<&str, u32>::OPEN);
    }
}
