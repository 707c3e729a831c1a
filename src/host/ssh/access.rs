//! How one host is reached, every choice made: what the campaign says, then OpenSSH's configuration, then custom.
//!
//! Pure. No secret is in it: passwords are named by the variables that hold them, and read when they are used.

use super::config::{self, Config, Found};
use elenchus_core::process::NodeId;
use elenchus_systems::described::hosts::{Place, Ssh, Trust};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How many hosts may stand between us and a host.
const JUMPS_MAX: usize = 8;

/// How to reach one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Access {
    /// The node that the host bears; for a jump host the node beyond it.
    pub node: NodeId,
    /// Its name as the user gave it, under which its key is known unless that is an alias.
    pub host: String,
    /// Where its SSH server listens.
    pub port: u16,
    /// Who we are there.
    pub user: String,
    /// Private keys, the first to be tried first.
    pub keys: Vec<PathBuf>,
    /// Whether those were named by the user: then they come before the agent's.
    pub keys_are_named: bool,
    /// The variable that holds what the keys are locked with.
    pub passphrase: Option<String>,
    /// The variable that holds the password.
    pub password: Option<String>,
    /// Files that hold the keys of hosts; new ones are kept in the first.
    pub known_hosts: Vec<PathBuf>,
    /// What is done with keys that are not in them.
    pub trust: Trust,
    /// The host through which it is reached.
    pub jump: Option<Box<Access>>,
}

/// Where we are ourselves.
#[derive(Clone, Debug)]
pub struct Us<'a> {
    /// Our home.
    pub home: &'a Path,
    /// Our own name.
    pub user: &'a str,
    /// The folder of the campaign.
    pub folder: &'a Path,
}

impl Access {
    /// Makes every choice for the host of `node`.
    pub fn of(
        node: &NodeId,
        place: &Place,
        ssh: &Ssh,
        config: &Config,
        us: &Us<'_>,
    ) -> Result<Access, String> {
        let found = config.find(&place.host);
        let jump = match ssh.jump.as_ref().or(found.proxy_jump.as_ref()) {
            Some(jump) if jump.eq_ignore_ascii_case("none") => None,
            Some(jump) => Some(Box::new(via(node, jump, ssh, config, us, JUMPS_MAX)?)),
            None => None,
        };
        let place = Place {
            user: place.user.clone().or_else(|| ssh.user.clone()),
            port: place.port.or(ssh.port),
            ..place.clone()
        };
        Ok(reach(node, &place, ssh, found, us, jump))
    }
}

/// The last of the hosts in `list`, through those before it.
fn via(
    node: &NodeId,
    list: &str,
    ssh: &Ssh,
    config: &Config,
    us: &Us<'_>,
    left: usize,
) -> Result<Access, String> {
    if left == 0 {
        return Err(format!("more than {JUMPS_MAX} jump hosts stand before it: does one lead to itself?"));
    }
    let (before, last) = match list.rsplit_once(',') {
        Some((before, last)) => (Some(before), last),
        None => (None, list),
    };
    let place: Place = last.trim().parse().map_err(|why| format!("the jump host {why}"))?;
    let found = config.find(&place.host);
    let beyond = before.or(found.proxy_jump.as_deref()).filter(|jump| !jump.eq_ignore_ascii_case("none"));
    let beyond = beyond.map(|list| via(node, list, ssh, config, us, left - 1)).transpose()?;
    Ok(reach(node, &place, ssh, found, us, beyond.map(Box::new)))
}

fn reach(
    node: &NodeId,
    place: &Place,
    ssh: &Ssh,
    found: Found,
    us: &Us<'_>,
    jump: Option<Box<Access>>,
) -> Access {
    let host = found.host_name.unwrap_or_else(|| place.host.clone());
    let user = place.user.clone().or(found.user).unwrap_or_else(|| us.user.to_owned());
    let is_named = ssh.key.is_some() || !found.identity_files.is_empty();
    let keys = match &ssh.key {
        Some(key) => vec![us.expanded(key)],
        None if is_named => {
            let fill = |file: &String| filled(file, &host, &user, us);
            found.identity_files.iter().map(fill).collect()
        }
        None => ["id_ed25519", "id_ecdsa", "id_rsa"].map(|key| us.home.join(".ssh").join(key)).to_vec(),
    };
    let known_hosts = match (&ssh.known_hosts_file, &found.known_hosts_files) {
        (Some(file), _) => vec![us.expanded(file)],
        (None, Some(files)) => files.iter().map(|file| filled(file, &host, &user, us)).collect(),
        (None, None) => ["known_hosts", "known_hosts2"].map(|file| us.home.join(".ssh").join(file)).to_vec(),
    };
    let trust = ssh.known_hosts.unwrap_or(match found.trust.unwrap_or_default() {
        config::Trust::Check => Trust::Check,
        config::Trust::AcceptNew => Trust::AcceptNew,
        config::Trust::Off => Trust::Off,
    });
    Access {
        node: node.clone(),
        port: place.port.or(found.port).unwrap_or(22),
        host,
        user,
        keys,
        keys_are_named: is_named,
        passphrase: ssh.passphrase.as_ref().map(|variable| variable.env.clone()),
        password: ssh.password.as_ref().map(|variable| variable.env.clone()),
        known_hosts,
        trust,
        jump,
    }
}

