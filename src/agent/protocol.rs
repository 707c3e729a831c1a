//! What a controller and an agent say to each other: JSON, one message a line.
//!
//! A request bears a number that its controller never uses twice, on whatever line it sends it: an agent
//! carries it out once, and answers it again when it is asked again. So a request whose line broke may be
//! sent once more, and what it did is still counted once.

use crate::host::{Exit, Spawn};
use crate::live::DataFolder;
use elenchus_core::fault::{Ailment, FaultId, Harm, Limit, Link, Loss, Manner, Skew, Trouble};
use elenchus_core::process::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// The version of this language. Both ends are the same program, unless somebody left an old agent behind.
pub const VERSION: u32 = 3;

/// The first line on a connection to an agent's socket: who is at the other end of the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Attach {
    /// Where the controller's connection comes from, as this host sees it; `None`: it is no connection.
    pub from: Option<IpAddr>,
}

/// A request with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbered {
    pub id: u64,
    pub request: Request,
}

/// What a controller asks of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Who are you? Comes first on every connection. Exits after number `since` are told from then on.
    Hello {
        /// The version of the language.
        version: u32,
        /// A word that no other controller uses: its numbers are its own.
        session: String,
        /// The last exit that the controller has heard of; 0: none.
        since: u64,
    },
    /// I am still here.
    Ping {},
    /// These are the nodes, and the addresses from which their packets come.
    Peers {
        /// All nodes of the trial, in their customary order.
        peers: Vec<Peer>,
    },
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
    /// Cut these links, which all end here.
    Cut {
        /// In the name of this fault.
        id: FaultId,
        /// Which.
        links: Vec<Link>,
        /// What becomes of what is sent across them.
        #[serde(default)]
        manner: Manner,
    },
    /// Mend what this fault cut.
    Mend {
        /// Which fault.
        id: FaultId,
    },
    /// Make the node's clock lie, or tell the truth.
    Skew {
        /// Whose.
        node: NodeId,
        /// How; `None`: the truth.
        skew: Option<Skew>,
        /// The controller's own clock, in nanoseconds since 1970.
        now_ns: i64,
    },
    /// How far ahead of the truth is the node's clock?
    Clock {
        /// Whose.
        node: NodeId,
    },
    /// Make packets to the node suffer, or calm them.
    Disturb {
        /// Whose.
        node: NodeId,
        /// How; `None`: not any more.
        trouble: Option<Trouble>,
    },
    /// Kill the node and let its disk forget what was not synced.
    PowerOff {
        /// Which.
        node: NodeId,
        /// What is lost.
        loss: Loss,
    },
    /// Make the node's disk ail, or cure it.
    Ail {
        /// Whose.
        node: NodeId,
        /// How; `None`: not any more.
        ailment: Option<Ailment>,
    },
    /// Take this unit of systemd for the node, until the end; before it starts.
    Adopt {
        /// Which node.
        node: NodeId,
        /// Which unit.
        unit: String,
    },
    /// Put what the node's unit has said into the journal where nodes' output goes.
    Journal {
        /// Whose.
        node: NodeId,
    },
    /// Put a disk that can fail under the node's data folder, and prepare what damage needs; before it starts.
    Store {
        /// Whose.
        node: NodeId,
        /// Which, and what may strike it.
        data: DataFolder,
    },
    /// The trial begins: what nodes have written so far is durable, and what files may be set back to.
    Settle {},
    /// Harm the files of a node that does not run.
    Damage {
        /// Whose.
        node: NodeId,
        /// How.
        harm: Harm,
    },
    /// Limit what the node may use, or give it all back.
    Restrict {
        /// Which.
        node: NodeId,
        /// How; `None`: not any more.
        limit: Option<Limit>,
    },
    /// Run a program to its end.
    Run(Step),
    /// Write a file, whole or not at all.
    Write {
        /// Where; its folder is there already.
        path: PathBuf,
        /// What.
        text: String,
        /// Who may do what with it, as `chmod` counts.
        mode: u32,
        /// Whose it shall be; `None`: ours.
        owner: Option<String>,
    },
    /// Make a folder, and those above it.
    Folder {
        /// Where.
        path: PathBuf,
        /// Whose it shall be; `None`: ours.
        owner: Option<String>,
    },
    /// How much room is there?
    Space {
        /// Where.
        path: PathBuf,
    },
    /// Undo everything, end the nodes and yourself. Answered before the end.
    End {},
}

