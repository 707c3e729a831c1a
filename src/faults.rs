//! Which fault a cluster can suffer where it stands: one table, asked when a trial is planned and printed for users.
//!
//! What the table allows a machine may still lack (a kernel with neither packet queue nor `netem`, `/dev/fuse` closed to this
//! user): [`probe`] asks the machine, and changes nothing. `all` leaves out what is not possible; a fault that is
//! named is refused with the reason.

use crate::host::{disk, proxy};
use elenchus_core::fault::Trouble;
use elenchus_nemeses::FaultName;

/// Where the nodes are, as far as faults are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The bundled cluster on this machine.
    Bundled,
    /// A described cluster on this machine, by root.
    Local,
    /// A described cluster on this machine, by anybody else.
    LocalUnprivileged,
    /// A described cluster on hosts over SSH.
    Hosts,
    /// The bundled cluster in virtual time.
    Simulation,
}

impl Ground {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Ground; 5] =
        [Ground::Simulation, Ground::Bundled, Ground::Local, Ground::LocalUnprivileged, Ground::Hosts];

    /// The ground of a described cluster on this machine, for whoever asks.
    pub fn local() -> Ground {
        if nix::unistd::geteuid().is_root() { Ground::Local } else { Ground::LocalUnprivileged }
    }

    /// The column's head.
    pub fn describe(self) -> &'static str {
        match self {
            Ground::Bundled => "bundled",
            Ground::Local => "local, root",
            Ground::LocalUnprivileged => "local, no root",
            Ground::Hosts => "SSH hosts",
            Ground::Simulation => "simulated",
        }
    }
}

/// How a fault is brought about on this ground; an error says why it cannot be.
pub fn possible(fault: FaultName, ground: Ground) -> Result<&'static str, &'static str> {
    use FaultName::{Clock, Damage, Disk, Kill, Membership, Packets, Partition, Pause, Power, Resources};
    use Ground::{Bundled, Hosts, LocalUnprivileged};
    if ground == Ground::Simulation {
        return simulated(fault);
    }
    match (fault, ground) {
        (Partition, Hosts) => Ok("an own packet filter table on each host, by our helper there"),
        (Kill, Hosts) => {
            Ok("SIGKILL to the process group, or to all of a unit's processes, by our helper there")
        }
        (Pause, Hosts) => Ok(
            "the kernel's freezer where control groups of version 2 can be made, else SIGSTOP and SIGCONT to the process \
                group, by our helper there",
        ),
        (Clock, Hosts) => Ok(
            "what the vDSO of each of the node's processes answers, by our helper there; the host's own clock \
                if `cluster.ssh.host-clock` says so",
        ),
        (Packets, Hosts) => {
            Ok("user-space packet queue on each host, else the kernel's `netem` and `tbf`, by \
                our helper there")
        }
        (Resources, Hosts) => Ok("a control group for the node's processes, by our helper there"),
        (Membership, Hosts) => Ok("the commands that `cluster.membership` names, run on the node's host"),
        (Power | Disk, Hosts) => Ok(
            "a FUSE file system of our own over the node's data folder, by our helper there, where the host's \
                `/dev/fuse` is open",
        ),
        (Damage, Hosts) => Ok("the stopped node's files, changed in its data folder, by our helper there"),
        (Partition, Bundled) => Ok("packet filter in each node's network namespace, or a proxy on each link"),
        (Partition, _) => Ok("packet filter in each node's network namespace"),
        (Kill, _) => Ok("SIGKILL to the process group"),
        (Pause, LocalUnprivileged) => Ok("SIGSTOP and SIGCONT to the process group"),
        (Pause, _) => Ok(
            "the kernel's freezer where control groups of version 2 can be made, else SIGSTOP and SIGCONT to the process \
                group",
        ),
        (Clock, Bundled) => Ok("the node's own clock source, wall and timers both"),
        (Clock, _) => Ok("what the vDSO of each of the node's processes answers, the wall clock alone"),
        (Packets, Bundled) => Ok(
            "user-space packet queue in each node's network namespace, else the kernel's `netem` and `tbf`; a proxy on \
                each link delays and limits streams",
        ),
        (Packets, _) => Ok(
            "user-space packet queue in each node's network namespace, else the kernel's `netem` and `tbf`",
        ),
        (Power | Disk, _) => {
            Ok("a FUSE file system of our own over the node's data folder, where `/dev/fuse` is open")
        }
        (Damage, _) => Ok("the stopped node's files, changed in its data folder"),
        (Resources, LocalUnprivileged) => Err("control groups are root's"),
        (Resources, _) => Ok("a control group for the node's processes"),
        (Membership, Bundled) => Err("the bundled cluster has a fixed membership"),
        (Membership, _) => Ok("the commands that `cluster.membership` names"),
    }
}

