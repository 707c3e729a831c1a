//! What is shrunk: a trial that was found to be invalid, written out as a script whose violation must stay.

use super::trials::Performance;
use crate::judge::{self, Verdicts};
use crate::plan::TrialPlan;
use crate::registry::Registry;
use crate::script::{Script, Sought};
use crate::store::file;
use elenchus_checkers::consensus;
use elenchus_core::format::jsonl;
use elenchus_core::verdict::Validity;
use std::path::Path;

/// The trial of a folder, written out. `keep`: the violation that must stay, as `CHECKER` or `CHECKER/CLASS`; else the
/// broken invariant that came first, or what the first checker saw. An error says why there is nothing to shrink.
pub fn written_out(registry: &Registry, folder: &Path, keep: Option<&str>) -> Result<TrialPlan, String> {
    let mut plan = judge::plan(folder).map_err(|e| e.to_string())?;
    if !plan.is_simulated() {
        return Err("only simulated trials can be shrunk: nothing else comes back by its seed".into());
    }
    if plan.script.is_some() {
        return Ok(plan);
    }
    let verdicts: Verdicts = judge::read_json(&folder.join(file::VERDICTS)).map_err(|e| e.to_string())?;
    let sought = sought(&verdicts, keep)?;
    let path = folder.join(file::HISTORY);
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let recording = jsonl::read(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let whole = Script::of(&plan, &recording.history, sought)?;
    plan.nemesis.clear();
    plan.schedule.clear();
    plan.nemesis_named = false;
    plan.script = Some(whole);
    if keep.is_none() {
        first_broken(registry, &mut plan)?;
    }
    Ok(plan)
}

/// Of broken invariants the first that broke is sought: what came later may have come of it.
fn first_broken(registry: &Registry, plan: &mut TrialPlan) -> Result<(), String> {
    let Some(script) = plan.script.as_ref().filter(|script| script.sought.checker == consensus::NAME) else {
        return Ok(());
    };
    let mut first = Performance::whole(registry, plan)?.rehearsal.first.map(str::to_owned);
    let class = first.take().unwrap_or_else(|| script.sought.class.clone());
    if let Some(script) = &mut plan.script {
        script.sought.class = class;
    }
    Ok(())
}

/// Which violation must stay.
fn sought(verdicts: &Verdicts, wish: Option<&str>) -> Result<Sought, String> {
    let invalid = || verdicts.verdicts.iter().filter(|verdict| verdict.validity == Validity::Invalid);
    let (checker, class) = match wish {
        None => (None, None),
        Some(wish) => match wish.split_once('/') {
            Some((checker, class)) => (Some(checker), Some(class)),
            None => (Some(wish), None),
        },
    };
    let named = |name: &str| invalid().find(|verdict| verdict.checker == name);
    let verdict = match checker {
        Some(checker) => named(checker),
        None => named(consensus::NAME).or_else(|| invalid().next()),
    };
    let Some(verdict) = verdict else {
        let names: Vec<&str> = invalid().map(|verdict| verdict.checker.as_str()).collect();
        return Err(match (wish, &names[..]) {
            (_, []) => "the trial is not invalid: there is nothing to shrink".into(),
            (wish, names) => {
                format!("--keep: {} is not invalid; {} is", wish.unwrap_or(""), names.join(", "))
            }
        });
    };
    let classes = || verdict.anomalies.iter().map(|anomaly| &anomaly.class).chain(&verdict.class);
    let class = match class {
        Some(class) if classes().any(|known| known == class) => class.to_owned(),
        Some(class) => return Err(format!("--keep: {} shows no `{class}`", verdict.checker)),
        // What an anomaly is called is what a smaller trial is compared by.
        None => classes().next().cloned().unwrap_or_default(),
    };
    Ok(Sought { checker: verdict.checker.clone(), class })
}
