//! `elenchus gallery`: each of the known bugs under one campaign, the same for all, and the correct build under it.

use super::check::Judge;
use super::examine::{self, Keep};
use super::interrupt;
use super::say::say;
use super::{StoreArgs, broken, usage};
use crate::campaign::{BugName, Campaign, Faults, Nodes};
use crate::exit::Exit;
use crate::gallery::{self, Exhibit};
use crate::plan::{Plan, TrialPlan};
use crate::quantity::Span;
use crate::registry::Registry;
use crate::results::{Ending, Row};
use crate::search::mutation::DEPTH;
use crate::shrink::{self, Shrinking, Size, Trials};
use crate::{store, utc};
use clap::Args;
use elenchus_core::process::NodeId;
use elenchus_reference::bug::Bug;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Arguments of `gallery`.
#[derive(Debug, Args)]
pub struct GalleryArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Only these bugs, with commas; all if left out
    #[arg(long, value_name = "BUGS", value_delimiter = ',')]
    bugs: Vec<BugName>,
    /// How many seeds each bug may take
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// After how many findings a bug is known well enough
    #[arg(long, value_name = "N", default_value_t = 20)]
    finds: usize,
    /// How many seeds the correct build is tried with; as many as the hardest bug took if left out
    #[arg(long, value_name = "N")]
    correct: Option<u64>,
    /// How long the clients of a trial work, in simulated time
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    time_limit: Span,
    /// How long one finding of each bug, the soonest in its trial, is shrunk at most; 0s: it is not
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    shrink: Span,
    /// How many trials at once
    #[arg(long, short = 'j', value_name = "N")]
    jobs: Option<usize>,
    /// Also write the gallery's page, in Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print one JSON object a trial instead of text
    #[arg(long)]
    json: bool,
}

/// The workloads, by turns.
const WORKLOADS: [&str; 3] = ["register", "set", "bank"];
/// Operations a second.
const RATE: f64 = 150.0;
/// Nodes, by turns of two seeds, one with priorities and one without.
const NODES: [usize; 4] = [5, 4, 3, 4];

/// Looks for the bugs, then for anything in the correct build.
pub fn run(args: &GalleryArgs, registry: &Registry) -> Exit {
    if args.seeds == 0 || args.finds == 0 || args.jobs == Some(0) {
        return usage("--seeds, --finds and --jobs: at least 1, or nothing would be examined");
    }
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let folder = args.store.store().root().join(format!("gallery-{}", std::process::id()));
    let hall = Hall { args, registry, folder: &folder };
    let bugs: Vec<Bug> = match &args.bugs[..] {
        [] => Bug::ALL.to_vec(),
        named => named.iter().map(|BugName(bug)| *bug).collect(),
    };
    if let Err(why) = hall.plan(None, 1) {
        return usage(&why);
    }
    let left = folder.clone();
    interrupt::ends_with("interrupted: no table; what was found stands above".into(), move || {
        interrupt::remove(&left);
    });
    let mut exhibits = hall.look_for(&bugs, jobs);
    let hardest = exhibits.iter().map(|exhibit| exhibit.rows.len() as u64).max().unwrap_or(0);
    exhibits.push(hall.correct(args.correct.unwrap_or(hardest), jobs));
    let _ = std::fs::remove_dir_all(&folder);
    if !args.json {
        say!("\n{}\n{}", gallery::table(&exhibits), gallery::summary(&exhibits, args.seeds));
    }
    if let Some(path) = &args.markdown
        && let Err(e) = store::write_whole(path, page(&exhibits, args, registry).as_bytes())
    {
        return broken(&format!("cannot write {}: {e}", path.display()));
    }
    exit(&exhibits)
}

/// All is well if every bug was found and nothing in the correct build.
fn exit(exhibits: &[Exhibit]) -> Exit {
    let broken = exhibits.iter().any(|exhibit| exhibit.count(Ending::Broken) > 0);
    let alarm = exhibits.iter().any(|exhibit| exhibit.bug.is_none() && exhibit.finds().next().is_some());
    let missed = exhibits.iter().any(|exhibit| exhibit.bug.is_some() && exhibit.first().is_none());
    match (alarm, broken, missed) {
        (true, ..) => Exit::Invalid,
        (_, true, _) => Exit::Broken,
        (.., true) => Exit::Unknown,
        _ => Exit::Valid,
    }
}

fn page(exhibits: &[Exhibit], args: &GalleryArgs, registry: &Registry) -> String {
    let campaign = format!(
        "{} test --sim --vary --nemesis all --rate {RATE} --time-limit {} --workload … --bug … --seed …",
        registry.program_name(),
        args.time_limit
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let note = format!(
        "Measured on {} with {} on {cores} cores ({build} build, version {}).",
        &utc::extended(SystemTime::now())[..10],
        processor(),
        env!("CARGO_PKG_VERSION")
    );
    gallery::markdown(exhibits, args.seeds, &campaign, &note)
}

/// What the machine's processor calls itself.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "an unnamed processor".into(), |(_, name)| name.trim().to_owned())
}

/// Where all exhibits are looked at in the same way.
struct Hall<'a> {
    args: &'a GalleryArgs,
    registry: &'a Registry,
    folder: &'a Path,
}

