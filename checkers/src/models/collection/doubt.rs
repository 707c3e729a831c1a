//! Removals in doubt that do not say what they removed, called *blind* here: what can they explain?
//!
//! A value that nobody is known to have removed is *loose*. It may still be inside at the end; but where
//! another answer forces it out (its *deadline*), or where somebody found nothing inside after it was added, a
//! blind removal called before must have taken it, each one value at most.
//!
//! **When is a gap `g` open**, so that the collection can have been empty there? Every loose value that was
//! inside by then must have been taken by a blind removal called before `g`, and the blind removals left must
//! still do for the deadlines to come: for all `x` from `g` on,
//!
//! > (loose values inside before `g`) + (those that came later and have a deadline up to `x`) ≤ (blind
//! > removals called before `x`).
//!
//! By Hall's theorem for nested sets these inequalities suffice for one gap. They suffice for any set of open
//! gaps as well: what must be taken before `x` is the same for all of them as for the last one before `x`,
//! since a value inside before an earlier gap is inside before that one. So every finding of nothing can take
//! any gap that is open and where no other value was certainly inside, on its own.
//!
//! A value that says itself who may have removed it (`own`) needs no blind removal from that call on. Such a
//! removal is seldom: it had not returned where a prefix of a log ends. With those the inequalities (which then
//! count only whoever is inside at `g`) are necessary, and [`assign`] makes a guess that can be verified.
//!
//! Taking from right to left, the blind removals that serve deadlines are chosen as late as possible, so that
//! what is still missing at each gap is known in almost linear time (scheduling of unit jobs by deadlines;
//! Gabow & Tarjan 1985).

use super::{At, Cover, END, Empty, Life, Lives};

/// A value that nobody is known to have removed.
#[derive(Clone, Copy, Debug)]
pub struct Loose {
    /// It is certainly inside from here on.
    pub inside: At,
    /// It was removed before this position; [`END`] if it need not have been.
    pub deadline: At,
    /// It may have been removed from here on without a blind removal; [`END`] if not.
    pub own: At,
    /// It was removed after this position, if at all.
    pub floor: At,
}

impl Loose {
    /// This value, with the deadline that others force.
    pub fn new(life: &Life, deadline: At) -> Loose {
        let own = if life.own == END { END } else { life.own.max(life.last) };
        Loose { inside: life.inside(), deadline, own, floor: life.last }
    }

    /// Whether only a blind removal can keep the deadline.
    fn needs_help(&self) -> bool {
        self.deadline != END && self.own >= self.deadline
    }

    /// Whether it never leaves by itself, or too late.
    fn stays(&self) -> bool {
        self.own >= self.deadline
    }
}

/// Why blind removals cannot explain a history.
pub enum Unsettled {
    /// These of the loose values (their places) have deadlines that cannot all be kept; all but the last can.
    Late(Vec<usize>),
    /// This one found nothing, and no gap is open.
    Crowded(Empty),
}

/// For each that found nothing, a gap where this can have been, in their order; `cover` is where other values
/// were certainly inside. Exact if no loose value has an `own` end; otherwise only a refusal is.
pub fn settle(lives: &Lives, loose: &[Loose], cover: Cover) -> Result<Vec<At>, Unsettled> {
    let barred = barred(loose, &lives.blind).map_err(Unsettled::Late)?;
    if lives.empties.is_empty() {
        return Ok(Vec::new());
    }
    let cover = cover.with(barred);
    // Where a value that would leave by itself is still inside, it costs a blind removal more.
    let by_itself: Vec<(At, At)> =
        loose.iter().filter(|value| !value.stays()).map(|value| (value.inside, value.own)).collect();
    let cheap = (!by_itself.is_empty()).then(|| cover.clone().with(by_itself));
    let mut gaps = Vec::with_capacity(lives.empties.len());
    for empty in &lives.empties {
        let gap = |cover: &Cover| cover.first_gap(empty.call, empty.done);
        let found = cheap.as_ref().and_then(gap).or_else(|| gap(&cover));
        gaps.push(found.ok_or(Unsettled::Crowded(*empty))?);
    }
    gaps.sort_unstable();
    Ok(gaps)
}

/// The gaps that are not open (from, and before), given the calls of the blind removals in their order; or
/// whose deadlines cannot be kept.
fn barred(loose: &[Loose], blind: &[At]) -> Result<Vec<(At, At)>, Vec<usize>> {
    keep_deadlines(loose, blind)?;
    let steps = steps(loose, blind);
    let missing = missing(loose, blind, &steps);
    let (mut barred, mut spare) = (Vec::new(), 0_i64);
    for (i, (at, step)) in steps.iter().enumerate() {
        spare += match step {
            Step::Blind(_) | Step::Leaves => 1,
            Step::Enters(_) => -1,
        };
        let next = steps.get(i + 1).map_or(END, |(next, _)| *next);
        if spare < i64::from(missing[i]) && *at < next {
            barred.push((*at, next));
        }
    }
    Ok(barred)
}

