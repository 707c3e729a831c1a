//! The bundled cluster on its ground: which node listens where, and whom it dials.

use crate::host::Ground;
use crate::plan::TrialPlan;
use crate::store::file;
use elenchus_reference::bug::UnknownBug;
use elenchus_reference::node::NodeOptions;
use elenchus_reference::node::protocols::{Protocol, RaftOptions};
use elenchus_reference::protocol::Peer;
use elenchus_systems::bundled::BundledSystem;
use std::path::Path;
use std::time::Duration;

/// The system of a planned trial; its nodes are further processes of this very program.
pub fn system(plan: &TrialPlan, ground: &Ground, folder: &Path) -> Result<BundledSystem, String> {
    let program =
        std::env::current_exe().map_err(|e| format!("this program's own file is not known: {e}"))?;
    let program = program.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"))?;
    let bugs = plan
        .bugs
        .iter()
        .map(|name| name.parse().map_err(|e: UnknownBug| e.to_string()))
        .collect::<Result<Vec<_>, String>>()?;
    let trace = folder.join(file::TRACE);
    std::fs::create_dir_all(&trace).map_err(|e| format!("{}: {e}", trace.display()))?;
    let nodes = plan.nodes.iter().enumerate().map(|(i, node)| NodeOptions {
        me: Peer(i as u16),
        name: node.to_string(),
        listen: ground.addresses.listen(node),
        peers: plan.nodes.iter().map(|to| ground.addresses.peer(node, to)).collect(),
        data: folder.join(file::DATA).join(node.as_str()),
        trace: Some(trace.join(format!("{node}.jsonl"))),
        // A restarted node must not draw the timeouts of its former life in lockstep with the others'.
        seed: plan.seed.stream("raft").nth(i as u64).0,
        cluster: plan.seed.stream("cluster").0,
        protocol: Protocol::Raft(RaftOptions {
            bugs: bugs.clone(),
            trace: plan.trace.word().into(),
            ..RaftOptions::default()
        }),
    });
    let command = vec![program, "node".into()];
    Ok(BundledSystem::new(command, nodes.collect()).with_operation_max(client_limit(plan.timeout.0)))
}

/// When a client gives up by itself: before the loop would, so that it can say why.
pub fn client_limit(timeout: Duration) -> Duration {
    timeout.saturating_sub(Duration::from_millis(200)).max(timeout / 2)
}
