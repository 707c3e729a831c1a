//! Texts with holes that each node fills with what is its own: `--name={node} --peers={peers:{ip}:{port.peer}}`.
//!
//! A hole is a word in braces. Braces that hold anything else (JSON, a shell's `${HOME}`) stand for themselves; a
//! word that is no hole is an error, lest a slip of the pen reach a program as it is.

use std::collections::BTreeMap;
use std::fmt;

/// What one node fills holes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `{node}`: its name.
    pub node: String,
    /// `{index}`: its number, from 1 on.
    pub index: usize,
    /// `{campaign}`: where the campaign's file lies.
    pub campaign: String,
    /// `{ip}`: its address.
    pub ip: String,
    /// `{dir}`: its working folder.
    pub dir: String,
    /// `{data}`: where it keeps what must survive a crash.
    pub data: String,
    /// `{port.NAME}`: its ports.
    pub ports: BTreeMap<String, u16>,
}

impl Facts {
    /// A node of this name and number, of which no more is known.
    pub fn of(node: &str, index: usize) -> Facts {
        let none = String::new;
        let (campaign, ip, dir, data) = (none(), none(), none(), none());
        Facts { node: node.into(), index, campaign, ip, dir, data, ports: BTreeMap::new() }
    }
}

/// A text with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Node,
    Index,
    Ip,
    Dir,
    Data,
    Campaign,
    Count,
    Port(String),
    /// Once for each node, joined by commas; `others` leaves out the node itself.
    Each {
        others: bool,
        of: Template,
    },
}

/// A text whose holes nobody can fill.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A word that names no hole.
    #[error(
        "`{{{0}}}` is no hole: use {{node}}, {{index}}, {{count}}, {{ip}}, {{dir}}, {{data}}, {{campaign}}, {{port.NAME}}, {{peers:…}} or {{others:…}}"
    )]
    Unknown(String),
    /// A port that the cluster does not name.
    #[error("`{{port.{port}}}`: no such port; {known}")]
    Port {
        /// The name.
        port: String,
        /// Those there are, in words.
        known: String,
    },
    /// A brace that is never closed.
    #[error("`{{{0}` is never closed")]
    Open(String),
}

impl Template {
    /// Reads a text. `ports` are the names of the ports there are.
    pub fn parse(text: &str, ports: &[&str]) -> Result<Template, TemplateError> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            let (before, hole) = rest.split_at(at);
            plain.push_str(before);
            if before.ends_with('$') || !hole[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
                plain.push('{');
                rest = &hole[1..];
                continue;
            }
            let inner =
                closed(hole).ok_or_else(|| TemplateError::Open(hole[1..].chars().take(20).collect()))?;
            match Part::parse(inner, ports)? {
                Some(part) => {
                    parts.extend((!plain.is_empty()).then(|| Part::Text(std::mem::take(&mut plain))));
                    parts.push(part);
                    rest = &hole[inner.len() + 2..];
                }
                None => {
                    plain.push('{');
                    rest = &hole[1..];
                }
            }
        }
        plain.push_str(rest);
        parts.extend((!plain.is_empty()).then_some(Part::Text(plain)));
        Ok(Template(parts))
    }

    /// The text for node `me` of these.
    pub fn fill(&self, me: usize, nodes: &[Facts]) -> String {
        let mut text = String::new();
        self.write(me, nodes, &mut text).expect("text can be written to text");
        text
    }

    fn write(&self, me: usize, nodes: &[Facts], to: &mut String) -> fmt::Result {
        use std::fmt::Write;
        let facts = &nodes[me];
        for part in &self.0 {
            match part {
                Part::Text(text) => to.push_str(text),
                Part::Node => to.push_str(&facts.node),
                Part::Index => write!(to, "{}", facts.index)?,
                Part::Ip => to.push_str(&facts.ip),
                Part::Dir => to.push_str(&facts.dir),
                Part::Data => to.push_str(&facts.data),
                Part::Campaign => to.push_str(&facts.campaign),
                Part::Count => write!(to, "{}", nodes.len())?,
                Part::Port(name) => write!(to, "{}", facts.ports[name])?,
                Part::Each { others, of } => {
                    let who = (0..nodes.len()).filter(|node| !others || *node != me);
                    let each: Vec<String> = who.map(|node| of.fill(node, nodes)).collect();
                    to.push_str(&each.join(","));
                }
            }
        }
        Ok(())
    }
}

/// What stands between this opening brace and the one that closes it.
fn closed(hole: &str) -> Option<&str> {
    let mut depth = 0;
    for (at, c) in hole.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&hole[1..at]);
        }
    }
    None
}

impl Part {
    /// The hole of this name; `None` if it is no word, so that its braces stand for themselves.
    fn parse(inner: &str, ports: &[&str]) -> Result<Option<Part>, TemplateError> {
        for (name, others) in [("peers:", false), ("others:", true)] {
            if let Some(of) = inner.strip_prefix(name) {
                return Ok(Some(Part::Each { others, of: Template::parse(of, ports)? }));
            }
        }
        if let Some(port) = inner.strip_prefix("port.") {
            if ports.contains(&port) {
                return Ok(Some(Part::Port(port.into())));
            }
            let known = if ports.is_empty() {
                "none is named".into()
            } else {
                format!("there are {}", ports.join(", "))
            };
            return Err(TemplateError::Port { port: port.into(), known });
        }
        Ok(Some(match inner {
            "node" => Part::Node,
            "index" => Part::Index,
            "count" => Part::Count,
            "ip" => Part::Ip,
            "dir" => Part::Dir,
            "data" => Part::Data,
            "campaign" => Part::Campaign,
            word if word.chars().all(|c| c.is_ascii_alphanumeric() || "._-:".contains(c)) => {
                return Err(TemplateError::Unknown(word.into()));
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<Facts> {
        let facts = |index: usize| Facts {
            node: format!("n{index}"),
            index,
            campaign: "/campaigns".into(),
            ip: format!("10.0.0.{index}"),
            dir: format!("/trial/n{index}"),
            data: format!("/trial/n{index}/data"),
            ports: [("peer".to_owned(), 2380)].into(),
        };
        (1..=3).map(facts).collect()
    }

    fn filled(text: &str) -> Result<String, TemplateError> {
        Template::parse(text, &["peer"]).map(|template| template.fill(1, &nodes()))
    }

    #[test]
    fn each_node_fills_the_holes_with_its_own() {
        assert_eq!(filled("--name={node} {index}/{count} {data}"), Ok("--name=n2 2/3 /trial/n2/data".into()));
        assert_eq!(
            filled("{peers:{node}=http://{ip}:{port.peer}}"),
            Ok("n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380".into())
        );
        assert_eq!(filled("{others:{node}}"), Ok("n1,n3".into()));
    }

    #[test]
    fn other_braces_stand_for_themselves() {
        let text = "${HOME} {\"a\": {\"b\": 1}} { x } {} }";
        assert_eq!(filled(text), Ok(text.into()));
        assert_eq!(filled("{ip: {node}}"), Ok("{ip: n2}".into()));
    }

    #[test]
    fn a_word_that_is_no_hole_is_an_error() {
        assert_eq!(filled("{nodes}"), Err(TemplateError::Unknown("nodes".into())));
        assert!(filled("{port.client}").expect_err("no such port").to_string().contains("there are peer"));
        assert_eq!(filled("a {node"), Err(TemplateError::Open("node".into())));
    }
}
