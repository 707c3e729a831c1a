//! What the user asks for, as a file or as flags: every field may be left out.
//!
//! A file and the command line have the same vocabulary; flags override the file, defaults fill the rest
//! ([`crate::plan`]). Unknown keys and bad values are errors that name file, line and key, and nothing
//! starts.

use crate::host::IsolationRequest;
use crate::quantity::{Bytes, Concurrency, Span};
use crate::schedule::Written;
use crate::trace::Level;
use elenchus_checkers::consistency::{self, CONDITIONS, Condition};
use elenchus_nemeses::FaultName;
use elenchus_reference::bug::{Bug, UnknownBug};
use elenchus_reference::sim::Simulation;
use elenchus_systems::described::description::Description;
use elenchus_systems::described::hosts::Trust;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which values a workload writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Values {
    /// Each value once: verdicts come fastest and say most.
    Unique,
    /// Five values again and again: the hard case for a checker.
    Small,
}

/// OpenSSH's words for what is done with the key of a host that nobody has vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum StrictHostKeyChecking {
    /// It is refused.
    Yes,
    /// It is accepted once and kept; a changed one is refused.
    AcceptNew,
    /// Any key is accepted.
    No,
}

impl StrictHostKeyChecking {
    /// The same as `[cluster.ssh]` says it.
    pub fn trust(self) -> Trust {
        match self {
            StrictHostKeyChecking::Yes => Trust::Check,
            StrictHostKeyChecking::AcceptNew => Trust::AcceptNew,
            StrictHostKeyChecking::No => Trust::Off,
        }
    }

    /// The word itself.
    pub fn word(self) -> &'static str {
        match self {
            StrictHostKeyChecking::Yes => "yes",
            StrictHostKeyChecking::AcceptNew => "accept-new",
            StrictHostKeyChecking::No => "no",
        }
    }
}