/// The loose values in the order of their deadlines take the blind removals in the order of their calls.
fn keep_deadlines(loose: &[Loose], blind: &[At]) -> Result<(), Vec<usize>> {
    let mut urgent: Vec<usize> = (0..loose.len()).filter(|i| loose[*i].needs_help()).collect();
    urgent.sort_by_key(|i| loose[*i].deadline);
    let kept = |(k, i): (usize, &usize)| blind.get(k).is_some_and(|call| *call < loose[*i].deadline);
    match urgent.iter().enumerate().position(|at| !kept(at)) {
        None => Ok(()),
        Some(late) => {
            urgent.truncate(late + 1);
            Err(urgent)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// This blind removal is called.
    Blind(u32),
    /// A value may have left by itself.
    Leaves,
    /// This loose value is inside.
    Enters(u32),
}

/// What changes from gap to gap, in the order of the log.
fn steps(loose: &[Loose], blind: &[At]) -> Vec<(At, Step)> {
    let mut steps: Vec<(At, Step)> = blind.iter().zip(0..).map(|(at, i)| (*at, Step::Blind(i))).collect();
    for (value, i) in loose.iter().zip(0..) {
        if value.stays() || value.inside < value.own {
            steps.push((value.inside, Step::Enters(i)));
        }
        if !value.stays() && value.inside < value.own {
            steps.push((value.own, Step::Leaves));
        }
    }
    steps.sort_unstable();
    steps
}

/// After each step: how many of the deadlines of values yet to come cannot be kept by blind removals yet to
/// come, so that earlier ones must be spared for them.
fn missing(loose: &[Loose], blind: &[At], steps: &[(At, Step)]) -> Vec<u32> {
    let (mut free, mut lowest, mut missing) = (Free::new(blind.len()), blind.len(), 0);
    let mut after = vec![0; steps.len()];
    for (i, (_, step)) in steps.iter().enumerate().rev() {
        after[i] = missing;
        match *step {
            Step::Leaves => {}
            Step::Enters(number) => {
                let value = &loose[number as usize];
                if value.needs_help() {
                    let in_time = blind.partition_point(|call| *call < value.deadline);
                    match free.latest_before(in_time).filter(|latest| *latest >= lowest) {
                        Some(latest) => free.take(latest),
                        None => missing += 1,
                    }
                }
            }
            Step::Blind(number) => {
                lowest = number as usize;
                if missing > 0 {
                    missing -= 1;
                    free.take(lowest);
                }
            }
        }
    }
    after
}

/// Which blind removals are free; finds the latest free one before a place.
struct Free {
    /// The next place to look at, shifted by one: 0 is before the first.
    before: Vec<u32>,
}

impl Free {
    fn new(count: usize) -> Free {
        Free { before: (0..=count as u32).collect() }
    }

    fn latest_before(&mut self, place: usize) -> Option<usize> {
        let mut at = place;
        while self.before[at] as usize != at {
            let next = self.before[at] as usize;
            self.before[at] = self.before[next];
            at = next;
        }
        at.checked_sub(1)
    }

    fn take(&mut self, place: usize) {
        self.before[place + 1] = place as u32;
    }
}

/// How a loose value was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// At the earliest; [`END`] if it was not.
    pub at: At,
    /// By which blind removal, if by one.
    pub blind: Option<u32>,
}

/// A guess: how each loose value was removed, if the collection is empty at these gaps (in order). It holds for
/// them and for the deadlines, but says nothing of what else the removal may disturb.
pub fn assign(loose: &[Loose], blind: &[At], gaps: &[At]) -> Option<Vec<Removal>> {
    let due = |value: &Loose| {
        let gap = gaps.get(gaps.partition_point(|gap| *gap < value.inside));
        value.deadline.min(gap.map_or(END, |gap| gap + 1))
    };
    let mut removed: Vec<Removal> =
        loose.iter().map(|value| Removal { at: value.own, blind: None }).collect();
    let mut urgent: Vec<(At, usize)> = (0..loose.len())
        .map(|i| (due(&loose[i]), i))
        .filter(|(due, i)| *due != END && loose[*i].own >= *due)
        .collect();
    urgent.sort_unstable();
    for (k, (due, i)) in urgent.into_iter().enumerate() {
        let call = *blind.get(k).filter(|call| **call < due)?;
        removed[i] = Removal { at: call.max(loose[i].floor), blind: Some(k as u32) };
    }
    Some(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(inside: At, deadline: At) -> Loose {
        Loose { inside, deadline, own: END, floor: 0 }
    }

    fn open(values: &[Loose], blind: &[At], gap: At) -> bool {
        let barred = barred(values, blind).expect("the deadlines can be kept");
        barred.iter().all(|(from, to)| !(*from..*to).contains(&gap))
    }

    #[test]
    fn a_blind_removal_opens_the_gaps_after_its_call() {
        assert!(!open(&[loose(2, END)], &[], 5));
        assert!(open(&[loose(2, END)], &[], 1));
        assert!(!open(&[loose(2, END)], &[6], 5));
        assert!(open(&[loose(2, END)], &[6], 6));
        assert!(!open(&[loose(2, END), loose(3, END)], &[1], 5));
    }

    #[test]
    fn what_a_later_deadline_needs_is_not_to_be_had_before() {
        let values = [loose(2, END), loose(7, 9)];
        assert!(!open(&values, &[1], 4), "the only removal is for the second value");
        assert!(open(&values, &[1, 8], 4));
        assert!(!open(&values, &[1, 10], 4), "too late");
    }

    #[test]
    fn deadlines_that_cannot_be_kept_are_named() {
        let values = [loose(2, 20), loose(3, 9), loose(4, 10)];
        assert_eq!(barred(&values, &[5, 11, 12]), Err(vec![1, 2]));
        assert!(barred(&values, &[5, 6, 12]).is_ok());
    }
}
