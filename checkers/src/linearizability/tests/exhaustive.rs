//! The search agrees with the oracle on every small history, up to renaming.
//!
//! Histories that differ only in the order of neighbouring calls, or of neighbouring returns, are the same
//! to a checker; so are histories that differ by an exchange of the values 1 and 2. One of each is tried.

use super::notation::RegisterOperation;
use super::oracle::is_linearizable;
use super::search_says;
use crate::linearizability::Insight;
use crate::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use elenchus_core::value::Value;

/// An operation by its name in the notation of these tests: `r1`, `w2`, `w2?`, `c_,1`, `c1,2!_`.
#[derive(Clone)]
struct Sort {
    op: RegisterOp,
    outcome: Outcome<RegisterRet>,
}

fn sort(name: &str) -> Sort {
    let doubt = name.ends_with('?');
    let text = if doubt { format!("|{}>", &name[..name.len() - 1]) } else { format!("|{name}|") };
    let RegisterOperation { op, outcome, .. } = super::notation::parse(&text).remove(0);
    Sort { op, outcome }
}

struct Enumeration<'a> {
    sorts: &'a [Sort],
    count: usize,
    operations: Vec<RegisterOperation>,
    sort_of: Vec<usize>,
    open: Vec<usize>,
    histories: u64,
    linearizable: u64,
    by_shortcut: u64,
}

/// What the last event was: two neighbouring ones of a kind stand in a fixed order.
#[derive(Clone, Copy)]
enum Last {
    Call(usize),
    Return(usize),
}

const PROCESSES: usize = 3;

impl Enumeration<'_> {
    fn go(&mut self, at: u32, last: Last) {
        let calls_left = self.operations.len() < self.count;
        if !calls_left {
            // Nothing is called any more, so the order of the returns does not matter.
            return self.compare(at);
        }
        if self.open.len() < PROCESSES {
            let least = if let Last::Call(sort) = last { sort } else { 0 };
            for sort in least..self.sorts.len() {
                self.call(at, sort);
            }
        }
        for i in 0..self.open.len() {
            let id = self.open[i];
            let sooner_twin =
                self.open.iter().any(|other| *other < id && self.sort_of[*other] == self.sort_of[id]);
            if sooner_twin || matches!(last, Last::Return(before) if id < before) {
                continue;
            }
            self.open.remove(i);
            self.operations[id].done = at;
            self.go(at + 1, Last::Return(id));
            self.operations[id].done = RegisterOperation::OPEN;
            self.open.insert(i, id);
        }
    }

    fn call(&mut self, at: u32, sort: usize) {
        let Sort { op, outcome } = self.sorts[sort].clone();
        let doubt = outcome.is_info();
        let id = self.operations.len();
        let done = RegisterOperation::OPEN;
        let (process, called) = (Process(id as u32), Time::ZERO);
        self.operations.push(RegisterOperation { process, op, outcome, call: at, done, called, ended: None });
        self.sort_of.push(sort);
        if !doubt {
            self.open.push(id);
        }
        self.go(at + 1, Last::Call(sort));
        if !doubt {
            self.open.pop();
        }
        self.operations.pop();
        self.sort_of.pop();
    }

    fn compare(&mut self, at: u32) {
        if !first_value_is_one(&self.operations) {
            return;
        }
        for (i, id) in self.open.iter().enumerate() {
            self.operations[*id].done = at + i as u32;
        }
        let model = Register::default();
        let expected = is_linearizable(&model, &self.operations);
        assert_eq!(search_says(&model, &self.operations), expected, "{:#?}", self.operations);
        let own: Vec<_> = self.operations.iter().collect();
        if let Some(says) = model.shortcut(&own) {
            assert_eq!(says, expected, "{:#?}", self.operations);
            self.by_shortcut += 1;
        }
        self.histories += 1;
        self.linearizable += u64::from(expected);
        for id in &self.open {
            self.operations[*id].done = RegisterOperation::OPEN;
        }
    }
}

