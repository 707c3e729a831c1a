//! Damaged files: of a node that is killed, synced data is garbled, cut off or set back; healing starts it again.
//!
//! No system promises to survive it everywhere, so it runs only by name, and is drawn for a minority at most.

use crate::Shade;
use crate::ledger::{Effect, Standing};
use crate::target::{self, Reach};
use elenchus_core::fault::{Fault, Harm};
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#B9B9B9", label: "damage" };

/// Draws a harm of this reach.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    let harm = match rng.below(3) {
        0 => Harm::BitFlip,
        1 => Harm::Truncate,
        _ => Harm::Rollback,
    };
    Fault::Damage { nodes: target::draw(rng, nodes, reach), harm }
}

/// A harm for people.
pub fn describe(harm: Harm) -> &'static str {
    match harm {
        Harm::BitFlip => "a bit of a file is flipped",
        Harm::Truncate => "a file loses its end",
        Harm::Rollback => "all files are set back",
    }
}

/// What shows that it struck.
pub(crate) fn injected(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match &effect.told {
        Some(told) => format!("{node}: {told}"),
        None => format!("{node}: nothing was harmed"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.standing {
        Standing::Down => format!("{node}: still held down by another fault"),
        Standing::Paused => format!("{node}: started again, and held still by another fault"),
        _ => format!("{node}: started again, on what it has"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
