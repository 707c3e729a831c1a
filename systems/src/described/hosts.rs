//! Hosts that are reached over SSH, as `hosts` and `ssh` of `[cluster]` describe them.

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The hosts, each with the name of its node, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(pub Vec<(String, Place)>);

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Place {
    /// Its address, its name, or what OpenSSH's configuration calls it.
    pub host: String,
    /// Who we are there; otherwise as `ssh` or OpenSSH's configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where its SSH server listens; otherwise as `ssh` or OpenSSH's configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The address that its peers and clients use, if that is another: `{ip}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// How hosts are reached, all in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ssh {
    /// Who we are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where their SSH servers listen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Our private key: a path from the campaign's folder, or from our home with `~/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// What the key is locked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Variable>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Variable>,
    /// OpenSSH's configuration, if not `~/.ssh/config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// Where the keys of hosts are kept, if not in `~/.ssh/known_hosts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts_file: Option<PathBuf>,
    /// What is done with the key of a host that nobody has vouched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<Trust>,
    /// The host through which they are reached: `user@host:port`; several, one after the other, by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    /// Whether to act as root there, by `sudo -n`.
    pub sudo: bool,
    /// Whether the hosts' own clocks may be set wrong by clock faults; otherwise those of the nodes' processes are.
    pub host_clock: bool,
    /// The folder on the hosts that holds all that we put there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// A secret, by the name of the variable of our own environment that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The variable.
    pub env: String,
}

/// What is done with the key of a host that nobody has vouched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// It is refused.
    #[default]
    Check,
    /// It is accepted once and kept; a changed one is refused.
    AcceptNew,
    /// Any key is accepted.
    Off,
}

impl Hosts {
    /// Where this node is.
    pub fn place(&self, node: &str) -> Option<&Place> {
        self.0.iter().find(|(name, _)| name == node).map(|(_, place)| place)
    }
}

impl Place {
    /// What its peers and clients call it.
    pub fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.host)
    }
}

impl FromStr for Place {
    type Err = String;

    /// Reads `user@host:port`, of which only the host must be there; an IPv6 address with a port stands in brackets.
    fn from_str(text: &str) -> Result<Place, String> {
        let wrong = |what: &str| format!("`{text}` {what}: write user@host:port");
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[').map(|inner| inner.split_once(']')) {
            Some(None) => return Err(wrong("never closes its bracket")),
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, port))) => (host, Some(port.strip_prefix(':').ok_or(wrong("has no `:`"))?)),
            None if rest.matches(':').count() == 1 => {
                rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
            }
            // No port, or a bare IPv6 address.
            None => (rest, None),
        };
        let port = port.map(|port| match port.parse::<u16>() {
            Ok(0) | Err(_) => Err(wrong("has no port that can be")),
            Ok(port) => Ok(port),
        });
        let is_absurd = |word: &str| {
            word.is_empty() || word.starts_with('-') || word.contains(|c: char| c.is_whitespace() || c == '/')
        };
        if is_absurd(host) || user.as_deref().is_some_and(is_absurd) {
            return Err(wrong("names no host"));
        }
        Ok(Place { host: host.into(), user, port: port.transpose()?, address: None })
    }
}

impl Serialize for Hosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, place) in &self.0 {
            map.serialize_entry(name, place)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hosts, D::Error> {
        deserializer.deserialize_any(AnyHosts)
    }
}

struct AnyHosts;

impl<'de> Visitor<'de> for AnyHosts {
    type Value = Hosts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hosts by the names of their nodes, or a list of hosts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hosts, A::Error> {
        let mut hosts = vec![];
        while let Some((name, AnyPlace(place))) = map.next_entry()? {
            hosts.push((name, place));
        }
        Ok(Hosts(hosts))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Hosts, A::Error> {
        let mut hosts = vec![];
        while let Some(AnyPlace(place)) = items.next_element()? {
            hosts.push((format!("n{}", hosts.len() + 1), place));
        }
        Ok(Hosts(hosts))
    }
}

/// A place as text or as a table.
struct AnyPlace(Place);

impl<'de> Deserialize<'de> for AnyPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AnyPlace, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Place;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"user@host:port\" or a table with `host`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Place, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Place, A::Error> {
                Place::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(Either).map(AnyPlace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, user: Option<&str>, port: Option<u16>) -> Place {
        Place { host: host.into(), user: user.map(str::to_owned), port, address: None }
    }

    #[test]
    fn a_place_reads_as_it_is_written() {
        for (text, expect) in [
            ("n1", place("n1", None, None)),
            ("root@10.0.0.1:2222", place("10.0.0.1", Some("root"), Some(2222))),
            ("[::1]:22", place("::1", None, Some(22))),
            ("me@fe80::1", place("fe80::1", Some("me"), None)),
        ] {
            assert_eq!(text.parse(), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in
            ["", "@n1", "me@", "n1:", "n1:0", "n1:x", "n1:70000", "[::1", "[::1]22", "a b", "-oProxy=x"]
        {
            let why = text.parse::<Place>().expect_err(text);
            assert!(why.contains("user@host:port"), "{why}");
        }
    }

    #[test]
    fn hosts_are_a_table_or_a_list_and_survive_a_plan() {
        let json = r#"["a", {"host": "b", "address": "10.0.0.2"}]"#;
        let hosts: Hosts = serde_json::from_str(json).expect("a list");
        assert_eq!(hosts.place("n2").map(Place::address), Some("10.0.0.2"));
        let again: Hosts =
            serde_json::from_str(&serde_json::to_string(&hosts).expect("plain")).expect("a map");
        assert_eq!(again, hosts);
        let wrong = serde_json::from_str::<Hosts>(r#"{"n1": {"host": "b", "colour": 1}}"#);
        assert!(wrong.expect_err("no such key").to_string().contains("colour"));
        assert!(
            serde_json::from_str::<Hosts>("[7]").expect_err("a number").to_string().contains("user@host")
        );
    }

    #[test]
    fn a_secret_is_a_reference_and_nothing_else() {
        let ssh = serde_json::from_str::<Ssh>(r#"{"password": {"env": "P"}, "known-hosts": "accept-new"}"#);
        assert_eq!(ssh.expect("a reference").known_hosts, Some(Trust::AcceptNew));
        assert!(serde_json::from_str::<Ssh>(r#"{"password": "secret"}"#).is_err());
    }
}
