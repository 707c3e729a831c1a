//! What is known of each node at a line of its trace, shared by all invariants.
//!
//! A node's *life* begins with its `InitState`. What was volatile is forgotten there; nothing is held against a
//! node by what its file did not tell.

use crate::consensus::log::Log;
use crate::consensus::violation::Event;
use elenchus_core::trace::{Config, Line, Node, Role, name};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A node, numbered as it came up.
pub(super) type NodeId = usize;

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub node: NodeId,
    /// The file, one more than its number; 0 if none was named.
    pub file: u32,
    /// The line in the file, or if none was named among those of the node; from 1.
    pub line: u64,
}

/// A configuration of numbered nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conf {
    pub voters: Vec<NodeId>,
    pub outgoing: Vec<NodeId>,
}

impl Conf {
    /// Whether those who agree are a majority of each set of voters.
    pub fn decides(&self, agrees: impl Fn(NodeId) -> bool) -> bool {
        [&self.voters, &self.outgoing].into_iter().all(|voters| {
            let yes = voters.iter().filter(|voter| agrees(**voter)).count();
            voters.is_empty() || yes > voters.len() / 2
        })
    }
}

/// What is known of a node.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// How many lines it has written.
    pub lines: u64,
    /// How many of its starts were seen.
    pub lives: u64,
    /// Whether it counts its starts. Such a node says that what it promises in a `Send` line is durable before.
    pub careful: bool,
    /// Whether it told in this life of anything that it received.
    pub hears: bool,
    /// Whether it told in this life of anything that became durable.
    pub persists: bool,
    pub role: Option<Role>,
    pub term: Option<u64>,
    pub commit: Option<u64>,
    pub log: Option<Log>,
    /// Up to where its log is durable in this life.
    pub durable: Option<u64>,
    pub config: Option<Rc<Conf>>,
    /// The last index of its log when the configuration came into force: its entry is not behind.
    pub config_bound: Option<u64>,
}

/// What was known before a line.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub role: Option<Role>,
    pub term: Option<u64>,
    pub commit: Option<u64>,
    /// The configuration, if the line brings another one.
    pub config: Option<Rc<Conf>>,
}

/// A line with what is known around it.
pub(super) struct Seen<'a> {
    pub line: &'a Line,
    pub spot: Spot,
    pub node: NodeId,
    pub before: Before,
    pub now: &'a Facts,
    pub roster: &'a Roster,
}

impl Seen<'_> {
    /// Whether the node leads at this line, and in which term.
    pub fn leads(&self) -> Option<u64> {
        self.line.term.filter(|_| self.now.role == Some(Role::Leader))
    }

    /// Whether a step of the node begins here: lines before it tell of what happened earlier.
    pub fn begins_step(&self) -> bool {
        let name = &*self.line.name;
        name.starts_with("Receive") || name == name::PERSIST || name == name::INIT_STATE
    }

    /// The other side of a letter, its term and its index, if this line is about a positive answer to entries.
    pub fn acknowledgement(&self, name: &str) -> Option<(&Node, &Node, u64, u64)> {
        let letter = self.line.message.as_deref().filter(|_| self.line.name == name)?;
        let entries = letter.kind.as_deref().is_none_or(|kind| kind == "MsgAppResp");
        let positive = letter.reject == Some(false) && entries;
        positive.then_some((&letter.from, &letter.to, letter.term?, letter.index?))
    }

    /// Sender, receiver and term of a granted vote, if this line is about one.
    pub fn grant(&self, name: &str) -> Option<(&Node, &Node, u64)> {
        let letter = self.line.message.as_deref().filter(|_| self.line.name == name)?;
        let vote = letter.kind.as_deref().is_none_or(|kind| kind == "MsgVoteResp");
        (letter.reject == Some(false) && vote).then_some((&letter.from, &letter.to, letter.term?))
    }
}

impl Facts {
    /// Takes a line.
    pub fn take(&mut self, line: &Line, roster: &mut Roster) -> Before {
        if line.name == name::INIT_STATE {
            let (lines, lives) = (self.lines, self.lives + 1);
            *self = Facts { lines, lives, careful: line.boot.is_some(), ..Facts::default() };
        }
        self.lines += 1;
        let mut before = Before { role: self.role, term: self.term, commit: self.commit, config: None };
        self.role = line.role.or(match &*line.name {
            name::BECOME_LEADER => Some(Role::Leader),
            name::BECOME_CANDIDATE => Some(Role::Candidate),
            name::BECOME_PRE_CANDIDATE => Some(Role::PreCandidate),
            name::BECOME_FOLLOWER | name::INIT_STATE => Some(Role::Follower),
            _ => None,
        });
        self.term = line.term.or(self.term);
        self.commit = line.commit.or(self.commit);
        self.hears |= line.name.starts_with("Receive");
        self.take_log(line);
        if let Some(config) = &line.config {
            let conf = roster.conf(config);
            let differs = self.config.as_deref() != Some(&conf);
            if differs {
                before.config = self.config.replace(Rc::new(conf));
            }
            // The same again is another all the same: many may have come and gone with the entries between.
            if differs || matches!(&*line.name, name::APPLY_CONF_CHANGE | name::CHANGE_CONF) {
                self.config_bound = line.index.or(line.log);
            }
        }
        before
    }

