//! `elenchus campaign`: many trials, workloads × nemeses × seeds, and a table of what came of them.

use super::check::Judge;
use super::say::say;
use super::{PlanArgs, StoreArgs, examine, usage};
use crate::campaign::Faults;
use crate::exit::Exit;
use crate::plan::{Plan, TrialPlan};
use crate::registry::Registry;
use crate::results::{self, Ending, Head, Results, Row};
use clap::Args;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Arguments of `campaign`.
#[derive(Debug, Args)]
pub struct CampaignArgs {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// How many seeds for each workload and nemesis
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: u32,
    /// Several workloads in turn, with commas; the campaign's own if left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    workloads: Vec<String>,
    /// Several nemeses in turn, as `--nemesis` takes each; may be given again
    #[arg(long = "nemeses", value_name = "FAULTS")]
    nemeses: Vec<Faults>,
    /// How many trials at once; only simulated ones can be more than one
    #[arg(long, short = 'j', value_name = "N")]
    jobs: Option<usize>,
    /// Only every nth trial, beginning with the ith: `2/8`; `elenchus merge` joins the shards
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Keep the folder of every trial, not only of those that are not valid
    #[arg(long, value_enum, default_value = "bad")]
    keep: Keep,
    /// End with the first trial that is not valid
    #[arg(long)]
    stop_at_first: bool,
    /// Print one JSON object a trial instead of text
    #[arg(long)]
    json: bool,
}

/// Whose folders stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// Those of trials that are not valid.
    Bad,
    /// All.
    All,
}

/// One of several parts of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, of)) if 1 <= index && index <= of => Ok(Shard { index, of }),
            _ => Err("expected I/N with 1 ≤ I ≤ N, such as 2/8".into()),
        }
    }
}

impl Shard {
    const WHOLE: Shard = Shard { index: 1, of: 1 };

    fn has(self, trial: usize) -> bool {
        trial % self.of == self.index - 1
    }
}

/// Runs the campaign.
pub fn run(args: &CampaignArgs, registry: &Registry) -> Exit {
    let trials = match plan(args, registry) {
        Ok(trials) => trials,
        Err(why) => return usage(&why),
    };
    let Some(first) = trials.first() else { return usage("--count 0: no trial would examine anything") };
    let simulated = first.is_simulated();
    let jobs = match args.jobs {
        Some(0) => return usage("--jobs 0: nothing would be done"),
        Some(jobs) if jobs > 1 && !simulated => {
            return usage("--jobs: only simulated trials (--sim) can be run side by side");
        }
        Some(jobs) => jobs,
        None if simulated => std::thread::available_parallelism().map_or(1, usize::from),
        None => 1,
    };
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let head = Head {
        version: 1,
        name: first.name.clone(),
        program: env!("CARGO_PKG_VERSION").into(),
        first: first.again.clone(),
        trials: trials.len(),
    };
    let folder = args.store.store().root().join(&first.name).join(folder_name(first.seed.0, shard));
    let opened = fs::create_dir_all(&folder)
        .map_err(|e| format!("{}: {e}", folder.display()))
        .and_then(|()| Results::open(&folder, &head).map_err(|e| e.to_string()));
    let results = match opened {
        Ok(results) => results,
        Err(why) => return usage(&why),
    };
    let todo: Vec<(usize, &TrialPlan)> = trials
        .iter()
        .enumerate()
        .filter(|(trial, _)| shard.has(*trial) && !results.rows.contains_key(trial))
        .collect();
    if !args.json {
        let done = results.rows.len();
        let before = if done > 0 { format!(", {done} of them done before") } else { String::new() };
        say!("{} trials{before}, {jobs} at a time; {}", done + todo.len(), folder.display());
    }
    let desk = Desk {
        registry,
        args,
        folder: &folder,
        shown: !args.json && std::io::stderr().is_terminal(),
        began: Instant::now(),
        total: todo.len(),
        next: AtomicUsize::new(0),
        results: Mutex::new((results, 0, None)),
    };
    if simulated {
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| desk.work(&todo));
            }
        });
    } else {
        // A live trial forks, which takes a process of one thread.
        desk.work(&todo);
    }
    let (results, _, trouble) = desk.results.into_inner().expect("no job panics with the results");
    if desk.shown {
        eprintln!();
    }
    if !args.json {
        say!("\n{}", results::table(results.rows.values()));
    }
    match trouble {
        Some(why) => super::broken(&why),
        None => results::worst(results.rows.values()),
    }
}

