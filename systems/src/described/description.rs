//! A system as its user describes it: `[cluster]` of a campaign file.

use super::hosts::{Hosts, Ssh};
use super::template::{Facts, Template, TemplateError};
use crate::etcd;
use crate::http_client::description::HttpDescription;
use elenchus_core::client::Capability;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// `[cluster]`: programs of the user's own, one a node, on this machine; or nodes that somebody else runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Description {
    /// The program of a node (absolute, or to be found in `PATH`) and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The unit of systemd that a node is, on a host over SSH, in place of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Added to the environment.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// What is different for one node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node: BTreeMap<String, Own>,
    /// The user that the nodes and their install steps run as; only root can say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The command that asks a node to end, when the trial is over; then it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Vec<String>>,
    /// What makes the cluster empty before the trial.
    #[serde(default, skip_serializing_if = "Wipe::is_unsaid")]
    pub wipe: Wipe,
    /// Files and folders of a node that are kept beside its output when the trial ends, however it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// Whether somebody else runs the nodes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// Where the nodes are that somebody else runs: `host:port`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, String>,
    /// Ports that the node listens on. Each node has an address of its own, so the numbers are the same on all.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// Files written into the node's working folder before its first start.
    #[serde(default)]
    pub files: BTreeMap<String, Content>,
    /// Files and folders put into the node's working folder as they are: where there, and their path from the
    /// campaign's folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upload: BTreeMap<String, PathBuf>,
    /// Shell commands run in the node's working folder before its first start.
    #[serde(default)]
    pub install: Vec<String>,
    /// How to see that the node answers.
    #[serde(default, deserialize_with = "words::ready")]
    pub ready: Ready,
    /// How to see who leads, if anybody does.
    #[serde(default)]
    pub leader: Option<Leader>,
    /// How members are removed and added, if they can be.
    #[serde(default)]
    pub membership: Option<Membership>,
    /// What the system needs to keep its promises, a line each, for the report.
    #[serde(default)]
    pub assumptions: Vec<String>,
    /// Who speaks to it.
    #[serde(deserialize_with = "words::client")]
    pub client: Client,
    /// The hosts that bear the nodes, reached over SSH; without them this machine bears all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Hosts>,
    /// How they are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// Where the campaign's file lies; found out, not said.
    #[serde(default)]
    pub campaign: String,
}

/// `[cluster.node.NAME]`: what is different for one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Own {
    /// Its program, in place of the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Its unit of systemd, in place of the others' unit or program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Added to its environment, or in place of what the others have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Secret>,
}

/// What makes a cluster empty before its trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, or a list of shell commands that wipe a node")]
pub enum Wipe {
    /// Whether it is wiped: a local cluster always is, since its folders are made anew.
    Said(bool),
    /// These shell commands, run in each node's working folder before anything else.
    Steps(Vec<String>),
}

impl Default for Wipe {
    fn default() -> Wipe {
        Wipe::Said(false)
    }
}

impl Wipe {
    fn is_unsaid(&self) -> bool {
        *self == Wipe::default()
    }

    /// The shell commands.
    pub fn steps(&self) -> &[String] {
        match self {
            Wipe::Said(_) => &[],
            Wipe::Steps(steps) => steps,
        }
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// This text, with holes.
    Text(String),
    /// What another file holds, as it is; a path from the campaign's folder.
    File {
        /// Its path.
        file: PathBuf,
    },
    /// What another file held when the trial was planned.
    Copy {
        /// Its text.
        copy: String,
    },
}

/// A text that may be a secret: then the file names where it is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    /// The text itself, with holes.
    Plain(String),
    /// A variable of the environment that Elenchus runs in.
    Env {
        /// Its name.
        env: String,
    },
}

/// What is said where something else than what can be read was written.
mod words {
    use super::{Client, Ready};
    use serde::de::{Deserialize, Deserializer, Error};

    pub(super) fn ready<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ready, D::Error> {
        let known = "it is \"started\" or one of { tcp = \"{ip}:{port.client}\" }, { http = \"URL\" }, \
                     { log = \"TEXT\" }, { command = [\"PROGRAM\"] }";
        Ready::deserialize(deserializer).map_err(|error| with(error, known))
    }

    pub(super) fn client<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Client, D::Error> {
        let known = "it is a table with its kind, as in { kind = \"etcd\" }, \
                     { kind = \"exec\", command = [\"PROGRAM\"] } or { kind = \"http\", … }";
        Client::deserialize(deserializer).map_err(|error| with(error, known))
    }

