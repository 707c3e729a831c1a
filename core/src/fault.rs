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
        /// What becomes of what is sent across them.
        #[serde(default, skip_serializing_if = "Manner::is_drop")]
        manner: Manner,
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
    /// The packets that other nodes send to these suffer; healing lets them pass as they are.
    Packets {
        /// Which nodes.
        nodes: Target,
        /// What becomes of the packets.
        trouble: Trouble,
    },
    /// These nodes lose power: their processes die, and so does what their disks had not synced; healing
    /// starts them again.
    Power {
        /// Which nodes.
        nodes: Target,
        /// What is lost.
        loss: Loss,
    },
    /// The disks of these nodes ail while they run; healing cures them, and starts who died of it.
    Disk {
        /// Which nodes.
        nodes: Target,
        /// How they ail.
        ailment: Ailment,
    },
    /// The processes of these nodes die and their files are harmed, synced or not; healing starts them again.
    /// No system promises to survive it on a majority.
    Damage {
        /// Which nodes.
        nodes: Target,
        /// What is done to the files.
        harm: Harm,
    },
    /// These nodes must do with less; healing gives them back all there is, and starts who died of it.
    Resources {
        /// Which nodes.
        nodes: Target,
        /// With how much.
        limit: Limit,
    },
    /// These nodes are removed from the cluster, by its own means; healing adds them again, as new members.
    Membership {
        /// Which nodes.
        nodes: Target,
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

/// What becomes of what is sent across a link that is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// It vanishes: the sender waits.
    #[default]
    Drop,
    /// It is refused: connections that are used end at once, and new ones are not made.
    Reset,
}

impl Manner {
    fn is_drop(&self) -> bool {
        *self == Manner::Drop
    }
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

/// What becomes of packets on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trouble {
    /// Each is late.
    Delay {
        /// By so many milliseconds…
        ms: u64,
        /// …give or take as many as this.
        #[serde(default)]
        jitter_ms: u64,
    },
    /// Some are lost.
    Loss {
        /// How many of a hundred.
        percent: u8,
    },
    /// Some come twice.
    Duplicate {
        /// How many of a hundred.
        percent: u8,
    },
    /// Some are overtaken by those sent after them.
    Reorder {
        /// How many of a hundred.
        percent: u8,
        /// By how many milliseconds they are held back.
        ms: u64,
    },
    /// A bit of some is flipped on the way, which checksums notice.
    Corrupt {
        /// How many of a hundred.
        percent: u8,
    },
    /// They come no faster than this, all together.
    Rate {
        /// Kilobits a second.
        kbit: u64,
    },
}

/// What a disk forgets when the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Everything that was not synced.
    Unsynced,
    /// The same, but a first part of the last write that was not synced survives.
    Torn,
}

/// How a disk ails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ailment {
    /// Each sync takes longer.
    SlowSync {
        /// By so many milliseconds.
        ms: u64,
    },
    /// It is full (ENOSPC).
    Full,
    /// It cannot write or sync (EIO).
    Failing,
}

/// What is done to the files of a stopped node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// One bit of one file is flipped.
    BitFlip,
    /// One file loses its end.
    Truncate,
    /// All files are again what they were when the trial began, or when this last happened.
    Rollback,
}

/// How much a node may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Limit {
    /// Of one processor.
    Cpu {
        /// So many hundredths.
        percent: u8,
    },
    /// Of memory; who needs more is killed by the kernel.
    Memory {
        /// Mebibytes.
        mib: u64,
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
            Fault::Packets { .. } => "packets",
            Fault::Power { .. } => "power",
            Fault::Disk { .. } => "disk",
            Fault::Damage { .. } => "damage",
            Fault::Resources { .. } => "resources",
            Fault::Membership { .. } => "membership",
        }
    }

    /// Whether it strikes whoever leads at that moment.
    pub fn is_at_leaders(&self) -> bool {
        matches!(self, Fault::Partition { cut: Cut::Primaries { .. }, .. })
            || self.nodes() == Some(&Target::Primaries)
    }

    /// The nodes struck, to be changed; a partition strikes links.
    pub fn nodes_mut(&mut self) -> Option<&mut Target> {
        match self {
            Fault::Partition { .. } => None,
            Fault::Kill { nodes }
            | Fault::Pause { nodes }
            | Fault::Clock { nodes, .. }
            | Fault::Packets { nodes, .. }
            | Fault::Power { nodes, .. }
            | Fault::Disk { nodes, .. }
            | Fault::Damage { nodes, .. }
            | Fault::Resources { nodes, .. }
            | Fault::Membership { nodes } => Some(nodes),
        }
    }

    /// The nodes struck; a partition strikes links.
    pub fn nodes(&self) -> Option<&Target> {
        match self {
            Fault::Partition { .. } => None,
            Fault::Kill { nodes }
            | Fault::Pause { nodes }
            | Fault::Clock { nodes, .. }
            | Fault::Packets { nodes, .. }
            | Fault::Power { nodes, .. }
            | Fault::Disk { nodes, .. }
            | Fault::Damage { nodes, .. }
            | Fault::Resources { nodes, .. }
            | Fault::Membership { nodes } => Some(nodes),
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
