//! A script to be made small, for tests.

use super::trials::Sight;
use crate::campaign::{Campaign, Faults};
use crate::plan::{Plan, TrialPlan};
use crate::registry::Registry;
use crate::script::{Blow, Script, Sought, Step};
use elenchus_core::fault::{Cut, Fault, FaultId, Link, Manner, Shape, Target};
use elenchus_core::process::NodeId;
use elenchus_core::time::Time;

/// A millisecond in nanoseconds.
pub const MS: u64 = 1_000_000;

/// Five nodes, two partitions, a kill and a pause, and an operation every 100 ms on one of three keys for 12 s.
pub fn plan(checker: &str) -> TrialPlan {
    let campaign = Campaign { sim: true, seed: Some(5), nemesis: Some(Faults::All), ..Campaign::default() };
    let mut plan = Plan::of(&Registry::builtin(), &campaign, 0, None).unwrap().trials.remove(0);
    let node = |number: usize| NodeId::new(&format!("n{number}"));
    let cut = |from, to| Fault::Partition {
        shape: Shape::OneWay,
        cut: Cut::Links(vec![Link { from: node(from), to: node(to) }]),
        manner: Manner::Drop,
    };
    let at = |number| Target::Nodes(vec![node(number)]);
    let faults = [cut(1, 2), Fault::Kill { nodes: at(3) }, cut(4, 5), Fault::Pause { nodes: at(1) }];
    let strikes = faults.into_iter().zip(0..).map(|(fault, number)| Blow {
        id: FaultId(number),
        at_ns: (u64::from(number) * 3_000 + 1_000) * MS,
        heal_ns: Some((u64::from(number) * 3_000 + 3_000) * MS),
        once_led: false,
        fault,
    });
    let operations = (0..120).map(|number| Step {
        at_ns: u64::from(number) * 100 * MS,
        slot: number % plan.concurrency,
        f: if number % 2 == 0 { "write" } else { "read" }.into(),
        key: Some((number % 3).into()),
        value: if number % 2 == 0 { number.into() } else { serde_json::Value::Null },
    });
    plan.script = Some(Script {
        sought: Sought { checker: checker.into(), class: "some".into() },
        luck: 0,
        seats: (0..plan.concurrency as usize)
            .map(|slot| plan.nodes[slot % plan.nodes.len()].clone())
            .collect(),
        until_ns: 12_000 * MS,
        final_ns: Some(11_000 * MS),
        strikes: strikes.collect(),
        operations: operations.collect(),
    });
    plan
}

/// A contradiction of key 2 at 10.5 s, proved by the operations of 10.1 and 10.4 s.
pub fn sight(plan: &TrialPlan) -> Sight {
    let proof = [101u32, 104].map(|number| (number % plan.concurrency, Time(u64::from(number) * 100 * MS)));
    Sight { at: Time(10_500 * MS), calls: proof.to_vec(), key: Some("2".into()) }
}
