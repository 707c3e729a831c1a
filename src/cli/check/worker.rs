//! The process that reads and judges: it takes one job after the other and says what comes of each.
//!
//! Everything that may hang, crash or eat memory happens here, and nothing is said to the user from here.

use super::input::{self, Input};
use super::job::{Job, Judged, LintTold, Message, Read};
use super::model::{self, Candidate, NoModel};
use super::{adversary, herald, limits, page};
use crate::exit::Exit;
use crate::judge::{Case, JudgeError};
use crate::registry::Registry;
use elenchus_checkers::{check_all, check_all_watched, lint};
use elenchus_core::budget::Budget;
use elenchus_core::format::Format;
use elenchus_core::history::History;
use elenchus_core::verdict::{Validity, Verdict};
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Judges the one job given, or all that come on standard input.
pub fn run(job: Option<&str>, registry: &Registry) -> Exit {
    limits::prepare();
    let told = match job {
        Some(job) => answer(job, registry),
        None => io::stdin().lock().lines().try_for_each(|job| answer(&job?, registry)),
    };
    if told.is_ok() { Exit::Valid } else { Exit::Broken }
}

/// An error only says that nobody listens any more.
fn answer(job: &str, registry: &Registry) -> io::Result<()> {
    match serde_json::from_str::<Job>(job) {
        Ok(job) => {
            let judged = catch_unwind(AssertUnwindSafe(|| judge(&job, registry)));
            judged.unwrap_or_else(|_| say(&Message::Broken("the program panicked".into())))?;
        }
        Err(e) => say(&Message::Broken(format!("a job that cannot be read: {e}")))?,
    }
    say(&Message::Done)
}

