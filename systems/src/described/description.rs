//! A system as its user describes it: `[cluster]` of a campaign file.

use super::hosts::{Hosts, Ssh};
use super::template::{Facts, Template, TemplateError};
use crate::etcd;
use elenchus_core::client::Capability;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// `[cluster]`: programs of the user's own, one a node, on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Description {
    /// The program of a node (absolute, or to be found in `PATH`) and its arguments.
    pub command: Vec<String>,
    /// Added to the environment.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// Ports that the node listens on. Each node has an address of its own, so the numbers are the same on all.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// Files written into the node's working folder before its first start.
    #[serde(default)]
    pub files: BTreeMap<String, Content>,
    /// Shell commands run in the node's working folder before its first start.
    #[serde(default)]
    pub install: Vec<String>,
    /// How to see that the node answers.
    #[serde(default)]
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
}

impl Offered {
    /// The capability that workloads ask for.
    pub fn capability(self) -> Capability {
        match self {
            Offered::Kv => Capability::Kv,
            Offered::Append => Capability::Append,
            Offered::Peek => Capability::Peek,
            Offered::Txn => Capability::Txn,
            Offered::Lock => Capability::Lock,
            Offered::Fencing => Capability::Fencing,
        }
    }
}

impl Client {
    /// What workloads can ask of it.
    pub fn capabilities(&self) -> Vec<Capability> {
        match self {
            Client::Exec { capabilities, .. } => capabilities.iter().map(|one| one.capability()).collect(),
            Client::Etcd { .. } => etcd::CAPABILITIES.to_vec(),
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
        if self.command.is_empty() {
            return Err(absurd("command", "names no program"));
        }
        if let Some(Membership { command: Some(command), .. }) = &self.membership
            && command.is_empty()
        {
            return Err(absurd("membership.command", "names no program"));
        }
        if let Client::Exec { command, .. } = &self.client
            && command.is_empty()
        {
            return Err(absurd("client.command", "names no program"));
        }
        if let Some(leader) = &self.leader
            && leader.http.is_some() == leader.command.is_some()
        {
            return Err(absurd("leader", "say either `http` or `command`"));
        }
        for name in self.files.keys() {
            if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(absurd("files", &format!("`{name}` leads out of the node's folder")));
            }
        }
        for (key, text) in self.texts() {
            self.template(text).map_err(|error| Absurd { key, what: error.to_string() })?;
        }
        Ok(())
    }

    /// The same, as a plan keeps it: what other files hold is in it, and `folder` is where the campaign lies.
    pub fn settled(mut self, folder: &Path) -> Result<Description, Absurd> {
        if !self.campaign.is_empty() {
            let what = "is where the file lies: leave it out".into();
            return Err(Absurd { key: "campaign".into(), what });
        }
        self.campaign = folder.to_string_lossy().into_owned();
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
        let ports: Vec<&str> = self.ports.keys().map(String::as_str).collect();
        Template::parse(text, &ports)
    }

    /// A checked text of this description, filled for one of these nodes.
    pub fn fill(&self, text: &str, me: usize, nodes: &[Facts]) -> String {
        self.template(text).map_or_else(|_| text.to_owned(), |template| template.fill(me, nodes))
    }

    /// All texts with holes, each with its key.
    fn texts(&self) -> Vec<(String, &str)> {
        let mut texts: Vec<(String, &str)> = Vec::new();
        let mut add = |key: String, text| texts.push((key, text));
        self.command.iter().for_each(|text| add("command".into(), text));
        self.install.iter().for_each(|text| add("install".into(), text));
        for (name, content) in &self.files {
            if let Content::Text(text) = content {
                add(format!("files.{name}"), text);
            }
        }
        for (name, secret) in &self.env {
            if let Secret::Plain(text) = secret {
                add(format!("env.{name}"), text);
            }
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
        }
        texts
    }
}
