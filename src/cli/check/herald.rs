//! Says what a check decided while it goes on: at once if it is quiet, else a little later, lest it says
//! nothing else.
//!
//! Where a worker has died of this job, each part is announced before it is examined, so that the next death
//! tells whose fault it is; and what is known from before is not examined again.

use super::job::{Earlier, Job, Message, News};
use super::worker::say;
use elenchus_core::checker::{Decided, Known, Watch};
use elenchus_core::verdict::Validity;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Carries out a check and says, all along, what it decided.
pub fn watched<T>(job: &Job, check: impl FnOnce(&dyn Watch) -> T) -> T {
    let herald = Herald::after(job.earlier.as_ref());
    std::thread::scope(|scope| {
        scope.spawn(|| herald.go_on());
        // The herald must end, whatever the check does.
        let _end = Ending(&herald);
        check(&herald)
    })
}

#[derive(Default)]
struct Herald {
    /// What earlier workers left; `None` if there were none.
    known: Option<HashMap<usize, Known>>,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// What was not yet said.
    news: News,
    /// When something was last said.
    said: Option<Instant>,
    /// Whether there is anything to say.
    stale: bool,
    ended: bool,
    /// How many anomalies there were.
    anomalies: usize,
    /// How many checkers gave numbers to their parts: each has a first one.
    checkers: usize,
}

/// News are said again no sooner than this.
const PAUSE: Duration = Duration::from_millis(20);
/// Invalid parts that are shown.
const ANOMALIES_MAX: usize = 8;

impl Watch for Herald {
    fn begins(&self, part: usize) -> Option<Known> {
        let checkers = {
            let mut state = self.state();
            state.checkers += usize::from(part == 0);
            state.checkers
        };
        let known = self.known.as_ref()?.get(&part).cloned();
        // Another checker's parts bear the same numbers, and that one of them is valid says nothing of the other.
        let known = known.filter(|known| *known != Known::Valid || checkers == 1);
        if known.is_none() {
            // If nobody listens, the end of this process is near anyway.
            let _ = say(&Message::Begun(part));
        }
        known
    }

    fn decided(&self, part: Decided) {
        let mut state = self.state();
        state.news.parts = part.parts;
        state.news.mixed = state.checkers > 1;
        let list = match part.validity {
            Validity::Valid => &mut state.news.valid,
            Validity::Unknown => &mut state.news.unknown,
            Validity::Invalid => &mut state.news.invalid,
        };
        list.push(part.part);
        // A violation must not be lost with a crash that comes sooner than the next news.
        let urgent = part.validity == Validity::Invalid && state.anomalies < ANOMALIES_MAX;
        if urgent {
            state.anomalies += 1;
            state.news.anomalies.extend(part.anomaly.map(|anomaly| (part.part, anomaly)));
        }
        state.stale = true;
        if urgent || self.known.is_some() || state.said.is_none_or(|said| said.elapsed() >= PAUSE) {
            state.say();
        } else {
            self.news.notify_one();
        }
    }
}

impl Herald {
    fn after(earlier: Option<&Earlier>) -> Herald {
        let known = earlier.map(|Earlier { valid, hopeless, .. }| {
            let valid = valid.iter().map(|part| (*part, Known::Valid));
            let hopeless = hopeless.iter().map(|(part, why)| (*part, Known::Hopeless(why.clone())));
            valid.chain(hopeless).collect()
        });
        Herald { known, ..Herald::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while it holds the lock")
    }

    /// Says what no later part made said.
    fn go_on(&self) {
        let mut state = self.state();
        while !state.ended {
            state = if state.stale {
                self.news.wait_timeout(state, PAUSE).expect("nobody panics").0
            } else {
                self.news.wait(state).expect("nobody panics")
            };
            if state.stale && state.said.is_none_or(|said| said.elapsed() >= PAUSE) {
                state.say();
            }
        }
    }
}

impl State {
    fn say(&mut self) {
        // If nobody listens, the end of this process is near anyway.
        let _ = say(&Message::Decided(std::mem::take(&mut self.news)));
        self.said = Some(Instant::now());
        self.stale = false;
    }
}

struct Ending<'a>(&'a Herald);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.news.notify_one();
    }
}
