//! Power failures: processes die, and with them what their disks had not synced; healing starts them again.
//!
//! Every storage promises to survive it ("All File Systems Are Not Created Equal", Pillai et al., OSDI 2014),
//! as far as programs sync.

use crate::Shade;
use crate::ledger::{Effect, Standing};
use crate::partition::thousands;
use crate::target::{self, Reach};
use elenchus_core::cluster::Lost;
use elenchus_core::fault::{Fault, Loss};
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#D9A0E9", label: "power" };

/// Draws a power failure of this reach.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    let loss = if rng.chance(1, 3) { Loss::Torn } else { Loss::Unsynced };
    Fault::Power { nodes: target::draw(rng, nodes, reach), loss }
}

/// A loss for people.
pub fn describe(loss: Loss) -> &'static str {
    match loss {
        Loss::Unsynced => "what was not synced is lost",
        Loss::Torn => "what was not synced is lost, the last write torn",
    }
}

/// What a node's disk forgot, for people.
pub(crate) fn told(lost: Lost) -> String {
    match lost.bytes {
        0 => "all had been synced".into(),
        bytes => {
            let plural = if lost.files == 1 { "" } else { "s" };
            let (bytes, files) = (thousands(bytes), thousands(lost.files));
            format!("{bytes} bytes of {files} file{plural} lost that were not synced")
        }
    }
}

/// What shows that it struck.
pub(crate) fn injected(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match &effect.told {
        Some(told) => format!("{node}: no power, {told}"),
        None => format!("{node}: still has power"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.standing {
        Standing::Down => format!("{node}: power again, still held down by another fault"),
        Standing::Paused => format!("{node}: started again, and held still by another fault"),
        _ => format!("{node}: started again"),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
