//! What is tried to be left out of a script, and in which order.
//!
//! First the cheapest great step: what comes after the violation. Then strikes, operations, nodes, weather and time
//! in turn, again and again, until a whole round takes nothing away or the budget is spent.

use super::ddmin::ddmin;
use super::dice;
use super::leaps;
use super::trials::{Sight, Trials};
use crate::plan::TrialPlan;
use crate::script::Script;
use elenchus_core::fault::{Cut, Fault, Target};
use elenchus_core::process::NodeId;
use elenchus_reference::sim::{Latency, Simulation, Weather};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// A millisecond in nanoseconds.
const MS: u64 = 1_000_000;
/// Under how many lucks a guess is tried.
const GUESS_LUCKS: u64 = 12;
/// Under how many lucks a leap is tried.
const LEAP_LUCKS: u64 = 80;
/// How many draws a round of dice has.
const DRAWS: u64 = 1_500;
/// The same where much is left, or nothing else helps: seconds, where leaving out one by one takes a minute.
const DRAWS_MANY: u64 = 16_000;
/// After how many entries snapshots are taken where it matters less than how many operations there are.
const SNAPSHOTS: [u64; 3] = [2, 5, 20];
/// So many strikes and operations are few: what a person takes in at a glance.
const FEW: usize = 4;
/// So many are many.
const MANY: usize = 40;
/// Fewer nodes are no cluster that could disagree.
const NODES_MIN: usize = 3;

/// One kind of thing that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// What comes after the violation.
    End,
    /// Almost everything: all but a strike or two, all but a few operations, all but the last moments.
    Leap,
    /// The order and the times.
    Dice,
    /// Strikes.
    Strikes,
    /// Operations.
    Operations,
    /// Nodes.
    Nodes,
    /// Losses, doubles, stragglers, and latencies that differ.
    Weather,
    /// Gaps in which nothing happens, and healings that nobody needs.
    Time,
}

impl Pass {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Pass::End => "end",
            Pass::Leap => "leap",
            Pass::Dice => "dice",
            Pass::Strikes => "strikes",
            Pass::Operations => "operations",
            Pass::Nodes => "nodes",
            Pass::Weather => "weather",
            Pass::Time => "time",
        }
    }

    /// All of them, in the order in which they are tried.
    pub const ALL: [Pass; 8] = [
        Pass::End,
        Pass::Leap,
        Pass::Dice,
        Pass::Strikes,
        Pass::Operations,
        Pass::Nodes,
        Pass::Weather,
        Pass::Time,
    ];
}

/// What is left of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Strikes.
    pub strikes: usize,
    /// Operations.
    pub operations: usize,
    /// Nodes.
    pub nodes: usize,
}

impl Size {
    /// What a plan's script has.
    pub fn of(plan: &TrialPlan) -> Size {
        let script = plan.script.as_ref();
        Size {
            strikes: script.map_or(0, |script| script.strikes.len()),
            operations: script.map_or(0, |script| script.operations.len()),
            nodes: plan.nodes.len(),
        }
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let Size { strikes, operations, nodes } = *self;
        write!(
            f,
            "{strikes} strike{}, {operations} operation{}, {nodes} node{}",
            s(strikes),
            s(operations),
            s(nodes)
        )
    }
}

/// A script on its way to become small.
pub struct Shrinking<'t, 'r> {
    trials: &'t Trials<'r>,
    best: TrialPlan,
    /// What the best shows.
    sight: Sight,
}

impl<'t, 'r> Shrinking<'t, 'r> {
    /// Begins with a plan that has a script; `None` if it does not show what it seeks.
    pub fn begin(trials: &'t Trials<'r>, plan: TrialPlan) -> Option<Shrinking<'t, 'r>> {
        plan.script.as_ref()?;
        let (_, best, sight) = trials.first(&[plan])?;
        Some(Shrinking { trials, best, sight })
    }

    /// The smallest plan so far.
    pub fn best(&self) -> &TrialPlan {
        &self.best
    }

    /// How small the smallest so far is.
    pub fn size(&self) -> Size {
        Size::of(&self.best)
    }

    /// Makes it as small as it gets; `tell` is told after each pass.
    pub fn run(&mut self, mut tell: impl FnMut(Pass, &Shrinking<'t, 'r>)) {
        loop {
            let before = self.best.clone();
            for pass in Pass::ALL {
                if self.trials.are_over() {
                    return;
                }
                self.pass(pass);
                tell(pass, self);
            }
            if self.best == before && (self.items() <= FEW || !self.throw(DRAWS_MANY)) {
                return;
            }
        }
    }

    /// Leaves out what can be of one kind.
    pub fn pass(&mut self, pass: Pass) {
        match pass {
            Pass::End => self.cut_end(),
            Pass::Leap => self.leap(),
            Pass::Dice => drop(self.throw(if self.items() > MANY { DRAWS_MANY } else { DRAWS })),
            Pass::Strikes => self.leave_out(|script| &mut script.strikes),
            Pass::Operations => {
                self.guess();
                self.squeeze();
                self.leave_out(|script| &mut script.operations);
            }
            Pass::Nodes => self.drop_nodes(),
            Pass::Weather => self.clear_weather(),
            Pass::Time => self.save_time(),
        }
    }

