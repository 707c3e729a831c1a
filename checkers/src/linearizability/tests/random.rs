//! Random histories: true ones, and true ones with some answers changed.

use super::{Tally, compare};
use crate::linearizability::Insight;
use crate::synthetic::Simulation;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::random::{Rng, Seed};

/// Compares search and shortcut with the oracle on this many simulated histories of two to eight operations of
/// two to four clients; `lie` may change some.
pub fn compare_many<M: Insight>(
    model: &M,
    initial: &M::State,
    (seed, rounds): (u64, usize),
    mut choose: impl FnMut(&mut Rng, usize, &M::State) -> M::Op,
    mut answer: impl FnMut(&M::State, &M::Op) -> Outcome<M::Ret>,
    mut lie: impl FnMut(&mut Rng, &mut [Operation<M::Op, M::Ret>]),
) -> Tally {
    let mut rng = Seed(seed).rng();
    let mut tally = Tally::default();
    for _ in 0..rounds {
        let (operations, clients) = (rng.between(2, 8) as usize, rng.between(2, 4) as usize);
        let (doubt_permille, seed) = (rng.below(4) * 150, rng.next_u64());
        let simulation = Simulation { operations, clients, doubt_permille, seed };
        let mut operations = simulation.run(model, initial.clone(), &mut choose, &mut answer);
        lie(&mut rng, &mut operations);
        tally += compare(model, &operations);
    }
    tally
}
