//! Whether a consensus protocol kept its invariants, judged from its nodes' traces while they stream by.
//!
//! Feed every line of every node to [`Consensus::observe`], each node's in their own order, the nodes' in any
//! order; [`Consensus::finish`] says what was broken, with the two lines that contradict each other. Nothing rests
//! on clocks or on the order of two nodes' lines. **What a trace does not tell is unknown**: an absent field or line
//! is held against nobody, and a correct trace that is cut anywhere stays correct.
//!
//! | module | invariant |
//! |---|---|
//! | `election_safety` | a term has one leader |
//! | `append_only` | in its term a leader's log only grows |
//! | `log_matching` | index and term name one entry, and one log before it |
//! | `completeness` | what was committed stands in every later leader's log |
//! | `machine_safety` | committed entries and states are the same everywhere |
//! | `one_vote` | a node has one vote a term, also after a restart |
//! | `promises` | what was promised is found again after a restart |
//! | `durability` | acknowledged is only what is durable |
//! | `quorums` | leaders are elected and entries committed by majorities, entries in their own term |
//! | `intersection` | quorums that decided intersect, across changes of membership |
//! | `progress` | terms and commit indices do not go back |
//!
//! `facts` keeps what is known of each node, `log` its log, `violation` what was found, `mixed` is a fast map.
//! `docs/trace-format.md` says which lines each of them needs.

mod append_only;
mod completeness;
mod durability;
mod election_safety;
mod facts;
mod intersection;
mod log;
mod log_matching;
mod machine_safety;
mod mixed;
mod one_vote;
mod progress;
mod promises;
mod quorums;
mod violation;

use append_only::AppendOnly;
use completeness::Completeness;
use durability::Durability;
use election_safety::ElectionSafety;
use elenchus_core::trace::Line;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};
use facts::{Facts, Roster, Seen, Spot};
use log_matching::LogMatching;
use machine_safety::MachineSafety;
use one_vote::OneVote;
use progress::Progress;
use promises::Promises;
use quorums::Quorums;
use std::collections::BTreeMap;
use violation::Found;

pub use violation::{CLASSES, Event, Violation};

/// The checker's name in verdicts.
pub const NAME: &str = "consensus";

/// A file of a trace, as evidence names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(u32);

/// The judge. See the module.
#[derive(Debug, Default)]
pub struct Consensus {
    roster: Roster,
    facts: Vec<Facts>,
    lines: u64,
    found: Found,
    election_safety: ElectionSafety,
    append_only: AppendOnly,
    log_matching: LogMatching,
    completeness: Completeness,
    machine_safety: MachineSafety,
    one_vote: OneVote,
    promises: Promises,
    durability: Durability,
    quorums: Quorums,
    progress: Progress,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// What was broken, gravest first; of each class only the first few.
    pub violations: Vec<Violation>,
    /// How many there are of each class.
    pub counts: BTreeMap<&'static str, u64>,
    /// How much was examined.
    pub examined: Examined,
}

/// How much was examined. Where a figure is 0, its invariant has said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// Lines.
    pub lines: u64,
    /// Nodes that wrote them.
    pub nodes: u64,
    /// Terms that had a leader.
    pub terms: u64,
    /// Leaders whose log was compared with what had been committed.
    pub leaders: u64,
    /// Elections whose votes were counted.
    pub elections: u64,
    /// Advances of a leader's commit index whose acknowledgements were counted.
    pub commits: u64,
    /// Entries that were compared with those of another log or time.
    pub entries: u64,
    /// Entries known to be committed.
    pub committed: u64,
    /// States that were compared with another node's.
    pub states: u64,
    /// Votes that were given for certain.
    pub votes: u64,
    /// Acknowledgements that were compared with what was durable.
    pub acknowledgements: u64,
    /// Restarts that were compared with what was promised before.
    pub restarts: u64,
}

impl Consensus {
    /// A judge that has seen nothing.
    pub fn new() -> Consensus {
        Consensus::default()
    }

    /// Holds nothing against a node that forgot what was on its disk: somebody has damaged it on purpose.
    #[must_use]
    pub fn with_forgetful_disks(mut self) -> Consensus {
        self.promises.forget();
        self.one_vote.forget();
        self
    }

    /// A name for a file, for evidence.
    pub fn source(&mut self, file: &str) -> Source {
        Source(self.roster.file(file))
    }

    /// Takes the next line of a node; evidence names it by its number among that node's.
    pub fn observe(&mut self, line: &Line) {
        self.take(line, 0, None);
    }

    /// Takes the next line of a node, which is line `number` (from 1) of a file.
    pub fn observe_at(&mut self, line: &Line, source: Source, number: u64) {
        self.take(line, source.0, Some(number));
    }