    fn script(&self) -> &Script {
        self.best.script.as_ref().expect("it began with a script")
    }

    /// The best plan, changed.
    fn with(&self, change: impl FnOnce(&mut Script)) -> TrialPlan {
        leaps::with(&self.best, change)
    }

    /// Takes the first of these that shows it for the best. Whether any does.
    fn take(&mut self, candidates: &[TrialPlan]) -> Option<usize> {
        let (number, best, sight) = self.trials.first(candidates)?;
        (self.best, self.sight) = (best, sight);
        Some(number)
    }

    fn cut_end(&mut self) {
        let at = self.sight.at.0;
        let plan = self.with(|script| cut(script, at));
        if plan != self.best {
            self.take(&[plan]);
        }
        self.guess();
        self.squeeze();
    }

    /// Closes long gaps, all at once or else the longest: what is short costs little from here on.
    fn squeeze(&mut self) {
        loop {
            let times = times(self.script());
            let starts = std::iter::once(0).chain(times.iter().copied());
            let mut gaps: Vec<(u64, u64)> = starts.zip(times.iter().copied()).collect();
            gaps.retain(|(start, end)| end - start > 1_000 * MS);
            // From the end, so that closing one leaves the others where they are.
            gaps.reverse();
            let closed = |gaps: &[(u64, u64)], to: u64| {
                self.with(|script| {
                    gaps.iter().for_each(|(start, end)| close(script, *start, end - start - to))
                })
            };
            let longest = gaps.iter().copied().max_by_key(|(start, end)| end - start);
            let Some(longest) = longest else { return };
            let candidates = [
                closed(&gaps, 20 * MS),
                closed(&gaps, 500 * MS),
                closed(&[longest], 20 * MS),
                closed(&[longest], (longest.1 - longest.0) / 2),
            ];
            if self.trials.are_over() || self.take(&candidates).is_none() {
                return;
            }
        }
    }

    /// Tries the few operations that may be all that it takes, before many are tried in turn.
    fn guess(&mut self) {
        while !self.trials.are_over() {
            let candidates = leaps::operations(&self.best, &self.sight);
            if self.take_lucky(&candidates, GUESS_LUCKS).is_none() {
                return;
            }
        }
    }

    /// What is near the script at hand often takes all of it, and what is far from it much less.
    fn leap(&mut self) {
        let all: [(Vec<TrialPlan>, u64); 3] = [
            (leaps::strikes_alone(&self.best), LEAP_LUCKS),
            (leaps::operations_alone(&self.best, &self.sight), LEAP_LUCKS),
            (leaps::recent(&self.best, &self.sight), GUESS_LUCKS),
        ];
        for (candidates, lucks) in all {
            if self.take_lucky(&candidates, lucks).is_some() {
                return self.cut_end();
            }
        }
    }

    /// Throws dice until so many draws show nothing smaller. Whether any did.
    fn throw(&mut self, draws: u64) -> bool {
        for round in 0.. {
            let seed = self.best.seed.stream("dice").nth(round);
            let draws = (0..draws).filter_map(|number| dice::draw(&self.best, &self.sight, seed.nth(number)));
            let Some((_, best, sight)) = self.trials.first_as_it_is(&draws.collect::<Vec<_>>()) else {
                return round > 0;
            };
            (self.best, self.sight) = (best, sight);
            self.cut_end();
        }
        false
    }

    /// How many strikes and operations are left.
    fn items(&self) -> usize {
        self.script().strikes.len() + self.script().operations.len()
    }

    /// As `take`, each under so many lucks.
    fn take_lucky(&mut self, candidates: &[TrialPlan], lucks: u64) -> Option<usize> {
        let (number, best, sight) = self.trials.first_lucky(candidates, lucks)?;
        (self.best, self.sight) = (best, sight);
        Some(number)
    }

    fn leave_out<T: Clone>(&mut self, items: fn(&mut Script) -> &mut Vec<T>) {
        let all = std::mem::take(items(self.best.clone().script.as_mut().expect("it began with a script")));
        ddmin(all, &mut |candidates: &[Vec<T>]| {
            let plan = |list: &Vec<T>| self.with(|script| items(script).clone_from(list));
            let plans: Vec<TrialPlan> = candidates.iter().map(plan).collect();
            self.take(&plans)
        });
    }

    fn drop_nodes(&mut self) {
        while self.best.nodes.len() > NODES_MIN {
            let nodes = self.best.nodes.clone();
            // From the end, so that the others keep their names by which chance is drawn.
            let fewest = threes(&nodes)
                .into_iter()
                .map(|gone| gone.into_iter().fold(self.best.clone(), |plan, node| without(&plan, &node)));
            let one_less = nodes.iter().rev().map(|node| without(&self.best, node));
            let candidates: Vec<TrialPlan> = match nodes.len() {
                0..=4 => one_less.collect(),
                _ => fewest.chain(one_less).collect(),
            };
            if self.take(&candidates).is_none() {
                return;
            }
        }
    }

