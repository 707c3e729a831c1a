//! A random choice among generators.

use super::compose::Boxed;
use super::{Context, Event, Generator, Next};
use crate::random::{Rng, Seed};

/// See [`mix`] and [`weighted_mix`].
pub struct Mix<O, R> {
    rng: Rng,
    members: Vec<(u32, Boxed<O, R>)>,
    at: usize,
}

/// An action of one of these, each time drawn anew; a member that is done is drawn no more.
pub fn mix<O, R>(seed: Seed, members: Vec<Boxed<O, R>>) -> Mix<O, R> {
    weighted_mix(seed, members.into_iter().map(|member| (1, member)).collect())
}

/// The same, where a member is drawn with a chance in proportion to its weight. A weight of 0 is never drawn.
pub fn weighted_mix<O, R>(seed: Seed, mut members: Vec<(u32, Boxed<O, R>)>) -> Mix<O, R> {
    members.retain(|(weight, _)| *weight > 0);
    let mut mix = Mix { rng: seed.stream("mix").rng(), members, at: 0 };
    mix.draw();
    mix
}

impl<O, R> Mix<O, R> {
    fn draw(&mut self) {
        let total: u64 = self.members.iter().map(|(weight, _)| u64::from(*weight)).sum();
        if total == 0 {
            return;
        }
        let mut drawn = self.rng.below(total);
        let within = |(weight, _): &(u32, Boxed<O, R>)| {
            let hit = drawn < u64::from(*weight);
            drawn = drawn.wrapping_sub(u64::from(*weight));
            hit
        };
        self.at = self.members.iter().position(within).expect("the draw is below the sum of the weights");
    }
}

impl<O, R> Generator<O, R> for Mix<O, R> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        while let Some((_, member)) = self.members.get_mut(self.at) {
            let next = member.next(cx);
            match next {
                Next::Wait(_) => return next,
                Next::Done => drop(self.members.remove(self.at)),
                Next::Invoke(..) => {
                    self.draw();
                    return next;
                }
            }
            self.draw();
        }
        Next::Done
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.members.iter_mut().for_each(|(_, member)| member.update(cx, event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    fn share(lines: &[Line<&str>], op: &str) -> usize {
        lines.iter().filter(|line| line.2 == op).count()
    }

    #[test]
    fn each_is_drawn_as_often() {
        let even = quick(3, mix(Seed(5), vec![repeat("a").boxed(), repeat("b").boxed()]).limit(2000));
        assert!((900..1100).contains(&share(&even, "a")));
        assert_eq!(share(&even, "a") + share(&even, "b"), 2000);
    }

    #[test]
    fn weights_are_proportions() {
        let members = vec![(3, repeat("a").boxed()), (1, repeat("b").boxed()), (0, repeat("never").boxed())];
        let uneven = quick(3, weighted_mix(Seed(5), members).limit(4000));
        assert!((2850..3150).contains(&share(&uneven, "a")), "{}", share(&uneven, "a"));
        assert_eq!(share(&uneven, "never"), 0);
    }

    #[test]
    fn what_is_done_leaves_the_others_alone() {
        let members =
            vec![from_iter(["a"; 3]).boxed(), from_iter(["b"; 50]).boxed(), from_iter(["c"; 0]).boxed()];
        let all = quick(1, mix(Seed(1), members));
        assert_eq!((share(&all, "a"), share(&all, "b"), all.len()), (3, 50, 53));
        assert_eq!(quick(1, mix::<&str, ()>(Seed(1), vec![])), []);
    }
}
