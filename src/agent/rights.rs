//! What a host allows: asked before anything is broken, without changing anything.

use super::clock;
use super::protocol::Right;
use super::systemd;
use super::wall::{self, FilterRequest};
use crate::host::disk;
use std::collections::BTreeMap;
use std::fs;

/// The kernel's number for the right to change the network.
pub(super) const NET_ADMIN: u32 = 12;
/// The kernel's number for the right to set the clock.
pub(super) const SYS_TIME: u32 = 25;

/// What this host allows, by what it is needed for.
pub fn rights(filter: FilterRequest, host_clock: bool) -> BTreeMap<String, Right> {
    let root = match nix::unistd::Uid::effective().is_root() {
        true => Ok("root".to_owned()),
        false => Err(format!("this is user {}, without sudo", nix::unistd::Uid::effective())),
    };
    let rights = [
        ("kill", Ok("signals to the process group".to_owned())),
        ("pause", Ok(pause())),
        ("partition", wall::probe(filter)),
        ("resources", crate::host::resources::probe()),
        // The probe makes namespaces of its own, in which everybody may; here it takes the right itself.
        ("packets", wall::permitted().and_then(|()| crate::host::packets::probe())),
        ("clock", clock::probe(host_clock)),
        ("power", disk::probe_as_we_are()),
        ("disk", disk::probe_as_we_are()),
        ("damage", Ok("the files of a stopped node".to_owned())),
        ("user", root),
        ("unit", systemd::probe()),
    ];
    rights.into_iter().map(|(what, right)| (what.to_owned(), right.into())).collect()
}

fn pause() -> String {
    match crate::host::resources::freezer::probe() {
        Ok(where_to) => format!("the kernel's freezer, {where_to}"),
        Err(_) => "signals to the process group".to_owned(),
    }
}

/// Whether we have this right, as `/proc/self/status` shows it.
pub(super) fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).is_some_and(|mask| mask >> number & 1 == 1)
}

fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_mask() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n";
        assert_eq!(effective(status).map(|mask| mask >> NET_ADMIN & 1), Some(1));
        assert_eq!(effective(status).map(|mask| mask >> SYS_TIME & 1), Some(0));
        assert_eq!(effective("CapEff:\tgarbage"), None);
        assert_eq!(effective(""), None);
    }
}
