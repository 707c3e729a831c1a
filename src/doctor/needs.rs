//! What a campaign needs of this machine: programs, variables, users, addresses, faults.

use super::{Finding, machine};
use crate::campaign::Campaign;
use crate::host::IsolationRequest;
use crate::plan::{Impossible, TrialPlan};
use elenchus_systems::described::description::{Client, Description, Ready};
use std::collections::BTreeSet;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a node that somebody else runs may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Whether the campaign can be planned here, with all that a plan looks at: forms, templates, faults, ports, users.
pub fn plan(planned: &Result<TrialPlan, Impossible>) -> Finding {
    let what = "the campaign";
    match planned {
        Ok(plan) => {
            let nodes = plan.nodes.len();
            Finding::yes(
                what,
                format!("{} on {nodes} × {}, and every template fills", plan.workload, plan.system),
            )
        }
        Err(why) => Finding::no(what, why.to_string(), "the campaign", "what the reason says").needed(),
    }
}

/// What must keep the nodes apart, given what the machine allows.
pub fn isolation(campaign: &Campaign, machine: &[Finding]) -> Option<Finding> {
    let is_here = |description: &Description| !description.external && description.hosts.is_none();
    let described = campaign.cluster.as_ref().is_some_and(is_here);
    if !described && campaign.isolation != Some(IsolationRequest::Namespaces) {
        return None;
    }
    let what = "a network for each node";
    Some(match machine::has_namespaces(machine) {
        true => Finding::yes(what, "by namespaces").needed(),
        false => {
            let why = "both ways to namespaces are refused";
            Finding::no(what, why, "the campaign", "what either way to namespaces says above").needed()
        }
    })
}

/// What the description of a cluster names.
pub fn cluster(description: &Description, folder: &Path) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    // What nodes on hosts run is looked for there.
    let nodes = if description.hosts.is_some() { BTreeSet::new() } else { node_programs(description) };
    let programs: BTreeSet<String> = nodes.into_iter().chain(client_program(description)).collect();
    findings.extend(programs.into_iter().map(|program| self::program(&program, folder)));
    findings.extend(beside(description, folder));
    findings.extend(description.secrets().into_iter().map(|(key, variable)| secret(&key, variable)));
    findings.extend(description.addresses.iter().map(|(node, address)| reach(node, address)));
    findings
}

/// The program that speaks to the nodes, if it is one.
fn client_program(description: &Description) -> Option<String> {
    match &description.client {
        Client::Exec { command, .. } => command.first().filter(|program| !is_made(program)).cloned(),
        _ => None,
    }
}

/// The programs that nodes are, or that run beside them, each once. One that a hole stands for is made by the trial.
pub(super) fn node_programs(description: &Description) -> BTreeSet<String> {
    let ready = match &description.ready {
        Ready::Command(command) => Some(command),
        _ => None,
    };
    let own = description.node.values().filter_map(|own| own.command.as_ref());
    let leader = description.leader.as_ref().and_then(|leader| leader.command.as_ref());
    let commands = [Some(&description.command), description.stop.as_ref(), ready, leader];
    let all = commands.into_iter().flatten().chain(own);
    let tools =
        ["systemctl", "journalctl"].into_iter().filter(|_| description.has_units()).map(str::to_owned);
    all.filter_map(|command| command.first())
        .filter(|program| !is_made(program))
        .cloned()
        .chain(tools)
        .collect()
}

/// The files beside the campaign that a client program is started with, if they are missing.
fn beside<'d>(description: &'d Description, folder: &'d Path) -> impl Iterator<Item = Finding> + 'd {
    let command = if let Client::Exec { command, .. } = &description.client { &command[..] } else { &[] };
    let files = command.iter().skip(1).filter_map(|word| word.strip_prefix("{campaign}/"));
    let missing = files.filter(|file| !file.contains('{') && !folder.join(file).exists());
    missing.map(|file| {
        let why = format!("{} is not there, and the client's command names it", folder.join(file).display());
        Finding::no(format!("file {file}"), why, "the campaign", "put it there, or correct its name").needed()
    })
}

fn is_made(program: &str) -> bool {
    program.contains('{') && !program.starts_with("{campaign}")
}

fn program(name: &str, folder: &Path) -> Finding {
    let what = format!("program {name}");
    let path = PathBuf::from(name.replace("{campaign}", &folder.to_string_lossy()));
    let found = match name.contains('/') {
        true => Some(path.clone()).filter(|path| is_program(path)),
        false => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_program(path))
        }
    };
    match found {
        Some(path) => Finding::yes(what, path.display().to_string()).needed(),
        None if name.contains('/') => {
            let why = format!("{} is no program that this user may run", path.display());
            Finding::no(what, why, "the campaign", "install it, or correct its path").needed()
        }
        None => {
            Finding::no(what, "it is not in PATH", "the campaign", "install it, or name its path").needed()
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn secret(key: &str, variable: &str) -> Finding {
    let what = format!("variable {variable}");
    match std::env::var(variable) {
        Ok(_) => Finding::yes(what, format!("set, for {key}")).needed(),
        Err(_) => {
            let why = format!("{key} takes its value from it, and it is not set, or is no text");
            Finding::no(what, why, "the campaign", format!("export {variable}=…")).needed()
        }
    }
}

fn reach(node: &str, address: &str) -> Finding {
    let what = format!("{node} at {address}");
    let connected = address.to_socket_addrs().and_then(|mut all| {
        let first = all.next().ok_or_else(|| std::io::Error::other("it has no address"))?;
        TcpStream::connect_timeout(&first, CONNECT_MAX)
    });
    match connected {
        Ok(_) => Finding::yes(what, "it accepts connections").needed(),
        Err(error) => {
            let remedy = "start it, or correct its address";
            Finding::no(what, error.to_string(), "the campaign", remedy).needed()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        assert!(program("sh", Path::new("/")).ok);
        assert!(program("/bin/sh", Path::new("/")).ok);
        assert!(program("{campaign}/sh", Path::new("/bin")).ok);
        assert!(!program("elenchus-no-such-program", Path::new("/")).ok);
        assert!(!program("/etc/passwd", Path::new("/")).ok, "it cannot be run");
        assert!(is_made("{dir}/server") && !is_made("{campaign}/server"));
    }

    #[test]
    fn who_accepts_no_connections_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        assert!(reach("n1", &address).ok);
        drop(listener);
        let gone = reach("n1", &address);
        assert!(!gone.ok && gone.needed && gone.what.contains("n1"), "{gone:?}");
    }
}
