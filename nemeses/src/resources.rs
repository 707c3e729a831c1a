//! Scarce resources: a node has less processor time or memory. Healing gives it back all there is, and starts
//! whoever the kernel killed for want of memory.

use crate::Shade;
use crate::ledger::Effect;
use crate::partition::thousands;
use crate::target::{self, Reach};
use elenchus_core::fault::{Fault, Limit};
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#A0E9B5", label: "resources" };

/// Draws a limit of this reach. Memory is not drawn: how little is too little differs from program to program.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    let limit = Limit::Cpu { percent: rng.between(2, 15) as u8 };
    Fault::Resources { nodes: target::draw(rng, nodes, reach), limit }
}

/// A limit for people.
pub fn describe(limit: Limit) -> String {
    match limit {
        Limit::Cpu { percent } => format!("{percent} % of a processor"),
        Limit::Memory { mib } => format!("{mib} MiB of memory"),
    }
}

/// What shows that it struck.
pub(crate) fn injected(limit: Limit, effects: &[(NodeId, Effect)]) -> String {
    let nodes = target::names(effects.iter().map(|(node, _)| node));
    format!("{nodes}: {}; whether that was too little is known when it heals", describe(limit))
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.count {
        0 => format!("{node}: needed no more"),
        1 => format!("{node}: was held back once"),
        count => format!("{node}: was held back {} times", thousands(count)),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
