//! Histories of one register as text, one line a process, time from left to right.
//!
//! ```text
//! |--w1--|        |--r1--|      an operation from call to return
//!     |--w2->                   in doubt: from its call on, at any time or never
//!  |-c1,2-| |-c2,3!-| |-c2,3!5-|  a cas; refused; refused, having seen 5
//!  |-w7x-|                      certainly not done
//! ```
//! Values are digits or `_` for nil. Events of one column happen from the upper line to the lower one.

use crate::models::register::{RegisterOp, RegisterRet};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use elenchus_core::value::Value;

pub type RegisterOperation = Operation<RegisterOp, RegisterRet>;

/// The operations of a history, in the order of their calls.
pub fn parse(text: &str) -> Vec<RegisterOperation> {
    let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let mut operations = Vec::new();
    for (row, line) in lines.iter().enumerate() {
        let index = |column: usize| (column * lines.len() + row) as u32;
        let mut at = 0;
        while at < line.len() {
            if line[at] != '|' {
                at += 1;
                continue;
            }
            let length = line[at + 1..].iter().position(|c| "|>".contains(*c)).expect("an operation ends");
            let label: String = line[at + 1..at + 1 + length].iter().filter(|c| **c != '-').collect();
            let end = at + 1 + length;
            operations.push(operation(&label, line[end] == '>', row as u32, index(at), index(end)));
            at = end + 1;
        }
    }
    operations.sort_by_key(|operation| operation.call);
    operations
}

fn operation(label: &str, doubt: bool, process: u32, call: u32, done: u32) -> RegisterOperation {
    let (what, rest) = label.split_at(label.find(['!', 'x']).unwrap_or(label.len()));
    let key = Value::Nil;
    let (op, ret) = match (&what[..1], what[1..].split_once(',')) {
        ("r", None) => (RegisterOp::Read { key }, RegisterRet::Saw(value(&what[1..]))),
        ("w", None) => (RegisterOp::Write { key, value: value(&what[1..]) }, RegisterRet::Done),
        ("c", Some((from, to))) => {
            (RegisterOp::Cas { key, from: value(from), to: value(to) }, RegisterRet::Done)
        }
        _ => panic!("not an operation: {label}"),
    };
    let outcome = match rest {
        _ if doubt => Outcome::info("timeout"),
        "" => Outcome::Ok(ret),
        "x" => Outcome::not_done("refused connection"),
        "!" => Outcome::Fail(Failure::Refused(None)),
        saw => Outcome::Fail(Failure::Refused(Some(RegisterRet::Saw(value(&saw[1..]))))),
    };
    let done = if doubt { RegisterOperation::OPEN } else { done };
    let ended = (!doubt).then_some(Time(u64::from(done) * 1_000_000));
    let called = Time(u64::from(call) * 1_000_000);
    Operation { process: Process(process), op, outcome, call, done, called, ended }
}

fn value(text: &str) -> Value {
    match text {
        "_" | "" => Value::Nil,
        number => Value::Int(number.parse().expect("a value is a number or _")),
    }
}

#[test]
fn the_notation_says_what_it_looks_like() {
    let operations = parse("|-w1-|  |-r1-|\n  |-c1,2->\n |-c2,3!5-| |-w7x-|");
    let shown: Vec<_> = operations.iter().map(|o| (o.process.0, o.op.clone(), o.call < o.done)).collect();
    assert_eq!(shown.len(), 5);
    assert!(operations[0].precedes(&operations[3]) && !operations[2].precedes(&operations[3]));
    assert!(operations[2].outcome.is_info());
    assert!(matches!(operations[1].outcome, Outcome::Fail(Failure::Refused(Some(_)))));
    assert!(matches!(operations[4].outcome, Outcome::Fail(Failure::NotDone(_))));
}
