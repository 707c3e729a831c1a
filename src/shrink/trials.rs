//! Scripted trials carried out one after the other or side by side, each only to see whether it shows what is sought.
//!
//! Nothing is written and no process is started: a short script is carried out and judged within milliseconds. What is
//! broken is sought under several lucks, since with one item less every latency after it is another; which luck
//! showed it then stands in the script.

use crate::plan::TrialPlan;
use crate::registry::{Registry, Trial};
use crate::script::Script;
use crate::trial::Rehearsal;
use elenchus_checkers::{check_all, consensus};
use elenchus_core::budget::Budget;
use elenchus_core::format::jsonl;
use elenchus_core::time::Time;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long the judging of one trial may take.
const JUDGING: Duration = Duration::from_secs(10);
/// Which part of the whole time is spent on what is not sure to be worth it, at one go.
const PATIENCE: u32 = 10;
/// How much memory it may take, in bytes.
const MEMORY: usize = 1 << 30;

/// A scripted trial that was carried out and judged.
pub struct Performance {
    /// What each checker said.
    pub verdicts: Vec<Verdict>,
    /// What happened.
    pub rehearsal: Rehearsal,
}

impl Performance {
    /// Carries a script out to its end, with all that the nodes traced.
    pub fn whole(registry: &Registry, plan: &TrialPlan) -> Result<Performance, String> {
        let trial = trial(registry, plan)?;
        let rehearsal = trial.rehearse(plan, None, None, true).map_err(|failed| failed.to_string())?;
        let verdicts = judge(&*trial, &rehearsal)?;
        Ok(Performance { verdicts, rehearsal })
    }
}

fn trial(registry: &Registry, plan: &TrialPlan) -> Result<Box<dyn Trial>, String> {
    registry.trial(plan, "").ok_or_else(|| format!("there is no workload `{}`", plan.workload))
}

/// All verdicts on what happened.
fn judge(trial: &dyn Trial, rehearsal: &Rehearsal) -> Result<Vec<Verdict>, String> {
    let recording = jsonl::read(&rehearsal.history).map_err(|error| error.to_string())?;
    let budget = Budget::new(JUDGING, MEMORY).with_threads(1);
    let judged = check_all(trial.checkers(), &recording.history, &budget);
    let mut verdicts = judged.map_err(|malformed| malformed.to_string())?;
    let mut traced = rehearsal.findings.verdict();
    if let Some(at) = rehearsal.broken_at {
        traced = traced.with_figure("first_ns", at.0);
    }
    verdicts.push(traced);
    Ok(verdicts)
}

/// What was sought, seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// When it was there to be seen.
    pub at: Time,
    /// The operations that prove it, by process and call; none if the traces do.
    pub calls: Vec<(u32, Time)>,
    /// The object concerned, as text.
    pub key: Option<String>,
}

/// When an anomaly was there to be seen: with the last answer that proves it.
pub fn seen_at(anomaly: &Anomaly) -> Option<Time> {
    anomaly.operations.iter().map(|exhibit| exhibit.ended.unwrap_or(exhibit.called)).max()
}

/// What a trial shows of what its script seeks; `None` if it does not, or breaks, or is not done by then.
fn shows(registry: &Registry, plan: &TrialPlan, deadline: Instant) -> Option<Sight> {
    let script = plan.script.as_ref()?;
    let (sought, end) = (&script.sought, Time(script.until_ns));
    let trial = trial(registry, plan).ok()?;
    if sought.checker == consensus::NAME {
        let rehearsal = trial.rehearse(plan, Some(&sought.class), Some(deadline), false).ok()?;
        let is_found = rehearsal.findings.counts.contains_key(sought.class.as_str());
        let at = rehearsal.broken_at.unwrap_or(end);
        return is_found.then_some(Sight { at, calls: Vec::new(), key: None });
    }
    let rehearsal = trial.rehearse(plan, None, Some(deadline), false).ok()?;
    let verdicts = judge(&*trial, &rehearsal).ok()?;
    let guilty = verdicts.iter().find(|verdict| verdict.checker == sought.checker)?;
    let is_class = |verdict: &&Verdict| {
        verdict.validity == Validity::Invalid
            && (verdict.class.as_deref() == Some(&sought.class)
                || verdict.anomalies.iter().any(|anomaly| anomaly.class == sought.class))
    };
    let guilty = Some(guilty).filter(is_class)?;
    let of_class = guilty.anomalies.iter().filter(|anomaly| anomaly.class == sought.class);
    let earliest = of_class.min_by_key(|anomaly| seen_at(anomaly).unwrap_or(end));
    Some(earliest.map_or(Sight { at: end, calls: Vec::new(), key: None }, |anomaly| Sight {
        at: seen_at(anomaly).unwrap_or(end),
        calls: anomaly.operations.iter().map(|exhibit| (exhibit.process, exhibit.called)).collect(),
        key: anomaly.key.clone(),
    }))
}

