//! What happened before a contradiction, and may have led to it.
//!
//! Happens-before as Lamport has it ("Time, Clocks, and the Ordering of Events in a Distributed System", CACM 21(7),
//! 1978): what one node did is ordered, and a letter was sent before it was received; the stamps in the traces
//! say which letter is which. Clients and strikes have no stamps: an operation comes before what its node did after
//! it was invoked, and after what its node did before it was answered, which in one simulated time is true.

use crate::trace_names::TraceNames;
use elenchus_checkers::consensus::Event as Spot;
use elenchus_core::event::Index;
use elenchus_core::history::History;
use elenchus_core::process::NodeId;
use elenchus_core::time::Time;
use elenchus_core::trace::{Letter, Line, Node};
use std::collections::BTreeMap;

/// Where a moment belongs in the picture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A client's slot.
    Client(u32),
    /// A node, by its place among the nodes.
    Node(usize),
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Moment<'t> {
    /// When.
    pub at: Time,
    /// Where.
    pub lane: Lane,
    /// What.
    pub what: What<'t>,
    /// The moments right before it.
    pub after: Vec<usize>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What<'t> {
    /// A node traced a line.
    Traced(&'t Line),
    /// An event of the history, of a client.
    Asked(Index),
    /// The end of an operation.
    Answered(Index),
    /// A node was struck or healed, in words.
    Struck(String),
}

/// All that happened in a trial, in the order of time.
pub struct Past<'t> {
    /// The moments.
    pub moments: Vec<Moment<'t>>,
    /// Of each node, which moments its lines are.
    lines: Vec<Vec<usize>>,
    names: TraceNames,
}

/// What a trial left, as a past is made of it.
pub struct Remains<'t> {
    /// The nodes.
    pub nodes: &'t [NodeId],
    /// The node of each slot.
    pub seats: &'t [NodeId],
    /// What the nodes traced.
    pub lines: &'t [(Time, NodeId, Line)],
    /// What clients did.
    pub history: &'t History,
    /// Who was struck or healed when, in words.
    pub strikes: Vec<(Time, NodeId, String)>,
}

impl<'t> Past<'t> {
    /// Everything, each with what comes right before it.
    pub fn of(remains: &Remains<'t>) -> Past<'t> {
        let place = |node: &NodeId| remains.nodes.iter().position(|known| known == node);
        // (time, order at that time: strikes and questions come before what they cause, answers after it)
        let mut all: Vec<(Time, u8, Lane, What<'t>)> = Vec::new();
        for (at, node, text) in &remains.strikes {
            let lane = place(node).map(Lane::Node);
            all.extend(lane.map(|lane| (*at, 0, lane, What::Struck(text.clone()))));
        }
        let slots = remains.seats.len().max(1) as u32;
        let mut answered: BTreeMap<Lane, Time> = BTreeMap::new();
        for event in remains.history.events().filter(|event| !event.process.is_nemesis()) {
            let lane = Lane::Client(event.process.0 % slots);
            let is_call = event.kind == elenchus_core::event::Kind::Invoke;
            let what = if is_call { What::Asked(event.index) } else { What::Answered(event.index) };
            // Whoever asks at the moment in which he is answered does so after it.
            let is_after = is_call && answered.get(&lane) == Some(&event.time);
            if !is_call {
                answered.insert(lane.clone(), event.time);
            }
            let order = match (is_call, is_after) {
                (true, false) => 0,
                (false, _) => 2,
                (true, true) => 3,
            };
            all.push((event.time, order, lane, what));
        }
        for (at, node, line) in remains.lines {
            all.extend(place(node).map(|node| (*at, 1, Lane::Node(node), What::Traced(line))));
        }
        all.sort_by_key(|(at, order, ..)| (*at, *order));
        Past::tied(all, remains, place)
    }

    fn tied(
        all: Vec<(Time, u8, Lane, What<'t>)>,
        remains: &Remains<'t>,
        place: impl Fn(&NodeId) -> Option<usize>,
    ) -> Past<'t> {
        let mut moments = Vec::with_capacity(all.len());
        let mut lines = vec![Vec::new(); remains.nodes.len()];
        let mut last: BTreeMap<Lane, usize> = BTreeMap::new();
        let mut sent: BTreeMap<(String, u64, u64), usize> = BTreeMap::new();
        // Questions that the next thing on their node may have come of.
        let mut open: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let seat = |slot: u32| remains.seats.get(slot as usize).and_then(&place);
        for (number, (at, _, lane, what)) in all.into_iter().enumerate() {
            let mut after: Vec<usize> = last.insert(lane.clone(), number).into_iter().collect();
            match (&what, &lane) {
                (What::Traced(line), Lane::Node(node)) => {
                    lines[*node].push(number);
                    after.extend(open.remove(node).unwrap_or_default());
                    if let Some(stamp) = line.message.as_deref().and_then(stamp) {
                        if line.name.starts_with("Send") {
                            sent.insert(stamp, number);
                        } else {
                            after.extend(sent.get(&stamp));
                        }
                    }
                }
                (What::Asked(_), Lane::Client(slot)) => {
                    if let Some(node) = seat(*slot) {
                        open.entry(node).or_default().push(number);
                    }
                }
                (What::Answered(_), Lane::Client(slot)) => {
                    after.extend(seat(*slot).and_then(|node| last.get(&Lane::Node(node))));
                }
                _ => {}
            }
            moments.push(Moment { at, lane, what, after });
        }
        Past { moments, lines, names: TraceNames::of(remains.nodes) }
    }

    /// The moment of a line that a violation names.
    pub fn line(&self, spot: &Spot) -> Option<usize> {
        let line = usize::try_from(spot.line).ok()?;
        let place = self.names.place(&Node::named(&spot.node))?;
        self.lines.get(place)?.get(line.checked_sub(1)?).copied()
    }

    /// The moment of an event of a client.
    pub fn event(&self, index: Index) -> Option<usize> {
        let is_it = |moment: &Moment<'_>| matches!(moment.what, What::Asked(known) | What::Answered(known) if known == index);
        self.moments.iter().position(is_it)
    }

    /// Which moments led to these, themselves included.
    pub fn before(&self, roots: &[usize]) -> Vec<bool> {
        let mut led = vec![false; self.moments.len()];
        let mut open = roots.to_vec();
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut led[number], true) {
                open.extend(&self.moments[number].after);
            }
        }
        led
    }
}

/// What names a letter among all.
fn stamp(letter: &Letter) -> Option<(String, u64, u64)> {
    Some((letter.from.to_string(), letter.boot?, letter.number?))
}
