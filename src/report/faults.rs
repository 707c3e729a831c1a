//! The faults of a trial and what the cluster did, in words: rows of tables, shades of plots.

use crate::report::scene::InForce;
use elenchus_core::fault::{Cut, Fault, Link, Manner, Shape, Skew, Target};
use elenchus_core::fault_log::{Noted, Span};
use elenchus_core::process::NodeId;
use elenchus_core::time::Time;
use elenchus_nemeses::{damage, disk, packets, power, resources};
use std::collections::BTreeSet;

/// One fault as the report tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRow {
    /// Its kind: `partition`, `kill`…
    pub fault: String,
    /// What was asked for.
    pub target: String,
    /// Since when it was in force, in nanoseconds.
    pub from: u64,
    /// Until when; the end of the trial if it was never healed.
    pub until: u64,
    /// Whether the log holds its healing.
    pub healed: bool,
    /// Whether it had effect while an operation was open: only then was it a test of anything.
    pub hit: bool,
    /// How many operations were open at some moment while it was in force.
    pub operations: u64,
    /// What shows its effect, or why there was none.
    pub proof: String,
}

impl FaultRow {
    /// The row of a fault in a trial that ended at `end`.
    pub fn of(span: &Span, end: Time) -> FaultRow {
        let (from, until) = span.interval(end);
        let struck = span.proof().map(|proof| proof.nodes.as_slice()).unwrap_or_default();
        let mut target = span.target.as_ref().map_or_else(String::new, describe);
        if matches!(&span.target, Some(fault) if is_resolved_late(fault)) && !struck.is_empty() {
            target.push_str(&format!(": {}", join(struck)));
        }
        let mut proof: Vec<String> = span.proof_injected.iter().map(|proof| proof.text.clone()).collect();
        proof.extend(span.errors.iter().cloned());
        proof.extend(span.proof_healed.iter().map(|proof| format!("healed: {}", proof.text)));
        FaultRow {
            fault: span.fault.clone(),
            target,
            from: from.0,
            until: until.0,
            healed: span.healed.is_some(),
            hit: span.hit_while_open(),
            operations: span.operations,
            proof: if proof.is_empty() {
                "nothing in the log shows an effect".into()
            } else {
                proof.join("; ")
            },
        }
    }

    /// The shade of this fault; one that never began has none.
    pub fn shade(&self) -> Option<InForce> {
        let shade = InForce { fault: self.fault.clone(), from: self.from, until: self.until };
        (self.until > self.from).then_some(shade)
    }
}

/// A change of leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// When it was seen, in nanoseconds.
    pub time: u64,
    /// Who leads since.
    pub node: String,
    /// The term, as the node told it.
    pub term: String,
}

/// Something that the log tells of the cluster or the trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEvent {
    /// When, in nanoseconds.
    pub time: u64,
    /// What kind: `leader`, `exit`, `phase`…
    pub kind: String,
    /// In words.
    pub text: String,
}

/// The leaders, in the order in which they were seen; the same one twice in a row is one.
pub fn leaders(notes: &[Noted]) -> Vec<Leader> {
    let mut leaders: Vec<Leader> = Vec::new();
    for note in notes.iter().filter(|note| note.f == "leader") {
        let of = |name| note.field(name).unwrap_or("").to_owned();
        let leader = Leader { time: note.time.0, node: of("node"), term: of("term") };
        let known = leaders.last().is_some_and(|last| last.node == leader.node && last.term == leader.term);
        if !known && !leader.node.is_empty() {
            leaders.push(leader);
        }
    }
    leaders
}

/// The events of the cluster, in words.
pub fn cluster_events(notes: &[Noted]) -> Vec<ClusterEvent> {
    let event = |note: &Noted| ClusterEvent { time: note.time.0, kind: note.f.clone(), text: words(note) };
    notes.iter().map(event).collect()
}

fn words(note: &Noted) -> String {
    let field = |name| note.field(name);
    match (note.f.as_str(), field("node"), field("term"), field("phase")) {
        ("leader", Some(node), Some(term), _) => format!("{node} leads in term {term}"),
        ("leader", Some(node), None, _) => format!("{node} leads"),
        ("phase", _, _, Some(phase)) => format!("the trial enters its {phase} phase"),
        _ => note.fields.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", "),
    }
}

/// Whether the nodes struck are known only from the proof.
fn is_resolved_late(fault: &Fault) -> bool {
    match fault {
        Fault::Partition { cut, .. } => matches!(cut, Cut::Primaries { .. }),
        _ => fault.nodes() == Some(&Target::Primaries),
    }
}

fn describe(fault: &Fault) -> String {
    match fault {
        Fault::Partition { shape, cut, manner } => {
            let how = match manner {
                Manner::Drop => "",
                Manner::Reset => ", by resets",
            };
            match cut {
                Cut::Links(links) => format!("{}: {}{how}", shape_name(*shape), describe_links(links)),
                Cut::Primaries { .. } => format!("the leaders' side{how}"),
            }
        }
        Fault::Kill { nodes } | Fault::Pause { nodes } | Fault::Membership { nodes } => {
            describe_target(nodes)
        }
        Fault::Clock { nodes, skew } => with(nodes, &describe_skew(*skew)),
        Fault::Packets { nodes, trouble } => with(nodes, &packets::describe(*trouble)),
        Fault::Power { nodes, loss } => with(nodes, power::describe(*loss)),
        Fault::Disk { nodes, ailment } => with(nodes, &disk::describe(*ailment)),
        Fault::Damage { nodes, harm } => with(nodes, damage::describe(*harm)),
        Fault::Resources { nodes, limit } => with(nodes, &resources::describe(*limit)),
    }
}

