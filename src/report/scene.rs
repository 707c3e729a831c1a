//! The picture of an anomaly, laid out: one lane per process, a bar from each call to its end.
//!
//! Order in the log is what proves an anomaly, so order is drawn exactly and distance is not: ends of
//! operations stand from left to right as they stand in the log, at least so far apart that every bar
//! holds its text, and farther apart (by the logarithm) the more time lies between. The page says so.
//! Both the SVG of the page and the PNG are drawn from this one layout, in pixels.

use crate::report::escape::shorten;
use crate::report::scale::{duration, seconds};
use elenchus_core::event::Index;
use elenchus_core::verdict::{Anomaly, Exhibit};

/// A picture in pixels, from its upper left corner.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Width of the whole picture.
    pub width: f64,
    /// Height of the whole picture.
    pub height: f64,
    /// Where the lanes begin, right of their names.
    pub left: f64,
    /// The rows.
    pub lanes: Vec<Lane>,
    /// The operations.
    pub bars: Vec<Bar>,
    /// Faults in force, behind everything: kind, from, until.
    pub bands: Vec<Band>,
    /// Times under the lanes.
    pub ticks: Vec<Tick>,
    /// Where the guilty operation was called: whatever ends left of it was over before.
    pub began: Option<f64>,
    /// How many operations of the anomaly are not in the picture, because it would hold too many.
    pub omitted: usize,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// Who.
    pub process: u32,
    /// What stands before the row.
    pub name: String,
    /// The top of its bars.
    pub y: f64,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its lane.
    pub lane: usize,
    /// Its call.
    pub from: f64,
    /// Its end, or the end of the picture if it is in doubt.
    pub until: f64,
    /// Whether it may take effect at any later time.
    pub in_doubt: bool,
    /// What it did and what came of it, as it fits.
    pub text: String,
    /// The same, whole, with its times.
    pub title: String,
    /// Whether it belongs to the proof.
    pub evidence: bool,
    /// Whether no order can explain its answer.
    pub guilty: bool,
}

/// A fault in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Its kind.
    pub fault: String,
    /// Since here.
    pub from: f64,
    /// Until here.
    pub until: f64,
}

/// A time under the lanes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub x: f64,
    /// The time, in seconds of the trial, or the position in the log.
    pub text: String,
}

/// A fault in force, in nanoseconds of the trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its kind.
    pub fault: String,
    /// Since then.
    pub from: u64,
    /// Until then.
    pub until: u64,
}

/// Pixels from one lane to the next.
pub const LANE_PITCH: f64 = 40.0;
/// Height of a bar.
pub const BAR_HEIGHT: f64 = 26.0;
/// Width of one character of a bar's text (DejaVu Sans Mono at 12 pixels is 7.2 wide).
pub const CHAR_WIDTH: f64 = 7.25;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
const BAR_PADDING: f64 = 7.0;
const TEXT_CHARS_MAX: usize = 30;
const TITLE_CHARS_MAX: usize = 200;
const OPERATIONS_MAX: usize = 40;
/// How far an operation in doubt reaches beyond the last end.
const TAIL: f64 = 56.0;

impl Scene {
    /// Lays an anomaly out. `node_of` tells the node of a process, if it is known.
    pub fn of(anomaly: &Anomaly, in_force: &[InForce], node_of: impl Fn(u32) -> Option<String>) -> Scene {
        let (shown, omitted) = pick(anomaly);
        let timed = bear_times(shown.iter().map(|shown| shown.exhibit));
        let lanes = lanes(&shown, node_of);
        let widest = lanes.iter().map(|lane| lane.name.chars().count()).max().unwrap_or(0);
        let left = widest as f64 * CHAR_WIDTH + 22.0;
        let ends = place(&shown, &lanes, left);
        let right = ends.last().map_or(left, |end| end.x) + TAIL;
        let at = |index: Index| ends.iter().find(|end| end.index == index).map(|end| end.x);
        let bars: Vec<Bar> = shown.iter().map(|shown| bar(shown, &lanes, &at, right, timed)).collect();
        Scene {
            width: right + 12.0,
            height: TOP + lanes.len() as f64 * LANE_PITCH + BOTTOM,
            left,
            bands: bands(in_force, &ends, left, right),
            ticks: if timed { ticks(&ends) } else { places(&ends) },
            began: bars.iter().find(|bar| bar.guilty).map(|bar| bar.from),
            lanes,
            bars,
            omitted,
        }
    }

