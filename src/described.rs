//! A described cluster on its ground: which node has which address, and where its folders are.

use crate::host::Ground;
use crate::plan::TrialPlan;
use crate::store::file;
use elenchus_systems::described::description::Description;
use elenchus_systems::described::{DescribedSystem, Here, Seat};
use std::path::Path;
use std::rc::Rc;

/// The system of a planned trial on this machine.
pub fn system(
    description: &Description,
    plan: &TrialPlan,
    ground: &Ground,
    folder: &Path,
) -> Result<DescribedSystem, String> {
    let absolute = std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let seats = plan.nodes.iter().map(|node| {
        let logs = absolute.join(file::LOGS).join(node.as_str());
        Seat {
            node: node.clone(),
            address: ground.addresses.listen(node).ip().to_string(),
            host: Rc::new(Here),
            folder: absolute.join(file::DATA).join(node.as_str()),
            output: logs.join("output.log"),
            client_log: logs.join("client.log"),
        }
    });
    DescribedSystem::new(description.clone(), seats.collect())
}
