//! Why there is no linearization, told by the numbers of the operations that contradict each other.

use super::{Life, NOBODY};

/// A contradiction. Numbers are [`crate::linearizability::Task::id`]s; [`NOBODY`] stands for what was inside at
/// first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Two operations removed one value, which was added once.
    Twice { first: u32, second: u32 },
    /// Nobody added the value that this one answered.
    Phantom { seen: u32 },
    /// The value was answered before it began to be added.
    Early { seen: u32, added: u32 },
    /// The value was answered after it had been removed.
    Gone { seen: u32, removed: u32 },
    /// Of each of two values: who saw it first, and who saw or removed it last. Each was next to be removed
    /// after the other one had been.
    Together { values: [[u32; 2]; 2], others: Vec<u32> },
    /// One value came before another one, and was still inside when that one was answered.
    Overtaken {
        /// Who says that the first value was inside, and who saw or removed it at last.
        ahead: [u32; 2],
        /// Who added the second value, and who answered it first.
        behind: [u32; 2],
        /// Who else must be held so that this is so.
        others: Vec<u32>,
    },
    /// This one found nothing, while always one of these values was inside: who says so of each, from when
    /// and until when.
    Covered { empty: u32, inside: Vec<[u32; 2]> },
    /// These values were overtaken by others, and there are not enough removals that may have removed them.
    Kept {
        /// Who says that the value was inside, who added the one that overtook it, and who answered that one.
        values: Vec<[u32; 3]>,
        /// All removals: each of them removed something else, or came too late.
        others: Vec<u32>,
    },
    /// This one found nothing, and there are not enough removals that may have emptied the collection. Who
    /// says of the values that nobody removed that they were inside.
    Crowded { empty: u32, inside: Vec<u32>, others: Vec<u32> },
    /// What remains of a history with removals in doubt was tried as a whole: there are none to choose from.
    Whole { others: Vec<u32> },
}

impl Reason {
    /// The operations that contradict each other, each once, the most telling first.
    pub fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = Vec::new();
        match self {
            Reason::Twice { first, second } => ids.extend([*first, *second]),
            Reason::Phantom { seen } => ids.push(*seen),
            Reason::Early { seen, added } => ids.extend([*seen, *added]),
            Reason::Gone { seen, removed } => ids.extend([*seen, *removed]),
            Reason::Together { values, others } => ids.extend(values.as_flattened().iter().chain(others)),
            Reason::Overtaken { ahead, behind, others } => {
                ids.extend(ahead.iter().chain(behind).chain(others));
            }
            Reason::Covered { empty, inside } => {
                ids.push(*empty);
                ids.extend(inside.as_flattened());
            }
            Reason::Kept { values, others } => ids.extend(values.as_flattened().iter().chain(others)),
            Reason::Crowded { empty, inside, others } => {
                ids.push(*empty);
                ids.extend(inside.iter().chain(others));
            }
            Reason::Whole { others } => ids.extend(others),
        }
        let mut seen = std::collections::HashSet::new();
        ids.retain(|id| *id != NOBODY && seen.insert(*id));
        ids
    }

    /// These values cover all gaps in which `empty` can have found nothing.
    pub fn covered<'l>(empty: u32, chain: impl Iterator<Item = &'l Life>) -> Reason {
        Reason::Covered { empty, inside: chain.map(|life| [life.inside_by(), life.last_by]).collect() }
    }
}
