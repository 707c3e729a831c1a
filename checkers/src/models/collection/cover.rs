//! Where something was certainly inside.
//!
//! A value is inside from the return of the call that added it to the call that removed it. Who found the
//! collection empty did so between two neighbouring positions of the log, in a *gap*, where no value was
//! certainly inside. Gap `p` is the one after position `p`.

use super::{At, Lives, Reason};

/// The gaps from `from` on, before `to`, in which the value of this number was certainly inside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    from: At,
    to: At,
    number: u32,
}

/// The union of stretches.
#[derive(Clone)]
pub struct Cover {
    /// Apart from each other and in order.
    covered: Vec<(At, At)>,
}

impl Cover {
    pub fn new(mut stretches: Vec<(At, At)>) -> Cover {
        stretches.retain(|(from, to)| from < to);
        stretches.sort_unstable();
        stretches.dedup_by(|next, covered| {
            let touches = next.0 <= covered.1;
            if touches {
                covered.1 = covered.1.max(next.1);
            }
            touches
        });
        Cover { covered: stretches }
    }

    /// The union of this and more.
    pub fn with(mut self, more: impl IntoIterator<Item = (At, At)>) -> Cover {
        self.covered.extend(more);
        Cover::new(self.covered)
    }

    /// The first gap after `call` and before `done` that is not covered.
    pub fn first_gap(&self, call: At, done: At) -> Option<At> {
        let before = self.covered.partition_point(|(from, _)| *from <= call);
        let gap = match before.checked_sub(1).map(|last| self.covered[last].1) {
            Some(to) if to > call => to,
            _ => call,
        };
        (gap < done).then_some(gap)
    }
}

/// As few stretches as cover all gaps after `call` and before `done`: of those that cover the first gap left,
/// always the one that reaches furthest. `None` if there are none that do.
fn chain(mut stretches: Vec<Stretch>, call: At, done: At) -> Option<Vec<Stretch>> {
    stretches.sort_unstable();
    let (mut links, mut next, mut at) = (Vec::new(), 0, call);
    let mut furthest: Option<Stretch> = None;
    while at < done {
        while let Some(stretch) = stretches.get(next).filter(|stretch| stretch.from <= at) {
            if furthest.is_none_or(|best| best.to < stretch.to) {
                furthest = Some(*stretch);
            }
            next += 1;
        }
        let link = furthest.filter(|best| best.to > at)?;
        at = link.to;
        links.push(link);
    }
    Some(links)
}

/// Where a value was certainly inside, if every value that nobody removed for certain left as soon as nothing
/// says otherwise; or who found nothing all the same. Nobody asks where nobody found nothing.
pub fn covered(lives: &Lives) -> Result<Cover, Reason> {
    if lives.empties.is_empty() {
        return Ok(Cover::new(Vec::new()));
    }
    let cover = Cover::new(lives.lives.iter().map(|life| (life.inside(), life.last)).collect());
    let Some(empty) = lives.empties.iter().find(|empty| cover.first_gap(empty.call, empty.done).is_none())
    else {
        return Ok(cover);
    };
    let stretch =
        |(life, number): (&super::Life, u32)| Stretch { from: life.inside(), to: life.last, number };
    let stretches = lives.lives.iter().zip(0..).map(stretch).collect();
    let links = chain(stretches, empty.call, empty.done).unwrap_or_default();
    Err(Reason::covered(empty.id, links.iter().map(|link| &lives.lives[link.number as usize])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_beside_what_is_covered() {
        let cover = Cover::new(vec![(2, 5), (4, 7), (9, 12), (12, 13), (3, 3)]);
        assert_eq!(cover.first_gap(0, 3), Some(0));
        assert_eq!(cover.first_gap(2, 7), None);
        assert_eq!(cover.first_gap(3, 8), Some(7));
        assert_eq!(cover.first_gap(9, 13), None);
        assert_eq!(cover.first_gap(9, 14), Some(13));
        assert_eq!(Cover::new(vec![]).first_gap(4, 5), Some(4));
    }

    #[test]
    fn a_chain_takes_as_few_stretches_as_possible() {
        let stretch = |from, to, number| Stretch { from, to, number };
        let all =
            vec![stretch(0, 4, 0), stretch(1, 6, 1), stretch(2, 5, 2), stretch(5, 9, 3), stretch(6, 8, 4)];
        let numbers = |links: Vec<Stretch>| links.iter().map(|s| s.number).collect::<Vec<_>>();
        assert_eq!(chain(all.clone(), 3, 9).map(numbers), Some(vec![1, 3]));
        assert_eq!(chain(all.clone(), 2, 6).map(numbers), Some(vec![1]));
        assert_eq!(chain(all, 3, 10).map(numbers), None);
    }
}
