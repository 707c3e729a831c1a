//! Fencing tokens: every hold that names one names a larger one than all holds before it.
//!
//! The spans in which the lock must be held are fixed ([`super::holds`]); only holds that fit into a moment can
//! move. In the order of the tokens each hold is put as early as it can be: after the one before it, and
//! outside all spans. If one then comes too late, it does so in every order, since all before it came as early
//! as possible; and what pushed it contradicts it.

use super::holds::{Hold, Moment};
use super::room::Span;
use crate::linearizability::Position;

/// Groups whose tokens contradict each other, if there are any. `spans` are those of all holds, in order.
pub(in crate::models) fn contradiction(
    holds: &[Hold],
    moments: &[Moment],
    spans: &[Span],
) -> Option<Vec<u32>> {
    let mut fenced: Vec<Fenced> = Vec::with_capacity(holds.len() + moments.len());
    for hold in holds {
        let (begin, end, group) = (hold.start, hold.end, hold.group);
        fenced.extend(hold.fence.map(|fence| Fenced { fence, begin, end, group, moves: false }));
    }
    for moment in moments {
        let (begin, end, group) = (moment.first, moment.last, moment.group);
        fenced.extend(moment.fence.map(|fence| Fenced { fence, begin, end, group, moves: true }));
    }
    fenced.sort_by_key(|hold| hold.fence);
    // Just after this position the next hold can begin; and whose holds are to blame for that.
    let (mut free, mut because): (Position, Vec<u32>) = (0, Vec::new());
    for (i, hold) in fenced.iter().enumerate() {
        if i > 0 && fenced[i - 1].fence == hold.fence {
            return Some(vec![fenced[i - 1].group, hold.group]);
        }
        let too_late = if hold.moves {
            if hold.begin > free {
                free = hold.begin;
                because.clear();
            }
            because.push(hold.group);
            let begun = spans.partition_point(|span| span.start <= free);
            if let Some(span) = spans[..begun].last().filter(|span| free < span.end) {
                free = span.end;
                because.push(span.tag);
            }
            free >= hold.end
        } else {
            let too_late = free >= hold.begin;
            if too_late {
                because.push(hold.group);
            } else {
                free = hold.end;
                because.clear();
                because.push(hold.group);
            }
            too_late
        };
        if too_late {
            return Some(because);
        }
    }
    None
}

/// A hold with a token.
struct Fenced {
    fence: i64,
    /// From where on it lasts, or can be put.
    begin: Position,
    /// Up to where.
    end: Position,
    group: u32,
    /// Whether it can be put anywhere between.
    moves: bool,
}
