//! OpenSSH's client configuration, the part of it that says where a host is, who we are there, what may be trusted.
//!
//! As `ssh_config(5)` has it, the first value found holds; `IdentityFile` gathers. Keywords that say nothing
//! about that are passed over. `Match` blocks hold if they say `all`, or `host` and `originalhost` alone; others
//! depend on more than a name and are passed over. Deliberately absent: `Include`, certificates.

use super::pattern::list_matches;

/// A configuration, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    when: When,
    settings: Vec<Setting>,
}

/// For which hosts a block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum When {
    Host(Vec<String>),
    Always,
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Setting {
    HostName(String),
    User(String),
    Port(u16),
    IdentityFile(String),
    ProxyJump(String),
    UserKnownHostsFile(Vec<String>),
    StrictHostKeyChecking(Trust),
}

/// What is done with the key of a host that nobody has vouched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It is refused.
    #[default]
    Check,
    /// It is accepted once and kept; a changed one is refused.
    AcceptNew,
    /// Any key is accepted.
    Off,
}

/// What a configuration says of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its true name or address.
    pub host_name: Option<String>,
    /// Who we are there.
    pub user: Option<String>,
    /// Where its server listens.
    pub port: Option<u16>,
    /// Our keys, the first to be tried first.
    pub identity_files: Vec<String>,
    /// The host through which it is reached.
    pub proxy_jump: Option<String>,
    /// Where the keys of hosts are kept.
    pub known_hosts_files: Option<Vec<String>>,
    /// What is done with keys that are not there.
    pub trust: Option<Trust>,
}

/// A line that cannot be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ConfigError {
    /// Which, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Config {
    /// Reads the text of a configuration.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let mut blocks = vec![Block { when: When::Always, settings: vec![] }];
        for (number, line) in text.lines().enumerate() {
            let wrong = |what| ConfigError { line: number + 1, what };
            let words = words(line).map_err(wrong)?;
            let Some((keyword, values)) = words.split_first() else { continue };
            match keyword.to_ascii_lowercase().as_str() {
                "host" if values.is_empty() => return Err(wrong("`Host` names no host".into())),
                "host" => blocks.push(Block { when: When::Host(values.to_vec()), settings: vec![] }),
                "match" => blocks.push(Block { when: criteria(values), settings: vec![] }),
                lower => {
                    let setting = setting(lower, keyword, values).map_err(wrong)?;
                    blocks.last_mut().expect("there is a first one").settings.extend(setting);
                }
            }
        }
        Ok(Config { blocks })
    }

    /// What it says of the host that the user calls `name`.
    pub fn find(&self, name: &str) -> Found {
        let mut found = Found::default();
        let holds = |when: &When| match when {
            When::Host(patterns) => list_matches(patterns.iter().map(String::as_str), name),
            When::Always => true,
            When::Never => false,
        };
        for setting in self.blocks.iter().filter(|block| holds(&block.when)).flat_map(|b| &b.settings) {
            match setting.clone() {
                Setting::HostName(name) => keep(&mut found.host_name, name),
                Setting::User(user) => keep(&mut found.user, user),
                Setting::Port(port) => keep(&mut found.port, port),
                Setting::IdentityFile(file) => found.identity_files.push(file),
                Setting::ProxyJump(jump) => keep(&mut found.proxy_jump, jump),
                Setting::UserKnownHostsFile(files) => keep(&mut found.known_hosts_files, files),
                Setting::StrictHostKeyChecking(trust) => keep(&mut found.trust, trust),
            }
        }
        found.host_name = found.host_name.map(|host| host.replace("%h", name).replace("%%", "%"));
        found
    }
}

/// The first value holds.
fn keep<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

/// Whether a `Match` can be judged by a name alone.
fn criteria(words: &[String]) -> When {
    match words {
        [all] if all.eq_ignore_ascii_case("all") => When::Always,
        [what, patterns] if ["host", "originalhost"].contains(&what.to_ascii_lowercase().as_str()) => {
            When::Host(patterns.split(',').map(str::to_owned).collect())
        }
        _ => When::Never,
    }
}

