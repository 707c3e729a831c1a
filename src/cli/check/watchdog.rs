//! The process that waits: it hands jobs to a judging process, and ends that one when its time is over.
//!
//! The library tests its budget between two steps of a model; a step that never returns, or that allocates
//! until the process dies, it cannot survive. So histories are judged in a child (this very program), and
//! what the child said before it ended stays. One child serves many files; when one had to be ended, the next
//! file gets another.
//!
//! A child that dies by itself, and not of the deadline, is followed by another one in the time that is left. It
//! goes carefully: one key after the other, each announced. So when it dies, too, the key at fault is known,
//! and a third one judges all others. What was decided once is not examined again.

use super::child::Worker;
use super::job::{Earlier, Job, Judged, LintTold, Message, News, Read};
use crate::quantity::Span;
use crate::store::file;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime};

/// What came of one job.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was read.
    pub read: Read,
    /// The model, if there was one.
    pub model: Option<String>,
    /// What was concluded.
    pub answer: Answer,
    /// Likely mistakes of the recording.
    pub lints: Vec<LintTold>,
    /// The report, or why there is none, if one was wanted.
    pub report: Option<Result<PathBuf, String>>,
}

/// What was concluded of one file.
#[derive(Debug)]
pub enum Answer {
    /// Verdicts.
    Verdicts(Vec<Verdict>),
    /// The input or what was said of it is wrong.
    Refused(String),
    /// The program is wrong.
    Broken(String),
}

impl Default for Answer {
    fn default() -> Answer {
        Answer::Broken("nothing was said".into())
    }
}

/// Time beyond the deadline that a check gets to notice it by itself.
const GRACE: Duration = Duration::from_millis(500);

/// Hands out jobs.
#[derive(Default)]
pub struct Watchdog {
    worker: Option<Worker>,
}

impl Watchdog {
    /// Has one history judged; never waits much longer for its verdict than the job allows.
    pub fn judge(&mut self, job: &Job) -> Outcome {
        let (files, mut course, mut round) = (Files::of(job), Course::default(), job.clone());
        loop {
            let worker = match self.hire(&round) {
                Ok(worker) => worker,
                Err(e) => return broken(&e),
            };
            let death = match course.follow(worker, &round) {
                Ok(worker) => {
                    // One that read standard input has no ears for other jobs.
                    self.worker = Some(worker).filter(|_| job.path != "-");
                    return course.outcome;
                }
                Err(death) => death,
            };
            match course.again(&round, &death) {
                Some(next) if files == Files::of(job) => round = next,
                _ => return course.cut_off(&round, &death.why),
            }
        }
    }

    /// A worker that has the job.
    fn hire(&mut self, job: &Job) -> io::Result<Worker> {
        if job.path == "-" {
            return Worker::start(Some(job));
        }
        self.worker.take().map_or_else(|| Worker::start(None), Ok)?.give(job)
    }
}

fn broken(error: &io::Error) -> Outcome {
    let why = format!("the judging process cannot be used: {error}");
    Outcome { answer: Answer::Broken(why), ..Outcome::default() }
}

/// What the files of a job are, as far as can be seen without reading them: what was decided holds for no others.
#[derive(PartialEq)]
struct Files(Vec<Option<(u64, SystemTime)>>);

impl Files {
    fn of(job: &Job) -> Files {
        let look = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.len(), data.modified().ok()?))
        };
        let model = job.model.as_ref().map(PathBuf::from);
        let plan = job.trial.then(|| Path::new(&job.path).join(file::PLAN));
        Files([Some(job.history()), model, plan].into_iter().flatten().map(|path| look(&path)).collect())
    }
}

/// How a worker ended that should not have.
struct Death {
    why: String,
    /// Whether it was ended since its time was over.
    late: bool,
}

/// What is known of one job, whoever found it.
#[derive(Default)]
struct Course {
    outcome: Outcome,
    deadline: Option<Instant>,
    /// Whether there is an answer, and only the report is still to come.
    judged: bool,
    tally: Tally,
    /// Verdicts of checkers that came to their end before the longest one began.
    beside: Vec<Verdict>,
    /// The part in work; only a careful worker tells.
    begun: Option<usize>,
    /// Parts at which workers died, and why.
    hopeless: BTreeMap<usize, String>,
}

/// What was decided so far, part by part.
#[derive(Default)]
struct Tally {
    parts: usize,
    valid: BTreeSet<usize>,
    unknown: BTreeSet<usize>,
    invalid: BTreeSet<usize>,
    /// The first of these, without evidence.
    anomalies: BTreeMap<usize, Anomaly>,
    /// Whether parts of different checkers bear the same numbers.
    mixed: bool,
}

