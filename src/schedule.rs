//! Faults written out one by one: the `[[schedule]]` tables of a campaign file.
//!
//! Each says when it strikes, for how long, and the fault in the words of [`Fault`], for which shorter ones may
//! stand: `nodes = "all"`, `cut = "n1|n2,n3"`, `bump = "-60s"`. A table is read twice: with the file, when its form
//! is refused by line and key, and with the plan, when the nodes are known.
//!
//! Deliberately absent: what a system can suffer. Whoever plans knows that, and asks here for a fault's nodes.

use crate::quantity::{Bytes, Span};
use elenchus_core::fault::{Cut, Fault, Limit, Link, Shape, Skew, Target, Trouble};
use elenchus_core::process::NodeId;
use elenchus_nemeses::Strike;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use toml::{Spanned, Table, Value};

/// One `[[schedule]]` table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Written {
    /// When it strikes, from the start of the clients' work.
    pub at: Spanned<Span>,
    /// How long it is in force; until the end if left out.
    #[serde(default, rename = "for")]
    pub lasts: Option<Spanned<Span>>,
    /// What it is.
    pub fault: Spanned<Words>,
}

/// A fault as it is written, whose form was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Words(Table);

/// A written fault that no trial can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where in the file, in bytes.
    pub at: usize,
    /// Why, and what to do.
    pub what: String,
}

