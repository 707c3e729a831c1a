//! The story of a violation: the few moments that matter, each in a sentence.
//!
//! Of what led to the contradiction, a reader wants elections, entries on their way, commitments, deaths, and the
//! operations that prove it; heartbeats, repetitions and timers are left out. What is told is true of the run, but
//! not all of it.

use super::past::{Lane, Moment, Past, Remains, What};
use crate::trace_names::TraceNames;
use elenchus_core::event::{Index, Kind};
use elenchus_core::process::NodeId;
use elenchus_core::time::Time;
use elenchus_core::trace::{Letter, Line, Role, name};
use elenchus_core::value::Value;
use std::collections::BTreeMap;

/// More steps than this nobody reads.
const STEPS_MAX: usize = 48;

/// The story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tale {
    /// What is wrong, in the checker's words.
    pub moral: String,
    /// The names of the lanes, from left to right.
    pub lanes: Vec<String>,
    /// What happened, in the order of time.
    pub steps: Vec<Step>,
    /// Letters and questions: from one step to another.
    pub arrows: Vec<(usize, usize)>,
    /// How many steps were left out because they were too many.
    pub left_out: usize,
}

/// One step of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Time,
    /// On which lane.
    pub lane: usize,
    /// What it is.
    pub mark: Mark,
    /// The sentence; none where an arrow's other end says it.
    pub text: Option<String>,
}

/// How a step is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Something was sent or received, or changed.
    Plain,
    /// A node leads from here on.
    Leads,
    /// A node was struck or healed, or came back.
    Struck,
    /// A client asks or is answered.
    Client,
    /// It contradicts the other one of these.
    Guilty,
}

/// What a story is about.
#[derive(Clone, Debug)]
pub struct Theme {
    /// The moments without which there is no contradiction…
    pub roots: Vec<usize>,
    /// …and those of them that contradict each other.
    pub guilty: Vec<usize>,
    /// What the checker said.
    pub moral: String,
    /// Whether it is about elections only, so that entries on their way matter to nobody.
    pub elections: bool,
}

/// Tells what led to it.
pub fn tell(past: &Past<'_>, remains: &Remains<'_>, theme: &Theme) -> Tale {
    let roots = &theme.roots;
    let led = past.before(roots);
    let is_root = |number: &usize| roots.contains(number);
    let mut shown: Vec<usize> = (0..past.moments.len())
        // Without any of its strikes the script does not show it, whether or not letters say so.
        .filter(|number| led[*number] || matches!(past.moments[*number].what, What::Struck(_)))
        .filter(|number| {
            let weight = weight(&past.moments[*number]);
            is_root(number) || weight >= if theme.elections { ELECTION } else { 1 }
        })
        .collect();
    let pairs = pairs(past);
    // The end of a letter that is shown shows its beginning.
    let heads: Vec<usize> = shown.iter().filter_map(|number| pairs.get(number).copied()).collect();
    shown.extend(heads);
    shown.sort_unstable();
    shown.dedup();
    // A letter that nobody is shown to receive led to nothing.
    let received: Vec<usize> = shown.iter().filter_map(|number| pairs.get(number).copied()).collect();
    shown.retain(|number| is_root(number) || !is_sent(&past.moments[*number]) || received.contains(number));
    let all = shown.len();
    thin(&mut shown, past, &pairs, roots);
    let words = Words { nodes: remains.nodes, names: TraceNames::of(remains.nodes), remains };
    compose(past, &words, &shown, &pairs, theme, all - shown.len())
}

fn compose(
    past: &Past<'_>,
    words: &Words<'_>,
    shown: &[usize],
    pairs: &BTreeMap<usize, usize>,
    theme: &Theme,
    left_out: usize,
) -> Tale {
    let mut lanes: Vec<Lane> = shown.iter().map(|number| past.moments[*number].lane.clone()).collect();
    lanes.sort();
    lanes.dedup();
    let place = |number: &usize| shown.binary_search(number).ok();
    let step = |number: &usize| {
        let moment = &past.moments[*number];
        let is_told_later = pairs.iter().any(|(to, from)| from == number && place(to).is_some());
        let is_guilty = theme.guilty.contains(number);
        Step {
            at: moment.at,
            lane: lanes.binary_search(&moment.lane).expect("its lane is there"),
            mark: if is_guilty { Mark::Guilty } else { mark(moment) },
            text: (is_guilty || !is_told_later).then(|| words.sentence(moment)),
        }
    };
    let arrows = pairs.iter().filter_map(|(to, from)| Some((place(from)?, place(to)?)));
    Tale {
        moral: theme.moral.clone(),
        lanes: lanes.iter().map(|lane| words.lane(lane)).collect(),
        steps: shown.iter().map(step).collect(),
        arrows: arrows.collect(),
        left_out,
    }
}