    /// The same scene, at least so wide: everything right of the names is drawn out evenly.
    pub fn widened(&self, width: f64) -> Scene {
        let factor = ((width - self.left) / (self.width - self.left).max(1.0)).clamp(1.0, 2.5);
        let mut scene = self.clone();
        let stretch = |x: &mut f64| *x = self.left + (*x - self.left) * factor;
        stretch(&mut scene.width);
        scene.began.iter_mut().for_each(stretch);
        scene.bars.iter_mut().flat_map(|bar| [&mut bar.from, &mut bar.until]).for_each(stretch);
        scene.bands.iter_mut().flat_map(|band| [&mut band.from, &mut band.until]).for_each(stretch);
        scene.ticks.iter_mut().for_each(|tick| stretch(&mut tick.x));
        scene
    }

    /// The bottom of the lanes.
    pub fn floor(&self) -> f64 {
        self.height - BOTTOM
    }
}

/// Whether times were taken of these operations: else none that is over knows when it ended.
pub fn bear_times<'a>(exhibits: impl IntoIterator<Item = &'a Exhibit>) -> bool {
    let mut over = exhibits.into_iter().filter(|exhibit| exhibit.done.is_some()).peekable();
    over.peek().is_none() || over.any(|exhibit| exhibit.ended.is_some())
}

/// An operation of the anomaly, and whether it proves anything.
struct Shown<'a> {
    exhibit: &'a Exhibit,
    evidence: bool,
}

/// The operations shown, in the order of their calls, and how many are not: the guilty one goes first,
/// then the proof, then context as far as there is room.
fn pick(anomaly: &Anomaly) -> (Vec<Shown<'_>>, usize) {
    let proof = anomaly.operations.iter().map(|exhibit| Shown { exhibit, evidence: true });
    let context = anomaly.context.iter().map(|exhibit| Shown { exhibit, evidence: false });
    let mut all: Vec<Shown<'_>> = proof.chain(context).collect();
    all.sort_by_key(|shown| (shown.exhibit.call, !shown.evidence));
    all.dedup_by_key(|shown| shown.exhibit.call);
    let omitted = all.len().saturating_sub(OPERATIONS_MAX);
    all.sort_by_key(|shown| (!shown.exhibit.guilty, !shown.evidence));
    all.truncate(OPERATIONS_MAX);
    all.sort_by_key(|shown| shown.exhibit.call);
    (all, omitted)
}

fn lanes(shown: &[Shown<'_>], node_of: impl Fn(u32) -> Option<String>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for Shown { exhibit, .. } in shown {
        if lanes.iter().all(|lane| lane.process != exhibit.process) {
            let name = match node_of(exhibit.process) {
                Some(node) => format!("process {} → {}", exhibit.process, shorten(&node, 16)),
                None => format!("process {}", exhibit.process),
            };
            let y = TOP + lanes.len() as f64 * LANE_PITCH + (LANE_PITCH - BAR_HEIGHT) / 2.0;
            lanes.push(Lane { process: exhibit.process, name, y });
        }
    }
    lanes
}

/// One end of an operation, placed.
struct End {
    index: Index,
    time: u64,
    x: f64,
}

/// Places all ends from left to right in the order of the log.
fn place(shown: &[Shown<'_>], lanes: &[Lane], left: f64) -> Vec<End> {
    struct Raw<'a> {
        index: Index,
        time: u64,
        of: &'a Shown<'a>,
        is_call: bool,
    }
    let mut raw: Vec<Raw<'_>> = Vec::new();
    for of in shown {
        raw.push(Raw { index: of.exhibit.call, time: of.exhibit.called.0, of, is_call: true });
        if let Some(done) = of.exhibit.done {
            let time = of.exhibit.ended.map_or(of.exhibit.called.0, |t| t.0);
            raw.push(Raw { index: done, time, of, is_call: false });
        }
    }
    raw.sort_by_key(|end| end.index);
    // The least x at which the next end of each lane may stand, so that texts do not collide.
    let mut free: Vec<f64> = vec![left + 14.0; lanes.len()];
    let mut ends: Vec<End> = Vec::new();
    for end in &raw {
        let lane = lanes.iter().position(|lane| lane.process == end.of.exhibit.process).unwrap_or(0);
        let spaced = ends.last().map_or(left + 14.0, |last| last.x + gap(end.time.saturating_sub(last.time)));
        let x = spaced.max(free[lane]);
        free[lane] = x + if end.is_call { text_width(end.of.exhibit) } else { 10.0 };
        ends.push(End { index: end.index, time: end.time, x });
    }
    // Operations in doubt have no end that would hold their text.
    if let Some(last) = ends.last_mut() {
        let widest = free.iter().copied().fold(0.0, f64::max);
        last.x = last.x.max(widest - TAIL);
    }
    ends
}