impl Hall<'_> {
    /// The one trial of a seed: that of the correct build, or with a bug.
    fn plan(&self, bug: Option<Bug>, seed: u64) -> Result<TrialPlan, String> {
        let count = NODES[(seed / 2 % NODES.len() as u64) as usize];
        let nodes = NodeId::numbered(count).iter().map(ToString::to_string).collect();
        let campaign = Campaign {
            name: Some("gallery".into()),
            sim: true,
            vary: true,
            workload: Some(WORKLOADS[(seed % WORKLOADS.len() as u64) as usize].into()),
            nodes: Some(Nodes::named(nodes)?),
            rate: Some(RATE),
            time_limit: Some(self.args.time_limit),
            nemesis: Some(Faults::All),
            seed: Some(seed),
            // Uneven links show many mistakes soon, even ones what needs haste: half of each.
            priorities: seed.is_multiple_of(2).then_some(DEPTH),
            bug: bug.map(BugName).into_iter().collect(),
            check_timeout: Some(Span(Duration::from_secs(120))),
            ..Campaign::default()
        };
        let plan = Plan::of(self.registry, &campaign, seed, None).map_err(|why| why.to_string())?;
        plan.trials.into_iter().next().ok_or_else(|| "there is no trial to run".into())
    }

    fn examine(&self, bug: Option<Bug>, seed: u64, judge: &mut Judge) -> Row {
        let plan = self.plan(bug, seed).expect("all seeds are planned alike");
        let folder = self.folder.join(format!("{}-{seed}", bug.map_or("correct", Bug::name)));
        let row = examine::examine(self.registry, seed as usize, &plan, &folder, judge, Keep::Nothing);
        if self.args.json {
            let bug = bug.map(Bug::name);
            say!("{}", serde_json::json!({ "bug": bug, "row": row }));
        }
        row
    }

    /// Each bug with one seed after the other, several bugs at a time.
    fn look_for(&self, bugs: &[Bug], jobs: usize) -> Vec<Exhibit> {
        let (next, shown) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(bugs.len()) {
                scope.spawn(|| {
                    let mut judge = Judge::default();
                    while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let exhibit = self.exhibit(*bug, &mut judge);
                        self.tell(&exhibit);
                        shown.lock().expect("no job panics with the exhibits").push(exhibit);
                    }
                });
            }
        });
        let mut exhibits = shown.into_inner().expect("no job panics with the exhibits");
        exhibits.sort_by_key(|exhibit| bugs.iter().position(|bug| Some(*bug) == exhibit.bug));
        exhibits
    }

    fn exhibit(&self, bug: Bug, judge: &mut Judge) -> Exhibit {
        let mut exhibit = Exhibit { bug: Some(bug), rows: Vec::new(), shrunk: None };
        for seed in 1..=self.args.seeds {
            exhibit.rows.push(self.examine(Some(bug), seed, judge));
            if exhibit.finds().count() >= self.args.finds {
                break;
            }
        }
        // What is soon there to be seen has little before it to be left out.
        let soonest = exhibit.finds().min_by_key(|row| (row.first_ns.unwrap_or(u64::MAX), row.seed));
        let soonest = soonest.map(|row| row.seed);
        exhibit.shrunk = soonest.and_then(|seed| self.shrunk(bug, seed, judge));
        exhibit
    }

    /// What is left of a trial that found something, if it is to be shrunk and can be.
    fn shrunk(&self, bug: Bug, seed: u64, judge: &mut Judge) -> Option<Size> {
        let Span(time) = self.args.shrink;
        if time.is_zero() {
            return None;
        }
        let plan = self.plan(Some(bug), seed).expect("all seeds are planned alike");
        let folder = self.folder.join(format!("{bug}-{seed}-whole"));
        examine::examine(self.registry, seed as usize, &plan, &folder, judge, Keep::All);
        let whole = shrink::written_out(self.registry, &folder, None);
        let _ = std::fs::remove_dir_all(&folder);
        let trials = Trials::new(self.registry, 1, Instant::now() + time, u64::MAX);
        let mut shrinking = Shrinking::begin(&trials, whole.ok()?)?;
        shrinking.run(|_, _| {});
        let size = shrinking.size();
        if self.args.json {
            say!("{}", serde_json::json!({ "bug": bug.name(), "seed": seed, "shrunk": size }));
        }
        Some(size)
    }

    fn tell(&self, exhibit: &Exhibit) {
        if self.args.json {
            return;
        }
        let again = exhibit.finds().next().map_or("", |row| &row.again);
        match exhibit.first() {
            Some(first) => say!(
                "{}: seed {first}, {} of {}{}  {again}",
                exhibit.name(),
                exhibit.finds().count(),
                exhibit.rows.len(),
                exhibit.shrunk.map_or_else(String::new, |size| format!(", shrunk to {size}"))
            ),
            None => say!("{}: not in {} seeds", exhibit.name(), exhibit.rows.len()),
        }
    }

    /// The correct build with so many seeds.
    fn correct(&self, seeds: u64, jobs: usize) -> Exhibit {
        let (next, rows) = (AtomicU64::new(1), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    let mut judge = Judge::default();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed > seeds {
                            break;
                        }
                        let row = self.examine(None, seed, &mut judge);
                        if row.end == Ending::Invalid && !self.args.json {
                            say!("the correct build, seed {seed}: {}\n  {}", row.why, row.again);
                        }
                        rows.lock().expect("no job panics with the rows").push(row);
                    }
                });
            }
        });
        let mut rows = rows.into_inner().expect("no job panics with the rows");
        rows.sort_by_key(|row: &Row| row.seed);
        Exhibit { bug: None, rows, shrunk: None }
    }
}
