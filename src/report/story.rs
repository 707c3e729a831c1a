//! What a report tells, as plain data: everything is decided here, and only drawn elsewhere.
//!
//! A story never judges. Its validity is the worst of what `verdicts.json` says; plots, tables and their
//! troubles cannot change it.

use crate::report::faults::{ClusterEvent, FaultRow, Leader, cluster_events, leaders};
use crate::report::folder::Folder;
use crate::report::operations::{Operations, Role, node_of, text_of};
use crate::report::scale::{count, counted, duration};
use crate::report::scene::{InForce, Scene};
use crate::report::series::Series;
use crate::report::statistics::{Row, rows};
use elenchus_core::fault_log;
use elenchus_core::time::Time;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};

/// What a report tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// The trial's name.
    pub name: String,
    /// One line of facts: workload, seed, nodes, length.
    pub facts: Vec<(String, String)>,
    /// The worst answer.
    pub validity: Validity,
    /// Why, in a sentence.
    pub why: String,
    /// What each checker said.
    pub verdicts: Vec<Verdict>,
    /// What the reader must know about the limits of this report.
    pub remarks: Vec<String>,
    /// The anomalies that are told one by one.
    pub anomalies: Vec<ToldAnomaly>,
    /// How many more the verdicts hold.
    pub anomalies_untold: usize,
    /// When the last event was, in nanoseconds.
    pub end: u64,
    /// Whether the history bears times; else each event's is its position, and no duration means anything.
    pub timed: bool,
    /// All operations of the clients.
    pub operations: Operations,
    /// Those that are drawn one by one, as positions in `operations.all`.
    pub drawn: Vec<u32>,
    /// What those asked and were answered, in the same order.
    pub texts: Vec<String>,
    /// Curves over time.
    pub series: Series,
    /// Statistics: all operations, per function, per node.
    pub statistics: Vec<(&'static str, Vec<Row>)>,
    /// The faults, in the order of their injections.
    pub faults: Vec<FaultRow>,
    /// Who led which term.
    pub leaders: Vec<Leader>,
    /// What else the log tells of the cluster.
    pub events: Vec<ClusterEvent>,
    /// How the violation came about, as a picture (SVG).
    pub diagram: Option<String>,
    /// The command line that runs the trial again.
    pub again: Option<String>,
    /// The trial's plan, key by key.
    pub plan: Vec<(String, String)>,
    /// What was really used, key by key.
    pub trial: Vec<(String, String)>,
    /// How processes map to slots and nodes, for labels.
    pub concurrency: Option<u32>,
    /// The nodes.
    pub nodes: Vec<String>,
}

/// An anomaly with its picture.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldAnomaly {
    /// Who found it.
    pub checker: String,
    /// What the checker said.
    pub anomaly: Anomaly,
    /// Its picture, if it has operations.
    pub scene: Option<Scene>,
}

/// At most this many operations are drawn one by one.
pub const DRAWN_MAX: usize = 200_000;
/// At most this many anomalies are told one by one.
const ANOMALIES_MAX: usize = 8;
/// An operation's text in the page.
const TEXT_CHARS_MAX: usize = 80;
/// Beyond this many operations texts are shorter, so that a page stays loadable.
const TEXTS_LONG_MAX: usize = 50_000;
const TEXT_CHARS_MANY: usize = 32;

impl Story {
    /// Tells what a folder holds.
    pub fn tell(folder: &Folder) -> Story {
        let header = &folder.header;
        let history = &folder.history;
        let end = history.events().map(|event| event.time.0).max().unwrap_or(0);
        let timed = history.is_empty() || history.bears_times();
        let mut operations = Operations::of(history, header.concurrency);
        let (anomalies, anomalies_untold) = collect_anomalies(&folder.verdicts);
        mark_roles(&mut operations, &anomalies);

        let spans = fault_log::spans(history);
        let notes = fault_log::notes(history);
        let faults: Vec<FaultRow> = spans.iter().map(|span| FaultRow::of(span, Time(end))).collect();
        let in_force: Vec<InForce> = faults.iter().filter_map(FaultRow::shade).collect();
        let node = |process| node_of(process, header.concurrency, &header.nodes).map(str::to_owned);
        let told = |(checker, anomaly): (&str, &Anomaly)| ToldAnomaly {
            checker: checker.to_owned(),
            anomaly: anomaly.clone(),
            scene: (!anomaly.operations.is_empty()).then(|| Scene::of(anomaly, &in_force, node)),
        };

        let drawn = operations.choose(DRAWN_MAX);
        let chars_max = if drawn.len() > TEXTS_LONG_MAX { TEXT_CHARS_MANY } else { TEXT_CHARS_MAX };
        let texts = drawn.iter().map(|&i| text_of(history, &operations.all[i as usize], chars_max)).collect();
        Story {
            name: header.name.clone().unwrap_or_else(|| "recorded history".to_owned()),
            facts: facts(folder, &operations, end),
            validity: folder.validity,
            why: why(folder.validity, &folder.verdicts),
            verdicts: folder.verdicts.clone(),
            remarks: remarks(folder, &operations, drawn.len(), timed),
            anomalies: anomalies.into_iter().map(told).collect(),
            anomalies_untold,
            end,
            timed,
            series: Series::of(&operations.all, end),
            statistics: statistics(&operations, header.concurrency, &header.nodes, timed),
            operations,
            drawn,
            texts,
            faults,
            leaders: leaders(&notes),
            events: cluster_events(&notes),
            diagram: folder.diagram.clone(),
            again: folder.plan.again.clone(),
            plan: folder.plan.entries.clone(),
            trial: folder.trial.entries.clone(),
            concurrency: header.concurrency,
            nodes: header.nodes.clone(),
        }
    }