/// Pixels between two ends that lie so many nanoseconds apart: never none, never many.
fn gap(nanos: u64) -> f64 {
    let decades = (nanos as f64 / 10_000.0 + 1.0).log10();
    (12.0 + 11.0 * decades).min(84.0)
}

fn text_width(exhibit: &Exhibit) -> f64 {
    shorten(&exhibit.text, TEXT_CHARS_MAX).chars().count() as f64 * CHAR_WIDTH + 2.0 * BAR_PADDING
}

fn bar(
    shown: &Shown<'_>,
    lanes: &[Lane],
    at: &impl Fn(Index) -> Option<f64>,
    right: f64,
    timed: bool,
) -> Bar {
    let exhibit = shown.exhibit;
    let from = at(exhibit.call).unwrap_or(right);
    let until = exhibit.done.and_then(at);
    let ended = match (exhibit.done, exhibit.ended) {
        (Some(_), Some(ended)) => {
            format!(
                "ended {}, after {}",
                seconds(ended.0),
                duration(ended.0.saturating_sub(exhibit.called.0))
            )
        }
        (Some(done), None) => format!("ended at event {done}"),
        (None, _) => "in doubt: it may take effect at any later time, or never".to_owned(),
    };
    let called = if timed { seconds(exhibit.called.0) } else { format!("at event {}", exhibit.call) };
    Bar {
        lane: lanes.iter().position(|lane| lane.process == exhibit.process).unwrap_or(0),
        from,
        until: until.unwrap_or(right).max(from + 2.0),
        in_doubt: until.is_none(),
        text: shorten(&exhibit.text, TEXT_CHARS_MAX),
        title: format!(
            "process {}: {}; called {called}, {ended}",
            exhibit.process,
            shorten(&exhibit.text, TITLE_CHARS_MAX)
        ),
        evidence: shown.evidence,
        guilty: exhibit.guilty,
    }
}

/// Times become places by the ends around them.
fn bands(in_force: &[InForce], ends: &[End], left: f64, right: f64) -> Vec<Band> {
    let (Some(first), Some(last)) = (ends.first(), ends.last()) else { return Vec::new() };
    let x_of = |time: u64| {
        if time <= first.time {
            return if time == first.time { first.x } else { left };
        }
        let after = ends.partition_point(|end| end.time < time);
        let Some(next) = ends.get(after) else { return if time > last.time { right } else { last.x } };
        let before = &ends[after - 1];
        let share = (time - before.time) as f64 / (next.time - before.time).max(1) as f64;
        before.x + share * (next.x - before.x)
    };
    in_force
        .iter()
        .filter(|fault| fault.from <= last.time && fault.until >= first.time)
        .map(|fault| Band { fault: fault.fault.clone(), from: x_of(fault.from), until: x_of(fault.until) })
        .filter(|band| band.until > band.from)
        .collect()
}

/// Positions in the log where there are no times: a tick wherever the last one leaves room.
fn places(ends: &[End]) -> Vec<Tick> {
    let mut ticks: Vec<Tick> = Vec::new();
    let mut free = f64::MIN;
    for end in ends {
        if end.x >= free {
            let text = format!("event {}", end.index);
            free = end.x + text.len() as f64 * CHAR_WIDTH + 10.0;
            ticks.push(Tick { x: end.x, text });
        }
    }
    ticks
}

