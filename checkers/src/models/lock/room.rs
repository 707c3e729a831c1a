//! Whether holds leave each other room.

use super::holds::{Hold, Moment};
use crate::linearizability::Position;

/// A span in which one holder (or one owner) has the lock for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) struct Span {
    pub start: Position,
    pub end: Position,
    /// Whose it is.
    pub tag: u32,
}

/// The spans of a lock that one may hold at a time, in order; or groups that hold it at once. Holds of the
/// same tag may overlap.
pub(in crate::models) fn exclusive(
    holds: &mut [Hold],
    moments: &[Moment],
    tag: impl Fn(u32) -> u32,
) -> Result<Vec<Span>, Vec<u32>> {
    holds.sort_by_key(|hold| hold.start);
    let mut spans: Vec<Span> = Vec::with_capacity(holds.len());
    let mut longest = 0;
    for hold in holds.iter() {
        let tag = tag(hold.group);
        match spans.last_mut() {
            Some(last) if hold.start < last.end && tag != last.tag => return Err(vec![longest, hold.group]),
            Some(last) if hold.start < last.end => {
                if hold.end > last.end {
                    (last.end, longest) = (hold.end, hold.group);
                }
            }
            _ => {
                spans.push(Span { start: hold.start, end: hold.end, tag });
                longest = hold.group;
            }
        }
    }
    for moment in moments {
        if let Some(span) = covering(&spans, moment).filter(|span| span.tag != tag(moment.group)) {
            let mut groups = meeting(holds, moment);
            groups.retain(|group| tag(*group) == span.tag);
            groups.push(moment.group);
            return Err(groups);
        }
    }
    Ok(spans)
}

fn covering(spans: &[Span], moment: &Moment) -> Option<Span> {
    let after = spans.partition_point(|span| span.start <= moment.first);
    let span = *spans[..after].last()?;
    (moment.last < span.end).then_some(span)
}

/// The groups with a hold that meets this moment's span.
fn meeting(holds: &[Hold], moment: &Moment) -> Vec<u32> {
    let meets = |hold: &&Hold| hold.start < moment.last && moment.first < hold.end;
    holds.iter().filter(meets).map(|hold| hold.group).collect()
}

/// How many permits must be held, from each position on.
pub(in crate::models) struct Load {
    steps: Vec<(Position, u64)>,
    capacity: u64,
}

/// The load of a semaphore; or groups that hold too much.
pub(in crate::models) fn shared(holds: &[Hold], moments: &[Moment], capacity: u64) -> Result<Load, Vec<u32>> {
    let mut changes: Vec<(Position, i64)> = Vec::with_capacity(2 * holds.len());
    for hold in holds {
        changes.push((hold.start, i64::from(hold.permits)));
        changes.push((hold.end, -i64::from(hold.permits)));
    }
    // What ends where another begins (both before everything) ends first.
    changes.sort_unstable();
    let mut load = Load { steps: Vec::with_capacity(changes.len()), capacity };
    let mut held = 0;
    for (at, change) in changes {
        held += change;
        if held > i64::try_from(capacity).unwrap_or(i64::MAX) {
            let here = holds.iter().filter(|hold| hold.start <= at && at < hold.end);
            return Err(here.map(|hold| hold.group).collect());
        }
        load.steps.push((at, held as u64));
    }
    let mut sizes: Vec<u32> = moments.iter().map(|moment| moment.permits).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for permits in sizes {
        let full = load.without(permits);
        for moment in moments.iter().filter(|moment| moment.permits == permits) {
            if covering(&full, moment).is_some() || u64::from(permits) > capacity {
                let mut groups = meeting(holds, moment);
                groups.push(moment.group);
                return Err(groups);
            }
        }
    }
    Ok(load)
}

impl Load {
    /// Where there is no room for as many permits.
    pub(in crate::models) fn without(&self, permits: u32) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut since = None;
        for (at, held) in &self.steps {
            match (since, held + u64::from(permits) > self.capacity) {
                (None, true) => since = Some(*at),
                (Some(start), false) => {
                    since = None;
                    match spans.last_mut() {
                        Some(last) if last.end == start => last.end = *at,
                        _ => spans.push(Span { start, end: *at, tag: 0 }),
                    }
                }
                _ => {}
            }
        }
        spans
    }
}

/// Whether some span meets what lies between these positions.
pub(in crate::models) fn meets(spans: &[Span], call: Position, done: Position) -> Option<Span> {
    let begun = spans.partition_point(|span| span.start < done);
    let span = *spans[..begun].last()?;
    (call < span.end).then_some(span)
}

/// Whether a span that is not of this tag meets what lies between these positions.
pub(in crate::models) fn meets_other(
    spans: &[Span],
    call: Position,
    done: Position,
    own: Option<u32>,
) -> bool {
    let begun = spans.partition_point(|span| span.start < done);
    let meeting = spans[..begun].iter().rev().take_while(|span| call < span.end);
    meeting.into_iter().any(|span| Some(span.tag) != own)
}