    /// The faults in force, for shades.
    pub fn in_force(&self) -> Vec<InForce> {
        self.faults.iter().filter_map(FaultRow::shade).collect()
    }

    /// The kinds of fault, in the order of their first injection.
    pub fn fault_kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = Vec::new();
        for fault in &self.faults {
            if !kinds.contains(&fault.fault.as_str()) {
                kinds.push(&fault.fault);
            }
        }
        kinds
    }

    /// What stands before a lane of the timelines.
    pub fn lane_name(&self, lane: u32) -> String {
        match (self.concurrency, node_of(lane, self.concurrency, &self.nodes)) {
            (Some(_), Some(node)) => format!("{lane} → {node}"),
            _ => lane.to_string(),
        }
    }
}

/// The anomalies told one by one: those of the worst verdicts first.
fn collect_anomalies(verdicts: &[Verdict]) -> (Vec<(&str, &Anomaly)>, usize) {
    let mut by_weight: Vec<&Verdict> = verdicts.iter().collect();
    by_weight.sort_by_key(|verdict| std::cmp::Reverse(verdict.validity));
    let all = || by_weight.iter().flat_map(|v| v.anomalies.iter().map(|a| (v.checker.as_str(), a)));
    let told: Vec<_> = all().take(ANOMALIES_MAX).collect();
    let untold = all().count() - told.len();
    (told, untold)
}

fn mark_roles(operations: &mut Operations, anomalies: &[(&str, &Anomaly)]) {
    for exhibit in anomalies.iter().flat_map(|(_, anomaly)| &anomaly.operations) {
        if let Some(op) = operations.at(exhibit.call) {
            let role = if exhibit.guilty { Role::Guilty } else { Role::Evidence };
            op.role = op.role.max(role);
        }
    }
}

/// Why, from the verdicts that weigh most.
fn why(validity: Validity, verdicts: &[Verdict]) -> String {
    let worst: Vec<&Verdict> = verdicts.iter().filter(|v| v.validity == validity).collect();
    match (validity, worst.as_slice()) {
        (_, []) if verdicts.is_empty() => "No checker ran, so nothing was examined.".to_owned(),
        (Validity::Valid, all) => {
            format!(
                "{} examined this history and found every promise kept.",
                counted(all.len() as u64, "checker")
            )
        }
        (_, [first, ..]) => format!("{}: {}", first.checker, first.why),
        (_, []) => "No single checker says why; see what ended the trial below.".to_owned(),
    }
}

fn facts(folder: &Folder, operations: &Operations, end: u64) -> Vec<(String, String)> {
    let header = &folder.header;
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
    };
    fact("workload", header.workload.clone());
    fact("faults", folder.plan.entry("nemesis"));
    fact("bugs switched on", folder.plan.entry("bugs"));
    fact("nodes", Some(header.nodes.join(", ")));
    fact("concurrency", header.concurrency.map(|n| count(u64::from(n))));
    fact("operations", Some(count(operations.all.len() as u64)));
    fact("length", Some(duration(end)));
    fact("seed", header.seed.clone());
    fact("isolation", folder.trial.entry("isolation"));
    fact("began", folder.trial.entry("began").or_else(|| header.began.clone()));
    facts
}

fn remarks(folder: &Folder, operations: &Operations, drawn: usize, timed: bool) -> Vec<String> {
    let mut remarks = folder.remarks.clone();
    match folder.trial.entry("end").as_deref() {
        None | Some("completed") => {}
        Some(how) => {
            let why = folder.trial.entry("why").map(|why| format!(": {why}")).unwrap_or_default();
            remarks.push(format!("The trial did not run to its end: it was {how}{why}."));
        }
    }
    if folder.trial.entry("wiped").as_deref() == Some("false") {
        remarks.push(
            "The cluster was not wiped before the trial: it may hold what others left. The keys of this trial bear a \
             prefix of their own."
                .to_owned(),
        );
    }
    if operations.all.is_empty() {
        remarks.push("The history holds no operation of a client, so there is nothing to draw.".to_owned());
    } else if !timed {
        remarks.push(
            "The history bears no times, so there are no latencies and no rates. Where this page shows a time, \
             a nanosecond stands for one event of the log."
                .to_owned(),
        );
    }
    if drawn < operations.all.len() {
        remarks.push(format!(
            "Single operations are drawn for {} of {}: all that prove an anomaly, then those that ended in \
             doubt, and the others evenly spread. Curves and tables count all of them.",
            count(drawn as u64),
            count(operations.all.len() as u64)
        ));
    }
    remarks
}

fn statistics(
    operations: &Operations,
    concurrency: Option<u32>,
    nodes: &[String],
    timed: bool,
) -> Vec<(&'static str, Vec<Row>)> {
    let all = &operations.all;
    let total = rows(all, &["operations".to_owned()], |_| Some(0));
    let by_function = rows(all, &operations.functions, |op| Some(op.f as usize));
    let mut statistics = vec![("all", total), ("function", by_function)];
    if let Some(slots) = concurrency.filter(|&slots| slots > 0 && !nodes.is_empty()) {
        let by_node = rows(all, nodes, |op| Some((op.process % slots) as usize % nodes.len()));
        statistics.push(("node", by_node));
    }
    if !timed {
        statistics.iter_mut().flat_map(|(_, rows)| rows).for_each(|row| row.latency = None);
    }
    statistics
}