/// Carries trials out, as many as its budget allows.
pub struct Trials<'a> {
    registry: &'a Registry,
    jobs: usize,
    began: Instant,
    deadline: Instant,
    runs_max: u64,
    runs: AtomicU64,
}

impl<'a> Trials<'a> {
    /// So many at once, until then, and no more than these.
    pub fn new(registry: &'a Registry, jobs: usize, deadline: Instant, runs_max: u64) -> Trials<'a> {
        let began = Instant::now();
        Trials { registry, jobs: jobs.max(1), began, deadline, runs_max, runs: AtomicU64::new(0) }
    }

    /// How many were carried out.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Whether no more may be.
    pub fn are_over(&self) -> bool {
        self.runs() >= self.runs_max || Instant::now() >= self.deadline
    }

    /// Until when something may be tried that is not sure to be worth its time.
    fn patience(&self) -> Instant {
        let whole = self.deadline.saturating_duration_since(self.began);
        self.deadline.min(Instant::now() + whole / PATIENCE)
    }

    /// The first of these plans that shows what is sought, under some luck, and what it shows.
    pub fn first(&self, plans: &[TrialPlan]) -> Option<(usize, TrialPlan, Sight)> {
        let place = |(number, plan): (usize, &TrialPlan)| {
            lucks(plan.script.as_ref()).into_iter().map(move |luck| (number, luck)).collect::<Vec<_>>()
        };
        self.first_of(plans, &plans.iter().enumerate().flat_map(place).collect::<Vec<_>>(), self.deadline)
    }

    /// The same under each of so many lucks, the plans in turn, as long as it is worth the time.
    pub fn first_lucky(&self, plans: &[TrialPlan], lucks: u64) -> Option<(usize, TrialPlan, Sight)> {
        let turn = |luck| (0..plans.len()).map(move |number| (number, luck));
        self.first_of(plans, &(0..lucks).flat_map(turn).collect::<Vec<_>>(), self.patience())
    }

    /// The same, each only under its own luck.
    pub fn first_as_it_is(&self, plans: &[TrialPlan]) -> Option<(usize, TrialPlan, Sight)> {
        let own = |(number, plan): (usize, &TrialPlan)| (number, plan.script.as_ref().map_or(0, |s| s.luck));
        self.first_of(plans, &plans.iter().enumerate().map(own).collect::<Vec<_>>(), self.patience())
    }

    fn first_of(
        &self,
        plans: &[TrialPlan],
        all: &[(usize, u64)],
        until: Instant,
    ) -> Option<(usize, TrialPlan, Sight)> {
        let (next, best) = (AtomicUsize::new(0), Mutex::new(None::<(usize, TrialPlan, Sight)>));
        let is_better = |place: usize, best: &Option<(usize, TrialPlan, Sight)>| {
            best.as_ref().is_none_or(|(found, ..)| place < *found)
        };
        let work = || {
            while !self.are_over() && Instant::now() < until {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(&(number, luck)) = all.get(place) else { return };
                if !is_better(place, &best.lock().expect("no job panics with the best")) {
                    return;
                }
                let plan = with_luck(&plans[number], luck);
                self.runs.fetch_add(1, Ordering::Relaxed);
                let Some(sight) = shows(self.registry, &plan, self.deadline) else { continue };
                let mut best = best.lock().expect("no job panics with the best");
                if is_better(place, &best) {
                    *best = Some((place, plan, sight));
                }
            }
        };
        if self.jobs == 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..self.jobs {
                    scope.spawn(work);
                }
            });
        }
        let best = best.into_inner().expect("no job panics with the best");
        best.map(|(place, plan, sight)| (all[place].0, plan, sight))
    }
}

fn with_luck(plan: &TrialPlan, luck: u64) -> TrialPlan {
    let mut plan = plan.clone();
    if let Some(script) = &mut plan.script {
        script.luck = luck;
    }
    plan
}

/// The lucks under which a script is tried: its own, and more the shorter it is.
fn lucks(script: Option<&Script>) -> Vec<u64> {
    let Some(script) = script else { return Vec::new() };
    // About what it costs to carry it out, in milliseconds.
    let cost = 3 * script.until_ns / 1_000_000_000 + script.operations.len() as u64 / 5;
    let others = match cost {
        0..=5 => 60,
        6..=25 => 24,
        26..=60 => 8,
        61..=200 => 2,
        _ => 0,
    };
    let others = (0..=others).filter(|luck| *luck != script.luck).take(others as usize);
    std::iter::once(script.luck).chain(others).collect()
}
