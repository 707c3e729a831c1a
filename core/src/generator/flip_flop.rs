//! Strict alternation.

use super::compose::Boxed;
use super::{Context, Event, Generator, Next};

/// See [`flip_flop`].
pub struct FlipFlop<O, R> {
    members: Vec<Boxed<O, R>>,
    at: usize,
}

/// One action of each in turn; done as soon as the one whose turn it is is done.
pub fn flip_flop<O, R>(members: Vec<Boxed<O, R>>) -> FlipFlop<O, R> {
    FlipFlop { members, at: 0 }
}

impl<O, R> Generator<O, R> for FlipFlop<O, R> {
    fn next(&mut self, cx: &mut Context) -> Next<O> {
        let Some(member) = self.members.get_mut(self.at) else { return Next::Done };
        let next = member.next(cx);
        match next {
            Next::Invoke(..) => self.at = (self.at + 1) % self.members.len(),
            Next::Done => self.members.clear(),
            Next::Wait(_) => {}
        }
        next
    }

    fn update(&mut self, cx: &mut Context, event: &Event<O, R>) {
        self.members.iter_mut().for_each(|member| member.update(cx, event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn they_alternate_until_one_is_done() {
        let run = quick(1, flip_flop(vec![repeat("a").boxed(), from_iter(["b", "c"]).boxed()]));
        assert_eq!(ops(&run), ["a", "b", "a", "c", "a"]);
        assert_eq!(quick(1, flip_flop::<&str, ()>(vec![])), []);
    }
}
