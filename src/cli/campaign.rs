//! `elenchus campaign`: many trials, workloads × nemeses × seeds, and a table of what came of them.

use super::check::Judge;
use super::say::say;
use super::{PlanArgs, StoreArgs, examine, interrupt, usage};
use crate::campaign::Faults;
use crate::exit::Exit;
use crate::plan::{Plan, TrialPlan};
use crate::registry::{Registry, SIMULATED};
use crate::results::{self, Ending, Head, Results, ResultsError, Row};
use crate::search::guide::{LAG, Planned};
use crate::search::ledger::COVERAGE;
use crate::search::mutation::DEPTH;
use crate::search::{Guide, Ledger, Search};
use crate::store;
use clap::{Args, ValueEnum};
use elenchus_core::random::Seed;
use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

/// Why a folder's results cannot be gone on with, and what can be done.
fn other(error: &ResultsError) -> String {
    match error {
        ResultsError::Other { .. } => format!(
            "{error}; the flags that it was begun with go on with it, another --name or --store begins a new one"
        ),
        error => error.to_string(),
    }
}

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
    /// How trials are chosen: each from its seed, with priorities of links, or guided by what was reached
    #[arg(long, value_enum, default_value = "random")]
    search: Search,
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

/// Where the plans of changed trials are kept.
const PLANS: &str = "plans";

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
    if args.search == Search::Guided && args.shard.is_some() {
        return usage(
            "--search guided: it learns from all of its trials, and shards know nothing of each other",
        );
    }
    let jobs = if args.search == Search::Guided { jobs.min(LAG) } else { jobs };
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let head = Head {
        version: 1,
        name: first.name.clone(),
        program: env!("CARGO_PKG_VERSION").into(),
        first: first.again.clone(),
        trials: trials.len(),
        search: args.search,
    };
    let folder = args.store.store().root().join(&first.name).join(folder_name(first.seed.0, shard));
    if simulated {
        let words = format!(
            "interrupted: what was decided is kept in {}, and the same command goes on from there",
            folder.display()
        );
        interrupt::ends_with(words, || {});
    }
    let opened = fs::create_dir_all(&folder)
        .map_err(|e| format!("{}: {e}", folder.display()))
        .and_then(|()| Results::open(&folder, &head).map_err(|e| other(&e)));
    let results = match opened {
        Ok(results) => results,
        Err(why) => return usage(&why),
    };
    let todo: Vec<usize> =
        (0..trials.len()).filter(|trial| shard.has(*trial) && !results.rows.contains_key(trial)).collect();
    let (ledger, guide) = match learned(args, &folder, &trials, &results) {
        Ok(learned) => learned,
        Err(why) => return usage(&why),
    };
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
        trials: &trials,
        todo: &todo,
        board: Mutex::new(Board {
            results,
            ledger: ledger.filter(|_| simulated),
            guide,
            next: 0,
            ended: BTreeMap::new(),
            done: 0,
            closed: false,
            trouble: None,
        }),
        more: Condvar::new(),
    };
    if simulated {
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| desk.work());
            }
        });
    } else {
        // A live trial forks, which takes a process of one thread.
        desk.work();
    }
    let Board { results, ledger, trouble, .. } =
        desk.board.into_inner().expect("no job panics with the board");
    if desk.shown {
        eprintln!();
    }
    if !args.json {
        say!("\n{}", results::table(results.rows.values()));
        if let Some(ledger) = ledger {
            say!("{}", ledger.known());
        }
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
    let is_simulated = file.sim || file.system.as_deref() == Some(SIMULATED);
    if args.search != Search::Random && !is_simulated {
        let search =
            args.search.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        return Err(format!(
            "--search {search}: only simulated trials (--sim) have letters to hold back, and tell what they reached"
        ));
    }
    let seed = file.seed.unwrap_or_else(super::fresh_seed);
    let mut cells = Vec::new();
    for workload in &workloads {
        for nemesis in &nemeses {
            let mut one = args.plan.clone();
            one.campaign.workload = workload.clone().or(one.campaign.workload);
            one.campaign.nemesis = nemesis.clone().or(one.campaign.nemesis);
            one.campaign.seed = Some(seed);
            if args.search != Search::Random {
                one.campaign.priorities = one.campaign.priorities.or(Some(DEPTH));
            }
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

/// What the trials that have ended have reached, and who plans the next from it, if somebody does.
fn learned(
    args: &CampaignArgs,
    folder: &Path,
    trials: &[TrialPlan],
    results: &Results,
) -> Result<(Option<Ledger>, Option<Guide>), String> {
    if !trials.iter().any(TrialPlan::is_simulated) {
        return Ok((None, None));
    }
    let at = |error: std::io::Error| format!("{}/{COVERAGE}: {error}", folder.display());
    let (ledger, gains) = Ledger::open(folder, |trial| results.rows.contains_key(&trial)).map_err(at)?;
    if args.search != Search::Guided {
        return Ok((Some(ledger), None));
    }
    fs::create_dir_all(folder.join(PLANS)).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut guide = Guide::new(trials.to_vec(), Seed(trials.first().map_or(0, |first| first.seed.0)));
    let done = results.rows.len();
    for trial in 0..done {
        let gain = gains.get(trial).filter(|gain| gain.trial == trial && results.rows.contains_key(&trial));
        let Some(gain) = gain else {
            return Err(at(std::io::Error::other(format!(
                "it does not say what trial {trial} has reached; begin anew in another --store"
            ))));
        };
        guide.plan();
        guide.take(gain.clone());
    }
    Ok((Some(ledger), Some(guide)))
}

/// Where the jobs take their trials from and bring their results to.
struct Desk<'a> {
    registry: &'a Registry,
    args: &'a CampaignArgs,
    folder: &'a Path,
    shown: bool,
    began: Instant,
    trials: &'a [TrialPlan],
    todo: &'a [usize],
    board: Mutex<Board>,
    /// Rings when there is more to plan from.
    more: Condvar,
}

/// What the jobs share.
struct Board {
    results: Results,
    ledger: Option<Ledger>,
    guide: Option<Guide>,
    /// How many of those to do were handed out.
    next: usize,
    /// Trials that have ended before one that comes before them.
    ended: BTreeMap<usize, Row>,
    /// How many results were taken, which is always in the order of the trials.
    done: usize,
    /// There will be no more.
    closed: bool,
    /// What keeps results from being added.
    trouble: Option<String>,
}

impl Desk<'_> {
    fn work(&self) {
        let mut judge = Judge::default();
        while let Some((place, planned)) = self.next() {
            let Planned { trial, plan, parent } = planned;
            let row = Row { parent, ..self.one(trial, &plan, &mut judge) };
            self.bring(place, row);
        }
    }

    /// The next trial, if there is one, and its place among those to do.
    fn next(&self) -> Option<(usize, Planned)> {
        let mut board = self.board.lock().expect("no job panics with the board");
        while !board.closed && board.guide.as_ref().is_some_and(|guide| !guide.is_ready()) {
            board = self.more.wait(board).expect("no job panics with the board");
        }
        let place = board.next;
        let trial = *self.todo.get(place).filter(|_| !board.closed)?;
        board.next += 1;
        let fresh = || Planned { trial, plan: self.trials[trial].clone(), parent: None };
        let mut planned = board.guide.as_mut().map_or_else(|| Some(fresh()), Guide::plan)?;
        if planned.parent.is_some() {
            let path = self.folder.join(PLANS).join(format!("{trial:05}.json"));
            planned.plan.again = format!("{} replay {}", self.registry.program_name(), path.display());
            if let Err(error) = store::write_json(&path, &planned.plan) {
                board.trouble = Some(format!("{}: {error}", path.display()));
                board.closed = true;
                return None;
            }
        }
        Some((place, planned))
    }

    /// Takes the results of a trial, when those of all before it have been taken.
    fn bring(&self, place: usize, row: Row) {
        let mut board = self.board.lock().expect("no job panics with the board");
        board.ended.insert(place, row);
        while !board.closed {
            let done = board.done;
            let Some(row) = board.ended.remove(&done) else { break };
            board.done += 1;
            if let Err(why) = self.take(&mut board, row) {
                (board.trouble, board.closed) = (Some(why), true);
            }
        }
        self.more.notify_all();
    }

    fn take(&self, board: &mut Board, mut row: Row) -> Result<(), String> {
        if let Some(ledger) = &mut board.ledger {
            let coverage = std::mem::take(&mut row.reached);
            let gain = ledger.add(row.trial, &coverage).map_err(|error| format!("{COVERAGE}: {error}"))?;
            row.new_states = gain.new.len();
            if let Some(guide) = &mut board.guide {
                guide.take(gain);
            }
        }
        if self.args.json {
            say!("{}", serde_json::to_string(&row).expect("a row is plain data"));
        } else if row.end != Ending::Valid {
            if self.shown {
                eprint!("\r\x1b[K");
            }
            say!("{:?} seed {}: {}", row.end, row.seed, row.why);
        }
        if self.shown {
            let (done, total) = (board.done, self.todo.len());
            let pace = done as f64 / self.began.elapsed().as_secs_f64();
            eprint!("\r\x1b[K{done} of {total}, {pace:.1} a second");
        }
        board.closed |= self.args.stop_at_first && row.end != Ending::Valid;
        board.results.add(row).map_err(|error| error.to_string())
    }

    /// Carries one trial out and judges it.
    fn one(&self, trial: usize, plan: &TrialPlan, judge: &mut Judge) -> Row {
        let folder = self.folder.join(format!("{trial:05}-{}-{}", plan.workload, plan.seed.0));
        let keep = match self.args.keep {
            Keep::Bad => examine::Keep::Bad,
            Keep::All => examine::Keep::All,
        };
        examine::examine(self.registry, trial, plan, &folder, judge, keep)
    }
}
