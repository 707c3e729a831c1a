//! A trial written out: every operation and every strike at its own time, nothing left to be drawn but chance by name.
//!
//! A script stands in the plan of a simulated trial and takes the place of the workload's generator and of the
//! nemesis. Made of what a trial left, it is the same run; with items left out it is a smaller one. What a
//! violation was shrunk to is such a script, and can be kept as a regression test.
//!
//! Deliberately absent: choosing what to leave out. That is `shrink`'s.

mod actor;

pub use actor::Actor;

use crate::plan::TrialPlan;

use elenchus_core::fault::{Cut, Fault, FaultId, Proof, Target};
use elenchus_core::fault_log::{self, Span};
use elenchus_core::history::{EventRef, History};
use elenchus_core::plain::{from_json, to_json};
use elenchus_core::process::{NodeId, Process};
use elenchus_core::value::Value;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Script {
    /// The violation that it is about.
    pub sought: Sought,
    /// Another number is another weather: other latencies and losses for the same operations and strikes. An even one
    /// has other election timeouts, too; 0 is the trial's own weather.
    #[serde(default)]
    pub luck: u64,
    /// The node that each slot speaks to.
    pub seats: Vec<NodeId>,
    /// How long the trial lasts at least, in nanoseconds.
    pub until_ns: u64,
    /// When the last questions begin, in nanoseconds; operations from there on wait until all is healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_ns: Option<u64>,
    /// What is broken.
    pub strikes: Vec<Blow>,
    /// What clients ask.
    pub operations: Vec<Step>,
}

/// What a smaller script must still show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sought {
    /// The checker that saw it.
    pub checker: String,
    /// The class of the violation.
    pub class: String,
}

/// One operation at its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// When it is invoked, in nanoseconds; later if the slot is busy.
    pub at_ns: u64,
    /// In which slot.
    pub slot: u32,
    /// The function, as in the history.
    pub f: String,
    /// Which object, as in the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<serde_json::Value>,
    /// The arguments, as in the history.
    pub value: serde_json::Value,
}

/// One strike at its time, its targets named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Blow {
    /// The fault's name, by which chance is drawn.
    pub id: FaultId,
    /// When it is injected, in nanoseconds.
    pub at_ns: u64,
    /// When it is healed, in nanoseconds; at the end of the trial if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal_ns: Option<u64>,
    /// Whether it waits until somebody leads, as one does that is aimed at whoever that is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once_led: bool,
    /// What it is.
    pub fault: Fault,
}

impl Script {
    /// What happened in a trial, written out whole. An error names what cannot be written.
    pub fn of(plan: &TrialPlan, history: &History, sought: Sought) -> Result<Script, String> {
        let slots = plan.concurrency;
        let calls = history.invocations().map(|index| history.event(index));
        let operations = calls.map(|call| step(&call, slots)).collect::<Result<_, _>>()?;
        let end = history.events().map(|event| event.time.0).max().unwrap_or(0);
        let phase = |event: &EventRef<'_>| event.f == "phase" && event.process == Process::NEMESIS;
        let nodes = plan.nodes.len();
        Ok(Script {
            sought,
            luck: 0,
            seats: (0..slots as usize).map(|slot| plan.nodes[slot % nodes].clone()).collect(),
            until_ns: end,
            final_ns: history.events().find(phase).map(|event| event.time.0),
            strikes: fault_log::spans(history).iter().filter_map(blow).collect(),
            operations,
        })
    }

    /// Changes every time in it, each by itself.
    pub fn retime(&mut self, change: impl Fn(u64) -> u64) {
        let change = |at: &mut u64| *at = change(*at);
        self.operations.iter_mut().for_each(|Step { at_ns, .. }| change(at_ns));
        for Blow { at_ns, heal_ns, .. } in &mut self.strikes {
            change(at_ns);
            heal_ns.iter_mut().for_each(change);
        }
        self.final_ns.iter_mut().for_each(change);
        change(&mut self.until_ns);
    }

    /// What is left to be left out: strikes, operations and nodes.
    pub fn size(&self, nodes: usize) -> usize {
        self.strikes.len() + self.operations.len() + nodes
    }

    /// Whether a plan can follow it; an error says why not.
    pub fn check(&self, plan: &TrialPlan) -> Result<(), String> {
        if plan.simulation.is_none() {
            return Err("script: only a simulated trial can follow one".into());
        }
        if self.seats.len() != plan.concurrency as usize {
            let (seats, slots) = (self.seats.len(), plan.concurrency);
            return Err(format!("script: {seats} seats for {slots} slots"));
        }
        if let Some(seat) = self.seats.iter().find(|seat| !plan.nodes.contains(seat)) {
            return Err(format!("script: {seat} is no node of the plan"));
        }
        match self.operations.iter().find(|step| step.slot >= plan.concurrency) {
            Some(step) => Err(format!("script: there is no slot {}", step.slot)),
            None => Ok(()),
        }
    }
}

impl Step {
    /// The object, as a history has it.
    pub fn key(&self) -> Option<Value> {
        self.key.clone().map(from_json)
    }

    /// The arguments, as a history has them.
    pub fn value(&self) -> Value {
        from_json(self.value.clone())
    }
}

fn step(call: &EventRef<'_>, slots: u32) -> Result<Step, String> {
    let at = |what: String| format!("event {} cannot be written into a script: {what}", call.index);
    Ok(Step {
        at_ns: call.time.0,
        slot: call.process.0 % slots.max(1),
        f: call.f.into(),
        key: call.key.map(to_json).transpose().map_err(at)?,
        value: to_json(call.value).map_err(at)?,
    })
}

/// A fault, its targets as they were then. One that was not done in time may have struck all the same: it is asked for
/// again as it was, and fails as it did.
fn blow(span: &Span) -> Option<Blow> {
    let aim = span.target.clone()?;
    let once_led = span.proof_injected.is_some() && aim.is_at_leaders();
    let fault = match &span.proof_injected {
        Some(proof) => resolved(aim, proof),
        None => aim,
    };
    Some(Blow {
        id: span.id,
        at_ns: span.inject?.1.0,
        heal_ns: span.heal.map(|(_, at)| at.0),
        once_led,
        fault,
    })
}

fn resolved(mut fault: Fault, proof: &Proof) -> Fault {
    if let Fault::Partition { cut, .. } = &mut fault {
        *cut = Cut::Links(proof.links.clone());
    }
    if let Some(nodes) = fault.nodes_mut() {
        *nodes = Target::Nodes(proof.nodes.clone());
    }
    fault
}