impl Written {
    /// The strike in a cluster of these nodes, in which everything is healed after `limit`.
    pub fn strike(&self, nodes: &[NodeId], limit: Duration) -> Result<Strike, Refused> {
        let (at, place) = (self.at.get_ref().0, self.at.span().start);
        if at >= limit {
            let what = format!("at {} the trial is over: its time-limit is {}", Span(at), Span(limit));
            return Err(Refused { at: place, what });
        }
        let lasts = match &self.lasts {
            None => limit - at,
            Some(lasts) => {
                let (span, place) = (lasts.get_ref().0, lasts.span().start);
                if span.as_millis() == 0 {
                    return Err(Refused { at: place, what: "for less than 1ms nothing can be felt".into() });
                }
                if at + span > limit {
                    let end = Span(at + span);
                    let what =
                        format!("it would end at {end}, after the trial: its time-limit is {}", Span(limit));
                    return Err(Refused { at: place, what });
                }
                span
            }
        };
        let refused = |what| Refused { at: self.fault.span().start, what };
        let fault = read(&self.fault.get_ref().0, Some(nodes)).map_err(refused)?;
        sound(&fault, nodes).map_err(refused)?;
        Ok(Strike { at_ms: millis(at), lasts_ms: millis(lasts), fault })
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        let table = Table::deserialize(deserializer)?;
        read(&table, None).map_err(de::Error::custom)?;
        Ok(Words(table))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the fault strikes whoever leads: then somebody must be able to say who does.
pub fn aims_at_leaders(fault: &Fault) -> bool {
    match fault {
        Fault::Partition { cut, .. } => matches!(cut, Cut::Primaries { .. }),
        other => other.nodes() == Some(&Target::Primaries),
    }
}

/// Refuses what strikes nobody, or strangers.
fn sound(fault: &Fault, nodes: &[NodeId]) -> Result<(), String> {
    let named: Vec<&NodeId> = match fault {
        Fault::Partition { .. } if nodes.len() < 2 => {
            return Err("one node alone cannot be parted from anybody".into());
        }
        Fault::Partition { cut: Cut::Links(links), .. } => {
            if links.is_empty() {
                return Err("it cuts no link".into());
            }
            if let Some(link) = links.iter().find(|link| link.from == link.to) {
                return Err(format!("{} cannot be cut off from itself", link.from));
            }
            links.iter().flat_map(|link| [&link.from, &link.to]).collect()
        }
        Fault::Partition { cut: Cut::Primaries { companions }, .. } => companions.iter().collect(),
        other => match other.nodes() {
            Some(Target::Nodes(struck)) if struck.is_empty() => return Err("it strikes no node".into()),
            Some(Target::Nodes(struck)) => struck.iter().collect(),
            Some(Target::Primaries) | None => Vec::new(),
        },
    };
    bounded(fault)?;
    match named.into_iter().find(|name| !nodes.contains(name)) {
        Some(stranger) => Err(format!("there is no node `{stranger}`; there are {}", join(nodes))),
        None => Ok(()),
    }
}

/// Refuses figures that mean nothing.
fn bounded(fault: &Fault) -> Result<(), String> {
    let percent = match fault {
        Fault::Packets { trouble: Trouble::Loss { percent }, .. }
        | Fault::Packets { trouble: Trouble::Duplicate { percent }, .. }
        | Fault::Packets { trouble: Trouble::Reorder { percent, .. }, .. }
        | Fault::Packets { trouble: Trouble::Corrupt { percent }, .. }
        | Fault::Resources { limit: Limit::Cpu { percent }, .. } => *percent,
        Fault::Packets { trouble: Trouble::Rate { kbit: 0 }, .. } => {
            return Err("a rate of 0 is a partition".into());
        }
        Fault::Resources { limit: Limit::Memory { mib: 0 }, .. } => {
            return Err("nothing runs in 0 MiB".into());
        }
        Fault::Clock { skew: Skew::Strobe { period_ms: 0, .. }, .. } => {
            return Err("a strobe needs a period of 1ms or more".into());
        }
        _ => return Ok(()),
    };
    if (1..=100).contains(&percent) { Ok(()) } else { Err(format!("{percent}% is no share: say 1 to 100")) }
}

fn join(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
}

/// Reads a fault. Without nodes only its form: then words that stand for nodes stand for none.
fn read(words: &Table, nodes: Option<&[NodeId]>) -> Result<Fault, String> {
    let mut entries = words.iter();
    let (Some((name, Value::Table(body))), None) = (entries.next(), entries.next()) else {
        return Err("a fault is one name with its particulars, as in { kill = { nodes = [\"n1\"] } }".into());
    };
    let body = if name == "partition" { partition(body, nodes)? } else { fault_on_nodes(body, nodes)? };
    let whole = Table::from_iter([(name.clone(), Value::Table(body))]);
    // The rest of the message is an excerpt of a file that does not exist.
    Fault::deserialize(Value::Table(whole)).map_err(|error| error.message().to_owned())
}

fn fault_on_nodes(body: &Table, nodes: Option<&[NodeId]>) -> Result<Table, String> {
    let mut whole = Table::new();
    for (key, value) in body {
        let value = if key == "nodes" { aim(value, nodes)? } else { longer(value)? };
        whole.insert(key.clone(), value);
    }
    Ok(whole)
}

/// `"all"`, `"primaries"`, a node or a list of nodes, as a [`Target`].
fn aim(value: &Value, nodes: Option<&[NodeId]>) -> Result<Value, String> {
    let names = match value {
        Value::String(word) if word == "primaries" => return Ok(value.clone()),
        Value::String(word) if word == "all" => {
            nodes.unwrap_or_default().iter().map(|node| Value::String(node.to_string())).collect()
        }
        Value::String(_) => vec![value.clone()],
        Value::Array(names) => names.clone(),
        other => return Ok(other.clone()),
    };
    if let Some(twice) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        return Err(format!("the node `{}` is named twice", names[twice].as_str().unwrap_or_default()));
    }
    Ok(Value::Table(Table::from_iter([("nodes".to_owned(), Value::Array(names))])))
}

/// What one text can say in place of a table: `bump = "-60s"` is `bump = { delta_ms = -60000 }`.
const BRIEF: &[(&str, Unit, &str)] = &[
    ("bump", Unit::Time, "delta_ms"),
    ("delay", Unit::Time, "ms"),
    ("slow-sync", Unit::Time, "ms"),
    ("loss", Unit::Percent, "percent"),
    ("duplicate", Unit::Percent, "percent"),
    ("corrupt", Unit::Percent, "percent"),
    ("cpu", Unit::Percent, "percent"),
    ("memory", Unit::Size, "mib"),
];

/// Particulars that may be written as text, without their unit in the name.
const TIMES: &[(&str, &str)] =
    &[("delta", "delta_ms"), ("period", "period_ms"), ("jitter", "jitter_ms"), ("time", "ms")];

#[derive(Clone, Copy)]
enum Unit {
    Time,
    Percent,
    Size,
}

impl Unit {
    /// A share has its sign: `loss` is a share of packets, or what a disk loses.
    fn may_be(self, text: &str) -> bool {
        !matches!(self, Unit::Percent) || text.ends_with('%')
    }