impl Request {
    /// What it changes, if it changes what an earlier or later request changes too. A controller numbers its
    /// requests in the order in which it means them; on several lines they may arrive in another.
    pub(super) fn subject(&self) -> Option<String> {
        let (what, whose) = match self {
            Request::Cut { id, .. } | Request::Mend { id } => return Some(format!("cut {}", id.0)),
            Request::Start { node, .. } | Request::Kill { node } | Request::PowerOff { node, .. } => {
                ("process", node)
            }
            Request::Pause { node } | Request::Resume { node } => ("pause", node),
            Request::Skew { node, .. } => ("clock", node),
            Request::Disturb { node, .. } => ("packets", node),
            Request::Ail { node, .. } => ("disk", node),
            Request::Restrict { node, .. } => ("resources", node),
            _ => return None,
        };
        Some(format!("{what} {whose}"))
    }
}

/// A node as packets know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Which.
    pub node: NodeId,
    /// Where its packets come from.
    pub addresses: Vec<IpAddr>,
}

/// A program to be run to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// What is added to its environment.
    pub env: Vec<(String, String)>,
    /// Its working folder.
    pub cwd: PathBuf,
    /// After so many milliseconds it is killed, with all that it started.
    pub limit_ms: u64,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ran {
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// The end of what it printed.
    pub stdout: String,
    /// The end of what it complained of.
    pub stderr: String,
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is so now.
    Done {},
    /// How much a fault held back or touched.
    HeldBack(u64),
    /// How far ahead of the truth a clock is, in nanoseconds; `None`: nobody has read it since it was set.
    Ahead(Option<i64>),
    /// What a disk forgot.
    Lost {
        /// How many bytes.
        bytes: u64,
        /// Of how many files.
        files: u64,
    },
    /// The unit is the node's now.
    Adopted {
        /// Whether it ran before.
        ran: bool,
    },
    /// What was done to files.
    Harmed(String),
    /// Who the agent is.
    Hello(Box<Hello>),
    /// How the program ended.
    Ran(Ran),
    /// Bytes that are free for us.
    Space(u64),
}

/// Who an agent is, and what its host allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the language.
    pub version: u32,
    /// The program's own version.
    pub program: String,
    /// The processor it was built for.
    pub arch: String,
    /// What the host calls itself.
    pub hostname: String,
    /// The host's present boot.
    pub boot: String,
    /// The agent's process there.
    pub pid: i32,
    /// The nodes that it runs.
    pub nodes: Vec<NodeId>,
    /// After so many milliseconds without any request it undoes everything and ends.
    pub lease_ms: u64,
    /// What the host allows, by what it is needed for.
    pub rights: BTreeMap<String, Right>,
}

/// What a host allows, or why it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// It can be done, by these means.
    By(String),
    /// It cannot, for this reason.
    No(String),
}

impl From<Result<String, String>> for Right {
    fn from(probed: Result<String, String>) -> Right {
        match probed {
            Ok(means) => Right::By(means),
            Err(why) => Right::No(why),
        }
    }
}

/// What an agent tells a controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Notice {
    /// The request was carried out.
    Done { id: u64, answer: Answer },
    /// The request was not carried out.
    Failed { id: u64, why: String },
    /// A node's process has ended; exits are counted from 1.
    Exit { number: u64, exit: Exit },
    /// The agent hears no more on this line, for this reason. It is the last notice.
    Closing { why: String },
}

/// A message as one line.
pub(super) fn line<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("messages hold text and numbers only");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_and_about_whom() {
        let request = Request::Pause { node: NodeId::new("n1") };
        let text = String::from_utf8(line(&Numbered { id: 7, request })).unwrap();
        assert_eq!(text, "{\"id\":7,\"request\":{\"pause\":{\"node\":\"n1\"}}}\n");
    }

    #[test]
    fn what_an_agent_does_not_know_is_no_request() {
        for garbage in [
            "{}",
            "{\"id\":1}",
            "{\"id\":1,\"request\":\"pause\"}",
            "{\"id\":1,\"request\":{\"explode\":{}}}",
            "{\"id\":1,\"request\":{\"pause\":{\"node\":\"n1\",\"hard\":true}}}",
            "{\"id\":-1,\"request\":{\"ping\":{}}}",
        ] {
            assert!(serde_json::from_str::<Numbered>(garbage).is_err(), "{garbage}");
        }
    }
}
