//! `elenchus replay`: a simulated trial once more, compared with what it left, byte for byte.

use super::check::Judge;
use super::interrupt;
use super::say::say;
use super::test::carry_out;
use super::{PlanArgs, broken, usage};
use crate::exit::Exit;
use crate::judge;
use crate::plan::TrialPlan;
use crate::registry::Registry;
use crate::shrink::Performance;
use crate::store::{self, file, is_trial};
use clap::Args;
use elenchus_core::verdict::{Validity, Verdict};
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The folder of a simulated trial, the file of a script (`shrunk.json`), or that of a plan, which is run twice.
    /// With a campaign or flags instead, that trial is run twice
    #[command(flatten)]
    plan: PlanArgs,
}

/// Replays a folder, or runs a trial twice.
pub fn run(args: &ReplayArgs, registry: &Registry) -> Exit {
    if let Some(path) = args.plan.file.as_ref().filter(|path| is_script(path)) {
        return run_script(path, registry);
    }
    let scratch = Scratch::new();
    let left = scratch.0.clone();
    interrupt::ends_with("interrupted: nothing was compared".into(), move || interrupt::remove(&left));
    let (plan, first) = match &args.plan.file {
        Some(folder) if folder.is_dir() => {
            if !is_trial(folder) {
                return usage(&format!("{} is no folder of a trial", folder.display()));
            }
            match judge::plan(folder) {
                Ok(plan) => (plan, folder.clone()),
                Err(e) => return usage(&e.to_string()),
            }
        }
        other => {
            let planned = match other {
                Some(path) if path.extension().is_some_and(|extension| extension == "json") => {
                    judge::read_json(path).map_err(|e| e.to_string())
                }
                _ => simulated(args, registry),
            };
            match planned {
                Ok(plan) if !plan.is_simulated() => (plan, PathBuf::new()),
                Ok(plan) => {
                    let first = scratch.0.join("first");
                    if let Err(why) = carry_out_in(registry, &plan, &first) {
                        return broken(&why);
                    }
                    (plan, first)
                }
                Err(why) => return usage(&why),
            }
        }
    };
    if !plan.is_simulated() {
        return usage(&format!(
            "only a simulated trial comes back byte for byte; this one is run again by: {}",
            plan.again
        ));
    }
    let second = scratch.0.join("second");
    if let Err(why) = carry_out_in(registry, &plan, &second) {
        return broken(&why);
    }
    match compare(&first, &second, &plan) {
        Ok(lines) => say!("identical: {lines} lines of history and traces, seed {}", plan.seed.0),
        Err(why) => return broken(&why),
    }
    match Judge::default().trial(&second) {
        Ok(verdicts) => {
            for verdict in verdicts.verdicts.iter().filter(|v| v.validity != Validity::Valid) {
                say!("{:?}  {}  {}", verdict.validity, verdict.checker, verdict.why);
            }
            say!("{:?}", verdicts.validity);
            Exit::from(verdicts.validity)
        }
        Err(why) => broken(&why),
    }
}

fn is_script(path: &Path) -> bool {
    let is_json = path.is_file() && path.extension().is_some_and(|extension| extension == "json");
    // A plan without a script is run as it is; what is no plan is refused by who reads it as a script.
    is_json && judge::read_json::<TrialPlan>(path).map_or(true, |plan| plan.script.is_some())
}

/// Carries a script out, and says whether what it is about is there.
fn run_script(path: &Path, registry: &Registry) -> Exit {
    let plan = match super::shrink::script(path) {
        Ok(plan) => plan,
        Err(why) => return usage(&why),
    };
    let verdicts = match Performance::whole(registry, &plan) {
        Ok(performance) => performance.verdicts,
        Err(why) => return broken(&why),
    };
    let sought = plan.script.as_ref().map(|script| script.sought.checker.as_str());
    let asked = |verdict: &&Verdict| {
        // Who is asked about nothing has examined nothing, and that is no doubt.
        Some(verdict.checker.as_str()) == sought || verdict.validity == Validity::Invalid
    };
    let answers: Vec<Verdict> = verdicts.iter().filter(asked).cloned().collect();
    for verdict in &answers {
        say!("{:?}  {}  {}", verdict.validity, verdict.checker, verdict.why);
    }
    let validity = Verdict::merge(&answers);
    say!("{validity:?}");
    Exit::from(validity)
}

/// The one trial that flags and file describe, simulated whatever they say of it.
fn simulated(args: &ReplayArgs, registry: &Registry) -> Result<TrialPlan, String> {
    let mut one = args.plan.clone();
    one.campaign.sim = true;
    one.campaign.test_count = None;
    let (plan, _) = one.plan(registry)?;
    plan.trials.into_iter().next().ok_or_else(|| "there is no trial to run".into())
}

fn carry_out_in(registry: &Registry, plan: &TrialPlan, folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .and_then(|()| store::write_json(&folder.join(file::PLAN), plan))
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    carry_out(registry, plan, folder)
}

/// How many lines two runs have in common: all. An error names the first that differs.
fn compare(first: &Path, second: &Path, plan: &TrialPlan) -> Result<usize, String> {
    let mut files = vec![PathBuf::from(file::HISTORY)];
    files.extend(plan.nodes.iter().map(|node| Path::new(file::TRACE).join(format!("{node}.jsonl"))));
    let mut lines = 0;
    for name in files {
        let read = |folder: &Path| {
            let path = folder.join(&name);
            fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
        };
        let (one, other) = (read(first)?, read(second)?);
        if one != other {
            return Err(difference(&name, &one, &other));
        }
        lines += one.iter().filter(|&&byte| byte == b'\n').count();
    }
    Ok(lines)
}

fn difference(name: &Path, one: &[u8], other: &[u8]) -> String {
    let line = |bytes: &[u8], at: usize| {
        let line = bytes.split(|&byte| byte == b'\n').nth(at).unwrap_or_default();
        String::from_utf8_lossy(line).chars().take(300).collect::<String>()
    };
    let lines = one.split(|&byte| byte == b'\n').zip(other.split(|&byte| byte == b'\n'));
    let at = lines.take_while(|(one, other)| one == other).count();
    format!(
        "{}: line {} differs; was it made by another version?\n  then: {}\n  now:  {}",
        name.display(),
        at + 1,
        line(one, at),
        line(other, at)
    )
}

/// A folder that goes away with whoever made it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        Scratch(std::env::temp_dir().join(format!("elenchus-replay-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        let said = difference(Path::new("history.jsonl"), b"a\nb\nc\n", b"a\nb\nd\n");
        assert!(said.contains("line 3 differs") && said.contains("then: c") && said.contains("now:  d"));
        assert!(difference(Path::new("h"), b"a\n", b"a\nb\n").contains("line 2"));
    }
}
