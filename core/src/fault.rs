//! What is broken: a fault as a value, from the schedule through the log to the plots.

use crate::process::NodeId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Names one fault of a trial, from its injection to its healing. Faults may overlap; each heals alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u32);

/// A fault to inject. Targets known only at run time (the leaders) are resolved at injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Some directed links between nodes carry nothing.
    Partition {
        /// How it was drawn, for people.
        shape: Shape,
        /// Which links are cut.
        cut: Cut,
    },
    /// The processes of these nodes die at once (SIGKILL); healing starts them again.
    Kill {
        /// Which nodes.
        nodes: Target,
    },
    /// The processes of these nodes stand still (SIGSTOP); healing lets them go on.
    Pause {
        /// Which nodes.
        nodes: Target,
    },
    /// The clocks of these nodes lie; healing makes them true again.
    Clock {
        /// Which nodes.
        nodes: Target,
        /// How they lie.
        skew: Skew,
    },
}

/// How a partition was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Two halves that do not see each other.
    Halves,
    /// One node alone.
    One,
    /// Every node sees a majority, no two see the same one.
    MajoritiesRing,
    /// Two halves joined by one node that sees both.
    Bridge,
    /// The leaders, with as many others as still leave them a minority, apart from the rest.
    Primaries,
    /// Links cut in one direction only.
    OneWay,
}

/// The links that a partition cuts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Cut {
    /// Exactly these.
    Links(Vec<Link>),
    /// All links, both ways, between the leaders of the moment (with these companions if they are not
    /// leaders themselves, in this order, as long as the side stays a minority) and the rest.
    Primaries {
        /// Who goes with the leaders.
        companions: Vec<NodeId>,
    },
}

/// A directed link: what `from` sends to `to`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
}

/// The nodes that a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Exactly these.
    Nodes(Vec<NodeId>),
    /// Whoever leads at that moment.
    Primaries,
}

/// How a clock lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Skew {
    /// It jumps by this much, once.
    Bump {
        /// Milliseconds; negative is back.
        delta_ms: i64,
    },
    /// It jumps to and fro.
    Strobe {
        /// Milliseconds between the two times that it shows in turn.
        delta_ms: i64,
        /// Milliseconds from one jump to the next.
        period_ms: u64,
    },
    /// It runs too fast or too slow.
    Drift {
        /// Parts per million: 500,000 is half as fast again, -500,000 half as fast.
        rate_ppm: i64,
    },
}

impl Fault {
    /// The word for this kind of fault, the same in the command line, the log and the report.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Partition { .. } => "partition",
            Fault::Kill { .. } => "kill",
            Fault::Pause { .. } => "pause",
            Fault::Clock { .. } => "clock",
        }
    }
}

/// What was truly struck, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The nodes struck, targets resolved.
    pub nodes: Vec<NodeId>,
    /// The links cut, if links were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Whether the fault is known to have had effect: packets dropped, a process gone, a clock read askew.
    /// A partition knows it only when it heals.
    pub hit: bool,
    /// What shows it, in a few words: `1,204 packets dropped`, `n3: clock read 8.2 s ahead`.
    pub text: String,
}

/// How long things may last that a fault does to a cluster.
pub const FAULT_TIMEOUT: Duration = Duration::from_secs(10);