/// A campaign as written. [`crate::plan::Plan`] is the same with every choice made.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Campaign {
    /// The campaign's name, and its folder in the store
    #[arg(long)]
    #[serde(default)]
    pub name: Option<String>,

    /// The system under test: `bundled` (a real Raft cluster), `simulated` (the same in virtual time), `memory` (one linearizable map, no faults), or what `[cluster]` of the file describes
    #[arg(long, value_name = "SYSTEM")]
    #[serde(default)]
    pub system: Option<String>,

    /// Everything in virtual time and one thread: the bundled nodes' own code, thousands of times faster, the same for the same seed
    #[arg(long)]
    #[serde(default)]
    pub sim: bool,

    /// Draw from the seed what the simulated universe is like, how often faults strike and how patient clients are
    #[arg(long)]
    #[serde(default)]
    pub vary: bool,

    /// What the clients do: register, set, bank, counter, lock, watch
    #[arg(long, short = 'w')]
    #[serde(default)]
    pub workload: Option<String>,

    /// Which values the register workload writes
    #[arg(long, value_enum)]
    #[serde(default)]
    pub values: Option<Values>,

    /// What registers promise, and are judged by: linearizable, or a condition of `elenchus list`; where it is weaker, clients read past the leader if they can
    #[arg(long, value_name = "CONDITION")]
    #[serde(default)]
    pub consistency: Option<Consistency>,

    /// How long a lock outlives the last sign of its holder's life, in the lock workload
    #[arg(long, value_name = "DURATION")]
    #[serde(default)]
    pub lease_ttl: Option<Span>,

    /// What a lock guards looks at fencing tokens, in the lock workload
    #[arg(long)]
    #[serde(default)]
    pub fencing: bool,

    /// How many nodes, or their names separated by commas
    #[arg(long, value_name = "N|NAMES")]
    #[serde(default)]
    pub nodes: Option<Nodes>,

    /// How many operations may be open at once; `2n` is two a node
    #[arg(long, value_name = "N|Nn")]
    #[serde(default)]
    pub concurrency: Option<Concurrency>,

    /// Operations a second, all clients together
    #[arg(long, short = 'r', value_name = "HZ")]
    #[serde(default)]
    pub rate: Option<f64>,

    /// How long clients work and faults strike
    #[arg(long, value_name = "DURATION")]
    #[serde(default)]
    pub time_limit: Option<Span>,

    /// When an operation without answer is in doubt
    #[arg(long, value_name = "DURATION")]
    #[serde(default)]
    pub timeout: Option<Span>,

    /// Which faults strike: names of `elenchus list`, with commas; or all that this cluster can suffer within its assumptions; or none
    #[arg(long, value_name = "FAULTS")]
    #[serde(default)]
    pub nemesis: Option<Faults>,

    /// How long a fault lasts, and how long until the next, in the mean
    #[arg(long, value_name = "DURATION")]
    #[serde(default)]
    pub nemesis_interval: Option<Span>,

    /// The number that fixes every choice of the plan
    #[arg(long)]
    #[serde(default)]
    pub seed: Option<u64>,

    /// How many trials, each with its own seed; the first that is not valid is the last
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub test_count: Option<u32>,

    /// How the nodes are kept apart: auto, namespaces or proxy
    #[arg(long)]
    #[serde(default)]
    pub isolation: Option<IsolationRequest>,

    /// First of the ports that nodes use where the proxy isolates them; free ones are chosen if left out
    #[arg(long, value_name = "PORT")]
    #[serde(default)]
    pub port_base: Option<u16>,

    /// Mistakes that the bundled nodes are told to make (see `elenchus list`)
    #[arg(long, value_name = "BUG", value_delimiter = ',')]
    #[serde(default)]
    pub bug: Vec<BugName>,

    /// Links of a simulated network have random priorities, of which DEPTH-1 fall during the trial; letters of low ones are held back
    #[arg(long, value_name = "DEPTH")]
    #[serde(default)]
    pub priorities: Option<u32>,

    /// How much the bundled nodes tell in their traces, by which consensus is judged: off, roles (who led), or all, the default
    #[arg(long, value_enum, value_name = "LEVEL")]
    #[serde(default)]
    pub trace: Option<Level>,

    /// A healed cluster that does not answer on every node is a violation, not a doubt
    #[arg(long)]
    #[serde(default)]
    pub require_recovery: bool,

    /// Leave the healed cluster running after the last questions, until Ctrl-C; judged after that
    #[arg(long)]
    #[serde(default)]
    pub leave_running: bool,

    /// The private key that opens the hosts of `[cluster.hosts]`
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub ssh_private_key: Option<PathBuf>,

    /// Who we are on those hosts
    #[arg(long, value_name = "USER")]
    #[serde(default)]
    pub username: Option<String>,

    /// What is done with unknown keys of hosts: yes refuses them, accept-new keeps them, no asks nothing
    #[arg(long, value_enum)]
    #[serde(default)]
    pub strict_host_key_checking: Option<StrictHostKeyChecking>,

    /// How long the checkers may take
    #[arg(long, value_name = "DURATION")]
    #[serde(default)]
    pub check_timeout: Option<Span>,

    /// How much memory the checkers may use
    #[arg(long, value_name = "BYTES")]
    #[serde(default)]
    pub check_memory: Option<Bytes>,

    /// Faults written out one by one; only a file can
    #[arg(skip)]
    #[serde(default)]
    pub schedule: Vec<Written>,

    /// The user's own system; only a file can describe it
    #[arg(skip)]
    #[serde(default)]
    pub cluster: Option<Description>,

    /// What the simulated universe is like; only a file can say
    #[arg(skip)]
    #[serde(default)]
    pub simulation: Option<Simulation>,

    /// Where the file lies, if it is one
    #[arg(skip)]
    #[serde(skip)]
    pub folder: PathBuf,
}

