//! A user's own object with few states, as a table of transitions in TOML or JSON.
//!
//! A row says: in state `from`, function `f` with this `argument` can give this `answer`, and leaves the object
//! in state `to`. `"*"` stands for any state, argument or answer; so does a cell that is left out, except that
//! without `to` the state stays. Several rows may fit: then the object may do either. An operation that
//! no row admits in any state it can be in is a violation; one in doubt does what some row says, or nothing.
//!
//! A row with `refused = true` says where the object declines. If a function has no such row, its refusals
//! say nothing; if it has one, a refusal must fit one of them, and so must what it saw, where that is told.
//!
//! `docs/models.md` has an example.

mod node;
mod pattern;
mod read;

use super::{key_column, key_of};
use crate::linearizability::Insight;
use elenchus_core::format::ReadError;
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};
use pattern::Pattern;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A sequential object given by its transitions, and the vocabulary of its operations. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Table {
    tables: Arc<Tables>,
    initial: State,
}

#[derive(Debug)]
struct Tables {
    name: Box<str>,
    partition: Partition,
    states: Vec<Box<str>>,
    functions: Vec<&'static str>,
    /// By function.
    rows: Vec<Vec<Row>>,
}

/// What names the object that an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Partition {
    /// The key column of the log.
    Key,
    /// The operation's argument: one object for each.
    Argument,
    /// Nothing: there is one object.
    None,
}

/// The number of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State(u32);

#[derive(Clone, Debug)]
struct Row {
    /// `None`: any.
    from: Option<State>,
    /// `None`: it stays.
    to: Option<State>,
    argument: Pattern,
    answer: Pattern,
    refused: bool,
}

/// What a client asks of the object.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOp {
    /// Which object, as the log says.
    key: Value,
    /// The number of the function.
    function: usize,
    argument: Value,
}

impl Table {
    /// Reads a table; JSON is known by its opening brace. An error says where, and what was expected.
    pub fn parse(text: &str) -> Result<Table, ReadError> {
        read::read(text)
    }

    /// The name that it gives itself, `table` if none.
    pub fn name(&self) -> &str {
        &self.tables.name
    }

    /// The functions of its operations.
    pub fn functions(&self) -> &[&'static str] {
        &self.tables.functions
    }

    /// The same object, at first in another state.
    pub fn starting_as(mut self, initial: &Value) -> Result<Table, String> {
        let name = initial.as_text().map(str::to_owned).unwrap_or_else(|| initial.to_string());
        match self.tables.states.iter().position(|state| **state == *name) {
            Some(number) => {
                self.initial = State(number as u32);
                Ok(self)
            }
            None => {
                Err(format!("{} has no state `{name}`, only {}", self.name(), self.tables.states.join(", ")))
            }
        }
    }

    /// The rows that admit this operation with this outcome, in whatever state.
    fn rows<'t>(
        &'t self,
        op: &'t TableOp,
        outcome: &'t Outcome<Value>,
    ) -> impl Iterator<Item = &'t Row> + use<'t> {
        let fits = move |row: &&Row| {
            let answers = match outcome {
                Outcome::Ok(answer) => !row.refused && row.answer.fits(answer),
                Outcome::Info(_) => !row.refused,
                Outcome::Fail(Failure::Refused(Some(saw))) => row.refused && row.answer.fits(saw),
                Outcome::Fail(_) => row.refused,
            };
            answers && row.argument.fits(&op.argument)
        };
        self.tables.rows[op.function].iter().filter(fits)
    }

    fn says_nothing(&self, op: &TableOp, outcome: &Outcome<Value>) -> bool {
        matches!(outcome, Outcome::Fail(_)) && !self.tables.rows[op.function].iter().any(|row| row.refused)
    }
}

impl Model for Table {
    type Op = TableOp;
    type Ret = Value;
    type Key = Value;
    type State = State;

    fn init(&self, _key: &Value) -> State {
        self.initial
    }

    fn step(&self, state: &State, op: &TableOp, outcome: &Outcome<Value>) -> impl IntoIterator<Item = State> {
        let here = |row: &&Row| row.from.is_none_or(|from| from == *state);
        let mut after: Vec<State> =
            self.rows(op, outcome).filter(here).map(|row| row.to.unwrap_or(*state)).collect();
        if self.says_nothing(op, outcome) {
            after.push(*state);
        }
        after.sort_unstable_by_key(|state| state.0);
        after.dedup();
        after
    }

    fn key(&self, op: &TableOp) -> Value {
        match self.tables.partition {
            Partition::Key => op.key.clone(),
            Partition::Argument => op.argument.clone(),
            Partition::None => Value::Nil,
        }
    }

    fn describe(&self, op: &TableOp, outcome: &Outcome<Value>) -> String {
        let function = self.tables.functions[op.function];
        let what = match op.argument.is_nil() {
            true => function.to_owned(),
            false => format!("{function} {}", op.argument),
        };
        match outcome {
            Outcome::Ok(answer) if *answer == op.argument => what,
            Outcome::Ok(answer) => format!("{what}: {answer}"),
            Outcome::Fail(Failure::Refused(Some(saw))) => format!("{what} refused, saw {saw}"),
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &TableOp, outcome: &Outcome<Value>) -> bool {
        self.rows(op, outcome).all(|row| row.to.is_none() || row.to == row.from)
    }

    /// Where all rows of the function and argument that change the state lead to one.
    fn target(&self, op: &TableOp) -> Option<State> {
        let rows = self.tables.rows[op.function].iter().filter(|row| row.argument.fits(&op.argument));
        let mut targets = rows.filter_map(|row| row.to.filter(|to| row.from != Some(*to)));
        let first = targets.next()?;
        targets.all(|target| target == first).then_some(first)
    }

    /// Where all rows that admit it begin in one state.
    fn source(&self, op: &TableOp, outcome: &Outcome<Value>) -> Option<State> {
        let mut sources = self.rows(op, outcome).map(|row| row.from);
        let first = sources.next()??;
        (!self.says_nothing(op, outcome) && sources.all(|from| from == Some(first))).then_some(first)
    }

    fn weight(&self, _state: &State) -> usize {
        size_of::<State>()
    }
}

impl Insight for Table {
    fn key_text(&self, key: &Value) -> Option<String> {
        (self.tables.partition != Partition::None && !key.is_nil()).then(|| key.to_string())
    }
}

/// Operations of a table on disk: the functions that it names, with whatever arguments and answers its rows
/// admit; no others.
impl Vocabulary for Table {
    type Op = TableOp;
    type Ret = Value;

    fn encode_op(&self, op: &TableOp) -> Call {
        let f = self.tables.functions[op.function];
        Call { f, key: key_column(&op.key), value: op.argument.clone() }
    }

    fn encode_ret(&self, _op: &TableOp, ret: &Value) -> Value {
        ret.clone()
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<TableOp, String> {
        match self.tables.functions.iter().position(|function| *function == f) {
            Some(function) => Ok(TableOp { key: key_of(key), function, argument: value.clone() }),
            None => {
                let known: BTreeSet<&str> = self.tables.functions.iter().copied().collect();
                let known: Vec<&str> = known.into_iter().collect();
                Err(format!("{} has no function {f:?}, only {}", self.name(), known.join(", ")))
            }
        }
    }

    fn decode_ret(&self, _op: &TableOp, value: &Value) -> Result<Value, String> {
        Ok(value.clone())
    }
}

#[cfg(test)]
mod tests;
