//! Which free take took which value.
//!
//! A free take (in doubt, with an unknown answer) may have taken any one value that no other operation took,
//! at any time after its call. An earlier call is never worse. So if each value has a *deadline*, the last
//! slot at which it may still be inside, the values can be given to free takes in time if and only if the
//! earliest call suffices for the earliest deadline, the second for the second, and so on (Hall's
//! theorem for nested intervals; Glover 1967).

use super::slots::Slot;

/// A value that must have been taken by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::models) struct Deadline {
    /// The last slot at which a free take for it can have been called.
    pub slot: Slot,
    /// The place of the value in the list of lives.
    pub life: u32,
    /// Whatever sets the deadline, as the algorithm numbers it.
    pub by: u32,
}

/// No deadline at all.
pub(in crate::models) const NONE: Slot = Slot::MAX;

/// The call of the free take that each value is given, in the order of the deadlines, which are sorted by
/// this; what there is no take for keeps its place. `free` is sorted. The error is the number of deadlines
/// of which one at least is missed.
pub(in crate::models) fn assign(
    deadlines: &mut [Deadline],
    free: &[Slot],
) -> Result<Vec<(u32, Slot)>, usize> {
    deadlines.sort_unstable();
    let mut given = Vec::with_capacity(deadlines.len().min(free.len()));
    for (i, deadline) in deadlines.iter().enumerate() {
        match free.get(i) {
            Some(call) if *call <= deadline.slot => given.push((deadline.life, *call)),
            None if deadline.slot == NONE => break,
            _ => return Err(i + 1),
        }
    }
    Ok(given)
}

/// The least of what was entered at any key beyond one (a Fenwick tree).
pub(in crate::models) struct SuffixMin {
    least: Vec<(Slot, u32)>,
}

impl SuffixMin {
    /// For keys up to `end`.
    pub fn new(end: Slot) -> SuffixMin {
        SuffixMin { least: vec![(NONE, u32::MAX); end as usize + 2] }
    }

    /// Enters a value at a key.
    pub fn lower(&mut self, key: Slot, value: (Slot, u32)) {
        let mut at = self.least.len() - 1 - key as usize;
        while at < self.least.len() {
            self.least[at] = self.least[at].min(value);
            at += at & at.wrapping_neg();
        }
    }

    /// The least value at any key beyond this one.
    pub fn after(&self, key: Slot) -> (Slot, u32) {
        let mut at = (self.least.len() - 1).saturating_sub(key as usize + 1);
        let mut least = (NONE, u32::MAX);
        while at > 0 {
            least = least.min(self.least[at]);
            at -= at & at.wrapping_neg();
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(slots: &[Slot]) -> Vec<Deadline> {
        slots.iter().zip(0..).map(|(slot, life)| Deadline { slot: *slot, life, by: 0 }).collect()
    }

    #[test]
    fn the_earliest_call_goes_to_the_earliest_deadline() {
        assert_eq!(assign(&mut of(&[9, 4]), &[3, 8]), Ok(vec![(1, 3), (0, 8)]));
        assert_eq!(assign(&mut of(&[NONE, 4]), &[3]), Ok(vec![(1, 3)]));
    }

    #[test]
    fn too_few_or_too_late_is_missed() {
        assert_eq!(assign(&mut of(&[9, 4]), &[3]), Err(2));
        assert_eq!(assign(&mut of(&[9, 4]), &[5, 6]), Err(1));
        assert_eq!(assign(&mut of(&[9, 4, 7]), &[2, 8, 8]), Err(2));
    }
}
