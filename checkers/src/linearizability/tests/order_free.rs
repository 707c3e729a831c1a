//! The hint that an order leaves no trace, against every order of a few operations.

use super::exhaustive::try_all;
use super::notation::RegisterOperation;
use super::small_registers::{first_value_is_one, sort};
use super::{Tally, oracle, search_says};
use crate::linearizability::Insight;
use crate::models::register::{Register, RegisterOp, RegisterRet};
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use std::fmt::Debug;

/// A kind of operation: what is asked, and what comes of it.
type Kind<M> = (<M as Model>::Op, Outcome<<M as Model>::Ret>);

/// So many operations are put in every order.
const FEW: usize = 4;

/// Of which of these kinds the hint is given, and of how many few operations of those kinds there are two orders or
/// more. `Err` with some that end in different states.
pub(crate) fn of_every_order<M: Model>(model: &M, kinds: &[Kind<M>]) -> Result<(usize, u64), String> {
    let kinds: Vec<&Kind<M>> = kinds.iter().filter(|(op, outcome)| model.order_free(op, outcome)).collect();
    let (mut several, mut left) = (0, Vec::new());
    let count = kinds.len();
    // Every choice of up to FEW, in ascending order, as a number with FEW digits of base `count + 1`.
    for number in 0..(count + 1).pow(FEW as u32) {
        let digits = (0..FEW as u32).map(|place| number / (count + 1).pow(place) % (count + 1));
        left.clear();
        left.extend(digits);
        if !left.is_sorted() {
            continue;
        }
        left.retain(|digit| *digit > 0);
        let chosen: Vec<&Kind<M>> = left.iter().map(|digit| kinds[digit - 1]).collect();
        let Some((first, _)) = chosen.first() else { continue };
        let mut ends = Vec::new();
        let orders = orders(model, &chosen, 0, &model.init(&model.key(first)), &mut ends);
        if ends.len() > 1 {
            return Err(refutation(&chosen, &ends));
        }
        several += u64::from(orders > 1);
    }
    Ok((count, several))
}

fn refutation(chosen: &impl Debug, ends: &impl Debug) -> String {
    format!("{chosen:?} end in {ends:?}")
}

/// How many orders of those not `placed` are possible from here, and the states in which they end.
fn orders<M: Model>(
    model: &M,
    chosen: &[&Kind<M>],
    placed: u32,
    state: &M::State,
    ends: &mut Vec<M::State>,
) -> u64 {
    if placed.count_ones() as usize == chosen.len() {
        if !ends.contains(state) {
            ends.push(state.clone());
        }
        return 1;
    }
    let mut count = 0;
    for i in (0..chosen.len()).filter(|i| placed >> i & 1 == 0) {
        let (op, outcome) = chosen[i];
        for after in model.step(state, op, outcome) {
            count += orders(model, chosen, placed | 1 << i, &after, ends);
        }
    }
    count
}

/// A register that claims that the order of its operations leaves no trace.
struct Careless(Register);

impl Model for Careless {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;

    fn init(&self, key: &Value) -> Value {
        self.0.init(key)
    }

    fn step(
        &self,
        state: &Value,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Value> {
        self.0.step(state, op, outcome)
    }

    fn key(&self, op: &RegisterOp) -> Value {
        self.0.key(op)
    }

    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.0.describe(op, outcome)
    }

    fn order_free(&self, _: &RegisterOp, _: &Outcome<RegisterRet>) -> bool {
        true
    }
}

impl Insight for Careless {}

#[test]
fn a_wrong_hint_is_refuted_by_the_orders_of_two_writes() {
    let kinds: Vec<Kind<Careless>> = ["w1", "w2", "r1"].map(|name| sort::<Careless>(name).parts()).into();
    let refuted = of_every_order(&Careless(Register::default()), &kinds);
    assert!(refuted.is_err_and(|words| words.contains("end in")), "two writes end in two states");
}

#[test]
fn a_wrong_hint_is_refuted_by_small_histories() {
    let sorts = ["r1", "r2", "w1", "w2"].map(sort);
    let wrong = |model: &Careless, operations: &[RegisterOperation]| {
        let expected = oracle::is_linearizable(model, operations);
        let wrong = search_says(model, operations) != expected;
        Tally { histories: wrong.into(), ..Tally::default() }
    };
    let tally = try_all(&Careless(Register::default()), &sorts, (4, 3), first_value_is_one, wrong);
    assert!(tally.histories > 0, "the search does not use the hint");
}

#[test]
fn no_register_gives_the_hint() {
    let kinds: Vec<Kind<Register>> =
        ["r1", "w1", "w_", "c_,1", "c1,2!"].map(|name| sort::<Register>(name).parts()).into();
    assert_eq!(of_every_order(&Register::default(), &kinds), Ok((0, 0)));
}
