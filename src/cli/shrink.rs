//! `elenchus shrink`: a violation made as small as it gets, with its story.

use super::say::say;
use super::{broken, usage};
use crate::exit::Exit;
use crate::judge::{self, Verdicts};
use crate::plan::TrialPlan;
use crate::quantity::Span;
use crate::registry::Registry;

use crate::script::{Script, Sought};
use crate::shrink::{self, Performance, Shrinking, Trials};
use crate::store::{file, is_trial};
use clap::Args;
use elenchus_checkers::consensus;
use elenchus_core::format::jsonl;
use elenchus_core::verdict::Validity;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `shrink`.
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// The folder of a simulated trial that is invalid, or the file of a script
    folder: PathBuf,
    /// How long it may take
    #[arg(long, default_value = "60s")]
    time: Span,
    /// How many trials may be run
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    runs: u64,
    /// How many trials at once; as many as there are cores if left out
    #[arg(long, short = 'j', value_name = "N")]
    jobs: Option<usize>,
    /// The violation that must stay, as CHECKER or CHECKER/CLASS; if left out the broken invariant that came first,
    /// or what the first checker saw
    #[arg(long, value_name = "NAME")]
    keep: Option<String>,
    /// Where the result is left; `shrunk` in the folder if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Shrinks what a trial showed.
pub fn run(args: &ShrinkArgs, registry: &Registry) -> Exit {
    if args.jobs == Some(0) {
        return usage("--jobs 0: nothing would be done");
    }
    let began = Instant::now();
    let (plan, out) = match source(args, registry) {
        Ok(source) => source,
        Err(why) => return usage(&why),
    };
    let sought = plan.script.as_ref().map(|script| script.sought.clone()).expect("a source has a script");
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let trials = Trials::new(registry, jobs, began + args.time.0, args.runs.max(1));
    say!("{} / {}: {}", sought.checker, sought.class, told(&plan));
    let Some(mut shrinking) = Shrinking::begin(&trials, plan) else {
        return broken(
            "the trial, written out as a script, does not show it again; was it made by another version?",
        );
    };
    shrinking.run(|pass, now| say!("{:>12}  {}", pass.word(), told(now.best())));
    let mut plan = shrinking.best().clone();
    plan.again = format!("{} replay {}", registry.program_name(), file::SHRUNK_PLAN);
    let seconds = began.elapsed().as_secs_f64();
    say!("{} trials in {seconds:.1} s, {:.0} a minute", trials.runs(), trials.runs() as f64 * 60.0 / seconds);
    match shrink::leave(registry, &plan, &out) {
        Ok(_) => {
            let story = std::fs::read_to_string(out.join(file::STORY)).unwrap_or_default();
            say!("\n{story}\n{}", out.join(file::SHRUNK_PLAN).display());
            say!("{}", out.join(file::REPORT).join("index.html").display());
            Exit::Valid
        }
        Err(why) => broken(&why),
    }
}

fn told(plan: &TrialPlan) -> String {
    let script = plan.script.as_ref();
    let count = |count: Option<usize>, one: &str| match count.unwrap_or(0) {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    format!(
        "{}, {}, {}, {:.3} s",
        count(script.map(|script| script.strikes.len()), "strike"),
        count(script.map(|script| script.operations.len()), "operation"),
        count(Some(plan.nodes.len()), "node"),
        script.map_or(0.0, |script| script.until_ns as f64 / 1e9)
    )
}

/// The script to be made smaller, and where the result goes.
fn source(args: &ShrinkArgs, registry: &Registry) -> Result<(TrialPlan, PathBuf), String> {
    let folder = &args.folder;
    if folder.is_file() {
        let plan = script(folder)?;
        let beside = folder.parent().unwrap_or(Path::new(".")).join(file::SHRUNK);
        return Ok((plan, args.out.clone().unwrap_or(beside)));
    }
    if !is_trial(folder) {
        return Err(format!("{} is no folder of a trial, and no script", folder.display()));
    }
    let mut plan = judge::plan(folder).map_err(|e| e.to_string())?;
    if !plan.is_simulated() {
        return Err("only simulated trials can be shrunk: nothing else comes back by its seed".into());
    }
    let out = args.out.clone().unwrap_or_else(|| folder.join(file::SHRUNK));
    if plan.script.is_some() {
        return Ok((plan, out));
    }
    let verdicts: Verdicts = judge::read_json(&folder.join(file::VERDICTS)).map_err(|e| e.to_string())?;
    let sought = sought(&verdicts, args.keep.as_deref())?;
    let path = folder.join(file::HISTORY);
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let recording = jsonl::read(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let whole = Script::of(&plan, &recording.history, sought)?;
    plan.nemesis.clear();
    plan.schedule.clear();
    plan.nemesis_named = false;
    plan.script = Some(whole);
    if args.keep.is_none() {
        first_broken(registry, &mut plan)?;
    }
    Ok((plan, out))
}

/// A plan with a script.
pub(super) fn script(path: &Path) -> Result<TrialPlan, String> {
    let plan: TrialPlan = judge::read_json(path).map_err(|e| e.to_string())?;
    let script =
        plan.script.as_ref().ok_or_else(|| format!("{}: there is no script in it", path.display()))?;
    script.check(&plan).map_err(|why| format!("{}: {why}", path.display()))?;
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
