//! The models that a recorded history can be judged against, each under its name.

use super::any_set::AnySet;
use super::append_log::{AppendLog, AppendLogVocabulary};
use super::bag::{Bag, BagVocabulary};
use super::counter::{Counter, CounterVocabulary};
use super::element_set::{ElementSet, ElementSetVocabulary};
use super::fenced_mutex::FencedMutex;
use super::grow_only_set::GrowOnlySet;
use super::kv::{Kv, KvVocabulary};
use super::lock::{Holder, LockOp, LockRet, LockVocabulary, held_by_processes, paired, paired_permits};
use super::multi_register::{MultiRegister, MultiRegisterVocabulary};
use super::mutex::Mutex;
use super::priority_queue::{Priority, PriorityQueue, PriorityQueueVocabulary};
use super::queue::{Queue, QueueVocabulary};
use super::reentrant_mutex::ReentrantMutex;
use super::register::{NilReads, Register, RegisterVocabulary, failed_cas_is_refused};
use super::semaphore::Semaphore;
use super::set::{self, SetVocabulary};
use super::stack::{Stack, StackVocabulary};
use super::table::Table;
use crate::guarded_set::{FencingTokens, Guarded, MutualExclusion};
use crate::linearizability::{Insight, Linearizability, Subject};
use crate::watch::WatchChecker;
use elenchus_core::checker::Checker;
use elenchus_core::value::Value;

/// A model by its name.
pub struct Entry {
    /// The name, as `--model` takes it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The functions of its operations: a history of these and no others may be one of this model.
    pub functions: &'static [&'static str],
    /// Those without which nobody would guess it.
    pub needs: &'static [&'static str],
    /// The checker of the model; an error says what was expected of the choices.
    pub checker: fn(&Choices) -> Result<Box<dyn Checker>, String>,
    /// Checkers of what else it promises.
    pub beside: &'static [fn() -> Box<dyn Checker>],
}

impl Entry {
    /// Whether a history of these functions may be one of this model.
    pub fn has_all<'f>(&self, functions: impl IntoIterator<Item = &'f str>) -> bool {
        let mut missing = self.needs.to_vec();
        let has = |f: &str| {
            missing.retain(|need| *need != f);
            self.functions.contains(&f)
        };
        functions.into_iter().all(has) && missing.is_empty()
    }

    /// All checkers of the model; an error says what was expected of the choices.
    pub fn checkers(&self, choices: &Choices) -> Result<Vec<Box<dyn Checker>>, String> {
        let first = (self.checker)(choices)?;
        Ok(std::iter::once(first).chain(self.beside.iter().map(|make| make())).collect())
    }
}

/// How a recorded history is to be read.
#[derive(Clone, Debug)]
pub struct Choices {
    /// What the object holds at first; the model's own default if it is not said.
    pub initial: Option<Value>,
    /// How an `ok` read of nil counts.
    pub nil_reads: NilReads,
    /// How a failed compare-and-set counts.
    pub failed_cas: FailedCas,
    /// What the verdict is about.
    pub subject: Subject,
}

/// How a failed compare-and-set counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedCas {
    /// It did nothing, for whatever reason (Jepsen).
    #[default]
    NotDone,
    /// It saw another value (Porcupine, of Jepsen's logs of etcd).
    Refused,
}

impl Default for Choices {
    fn default() -> Choices {
        Choices {
            initial: None,
            nil_reads: NilReads::default(),
            failed_cas: FailedCas::default(),
            subject: Subject::History,
        }
    }
}

