//! What a counter can at most and at least have come to: a necessary condition.
//!
//! Whatever met a value stands after every certain add that returned before it was called, and before every add
//! that was called after it returned. So the value is no larger than the sum of the former and of all positive
//! amounts between, and no smaller than that of the former and of all negative ones between (the checker of Jepsen's
//! counter tests, with negative amounts). What lies within these bounds may still be wrong.

use super::facts::{Facts, Seen, Task};
use crate::linearizability::{Position, Shortcut};

/// Contradictions of more operations than this are not told.
pub(super) const CONTRADICTION_MAX: usize = 256;

/// Sums of amounts by position.
struct Sums {
    /// Position, sum of the positive amounts up to it, sum of the negative ones.
    steps: Vec<(Position, i128, i128)>,
}

impl Sums {
    fn new(mut amounts: Vec<(Position, i64)>) -> Sums {
        amounts.sort_unstable();
        let (mut positive, mut negative) = (0, 0);
        let step = |(at, amount): (Position, i64)| {
            positive += i128::from(amount.max(0));
            negative += i128::from(amount.min(0));
            (at, positive, negative)
        };
        Sums { steps: amounts.into_iter().map(step).collect() }
    }

    fn before(&self, position: Position) -> (i128, i128) {
        let count = self.steps.partition_point(|(at, ..)| *at < position);
        count.checked_sub(1).map_or((0, 0), |i| (self.steps[i].1, self.steps[i].2))
    }
}

/// Refutes what is out of bounds; `None` if nothing is.
pub(super) fn refute(tasks: &[Task<'_>], facts: &Facts) -> Option<Shortcut> {
    let task = |place: u32| &tasks[place as usize];
    let told = facts.seen.iter().map(|seen| (seen.place, seen.after - seen.before));
    let unseen = facts.unseen.iter().map(|add| (add.place, add.amount));
    let certain = told.chain(unseen).filter(|(place, amount)| *amount != 0 && !task(*place).in_doubt());
    let certain: Vec<(u32, i64)> = certain.collect();
    let maybe = facts.maybe.iter().map(|add| (add.place, add.after - add.before));
    let doubtful = facts.unseen.iter().filter(|add| task(add.place).in_doubt());
    let doubtful = doubtful.map(|add| (add.place, add.amount));
    let all: Vec<(u32, i64)> = certain.iter().copied().chain(maybe).chain(doubtful).collect();
    let returned = Sums::new(certain.iter().map(|(place, amount)| (task(*place).done, *amount)).collect());
    let called = Sums::new(all.iter().map(|(place, amount)| (task(*place).call, *amount)).collect());
    let bounds = |seen: &Seen| {
        let Task { call, done, .. } = task(seen.place);
        let own = i128::from(seen.after - seen.before);
        let ((added, taken), (may_add, may_take)) = (returned.before(*call), called.before(*done));
        (added + may_take - own.min(0), taken + may_add - own.max(0))
    };
    let out = facts.seen.iter().find_map(|seen| {
        let (low, high) = bounds(seen);
        let value = i128::from(seen.before);
        (value < low || value > high).then_some((seen, value < low))
    });
    let (seen, too_low) = out?;
    let Task { call, done, .. } = task(seen.place);
    let mut guilty: Vec<(i64, u32)> = match too_low {
        true => certain.iter().filter(|(p, _)| task(*p).done < *call).map(|(p, a)| (-a, *p)).collect(),
        false => all.iter().filter(|(p, _)| task(*p).call > *done).map(|(p, a)| (*a, *p)).collect(),
    };
    if too_low {
        guilty.sort_unstable();
        let mut sum = 0;
        let needed = guilty.iter().take_while(|(amount, _)| {
            let more = sum <= i128::from(seen.before);
            sum -= i128::from(*amount);
            more
        });
        let needed = needed.count();
        guilty.truncate(needed);
    }
    // Where amounts of the other sign could happen at another time, that is not all.
    if !facts.grows || guilty.len() >= CONTRADICTION_MAX {
        return Some(Shortcut::Refuted(Vec::new()));
    }
    let places: Vec<u32> =
        [seen.place].into_iter().chain(guilty.into_iter().map(|(_, place)| place)).collect();
    Some(facts.refuted(tasks, &places))
}