/// What a keyword sets; `None` if it is not about that.
fn setting(lower: &str, keyword: &str, values: &[String]) -> Result<Option<Setting>, String> {
    let known = [
        "hostname",
        "user",
        "port",
        "identityfile",
        "proxyjump",
        "userknownhostsfile",
        "stricthostkeychecking",
    ];
    if !known.contains(&lower) {
        return Ok(None);
    }
    let value = values.first().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| format!("`{keyword}` has no value"))?.clone();
    if values.len() > 1 && lower != "userknownhostsfile" {
        return Err(format!("`{keyword}` takes one value; quote it if it holds a space"));
    }
    Ok(Some(match lower {
        "hostname" => Setting::HostName(value),
        "user" => Setting::User(value),
        "port" => Setting::Port(port(&value)?),
        "identityfile" => Setting::IdentityFile(value),
        "proxyjump" => Setting::ProxyJump(value),
        "userknownhostsfile" => Setting::UserKnownHostsFile(values.to_vec()),
        _ => Setting::StrictHostKeyChecking(match value.to_ascii_lowercase().as_str() {
            // We cannot ask the user: nobody may be there.
            "yes" | "ask" => Trust::Check,
            "accept-new" => Trust::AcceptNew,
            "no" | "off" => Trust::Off,
            _ => return Err(format!("`{keyword}` is yes, ask, accept-new, no or off; not `{value}`")),
        }),
    }))
}

/// A port's number.
pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is no port: 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

/// The words of a line: divided by blanks, the first also by one `=`; quotes hold blanks together; `#` begins a
/// comment where a word could begin.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = vec![];
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').ok_or("a quote is never closed")?;
            words.push(word.to_owned());
            rest = after;
        } else {
            let is_first = words.is_empty();
            let end = rest.find(|c: char| c.is_whitespace() || (is_first && c == '=')).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        rest = rest.trim_start();
        if words.len() == 1
            && let Some(after) = rest.strip_prefix('=')
        {
            rest = after.trim_start();
        }
    }
    if words.first().is_some_and(String::is_empty) {
        return Err("it begins with no keyword".into());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
User everybody
Host n1 n2 !n9
  HostName=10.0.0.%h
  port 2222
  IdentityFile \"~/my keys/a\"   # the first
Host n*
\tUser second
  IdentityFile ~/b
  ProxyJump admin@gate:2200
  UserKnownHostsFile /a /b
  ServerAliveInterval 5
Match host n2,n3
  StrictHostKeyChecking accept-new
Match exec \"true\"
  Port 1
Match all
  StrictHostKeyChecking no
";

    #[test]
    fn the_first_value_holds_and_keys_gather() {
        let config = Config::parse(TEXT).expect("it is well written");
        let n1 = config.find("n1");
        assert_eq!(n1.host_name.as_deref(), Some("10.0.0.n1"));
        assert_eq!((n1.user.as_deref(), n1.port), (Some("everybody"), Some(2222)));
        assert_eq!(n1.identity_files, ["~/my keys/a", "~/b"]);
        assert_eq!(n1.proxy_jump.as_deref(), Some("admin@gate:2200"));
        assert_eq!(n1.known_hosts_files, Some(vec!["/a".to_owned(), "/b".to_owned()]));
        assert_eq!(n1.trust, Some(Trust::Off));
        assert_eq!(config.find("n2").trust, Some(Trust::AcceptNew));
        assert_eq!(config.find("n9").port, None);
        assert_eq!(config.find("other").identity_files, Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for (text, word) in [
            ("\nPort ssh", "`ssh` is no port"),
            ("\nPort 0", "is no port"),
            ("\nPort 65536", "is no port"),
            ("\nUser", "no value"),
            ("\nUser \"\"", "no value"),
            ("\nUser a b", "one value"),
            ("\nIdentityFile \"a", "never closed"),
            ("\nHost", "no host"),
            ("\n= x", "no keyword"),
            ("\nStrictHostKeyChecking perhaps", "perhaps"),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.line == 2 && error.what.contains(word), "{text:?}: {error}");
        }
    }

    #[test]
    fn garbage_neither_panics_nor_names_a_host() {
        for text in ["\0\u{1}\u{2}", "====", "Host \u{fffd}", "Match", "Match host", "\"\"", "é = ü", "#"] {
            if let Ok(config) = Config::parse(text) {
                assert_eq!(config.find("n1"), Found::default(), "{text:?}");
            }
        }
    }
}