    /// What is not even of the form is told the forms there are; any other error knows better what is wrong.
    fn with<E: Error>(error: E, known: &str) -> E {
        let text = error.to_string();
        let is_of_the_form =
            !text.contains("expected internally tagged") && !text.contains("exactly 1 element");
        if is_of_the_form { error } else { E::custom(known) }
    }
}

/// How to see that a node answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ready {
    /// As soon as it runs.
    #[default]
    Started,
    /// It accepts connections there: `{ip}:{port.client}`.
    Tcp(String),
    /// A GET of this URL is answered with 2xx.
    Http(String),
    /// Its output holds this text.
    Log(String),
    /// This command ends with 0.
    Command(Vec<String>),
}

/// How to see whether a node leads: its answer, as JSON, is looked into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Leader {
    /// The URL asked.
    #[serde(default)]
    pub http: Option<String>,
    /// What is posted there; a GET without.
    #[serde(default)]
    pub post: Option<String>,
    /// The command asked, instead.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Where in the answer (RFC 6901) something stands that says who leads.
    pub leader: String,
    /// It leads if that is this: a text with holes, or where else in the answer the same stands (`/header/member_id`).
    pub is: String,
    /// Where the term (epoch, view) stands.
    #[serde(default)]
    pub term: Option<String>,
}

/// How members are removed and added: shell commands that ask the other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Membership {
    /// Removes the node, or finds that it is no member.
    pub remove: String,
    /// Adds the node, or finds that it is a member.
    pub add: String,
    /// The program of a node that was added and its arguments; `cluster.command` if left out.
    #[serde(default)]
    pub command: Option<Vec<String>>,
}

/// Who speaks to the system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Client {
    /// A program of the user's, one process a client.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
        /// What it can be asked.
        #[serde(default = "kv")]
        capabilities: Vec<Offered>,
    },
    /// etcd's JSON gateway.
    Etcd {
        /// Where it listens: `{ip}:{port.client}`.
        #[serde(default = "etcd_address")]
        address: String,
        /// Whether reads go past the leader.
        #[serde(default)]
        serializable: bool,
    },
    /// Requests over HTTP, described one by one.
    Http(Box<HttpDescription>),
}

impl Client {
    /// What workloads can ask of it.
    pub fn capabilities(&self) -> Vec<Capability> {
        match self {
            Client::Exec { capabilities, .. } => {
                capabilities.iter().map(|offered| offered.capability()).collect()
            }
            Client::Etcd { .. } => etcd::CAPABILITIES.to_vec(),
            Client::Http(http) => http.capabilities(),
        }
    }

    /// The headers that it sends, which may be secrets.
    fn headers(&self) -> impl Iterator<Item = (&String, &Secret)> {
        let http = if let Client::Http(http) = self { Some(http) } else { None };
        http.into_iter().flat_map(|http| &http.headers)
    }
}

/// What a client program can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offered {
    /// get, put, cas and delete.
    Kv,
    /// append.
    Append,
    /// peek.
    Peek,
    /// txn: several of those at once.
    Txn,
    /// lock and unlock.
    Lock,
    /// Each lock is granted under a fencing token.
    Fencing,
    /// publish and watch.
    Watch,
}

impl Offered {
    const ALL: [Offered; 7] = [
        Offered::Kv,
        Offered::Append,
        Offered::Peek,
        Offered::Txn,
        Offered::Lock,
        Offered::Fencing,
        Offered::Watch,
    ];

    /// All names.
    pub fn names() -> Vec<&'static str> {
        Offered::ALL.iter().map(|offered| offered.capability().name()).collect()
    }

    /// What has this name.
    pub fn named(name: &str) -> Option<Offered> {
        Offered::ALL.into_iter().find(|offered| offered.capability().name() == name)
    }

    /// The capability that workloads ask for.
    pub fn capability(self) -> Capability {
        match self {
            Offered::Kv => Capability::Kv,
            Offered::Append => Capability::Append,
            Offered::Peek => Capability::Peek,
            Offered::Txn => Capability::Txn,
            Offered::Watch => Capability::Watch,
            Offered::Lock => Capability::Lock,
            Offered::Fencing => Capability::Fencing,
        }
    }
}

fn kv() -> Vec<Offered> {
    vec![Offered::Kv]
}

fn etcd_address() -> String {
    "{ip}:{port.client}".into()
}

