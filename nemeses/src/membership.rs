//! Membership: a node is removed from the cluster by the cluster's own means, and added again as a new member.

use crate::Shade;
use crate::ledger::{Effect, Standing};
use crate::target::{self, Reach, names};
use elenchus_core::fault::Fault;
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#E9E4A0", label: "membership" };

/// Draws whom to remove.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    Fault::Membership { nodes: target::draw(rng, nodes, reach) }
}

/// What shows that it struck.
pub(crate) fn injected(effects: &[(NodeId, Effect)]) -> String {
    let (gone, already): (Vec<_>, Vec<_>) = effects.iter().partition(|(_, effect)| effect.hit);
    let mut parts = Vec::new();
    if !gone.is_empty() {
        parts.push(format!("{}: no member any more", names(gone.iter().map(|(node, _)| node))));
    }
    if !already.is_empty() {
        parts.push(format!("{}: was no member already", names(already.iter().map(|(node, _)| node))));
    }
    parts.join("; ")
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.standing {
        Standing::Down => format!("{node}: still held down by another fault"),
        _ => format!("{node}: a member again, a new one"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
