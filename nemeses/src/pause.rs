//! Pauses: processes stand still, and healing lets them go on.

use crate::Shade;
use crate::ledger::{Effect, Standing};
use crate::target::{self, Reach};
use elenchus_core::fault::Fault;
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#A0B1E9", label: "pause" };

/// Draws a pause of this reach.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    Fault::Pause { nodes: target::draw(rng, nodes, reach) }
}

/// What shows that it struck.
pub(crate) fn injected(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match (effect.standing, effect.hit) {
        (Standing::Down, _) => format!("{node}: is down, and will stand still when it is started"),
        (_, true) => format!("{node}: stands still"),
        (_, false) => format!("{node}: stood still already"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.standing {
        Standing::Down => format!("{node}: is down by another fault"),
        Standing::Paused => format!("{node}: still held still by another fault"),
        _ => format!("{node}: goes on"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