/// A description that cannot be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cluster.{key}: {what}")]
pub struct Absurd {
    /// The key at fault.
    pub key: String,
    /// Why, and what to do.
    pub what: String,
}

impl Description {
    /// Looks for what no node could be started with.
    pub fn check(&self) -> Result<(), Absurd> {
        let absurd = |key: &str, what: &str| Absurd { key: key.into(), what: what.into() };
        if self.external {
            self.check_external()?;
        } else if !self.addresses.is_empty() {
            return Err(absurd("addresses", "are those of an external cluster; say `external = true`"));
        } else if self.command.is_empty() && self.unit.is_none() {
            return Err(absurd("command", "names no program"));
        }
        self.check_units()?;
        if let Some(Membership { command: Some(command), .. }) = &self.membership
            && command.is_empty()
        {
            return Err(absurd("membership.command", "names no program"));
        }
        if let Some((name, _)) =
            self.node.iter().find(|(_, own)| own.command.as_ref().is_some_and(Vec::is_empty))
        {
            return Err(absurd(&format!("node.{name}.command"), "names no program"));
        }
        if self.stop.as_ref().is_some_and(Vec::is_empty) {
            return Err(absurd("stop", "names no program"));
        }
        if let Client::Exec { command, .. } = &self.client
            && command.is_empty()
        {
            return Err(absurd("client.command", "names no program"));
        }
        if let Client::Http(http) = &self.client {
            http.check()?;
        }
        if let Some(leader) = &self.leader
            && leader.http.is_some() == leader.command.is_some()
        {
            return Err(absurd("leader", "say either `http` or `command`"));
        }
        let named = self.files.keys().map(|name| ("files", name));
        for (key, name) in named.chain(self.upload.keys().map(|name| ("upload", name))) {
            if name.is_empty()
                || !Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
            {
                return Err(absurd(key, &format!("`{name}` leads out of the node's folder")));
            }
        }
        for (key, text) in self.texts() {
            self.template(text).map_err(|error| Absurd { key, what: error.to_string() })?;
        }
        Ok(())
    }

    /// Looks for what makes no sense where nodes are units of systemd.
    fn check_units(&self) -> Result<(), Absurd> {
        let absurd = |key: &str, what: &str| Err(Absurd { key: key.into(), what: what.into() });
        if self.unit.is_some() && !self.command.is_empty() {
            return absurd("unit", "a node is a unit or a `command`: leave one out");
        }
        for (name, own) in &self.node {
            if own.unit.is_some() && own.command.is_some() {
                return absurd(
                    &format!("node.{name}.unit"),
                    "a node is a unit or a `command`: leave one out",
                );
            }
            if self.unit_of(name).is_some() && !own.env.is_empty() {
                return absurd(&format!("node.{name}.env"), OWN_FILE);
            }
        }
        if !self.has_units() {
            return Ok(());
        }
        if self.hosts.is_none() {
            let what = "units of systemd are run on hosts over SSH only, where they can be given back as they \
                        were: name them in `hosts`, or say `command`";
            return absurd(if self.unit.is_some() { "unit" } else { "node" }, what);
        }
        let theirs =
            [("env", !self.env.is_empty()), ("user", self.user.is_some()), ("stop", self.stop.is_some())];
        if let Some((key, _)) = theirs.into_iter().find(|(_, is_said)| *is_said) {
            return absurd(key, OWN_FILE);
        }
        if self.membership.is_some() {
            return absurd(
                "membership",
                "who leaves loses its data, and where a unit has that is not known here",
            );
        }
        match self.ready {
            Ready::Log(_) => {
                absurd("ready.log", "a unit writes into the journal: say `tcp`, `http` or `command`")
            }
            _ => Ok(()),
        }
    }

    /// Looks for what makes no sense where somebody else runs the nodes.
    fn check_external(&self) -> Result<(), Absurd> {
        let absurd = |key: &str, what: String| Err(Absurd { key: key.into(), what });
        let ours = [
            ("command", !self.command.is_empty()),
            ("unit", self.unit.is_some()),
            ("env", !self.env.is_empty()),
            ("node", !self.node.is_empty()),
            ("user", self.user.is_some()),
            ("stop", self.stop.is_some()),
            ("membership", self.membership.is_some()),
            ("ready.log", matches!(self.ready, Ready::Log(_))),
        ];
        if let Some((key, _)) = ours.into_iter().find(|(_, is_said)| *is_said) {
            return absurd(key, "somebody else runs the nodes of an external cluster: leave it out".into());
        }
        if self.addresses.is_empty() {
            return absurd(
                "addresses",
                "say where each node is: `addresses = { n1 = \"127.0.0.1:2379\" }`".into(),
            );
        }
        if self.wipe == Wipe::Said(true) {
            return absurd("wipe", "say how: a list of shell commands, run for each node".into());
        }
        match self.addresses.iter().find(|(_, address)| split(address).is_none()) {
            Some((name, address)) => {
                absurd(&format!("addresses.{name}"), format!("`{address}` is no address: write `host:port`"))
            }
            None => Ok(()),
        }
    }

