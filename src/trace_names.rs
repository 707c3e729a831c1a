//! How the traces of simulated trials call the nodes.
//!
//! A simulated node is the first, the second… of its universe, and tells itself so in its trace: `1`, `2`…. That is what
//! `n1`, `n2`… are called. Where the plan's nodes have other names (`n3`, `n5` are left of five, or they are called
//! `a` and `b`), the traces get theirs, or a verdict would speak of another node than the rest of the report.

use elenchus_core::process::NodeId;
use elenchus_core::trace::{Line, Node};

/// The names of a plan's nodes in its traces.
#[derive(Clone, Debug, Default)]
pub struct TraceNames {
    /// In the order of the nodes.
    names: Vec<Node>,
    /// Whether they are what the nodes call themselves.
    are_plain: bool,
}

impl TraceNames {
    /// Of these nodes.
    pub fn of(nodes: &[NodeId]) -> TraceNames {
        let number = |node: &NodeId| node.as_str().strip_prefix('n')?.parse::<u64>().ok();
        let number = |node: &NodeId| number(node).filter(|n| *n > 0 && format!("n{n}") == node.as_str());
        let are_numbered = nodes.iter().all(|node| number(node).is_some());
        let name = |node: &NodeId| match number(node).filter(|_| are_numbered) {
            Some(number) => Node::Number(number),
            None => Node::named(node.as_str()),
        };
        let names: Vec<Node> = nodes.iter().map(name).collect();
        let are_plain = (1..).zip(&names).all(|(number, name)| *name == Node::Number(number));
        TraceNames { names, are_plain }
    }

    /// The line as the trace has it, if that is another.
    pub fn renamed(&self, line: &Line) -> Option<Line> {
        if self.are_plain {
            return None;
        }
        let mut line = line.clone();
        line.rename(|node| match node {
            Node::Number(number) => {
                let place = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
                place.and_then(|place| self.names.get(place)).unwrap_or(node).clone()
            }
            Node::Name(_) => node.clone(),
        });
        Some(line)
    }

    /// The place among the nodes of one that a trace names.
    pub fn place(&self, node: &Node) -> Option<usize> {
        self.names.iter().position(|name| name == node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::trace::{Config, Letter, name};

    fn names(nodes: &[&str]) -> TraceNames {
        TraceNames::of(&nodes.iter().map(|node| NodeId::new(node)).collect::<Vec<_>>())
    }

    #[test]
    fn lines_of_the_usual_nodes_are_left_as_they_are() {
        let names = names(&["n1", "n2", "n3"]);
        assert_eq!(names.renamed(&Line::new(name::COMMIT, Node::Number(2))), None);
        assert_eq!(names.place(&Node::Number(2)), Some(1));
    }

    #[test]
    fn every_node_in_a_line_gets_its_name() {
        let node = Node::Number;
        let mut line = Line::new(name::BECOME_LEADER, node(1));
        line.vote = Some(Some(node(2)));
        line.message = Some(Box::new(Letter::new(node(1), node(3))));
        let config =
            Config { voters: vec![node(1), node(2)], outgoing: vec![node(3)], learners: vec![node(2)] };
        line.config = Some(config);
        let text = |names: &TraceNames| names.renamed(&line).unwrap().to_string();
        let left = text(&names(&["n2", "n4", "n5"]));
        let wanted = [r#""nid":"2""#, r#""vote":"4""#, r#""from":"2""#, r#""to":"5""#];
        assert!(wanted.iter().all(|part| left.contains(part)), "{left}");
        assert!(left.contains(r#"["2","4"]"#) && left.contains(r#"["5"]"#), "{left}");
        let called = text(&names(&["a", "n2", "c"]));
        assert!(called.contains(r#""nid":"a""#) && called.contains(r#""vote":"n2""#), "{called}");
        assert_eq!(names(&["a", "n2", "c"]).place(&Node::named("c")), Some(2));
    }

    #[test]
    fn two_nodes_are_never_called_alike() {
        for nodes in [&["n1", "n01"][..], &["1", "n1"], &["n2", "2"], &["n0", "n1"]] {
            let TraceNames { names, .. } = names(nodes);
            assert_ne!(names[0], names[1], "{nodes:?}");
        }
    }
}