/// Of each letter that was received, who received it and who had sent it.
fn pairs(past: &Past<'_>) -> BTreeMap<usize, usize> {
    let from = |number: usize, moment: &Moment<'_>| {
        let sent =
            moment.after.iter().copied().find(|before| {
                past.moments[*before].lane != moment.lane && is_sent(&past.moments[*before])
            })?;
        matches!(moment.what, What::Traced(line) if line.name.starts_with("Receive"))
            .then_some((number, sent))
    };
    past.moments.iter().enumerate().filter_map(|(number, moment)| from(number, moment)).collect()
}

fn is_sent(moment: &Moment<'_>) -> bool {
    matches!(moment.what, What::Traced(line) if line.name.starts_with("Send"))
}

/// What is at least as heavy tells of elections, deaths and healings.
const ELECTION: u8 = 40;

/// How much a reader wants to know it; 0: not at all.
fn weight(moment: &Moment<'_>) -> u8 {
    let line = match &moment.what {
        What::Traced(line) => line,
        What::Struck(_) => return 60,
        What::Asked(_) | What::Answered(_) => return 22,
    };
    let letter = line.message.as_deref();
    let is_positive = letter.is_some_and(|letter| letter.reject == Some(false));
    let is_kind = |kind| letter.is_some_and(|letter| letter.kind.as_deref() == Some(kind));
    let carries = letter.and_then(|letter| letter.entries).is_some_and(|count| count > 0);
    let is_leader = line.role == Some(Role::Leader);
    match line.name.as_ref() {
        name::BECOME_CANDIDATE | name::BECOME_LEADER | name::RECEIVE_TIMEOUT_NOW => 55,
        name::INIT_STATE if line.boot.is_some_and(|boot| boot > 1) => 60,
        name::RECEIVE_REQUEST_VOTE_REQUEST => 42,
        name::RECEIVE_REQUEST_VOTE_RESPONSE if is_positive => 45,
        name::INSTALL_SNAPSHOT => 35,
        name::APPEND if is_leader && !line.entries.is_empty() => 30,
        name::RECEIVE_APPEND_ENTRIES_REQUEST if carries => 25,
        name::COMMIT if is_leader => 24,
        name::COMMIT => 12,
        name::RECEIVE_APPEND_ENTRIES_RESPONSE if is_positive && is_kind("MsgAppResp") => 10,
        _ => 0,
    }
}

/// Leaves out the lightest beyond what can be read, the earliest of them first; a letter goes with both its ends.
fn thin(shown: &mut Vec<usize>, past: &Past<'_>, pairs: &BTreeMap<usize, usize>, roots: &[usize]) {
    let sent: BTreeMap<usize, usize> = pairs.iter().map(|(to, from)| (*from, *to)).collect();
    let heft = |number: &usize| weight(&past.moments[*sent.get(number).unwrap_or(number)]);
    let mut lightest: Vec<usize> = shown.iter().copied().filter(|number| !roots.contains(number)).collect();
    lightest.sort_by_key(|number| (heft(number), *number));
    let mut over = shown.len().saturating_sub(STEPS_MAX);
    for number in lightest {
        if over == 0 {
            return;
        }
        let other = sent.get(&number).or(pairs.get(&number)).filter(|other| !roots.contains(other));
        let before = shown.len();
        shown.retain(|known| *known != number && Some(known) != other);
        over = over.saturating_sub(before - shown.len());
    }
}

fn mark(moment: &Moment<'_>) -> Mark {
    match &moment.what {
        What::Traced(line) if line.name == name::BECOME_LEADER => Mark::Leads,
        What::Traced(line) if line.name == name::INIT_STATE => Mark::Struck,
        What::Traced(_) => Mark::Plain,
        What::Asked(_) | What::Answered(_) => Mark::Client,
        What::Struck(_) => Mark::Struck,
    }
}

/// How things are called.
struct Words<'t> {
    nodes: &'t [NodeId],
    names: TraceNames,
    remains: &'t Remains<'t>,
}

