//! Packets in trouble: what others send to a node is late, lost, doubled, out of order, garbled or slow.
//!
//! Whether it mattered is known only when it heals: every packet touched is counted.

use crate::Shade;
use crate::ledger::Effect;
use crate::partition::thousands;
use crate::target::{self, Reach};
use elenchus_core::fault::{Fault, Trouble};
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#C9E9A0", label: "packets" };

/// Draws a trouble of this reach. None is so bad that nothing gets through.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    let percent = |rng: &mut Rng, low, high| rng.between(low, high) as u8;
    let trouble = match rng.below(6) {
        0 => delay(rng),
        1 => Trouble::Loss { percent: percent(rng, 5, 40) },
        2 => Trouble::Duplicate { percent: percent(rng, 10, 80) },
        3 => Trouble::Reorder { percent: percent(rng, 10, 50), ms: rng.between(5, 100) },
        4 => Trouble::Corrupt { percent: percent(rng, 5, 30) },
        _ => rate(rng),
    };
    Fault::Packets { nodes: target::draw(rng, nodes, reach), trouble }
}

/// Draws a trouble that streams can suffer, which lose, double and reorder nothing.
pub fn slow(rng: &mut Rng) -> Trouble {
    if rng.chance(1, 2) { delay(rng) } else { rate(rng) }
}

fn delay(rng: &mut Rng) -> Trouble {
    let ms = rng.between(20, 400);
    Trouble::Delay { ms, jitter_ms: rng.between(0, ms / 2) }
}

fn rate(rng: &mut Rng) -> Trouble {
    Trouble::Rate { kbit: rng.between(64, 2_048) }
}

/// A trouble for people.
pub fn describe(trouble: Trouble) -> String {
    match trouble {
        Trouble::Delay { ms, jitter_ms: 0 } => format!("{ms} ms late"),
        Trouble::Delay { ms, jitter_ms } => format!("{ms} ± {jitter_ms} ms late"),
        Trouble::Loss { percent } => format!("{percent} % lost"),
        Trouble::Duplicate { percent } => format!("{percent} % doubled"),
        Trouble::Reorder { percent, ms } => format!("{percent} % held back for {ms} ms"),
        Trouble::Corrupt { percent } => format!("{percent} % garbled"),
        Trouble::Rate { kbit } => format!("no more than {kbit} kbit/s"),
    }
}

/// What shows that it struck.
pub(crate) fn injected(trouble: Trouble, effects: &[(NodeId, Effect)]) -> String {
    let nodes = target::names(effects.iter().map(|(node, _)| node));
    format!("to {nodes}: {}; how many is known when it heals", describe(trouble))
}

/// What shows that it is undone.
pub(crate) fn healed(effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.count {
        0 => format!("{node}: no packet was touched"),
        1 => format!("{node}: 1 packet was touched"),
        count => format!("{node}: {} packets were touched", thousands(count)),
    };
    effects.iter().map(part).collect::<Vec<_>>().join("; ")
}
