//! What the processes of a trial say to each other: JSON, one message a line.
//!
//! The controller asks the supervisor to start, kill, pause and resume nodes; the supervisor answers each
//! request once, when its effect is there, and tells of nodes that end. To the outer process the supervisor
//! reports how the set-up went and how the controller ended.

use super::isolation::Refusal;
use elenchus_core::process::NodeId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// How to start a node's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawn {
    /// The program (absolute, or to be found in `PATH`) and its arguments.
    pub argv: Vec<String>,
    /// What is added to the environment of the controller.
    pub env: Vec<(String, String)>,
    /// Its working folder; `None`: that of the controller.
    pub cwd: Option<PathBuf>,
    /// The user whose rights it has, by name; `None`: those of the supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The file to which its standard output is appended.
    pub stdout: PathBuf,
    /// The file to which its standard error is appended; may be the same.
    pub stderr: PathBuf,
}

/// What the controller asks of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// Start the node, unless it runs.
    Start {
        /// Which.
        node: NodeId,
        /// How.
        spawn: Spawn,
    },
    /// Kill its process group; answered once it is gone.
    Kill {
        /// Which.
        node: NodeId,
    },
    /// Stop its process group; answered once it stands.
    Pause {
        /// Which.
        node: NodeId,
    },
    /// Let its process group go on; answered once it runs.
    Resume {
        /// Which.
        node: NodeId,
    },
}

/// A request with the number that its answer will bear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbered {
    pub id: u64,
    pub request: Request,
}

/// What the supervisor tells the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Notice {
    /// The request was carried out. `pid`: the node's process, if it has one.
    Done { id: u64, pid: Option<i32> },
    /// The request was not carried out.
    Failed { id: u64, why: String },
    /// A node's process has ended.
    Exit(Exit),
}

/// The end of a node's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Which node.
    pub node: NodeId,
    /// The process that it was, as the controller sees pids.
    pub pid: i32,
    /// How it ended.
    pub status: Status,
    /// Whether we had killed it.
    pub expected: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Exited(code) => write!(f, "exited with code {code}"),
            Status::Killed(signal) => write!(f, "was killed by signal {signal}"),
        }
    }
}

/// What the supervisor reports to the outer process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The ground is set up; the controller starts.
    Ready,
    /// The kernel refused this step of the set-up. It is the last report.
    Refused(Refusal),
    /// The controller ended; `left` are processes that could not be ended. It is the last report.
    Ended { controller: Status, left: Vec<i32> },
}

/// A message as one line.
pub(super) fn line<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("messages hold text and numbers only");
    line.push(b'\n');
    line
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The messages that these bytes complete.
    pub fn push<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> serde_json::Result<Vec<T>> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(vec![]) };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        whole.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).map(serde_json::from_slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cutting_of_the_stream() {
        let sent = [
            Notice::Done { id: 1, pid: Some(4) },
            Notice::Failed { id: 2, why: "two\nlines".into() },
            Notice::Exit(Exit {
                node: NodeId::new("n1"),
                pid: 4,
                status: Status::Killed(9),
                expected: false,
            }),
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(line).collect();
        for size in 1..bytes.len() {
            let mut lines = Lines::default();
            let got: Vec<Notice> = bytes.chunks(size).flat_map(|c| lines.push(c).unwrap()).collect();
            assert_eq!(got, sent, "in pieces of {size}");
        }
    }
}