/// What `[cluster]` says of itself before anything else is looked at.
#[derive(Deserialize)]
struct Kind {
    cluster: Option<KindOfCluster>,
}

#[derive(Deserialize)]
struct KindOfCluster {
    kind: Option<String>,
}

/// The same text with `simulation` in place of `cluster`, line by line, if its cluster is a simulated one.
fn as_simulation(text: &str) -> Option<String> {
    let kind = toml::from_str::<Kind>(text).ok()?.cluster?.kind?;
    if kind != "simulated" {
        return None;
    }
    let renamed = |line: &str| {
        let bare = line.trim_start();
        let inside = bare.strip_prefix('[').map_or(bare, str::trim_start);
        match inside.strip_prefix("cluster") {
            Some(rest) if rest.trim_start().starts_with(['=', '.', ']']) => {
                line[..line.len() - inside.len()].to_owned() + "simulation" + rest
            }
            _ => line.to_owned(),
        }
    };
    Some(text.lines().map(renamed).collect::<Vec<_>>().join("\n"))
}

/// The nodes, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes(pub Vec<String>);

/// What registers promise: `linearizable`, or the name of a weaker condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Consistency(String);

impl Consistency {
    const LINEARIZABLE: &str = "linearizable";

    /// The weaker condition, if it is one.
    pub fn condition(&self) -> Option<&'static Condition> {
        consistency::named(&self.0)
    }
}

impl Default for Consistency {
    fn default() -> Consistency {
        Consistency(Consistency::LINEARIZABLE.into())
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Consistency {
    type Err = String;

    fn from_str(text: &str) -> Result<Consistency, String> {
        let known = Consistency(text.trim().to_owned());
        if known.0 == Consistency::LINEARIZABLE || known.condition().is_some() {
            return Ok(known);
        }
        let names: Vec<&str> = CONDITIONS.iter().map(|condition| condition.name).collect();
        Err(format!("there is no condition `{text}`; there are linearizable, {}", names.join(", ")))
    }
}

impl<'de> Deserialize<'de> for Consistency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Consistency, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The faults asked for. `all` is all that the system can suffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Whatever the system can suffer within its assumptions.
    All,
    /// Exactly these.
    Named(Vec<FaultName>),
}

/// A bug by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BugName(pub Bug);

/// A campaign that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The file is not there, or not readable, or not text.
    #[error("cannot read the campaign {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file says nothing: what a slip left of it would be another campaign.
    #[error("{}: there is nothing in it; `init` writes a campaign to start from", .0.display())]
    Empty(PathBuf),
    /// The file says something that it cannot mean.
    #[error("{}: {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column, key and what was expected.
        error: Box<toml::de::Error>,
    },
}