/// All of them. Where several have all functions of a history, the first is meant.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "fifo-queue",
        about: "enqueue, dequeue and peek, first in, first out; nil where nothing was inside",
        functions: &["enqueue", "dequeue", "peek"],
        needs: &[],
        checker: fifo_queue,
        beside: &[],
    },
    Entry {
        name: "bag",
        about: "put and take (or enqueue and dequeue) in any order; nil where nothing was inside",
        functions: &["put", "take", "enqueue", "dequeue"],
        needs: &[],
        checker: bag,
        beside: &[],
    },
    Entry {
        name: "register",
        about: "read and write, one register a key",
        functions: &["read", "write"],
        needs: &[],
        checker: register,
        beside: &[],
    },
    Entry {
        name: "cas-register",
        about: "read, write and compare-and-set, one register a key",
        functions: &["read", "write", "cas"],
        needs: &[],
        checker: register,
        beside: &[],
    },
    Entry {
        name: "multi-register",
        about: "transactions that read and write several registers",
        functions: &["txn"],
        needs: &[],
        checker: multi_register,
        beside: &[],
    },
    Entry {
        name: "kv",
        about: "get, put, append, compare-and-set and delete, key by key",
        functions: &["get", "put", "append", "cas", "delete"],
        needs: &[],
        checker: kv,
        beside: &[],
    },
    Entry {
        name: "set",
        about: "add elements, read them all: nothing acknowledged is lost, stale or doubled",
        functions: &["add", "read"],
        needs: &[],
        checker: |choices| Ok(Box::new(AnySet::new(element_set(choices)?))),
        beside: &[],
    },
    Entry {
        name: "grow-only-set",
        about: "add elements, read them all: every read at one moment between its call and its return",
        functions: &["add", "read"],
        needs: &[],
        checker: grow_only_set,
        beside: &[],
    },
    Entry {
        name: "element-set",
        about: "add, remove and look for elements, one object an element",
        functions: &["add", "remove", "contains"],
        needs: &[],
        checker: |choices| Ok(Box::new(element_set(choices)?)),
        beside: &[],
    },
    Entry {
        name: "counter",
        about: "read a number, add to it (with or without being told its value), set it back",
        functions: CounterVocabulary::FUNCTIONS,
        needs: &[],
        checker: counter,
        beside: &[],
    },
    Entry {
        name: "stack",
        about: "push, pop and peek: the last one in is the first one out",
        functions: &["push", "pop", "peek", "top"],
        needs: &[],
        checker: stack,
        beside: &[],
    },
    Entry {
        name: "priority-queue",
        about: "insert, poll and peek integers, the highest one first",
        functions: &["insert", "add", "poll", "take-max", "peek"],
        needs: &[],
        checker: |choices| priority_queue(choices, Priority::Highest),
        beside: &[],
    },
    Entry {
        name: "min-priority-queue",
        about: "insert, poll and peek integers, the lowest one first",
        functions: &["insert", "add", "poll", "take-min", "peek"],
        needs: &[],
        checker: |choices| priority_queue(choices, Priority::Lowest),
        beside: &[],
    },
    Entry {
        name: "mutex",
        about: "acquire and release; whoever acquired it, anybody may release it",
        functions: LOCK,
        needs: &[],
        checker: mutex,
        beside: &[],
    },
    Entry {
        name: "owned-mutex",
        about: "acquire and release; only its owner (the process, if none is named) may release it",
        functions: LOCK,
        needs: &[],
        checker: owned_mutex,
        beside: &[],
    },
    Entry {
        name: "reentrant-mutex",
        about: "acquire and release, as often as its owner likes",
        functions: LOCK,
        needs: &[],
        checker: |choices| lock(ReentrantMutex, false, choices),
        beside: &[],
    },
    Entry {
        name: "fenced-mutex",
        about: "acquire and release; each acquire is given a larger token than all before",
        functions: LOCK,
        needs: &[],
        checker: |choices| lock(FencedMutex { reentrant: false }, true, choices),
        beside: &[],
    },
    Entry {
        name: "reentrant-fenced-mutex",
        about: "the same, as often as its owner likes, under the same token",
        functions: LOCK,
        needs: &[],
        checker: |choices| lock(FencedMutex { reentrant: true }, true, choices),
        beside: &[],
    },
    Entry {
        name: "semaphore",
        about: "acquire and release some of as many permits as the initial value says",
        functions: LOCK,
        needs: &[],
        checker: semaphore,
        beside: &[],
    },
    Entry {
        name: "append-log",
        about: "append, read at an offset, read all, poll from an offset to the end; offsets are consecutive",
        functions: &["append", "read", "poll"],
        needs: &[],
        checker: append_log,
        beside: &[],
    },
    Entry {
        name: "guarded-set",
        about: "a set guarded by a lock: two hold it never at once, nothing acknowledged is lost",
        functions: GUARDED,
        needs: &["acquire", "add"],
        checker: |choices| guarded(false, choices),
        beside: &[|| Box::new(MutualExclusion)],
    },
    Entry {
        name: "fenced-guarded-set",
        about: "the same, each add under the token of its lock: nothing acknowledged is lost, tokens grow",
        functions: GUARDED,
        needs: &["acquire", "add"],
        checker: |choices| guarded(true, choices),
        beside: &[|| Box::new(FencingTokens)],
    },
    Entry {
        name: "watch",
        about: "write keys and watch them: a watcher sees every change once, in order",
        functions: &["write", "watch"],
        needs: &["watch"],
        checker: watch,
        beside: &[],
    },
];

