//! A described cluster on its ground: which node has which address, and where its folders are.

use crate::host::Ground;
use crate::plan::TrialPlan;
use crate::store::file;
use elenchus_systems::described::DescribedSystem;
use elenchus_systems::described::description::Description;
use std::path::Path;

/// The system of a planned trial.
pub fn system(
    description: &Description,
    plan: &TrialPlan,
    ground: &Ground,
    folder: &Path,
) -> Result<DescribedSystem, String> {
    let nodes = plan.nodes.iter().map(|node| (node.clone(), ground.addresses.listen(node).ip()));
    let absolute = std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let logs = absolute.join(file::LOGS);
    DescribedSystem::new(description.clone(), nodes.collect(), &absolute.join(file::DATA), |node| {
        logs.join(node.as_str()).join("output.log")
    })
}
