//! Why some values cannot be taken away: mostly, two of them cross.
//!
//! Two values cross if one was pushed while the other was certainly inside, and was certainly still inside
//! when the lower one had been popped, or was seen on top.

use crate::models::lives::slots::Slot;
use crate::models::lives::{Act, Life, Lives};

/// Operations that contradict each other, of stuck values.
pub(super) fn contradiction<V>(lives: &Lives<V>, leaves: &[Slot], left: &[u32]) -> Vec<u32> {
    crossing(lives, leaves, left).unwrap_or_else(|| all_of(lives, left))
}

/// All operations on some values.
fn all_of<V>(lives: &Lives<V>, left: &[u32]) -> Vec<u32> {
    let of = |at: &u32| {
        let life = &lives.lives[*at as usize];
        let looks = lives.looks_at(*at).iter().map(|look| look.act.id);
        [life.add.id].into_iter().chain(life.take.map(|take| take.id)).chain(looks)
    };
    left.iter().flat_map(of).collect()
}

/// The operations by which two of these values cross.
fn crossing<V>(lives: &Lives<V>, leaves: &[Slot], left: &[u32]) -> Option<Vec<u32>> {
    let of = |at: u32| &lives.lives[at as usize];
    let mut lower: Vec<u32> = left.to_vec();
    lower.sort_unstable_by_key(|at| std::cmp::Reverse(of(*at).first.0));
    let mut upper: Vec<u32> = left.to_vec();
    upper.sort_unstable_by_key(|at| std::cmp::Reverse(of(*at).add.call));
    let mut upper = upper.into_iter().peekable();
    let mut longest = PrefixMax::new(lives.end);
    for at in lower {
        let life = of(at);
        while let Some(above) = upper.next_if(|above| of(*above).add.call > life.first.0) {
            longest.raise(of(above).first.0, (leaves[above as usize], above));
        }
        let popped = life.take.map(|take| Act { call: life.last.0, ..take });
        let needs = popped.into_iter().chain(lives.looks_at(at).iter().map(|look| look.act));
        for need in needs {
            let found = longest.before(need.call).filter(|(leaves, _)| *leaves > need.done);
            if let Some((_, above)) = found {
                return Some(by_whom(life, &need, of(above)));
            }
        }
    }
    None
}

fn by_whom<V>(life: &Life<V>, need: &Act, above: &Life<V>) -> Vec<u32> {
    let mut core = vec![need.id, above.last.1, above.add.id, life.first.1, above.first.1, life.last.1];
    core.extend([life.add.id].into_iter().chain(life.take.map(|take| take.id)));
    core
}

/// The greatest of what was entered at any key before one (a Fenwick tree).
struct PrefixMax {
    greatest: Vec<Option<(Slot, u32)>>,
}

impl PrefixMax {
    fn new(end: Slot) -> PrefixMax {
        PrefixMax { greatest: vec![None; end as usize + 2] }
    }

    fn raise(&mut self, key: Slot, value: (Slot, u32)) {
        let mut at = key as usize + 1;
        while at < self.greatest.len() {
            self.greatest[at] = self.greatest[at].max(Some(value));
            at += at & at.wrapping_neg();
        }
    }

    fn before(&self, key: Slot) -> Option<(Slot, u32)> {
        let mut at = key as usize;
        let mut greatest = None;
        while at > 0 {
            greatest = greatest.max(self.greatest[at]);
            at -= at & at.wrapping_neg();
        }
        greatest
    }
}