    /// A number as it should be written.
    fn with(self, number: i64) -> String {
        match self {
            Unit::Time => format!("{number}ms"),
            Unit::Percent => format!("{number}%"),
            Unit::Size => format!("{number}MiB"),
        }
    }

    fn read(self, text: &str) -> Result<i64, String> {
        match self {
            Unit::Time => signed(text),
            Unit::Percent => {
                let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
                number.ok_or_else(|| format!("`{text}` is no share: write as in 30%"))
            }
            Unit::Size => text.parse::<Bytes>().map(|bytes| (bytes.0 >> 20) as i64),
        }
    }
}

/// Milliseconds, of a duration that may be negative.
fn signed(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.trim().strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.trim().trim_start_matches('+')),
    };
    rest.parse::<Span>().map(|span| sign * millis(span.0) as i64)
}

/// The same value with every short word replaced by what it stands for.
fn longer(value: &Value) -> Result<Value, String> {
    let Value::Table(table) = value else { return Ok(value.clone()) };
    let mut whole = Table::new();
    for (key, value) in table {
        let brief = BRIEF.iter().find(|(word, ..)| word == key);
        let time = TIMES.iter().find(|(word, _)| word == key);
        match (value, brief, time) {
            (Value::String(text), Some((_, unit, field)), _) if unit.may_be(text) => {
                let mut inner = Table::from_iter([((*field).to_owned(), Value::Integer(unit.read(text)?))]);
                if key == "delay" {
                    inner.insert("jitter_ms".into(), Value::Integer(0));
                }
                whole.insert(key.clone(), Value::Table(inner));
            }
            (Value::Integer(number), Some((_, unit, _)), _) => {
                let like = unit.with(*number);
                return Err(format!("`{key} = {number}` has no unit: write as in {key} = \"{like}\""));
            }
            (Value::String(text), _, Some((_, field))) => {
                whole.insert((*field).to_owned(), Value::Integer(signed(text)?));
            }
            _ => drop(whole.insert(key.clone(), longer(value)?)),
        }
    }
    Ok(whole.into())
}

/// `cut = "n1|n2,n3"` (neither side sees the other), `"n1>n2,n3"` (what n1 sends is lost), `"primaries"`, or what
/// [`Cut`] says at length. `*` is all nodes not named.
fn partition(body: &Table, nodes: Option<&[NodeId]>) -> Result<Table, String> {
    let mut whole = body.clone();
    let (shape, cut) = match body.get("cut") {
        Some(Value::String(word)) if word == "primaries" => {
            (Shape::Primaries, Cut::Primaries { companions: Vec::new() })
        }
        Some(Value::String(sides)) => {
            let links = links(sides, nodes.unwrap_or_default())?;
            (shape(&links, nodes.unwrap_or_default()), Cut::Links(links))
        }
        Some(Value::Table(table)) => {
            let shape = if table.contains_key("primaries") { Shape::Primaries } else { Shape::OneWay };
            whole.entry("shape").or_insert(plain(&shape));
            return Ok(whole);
        }
        _ => return Err("a partition says what it cuts, as in { cut = \"n1|n2,n3\" }".into()),
    };
    whole.insert("cut".into(), plain(&cut));
    whole.entry("shape").or_insert(plain(&shape));
    Ok(whole)
}

fn plain<T: Serialize>(value: &T) -> Value {
    Value::try_from(value).expect("faults are text, numbers and lists")
}

