//! The process that waits: it hands jobs to a judging process, and ends that one when its time is over.
//!
//! The library tests its budget between two steps of a model; a step that never returns, or that allocates
//! until the process dies, it cannot survive. So histories are judged in a child (this very program), and
//! what the child said before it ended stays. One child serves many files; when one had to be ended, the next
//! file gets another.

use super::job::{Job, Judged, LintTold, Message, Read, Tally};
use crate::quantity::{Bytes, Span};
use elenchus_core::verdict::{Validity, Verdict};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
        // Whoever reads standard input cannot also take jobs from there.
        if job.path == "-" {
            return match Worker::start(Some(job)) {
                Ok(worker) => follow(worker, job).0,
                Err(e) => broken(&e),
            };
        }
        let worker = match self.worker.take().map_or_else(|| Worker::start(None), Ok) {
            Ok(worker) => worker,
            Err(e) => return broken(&e),
        };
        let (outcome, worker) = match worker.give(job) {
            Ok(worker) => follow(worker, job),
            Err(e) => return broken(&e),
        };
        self.worker = worker;
        outcome
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            // The end of its input is the end of its work.
            drop(worker.jobs.take());
            let _ = worker.child.wait();
        }
    }
}

fn broken(error: &io::Error) -> Outcome {
    let why = format!("the judging process cannot be used: {error}");
    Outcome { answer: Answer::Broken(why), ..Outcome::default() }
}

/// Listens until the job is done or the worker is; the worker comes back if it can go on.
fn follow(mut worker: Worker, job: &Job) -> (Outcome, Option<Worker>) {
    let mut outcome = Outcome::default();
    let (mut tally, mut deadline, mut judged): (Option<Tally>, Option<Instant>, bool) = (None, None, false);
    let end = loop {
        match worker.next(deadline) {
            Ok(Message::Read(read)) => {
                outcome.read = read;
                deadline = Instant::now().checked_add(job.timeout.saturating_add(GRACE));
            }
            Ok(Message::Decided(so_far)) => tally = Some(so_far),
            Ok(Message::Judged(Judged { model, verdicts, lints })) => {
                outcome.model = model;
                outcome.answer = Answer::Verdicts(verdicts);
                outcome.lints = lints;
                (deadline, judged) = (None, true);
            }
            Ok(Message::Refused(why)) => (outcome.answer, judged) = (Answer::Refused(why), true),
            Ok(Message::Broken(why)) => (outcome.answer, judged) = (Answer::Broken(why), true),
            Ok(Message::Reported(report)) => outcome.report = Some(report),
            Ok(Message::Done) => return (outcome, Some(worker)),
            Err(RecvTimeoutError::Timeout) => {
                worker.kill();
                let limit = Span(job.timeout);
                break format!(
                    "the time allowed ({limit}) ran out within a step that did not end, and the check was ended by force"
                );
            }
            Err(RecvTimeoutError::Disconnected) => break worker.obituary(job),
        }
    };
    if judged {
        outcome.report = job.report.as_ref().map(|_| Err(end));
    } else {
        let reading = deadline.is_none();
        outcome.answer = Answer::Verdicts(vec![unfinished(tally, reading, &end)]);
        outcome.model.clone_from(&job.model);
        let none = || Err("there is no report of a check that was ended by force".to_owned());
        outcome.report = job.report.as_ref().map(|_| none());
    }
    (outcome, None)
}

/// The verdict of a check that did not come to its end: what was decided stays, the rest is unknown.
fn unfinished(tally: Option<Tally>, reading: bool, why: &str) -> Verdict {
    let Some(tally) = tally else {
        let stage = if reading { "while the history was read, " } else { "" };
        return Verdict::new("check", Validity::Unknown, format!("nothing was decided: {stage}{why}"));
    };
    let Tally { parts, valid, unknown, invalid, anomalies } = tally;
    let undecided = parts.saturating_sub(valid + invalid);
    let rest = match undecided {
        0 => format!("all {parts} keys were decided, but no more evidence was found: {why}"),
        _ => format!("{undecided} of {parts} keys were not decided: {why}"),
    };
    let checker = "linearizability";
    let mut verdict = match anomalies.first() {
        None => Verdict::new(checker, Validity::Unknown, rest),
        Some(first) => Verdict::new(checker, Validity::Invalid, format!("{}; {rest}", first.sentence)),
    };
    verdict.class = anomalies.first().map(|first| first.class.clone());
    verdict.anomalies = anomalies;
    verdict
        .with_figure("keys", parts)
        .with_figure("keys_invalid", invalid)
        .with_figure("keys_unknown", unknown.max(undecided))
}