    /// Takes what a line says of the log and of the disk.
    fn take_log(&mut self, line: &Line) {
        match &*line.name {
            name::INIT_STATE => {
                self.log = line.base.map(|base| {
                    let mut log = Log::after(base);
                    log.replace(base.index.saturating_add(1), &line.entries);
                    log
                });
                self.durable = line.log.filter(|_| self.careful);
            }
            name::APPEND => match line.first {
                Some(first) => {
                    let log = self.log.get_or_insert_with(|| Log::unknown_before(first));
                    log.replace(first, &line.entries);
                    self.durable = self.durable.map(|durable| durable.min(first.saturating_sub(1)));
                }
                None => self.log = None,
            },
            name::INSTALL_SNAPSHOT => {
                self.log = line.base.map(Log::after);
                // What was durable and is now covered may still be promised by letters that wait for the disk.
                let covered = line.base.map(|base| base.index.saturating_sub(1));
                self.durable = self.durable.and(covered);
            }
            name::PERSIST => {
                self.persists = true;
                self.durable = self.durable.map(|durable| durable.max(line.index.unwrap_or(0)));
            }
            _ => {}
        }
        // A log of which not every change was told is not known.
        if self.log.as_ref().zip(line.log).is_some_and(|(log, last)| log.last() != last) {
            let told = matches!(&*line.name, name::INSTALL_SNAPSHOT | name::INIT_STATE);
            self.log = self.log.take().filter(|_| told);
        }
    }
}

/// The nodes and files by number.
#[derive(Debug, Default)]
pub(super) struct Roster {
    numbers: HashMap<Node, NodeId>,
    /// The same for small numbers, which most clusters use.
    small: Vec<Option<NodeId>>,
    nodes: Vec<Node>,
    files: Vec<String>,
    by_file: BTreeMap<String, u32>,
}

impl Roster {
    /// The number of a node.
    pub fn number(&mut self, node: &Node) -> NodeId {
        let known = self.known(node);
        if known != NodeId::MAX {
            return known;
        }
        let number = self.nodes.len();
        self.nodes.push(node.clone());
        match small(node) {
            Some(place) => {
                self.small.resize(self.small.len().max(place + 1), None);
                self.small[place] = Some(number);
            }
            None => {
                self.numbers.insert(node.clone(), number);
            }
        }
        number
    }

    /// The number of a node that came up before.
    pub fn known(&self, node: &Node) -> NodeId {
        let found = match small(node) {
            Some(place) => self.small.get(place).copied().flatten(),
            None => self.numbers.get(node).copied(),
        };
        found.unwrap_or(NodeId::MAX)
    }

    /// The node of a number.
    pub fn node(&self, number: NodeId) -> Node {
        self.nodes[number].clone()
    }

    /// The mark of a file in a [`Spot`].
    pub fn file(&mut self, name: &str) -> u32 {
        if let Some(mark) = self.by_file.get(name) {
            return *mark;
        }
        self.files.push(name.to_owned());
        let mark = self.files.len() as u32;
        self.by_file.insert(name.to_owned(), mark);
        mark
    }

    /// `line 12 of n1.jsonl`.
    pub fn place(&self, spot: Spot) -> String {
        match spot.file.checked_sub(1) {
            Some(file) => format!("line {} of {}", spot.line, self.files[file as usize]),
            None => format!("line {} of node {}", spot.line, self.nodes[spot.node]),
        }
    }

    /// The line at a spot, as evidence.
    pub fn event(&self, spot: Spot) -> Event {
        let file = spot.file.checked_sub(1).map(|file| self.files[file as usize].clone());
        Event { node: self.nodes[spot.node].to_string(), file, line: spot.line }
    }

    /// `node 1`.
    pub fn name(&self, number: NodeId) -> String {
        format!("node {}", self.nodes[number])
    }

    /// `1, 3`.
    pub fn names(&self, numbers: &[NodeId]) -> String {
        let mut names: Vec<&Node> = numbers.iter().map(|number| &self.nodes[*number]).collect();
        names.sort();
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn conf(&mut self, config: &Config) -> Conf {
        let mut numbers = |nodes: &[Node]| nodes.iter().map(|node| self.number(node)).collect::<Vec<_>>();
        Conf { voters: numbers(&config.voters), outgoing: numbers(&config.outgoing) }
    }
}

/// Where a node of a small number stands in a table.
fn small(node: &Node) -> Option<usize> {
    match node {
        Node::Number(number) if *number < 64 => usize::try_from(*number).ok(),
        _ => None,
    }
}
