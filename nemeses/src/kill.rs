//! Kills: processes die at once, and healing starts them again.

use crate::Shade;
use crate::ledger::{Effect, Standing};
use crate::target::{self, Reach, names};
use elenchus_core::fault::Fault;
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#E9A4A0", label: "kill" };

/// Draws a kill of this reach.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    Fault::Kill { nodes: target::draw(rng, nodes, reach) }
}

/// What shows that it struck.
pub(crate) fn injected(effects: &[(NodeId, Effect)]) -> String {
    let (gone, already): (Vec<_>, Vec<_>) = effects.iter().partition(|(_, effect)| effect.hit);
    let mut parts = Vec::new();
    if !gone.is_empty() {
        parts.push(format!("{}: process gone", names(gone.iter().map(|(node, _)| node))));
    }
    if !already.is_empty() {
        parts.push(format!("{}: was down already", names(already.iter().map(|(node, _)| node))));
    }
    parts.join("; ")
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.standing {
        Standing::Down => format!("{node}: still held down by another fault"),
        Standing::Paused => format!("{node}: started again, and held still by another fault"),
        _ => format!("{node}: started again"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