/// A judging process.
struct Worker {
    child: Child,
    jobs: Option<ChildStdin>,
    messages: Receiver<Message>,
    /// The end of what it complained of.
    complaints: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(job: Option<&Job>) -> io::Result<Worker> {
        let mut command = Command::new(program()?);
        command.arg("judge").stdout(Stdio::piped()).stderr(Stdio::piped());
        match job {
            Some(job) => command.arg(serde_json::to_string(job)?).stdin(Stdio::inherit()),
            None => command.stdin(Stdio::piped()),
        };
        let mut child = command.spawn()?;
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (send, messages) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line)
                    .unwrap_or_else(|e| Message::Broken(format!("a message that cannot be read: {e}")));
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let kept = complaints.clone();
        let listener = std::thread::spawn(move || keep_end(err, &kept));
        Ok(Worker { jobs: child.stdin.take(), child, messages, complaints, listener: Some(listener) })
    }

    fn give(mut self, job: &Job) -> io::Result<Worker> {
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        let jobs = self.jobs.as_mut().expect("it was started to take jobs");
        // One that is gone says nothing, and is told apart by that.
        match jobs.write_all(&line) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
            _ => Ok(self),
        }
    }

    fn next(&self, deadline: Option<Instant>) -> Result<Message, RecvTimeoutError> {
        match deadline {
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => self.messages.recv_timeout(at.saturating_duration_since(Instant::now())),
        }
    }

    /// Ends it, by the handle of the very process that was started.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Why a worker fell silent that should not have.
    fn obituary(&mut self, job: &Job) -> String {
        // Nobody holds its standard output any more; what is left of it must not go on.
        let _ = self.child.kill();
        let status = self.child.wait();
        let _ = self.listener.take().map(JoinHandle::join);
        let complaints = self.complaints.lock().expect("nobody panics while it holds the lock");
        let complaints = String::from_utf8_lossy(&complaints);
        let limit = Bytes(job.memory);
        // What the allocator of Rust says, whatever the message around it.
        if let Some(line) = complaints.lines().find(|line| line.starts_with("memory allocation of")) {
            return format!("the memory allowed ({limit}) ran out, and the check died of it ({line})");
        }
        let how = status.map_or_else(|e| e.to_string(), |status| died_of(&status));
        let last = complaints.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        format!("the check crashed ({how}): {last}")
    }
}

#[cfg(unix)]
fn died_of(status: &ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let Some(number) = status.signal() else { return status.to_string() };
    match nix::sys::signal::Signal::try_from(number) {
        Ok(nix::sys::signal::Signal::SIGKILL) => "killed by SIGKILL, perhaps for want of memory".into(),
        Ok(signal) => format!("killed by {signal}"),
        Err(_) => format!("killed by signal {number}"),
    }
}

#[cfg(not(unix))]
fn died_of(status: &ExitStatus) -> String {
    status.to_string()
}

/// This program, even if its file was replaced while it runs.
fn program() -> io::Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { Ok(own) } else { std::env::current_exe() }
}

/// Reads all and keeps the end.
fn keep_end(mut from: impl io::Read, kept: &Mutex<Vec<u8>>) {
    const KEPT_MAX: usize = 16 << 10;
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.by_ref().read(&mut piece) {
        let mut kept = kept.lock().expect("nobody panics while it holds the lock");
        kept.extend_from_slice(&piece[..count]);
        let too_many = kept.len().saturating_sub(KEPT_MAX);
        kept.drain(..too_many);
    }
}
