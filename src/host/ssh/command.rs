//! Running one command on a host: both streams, how it ended, and an end to it.
//!
//! The host ends the command as well: it runs under `timeout`, where there is one, so that a deadline leaves
//! nothing behind. What it prints beyond a limit is counted and dropped.

use super::error::{Broke, Deadline, Trouble, within};
use super::session::Open;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::Channel;
use std::io::{self, Read};
use std::time::Duration;

/// How much of each stream is kept.
const OUTPUT_MAX: usize = 1 << 20;
/// How long a command that must end may take to do so before the connection is given up.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a command left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it: `KILL`, `TERM`…
    pub signal: Option<String>,
    /// What it printed on standard output, up to 1 MiB.
    pub stdout: Vec<u8>,
    /// What it printed on standard error, up to 1 MiB.
    pub stderr: Vec<u8>,
    /// How many bytes more it printed on both.
    pub dropped: u64,
}

impl Output {
    /// Whether it ended with 0.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output as text, without blanks around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// How it ended, for people.
    pub fn how(&self) -> String {
        match (&self.code, &self.signal) {
            (_, Some(signal)) => format!("ended by signal {signal}"),
            (Some(code), None) => format!("exited with code {code}"),
            (None, None) => "ended, nobody knows how".into(),
        }
    }

    /// How it ended, with the last that it complained of, for people.
    pub fn ending(&self) -> String {
        let how = self.how();
        let said = String::from_utf8_lossy(&self.stderr);
        match said.trim().lines().last() {
            Some(last) => format!("{how}: {last}"),
            None => how,
        }
    }
}

/// A word as a shell needs it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A shell's command with an end to it; as root if `sudo`.
pub(super) fn bounded(command: &str, sudo: bool, limit: Duration) -> String {
    let seconds = limit.as_secs() + 1;
    let shell = format!("sh -c {}", quoted(command));
    let bounded = format!(
        "if command -v timeout >/dev/null 2>&1; then exec timeout -k 1 {seconds} {shell}; else exec {shell}; fi"
    );
    let sudo = if sudo { "sudo -n " } else { "" };
    // The login shell may be any: it is given one plain word.
    format!("exec {sudo}sh -c {}", quoted(&bounded))
}

/// Runs a line of the login shell's.
pub(super) fn run(open: &Open, line: &str, what: &str, deadline: Deadline) -> Result<Output, Broke> {
    let mut channel = begin(open, line, what, deadline)?;
    open.session.set_blocking(false);
    let mut output = Output::default();
    let listened = listen(open, &mut channel, &mut output, what, deadline);
    open.session.set_blocking(true);
    if let Err(Broke::Answered(trouble)) = listened {
        open.session.set_timeout(FAREWELL.as_millis() as u32);
        // The command goes on until the host ends it, but its channel must not stay.
        return Err(match channel.close() {
            Ok(()) => Broke::Answered(trouble),
            Err(_) => Broke::Within(trouble),
        });
    }
    listened?;
    open.session.set_timeout(deadline.left_ms());
    // The host closes after it has said how the command ended. If we closed first it would not say.
    channel.wait_close().map_err(|e| within(what, &e, deadline))?;
    let signal = channel.exit_signal().map_err(|e| within(what, &e, deadline))?.exit_signal;
    let code = channel.exit_status().map_err(|e| within(what, &e, deadline))?;
    output.code = signal.is_none().then_some(code);
    output.signal = signal;
    Ok(output)
}

/// Starts a command. What fails before the host was asked to start it has done nothing.
pub(super) fn begin(open: &Open, line: &str, what: &str, deadline: Deadline) -> Result<Channel, Broke> {
    open.session.set_timeout(deadline.left_ms());
    let mut channel = open.session.channel_session().map_err(|e| match within(what, &e, deadline) {
        Broke::Within(Trouble::Lost { why, .. }) => Broke::Before(Trouble::Unreachable(why)),
        other => other,
    })?;
    open.session.set_timeout(deadline.left_ms());
    channel.exec(line).map_err(|e| within(what, &e, deadline))?;
    Ok(channel)
}

/// Reads both streams to their end. `Answered` means that time is up and the connection whole.
fn listen(
    open: &Open,
    channel: &mut Channel,
    output: &mut Output,
    what: &str,
    deadline: Deadline,
) -> Result<(), Broke> {
    let mut buffer = vec![0; 1 << 15];
    loop {
        let mut is_silent = true;
        for stream in [0, ssh2::EXTENDED_DATA_STDERR] {
            match channel.stream(stream).read(&mut buffer) {
                Ok(0) => {}
                Ok(length) => {
                    is_silent = false;
                    let kept = if stream == 0 { &mut output.stdout } else { &mut output.stderr };
                    let room = length.min(OUTPUT_MAX - kept.len());
                    kept.extend_from_slice(&buffer[..room]);
                    output.dropped += (length - room) as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => {
                    let why = e.to_string();
                    return Err(Broke::Within(Trouble::Lost { what: what.to_owned(), why }));
                }
            }
        }
        if is_silent && channel.eof() {
            return Ok(());
        }
        if deadline.is_over() {
            return Err(Broke::Answered(deadline.trouble(what)));
        }
        if is_silent {
            let mut fds = [PollFd::new(open.socket(), PollFlags::POLLIN)];
            let patience = deadline.left().as_millis().clamp(1, 1000) as u16;
            // Whatever is wrong with the socket is told by the next read.
            let _ = poll(&mut fds, PollTimeout::from(patience));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reaches_the_host_as_it_is() {
        assert_eq!(quoted("a-b_c/d.e,f=1:2@h"), "a-b_c/d.e,f=1:2@h");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_shell_of_ours_runs_a_bounded_command_unchanged() {
        let command = "printf '%s' \"it's\" '$HOME' | tr a b; exit 3";
        let line = bounded(command, false, Duration::from_secs(5));
        let output = std::process::Command::new("sh").args(["-c", &line]).output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's$HOME");
        assert_eq!(output.status.code(), Some(3));
    }
}
