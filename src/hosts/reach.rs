//! From a description to how each of its hosts is reached, as far as can be said without reaching them.

use crate::host::ssh::{Access, Config, Us};
use elenchus_core::process::NodeId;
use elenchus_systems::described::description::Description;
use elenchus_systems::described::hosts::Ssh;
use std::path::{Path, PathBuf};

/// How the hosts of these nodes are reached, in their order.
pub fn accesses(description: &Description, nodes: &[NodeId]) -> Result<Vec<Access>, String> {
    let hosts = description.hosts.as_ref().ok_or("no hosts are named")?;
    let ssh = description.ssh.clone().unwrap_or_default();
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
    let user = our_name();
    let us = Us { home: &home, user: &user, folder: Path::new(&description.campaign) };
    let config = config(&ssh, &us)?;
    let access = |node: &NodeId| {
        let place = hosts.place(node.as_str()).ok_or_else(|| format!("the node {node} has no host"))?;
        Access::of(node, place, &ssh, &config, &us).map_err(|why| format!("{node}: {why}"))
    };
    nodes.iter().map(access).collect()
}

/// OpenSSH's configuration. The user's own need not be there; one that the campaign names must.
fn config(ssh: &Ssh, us: &Us<'_>) -> Result<Config, String> {
    let path = match &ssh.config {
        Some(path) => us.expanded(path),
        None => us.home.join(".ssh/config"),
    };
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && ssh.config.is_none() => vec![],
        Err(error) => return Err(format!("ssh.config: {}: {error}", path.display())),
    };
    Config::parse(&String::from_utf8_lossy(&text)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Who we are here, as OpenSSH would say it.
fn our_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    user.map(|user| user.name).or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "root".into())
}