    /// Host and port of a node that somebody else runs.
    pub fn address(&self, node: &str) -> Option<(String, u16)> {
        self.addresses.get(node).and_then(|address| split(address))
    }

    /// The ports of a node. The one that an address names is that of its clients.
    pub fn ports_of(&self, node: &str) -> BTreeMap<String, u16> {
        let mut ports = self.ports.clone();
        ports.extend(self.address(node).map(|(_, port)| (CLIENT.to_owned(), port)));
        ports
    }

    /// Whether what earlier trials or other people left is still there when the trial begins.
    pub fn is_unwiped(&self) -> bool {
        (self.external || self.has_units()) && self.wipe.steps().is_empty()
    }

    /// The unit of systemd that a node is, with its holes; `None`: it is a program.
    pub fn unit_of(&self, node: &str) -> Option<&str> {
        let own = self.node.get(node);
        match own.is_some_and(|own| own.command.is_some()) {
            true => None,
            false => own.and_then(|own| own.unit.as_ref()).or(self.unit.as_ref()).map(String::as_str),
        }
    }

    /// Whether any node is a unit of systemd.
    pub fn has_units(&self) -> bool {
        self.unit.is_some() || self.node.values().any(|own| own.unit.is_some())
    }

    /// The program of a node and its arguments.
    pub fn command_of(&self, node: &str) -> &[String] {
        self.node.get(node).and_then(|own| own.command.as_ref()).unwrap_or(&self.command)
    }

    /// What is added to a node's environment.
    pub fn env_of(&self, node: &str) -> BTreeMap<&str, &Secret> {
        let own = self.node.get(node).map(|own| &own.env);
        self.env.iter().chain(own.into_iter().flatten()).map(|(name, value)| (name.as_str(), value)).collect()
    }

    /// All variables of the environment that stand for secrets, each with its key.
    pub fn secrets(&self) -> Vec<(String, &str)> {
        let common = self.env.iter().map(|(name, secret)| (format!("env.{name}"), secret));
        let own = self.node.iter().flat_map(|(node, own)| {
            own.env.iter().map(move |(name, secret)| (format!("node.{node}.env.{name}"), secret))
        });
        let headers = self.client.headers().map(|(name, secret)| (format!("client.headers.{name}"), secret));
        let all = common.chain(own).chain(headers).filter_map(|(key, secret)| match secret {
            Secret::Env { env } => Some((key, env.as_str())),
            Secret::Plain(_) => None,
        });
        all.collect()
    }

    /// The same, as a plan keeps it: what other files hold is in it, and `folder` is where the campaign lies.
    pub fn settled(mut self, folder: &Path) -> Result<Description, Absurd> {
        if !self.campaign.is_empty() {
            let what = "is where the file lies: leave it out".into();
            return Err(Absurd { key: "campaign".into(), what });
        }
        self.campaign = folder.to_string_lossy().into_owned();
        for (name, from) in &self.upload {
            let path = folder.join(from);
            std::fs::metadata(&path).map_err(|error| Absurd {
                key: format!("upload.{name}"),
                what: format!("{}: {error}", path.display()),
            })?;
        }
        for (name, content) in &mut self.files {
            if let Content::File { file } = content {
                let path = folder.join(file);
                let copy = std::fs::read_to_string(&path).map_err(|error| Absurd {
                    key: format!("files.{name}"),
                    what: format!("{}: {error}", path.display()),
                })?;
                *content = Content::Copy { copy };
            }
        }
        Ok(self)
    }

    /// A text of this description, read.
    pub fn template(&self, text: &str) -> Result<Template, TemplateError> {
        let mut ports: Vec<&str> = self.ports.keys().map(String::as_str).collect();
        // The port of a node's address is that of its clients.
        ports.extend(self.external.then_some(CLIENT));
        Template::parse(text, &ports)
    }