/// A tick wherever the last one leaves room, as exact as it takes to tell the ends apart.
fn ticks(ends: &[End]) -> Vec<Tick> {
    let closest = ends.windows(2).map(|pair| pair[1].time.abs_diff(pair[0].time)).filter(|&d| d > 0).min();
    let decimals = if closest.is_some_and(|nanos| nanos < 1_000_000) { 4 } else { 3 };
    let mut ticks: Vec<Tick> = Vec::new();
    let mut free = f64::MIN;
    for end in ends.iter().filter(|end| {
        let is_free = end.x >= free;
        if is_free {
            free = end.x + (decimals + 6) as f64 * CHAR_WIDTH + 10.0;
        }
        is_free
    }) {
        ticks.push(Tick { x: end.x, text: format!("{:.decimals$} s", end.time as f64 / 1e9) });
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::time::Time;

    fn exhibit(process: u32, text: &str, call: Index, done: Option<Index>, guilty: bool) -> Exhibit {
        let time = |index: Index| Time(u64::from(index) * 1_000_000);
        Exhibit { call, done, process, text: text.into(), called: time(call), ended: done.map(time), guilty }
    }

    fn anomaly(operations: Vec<Exhibit>) -> Anomaly {
        Anomaly { class: "stale-read".into(), key: None, sentence: "…".into(), operations, context: vec![] }
    }

    fn stale() -> Anomaly {
        anomaly(vec![
            exhibit(0, "write 1", 0, Some(2), false),
            exhibit(1, "write 2", 3, None, false),
            exhibit(2, "read 2", 4, Some(6), false),
            exhibit(0, "read 1, long after the other one", 8, Some(9), true),
        ])
    }

    #[test]
    fn ends_stand_in_the_order_of_the_log() {
        let scene = Scene::of(&stale(), &[], |_| None);
        let x = |i: usize| (scene.bars[i].from, scene.bars[i].until);
        assert!(x(0).1 < x(1).0 && x(1).0 < x(2).0 && x(2).1 < x(3).0);
        assert_eq!(scene.began, Some(x(3).0));
        assert_eq!(scene.lanes.iter().map(|lane| lane.process).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn every_bar_holds_its_text() {
        let scene = Scene::of(&stale(), &[], |_| Some("n1".into()));
        for bar in &scene.bars {
            let text = bar.text.chars().count() as f64 * CHAR_WIDTH;
            assert!(bar.until - bar.from >= text, "{bar:?}");
            assert!(bar.until <= scene.width && bar.from >= scene.left);
        }
    }

    #[test]
    fn an_operation_in_doubt_reaches_the_end_of_the_picture() {
        let scene = Scene::of(&stale(), &[], |_| None);
        assert!(scene.bars[1].in_doubt);
        assert!(scene.bars.iter().all(|bar| bar.until <= scene.bars[1].until));
    }

    #[test]
    fn a_fault_is_shaded_where_it_was_in_force() {
        let ms = 1_000_000;
        let fault =
            |from: u64, until: u64| InForce { fault: "kill".into(), from: from * ms, until: until * ms };
        let scene = Scene::of(&stale(), &[fault(2, 4), fault(0, 1_000), fault(500, 600)], |_| None);
        assert_eq!(scene.bands.len(), 2, "what was in force only later is not shown");
        assert_eq!((scene.bands[0].from, scene.bands[0].until), (scene.bars[0].until, scene.bars[2].from));
        assert!(scene.bands[1].until >= scene.bars[3].until);
    }

    #[test]
    fn a_crowded_proof_keeps_its_guilty_operation() {
        let mut operations: Vec<Exhibit> =
            (0..200).map(|i| exhibit(i, "write", 2 * i, Some(2 * i + 1), false)).collect();
        operations.push(exhibit(7, "read", 1_000, Some(1_001), true));
        let scene = Scene::of(&anomaly(operations), &[], |_| None);
        assert_eq!((scene.bars.len(), scene.omitted), (OPERATIONS_MAX, 201 - OPERATIONS_MAX));
        assert!(scene.bars.iter().any(|bar| bar.guilty));
    }

    #[test]
    fn where_no_times_were_taken_only_positions_are_told() {
        let mut timeless = stale();
        timeless.operations.iter_mut().for_each(|exhibit| exhibit.ended = None);
        let scene = Scene::of(&timeless, &[], |_| None);
        assert!(scene.ticks.iter().all(|tick| tick.text.starts_with("event ")), "{:?}", scene.ticks);
        assert_eq!(scene.bars[0].title, "process 0: write 1; called at event 0, ended at event 2");
        assert_eq!(scene.bars.iter().filter(|bar| bar.in_doubt).count(), 1);
    }

    #[test]
    fn an_anomaly_without_operations_is_an_empty_scene() {
        let scene = Scene::of(&anomaly(vec![]), &[], |_| None);
        assert!(scene.bars.is_empty() && scene.width > 0.0);
    }
}
