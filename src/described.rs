//! A described cluster on its ground: which node has which address, and where its folders are.

use crate::host::Ground;
use crate::plan::TrialPlan;
use crate::store::file;
use elenchus_core::process::NodeId;
use elenchus_systems::described::DescribedSystem;
use elenchus_systems::described::description::Description;
use nix::unistd::{User, getgrouplist};
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The system of a planned trial.
pub fn system(
    description: &Description,
    plan: &TrialPlan,
    ground: &Ground,
    folder: &Path,
) -> Result<DescribedSystem, String> {
    let nodes = plan.nodes.iter().map(|node| (node.clone(), ground.addresses.listen(node).ip()));
    let folder = absolute(folder)?;
    let logs = folder.join(file::LOGS);
    let data = folder.join(file::DATA);
    let system = DescribedSystem::new(description.clone(), nodes.collect(), &data, output(&logs))?;
    let Some(name) = &description.user else { return Ok(system) };
    let user = account(name)?;
    may_enter(&user, &data)?;
    Ok(system.owned_by(user.uid.as_raw(), user.gid.as_raw()))
}

/// The system of a trial whose nodes somebody else runs.
pub fn external(
    description: &Description,
    plan: &TrialPlan,
    folder: &Path,
) -> Result<DescribedSystem, String> {
    let folder = absolute(folder)?;
    let logs = folder.join(file::LOGS);
    for node in &plan.nodes {
        let folder = logs.join(node.as_str());
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    DescribedSystem::external(description.clone(), &plan.nodes, &folder.join(file::DATA), output(&logs))
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

fn output(logs: &Path) -> impl Fn(&NodeId) -> PathBuf {
    move |node| logs.join(node.as_str()).join("output.log")
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
