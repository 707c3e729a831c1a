//! One trial of many: carried out, judged, and brought down to a line.

use super::check::Judge;
use super::test::carry_out_traced;
use crate::judge::{self, Verdicts};
use crate::plan::TrialPlan;
use crate::registry::Registry;
use crate::report;
use crate::results::{Ending, Found, Row};
use crate::search::Coverage;
use crate::store::{self, file};
use elenchus_core::time::Time;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Whose folders stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None: a simulated trial can be had again by its seed.
    Nothing,
    /// Those of trials that are not valid.
    Bad,
    /// All.
    All,
}

/// Carries one trial out in a folder of its own, and judges it.
pub fn examine(
    registry: &Registry,
    trial: usize,
    plan: &TrialPlan,
    folder: &Path,
    judge: &mut Judge,
    keep: Keep,
) -> Row {
    let began = Instant::now();
    let outcome = verdicts(registry, plan, folder, judge, keep);
    let nemesis = plan.nemesis.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
    let mut row = Row {
        trial,
        workload: plan.workload.clone(),
        nemesis: if nemesis.is_empty() { "none".into() } else { nemesis },
        seed: plan.seed.0,
        end: Ending::Broken,
        found: Vec::new(),
        why: String::new(),
        first_ns: None,
        operations: 0,
        ok: 0,
        states: 0,
        new_states: 0,
        reached: Coverage::default(),
        parent: None,
        hit: Vec::new(),
        terms: None,
        ms: 0,
        again: plan.again.clone(),
    };
    match outcome {
        Ok(verdicts) => summarize(&mut row, &verdicts),
        Err(why) => row.why = why,
    }
    row.reached = judge::read_json(&folder.join(file::STATES)).unwrap_or_default();
    row.states = row.reached.states.len();
    if keep == Keep::Nothing || (row.end == Ending::Valid && keep == Keep::Bad) {
        // It can be had again by its seed.
        let _ = fs::remove_dir_all(folder);
    } else if let Err(e) = report::build(folder) {
        eprintln!("elenchus: {}: the report could not be built: {e}", folder.display());
    }
    row.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    row
}

fn verdicts(
    registry: &Registry,
    plan: &TrialPlan,
    folder: &Path,
    judge: &mut Judge,
    keep: Keep,
) -> Result<Verdicts, String> {
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    // A trial that was interrupted before left a folder, and is begun anew.
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(at)?;
    }
    fs::create_dir_all(folder).map_err(at)?;
    let folder: PathBuf = folder.canonicalize().map_err(at)?;
    store::write_json(&folder.join(file::PLAN), plan).map_err(at)?;
    let keep_all = keep == Keep::All;
    carry_out_traced(registry, plan, &folder, keep_all)?;
    let verdicts = judge.trial(&folder)?;
    if plan.is_simulated() && verdicts.validity != Validity::Valid && keep == Keep::Bad {
        // The same trial once more, for the traces: whoever looks at it wants them.
        for name in [file::HISTORY, file::SETUP] {
            fs::remove_file(folder.join(name)).map_err(at)?;
        }
        carry_out_traced(registry, plan, &folder, true)?;
    }
    Ok(verdicts)
}

/// What the verdicts come to.
fn summarize(row: &mut Row, verdicts: &Verdicts) {
    row.end = match verdicts.validity {
        Validity::Valid => Ending::Valid,
        Validity::Unknown => Ending::Unknown,
        Validity::Invalid => Ending::Invalid,
    };
    let figure = |checker: &str, name: &str| {
        let verdict = verdicts.verdicts.iter().find(|verdict| verdict.checker == checker)?;
        verdict.figures.get(name)
    };
    let number = |checker, name| figure(checker, name).and_then(serde_json::Value::as_u64);
    row.operations = number("availability", "operations").unwrap_or(0);
    row.ok = number("stats", "ok").unwrap_or(0);
    row.terms = number("consensus", "terms");
    let kinds = figure("faults", "by_kind").and_then(serde_json::Value::as_object);
    let has_hit = |kind: &serde_json::Value| kind["hit"].as_array().is_some_and(|hits| !hits.is_empty());
    row.hit =
        kinds.into_iter().flatten().filter(|(_, kind)| has_hit(kind)).map(|(name, _)| name.clone()).collect();
    if row.end == Ending::Valid {
        return;
    }
    let decided = verdicts.verdicts.iter().filter(|v| v.validity == verdicts.validity);
    row.why = decided.clone().map(|v| format!("{}: {}", v.checker, v.why)).collect::<Vec<_>>().join("; ");
    for verdict in decided {
        let class = verdict.class.clone().unwrap_or_else(|| "unnamed".into());
        let first_ns = first_seen(verdict);
        row.found.push(Found { checker: verdict.checker.clone(), class, first_ns });
        row.first_ns = [row.first_ns, first_ns].into_iter().flatten().min();
    }
}

/// When there was something to be seen.
fn first_seen(verdict: &Verdict) -> Option<u64> {
    let traced = verdict.figures.get("first_ns").and_then(serde_json::Value::as_u64);
    verdict.anomalies.iter().filter_map(seen_at).map(|at| at.0).chain(traced).min()
}

/// When an anomaly was there to be seen: with the last answer that proves it.
fn seen_at(anomaly: &Anomaly) -> Option<Time> {
    anomaly.operations.iter().map(|exhibit| exhibit.ended.unwrap_or(exhibit.called)).max()
}
