//! `elenchus test`: trials, one after the other, each from plan to report.

use super::check;
use super::junit::{self, Case};
use super::say::say;
use super::{PlanArgs, StoreArgs, broken, usage};
use crate::exit::Exit;
use crate::host::{self, Status, Wish};
use crate::judge::{self, Verdicts};
use crate::plan::{Plan, TrialPlan};
use crate::registry::{Registry, fresh_prefix};
use crate::store::{self, Store, file};
use crate::trial::Stage;
use crate::{report, utc};
use clap::Args;
use elenchus_core::verdict::Validity;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// Print one JSON object a trial instead of text
    #[arg(long)]
    json: bool,
    /// Exit with 0 when a trial is unknown (`unknown` fails by default, `never` fails only when invalid)
    #[arg(long, value_enum, default_value = "unknown")]
    fail_on: FailOn,
    /// Also write the trials as JUnit's XML, for build servers
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Which verdicts fail a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Unknown and worse.
    Unknown,
    /// Invalid only.
    Invalid,
    /// None: only a broken trial fails.
    Never,
}

/// Runs the trials.
pub fn run(args: &TestArgs, registry: &Registry) -> Exit {
    let (plan, text) = match args.plan.plan(registry) {
        Ok(planned) => planned,
        Err(why) => return usage(&why),
    };
    let store = args.store.store();
    let time = utc::basic(SystemTime::now());
    let (mut worst, mut done, mut cases) = (Exit::Valid, 0, Vec::new());
    for trial in &plan.trials {
        let folder = match prepare(&store, &plan, trial, text.as_deref(), &time) {
            Ok(folder) => folder,
            Err(e) => {
                let root = store.root().display();
                return usage(&format!(
                    "cannot make the trial's folder in {root}: {e}; name another place with --store"
                ));
            }
        };
        let began = std::time::Instant::now();
        let exit = one(registry, trial, &folder, args);
        cases.push(Case {
            name: format!("{}.{}", trial.name, trial.workload),
            seed: trial.seed.0,
            exit,
            why: why(&folder, exit),
            seconds: began.elapsed().as_secs_f64(),
        });
        worst = worst.max(exit);
        done += 1;
        if exit != Exit::Valid {
            break;
        }
    }
    if plan.trials.len() > 1 && !args.json {
        let last = if worst == Exit::Valid { "all valid" } else { "the last one was not valid" };
        say!("\n{done} of {} trials were run: {last}", plan.trials.len());
    }
    if let Some(path) = &args.junit
        && let Err(e) = store::write_whole(path, junit::render(&cases).as_bytes())
    {
        eprintln!("elenchus: cannot write {}: {e}; the verdict stands", path.display());
    }
    args.fail_on.apply(worst)
}

impl FailOn {
    fn apply(self, exit: Exit) -> Exit {
        match (self, exit) {
            (FailOn::Invalid | FailOn::Never, Exit::Unknown) => Exit::Valid,
            (FailOn::Never, Exit::Invalid) => Exit::Valid,
            _ => exit,
        }
    }
}

/// The verdicts that decided, in words.
fn why(folder: &Path, exit: Exit) -> String {
    match judge::read_json::<Verdicts>(&folder.join(file::VERDICTS)) {
        Ok(verdicts) => {
            let decided = verdicts.verdicts.iter().filter(|v| v.validity == verdicts.validity);
            decided.map(|v| format!("{}: {}", v.checker, v.why)).collect::<Vec<_>>().join("; ")
        }
        Err(_) => format!("the trial ended with exit code {}", exit.code()),
    }
}

fn prepare(
    store: &Store,
    plan: &Plan,
    trial: &TrialPlan,
    text: Option<&str>,
    time: &str,
) -> std::io::Result<PathBuf> {
    let member = (plan.trials.len() > 1).then_some(trial.seed.0);
    let folder = store.create(&trial.name, time, member)?;
    store::write_json(&folder.join(file::PLAN), trial)?;
    if let Some(text) = text {
        store::write_whole(&folder.join(file::CAMPAIGN), text.as_bytes())?;
    }
    Ok(folder)
}

/// One trial: carried out, judged, reported.
fn one(registry: &Registry, trial: &TrialPlan, folder: &Path, args: &TestArgs) -> Exit {
    if !args.json {
        announce(trial, folder);
    }
    let trouble = carry_out(registry, trial, folder).err();
    if let Some(why) = &trouble {
        eprintln!("elenchus: {why}");
    }
    if !folder.join(file::HISTORY).is_file() {
        return Exit::Broken;
    }
    let verdicts = match check::trial(folder) {
        Ok(verdicts) => verdicts,
        Err(why) => return broken(&why),
    };
    if let Err(e) = report::build(folder) {
        eprintln!("elenchus: the report could not be built, the verdict stands: {e}");
    }
    if verdicts.validity == Validity::Valid {
        // Nobody needs the data of nodes that behaved; a folder that cannot be removed is no reason to fail.
        let _ = std::fs::remove_dir_all(folder.join(file::DATA));
    }
    if args.json {
        print_json(trial, folder, &verdicts)
    } else {
        print(trial, folder, &verdicts)
    }
    match (Exit::from(verdicts.validity), trouble) {
        (Exit::Invalid, _) => Exit::Invalid,
        (_, Some(_)) => Exit::Broken,
        (exit, None) => exit,
    }
}