    fn clear_weather(&mut self) {
        let constant = |us| Latency::Constant { us };
        let changes: [fn(Weather, Latency) -> Weather; 4] = [
            |weather, _| weather.fair(),
            |weather, latency| Weather { latency, ..weather },
            |weather, latency| Weather { client_latency: latency, ..weather },
            |weather, latency| Weather { sync: latency, ..weather },
        ];
        // With fewer entries to a snapshot fewer operations bring one about.
        let often = SNAPSHOTS.into_iter().filter_map(|every| leaps::with_snapshots(&self.best, every));
        let often: Vec<TrialPlan> = often.collect();
        self.take(&often);
        for change in changes {
            let mut plan = self.best.clone();
            let simulation = plan.simulation.unwrap_or_default();
            let weather = change(simulation.weather, constant(500));
            if weather != simulation.weather {
                plan.simulation = Some(Simulation { weather, ..simulation });
                self.take(&[plan]);
            }
        }
    }

    fn save_time(&mut self) {
        for number in 0..self.script().strikes.len() {
            if self.script().strikes[number].heal_ns.is_some() {
                let plan = self.with(|script| script.strikes[number].heal_ns = None);
                self.take(&[plan]);
            }
        }
        let mut from = 0;
        while let Some((start, end)) = gap_after(self.script(), from) {
            if self.trials.are_over() {
                return;
            }
            let gaps = [MS, (end - start) / 8, (end - start) / 2];
            let candidates: Vec<TrialPlan> = gaps
                .into_iter()
                .filter(|gap| *gap < end - start)
                .map(|gap| self.with(|script| close(script, start, end - start - gap)))
                .collect();
            let taken = self.take(&candidates);
            from = taken.map_or(end, |number| start + gaps[number]);
        }
    }
}

/// Whom to leave out so that three are left, in every way there is.
fn threes(nodes: &[NodeId]) -> Vec<Vec<NodeId>> {
    let mut all = Vec::new();
    let count = nodes.len();
    for a in 0..count {
        for b in a + 1..count {
            for c in b + 1..count {
                let stays = |place: usize| [a, b, c].contains(&place);
                all.push(
                    (0..count).filter(|place| !stays(*place)).map(|place| nodes[place].clone()).collect(),
                );
            }
        }
    }
    all
}

/// Leaves out what comes after this time.
fn cut(script: &mut Script, at: u64) {
    script.operations.retain(|step| step.at_ns <= at);
    script.strikes.retain(|blow| blow.at_ns <= at);
    for blow in &mut script.strikes {
        blow.heal_ns = blow.heal_ns.filter(|heal| *heal <= at);
    }
    script.final_ns = script.final_ns.filter(|parting| *parting <= at);
    script.until_ns = script.until_ns.min(at);
}

/// The times at which something is done, in order, and the end.
fn times(script: &Script) -> Vec<u64> {
    let strikes = script.strikes.iter().flat_map(|blow| [Some(blow.at_ns), blow.heal_ns]).flatten();
    let operations = script.operations.iter().map(|step| step.at_ns);
    let mut times: Vec<u64> = strikes.chain(operations).chain([script.until_ns]).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// The first gap of more than a few milliseconds that begins at this time or later.
fn gap_after(script: &Script, from: u64) -> Option<(u64, u64)> {
    let times = times(script);
    let starts = std::iter::once(0).chain(times.iter().copied());
    starts.zip(times.iter().copied()).find(|(start, end)| *start >= from && end - start > 4 * MS)
}

/// Does everything after `start` so much earlier.
fn close(script: &mut Script, start: u64, by: u64) {
    script.retime(|at| at - if at > start { by.min(at - start) } else { 0 });
}

/// The plan without a node: nobody strikes it, and whoever spoke to it speaks to another.
pub(super) fn without(plan: &TrialPlan, gone: &NodeId) -> TrialPlan {
    let mut plan = plan.clone();
    plan.nodes.retain(|node| node != gone);
    let nodes = &plan.nodes;
    let Some(script) = &mut plan.script else { return plan };
    for (slot, seat) in script.seats.iter_mut().enumerate() {
        if seat == gone {
            seat.clone_from(&nodes[slot % nodes.len()]);
        }
    }
    script.strikes.retain_mut(|blow| spare(&mut blow.fault, gone));
    plan
}

/// Lets a fault strike everybody else; whether anybody is left.
fn spare(fault: &mut Fault, gone: &NodeId) -> bool {
    if let Fault::Partition { cut, .. } = fault {
        let Cut::Links(links) = cut else { return true };
        links.retain(|link| link.from != *gone && link.to != *gone);
        return !links.is_empty();
    }
    if let Some(Target::Nodes(nodes)) = fault.nodes_mut() {
        nodes.retain(|node| node != gone);
        return !nodes.is_empty();
    }
    true
}
