//! `elenchus shrink`: a violation made as small as it gets, with its story.

use super::say::say;
use super::{broken, usage};
use crate::exit::Exit;
use crate::judge;
use crate::plan::TrialPlan;
use crate::quantity::Span;
use crate::registry::Registry;
use crate::shrink::{self, Shrinking, Size, Trials};
use crate::store::{file, is_trial};
use clap::Args;
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
        return broken(if trials.are_over() {
            "the time was over before the trial, written out as a script, had shown it once: give it a longer --time"
        } else {
            "the trial, written out as a script, does not show it again; was it made by another version?"
        });
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
    let until_ns = plan.script.as_ref().map_or(0, |script| script.until_ns);
    format!("{}, {:.3} s", Size::of(plan), until_ns as f64 / 1e9)
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
    let plan = shrink::written_out(registry, folder, args.keep.as_deref())?;
    Ok((plan, args.out.clone().unwrap_or_else(|| folder.join(file::SHRUNK))))
}

/// A plan with a script.
pub(super) fn script(path: &Path) -> Result<TrialPlan, String> {
    let plan: TrialPlan = judge::read_json(path).map_err(|e| e.to_string())?;
    let script =
        plan.script.as_ref().ok_or_else(|| format!("{}: there is no script in it", path.display()))?;
    script.check(&plan).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(plan)
}
