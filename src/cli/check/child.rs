//! A judging process, held by the handle of the very process that was started.

use super::job::{Job, Message};
use crate::quantity::Bytes;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// A judging process.
pub struct Worker {
    child: Child,
    jobs: Option<ChildStdin>,
    messages: Receiver<Message>,
    /// The end of what it complained of.
    complaints: Arc<Mutex<Vec<u8>>>,
    /// Those who read what it says.
    listeners: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Starts one for jobs to come, or for this only one: whoever reads standard input cannot also take jobs
    /// from there.
    pub fn start(job: Option<&Job>) -> io::Result<Worker> {
        let mut command = Command::new(program()?);
        command.arg("judge").stdout(Stdio::piped()).stderr(Stdio::piped());
        match job {
            Some(job) => command.arg(serde_json::to_string(job)?).stdin(Stdio::inherit()),
            None => command.stdin(Stdio::piped()),
        };
        let mut child = command.spawn()?;
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (send, messages) = channel();
        let messenger = std::thread::spawn(move || {
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
        let listeners = vec![messenger, listener];
        Ok(Worker { jobs: child.stdin.take(), child, messages, complaints, listeners })
    }

    /// Hands it a job.
    pub fn give(mut self, job: &Job) -> io::Result<Worker> {
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        let jobs = self.jobs.as_mut().expect("it was started to take jobs");
        // One that is gone says nothing, and is told apart by that.
        match jobs.write_all(&line) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
            _ => Ok(self),
        }
    }

    /// What it says next, if that comes in time.
    pub fn next(&self, deadline: Option<Instant>) -> Result<Message, RecvTimeoutError> {
        match deadline {
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => self.messages.recv_timeout(at.saturating_duration_since(Instant::now())),
        }
    }

    /// Ends it, by the handle of the very process that was started.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.end();
    }

    /// Waits for its end, and for that of all who listened: a process that forks must have no threads.
    fn end(&mut self) -> io::Result<ExitStatus> {
        // The end of its input is the end of its work.
        drop(self.jobs.take());
        let status = self.child.wait();
        self.listeners.drain(..).for_each(|listener| drop(listener.join()));
        status
    }

    /// Why a worker fell silent that should not have.
    pub fn obituary(mut self, job: &Job) -> String {
        // Nobody holds its standard output any more; what is left of it must not go on.
        let _ = self.child.kill();
        let status = self.end();
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

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.end();
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