/// The functions of a lock and of the set that it guards.
const GUARDED: &[&str] = &["acquire", "release", "add", "read"];

/// The functions of all locks.
const LOCK: &[&str] = &["acquire", "release"];

/// The checker of a user's own model, given as the text of a table ([`super::table`]). An error says what is
/// wrong with it: where in the text, or with the choices.
pub fn of_table(text: &str, choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let table = Table::parse(text).map_err(|error| error.to_string())?;
    let table = match &choices.initial {
        Some(initial) => table.starting_as(initial)?,
        None => table,
    };
    Ok(Box::new(Linearizability::new(table.clone(), table).of(choices.subject)))
}

/// The entry of this name.
pub fn named(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

fn register(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let initial = choices.initial.clone().unwrap_or(Value::Nil);
    let register = Register { initial, nil_reads: choices.nil_reads };
    let checker = Linearizability::new(register, RegisterVocabulary).of(choices.subject);
    Ok(match choices.failed_cas {
        FailedCas::Refused => Box::new(checker.with_reading(failed_cas_is_refused)),
        FailedCas::NotDone => Box::new(checker),
    })
}

fn multi_register(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let model = choices.initial.as_ref().map(MultiRegister::starting_as).transpose()?;
    let model = MultiRegister { nil_reads: choices.nil_reads, ..model.unwrap_or_default() };
    Ok(Box::new(Linearizability::new(model, MultiRegisterVocabulary).of(choices.subject)))
}

fn kv(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let initial = choices.initial.clone().unwrap_or(Value::Nil);
    let checker = Linearizability::new(Kv { initial, nil_reads: choices.nil_reads }, KvVocabulary);
    Ok(match choices.failed_cas {
        FailedCas::Refused => {
            Box::new(checker.of(choices.subject).with_reading(super::kv::failed_cas_is_refused))
        }
        FailedCas::NotDone => Box::new(checker.of(choices.subject)),
    })
}

fn element_set(choices: &Choices) -> Result<Linearizability<ElementSet, ElementSetVocabulary>, String> {
    let initial = set::contents(choices.initial.as_ref())?;
    Ok(Linearizability::new(ElementSet { initial }, ElementSetVocabulary).of(choices.subject))
}

fn grow_only_set(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let initial = set::contents(choices.initial.as_ref())?;
    Ok(Box::new(Linearizability::new(GrowOnlySet { initial }, SetVocabulary).of(choices.subject)))
}

fn counter(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let initial = match &choices.initial {
        None | Some(Value::Nil) => 0,
        Some(Value::Int(n)) => *n,
        Some(other) => return Err(format!("a counter begins with a number of 64 bits, not {other}")),
    };
    Ok(Box::new(Linearizability::new(Counter { initial }, CounterVocabulary).of(choices.subject)))
}

fn fifo_queue(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let queue = Queue { initial: listed(choices)? };
    Ok(Box::new(Linearizability::new(queue, QueueVocabulary).of(choices.subject)))
}

fn bag(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let bag = Bag { initial: listed(choices)? };
    Ok(Box::new(Linearizability::new(bag, BagVocabulary).of(choices.subject)))
}

/// What a queue or a bag holds at first: a list.
fn listed(choices: &Choices) -> Result<Vec<Value>, String> {
    match &choices.initial {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(value) => match value.as_items() {
            Some(items) if !items.iter().any(Value::is_nil) => Ok(items.to_vec()),
            _ => {
                Err(format!("it holds a list of values at first, [1 2] or [], none of them nil; not {value}"))
            }
        },
    }
}

fn stack(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let model = Stack::holding(choices.initial.as_ref().unwrap_or(&Value::Nil))?;
    Ok(Box::new(Linearizability::new(model, StackVocabulary).of(choices.subject)))
}

fn priority_queue(choices: &Choices, priority: Priority) -> Result<Box<dyn Checker>, String> {
    let model = PriorityQueue::holding(choices.initial.as_ref().unwrap_or(&Value::Nil), priority)?;
    let checker = Linearizability::new(model, PriorityQueueVocabulary { priority });
    Ok(Box::new(checker.of(choices.subject)))
}

fn mutex(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let initial = match &choices.initial {
        None | Some(Value::Nil | Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(Holder::ANYBODY),
        Some(other) => return Err(format!("a mutex is held at first or not: true or false, not {other}")),
    };
    let checker = Linearizability::new(Mutex { initial }, LockVocabulary::default()).of(choices.subject);
    Ok(Box::new(checker.with_preparation(paired)))
}

fn owned_mutex(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let initial = choices.initial.clone().filter(|owner| !owner.is_nil()).map(Holder::of);
    let checker = Linearizability::new(Mutex { initial }, LockVocabulary::default()).of(choices.subject);
    Ok(Box::new(checker.with_preparation(held_by_processes)))
}

/// A lock that nobody holds at first, with fencing tokens or without.
fn lock<M>(model: M, fenced: bool, choices: &Choices) -> Result<Box<dyn Checker>, String>
where
    M: Insight<Op = LockOp, Ret = LockRet> + Send + 'static,
{
    if let Some(initial) = choices.initial.as_ref().filter(|initial| !initial.is_nil()) {
        return Err(format!("nobody holds this lock at first: nil, not {initial}"));
    }
    let checker = Linearizability::new(model, LockVocabulary { fenced }).of(choices.subject);
    Ok(Box::new(checker.with_preparation(held_by_processes)))
}

fn semaphore(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let permits = match &choices.initial {
        Some(Value::Int(permits)) => u32::try_from(*permits).ok().filter(|permits| *permits > 0),
        _ => None,
    };
    let permits = permits.ok_or("a semaphore needs its number of permits, from 1 on, as initial value")?;
    let checker = Linearizability::new(Semaphore { permits }, LockVocabulary::default()).of(choices.subject);
    Ok(Box::new(checker.with_preparation(paired_permits)))
}

fn append_log(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    let initial = match choices.initial.as_ref().unwrap_or(&Value::Nil) {
        Value::Nil => Vec::new(),
        Value::Vector(entries) | Value::List(entries) => entries.to_vec(),
        other => return Err(format!("a log holds a list of entries at first, not {other}")),
    };
    Ok(Box::new(Linearizability::new(AppendLog { initial }, AppendLogVocabulary).of(choices.subject)))
}

fn guarded(fencing: bool, choices: &Choices) -> Result<Box<dyn Checker>, String> {
    begins_empty("nobody holds the lock and the set is empty", choices)?;
    Ok(Box::new(Guarded { fencing }))
}

fn watch(choices: &Choices) -> Result<Box<dyn Checker>, String> {
    begins_empty("no key holds anything that a watcher could see", choices)?;
    Ok(Box::new(WatchChecker))
}

/// An error where an initial value is named that is of no use.
fn begins_empty(how: &str, choices: &Choices) -> Result<(), String> {
    match choices.initial.as_ref().filter(|initial| !initial.is_nil()) {
        None => Ok(()),
        Some(initial) => Err(format!("{how} at first: nil, not {initial}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_table_is_a_model_that_starts_as_it_is_told() {
        let text = include_str!("../../../examples/lock.toml");
        let held = Choices { initial: Some(Value::str("held")), ..Choices::default() };
        assert!(of_table(text, &held).is_ok());
        let lost = Choices { initial: Some(Value::str("lost")), ..Choices::default() };
        let error = of_table(text, &lost).err();
        assert_eq!(error.as_deref(), Some("lock has no state `lost`, only free, held"));
        let error = of_table("initial = 3", &held).err();
        assert_eq!(error.as_deref(), Some("line 1, column 11: `initial` must be text"));
    }

    #[test]
    fn an_initial_value_of_the_wrong_kind_is_an_error_that_says_what_is_expected() {
        let wrong = |name, initial: Option<Value>| {
            let choices = Choices { initial, ..Choices::default() };
            (named(name).expect("it is known").checker)(&choices).err().expect("it is refused")
        };
        assert!(wrong("semaphore", None).contains("permits"));
        assert!(wrong("semaphore", Some(Value::Int(0))).contains("from 1 on"));
        assert!(wrong("mutex", Some(Value::Int(3))).contains("true or false"));
        assert!(wrong("fenced-mutex", Some(Value::Int(3))).contains("nil"));
        assert!(wrong("append-log", Some(Value::Int(3))).contains("list of entries"));
    }

    #[test]
    fn every_name_is_known_once_and_every_model_has_its_checker() {
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for entry in CATALOGUE {
            assert_eq!(named(entry.name).map(|found| found.about), Some(entry.about));
            // Nobody can guess how many permits there are.
            let initial = (entry.name == "semaphore").then_some(Value::Int(2));
            let choices = Choices { initial, ..Choices::default() };
            assert!((entry.checker)(&choices).is_ok(), "{}", entry.name);
        }
        assert!(named("no such model").is_none());
    }
}