/// Carries a planned trial out; what it leaves is in `folder`.
pub(super) fn carry_out(registry: &Registry, trial: &TrialPlan, folder: &Path) -> Result<(), String> {
    carry_out_traced(registry, trial, folder, true)
}

/// The same; the nodes of a simulated trial leave their traces only if they are wanted.
pub(super) fn carry_out_traced(
    registry: &Registry,
    trial: &TrialPlan,
    folder: &Path,
    traced: bool,
) -> Result<(), String> {
    // In a simulation nothing is left over from before, and nothing may differ from one run to the next.
    let prefix = if trial.is_simulated() { String::new() } else { fresh_prefix() };
    let erased =
        registry.trial(trial, &prefix).ok_or_else(|| format!("there is no workload `{}`", trial.workload))?;
    if trial.system == "memory" {
        return erased.run(registry, trial, &prefix, Stage::Memory, folder).map_err(|e| e.to_string());
    }
    if trial.is_simulated() {
        let stage = Stage::Simulation { traced };
        return erased.run(registry, trial, &prefix, stage, folder).map_err(|e| e.to_string());
    }
    if trial.cluster.as_ref().is_some_and(|description| description.external) {
        return erased.run(registry, trial, &prefix, Stage::External, folder).map_err(|e| e.to_string());
    }
    if trial.cluster.as_ref().is_some_and(|cluster| cluster.hosts.is_some()) {
        return erased.run(registry, trial, &prefix, Stage::Hosts, folder).map_err(|e| e.to_string());
    }
    let body = |ground| match erased.run(registry, trial, &prefix, Stage::Ground(Box::new(ground)), folder) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("\nelenchus: {e}");
            1
        }
    };
    let wish = Wish { isolation: trial.isolation, nodes: &trial.nodes, port_base: trial.port_base };
    let ended = host::run_trial(wish, folder, body).map_err(|e| e.to_string())?;
    if !ended.left.is_empty() {
        eprintln!("elenchus: these processes cannot be ended: {:?}; try `elenchus heal` later", ended.left);
    }
    match ended.controller {
        Some(Status::Exited(0)) => Ok(()),
        Some(status) => Err(format!("the trial broke: its controller {status}")),
        None => Err("the trial was ended by force".into()),
    }
}

fn announce(trial: &TrialPlan, folder: &Path) {
    let mut faults: Vec<String> = trial.nemesis.iter().map(ToString::to_string).collect();
    faults.extend(match trial.schedule.len() {
        0 => None,
        1 => Some("1 written fault".to_owned()),
        many => Some(format!("{many} written faults")),
    });
    let faults = if faults.is_empty() { "no faults".into() } else { faults.join(" + ") };
    say!(
        "{} on {} × {}: {} clients, {}, {faults}, seed {}",
        trial.workload,
        trial.nodes.len(),
        trial.system,
        trial.concurrency,
        trial.time_limit,
        trial.seed.0
    );
    if !trial.bugs.is_empty() {
        say!("the nodes make these mistakes: {}", trial.bugs.join(", "));
    }
    say!("{}", folder.display());
}

fn print(trial: &TrialPlan, folder: &Path, verdicts: &Verdicts) {
    say!();
    for verdict in &verdicts.verdicts {
        say!("{:>8}  {:16} {}", word(verdict.validity), verdict.checker, verdict.why);
    }
    for anomaly in verdicts.verdicts.iter().flat_map(|v| &v.anomalies).take(3) {
        say!("\n{}", anomaly.sentence);
    }
    say!("\n{}", folder.join(file::REPORT).join("index.html").display());
    if verdicts.validity != Validity::Valid {
        say!("again: {}", trial.again);
    }
    say!("{}", closing(verdicts.validity));
}

fn word(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "INVALID",
    }
}

/// The last line says the verdict, for people and for `grep`.
fn closing(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "Everything examined was kept: valid.",
        Validity::Unknown => "Not decided, for the reason above: unknown.",
        Validity::Invalid => "A promise was broken: invalid.",
    }
}

fn print_json(trial: &TrialPlan, folder: &Path, verdicts: &Verdicts) {
    let line = serde_json::json!({
        "folder": folder,
        "seed": trial.seed.0,
        "again": trial.again,
        "validity": verdicts.validity,
        "verdicts": verdicts.verdicts,
    });
    say!("{line}");
}
