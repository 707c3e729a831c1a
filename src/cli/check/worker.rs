//! The process that reads and judges: it takes one job after the other and says what comes of each.
//!
//! Everything that may hang, crash or eat memory happens here, and nothing is said to the user from here.

use super::input::{self, Input};
use super::job::{Job, Judged, LintTold, Message, Read, Tally};
use super::model::{self, Candidate, NoModel};
use super::{limits, page};
use crate::exit::Exit;
use elenchus_checkers::{check_all, check_all_watched, lint};
use elenchus_core::budget::Budget;
use elenchus_core::checker::{Decided, Watch};
use elenchus_core::verdict::{Validity, Verdict};
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Judges the one job given, or all that come on standard input.
pub fn run(job: Option<&str>) -> Exit {
    limits::prepare();
    let told = match job {
        Some(job) => answer(job),
        None => io::stdin().lock().lines().try_for_each(|job| answer(&job?)),
    };
    if told.is_ok() { Exit::Valid } else { Exit::Broken }
}

/// An error only says that nobody listens any more.
fn answer(job: &str) -> io::Result<()> {
    match serde_json::from_str::<Job>(job) {
        Ok(job) => {
            let judged = catch_unwind(AssertUnwindSafe(|| judge(&job)));
            judged.unwrap_or_else(|_| say(&Message::Broken("the program panicked".into())))?;
        }
        Err(e) => say(&Message::Broken(format!("a job that cannot be read: {e}")))?,
    }
    say(&Message::Done)
}

