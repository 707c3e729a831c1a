//! Shortcuts that look right and are not, each with the smallest history that refutes it; and each, put back
//! into the search, is caught: by that history and by random ones.

use super::notation::parse;
use super::oracle::is_linearizable;
use super::{Answer, agreement, answer_in_depth, search_says};
use crate::linearizability::refuted::{Claim, holding};
use crate::models::register::Register;
use elenchus_core::random::Seed;

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

/// With this claim put back, the search is wrong about the history, in both orders.
#[track_caller]
fn put_back(claim: Claim, history: &str) {
    let (model, operations) = (Register::default(), parse(history));
    let truth = is_linearizable(&model, &operations);
    assert_eq!(search_says(&model, &operations), truth, "without the claim:\n{history}");
    let says = holding(claim, || search_says(&model, &operations));
    assert_ne!(says, truth, "{claim:?} is not caught by\n{history}");
    let in_depth = holding(claim, || answer_in_depth(&model, &operations) == Answer::Linearizable);
    assert_ne!(in_depth, truth, "{claim:?} is not caught in depth by\n{history}");
}

#[test]
fn each_claim_that_is_put_back_is_caught_by_a_small_history() {
    put_back(Claim::WritesCanBeEager, "|-w1-|  |-w2-|  |-r1-|\n     |-----w1------------|");
    put_back(Claim::WritesCanBeEager, "|-c_,2-|  |-c2,1-|  |-c2,1-|\n      |----------w2-----------|");
    put_back(Claim::OnlyReadsNotice, "|-w7->\n  |-c_,5!-|");
    put_back(Claim::DoubtNeedsNoFixpoint, "|-c_,5->\n |-c5,6->\n   |-r6-|");
    put_back(Claim::UnseenStaysUnseen, "|---w1----------|\n |-w2-| |-r2-|    |-r1-|");
    put_back(Claim::UnreadStaysUnseen, "|-w2->\n|---w1------|\n   |-r2-|       |-c2,5!-|");
}

#[test]
fn each_claim_that_is_put_back_is_caught_by_random_histories() {
    let model = Register::default();
    for claim in [
        Claim::WritesCanBeEager,
        Claim::OnlyReadsNotice,
        Claim::DoubtNeedsNoFixpoint,
        Claim::UnseenStaysUnseen,
        Claim::UnreadStaysUnseen,
    ] {
        let mut rng = Seed(41).rng();
        let caught = (0..20_000).any(|_| {
            let (count, processes) = (rng.between(2, 8) as usize, rng.between(2, 5) as usize);
            let (values, doubt) = (rng.between(1, 3), rng.below(4));
            let operations = agreement::random(&mut rng, count, processes, values, doubt);
            holding(claim, || search_says(&model, &operations)) != is_linearizable(&model, &operations)
        });
        assert!(caught, "{claim:?} was not caught");
    }
}