fn first_value_is_one(operations: &[RegisterOperation]) -> bool {
    let mut values = operations.iter().flat_map(|operation| {
        let seen = match &operation.outcome {
            Outcome::Ok(RegisterRet::Saw(v)) | Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(v)))) => {
                Some(v)
            }
            _ => None,
        };
        let from = if let RegisterOp::Cas { from, .. } = &operation.op { Some(from) } else { None };
        [from, operation.op.sets(), seen].into_iter().flatten()
    });
    values.find(|v| !v.is_nil()).is_none_or(|v| *v == Value::Int(1))
}

/// How many histories of exactly `count` of these operations there are, and how many are linearizable.
fn agree_on_all(count: usize, names: &str) -> (u64, u64) {
    let (histories, linearizable, _) = enumerate(count, names);
    (histories, linearizable)
}

/// The same, and of how many the model knew the answer without search.
fn enumerate(count: usize, names: &str) -> (u64, u64, u64) {
    let sorts: Vec<Sort> = names.split_whitespace().map(sort).collect();
    let mut all = Enumeration {
        sorts: &sorts,
        count,
        operations: vec![],
        sort_of: vec![],
        open: vec![],
        histories: 0,
        linearizable: 0,
        by_shortcut: 0,
    };
    all.go(0, Last::Call(0));
    (all.histories, all.linearizable, all.by_shortcut)
}

/// Everything over nil, 1 and 2.
const RICH: &str = "r_ r1 r2 w1 w2 w_ w1? w2? w_? c_,1 c_,2 c1,2 c2,1 c1,_ c2,_ c1,1 \
    c_,1? c_,2? c1,2? c2,1? c1,_? c2,_? c_,1! c1,2! c2,1! c_,1!1 c_,1!2 c1,2!_ c1,2!2 c2,1!1 r1? w1x";
/// Everything over nil and 1.
const PLAIN: &str = "r_ r1 w1 w1? w_ c_,1 c_,1? c1,_ c1,_? c_,1! c1,_!";
/// What needs a third value.
const THREE: &str = "r1 r2 w1 w2 w1? c_,1? c1,2 c1,2? c_,1! c2,1!";

/// Values that are each set once, where a shortcut knows the answer.
const UNIQUE: &str =
    "r_ r1 r2 w1 w1? w2 w2? w3 w3? c_,1 c_,1? c1,2 c1,2? c2,3 c2,3? c1,3? c2,1? c_,3!1 c1,3!_";

// The numbers are those of the enumeration: should they change, histories were lost or gained.

#[test]
fn on_every_history_of_five_operations_over_one_value() {
    let numbers: Vec<_> = (1..=5).map(|count| agree_on_all(count, PLAIN)).collect();
    assert_eq!(numbers, [(11, 8), (154, 87), (2882, 1350), (66878, 27339), (1792740, 658742)]);
}

#[test]
fn on_every_history_of_five_operations_over_two_values() {
    assert_eq!(agree_on_all(5, THREE), (610162, 179982));
}

#[test]
fn on_every_history_of_three_operations_of_any_kind() {
    let numbers: Vec<_> = (1..=3).map(|count| agree_on_all(count, RICH)).collect();
    assert_eq!(numbers, [(21, 13), (765, 275), (39041, 9160)]);
}

#[test]
#[ignore = "long: 2.5 million histories"]
fn on_every_history_of_four_operations_of_any_kind() {
    assert_eq!(agree_on_all(4, RICH), (2515658, 423288));
}

#[test]
fn the_shortcut_for_values_set_once_agrees_on_every_history_of_four_operations() {
    let numbers: Vec<_> = (1..=4).map(|count| enumerate(count, UNIQUE)).collect();
    assert_eq!(numbers, [(10, 8, 10), (203, 116, 171), (5559, 2289, 3463), (189342, 56665, 80104)]);
}

#[test]
#[ignore = "long: 7.5 million histories"]
fn the_shortcut_for_values_set_once_agrees_on_every_history_of_five_operations() {
    assert_eq!(enumerate(5, UNIQUE), (7466894, 1599175, 1999874));
}
