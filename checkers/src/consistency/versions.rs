//! Which write each read came from.
//!
//! A *version* is what one write put into one register, or what a register held at first. Where a value was
//! written once, a read of it names its version.

use super::{RegisterOperation, anomaly, broken, name};
use crate::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Validity, Verdict};
use std::collections::HashMap;

/// The number of a version.
pub(super) type Version = usize;

/// What a process did to, or learnt of, a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It read this version.
    Saw(Version),
    /// It wrote this version, and was told so.
    Wrote(Version),
    /// It may have written this version.
    Maybe(Version),
}

/// One act, in the order of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub process: Process,
    /// The number of its key.
    pub key: usize,
    pub act: Act,
    /// The position of the operation.
    pub operation: usize,
}

/// All versions of all registers, and who wrote and read them.
pub(super) struct Versions {
    /// The key and, unless it was there at first, the operation that wrote it.
    pub origins: Vec<(usize, Option<usize>)>,
    /// The first version of each key.
    pub initial: Vec<Version>,
    /// The first operation on each key.
    pub first: Vec<usize>,
    pub events: Vec<Event>,
    /// Operations left out because their value was written more than once.
    pub untraced: usize,
    /// A read of what nobody wrote.
    pub unwritten: Option<usize>,
}

/// Who wrote a value.
#[derive(Clone, Copy)]
enum Origin {
    Once(Version),
    Often,
}

impl Versions {
    pub(super) fn new(register: &Register, operations: &[RegisterOperation]) -> Versions {
        let (mut keys, mut origins) = (HashMap::new(), Vec::new());
        let (mut initial, mut first) = (Vec::new(), Vec::new());
        let mut known: HashMap<(usize, &Value), Origin> = HashMap::new();
        let mut key_of = Vec::with_capacity(operations.len());
        for (i, operation) in operations.iter().enumerate() {
            let next = keys.len();
            let key = *keys.entry(operation.op.key()).or_insert(next);
            if key == next {
                known.insert((key, &register.initial), Origin::Once(origins.len()));
                initial.push(origins.len());
                first.push(i);
                origins.push((key, None));
            }
            key_of.push(key);
        }
        for (i, operation) in operations.iter().enumerate() {
            let Some(value) = may_write(operation) else { continue };
            let origin = known.entry((key_of[i], value));
            origin.and_modify(|origin| *origin = Origin::Often).or_insert(Origin::Once(origins.len()));
            origins.push((key_of[i], Some(i)));
        }
        let mut versions =
            Versions { origins, initial, first, events: Vec::new(), untraced: 0, unwritten: None };
        for (i, operation) in operations.iter().enumerate() {
            versions.take(register, operation, i, |value| known.get(&(key_of[i], value)).copied(), key_of[i]);
        }
        versions
    }

    fn take<'h>(
        &mut self,
        register: &Register,
        operation: &'h RegisterOperation,
        i: usize,
        origin: impl Fn(&'h Value) -> Option<Origin>,
        key: usize,
    ) {
        let process = operation.process;
        let mut enter = |act| self.events.push(Event { process, key, act, operation: i });
        if let Some(value) = seen(register, operation) {
            match origin(value) {
                Some(Origin::Once(version)) => enter(Act::Saw(version)),
                Some(Origin::Often) => self.untraced += 1,
                None => self.unwritten = self.unwritten.or(Some(i)),
            }
        }
        if let Some(value) = may_write(operation) {
            match (origin(value), operation.outcome.is_ok()) {
                (Some(Origin::Once(version)), true) => {
                    self.events.push(Event { process, key, act: Act::Wrote(version), operation: i });
                }
                (Some(Origin::Once(version)), false) => {
                    self.events.push(Event { process, key, act: Act::Maybe(version), operation: i });
                }
                _ => self.untraced += 1,
            }
        }
    }

    /// A verdict without looking at any order: a read of what nobody wrote breaks every condition.
    pub(super) fn unwritten(
        &self,
        condition: &str,
        register: &Register,
        operations: &[RegisterOperation],
    ) -> Option<Verdict> {
        let guilty = self.unwritten?;
        let sentence = format!("{} saw what nobody ever wrote", name(register, &operations[guilty]));
        let words = ("never-written", sentence);
        Some(broken(condition, anomaly(register, operations, words, (&[], guilty))))
    }

    /// The verdict where nothing that could be traced is wrong.
    pub(super) fn kept(&self, condition: &str, promise: &str) -> Verdict {
        let verdict = match self.untraced {
            0 => Verdict::new(condition, Validity::Valid, promise),
            n => {
                let why = format!(
                    "{n} operations wrote or read values that were written more than once; of the others, {promise}"
                );
                Verdict::new(condition, Validity::Unknown, why)
            }
        };
        verdict.with_figure("untraced", self.untraced)
    }
}

/// The value that an operation writes if it takes effect, where that is not certain not to have happened.
fn may_write(operation: &RegisterOperation) -> Option<&Value> {
    match (&operation.op, &operation.outcome) {
        (_, Outcome::Fail(_)) => None,
        (RegisterOp::Cas { from, to, .. }, _) if from == to => None,
        (op, _) => op.sets(),
    }
}

/// The value that an operation saw, if it says so.
pub(super) fn seen<'h>(register: &Register, operation: &'h RegisterOperation) -> Option<&'h Value> {
    match (&operation.op, &operation.outcome) {
        (RegisterOp::Read { .. }, Outcome::Ok(RegisterRet::Saw(value))) => {
            register.is_seen(value).then_some(value)
        }
        (RegisterOp::Cas { from, .. }, Outcome::Ok(_)) => Some(from),
        (RegisterOp::Cas { .. }, Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(value))))) => {
            Some(value)
        }
        _ => None,
    }
}