/// The links between sides that are written as `a,b|c|*` or, one way, as `a>b,c`.
fn links(text: &str, nodes: &[NodeId]) -> Result<Vec<Link>, String> {
    let one_way = text.contains('>');
    let sides: Vec<&str> = text.split(if one_way { '>' } else { '|' }).collect();
    let is_clear = if one_way { sides.len() == 2 && !text.contains('|') } else { sides.len() >= 2 };
    if !is_clear {
        return Err(format!("`{text}` cuts nothing: write \"n1|n2,n3\", or one way \"n1>n2,n3\""));
    }
    let named: Vec<NodeId> = text.split(['|', '>', ',']).map(|name| NodeId::new(name.trim())).collect();
    let rest = nodes.iter().filter(|node| !named.contains(node)).cloned();
    let side = |text: &str| -> Vec<NodeId> {
        let names = text.split(',').map(str::trim);
        names
            .flat_map(|name| if name == "*" { rest.clone().collect() } else { vec![NodeId::new(name)] })
            .collect()
    };
    let sides: Vec<Vec<NodeId>> = sides.into_iter().map(side).collect();
    let mut all = sides.iter().flatten();
    if let Some(empty) = all.find(|node| node.as_str().is_empty()) {
        return Err(format!("`{text}` names a node `{empty}`"));
    }
    let mut links = BTreeSet::new();
    for (at, from) in sides.iter().enumerate() {
        for (other, to) in sides.iter().enumerate() {
            if at != other && (!one_way || at < other) {
                let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (from.clone(), to.clone())));
                links.extend(pairs.map(|(from, to)| Link { from, to }));
            }
        }
    }
    Ok(links.into_iter().collect())
}

