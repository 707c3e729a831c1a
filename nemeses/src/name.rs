//! The faults by name, as the command line and campaign files take them.

use crate::{Shade, clock, damage, disk, kill, membership, packets, partition, pause, power, resources};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultName {
    /// Links that carry nothing.
    Partition,
    /// Processes that die, to be started again.
    Kill,
    /// Processes that stand still.
    Pause,
    /// Clocks that lie.
    Clock,
    /// Packets that are late, lost, doubled, out of order, garbled or slow.
    Packets,
    /// Power that fails: what was not synced is lost.
    Power,
    /// Disks that are slow, full or failing.
    Disk,
    /// Files that are garbled, cut off or set back.
    Damage,
    /// Too little processor time or memory.
    Resources,
    /// Members that are removed and added again.
    Membership,
}

/// A name that is no fault's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fault `{name}`: expected some of {}, with commas, or `all` or `none`", names())]
pub struct BadName {
    /// What was given.
    pub name: String,
}

impl FaultName {
    /// All faults.
    pub const ALL: [FaultName; 10] = [
        FaultName::Partition,
        FaultName::Kill,
        FaultName::Pause,
        FaultName::Clock,
        FaultName::Packets,
        FaultName::Power,
        FaultName::Disk,
        FaultName::Damage,
        FaultName::Resources,
        FaultName::Membership,
    ];

    /// Those that strike when nobody says which: what a protocol for crashing nodes with durable storage and
    /// asynchronous networks and clocks assumes, such as Raft with quorum reads.
    pub const CUSTOMARY: [FaultName; 4] =
        [FaultName::Partition, FaultName::Kill, FaultName::Pause, FaultName::Clock];

    /// Whether systems may assume that it never happens. Such a fault strikes only when it is named.
    pub fn is_beyond_assumptions(self) -> bool {
        self == FaultName::Damage
    }

    /// The name: that of [`elenchus_core::fault::Fault::name`].
    pub fn as_str(self) -> &'static str {
        match self {
            FaultName::Partition => "partition",
            FaultName::Kill => "kill",
            FaultName::Pause => "pause",
            FaultName::Clock => "clock",
            FaultName::Packets => "packets",
            FaultName::Power => "power",
            FaultName::Disk => "disk",
            FaultName::Damage => "damage",
            FaultName::Resources => "resources",
            FaultName::Membership => "membership",
        }
    }

    /// One line for `elenchus list`.
    pub fn describe(self) -> &'static str {
        match self {
            FaultName::Partition => {
                "cut links: halves, one node, majorities-ring, bridge, the leaders' side, one way"
            }
            FaultName::Kill => "kill -9, and start again: one node, a minority, a majority, all, the leaders",
            FaultName::Pause => {
                "stop processes in their tracks: one node, a minority, a majority, all, the leaders"
            }
            FaultName::Clock => {
                "make clocks jump, strobe or drift: one node, a minority, a majority, all, the leaders"
            }
            FaultName::Packets => "delay, lose, double, reorder, garble or slow down what nodes are sent",
            FaultName::Power => "kill -9, what was not synced is lost, and start again",
            FaultName::Disk => "disks that sync slowly, are full, or fail",
            FaultName::Damage => {
                "flip bits, cut files off or set them back; beyond assumptions, so only by name"
            }
            FaultName::Resources => "less processor time or memory",
            FaultName::Membership => "remove a member, and add it again as a new one",
        }
    }

    /// How many nodes a cluster must have for this fault.
    pub fn nodes_min(self) -> usize {
        match self {
            FaultName::Partition => 2,
            // Of two members none can be spared.
            FaultName::Membership => 3,
            _ => 1,
        }
    }

    /// Its shade in the plots.
    pub fn shade(self) -> Shade {
        match self {
            FaultName::Partition => partition::SHADE,
            FaultName::Kill => kill::SHADE,
            FaultName::Pause => pause::SHADE,
            FaultName::Clock => clock::SHADE,
            FaultName::Packets => packets::SHADE,
            FaultName::Power => power::SHADE,
            FaultName::Disk => disk::SHADE,
            FaultName::Damage => damage::SHADE,
            FaultName::Resources => resources::SHADE,
            FaultName::Membership => membership::SHADE,
        }
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn names() -> String {
    FaultName::ALL.map(FaultName::as_str).join(", ")
}

/// The faults named in `partition,kill`, or `all` (within assumptions), or `none`: each once, in their customary
/// order.
pub fn parse(list: &str) -> Result<Vec<FaultName>, BadName> {
    match list.trim() {
        "all" => {
            return Ok(FaultName::ALL.into_iter().filter(|fault| !fault.is_beyond_assumptions()).collect());
        }
        "none" => return Ok(Vec::new()),
        _ => {}
    }
    let mut faults = Vec::new();
    for name in list.split(',').map(str::trim) {
        let known = FaultName::ALL.into_iter().find(|fault| fault.as_str() == name);
        faults.push(known.ok_or_else(|| BadName { name: name.to_owned() })?);
    }
    faults.sort_unstable();
    faults.dedup();
    Ok(faults)
}

/// Name and description of every fault, for `elenchus list`.
pub fn list() -> [(&'static str, &'static str); FaultName::ALL.len()] {
    FaultName::ALL.map(|fault| (fault.as_str(), fault.describe()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_faults_are_read_in_their_customary_order() {
        assert_eq!(parse("kill, partition,kill"), Ok(vec![FaultName::Partition, FaultName::Kill]));
        assert_eq!(parse("all").map(|all| all.len()), Ok(FaultName::ALL.len() - 1));
        assert!(!parse("all").expect("known").contains(&FaultName::Damage));
        assert_eq!(parse("damage"), Ok(vec![FaultName::Damage]));
        assert_eq!(parse(" none "), Ok(vec![]));
    }

    #[test]
    fn an_unknown_fault_is_named() {
        for (list, name) in
            [("kill,explode", "explode"), ("", ""), ("kill,", ""), ("all,kill", "all"), ("Kill", "Kill")]
        {
            assert_eq!(parse(list), Err(BadName { name: name.into() }), "{list}");
        }
        assert!(parse("explode").expect_err("no such fault").to_string().contains("`explode`"));
    }

    #[test]
    fn every_fault_has_a_shade_of_its_own() {
        for (i, a) in FaultName::ALL.iter().enumerate() {
            assert_eq!(crate::shade(a.as_str()), Some(a.shade()));
            assert!(FaultName::ALL[i + 1..].iter().all(|b| a.shade() != b.shade()));
        }
        assert_eq!(crate::shade("leader"), None);
    }
}
