//! Priorities of links: whose letters are held back, in the manner of PCT.
//!
//! Burckhardt, Kothari, Musuvathi and Nagarakatti ("A Randomized Scheduler with Probabilistic Guarantees of Finding
//! Bugs", ASPLOS 2010) give every thread a random priority, run the highest that can run, and lower the priority of
//! the running one at `depth - 1` random steps: a mistake that needs few orders of events is found with a
//! probability that does not shrink with all the orders there are. Here a thread is a directed link and a step is
//! a letter. Letters of low links are held back for a time rather than for ever, since protocols have timeouts.
//!
//! Each link's priority and each change is drawn by its name, as all else is in a universe.

use super::chance::Chance;
use crate::protocol::Peer;
use serde::{Deserialize, Serialize};

/// How priorities are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Priorities {
    /// How many orders of events a mistake may need: one more than there are changes.
    pub depth: u32,
    /// How long letters of the lowest link are held back, in milliseconds; none is held back longer.
    #[serde(default = "hold_ms")]
    pub hold_ms: u64,
    /// Among how many letters of its link a change is drawn.
    #[serde(default = "letters")]
    pub letters: u64,
}

/// Of about the length of an election timeout: what is held back meets the next term.
const HOLD_MS: u64 = 400;
/// About as many as a link carries in 20 s at 50 operations a second.
const LETTERS: u64 = 1_000;
/// More changes than this are no longer few.
const DEPTH_MAX: u32 = 100;
/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;
/// The highest priority that links begin with holds nothing back, this one most.
const LOWEST: u64 = 1_000;

fn hold_ms() -> u64 {
    HOLD_MS
}

fn letters() -> u64 {
    LETTERS
}

impl Priorities {
    /// Priorities with `depth - 1` changes.
    pub fn new(depth: u32) -> Priorities {
        Priorities { depth, hold_ms: HOLD_MS, letters: LETTERS }
    }

    /// Whether they make sense; an error names the key.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Priorities { depth: 0, .. } => Err("depth: at least 1".into()),
            Priorities { depth, .. } if *depth > DEPTH_MAX => Err(format!("depth: at most {DEPTH_MAX}")),
            Priorities { hold_ms: 0, .. } => Err("hold-ms: at least 1".into()),
            Priorities { hold_ms, .. } if *hold_ms > 60_000 => Err("hold-ms: at most 60000".into()),
            Priorities { letters: 0, .. } => Err("letters: at least 1".into()),
            _ => Ok(()),
        }
    }

    /// All that is drawn for a universe of so many nodes.
    pub fn draw(self, chance: Chance, nodes: u16) -> Ranks {
        let changes = (1..self.depth).filter(|_| nodes > 1).map(|nth| {
            let mut rng = chance.change(nth);
            let from = rng.below(u64::from(nodes)) as u16;
            let to = rng.below(u64::from(nodes) - 1) as u16;
            let to = to + u16::from(to >= from);
            Change { from: Peer(from), to: Peer(to), letter: rng.between(1, self.letters) }
        });
        Ranks { priorities: self, chance, changes: changes.collect() }
    }
}

/// From this letter on the link is among the lowest.
#[derive(Clone, Copy, Debug)]
struct Change {
    from: Peer,
    to: Peer,
    letter: u64,
}

/// What was drawn.
#[derive(Debug)]
pub struct Ranks {
    priorities: Priorities,
    chance: Chance,
    changes: Vec<Change>,
}

impl Ranks {
    /// How long the `nth` letter of a link is held back, in nanoseconds.
    pub fn hold(&self, from: Peer, to: Peer, nth: u64) -> u64 {
        let lowered =
            self.changes.iter().any(|change| (change.from, change.to) == (from, to) && change.letter <= nth);
        let rank = if lowered { LOWEST } else { self.chance.priority(from.0, to.0).below(LOWEST) };
        // Few links are very low: else the cluster would merely be slow.
        self.priorities.hold_ms * MS / LOWEST * rank * rank / LOWEST * rank / LOWEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn links() -> impl Iterator<Item = (Peer, Peer)> {
        (0..5).flat_map(|from| (0..5).filter(move |to| *to != from).map(move |to| (Peer(from), Peer(to))))
    }

    #[test]
    fn low_links_are_held_back_and_none_for_longer_than_said() {
        let most = HOLD_MS * MS;
        for seed in 0..200 {
            let ranks = Priorities::new(3).draw(Chance::new(Seed(seed)), 5);
            let holds: Vec<u64> = links().map(|(from, to)| ranks.hold(from, to, LETTERS)).collect();
            assert!(holds.iter().all(|&hold| hold <= most), "seed {seed}: {holds:?}");
            assert!(holds.iter().any(|&hold| hold < most / 10), "seed {seed}: {holds:?}");
            assert!(holds.iter().any(|&hold| hold > most / 2), "seed {seed}: {holds:?}");
        }
    }

    #[test]
    fn priorities_change_as_often_as_the_depth_says_and_only_fall() {
        for seed in 0..50 {
            for depth in [1, 2, 4] {
                let ranks = Priorities::new(depth).draw(Chance::new(Seed(seed)), 5);
                let (mut changed, mut last) = (0, 0);
                for (from, to) in links() {
                    for nth in 1..=LETTERS {
                        let hold = ranks.hold(from, to, nth);
                        if nth > 1 && hold != last {
                            assert!(hold > last && hold == HOLD_MS * MS, "seed {seed}");
                            changed += 1;
                        }
                        last = hold;
                    }
                }
                assert!(changed < depth, "seed {seed}, depth {depth}: {changed} changes");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_key() {
        let sound = Priorities::new(3);
        assert_eq!(sound.check(), Ok(()));
        for (wrong, key) in [
            (Priorities { depth: 0, ..sound }, "depth"),
            (Priorities { depth: 1_000, ..sound }, "depth"),
            (Priorities { hold_ms: 0, ..sound }, "hold-ms"),
            (Priorities { hold_ms: u64::MAX, ..sound }, "hold-ms"),
            (Priorities { letters: 0, ..sound }, "letters"),
        ] {
            assert!(wrong.check().unwrap_err().starts_with(key));
        }
    }
}