fn folder_name(seed: u64, shard: Shard) -> String {
    match shard {
        Shard::WHOLE => format!("campaign-{seed}"),
        Shard { index, of } => format!("campaign-{seed}-{index}of{of}"),
    }
}

/// All trials, seed by seed.
fn plan(args: &CampaignArgs, registry: &Registry) -> Result<Vec<TrialPlan>, String> {
    if args.plan.campaign.test_count.is_some() {
        return Err("--test-count: a campaign counts its seeds with --count".into());
    }
    let workloads: Vec<Option<String>> = match &args.workloads[..] {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let nemeses: Vec<Option<Faults>> = match &args.nemeses[..] {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let (file, _) = args.plan.campaign()?;
    if args.shard.is_some() && file.seed.is_none() {
        return Err("--shard: shards of one campaign need the same --seed".into());
    }
    let seed = file.seed.unwrap_or_else(super::fresh_seed);
    let mut cells = Vec::new();
    for workload in &workloads {
        for nemesis in &nemeses {
            let mut one = args.plan.clone();
            one.campaign.workload = workload.clone().or(one.campaign.workload);
            one.campaign.nemesis = nemesis.clone().or(one.campaign.nemesis);
            one.campaign.seed = Some(seed);
            one.campaign.test_count = Some(args.count);
            let (Plan { trials, .. }, _) = one.plan(registry)?;
            cells.push(trials.into_iter());
        }
    }
    let mut all = Vec::new();
    for _ in 0..args.count {
        all.extend(cells.iter_mut().filter_map(Iterator::next));
    }
    Ok(all)
}

/// Where the jobs take their trials from and bring their results to.
struct Desk<'a> {
    registry: &'a Registry,
    args: &'a CampaignArgs,
    folder: &'a Path,
    shown: bool,
    began: Instant,
    total: usize,
    next: AtomicUsize,
    /// The results, how many of them were made now, and what keeps more from being added.
    results: Mutex<(Results, usize, Option<String>)>,
}

impl Desk<'_> {
    fn work(&self, todo: &[(usize, &TrialPlan)]) {
        let mut judge = Judge::default();
        while let Some((trial, plan)) = todo.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let row = self.one(*trial, plan, &mut judge);
            if !self.take(row) {
                self.next.store(todo.len(), Ordering::Relaxed);
            }
        }
    }

    /// Keeps a result. Whether there may be more.
    fn take(&self, row: Row) -> bool {
        let mut held = self.results.lock().expect("no job panics with the results");
        let (results, done, trouble) = &mut *held;
        *done += 1;
        if self.args.json {
            say!("{}", serde_json::to_string(&row).expect("a row is plain data"));
        } else if row.end != Ending::Valid {
            if self.shown {
                eprint!("\r\x1b[K");
            }
            say!("{:?} seed {}: {}", row.end, row.seed, row.why);
        }
        if self.shown {
            let pace = *done as f64 / self.began.elapsed().as_secs_f64();
            eprint!("\r\x1b[K{done} of {}, {pace:.1} a second", self.total);
        }
        let last = self.args.stop_at_first && row.end != Ending::Valid;
        if let Err(e) = results.add(row) {
            *trouble = Some(e.to_string());
        }
        trouble.is_none() && !last
    }

    fn one(&self, trial: usize, plan: &TrialPlan, judge: &mut Judge) -> Row {
        let folder = self.folder.join(format!("{trial:05}-{}-{}", plan.workload, plan.seed.0));
        let keep = match self.args.keep {
            Keep::Bad => examine::Keep::Bad,
            Keep::All => examine::Keep::All,
        };
        examine::examine(self.registry, trial, plan, &folder, judge, keep)
    }
}
