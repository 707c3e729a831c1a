//! A word to the user.

use super::{Action, Context, Generator, Next};

/// See [`log`].
#[derive(Clone, Debug)]
pub struct Log {
    text: Option<String>,
}

/// Tells the user this, once; it stays out of the history and occupies no slot.
pub fn log(text: impl Into<String>) -> Log {
    Log { text: Some(text.into()) }
}

impl<O, R> Generator<O, R> for Log {
    fn next(&mut self, _cx: &mut Context) -> Next<O> {
        self.text.take().map_or(Next::Done, |text| Next::Invoke(Context::NEMESIS, Action::Log(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::*;
    use crate::generator::*;

    #[test]
    fn a_word_is_said_once_in_its_place_and_is_no_event() {
        let words =
            sequence(vec![repeat("a").limit(2).boxed(), log("b").boxed(), repeat("c").limit(1).boxed()]);
        let run = ended(1, words, &mut simulate::Quick);
        assert_eq!(run.log, [(crate::time::Time(10), "b".to_owned())]);
        assert_eq!(run.events.len(), 6);
    }
}