/// Says it to the process that waits.
pub fn say(message: &Message) -> io::Result<()> {
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

fn judge(job: &Job, registry: &Registry) -> io::Result<()> {
    let began = Instant::now();
    let on_disk = std::fs::metadata(job.history()).map_or(0, |data| data.len() as usize);
    limits::grow_by(SLACK.saturating_add(job.memory).saturating_add(on_disk.saturating_mul(4)));
    if job.trial {
        return judge_trial(job, registry, began);
    }
    let input = match input::read(job) {
        Ok(input) => input,
        Err(why) => return say(&Message::Refused(why)),
    };
    say(&Message::Read(Read { format: input.format.name().into(), notes: input.notes.clone() }))?;
    allow(job, &input.recording.history, 0);
    let judged = match verdicts(job, &input, &budget(job, began)) {
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

/// Lets this process take what the job allows, beside what it has and `more`.
fn allow(job: &Job, history: &History, more: usize) {
    let needed = history.len().saturating_mul(EVENT);
    limits::grow_by(SLACK.saturating_add(job.memory).saturating_add(needed).saturating_add(more));
}

/// What the check may spend. Where a worker has died, reading counts as well, and no two parts are examined at
/// once: so it is plain of which one this worker dies.
fn budget(job: &Job, began: Instant) -> Budget {
    let budget = match &job.earlier {
        None => Budget::new(job.timeout, job.memory),
        Some(_) => Budget::new(job.timeout.saturating_sub(began.elapsed()), job.memory).with_threads(1),
    };
    if job.evidence { budget } else { budget.with_evidence(Duration::ZERO) }
}

/// Judges what a trial left. Those who only observe are quick, and speak first.
fn judge_trial(job: &Job, registry: &Registry, began: Instant) -> io::Result<()> {
    match trial_verdicts(job, registry, began)? {
        Ok(verdicts) => {
            limits::lift();
            say(&Message::Judged(Judged { model: None, verdicts, lints: Vec::new() }))
        }
        Err(error) => say(&Message::Refused(error.to_string())),
    }
}

fn trial_verdicts(
    job: &Job,
    registry: &Registry,
    began: Instant,
) -> io::Result<Result<Vec<Verdict>, JudgeError>> {
    let case = match Case::read(job.path.as_ref()) {
        Ok(case) => case,
        Err(error) => return Ok(Err(error)),
    };
    let checkers = match adversary::named(&case.plan.workload) {
        Some(adversary) => Ok(vec![adversary]),
        None => case.checkers(registry),
    };
    let checkers = match checkers {
        Ok(checkers) => checkers,
        Err(error) => return Ok(Err(error)),
    };
    say(&Message::Read(Read { format: Format::Jsonl.name().into(), notes: Vec::new() }))?;
    allow(job, &case.history, case.trace_bytes());
    let (history, budget) = (&case.history, budget(job, began));
    let observed = match check_all(case.observers(), history, &budget) {
        Ok(observed) => observed,
        Err(malformed) => return Ok(Err(case.malformed(malformed))),
    };
    say(&Message::Beside(observed.clone()))?;
    let judged = herald::watched(job, |watch| check_all_watched(checkers, history, &budget, watch));
    Ok(judged
        .map(|judged| judged.into_iter().chain(observed).collect())
        .map_err(|malformed| case.malformed(malformed)))
}

/// The verdicts by the model that was named. Else by the first that may be meant; that one alone accuses
/// nobody: an answer that another meaning of the same operations would explain is no violation.
fn verdicts(job: &Job, input: &Input, budget: &Budget) -> Result<Judged, String> {
    let candidates = match model::candidates(job, input) {
        Ok(candidates) => candidates,
        Err(NoModel::Wrong(why)) => return Err(why),
        Err(NoModel::Unclear(why)) => return Ok(unclear(why)),
    };
    let history = &input.recording.history;
    let plain = candidates.len() == 1;
    let (mut first_error, mut refuted) = (None, None);
    for Candidate { name, checkers, only_acquits } in candidates {
        let checked = if plain {
            herald::watched(job, |watch| check_all_watched(checkers, history, budget, watch))
        } else {
            // Were this ended by force, what one meaning refuted must not stand as an accusation.
            check_all(checkers, history, budget)
        };
        match (checked, &refuted) {
            (Ok(verdicts), None) if !plain && Verdict::merge(&verdicts) == Validity::Invalid => {
                refuted = Some((name, verdicts));
            }
            (Ok(_), None) if only_acquits => {
                let why = format!("of a {name} it would be valid; say how many with --model and --initial");
                return Ok(unclear(why));
            }
            (Ok(verdicts), None) => {
                let named = if plain { verdicts } else { taken_for(&name, verdicts) };
                return Ok(beside_lints(input, name, named));
            }
            (Ok(verdicts), Some((first, _))) => {
                let validity = Verdict::merge(&verdicts);
                if validity != Validity::Invalid {
                    let word = if validity == Validity::Valid { "valid" } else { "undecided" };
                    return Ok(unclear(format!(
                        "it is not plain what the history is of: as {} it is invalid, as {} {word}; say which with \
                         --model",
                        with_article(first),
                        with_article(&name),
                    )));
                }
            }
            (Err(_), Some(_)) => {}
            (Err(malformed), None) => {
                let place = input.whole.then(|| input::place(job, input.format, &malformed)).flatten();
                let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
                let path = std::path::Path::new(&job.path).display();
                first_error.get_or_insert(format!("{path}: {place}{malformed} (as {})", with_article(&name)));
            }
        }
    }
    match refuted {
        Some((name, verdicts)) => {
            let named = taken_for(&name, verdicts);
            Ok(beside_lints(input, name, named))
        }
        None => Err(first_error.expect("there is a candidate, and none decodes the history")),
    }
}

/// No verdict, for this reason.
fn unclear(why: String) -> Judged {
    let verdict = Verdict::new("check", Validity::Unknown, why);
    Judged { model: None, verdicts: vec![verdict], lints: Vec::new() }
}

/// The verdicts, naming the model that was guessed.
fn taken_for(name: &str, mut verdicts: Vec<Verdict>) -> Vec<Verdict> {
    let meant = format!(" (taken for {}; --model says otherwise)", with_article(name));
    verdicts.iter_mut().for_each(|verdict| verdict.why.push_str(&meant));
    verdicts
}

fn with_article(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// The verdicts with the likely mistakes of the recording; an invalid one begins with those that concern it.
fn beside_lints(input: &Input, name: String, mut verdicts: Vec<Verdict>) -> Judged {
    let history = &input.recording.history;
    let lints = lint::lint(history, lint::Habits::default());
    for verdict in &mut verdicts {
        // Some checkers say so themselves.
        if let Some(warning) = lint::warning(history, &lints, verdict).filter(|w| !verdict.why.contains(w)) {
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
