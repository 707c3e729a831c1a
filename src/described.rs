//! A described cluster on its ground: which node has which address, and where its folders are.

use crate::host::Ground;
use crate::plan::TrialPlan;
use crate::store::file;
use elenchus_core::process::NodeId;
use elenchus_systems::described::description::Description;
use elenchus_systems::described::{DescribedSystem, Here, Seat};
use nix::unistd::{User, getgrouplist};
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The system of a planned trial on this machine.
pub fn system(
    description: &Description,
    plan: &TrialPlan,
    ground: &Ground,
    folder: &Path,
) -> Result<DescribedSystem, String> {
    let folder = absolute(folder)?;
    if let Some(name) = &description.user {
        // The folder is there only once nodes have been installed.
        may_enter(&account(name)?, &folder.join(file::DATA))?;
    }
    let seats = plan.nodes.iter().map(|node| {
        let address = ground.addresses.listen(node).ip().to_string();
        seat(node, address, &folder)
    });
    DescribedSystem::new(description.clone(), seats.collect())
}

/// The system of a trial whose nodes somebody else runs.
pub fn external(
    description: &Description,
    plan: &TrialPlan,
    folder: &Path,
) -> Result<DescribedSystem, String> {
    let folder = absolute(folder)?;
    let seat = |node: &NodeId| {
        let (host, _) = description.address(node.as_str()).ok_or(format!("{node} has no address"))?;
        let logs = folder.join(file::LOGS).join(node.as_str());
        std::fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
        Ok(seat(node, host, &folder))
    };
    DescribedSystem::new(description.clone(), plan.nodes.iter().map(seat).collect::<Result<_, String>>()?)
}

/// The place of a node whose folders are in this trial's.
fn seat(node: &NodeId, address: String, folder: &Path) -> Seat {
    let logs = folder.join(file::LOGS).join(node.as_str());
    Seat {
        node: node.clone(),
        address,
        host: Rc::new(Here),
        folder: folder.join(file::DATA).join(node.as_str()),
        output: logs.join("output.log"),
        client_log: logs.join("client.log"),
    }
}

/// The account of this name.
pub fn account(name: &str) -> Result<User, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(format!("there is no user `{name}`")),
        Err(errno) => Err(format!("the user `{name}` cannot be looked up: {}", errno.desc())),
    }
}

fn absolute(folder: &Path) -> Result<PathBuf, String> {
    std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Whether the user can reach a folder: else his nodes would fail in ways that say nothing of this.
fn may_enter(user: &User, folder: &Path) -> Result<(), String> {
    let name = CString::new(user.name.as_str()).map_err(|error| error.to_string())?;
    let groups = getgrouplist(&name, user.gid).map_err(|errno| errno.desc().to_owned())?;
    for above in folder.ancestors().skip(1) {
        let data = std::fs::metadata(above).map_err(|error| format!("{}: {error}", above.display()))?;
        let shift = match () {
            () if data.uid() == user.uid.as_raw() => 6,
            () if groups.iter().any(|group| group.as_raw() == data.gid()) => 3,
            () => 0,
        };
        if data.mode() >> shift & 1 == 0 {
            let (name, above) = (&user.name, above.display());
            return Err(format!("the user `{name}` may not enter {above}: name another place with --store"));
        }
    }
    Ok(())
}