impl Words<'_> {
    fn lane(&self, lane: &Lane) -> String {
        match lane {
            Lane::Node(node) => self.nodes[*node].to_string(),
            Lane::Client(slot) => {
                let seat = self.remains.seats.get(*slot as usize);
                format!("client {slot} of {}", seat.map_or("?", NodeId::as_str))
            }
        }
    }

    /// A node as the plan names it.
    fn node(&self, node: &elenchus_core::trace::Node) -> String {
        let place = self.names.place(node);
        place.and_then(|place| self.nodes.get(place)).map_or_else(|| node.to_string(), ToString::to_string)
    }

    fn sentence(&self, moment: &Moment<'_>) -> String {
        match (&moment.what, &moment.lane) {
            (What::Traced(line), _) => self.line(line),
            (What::Asked(index) | What::Answered(index), Lane::Client(slot)) => self.operation(*index, *slot),
            (What::Struck(text), _) => text.clone(),
            _ => String::new(),
        }
    }

    fn operation(&self, index: Index, slot: u32) -> String {
        let event = self.remains.history.event(index);
        let key = event.key.map(|key| format!(" of {key}")).unwrap_or_default();
        let (f, value) = (event.f, event.value);
        match event.kind {
            Kind::Invoke if *value == Value::Nil => format!("Client {slot} asks: {f}{key}."),
            Kind::Invoke => format!("Client {slot} asks: {f} {value}{key}."),
            Kind::Ok => format!("Client {slot} is answered: {f} {value}{key}."),
            Kind::Fail => format!("Client {slot} hears that {f} {value}{key} was not done."),
            Kind::Info => format!("Client {slot} never learns what became of {f} {value}{key}."),
        }
    }

    fn line(&self, line: &Line) -> String {
        let me = self.node(&line.node);
        let term = line.term.unwrap_or_default();
        let (log, commit) = (line.log.unwrap_or_default(), line.commit.unwrap_or_default());
        match (line.name.as_ref(), line.message.as_deref()) {
            (name::INIT_STATE, _) => {
                format!("{me} starts again: it finds term {term} and a log of {log} on its disk.")
            }
            (name::BECOME_CANDIDATE, _) => {
                format!("{me} stands for election in term {term}; its log ends at {log}.")
            }
            (name::BECOME_LEADER, _) => format!("{me} leads term {term}; its log ends at {log}."),
            (name::BECOME_FOLLOWER, _) => format!("{me} follows in term {term}."),
            (name::COMMIT, _) => format!("{me} knows {commit} to be committed."),
            (name::APPEND, _) => {
                let first = line.first.unwrap_or_default();
                format!("{me} takes entries from {first} to {log} into its log, in term {term}.")
            }
            (name::PERSIST, _) => {
                format!("What {me} has up to {} is durable.", line.index.unwrap_or_default())
            }
            (name::INSTALL_SNAPSHOT, _) => {
                let base = line.base.map_or(0, |base| base.index);
                format!("A snapshot up to {base} takes the place of {me}'s log.")
            }
            (name, Some(letter)) => self.letter(name, letter),
            (name::STATE, _) => {
                format!("{me}'s state machine, after entry {}, is told.", line.index.unwrap_or_default())
            }
            (name, None) => format!("{me}: {name}, term {term}, log {log}, committed {commit}."),
        }
    }

    fn letter(&self, line: &str, letter: &Letter) -> String {
        let (from, to) = (self.node(&letter.from), self.node(&letter.to));
        let (term, index) = (letter.term.unwrap_or_default(), letter.index.unwrap_or_default());
        let way = if line.starts_with("Send") { "sends" } else { "has sent" };
        match letter.kind.as_deref().unwrap_or_default() {
            "MsgVote" => format!("{from} asks {to} for its vote in term {term}; its log ends at {index}."),
            "MsgVoteResp" if letter.reject == Some(false) => {
                format!("{from} gives {to} its vote in term {term}.")
            }
            "MsgVoteResp" => format!("{from} refuses {to} its vote in term {term}."),
            "MsgApp" => {
                let count = letter.entries.unwrap_or_default();
                let entries = if count == 1 { "1 entry".into() } else { format!("{count} entries") };
                format!("{from} {way} {to} {entries} after {index}, in term {term}.")
            }
            "MsgAppResp" if letter.reject == Some(false) => {
                format!("{from} acknowledges to {to} all up to {index}, in term {term}.")
            }
            "MsgAppResp" => format!("{from} refuses what {to} sent, in term {term}."),
            "MsgTimeoutNow" => {
                format!("{from} {way} {to} the word to stand for election at once, in term {term}.")
            }
            "MsgHeartbeat" => format!("{from} {way} {to} a heartbeat, in term {term}."),
            "MsgSnap" => format!("{from} {way} {to} a snapshot up to {index}, in term {term}."),
            kind => format!("{from} {way} {to} a {kind}, in term {term}."),
        }
    }
}