    fn take(&mut self, line: &Line, file: u32, number: Option<u64>) {
        self.lines += 1;
        let node = self.roster.number(&line.node);
        if let Some(Some(vote)) = &line.vote {
            self.roster.number(vote);
        }
        if let Some(letter) = &line.message {
            self.roster.number(&letter.from);
            self.roster.number(&letter.to);
        }
        if self.facts.len() <= node {
            self.facts.resize_with(node + 1, Facts::default);
        }
        let before = self.facts[node].take(line, &mut self.roster);
        let now = &self.facts[node];
        let spot = Spot { node, file, line: number.unwrap_or(now.lines) };
        let seen = Seen { line, spot, node, before, now, roster: &self.roster };
        let found = &mut self.found;
        self.election_safety.observe(&seen, found);
        self.append_only.observe(&seen, found);
        self.log_matching.observe(&seen, found);
        self.completeness.observe(&seen);
        self.machine_safety.observe(&seen, found);
        self.one_vote.observe(&seen, found);
        self.promises.observe(&seen, found);
        self.durability.observe(&seen, found);
        self.quorums.observe(&seen, found);
        self.progress.observe(&seen, found);
    }

    /// Whether anything broken was found so far; some is found only by [`Consensus::finish`].
    pub fn is_broken(&self) -> bool {
        !self.found.violations.is_empty()
    }

    /// The class of what was found first.
    pub fn first(&self) -> Option<&'static str> {
        self.found.violations.first().map(|violation| violation.class)
    }

    /// Whether anything of this class was found so far.
    pub fn has_found(&self, class: &str) -> bool {
        self.found.counts.contains_key(class)
    }

    /// Compares what can be compared only at the end, and says what was found.
    pub fn finish(mut self) -> Findings {
        self.completeness.finish(&self.machine_safety.entries(), &self.roster, &mut self.found);
        self.quorums.intersection.finish(&self.roster, &mut self.found);
        self.found.sort();
        let count = |number: usize| number as u64;
        let writers = self.facts.iter().filter(|facts| facts.lines > 0).count();
        let examined = Examined {
            lines: self.lines,
            nodes: count(writers),
            terms: count(self.election_safety.terms()),
            leaders: count(self.completeness.elections()),
            elections: self.quorums.elections(),
            commits: self.quorums.commits(),
            entries: self.log_matching.compared(),
            committed: count(self.machine_safety.committed()),
            states: self.machine_safety.compared(),
            votes: count(self.one_vote.votes()),
            acknowledgements: self.durability.acknowledgements(),
            restarts: self.promises.restarts(),
        };
        Findings { violations: self.found.violations, counts: self.found.counts, examined }
    }
}

impl Findings {
    /// The answer: a trace on which nobody leads was not examined.
    pub fn validity(&self) -> Validity {
        match (self.violations.is_empty(), self.examined.terms) {
            (false, _) => Validity::Invalid,
            (true, 0) => Validity::Unknown,
            (true, _) => Validity::Valid,
        }
    }

    /// As a checker's verdict.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::new(NAME, self.validity(), self.why());
        verdict.class = self.violations.first().map(|violation| violation.class.into());
        verdict.anomalies = self.violations.iter().map(anomaly).collect();
        for (name, figure) in self.examined.figures() {
            verdict = verdict.with_figure(name, figure);
        }
        for (class, count) in &self.counts {
            verdict = verdict.with_figure(class, *count);
        }
        verdict
    }

    fn why(&self) -> String {
        let Examined { lines, nodes, terms, committed, .. } = self.examined;
        match self.violations.first() {
            Some(first) => {
                let all = self.counts.iter().map(|(class, count)| format!("{count} {class}"));
                format!("{} (in all: {})", first.sentence, all.collect::<Vec<_>>().join(", "))
            }
            None if lines == 0 => "there is no line of a trace, so nothing was examined".into(),
            None if terms == 0 => {
                format!("nobody leads on any of the {lines} lines of the trace, so nothing was examined")
            }
            None if committed == 0 => {
                format!(
                    "{terms} terms with a leader each on {lines} lines of {nodes} nodes; the traces tell no more"
                )
            }
            None => format!(
                "{terms} terms with a leader each, {committed} committed entries on {lines} lines of {nodes} nodes; no \
                 invariant was broken"
            ),
        }
    }
}

impl Examined {
    /// The figures by name, as they stand in a verdict.
    pub fn figures(&self) -> [(&'static str, u64); 12] {
        [
            ("lines", self.lines),
            ("nodes", self.nodes),
            ("terms", self.terms),
            ("leaders", self.leaders),
            ("elections", self.elections),
            ("commits", self.commits),
            ("entries", self.entries),
            ("committed", self.committed),
            ("states", self.states),
            ("votes", self.votes),
            ("acknowledgements", self.acknowledgements),
            ("restarts", self.restarts),
        ]
    }
}

fn anomaly(violation: &Violation) -> Anomaly {
    Anomaly {
        class: violation.class.into(),
        key: None,
        sentence: violation.sentence.clone(),
        operations: Vec::new(),
        context: Vec::new(),
    }
}
