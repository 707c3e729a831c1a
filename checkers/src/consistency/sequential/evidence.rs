//! The evidence where no order of all operations was found: which of them prove it, and how far they go.
//!
//! An operation is *released* by letting it happen at any time or never, with any answer. Operations that
//! cannot be ordered with all others released prove that there is no order, whatever the others did; where
//! releasing any more of them would leave an order, they are all that the proof needs. They are found by
//! releasing halves, quarters, … down to single operations, the last ones first; a release after which the
//! search does not come to an end in time is taken back, so what remains is a proof at any rate.
//!
//! How far those operations can be ordered is then searched for without giving anything up early: an order
//! that can never be completed counts too. What stands next in each process cannot follow the longest.

use super::super::{RegisterOperation, anomaly, name};
use super::{CLASS, Configuration, Found, Search};
use crate::models::register::Register;
use elenchus_core::budget::Budget;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::verdict::Anomaly;

/// Configurations that a single release may cost.
const RELEASE_MAX: u64 = 10_000;
/// Configurations that the longest order may cost.
const LONGEST_MAX: u64 = 200_000;
/// Operations shown at most.
const SHOWN_MAX: usize = 64;

/// The anomaly of operations that the search could not order.
pub(super) fn tell(register: &Register, operations: &[RegisterOperation], budget: &Budget) -> Anomaly {
    let budget = budget.clone().within(budget.evidence_max);
    let proof = prove(register, operations, &budget);
    let kept = released(operations, &proof);
    let mut search = Search::new(register, &kept);
    let (blocked, missing, is_longest) = search.longest(&budget);
    let guilty = blocked.first().copied().or(proof.last().copied()).unwrap_or(0);
    let these = match proof.len() == operations.iter().filter(|o| may_have_happened(o)).count() {
        true => format!("all {} operations", proof.len()),
        false => format!("these {} operations, whatever the others did", proof.len()),
    };
    let sentence = format!(
        "no order that keeps each process's own explains {these}; the longest{} explains {}, and then {} can{} follow{}",
        if is_longest { "" } else { " found" },
        proof.len() - missing,
        following(register, operations, &blocked),
        if blocked.len() == 1 { "not" } else { "" },
        if proof.len() > SHOWN_MAX { format!(" (the last {SHOWN_MAX} are shown)") } else { String::new() },
    );
    let shown = &proof[proof.len().saturating_sub(SHOWN_MAX)..];
    anomaly(register, operations, (CLASS, sentence), (shown, guilty))
}

/// `` `read nil of x` by process 1 ``; of several, so that "can follow" fits.
fn following(register: &Register, operations: &[RegisterOperation], blocked: &[usize]) -> String {
    let of = |i: &usize| name(register, &operations[*i]);
    match blocked {
        [only] => of(only),
        [first, second] => format!("neither {} nor {}", of(first), of(second)),
        [first, ..] => format!("neither {} nor what the other processes did next", of(first)),
        [] => "nothing".to_owned(),
    }
}

fn may_have_happened(operation: &RegisterOperation) -> bool {
    !matches!(operation.outcome, Outcome::Fail(Failure::NotDone(_)))
}

/// Operations that cannot be ordered with all others released.
fn prove(register: &Register, operations: &[RegisterOperation], budget: &Budget) -> Vec<usize> {
    let mut proof: Vec<usize> =
        (0..operations.len()).filter(|i| may_have_happened(&operations[*i])).collect();
    let mut size = proof.len().div_ceil(2);
    while size > 0 && !budget.is_over() {
        let mut end = proof.len();
        while end > 0 && !budget.is_over() {
            let start = end.saturating_sub(size);
            let rest: Vec<usize> = [&proof[..start], &proof[end..]].concat();
            if is_proof(register, operations, &rest, budget) {
                proof = rest;
            }
            end = start;
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    proof
}

fn is_proof(register: &Register, operations: &[RegisterOperation], proof: &[usize], budget: &Budget) -> bool {
    let kept = released(operations, proof);
    let mut search = Search::new(register, &kept);
    search.visited_max = RELEASE_MAX;
    matches!(search.run(budget), Found::Nothing)
}

/// The operations with all others released. A process of their own keeps them out of every process's order.
pub(in super::super) fn released(
    operations: &[RegisterOperation],
    proof: &[usize],
) -> Vec<RegisterOperation> {
    let mut released = operations.to_vec();
    let mut kept = proof.iter().peekable();
    for (i, operation) in released.iter_mut().enumerate() {
        if kept.next_if_eq(&&i).is_none() && may_have_happened(operation) {
            operation.outcome = Outcome::info("released");
            operation.process = Process(u32::MAX);
        }
    }
    released
}

impl Search {
    /// What cannot follow the longest partial order, by the order of calls; how many operations it leaves
    /// out; and whether it is certainly the longest.
    fn longest(&mut self, budget: &Budget) -> (Vec<usize>, usize, bool) {
        (self.gives_up, self.visited_max) = (false, LONGEST_MAX);
        let is_longest = matches!(self.run(budget), Found::Nothing);
        let mut reached = self.deepest.1.clone();
        self.advance(&mut reached);
        while let Some(further) = self.follow(&reached) {
            reached = further;
            self.advance(&mut reached);
        }
        let next = self.processes.iter().zip(reached.iter());
        let mut blocked: Vec<usize> =
            next.clone().filter_map(|(steps, at)| Some(steps.get(*at as usize)?.operation)).collect();
        blocked.sort_unstable();
        (blocked, next.map(|(steps, at)| steps.len() - *at as usize).sum(), is_longest)
    }

    /// A configuration one operation further, where one fits: only after a search that was cut short.
    fn follow(&self, reached: &Configuration) -> Option<Configuration> {
        self.processes.iter().enumerate().find_map(|(process, steps)| {
            let step = steps.get(reached[process] as usize)?;
            let mut after = reached.clone();
            after[process] += 1;
            Some(self.change(reached, after, step)?.1)
        })
    }
}
