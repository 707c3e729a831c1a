//! Conditions weaker than linearizability, over the same histories of registers.
//!
//! | module | condition | source |
//! |---|---|---|
//! | [`sequential`] | one order of all operations explains everything and keeps each process's order | Lamport 1979 |
//! | [`monotonic_reads`] | nobody sees a register go back | Terry et al. 1994 |
//! | [`read_your_writes`] | nobody sees a register as it was before an own write | Terry et al. 1994 |
//! | [`monotonic_writes`] | everybody sees one process's writes in its order | Terry et al. 1994 |
//! | [`writes_follow_reads`] | everybody sees a write after what its writer had read | Terry et al. 1994 |
//! | [`staleness`] | how old the oldest value was that a read returned | Aiyer, Alvisi, Bazzi 2005 |
//!
//! None of them knows real time, except staleness. `docs/conditions.md` has every definition with a history
//! that breaks it. The four session guarantees speak of orders of versions that keep each process's own writes
//! ([`arbitration`], a rule stricter than Terry's). They trace what was read to the
//! write it came from, so they need values that are each written once (*versions*); what cannot be traced
//! is left out, and a history with such operations in which nothing else is wrong is `unknown`. A process
//! of the log is a session. A cas that succeeded is a read followed by a write of the same process; a
//! refused one that says what it saw is a read; an operation in doubt says nothing, but what it writes may be
//! read. Each module states its condition exactly, and accuses only histories that break it; all of them hold
//! of every sequentially consistent history, and so of every linearizable one.

pub mod arbitration;
pub mod monotonic_reads;
pub mod monotonic_writes;
pub mod read_your_writes;
pub mod sequential;
pub mod staleness;
pub mod writes_follow_reads;

mod order;
mod versions;

use crate::exhibits;
use crate::linearizability::Subject;
use crate::models::catalogue::{Choices, FailedCas};
use crate::models::register::{Register, RegisterOp, RegisterRet, RegisterVocabulary, failed_cas_is_refused};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};

type RegisterOperation = Operation<RegisterOp, RegisterRet>;

/// A condition by its name.
pub struct Condition {
    /// The name, as `--condition` takes it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The checker of registers under this condition; an error says what was expected of the choices.
    pub checker: fn(&Choices) -> Result<Box<dyn Checker>, String>,
}

/// All but linearizability, which is [`crate::linearizability`].
pub const CONDITIONS: &[Condition] = &[
    Condition {
        name: sequential::NAME,
        about: "one order of all operations, in which each process keeps its own, explains everything",
        checker: |choices| Ok(of(choices, sequential::NAME, sequential::judge)),
    },
    Condition {
        name: monotonic_reads::NAME,
        about: "once a process has seen a value, it sees none older; own writes count in their order",
        checker: |choices| Ok(of(choices, monotonic_reads::NAME, monotonic_reads::judge)),
    },
    Condition {
        name: read_your_writes::NAME,
        about: "a process sees the last of its own writes, or newer ones",
        checker: |choices| Ok(of(choices, read_your_writes::NAME, read_your_writes::judge)),
    },
    Condition {
        name: monotonic_writes::NAME,
        about: "all processes see the writes of one process in its order",
        checker: |choices| Ok(of(choices, monotonic_writes::NAME, monotonic_writes::judge)),
    },
    Condition {
        name: writes_follow_reads::NAME,
        about: "all processes see a write after what its writer had read before it",
        checker: |choices| Ok(of(choices, writes_follow_reads::NAME, writes_follow_reads::judge)),
    },
    Condition {
        name: staleness::NAME,
        about: "how stale the stalest read was, in versions and in seconds",
        checker: |choices| Ok(of(choices, staleness::NAME, staleness::judge)),
    },
];

/// The condition of this name.
pub fn named(name: &str) -> Option<&'static Condition> {
    CONDITIONS.iter().find(|condition| condition.name == name)
}

/// A pure judge of registers' operations, given in the order of their calls.
type Judge = fn(&Register, &[RegisterOperation], &Budget) -> Verdict;

/// A condition as a checker.
struct OfRegisters {
    name: &'static str,
    register: Register,
    failed_cas: FailedCas,
    subject: Subject,
    judge: Judge,
}