    /// A checked text of this description, filled for one of these nodes.
    pub fn fill(&self, text: &str, me: usize, nodes: &[Facts]) -> String {
        self.template(text).map_or_else(|_| text.to_owned(), |template| template.fill(me, nodes))
    }

    /// All texts with holes, each with its key.
    fn texts<'d>(&'d self) -> Vec<(String, &'d str)> {
        let mut texts: Vec<(String, &str)> = Vec::new();
        let mut add = |key: String, text: &'d str| texts.push((key, text));
        self.command.iter().for_each(|text| add("command".into(), text));
        self.unit.iter().for_each(|text| add("unit".into(), text));
        self.install.iter().for_each(|text| add("install".into(), text));
        for (name, content) in &self.files {
            if let Content::Text(text) = content {
                add(format!("files.{name}"), text);
            }
        }
        self.stop.iter().flatten().for_each(|text| add("stop".into(), text));
        self.wipe.steps().iter().for_each(|text| add("wipe".into(), text));
        self.logs.iter().for_each(|text| add("logs".into(), text));
        let mut add_env = |prefix: &str, env: &'d BTreeMap<String, Secret>| {
            for (name, secret) in env {
                if let Secret::Plain(text) = secret {
                    add(format!("{prefix}env.{name}"), text);
                }
            }
        };
        add_env("", &self.env);
        for (node, own) in &self.node {
            add_env(&format!("node.{node}."), &own.env);
        }
        for (node, own) in &self.node {
            own.command.iter().flatten().for_each(|text| add(format!("node.{node}.command"), text));
            own.unit.iter().for_each(|text| add(format!("node.{node}.unit"), text));
        }
        match &self.ready {
            Ready::Started | Ready::Log(_) => {}
            Ready::Tcp(text) => add("ready.tcp".into(), text),
            Ready::Http(text) => add("ready.http".into(), text),
            Ready::Command(command) => command.iter().for_each(|text| add("ready.command".into(), text)),
        }
        if let Some(leader) = &self.leader {
            leader.http.iter().for_each(|text| add("leader.http".into(), text));
            leader.command.iter().flatten().for_each(|text| add("leader.command".into(), text));
            add("leader.is".into(), &leader.is);
        }
        if let Some(Membership { remove, add: again, command }) = &self.membership {
            add("membership.remove".into(), remove);
            add("membership.add".into(), again);
            command.iter().flatten().for_each(|text| add("membership.command".into(), text));
        }
        match &self.client {
            Client::Exec { command, .. } => {
                command.iter().for_each(|text| add("client.command".into(), text))
            }
            Client::Etcd { address, .. } => add("client.address".into(), address),
            Client::Http(http) => add("client.address".into(), &http.address),
        }
        for (name, secret) in self.client.headers() {
            if let Secret::Plain(text) = secret {
                add(format!("client.headers.{name}"), text);
            }
        }
        texts
    }
}

/// Why nothing is said here that a unit's own file says.
const OWN_FILE: &str = "a unit of systemd says that in its own file (`systemctl edit UNIT`): leave it out";

/// What the port is called that a node's address names.
const CLIENT: &str = "client";

/// Host and port; the host of IPv6 without its brackets.
fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port() {
        assert_eq!(split("127.0.0.1:2379"), Some(("127.0.0.1".into(), 2379)));
        assert_eq!(split("[::1]:80"), Some(("::1".into(), 80)));
        for no in ["", "localhost", ":80", "a:", "a:0", "a:99999", "a:b"] {
            assert_eq!(split(no), None, "{no}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_told_the_forms_there_are() {
        let refused = |text: &str| serde_json::from_str::<Description>(text).unwrap_err().to_string();
        let with =
            |ready: &str, client: &str| refused(&format!(r#"{{ "ready": {ready}, "client": {client} }}"#));
        let etcd = r#"{ "kind": "etcd" }"#;
        assert!(with(r#"{ "tcp": "x" }"#, r#""etcd""#).contains("as in { kind = \"etcd\" }"));
        // What is of the form keeps its own words.
        assert!(with(r#""up""#, etcd).contains("unknown variant `up`"));
        assert!(with(r#"{ "tcp": "x" }"#, r#"{ "kind": "etcd", "foo": 1 }"#).contains("unknown field `foo`"));
        let table = "client = { kind = \"etcd\" }\nready = { tcp = \"x\", within = \"5s\" }";
        assert!(toml::from_str::<Description>(table).unwrap_err().to_string().contains("one of { tcp"));
    }
}