fn say(message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

/// What the program and the system's allocator take beside what is counted: threads, their arenas.
const SLACK: usize = 256 << 20;
/// What an event's share of the typed operations may take.
const EVENT: usize = 512;

fn judge(job: &Job) -> io::Result<()> {
    let on_disk = std::fs::metadata(&job.path).map_or(0, |data| data.len() as usize);
    limits::grow_by(SLACK.saturating_add(job.memory).saturating_add(on_disk.saturating_mul(4)));
    let input = match input::read(job) {
        Ok(input) => input,
        Err(why) => return say(&Message::Refused(why)),
    };
    say(&Message::Read(Read { format: input.format.name().into(), notes: input.notes.clone() }))?;
    let needed = input.recording.history.len().saturating_mul(EVENT);
    limits::grow_by(SLACK.saturating_add(job.memory).saturating_add(needed));
    let judged = match verdicts(job, &input) {
        Ok(judged) => judged,
        Err(why) => return say(&Message::Refused(why)),
    };
    limits::lift();
    say(&Message::Judged(Judged {
        model: judged.model.clone(),
        verdicts: judged.verdicts.clone(),
        lints: judged.lints,
    }))?;
    match &job.report {
        None => Ok(()),
        Some(folder) => {
            let page = page::write(folder.as_ref(), job, &input, judged.model.as_deref(), &judged.verdicts);
            say(&Message::Reported(page))
        }
    }
}

/// The verdicts by the model that was named. Else by the first that may be meant; that one alone accuses
/// nobody: an answer that another meaning of the same operations would explain is no violation.
fn verdicts(job: &Job, input: &Input) -> Result<Judged, String> {
    let candidates = match model::candidates(job, input) {
        Ok(candidates) => candidates,
        Err(NoModel::Wrong(why)) => return Err(why),
        Err(NoModel::Unclear(why)) => {
            let verdict = Verdict::new("check", Validity::Unknown, why);
            return Ok(Judged { model: None, verdicts: vec![verdict], lints: Vec::new() });
        }
    };
    let history = &input.recording.history;
    let mut budget = Budget::new(job.timeout, job.memory);
    if !job.evidence {
        budget = budget.with_evidence(Duration::ZERO);
    }
    let plain = candidates.len() == 1;
    let (mut first_error, mut refuted) = (None, None);
    for Candidate { name, checkers } in candidates {
        let checked = if plain {
            watched(|watch| check_all_watched(checkers, history, &budget, watch))
        } else {
            // Were this ended by force, what one meaning refuted must not stand as an accusation.
            check_all(checkers, history, &budget)
        };
        match (checked, &refuted) {
            (Ok(verdicts), None) if !plain && Verdict::merge(&verdicts) == Validity::Invalid => {
                refuted = Some((name, verdicts));
            }
            (Ok(mut verdicts), None) => {
                let meant = format!(" (taken for a {name}; --model says otherwise)");
                verdicts.iter_mut().filter(|_| !plain).for_each(|verdict| verdict.why.push_str(&meant));
                return Ok(beside_lints(input, name, verdicts));
            }
            (Ok(verdicts), Some((first, _))) => {
                let validity = Verdict::merge(&verdicts);
                if validity != Validity::Invalid {
                    let word = if validity == Validity::Valid { "valid" } else { "undecided" };
                    let why = format!(
                        "it is not plain what the history is of: as a {first} it is invalid, as a {name} {word}; \
                         say which with --model"
                    );
                    let verdict = Verdict::new("check", Validity::Unknown, why);
                    return Ok(Judged { model: None, verdicts: vec![verdict], lints: Vec::new() });
                }
            }
            (Err(_), Some(_)) => {}
            (Err(malformed), None) => {
                let place = input.whole.then(|| input::place(job, input.format, &malformed)).flatten();
                let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
                let path = std::path::Path::new(&job.path).display();
                first_error.get_or_insert(format!("{path}: {place}{malformed} (as a {name})"));
            }
        }
    }
    match refuted {
        Some((name, verdicts)) => Ok(beside_lints(input, name, verdicts)),
        None => Err(first_error.expect("there is a candidate, and none decodes the history")),
    }
}

/// The verdicts with the likely mistakes of the recording; an invalid one begins with those that concern it.
fn beside_lints(input: &Input, name: String, mut verdicts: Vec<Verdict>) -> Judged {
    let history = &input.recording.history;
    let lints = lint::lint(history, lint::Habits::default());
    for verdict in &mut verdicts {
        if let Some(warning) = lint::warning(history, &lints, verdict) {
            verdict.why = format!("{warning}; {}", verdict.why);
        }
    }
    let tell = |lint: &lint::Lint| LintTold {
        mistake: lint.mistake.name().into(),
        event: lint.event,
        sentence: lint.sentence(history),
    };
    Judged { model: Some(name), verdicts, lints: lints.iter().map(tell).collect() }
}

/// Carries out a check and says, all along, what it decided.
fn watched<T>(check: impl FnOnce(&dyn Watch) -> T) -> T {
    let herald = Herald::default();
    std::thread::scope(|scope| {
        scope.spawn(|| herald.go_on());
        // The herald must end, whatever the check does.
        let _end = Ending(&herald);
        check(&herald)
    })
}

/// Says what was decided: at once if it is quiet, else a little later, lest it says nothing else.
#[derive(Default)]
struct Herald {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    tally: Tally,
    /// When the tally was last said.
    said: Option<Instant>,
    /// Whether it changed since.
    stale: bool,
    ended: bool,
}

/// The tally is said again no sooner than this.
const PAUSE: Duration = Duration::from_millis(20);
/// Invalid parts that are shown.
const ANOMALIES_MAX: usize = 8;

impl Watch for Herald {
    fn decided(&self, part: Decided) {
        let mut state = self.state();
        let tally = &mut state.tally;
        tally.parts = part.parts;
        let mut urgent = false;
        match part.validity {
            Validity::Valid => tally.valid += 1,
            Validity::Unknown => tally.unknown += 1,
            Validity::Invalid => {
                tally.invalid += 1;
                // A violation must not be lost with a crash that comes sooner than the next tally.
                urgent = tally.anomalies.len() < ANOMALIES_MAX;
                tally.anomalies.extend(part.anomaly.filter(|_| urgent));
            }
        }
        state.stale = true;
        if urgent || state.said.is_none_or(|said| said.elapsed() >= PAUSE) {
            state.say();
        } else {
            self.news.notify_one();
        }
    }
}

impl Herald {
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
        let _ = say(&Message::Decided(self.tally.clone()));
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
