//! The requests that an agent has seen, so that each is carried out once, in no order but the one that was
//! meant, and answered on every line on which it was asked.

use super::protocol::Notice;
use std::collections::{BTreeMap, VecDeque};

/// How many answers are kept for those who ask again: more than anybody leaves unanswered.
const KEPT: usize = 1024;

/// Whose request, and its number.
pub(super) type Key = (String, u64);

/// Seen requests and who waits for their answers; `L` is a line.
#[derive(Debug)]
pub(super) struct Answers<L> {
    seen: BTreeMap<Key, Seen<L>>,
    answered: VecDeque<Key>,
    /// The highest number that each controller has used on each subject.
    highest: BTreeMap<(String, String), u64>,
}

#[derive(Debug)]
enum Seen<L> {
    Waiting(Vec<L>),
    Answered(Notice),
}

/// What to do with a request.
#[derive(Debug, PartialEq)]
pub(super) enum Asked<L> {
    /// It is new: carry it out.
    New,
    /// It is being carried out; the line will hear of it.
    Waiting,
    /// It was carried out: this is the answer, for this line.
    Answered(Notice, L),
}

impl<L> Default for Answers<L> {
    fn default() -> Answers<L> {
        Answers { seen: BTreeMap::new(), answered: VecDeque::new(), highest: BTreeMap::new() }
    }
}

impl<L> Answers<L> {
    /// Notes that the request came on this line.
    pub fn ask(&mut self, key: &Key, line: L) -> Asked<L> {
        match self.seen.get_mut(key) {
            None => {
                self.seen.insert(key.clone(), Seen::Waiting(vec![line]));
                Asked::New
            }
            Some(Seen::Waiting(lines)) => {
                lines.push(line);
                Asked::Waiting
            }
            Some(Seen::Answered(notice)) => Asked::Answered(notice.clone(), line),
        }
    }

    /// Whether a new request may still be carried out: a cut that arrives after its mending, on a line that
    /// was slower, would stay for ever.
    pub fn is_timely(&mut self, (session, id): &Key, subject: String) -> bool {
        let highest = self.highest.entry((session.clone(), subject)).or_default();
        let is_timely = id > highest;
        *highest = (*highest).max(*id);
        is_timely
    }

    /// Notes the answer. Returns the lines that wait for it.
    pub fn answer(&mut self, key: &Key, notice: Notice) -> Vec<L> {
        let lines = match self.seen.insert(key.clone(), Seen::Answered(notice)) {
            Some(Seen::Waiting(lines)) => lines,
            Some(Seen::Answered(_)) | None => vec![],
        };
        self.answered.push_back(key.clone());
        if self.answered.len() > KEPT
            && let Some(oldest) = self.answered.pop_front()
        {
            self.seen.remove(&oldest);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::protocol::Answer;

    fn done(id: u64) -> Notice {
        Notice::Done { id, answer: Answer::HeldBack(id) }
    }

    #[test]
    fn a_request_is_new_once_and_answered_on_every_line() {
        let mut answers = Answers::default();
        let key = ("s".to_owned(), 1);
        assert_eq!(answers.ask(&key, "a"), Asked::New);
        assert_eq!(answers.ask(&key, "b"), Asked::Waiting);
        assert_eq!(answers.ask(&("t".to_owned(), 1), "c"), Asked::New, "another controller's number");
        assert_eq!(answers.answer(&key, done(1)), ["a", "b"]);
        assert_eq!(answers.ask(&key, "d"), Asked::Answered(done(1), "d"));
    }

    #[test]
    fn what_a_later_request_has_overtaken_is_not_timely() {
        let mut answers = Answers::<()>::default();
        let mut is_timely =
            |session: &str, id, subject: &str| answers.is_timely(&(session.into(), id), subject.into());
        assert!(is_timely("s", 5, "cut 1"));
        assert!(!is_timely("s", 4, "cut 1"));
        assert!(is_timely("s", 4, "cut 2"), "another subject");
        assert!(is_timely("t", 1, "cut 1"), "another controller");
        assert!(is_timely("s", 6, "cut 1"));
    }

    #[test]
    fn the_oldest_answers_are_forgotten() {
        let mut answers = Answers::default();
        for id in 0..=KEPT as u64 {
            let key = ("s".to_owned(), id);
            answers.ask(&key, ());
            answers.answer(&key, done(id));
        }
        assert_eq!(answers.seen.len(), KEPT);
        assert!(matches!(answers.ask(&("s".to_owned(), KEPT as u64), ()), Asked::Answered(..)));
    }
}