impl Course {
    /// Listens until the job is done or the worker is.
    fn follow(&mut self, worker: Worker, job: &Job) -> Result<Worker, Death> {
        loop {
            let deadline = self.deadline.filter(|_| !self.judged);
            match worker.next(deadline) {
                Ok(Message::Done) => return Ok(worker),
                Ok(message) => self.hear(message, job),
                Err(RecvTimeoutError::Timeout) => {
                    worker.kill();
                    let why = format!(
                        "the time allowed ({}) ran out within a step that did not end, and the check was ended by force",
                        Span(job.allowed())
                    );
                    return Err(Death { why, late: true });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Death { why: worker.obituary(job), late: false });
                }
            }
        }
    }

    fn hear(&mut self, message: Message, job: &Job) {
        match message {
            Message::Read(read) => {
                self.outcome.read = read;
                let limit = || Instant::now().checked_add(job.timeout.saturating_add(GRACE));
                self.deadline = self.deadline.or_else(limit);
            }
            Message::Beside(verdicts) => self.beside = verdicts,
            Message::Begun(part) => self.begun = Some(part),
            Message::Decided(news) => self.tally.add(news),
            Message::Judged(judged) => self.conclude(judged),
            Message::Refused(why) => (self.outcome.answer, self.judged) = (Answer::Refused(why), true),
            Message::Broken(why) => (self.outcome.answer, self.judged) = (Answer::Broken(why), true),
            Message::Reported(report) => self.outcome.report = Some(report),
            Message::Done => {}
        }
    }

    fn conclude(&mut self, Judged { model, verdicts, lints }: Judged) {
        self.outcome.model = model;
        self.outcome.lints = lints;
        self.judged = true;
        // An accusation is certain, even if a later worker had no time for that part.
        let lost = Verdict::merge(&verdicts) != Validity::Invalid && !self.tally.anomalies.is_empty();
        let why = "what one process decided another one had no time to repeat";
        let earlier = lost.then(|| self.tally.verdict(why));
        self.outcome.answer = Answer::Verdicts(earlier.into_iter().chain(verdicts).collect());
    }

    /// The job for another worker, if one could come further.
    fn again(&mut self, job: &Job, death: &Death) -> Option<Job> {
        if self.judged || death.late || job.path == "-" || self.tally.mixed {
            return None;
        }
        if job.earlier.is_some() {
            // Outside all parts it would die again.
            self.hopeless.insert(self.begun.take()?, death.why.clone());
        }
        let left = self.deadline?.saturating_duration_since(Instant::now());
        let timeout = left.checked_sub(GRACE).filter(|left| !left.is_zero())?;
        let earlier = Earlier {
            allowed: job.allowed(),
            valid: self.tally.valid.iter().copied().collect(),
            hopeless: self.hopeless.clone().into_iter().collect(),
        };
        Some(Job { timeout, earlier: Some(earlier), ..job.clone() })
    }

    /// The outcome of a job that no worker brought to its end.
    fn cut_off(mut self, job: &Job, why: &str) -> Outcome {
        if self.judged {
            self.outcome.report = job.report.as_ref().map(|_| Err(why.to_owned()));
            return self.outcome;
        }
        let first = match (self.tally.parts, self.deadline) {
            (0, None) => nothing(&format!("while the history was read, {why}")),
            (0, Some(_)) => nothing(why),
            _ => self.tally.verdict(why),
        };
        self.outcome.answer = Answer::Verdicts([first].into_iter().chain(self.beside).collect());
        self.outcome.model.clone_from(&job.model);
        let none = || Err("there is no report of a check that was ended by force".to_owned());
        self.outcome.report = job.report.as_ref().map(|_| none());
        self.outcome
    }
}

fn nothing(why: &str) -> Verdict {
    Verdict::new("check", Validity::Unknown, format!("nothing was decided: {why}"))
}

impl Tally {
    fn add(&mut self, news: News) {
        self.parts = news.parts;
        self.mixed |= news.mixed;
        self.valid.extend(news.valid);
        self.unknown.extend(news.unknown);
        self.invalid.extend(news.invalid);
        self.anomalies.extend(news.anomalies);
    }

    /// The verdict of a check that did not come to its end: what was decided stays, the rest is unknown.
    fn verdict(&self, why: &str) -> Verdict {
        let parts = self.parts;
        let decided = self.valid.union(&self.invalid).count();
        let undecided = parts.saturating_sub(decided);
        let rest = match undecided {
            0 => format!("all {parts} keys were decided, but no more evidence was found: {why}"),
            _ => format!("{undecided} of {parts} keys were not decided: {why}"),
        };
        let checker = "linearizability";
        let mut verdict = match self.anomalies.values().next() {
            None => Verdict::new(checker, Validity::Unknown, rest),
            Some(first) => Verdict::new(checker, Validity::Invalid, format!("{}; {rest}", first.sentence)),
        };
        verdict.class = self.anomalies.values().next().map(|first| first.class.clone());
        verdict.anomalies = self.anomalies.values().cloned().collect();
        verdict
            .with_figure("keys", parts)
            .with_figure("keys_invalid", self.invalid.len())
            .with_figure("keys_unknown", undecided)
    }
}
