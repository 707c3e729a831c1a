//! Sequential objects and the vocabularies of their operations, shared by workloads and `elenchus check`.
//!
//! An operation names the object it concerns by a `key`, any [`Value`]; `nil` stands for the only object
//! of a history without keys, and is written without a key column.
//!
//! | module | object | judged by |
//! |---|---|---|
//! | [`register`] | read, write, compare-and-set | [`crate::linearizability`] |
//! | [`kv`] | get, put, append, compare-and-set, delete | [`crate::linearizability`] |
//! | [`multi_register`] | transactions that read and write registers | [`crate::linearizability`] |
//! | [`queue`] | enqueue, dequeue, peek: first in, first out | [`crate::linearizability`] |
//! | [`mod@bag`] | put, take: in any order | [`crate::linearizability`] |
//! | [`table`] | a user's own, as a table of transitions | [`crate::linearizability`] |
//! | [`stack`] | push, pop, peek | [`crate::linearizability`] |
//! | [`priority_queue`] | insert, poll, peek | [`crate::linearizability`] |
//! | [`set`] | add, read all | [`crate::set_full`] |
//! | [`grow_only_set`] | add, read all | [`crate::linearizability`] |
//! | [`element_set`] | add, remove, contains | [`crate::linearizability`] |
//! | [`counter`] | read, add, fetch-and-add, reset | [`crate::linearizability`] |
//! | [`mutex`], [`reentrant_mutex`], [`fenced_mutex`] | acquire, release | [`crate::linearizability`] |
//! | [`semaphore`] | acquire and release some permits | [`crate::linearizability`] |
//! | [`append_log`] | append, read at an offset, read or poll all | [`crate::linearizability`] |
//! | [`watch`] | write, watch all changes | [`crate::watch`] |
//! | [`bank`] | transfer, read all balances | [`crate::bank`] |
//!
//! The [`catalogue`] has them by name.

mod any_set;
pub mod append_log;
pub mod bag;
pub mod bank;
pub mod catalogue;
mod collection;
pub mod counter;
pub mod element_set;
pub mod fenced_mutex;
pub mod grow_only_set;
pub mod kv;
mod lives;
pub mod lock;
pub mod multi_register;
pub mod mutex;
mod numbers;
pub mod priority_queue;
pub mod queue;
pub mod reentrant_mutex;
pub mod register;
pub mod semaphore;
pub mod set;
pub mod stack;
mod start;
pub mod table;
pub mod watch;

use elenchus_core::value::Value;

/// The key column of an operation on the object `key`.
fn key_column(key: &Value) -> Option<Value> {
    (!key.is_nil()).then(|| key.clone())
}

/// The object that a key column names.
fn key_of(column: Option<&Value>) -> Value {
    column.cloned().unwrap_or(Value::Nil)
}

/// Bytes on the heap behind a value.
fn heap(value: &Value) -> usize {
    let items = |items: &[Value]| items.iter().map(|v| size_of::<Value>() + heap(v)).sum();
    match value {
        Value::BigInt(text)
        | Value::Decimal(text)
        | Value::Str(text)
        | Value::Keyword(text)
        | Value::Symbol(text) => text.len(),
        Value::List(list) | Value::Vector(list) | Value::Set(list) => items(list),
        Value::Map(pairs) => pairs.iter().map(|(k, v)| 2 * size_of::<Value>() + heap(k) + heap(v)).sum(),
        Value::Tagged(tagged) => tagged.0.len() + 2 * size_of::<Value>() + heap(&tagged.1),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Char(_) => 0,
    }
}