impl Campaign {
    /// Reads a campaign file; returns its text too, for the store.
    pub fn read(path: &Path) -> Result<(Campaign, String), CampaignError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CampaignError::Read { path: path.into(), error })?;
        if text.trim().is_empty() {
            return Err(CampaignError::Empty(path.into()));
        }
        let mut campaign = Campaign::parse(&text)
            .map_err(|error| CampaignError::Parse { path: path.into(), error: Box::new(error) })?;
        let absolute =
            std::path::absolute(path).map_err(|error| CampaignError::Read { path: path.into(), error })?;
        campaign.folder = absolute.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Ok((campaign, text))
    }

    /// Reads a campaign's text.
    pub fn parse(text: &str) -> Result<Campaign, toml::de::Error> {
        match as_simulation(text) {
            None => toml::from_str(text),
            Some(text) => toml::from_str(&text).map(|campaign| Campaign { sim: true, ..campaign }),
        }
    }

    /// This campaign, with whatever `over` says in place of what this says.
    pub fn overridden_by(self, over: Campaign) -> Campaign {
        Campaign {
            name: over.name.or(self.name),
            system: over.system.or(self.system),
            sim: over.sim || self.sim,
            vary: over.vary || self.vary,
            workload: over.workload.or(self.workload),
            values: over.values.or(self.values),
            consistency: over.consistency.or(self.consistency),
            lease_ttl: over.lease_ttl.or(self.lease_ttl),
            fencing: over.fencing || self.fencing,
            nodes: over.nodes.or(self.nodes),
            concurrency: over.concurrency.or(self.concurrency),
            rate: over.rate.or(self.rate),
            time_limit: over.time_limit.or(self.time_limit),
            timeout: over.timeout.or(self.timeout),
            nemesis: over.nemesis.or(self.nemesis),
            nemesis_interval: over.nemesis_interval.or(self.nemesis_interval),
            seed: over.seed.or(self.seed),
            test_count: over.test_count.or(self.test_count),
            isolation: over.isolation.or(self.isolation),
            port_base: over.port_base.or(self.port_base),
            priorities: over.priorities.or(self.priorities),
            trace: over.trace.or(self.trace),
            bug: if over.bug.is_empty() { self.bug } else { over.bug },
            require_recovery: over.require_recovery || self.require_recovery,
            leave_running: over.leave_running || self.leave_running,
            ssh_private_key: over.ssh_private_key.or(self.ssh_private_key),
            username: over.username.or(self.username),
            strict_host_key_checking: over.strict_host_key_checking.or(self.strict_host_key_checking),
            check_timeout: over.check_timeout.or(self.check_timeout),
            check_memory: over.check_memory.or(self.check_memory),
            // Flags describe no cluster and no universe, and write no schedule.
            simulation: self.simulation,
            schedule: self.schedule,
            cluster: self.cluster,
            folder: self.folder,
        }
    }
}

impl FromStr for Nodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Nodes, String> {
        if let Ok(count) = text.trim().parse::<usize>() {
            return Nodes::numbered(count);
        }
        Nodes::named(text.split(',').map(|name| name.trim().to_owned()).collect())
    }
}

impl Nodes {
    /// The most nodes that a trial can have: each has an address of its own in one small network.
    const MAX: usize = 99;

    fn numbered(count: usize) -> Result<Nodes, String> {
        match count {
            0 => Err("a cluster needs at least one node".into()),
            n if n > Nodes::MAX => Err(format!("{n} nodes are too many: at most {}", Nodes::MAX)),
            n => Ok(Nodes((1..=n).map(|i| format!("n{i}")).collect())),
        }
    }

    /// Nodes of these names.
    pub fn named(names: Vec<String>) -> Result<Nodes, String> {
        Nodes::numbered(names.len())?;
        for (i, name) in names.iter().enumerate() {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 32 || !name.chars().all(is_plain) {
                return Err(format!("`{name}` is no node's name: use up to 32 letters, digits, - and _"));
            }
            if names[..i].contains(name) {
                return Err(format!("the node `{name}` is named twice"));
            }
        }
        Ok(Nodes(names))
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Faults, String> {
        match text.trim() {
            "all" => Ok(Faults::All),
            list => elenchus_nemeses::parse(list).map(Faults::Named).map_err(|e| e.to_string()),
        }
    }
}

impl FromStr for BugName {
    type Err = String;

