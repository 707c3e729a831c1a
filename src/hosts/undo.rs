//! Where the hosts of a trial are, written down before anything is made there, and their undoing after the fact.
//!
//! What a fault did is undone by the helper on each host, within its lease, whether anybody asks or not. `heal`
//! asks at once, ends the helper, and removes the trial's folder. No secret is in the file: passwords are named
//! by their variables.

use super::{UNDO_MAX, each};
use crate::host::ssh::{Access, Purpose, SshHost, quoted};
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file's name in a trial's folder.
pub const FILE: &str = "hosts.json";
const VERSION: u32 = 1;

/// Where the hosts of a trial are, and what was put there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostList {
    /// The version of this format.
    pub version: u32,
    /// How each host is reached.
    pub hosts: Vec<Access>,
    /// Whether we are root there by `sudo`.
    pub sudo: bool,
    /// The trial's folder on each of them.
    pub folder: String,
    /// The helper.
    pub helper: String,
}

impl HostList {
    /// Writes it down.
    pub fn keep(&self, folder: &Path) -> Result<(), String> {
        let path = folder.join(FILE);
        store::write_json(&path, self).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Notes that nothing is left on the hosts.
    pub fn done(folder: &Path) {
        // If it stays, `heal` finds nothing to undo there.
        let _ = std::fs::remove_file(folder.join(FILE));
    }

    pub(super) fn new(hosts: Vec<Access>, sudo: bool, folder: String, helper: String) -> HostList {
        HostList { version: VERSION, hosts, sudo, folder, helper }
    }
}

/// Whether something may be left on hosts by the trial of this folder.
pub fn is_due(folder: &Path) -> bool {
    folder.join(FILE).is_file()
}

/// Undoes on its hosts what the trial of this folder left; says how many hosts that were.
pub fn heal(folder: &Path) -> Result<usize, String> {
    let path = folder.join(FILE);
    let wrong = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let list: HostList = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if list.version != VERSION {
        return Err(wrong(format!("version {} is not known here", list.version)));
    }
    let hosts = list.hosts.iter().map(|access| SshHost::new(access.clone(), list.sudo));
    let hosts = hosts.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| wrong(error.to_string()))?;
    runtime.block_on(leave(&hosts, &list.folder, &list.helper))?;
    HostList::done(folder);
    Ok(hosts.len())
}

/// Has the helpers undo everything and end, and removes the trial's folder. Idempotent.
pub(super) async fn leave(hosts: &[SshHost], folder: &str, helper: &str) -> Result<(), String> {
    let (agent, folder, helper) = (quoted(&agent_folder(folder)), quoted(folder), quoted(helper));
    let command = format!(
        "if test -d {agent}; then {helper} agent heal --folder {agent} --end >/dev/null || exit 1; fi; rm -rf -- {folder}"
    );
    let left = each(hosts, |host| {
        let command = command.clone();
        async move {
            let said = host.run_as_root(Purpose::Heal, &command, UNDO_MAX).await?;
            host.expect(&said, "undo what the trial did")
        }
    });
    left.await.map(drop)
}

/// Where the helper lives, in the trial's folder.
pub(super) fn agent_folder(folder: &str) -> String {
    format!("{folder}/agent")
}
