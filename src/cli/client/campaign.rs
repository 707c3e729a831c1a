//! The client of a campaign, tried out on a cluster of one node that is started for it, or on an external one.
//!
//! Hosts over SSH are left out: there a node runs only as long as a trial does. Name one that runs, and a program.

use super::{CheckArgs, Exit, Finding, Running, Tried, usage};
use crate::campaign::{Campaign, Nodes};
use crate::cli::{broken, fresh_seed};
use crate::host::{self, Status, Wish};
use crate::plan::{Impossible, Plan, TrialPlan};
use crate::registry::Registry;
use crate::trial::tryout::{self, Client};
use elenchus_core::client::Capability;
use elenchus_systems::described::DescribedSystem;
use elenchus_systems::exec::Node;
use std::path::{Path, PathBuf};

/// Tries out the client of the campaign in this file.
pub(super) fn check(args: &CheckArgs, path: &Path, registry: &Registry) -> Exit {
    let plan = match plan(path, registry) {
        Ok(plan) => plan,
        Err(why) => return usage(&why),
    };
    if plan.cluster.as_ref().is_some_and(|description| description.hosts.is_some()) {
        return usage(
            "nodes on hosts over SSH run only while a trial does; start one by hand and name it: \
             elenchus client check --ip ADDRESS --port client=PORT -- PROGRAM",
        );
    }
    if plan.system == "memory" {
        return usage("the system `memory` has no nodes, and its client is no client of yours");
    }
    let folder = match Folder::make() {
        Ok(folder) => folder,
        Err(error) => return broken(&format!("no temporary folder can be made: {error}")),
    };
    let exit = match &plan.cluster {
        Some(description) if description.external => {
            match tryout::on_external(&plan, &folder.0, async |client| {
                examine(args, registry, &plan, client).await
            }) {
                Ok(findings) => shown(args, findings),
                Err(why) => broken(&why.to_string()),
            }
        }
        _ => on_ground(args, registry, &plan, &folder.0),
    };
    if matches!(exit, Exit::Valid) || !folder.0.join("logs").exists() {
        folder.remove();
    } else {
        eprintln!(
            "elenchus: what the node and the client said is kept in {}",
            folder.0.join("logs").display()
        );
    }
    exit
}

/// The campaign as a trial of one node in which nothing is broken; of all its nodes, if it cannot be of one.
fn plan(path: &Path, registry: &Registry) -> Result<TrialPlan, String> {
    let (campaign, _) = Campaign::read(path).map_err(|error| error.to_string())?;
    let offered = campaign.cluster.as_ref().map(|description| description.client.capabilities());
    let is_watcher = offered.is_some_and(|offered| !offered.contains(&Capability::Kv));
    let quiet = Campaign {
        workload: Some(if is_watcher { "watch" } else { "register" }.into()),
        values: None,
        consistency: None,
        fencing: false,
        lease_ttl: None,
        concurrency: None,
        nemesis: "none".parse().ok(),
        schedule: Vec::new(),
        test_count: None,
        leave_running: false,
        ..campaign
    };
    let fixed = quiet.cluster.as_ref().is_some_and(|cluster| cluster.external || cluster.hosts.is_some());
    let one = |campaign: Campaign| -> Result<TrialPlan, Impossible> {
        Ok(Plan::of(registry, &campaign, fresh_seed(), None)?.trials.remove(0))
    };
    let told = |why: Impossible| format!("{}: {why}", path.display());
    if fixed {
        return one(quiet).map_err(told);
    }
    let first = quiet.nodes.as_ref().map_or("n1", |nodes| nodes.0[0].as_str()).to_owned();
    let single = Campaign { nodes: Some(Nodes(vec![first])), ..quiet.clone() };
    one(single).or_else(|_| one(quiet)).map_err(told)
}

fn on_ground(args: &CheckArgs, registry: &Registry, plan: &TrialPlan, folder: &Path) -> Exit {
    let body = |ground| {
        let found = tryout::on_ground(registry, plan, ground, folder, async |client| {
            examine(args, registry, plan, client).await
        });
        let exit = match found {
            Ok(findings) => shown(args, findings),
            Err(why) => broken(&why.to_string()),
        };
        i32::from(exit.code())
    };
    let wish = Wish { isolation: plan.isolation, nodes: &plan.nodes, port_base: plan.port_base };
    match host::run_trial(wish, folder, body) {
        Ok(ended) => match ended.controller {
            Some(Status::Exited(0)) => Exit::Valid,
            Some(Status::Exited(1)) => Exit::Invalid,
            _ => Exit::Broken,
        },
        Err(why) => broken(&why.to_string()),
    }
}

/// Nothing is found where the user wanted an end.
fn shown(args: &CheckArgs, findings: Option<Vec<Finding>>) -> Exit {
    match findings {
        Some(findings) => args.show(&findings),
        None => broken("it was interrupted; not all was tried out"),
    }
}

async fn examine(
    args: &CheckArgs,
    registry: &Registry,
    plan: &TrialPlan,
    client: Client<'_>,
) -> Vec<Finding> {
    let offered = registry.offered(plan);
    let node = &plan.nodes[0];
    let program = |told: &Node| {
        let program = client.described.and_then(|system: &DescribedSystem| system.program(node, told));
        program.expect("it was looked at before: the client is a program")
    };
    let told = client.described.filter(|system| system.program(node, &system.told(node)).is_some());
    let tried = match told {
        Some(system) => Tried::Program(Running { program: &program, node: system.told(node) }),
        None => Tried::Any { connector: client.connector, node: node.clone() },
    };
    args.subject(tried, offered).examine().await
}

/// A folder for one check.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Folder> {
        let name = format!("elenchus-client-check-{}-{}", std::process::id(), fresh_seed());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    fn remove(self) {
        // What cannot be removed harms nobody.
        let _ = std::fs::remove_dir_all(self.0);
    }
}