/// Whether nodes that are units of systemd can suffer this fault; an error says why they cannot.
pub fn of_units(fault: FaultName) -> Result<(), &'static str> {
    match fault {
        FaultName::Power | FaultName::Disk | FaultName::Damage => {
            Err("nodes are units of systemd, and where they keep their data is not known here")
        }
        FaultName::Resources => {
            Err("nodes are units of systemd, which has given them control groups of its own")
        }
        FaultName::Membership => Err("nodes are units of systemd, whose data cannot be emptied here"),
        _ => Ok(()),
    }
}

fn simulated(fault: FaultName) -> Result<&'static str, &'static str> {
    match fault {
        FaultName::Partition => Ok("letters on cut links are lost, or kept until the cut is mended"),
        FaultName::Kill => Ok("the node's process ends at some point of its work, often around a sync"),
        FaultName::Pause => Ok("the node takes no step; what comes for it waits"),
        FaultName::Clock => Ok("the node's own clock source, wall and timers both"),
        FaultName::Packets => Ok("letters are late, lost, doubled or slow"),
        FaultName::Power => Ok("of what was not synced any first part stays, or (torn) any part"),
        FaultName::Disk => Ok("the node's syncs are slow, or its writes and syncs fail, which ends it"),
        FaultName::Damage => Ok("the stopped node's files are changed"),
        FaultName::Resources => Err("simulated nodes take no processor time and no memory"),
        FaultName::Membership => Ok(
            "the nodes' own requests: by single steps, through a joint configuration, or several at once; the office is \
                handed over now and then; a node that is taken back has its old log",
        ),
    }
}

/// Whether this fault can be brought about on this ground and machine where a proxy on each link keeps nodes apart that
/// have no networks of their own; an error says why it cannot.
pub fn by_proxy(fault: FaultName, ground: Ground) -> Result<(), String> {
    match fault {
        // It slows streams down itself, and takes nothing of the machine's.
        FaultName::Packets => possible(fault, ground).map(drop).map_err(str::to_owned),
        FaultName::Power | FaultName::Disk => {
            Err("its mounts must end with the trial, as they do in namespaces; leave \
                out `--isolation proxy`"
                .into())
        }
        _ => available(fault, ground).map(drop),
    }
}

/// Whether a proxy can bring about this very trouble of packets.
pub fn trouble_by_proxy(trouble: Trouble) -> Result<(), &'static str> {
    match proxy::is_possible(trouble) {
        true => Ok(()),
        false => Err(
            "a proxy carries streams of bytes: they can be late or slow, but what else packets suffer takes \
                namespaces; leave out `--isolation proxy`",
        ),
    }
}

/// Whether this machine has what the fault needs on this ground; an error says what it lacks.
pub fn probe(fault: FaultName, ground: Ground) -> Result<(), String> {
    if ground == Ground::Simulation {
        return Ok(());
    }
    match fault {
        FaultName::Packets if ground == Ground::Bundled => {
            let hint = |why| format!("{why}; with `--isolation proxy` streams can be late or slow");
            crate::host::packets::probe().map(drop).map_err(hint)
        }
        FaultName::Packets if ground != Ground::Hosts => crate::host::packets::probe().map(drop),
        FaultName::Resources if ground != Ground::Hosts => crate::host::resources::probe().map(drop),
        FaultName::Clock if matches!(ground, Ground::Local | Ground::LocalUnprivileged) => {
            crate::host::vdso::probe().map(drop)
        }
        FaultName::Power | FaultName::Disk if ground != Ground::Hosts => disk::probe().map(drop),
        // Signals and packet filters are tried when the ground is set up, which names what is refused.
        _ => Ok(()),
    }
}

/// How a fault is brought about on this ground and machine; an error says why it cannot be.
pub fn available(fault: FaultName, ground: Ground) -> Result<&'static str, String> {
    let how = possible(fault, ground)?;
    probe(fault, ground).map(|()| how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_strikes_unasked_is_possible_on_the_bundled_cluster() {
        for fault in FaultName::CUSTOMARY {
            assert!(available(fault, Ground::Bundled).is_ok(), "{fault}");
        }
    }

    #[test]
    fn every_cell_says_how_or_why_not() {
        for (fault, ground) in FaultName::ALL.into_iter().flat_map(|f| Ground::ALL.map(|g| (f, g))) {
            let (Ok(words) | Err(words)) = possible(fault, ground);
            assert!(words.len() > 10, "{fault} on {}", ground.describe());
        }
    }
}
