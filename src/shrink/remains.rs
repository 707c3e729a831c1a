//! What is left of a shrunk violation: a folder as any trial's, with its script and its story.

use super::diagram;
use super::past::{Past, Remains};
use super::tale::{Tale, Theme, tell};
use super::trials::Performance;
use crate::judge::Verdicts;
use crate::plan::TrialPlan;
use crate::registry::Registry;
use crate::report;
use crate::script::Script;
use crate::store::{self, file};
use crate::trial::Stage;
use elenchus_core::fault::{Cut, Fault, Target};
use elenchus_core::fault_log;
use elenchus_core::format::jsonl;
use elenchus_core::history::History;
use elenchus_core::process::NodeId;
use elenchus_core::time::Time;
use std::fs;
use std::path::Path;

/// Carries a script out in a folder, over whatever was there, and tells its story. Returns the verdicts.
pub fn leave(registry: &Registry, plan: &TrialPlan, folder: &Path) -> Result<Verdicts, String> {
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(at)?;
    }
    fs::create_dir_all(folder).map_err(at)?;
    store::write_json(&folder.join(file::PLAN), plan).map_err(at)?;
    store::write_json(&folder.join(file::SHRUNK_PLAN), plan).map_err(at)?;
    let trial =
        registry.trial(plan, "").ok_or_else(|| format!("there is no workload `{}`", plan.workload))?;
    let stage = Stage::Simulation { traced: true };
    trial.run(registry, plan, "", stage, folder).map_err(|failed| failed.to_string())?;
    let performance = Performance::whole(registry, plan)?;
    let verdicts = Verdicts::of(performance.verdicts.clone());
    store::write_json(&folder.join(file::VERDICTS), &verdicts).map_err(at)?;
    if let Some(tale) = tale(plan, &performance)? {
        fs::write(folder.join(file::STORY), diagram::text(&tale)).map_err(at)?;
        fs::write(folder.join(file::STORY_PICTURE), diagram::svg(&tale)).map_err(at)?;
    }
    report::build(folder).map_err(|error| error.to_string())?;
    Ok(verdicts)
}

/// The story of what a script seeks, if it shows it.
fn tale(plan: &TrialPlan, performance: &Performance) -> Result<Option<Tale>, String> {
    let Some(script) = &plan.script else { return Ok(None) };
    let rehearsal = &performance.rehearsal;
    let recording = jsonl::read(&rehearsal.history).map_err(|error| error.to_string())?;
    let remains = Remains {
        nodes: &plan.nodes,
        seats: &script.seats,
        lines: &rehearsal.lines,
        history: &recording.history,
        strikes: strikes(&recording.history),
    };
    let past = Past::of(&remains);
    let theme = theme(script, performance, &past);
    Ok(theme.map(|theme| tell(&past, &remains, &theme)))
}

/// Classes of violations that elections alone can show.
const OF_ELECTIONS: [&str; 5] =
    ["two-leaders", "voted-twice", "forgot-term", "forgot-vote", "elected-without-quorum"];

/// The moments that contradict each other, and what the checker says of them.
fn theme(script: &Script, performance: &Performance, past: &Past<'_>) -> Option<Theme> {
    let class = &script.sought.class;
    let violations = &performance.rehearsal.findings.violations;
    if script.sought.checker == elenchus_checkers::consensus::NAME {
        let violation = violations.iter().find(|violation| violation.class == class)?;
        let roots: Vec<usize> = violation.events.iter().filter_map(|spot| past.line(spot)).collect();
        let elections = OF_ELECTIONS.contains(&violation.class);
        return Some(Theme { guilty: roots.clone(), roots, moral: violation.sentence.clone(), elections });
    }
    let verdict = performance.verdicts.iter().find(|verdict| verdict.checker == script.sought.checker)?;
    let anomaly = verdict.anomalies.iter().find(|anomaly| anomaly.class == *class)?;
    let moment = |index| past.event(index);
    let ends = anomaly.operations.iter().flat_map(|exhibit| [Some(exhibit.call), exhibit.done]);
    let last = anomaly.operations.iter().map(|exhibit| exhibit.done.unwrap_or(exhibit.call));
    Some(Theme {
        roots: ends.flatten().filter_map(moment).collect(),
        guilty: last.filter_map(moment).collect(),
        moral: anomaly.sentence.clone(),
        elections: false,
    })
}

/// Who was struck and healed when, in words.
fn strikes(history: &History) -> Vec<(Time, NodeId, String)> {
    let mut told = Vec::new();
    for span in fault_log::spans(history) {
        let Some(fault) = &span.target else { continue };
        for (node, struck, healed) in words(fault) {
            told.extend(span.injected.map(|(_, at)| (at, node.clone(), struck)));
            told.extend(span.healed.map(|(_, at)| (at, node, healed)));
        }
    }
    told
}

fn words(fault: &Fault) -> Vec<(NodeId, String, String)> {
    if let Fault::Partition { cut: Cut::Links(links), .. } = fault {
        let mut senders: Vec<&NodeId> = links.iter().map(|link| &link.from).collect();
        senders.sort();
        senders.dedup();
        let unreached = |from: &NodeId| {
            let to = links.iter().filter(|link| link.from == *from).map(|link| link.to.to_string());
            to.collect::<Vec<_>>().join(", ")
        };
        let say = |from: &NodeId| {
            let to = unreached(from);
            (from.clone(), format!("{from} no longer reaches {to}."), format!("{from} reaches {to} again."))
        };
        return senders.into_iter().map(say).collect();
    }
    let Some(Target::Nodes(nodes)) = fault.nodes() else { return Vec::new() };
    let (struck, healed) = match fault {
        Fault::Kill { .. } => ("dies", "is started again"),
        Fault::Pause { .. } => ("stands still", "goes on"),
        Fault::Clock { .. } => ("has a clock that lies", "has a true clock again"),
        Fault::Packets { .. } => ("gets its messages late or not at all", "gets its messages as they are"),
        Fault::Power { .. } => ("loses power, and what its disk had not synced", "is started again"),
        Fault::Disk { .. } => ("has a disk that ails", "has a sound disk again"),
        Fault::Damage { .. } => ("dies, and its files are harmed", "is started again"),
        Fault::Resources { .. } => ("must do with less", "has all it needs again"),
        Fault::Membership { .. } => ("is removed from the cluster", "is a member again"),
        Fault::Partition { .. } => ("is cut off", "is reached again"),
    };
    let say = |node: &NodeId| (node.clone(), format!("{node} {struck}."), format!("{node} {healed}."));
    nodes.iter().map(say).collect()
}