/// Whom it strikes, and how.
fn with(nodes: &Target, how: &str) -> String {
    format!("{}, {how}", describe_target(nodes))
}

fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Halves => "halves",
        Shape::One => "one node",
        Shape::MajoritiesRing => "majorities in a ring",
        Shape::Bridge => "bridge",
        Shape::Primaries => "the leaders' side",
        Shape::OneWay => "one way",
    }
}

fn describe_target(target: &Target) -> String {
    match target {
        Target::Nodes(nodes) => join(nodes),
        Target::Primaries => "whoever leads".to_owned(),
    }
}

fn describe_skew(skew: Skew) -> String {
    match skew {
        Skew::Bump { delta_ms } => format!("jump by {delta_ms} ms"),
        Skew::Strobe { delta_ms, period_ms } => format!("to and fro by {delta_ms} ms every {period_ms} ms"),
        Skew::Drift { rate_ppm } => format!("drift by {rate_ppm} ppm"),
    }
}

/// Links as `n1, n2 ⇎ n3` where two sides do not see each other; else one by one, `n1 ⇎ n2` where both
/// directions are cut, `n1 ↛ n2` where one is.
fn describe_links(links: &[Link]) -> String {
    if let Some((side, rest)) = two_sides(links) {
        return format!("{} ⇎ {}", join(&side), join(&rest));
    }
    let mut parts = Vec::new();
    for link in links {
        let back = links.iter().any(|other| other.from == link.to && other.to == link.from);
        match (back, link.from < link.to) {
            (true, true) => parts.push(format!("{} ⇎ {}", link.from, link.to)),
            (true, false) => {}
            (false, _) => parts.push(format!("{} ↛ {}", link.from, link.to)),
        }
    }
    parts.join(", ")
}

/// The two sides that a cut keeps apart completely and both ways, if it is such a cut.
fn two_sides(links: &[Link]) -> Option<(Vec<NodeId>, Vec<NodeId>)> {
    let first = links.first()?;
    let side: BTreeSet<&NodeId> = links.iter().filter(|l| l.to == first.to).map(|l| &l.from).collect();
    let rest: BTreeSet<&NodeId> = links.iter().filter(|l| l.from == first.from).map(|l| &l.to).collect();
    let cut: BTreeSet<(&NodeId, &NodeId)> = links.iter().map(|l| (&l.from, &l.to)).collect();
    let both = side.iter().flat_map(|a| rest.iter().flat_map(move |b| [(*a, *b), (*b, *a)]));
    let wanted: BTreeSet<(&NodeId, &NodeId)> = both.collect();
    let owned = |nodes: BTreeSet<&NodeId>| nodes.into_iter().cloned().collect();
    (cut == wanted && side.is_disjoint(&rest)).then(|| (owned(side), owned(rest)))
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    fn note(f: &str, fields: &[(&str, &str)]) -> Noted {
        let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Noted { index: 0, time: Time(5), f: f.into(), fields }
    }

    #[test]
    fn links_cut_both_ways_are_told_once() {
        let link = |from, to| Link { from: NodeId::new(from), to: NodeId::new(to) };
        let links = [link("n1", "n2"), link("n2", "n1"), link("n3", "n1")];
        assert_eq!(describe_links(&links), "n1 ⇎ n2, n3 ↛ n1");
        let pairs = [("n1", "n3"), ("n3", "n1"), ("n2", "n3"), ("n3", "n2")];
        let halves: Vec<Link> = pairs.into_iter().map(|(a, b)| link(a, b)).collect();
        assert_eq!(describe_links(&halves), "n1, n2 ⇎ n3");
        assert_eq!(describe_links(&halves[..3]), "n1 ⇎ n3, n2 ↛ n3");
        assert_eq!(describe_links(&[]), "");
    }

    #[test]
    fn a_leader_seen_twice_changed_once() {
        let n1 = note("leader", &[("node", "n1"), ("term", "2")]);
        let n2 = note("leader", &[("node", "n2"), ("term", "3")]);
        let seen = leaders(&[n1.clone(), n1, note("exit", &[("node", "n1")]), n2]);
        assert_eq!(seen.iter().map(|l| l.node.as_str()).collect::<Vec<_>>(), ["n1", "n2"]);
    }

    #[test]
    fn notes_become_words() {
        let text = |n| cluster_events(&[n])[0].text.clone();
        assert_eq!(text(note("leader", &[("node", "n2"), ("term", "7")])), "n2 leads in term 7");
        assert_eq!(text(note("phase", &[("phase", "final")])), "the trial enters its final phase");
        assert_eq!(text(note("exit", &[("node", "n2"), ("status", "9")])), "node n2, status 9");
    }
}