fn of(choices: &Choices, name: &'static str, judge: Judge) -> Box<dyn Checker> {
    let initial = choices.initial.clone().unwrap_or(Value::Nil);
    let register = Register { initial, nil_reads: choices.nil_reads };
    let (failed_cas, subject) = (choices.failed_cas, choices.subject);
    Box::new(OfRegisters { name, register, failed_cas, subject, judge })
}

impl Checker for OfRegisters {
    fn name(&self) -> &str {
        self.name
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        let mut operations = history.operations(&RegisterVocabulary)?;
        if self.failed_cas == FailedCas::Refused {
            operations.iter_mut().for_each(failed_cas_is_refused);
        }
        let mut verdict = (self.judge)(&self.register, &operations, budget);
        let reads = operations.iter().filter(|o| reads(o)).count();
        if verdict.validity == Validity::Valid && reads == 0 {
            verdict.why = "nothing was read, so nothing could be seen".to_owned();
            if self.subject == Subject::Trial {
                verdict.validity = Validity::Unknown;
            }
        }
        Ok(verdict.with_figure("operations", operations.len()).with_figure("reads", reads))
    }
}

/// Whether it says what a register held.
fn reads(operation: &RegisterOperation) -> bool {
    matches!(operation.op, RegisterOp::Read { .. } | RegisterOp::Cas { .. })
        && !operation.outcome.is_info()
        && !matches!(operation.outcome, Outcome::Fail(elenchus_core::outcome::Failure::NotDone(_)))
}

/// `` `read 3 of x` by process 1 ``, without the key where there is only one register.
fn name(register: &Register, operation: &RegisterOperation) -> String {
    format!("`{}` by process {}", placed(register, operation), operation.process)
}

/// `write 3 to x`, `read 3 of x`; without the key where there is only one register.
fn placed(register: &Register, operation: &RegisterOperation) -> String {
    let text = register.describe(&operation.op, &operation.outcome);
    let (what, at) = match &operation.op {
        RegisterOp::Read { .. } if operation.outcome.is_ok() => (text.clone(), "of"),
        RegisterOp::Read { .. } => ("read".to_owned(), "of"),
        RegisterOp::Write { value, .. } => (format!("write {value}"), "to"),
        RegisterOp::Cas { from, to, .. } => (format!("cas {from} → {to}"), "on"),
    };
    match (operation.op.key(), text.strip_prefix(&what)) {
        (key, Some(rest)) if !key.is_nil() => format!("{what} {at} {key}{rest}"),
        _ => text,
    }
}

/// An anomaly that these operations prove; `guilty` is the one that should not have been.
fn anomaly(
    register: &Register,
    operations: &[RegisterOperation],
    (class, sentence): (&str, String),
    (proof, guilty): (&[usize], usize),
) -> Anomaly {
    let mut proof = proof.to_vec();
    proof.push(guilty);
    proof.sort_unstable();
    proof.dedup();
    let shown: Vec<&RegisterOperation> = proof.iter().map(|i| &operations[*i]).collect();
    let mut keys: Vec<&Value> = Vec::new();
    for operation in &shown {
        if !keys.contains(&operation.op.key()) {
            keys.push(operation.op.key());
        }
    }
    let near: Vec<&RegisterOperation> = operations
        .iter()
        .filter(|o| keys.contains(&o.op.key()) && proof.iter().all(|i| operations[*i].call != o.call))
        .collect();
    let exhibit = |operation: &&RegisterOperation| {
        // Where all are of one key, the title says it.
        let text = match keys.len() {
            1 => register.describe(&operation.op, &operation.outcome),
            _ => placed(register, operation),
        };
        let mut exhibit = Exhibit::of(operation, text);
        exhibit.guilty = operation.call == operations[guilty].call;
        exhibit
    };
    let titles: Vec<String> = keys.iter().filter(|key| !key.is_nil()).map(ToString::to_string).collect();
    Anomaly {
        class: class.to_owned(),
        key: (!titles.is_empty()).then(|| titles.join(", ")),
        sentence,
        operations: shown.iter().map(exhibit).collect(),
        context: exhibits::nearest(&near, &operations[guilty], 6).iter().map(exhibit).collect(),
    }
}

/// A verdict that this anomaly makes invalid.
fn broken(name: &str, anomaly: Anomaly) -> Verdict {
    let mut verdict = Verdict::new(name, Validity::Invalid, anomaly.sentence.clone());
    verdict.class = Some(anomaly.class.clone());
    verdict.anomalies = vec![anomaly];
    verdict
}

#[cfg(test)]
mod tests;