impl Us<'_> {
    /// A path of the campaign's: from our home with `~/`, otherwise from the campaign's folder.
    pub fn expanded(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.home.join(rest),
            Err(_) => self.folder.join(path),
        }
    }
}

/// A path of OpenSSH's: `~`, and the holes that can matter.
fn filled(path: &str, host: &str, user: &str, us: &Us<'_>) -> PathBuf {
    let home = us.home.to_string_lossy();
    let holes = [("%d", &*home), ("%h", host), ("%r", user), ("%u", us.user), ("%%", "%")];
    let text = holes.iter().fold(path.to_owned(), |text, (hole, value)| text.replace(hole, value));
    match text.strip_prefix("~/") {
        Some(rest) => us.home.join(rest),
        None => us.home.join(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us() -> Us<'static> {
        Us { home: Path::new("/home/me"), user: "me", folder: Path::new("/campaign") }
    }

    fn access(place: &str, ssh: &Ssh, config: &str) -> Result<Access, String> {
        let config = Config::parse(config).expect("it is well written");
        Access::of(&NodeId::new("n1"), &place.parse().expect("a place"), ssh, &config, &us())
    }

    #[test]
    fn without_a_word_custom_decides() {
        let access = access("n1", &Ssh::default(), "").expect("it is complete");
        assert_eq!((access.host.as_str(), access.port, access.user.as_str()), ("n1", 22, "me"));
        assert_eq!(access.keys[0], Path::new("/home/me/.ssh/id_ed25519"));
        assert!(!access.keys_are_named && access.jump.is_none());
        assert_eq!(
            (access.trust, access.known_hosts[0].as_path()),
            (Trust::Check, Path::new("/home/me/.ssh/known_hosts"))
        );
    }

    #[test]
    fn the_place_wins_over_the_campaign_and_that_over_the_configuration() {
        let config =
            "Host n1\nHostName 10.0.0.1\nUser config\nPort 3\nIdentityFile ~/%r\nStrictHostKeyChecking no";
        let plain = access("n1", &Ssh::default(), config).expect("it is complete");
        assert_eq!((plain.host.as_str(), plain.user.as_str(), plain.port), ("10.0.0.1", "config", 3));
        assert_eq!((plain.keys, plain.trust), (vec![PathBuf::from("/home/me/config")], Trust::Off));
        let ssh = Ssh {
            user: Some("ssh".into()),
            port: Some(2),
            key: Some("key".into()),
            known_hosts: Some(Trust::Check),
            ..Ssh::default()
        };
        let said = access("n1", &ssh, config).expect("it is complete");
        assert_eq!((said.user.as_str(), said.port, said.trust), ("ssh", 2, Trust::Check));
        assert_eq!(said.keys, [PathBuf::from("/campaign/key")]);
        let placed = access("place@n1:1", &ssh, config).expect("it is complete");
        assert_eq!((placed.user.as_str(), placed.port), ("place", 1));
    }

    #[test]
    fn jump_hosts_stand_in_a_row() {
        let config = "Host *.inner\nProxyJump gate\nHost gate\nUser keeper\nPort 2200\nProxyJump outer";
        let access = access("n1.inner", &Ssh::default(), config).expect("it is complete");
        let gate = access.jump.expect("a jump host");
        assert_eq!((gate.host.as_str(), gate.user.as_str(), gate.port), ("gate", "keeper", 2200));
        assert_eq!(gate.jump.map(|outer| outer.host), Some("outer".into()));
        let listed = Ssh { jump: Some("a@b:1, c".into()), ..Ssh::default() };
        let c = super::Access::of(
            &NodeId::new("n1"),
            &"n1".parse().expect("a place"),
            &listed,
            &Config::default(),
            &us(),
        )
        .expect("it is complete")
        .jump
        .expect("a jump host");
        assert_eq!((c.host.as_str(), c.jump.map(|b| (b.user, b.port))), ("c", Some(("a".into(), 1))));
    }

    #[test]
    fn jump_hosts_that_lead_in_a_ring_are_refused() {
        let refused = access("a", &Ssh::default(), "Host a\nProxyJump b\nHost b\nProxyJump b");
        assert!(refused.expect_err("a ring").contains("lead to itself"));
        let none = access("a", &Ssh { jump: Some("none".into()), ..Ssh::default() }, "ProxyJump b");
        assert_eq!(none.expect("it is complete").jump, None);
    }
}