    fn from_str(text: &str) -> Result<BugName, String> {
        text.trim().parse().map(BugName).map_err(|e: UnknownBug| e.to_string())
    }
}

/// One value in a file: text, a number, or a list of texts.
struct Loose<T>(std::marker::PhantomData<T>, &'static str);

/// What [`Loose`] can become.
trait FromLoose: Sized {
    fn from_text(text: &str) -> Result<Self, String>;
    fn from_list(items: Vec<String>) -> Result<Self, String>;
}

impl FromLoose for Nodes {
    fn from_text(text: &str) -> Result<Nodes, String> {
        text.parse()
    }
    fn from_list(items: Vec<String>) -> Result<Nodes, String> {
        Nodes::named(items)
    }
}

impl FromLoose for Faults {
    fn from_text(text: &str) -> Result<Faults, String> {
        text.parse()
    }
    fn from_list(items: Vec<String>) -> Result<Faults, String> {
        if items.is_empty() { Ok(Faults::Named(Vec::new())) } else { items.join(",").parse() }
    }
}

impl<'de, T: FromLoose> de::Visitor<'de> for Loose<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.1)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<T, E> {
        T::from_text(&n.to_string()).map_err(E::custom)
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        T::from_list(list).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nodes, D::Error> {
        deserializer.deserialize_any(Loose(Default::default(), "a number of nodes or a list of their names"))
    }
}

impl<'de> Deserialize<'de> for Faults {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Faults, D::Error> {
        deserializer.deserialize_any(Loose(Default::default(), "\"all\", \"none\" or a list of faults"))
    }
}

impl<'de> Deserialize<'de> for BugName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BugName, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, line: &str, word: &str) {
        let error = Campaign::parse(text).expect_err("it must be refused").to_string();
        assert!(error.contains(line) && error.contains(word), "{error}");
    }

    #[test]
    fn a_cluster_can_be_a_simulated_one() {
        let texts = [
            "cluster = { kind = \"simulated\", snapshot-every = 50 }",
            "nodes = 3\n[cluster]\nkind = \"simulated\"\nsnapshot-every = 50\n",
            "[cluster]\nkind = \"simulated\"\nsnapshot-every = 50\n[cluster.weather]\nloss-ppm = 9",
            "cluster.kind = \"simulated\"\ncluster.snapshot-every = 50",
        ];
        for text in texts {
            let campaign = Campaign::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let simulation = campaign.simulation.expect("it says what it is like");
            assert!(campaign.sim && campaign.cluster.is_none() && simulation.snapshot_every == 50);
        }
        let error = Campaign::parse("nodes = 3\n[cluster]\nkind = \"simulated\"\nspeed = 1\n").unwrap_err();
        assert!(error.to_string().contains("line 4") && error.to_string().contains("speed"), "{error}");
        assert!(Campaign::parse("[cluster]\nkind = \"imagined\"").is_err());
    }

    #[test]
    fn a_campaign_reads_as_it_is_written() {
        let campaign = Campaign::parse(
            "workload = \"bank\"\nnodes = 3\nconcurrency = \"2n\"\nrate = 100\ntime-limit = \"5s\"\nnemesis = [\"kill\", \"pause\"]\n",
        )
        .expect("it is well written");
        assert_eq!(campaign.nodes, Some(Nodes(vec!["n1".into(), "n2".into(), "n3".into()])));
        assert_eq!(campaign.nemesis, "kill,pause".parse().ok());
    }

    #[test]
    fn mistakes_are_refused_with_line_and_key() {
        refused("workload = \"bank\"\nnode = 3\n", "line 2", "node");
        refused("\ntime-limit = \"20\"\n", "line 2", "20s");
        refused("nemesis = [\"earthquake\"]\n", "line 1", "earthquake");
        refused("nodes = 0\n", "line 1", "at least one node");
        refused("nodes = [\"a\", \"a\"]\n", "line 1", "twice");
        refused("port-base = 99999\n", "line 1", "port-base");
        refused("bug = [\"no-such-bug\"]\n", "line 1", "no-such-bug");
        refused("consistency = \"eventual\"\n", "line 1", "sequential");
        refused("lease-ttl = \"2\"\n", "line 1", "lease-ttl");
    }

    #[test]
    fn flags_override_the_file() {
        let file = Campaign { workload: Some("set".into()), seed: Some(1), ..Campaign::default() };
        let flags = Campaign { seed: Some(2), ..Campaign::default() };
        let both = file.overridden_by(flags);
        assert_eq!((both.workload.as_deref(), both.seed), (Some("set"), Some(2)));
    }
}
