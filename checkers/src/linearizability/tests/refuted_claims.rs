//! Shortcuts that look right and are not, each with the smallest history that refutes it.

use super::notation::parse;
use super::oracle::is_linearizable;
use super::search_says;
use crate::models::register::Register;

#[track_caller]
fn check(history: &str, linearizable: bool) {
    let operations = parse(history);
    let model = Register::default();
    assert_eq!(is_linearizable(&model, &operations), linearizable, "by the oracle:\n{history}");
    assert_eq!(search_says(&model, &operations), linearizable, "by the search:\n{history}");
}

#[test]
fn a_write_that_repeats_the_value_must_not_be_linearized_at_once() {
    check("|-w1-|  |-w2-|  |-r1-|\n     |-----w1------------|", true);
    check("|-w1-|  |-w2-|  |-r1-|", false);
}

#[test]
fn a_write_that_repeats_what_a_cas_set_must_not_be_linearized_at_once_either() {
    check("|-c_,2-|  |-c2,1-|  |-c2,1-|\n      |----------w2-----------|", true);
    check("|-c_,2-|  |-c2,1-|  |-c2,1-|\n", false);
}

#[test]
fn an_unread_write_in_doubt_may_explain_a_refusal_that_did_not_say_what_it_saw() {
    check("|-w7->\n  |-c_,5!-|", true);
    check("  |-c_,5!-|", false);
    check("|-w7->\n  |-c_,5!_-|", false);
}

#[test]
fn an_unread_cas_in_doubt_may_enable_another_one() {
    check("|-c_,5->\n |-c5,6->\n   |-r6-|", true);
    check("|-c_,5->\n |-c4,6->\n   |-r6-|", false);
}

#[test]
fn an_invisible_write_may_still_be_seen_at_its_own_return() {
    check("|-w1-|  |--w2---|\n      |-----w3-----|\n            |-r3-|  |-r3-|", true);
    check("|-w1-------|\n |-w2-|\n        |-r2-| |-r1-| |-r2-|", false);
}

#[test]
fn the_same_operation_in_doubt_happens_at_most_once() {
    check("|-w1->\n   |-r1-| |-w2-| |-r1-|", false);
    check("|-w1->\n|-w1->\n   |-r1-| |-w2-| |-r1-|", true);
}

#[test]
fn an_operation_certainly_not_done_is_nothing() {
    check("|-w1x-| |-r1-|", false);
    check("|-w1x-| |-r_-|", true);
}