/// What to call a cut: one of the shapes that are drawn, or the nearest.
fn shape(links: &[Link], nodes: &[NodeId]) -> Shape {
    let cut: BTreeSet<&Link> = links.iter().collect();
    let is_mutual =
        links.iter().all(|link| cut.contains(&Link { from: link.to.clone(), to: link.from.clone() }));
    let degree = |node: &NodeId| links.iter().filter(|link| link.from == *node).count();
    if !is_mutual {
        Shape::OneWay
    } else if nodes.iter().any(|node| degree(node) + 1 == nodes.len()) && links.len() == 2 * (nodes.len() - 1)
    {
        Shape::One
    } else if nodes.iter().any(|node| degree(node) == 0) {
        Shape::Bridge
    } else {
        Shape::Halves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::fault::{Ailment, Loss};

    #[derive(Debug, Deserialize)]
    struct File {
        schedule: Vec<Written>,
    }

    fn strike(text: &str) -> Result<Strike, String> {
        let text = format!("[[schedule]]\n{text}\n");
        let file: File = toml::from_str(&text).map_err(|error| error.to_string())?;
        let nodes = NodeId::numbered(3);
        let refused = |refused: Refused| {
            let line =
                text[..refused.at].lines().count().max(1) + usize::from(text[..refused.at].ends_with('\n'));
            format!("line {line}: {}", refused.what)
        };
        file.schedule[0].strike(&nodes, Duration::from_secs(20)).map_err(refused)
    }

    #[track_caller]
    fn fault(text: &str) -> Fault {
        strike(&format!("at = \"1s\"\nfault = {text}")).expect("it is well written").fault
    }

    #[track_caller]
    fn refused(text: &str, words: &[&str]) {
        let why = strike(text).expect_err("it must be refused");
        words.iter().for_each(|word| assert!(why.contains(word), "`{word}` is missing in: {why}"));
    }

    fn pairs(fault: &Fault) -> Vec<String> {
        let Fault::Partition { cut: Cut::Links(links), .. } = fault else { panic!("links were to be cut") };
        links.iter().map(|link| format!("{}>{}", link.from, link.to)).collect()
    }

    #[test]
    fn a_strike_lasts_as_long_as_it_says_or_until_the_end() {
        let kill = "fault = { kill = { nodes = [\"n1\"] } }";
        let brief = strike(&format!("at = \"5s\"\nfor = \"3s\"\n{kill}")).expect("well written");
        assert_eq!((brief.at_ms, brief.lasts_ms), (5000, 3000));
        let open = strike(&format!("at = \"5s\"\n{kill}")).expect("well written");
        assert_eq!((open.at_ms, open.lasts_ms), (5000, 15_000));
    }

    #[test]
    fn nodes_are_written_in_many_ways() {
        let nodes = |names: &[&str]| Target::Nodes(names.iter().map(|name| NodeId::new(name)).collect());
        for (text, target) in [
            ("[\"n2\", \"n3\"]", nodes(&["n2", "n3"])),
            ("\"n2\"", nodes(&["n2"])),
            ("\"all\"", nodes(&["n1", "n2", "n3"])),
            ("\"primaries\"", Target::Primaries),
            ("{ nodes = [\"n1\"] }", nodes(&["n1"])),
        ] {
            assert_eq!(fault(&format!("{{ pause = {{ nodes = {text} }} }}")), Fault::Pause { nodes: target });
        }
    }

    #[test]
    fn clocks_are_set_by_durations() {
        let skew = |text: &str| match fault(&format!("{{ clock = {{ nodes = \"n1\", skew = {text} }} }}")) {
            Fault::Clock { skew, .. } => skew,
            other => panic!("{other:?}"),
        };
        assert_eq!(skew("{ bump = \"-60s\" }"), Skew::Bump { delta_ms: -60_000 });
        assert_eq!(skew("{ bump = { delta_ms = 5 } }"), Skew::Bump { delta_ms: 5 });
        assert_eq!(
            skew("{ strobe = { delta = \"1s\", period = \"50ms\" } }"),
            Skew::Strobe { delta_ms: 1000, period_ms: 50 }
        );
        assert_eq!(skew("{ drift = { rate_ppm = -500000 } }"), Skew::Drift { rate_ppm: -500_000 });
    }

    #[test]
    fn packets_disks_and_limits_are_written_with_their_units() {
        let trouble =
            |text: &str| match fault(&format!("{{ packets = {{ nodes = \"n1\", trouble = {text} }} }}")) {
                Fault::Packets { trouble, .. } => trouble,
                other => panic!("{other:?}"),
            };
        assert_eq!(trouble("{ delay = \"50ms\" }"), Trouble::Delay { ms: 50, jitter_ms: 0 });
        let both = trouble("{ delay = { time = \"50ms\", jitter = \"5ms\" } }");
        assert_eq!(both, Trouble::Delay { ms: 50, jitter_ms: 5 });
        assert_eq!(trouble("{ loss = \"30%\" }"), Trouble::Loss { percent: 30 });
        let power = Fault::Power { nodes: Target::Primaries, loss: Loss::Torn };
        assert_eq!(fault("{ power = { nodes = \"primaries\", loss = \"torn\" } }"), power);
        let slow = Fault::Disk { nodes: Target::Primaries, ailment: Ailment::SlowSync { ms: 20 } };
        assert_eq!(fault("{ disk = { nodes = \"primaries\", ailment = { slow-sync = \"20ms\" } } }"), slow);
        let little = Fault::Resources { nodes: Target::Primaries, limit: Limit::Memory { mib: 64 } };
        assert_eq!(
            fault("{ resources = { nodes = \"primaries\", limit = { memory = \"64MiB\" } } }"),
            little
        );
    }

    #[test]
    fn cuts_are_written_as_sides_or_as_links() {
        let both = ["n1>n2", "n1>n3", "n2>n1", "n3>n1"];
        let one = fault("{ partition = { cut = \"n1|n2,n3\" } }");
        assert_eq!(pairs(&one), both);
        assert!(matches!(one, Fault::Partition { shape: Shape::One, .. }), "{one:?}");
        assert_eq!(pairs(&fault("{ partition = { cut = \"n1 | *\" } }")), both);
        let way = fault("{ partition = { cut = \"n1>n2,n3\" } }");
        assert_eq!(pairs(&way), ["n1>n2", "n1>n3"]);
        assert!(matches!(way, Fault::Partition { shape: Shape::OneWay, .. }));
        let bridge = fault("{ partition = { cut = \"n1|n3\" } }");
        assert!(matches!(bridge, Fault::Partition { shape: Shape::Bridge, .. }));
        assert_eq!(pairs(&fault("{ partition = { cut = \"n1|n2|n3\" } }")).len(), 6);
        let links = "{ partition = { cut = { links = [{ from = \"n1\", to = \"n2\" }] } } }";
        assert_eq!(pairs(&fault(links)), ["n1>n2"]);
        let leaders = fault("{ partition = { cut = \"primaries\" } }");
        assert!(aims_at_leaders(&leaders) && !aims_at_leaders(&one));
    }

    #[test]
    fn what_is_no_fault_is_refused_with_its_line() {
        refused("at = \"1s\"\nfault = { kil = { nodes = [\"n1\"] } }", &["line 3", "kil", "kill"]);
        refused("at = \"1s\"\nfault = { kill = { node = [\"n1\"] } }", &["line 3", "node"]);
        refused("at = \"1s\"\nfault = { kill = 1 }", &["line 3", "one name"]);
        refused("at = \"1s\"\nfault = {}", &["line 3", "one name"]);
        refused(
            "at = \"1s\"\nfault = { clock = { nodes = \"n1\", skew = { bump = \"1 day\" } } }",
            &["line 3", "1 day"],
        );
        refused("at = \"1s\"\nfault = { partition = { cut = \"n1\" } }", &["line 3", "cuts nothing"]);
        refused("at = \"1s\"\nfault = { partition = { cut = \"n1||n2\" } }", &["line 3", "names a node"]);
        refused("at = \"1s\"\nfault = { partition = {} }", &["line 3", "what it cuts"]);
        let packets = |trouble: &str| {
            format!("at = \"1s\"\nfault = {{ packets = {{ nodes = \"n1\", trouble = {{ {trouble} }} }} }}")
        };
        refused(&packets("loss = 30"), &["line 3", "loss = \"30%\""]);
        refused(&packets("delay = 50"), &["line 3", "delay = \"50ms\""]);
        refused("at = \"soon\"\nfault = { kill = { nodes = \"all\" } }", &["line 2", "soon"]);
        refused("fault = { kill = { nodes = \"all\" } }", &["line 1", "at"]);
        refused(
            "at = \"1s\"\nfor = \"1s\"\nwhen = 1\nfault = { kill = { nodes = \"all\" } }",
            &["line 4", "when"],
        );
    }

    #[test]
    fn one_node_alone_is_parted_from_nobody() {
        let [one, two] = [1, 2].map(NodeId::numbered);
        let leaders = Fault::Partition {
            shape: Shape::Primaries,
            cut: Cut::Primaries { companions: vec![] },
            manner: elenchus_core::fault::Manner::Drop,
        };
        assert!(sound(&leaders, &one).unwrap_err().contains("alone"));
        assert_eq!(sound(&leaders, &two), Ok(()));
    }

    #[test]
    fn what_no_trial_can_have_is_refused_with_its_line() {
        refused(
            "at = \"1s\"\nfault = { kill = { nodes = [\"n1\", \"n9\"] } }",
            &["line 3", "`n9`", "n1, n2, n3"],
        );
        refused("at = \"1s\"\nfault = { kill = { nodes = [] } }", &["line 3", "no node"]);
        refused("at = \"1s\"\nfault = { kill = { nodes = [\"n1\", \"n1\"] } }", &["line 3", "twice"]);
        refused("at = \"1s\"\nfault = { partition = { cut = \"n1|n9\" } }", &["line 3", "`n9`"]);
        refused("at = \"1s\"\nfault = { partition = { cut = \"n1|n1\" } }", &["line 3", "itself"]);
        refused("at = \"1s\"\nfault = { partition = { cut = \"n1,n2,n3|*\" } }", &["line 3", "no link"]);
        refused(
            "at = \"1s\"\nfault = { packets = { nodes = \"n1\", trouble = { loss = \"101%\" } } }",
            &["line 3", "101%"],
        );
        refused("at = \"20s\"\nfault = { kill = { nodes = \"n1\" } }", &["line 2", "the trial is over"]);
        refused("at = \"19s\"\nfor = \"2s\"\nfault = { kill = { nodes = \"n1\" } }", &["line 3", "21s"]);
        refused("at = \"19s\"\nfor = \"0s\"\nfault = { kill = { nodes = \"n1\" } }", &["line 3", "1ms"]);
    }
}
