//! OpenSSH's `known_hosts`: which host has which key, as somebody has vouched for.
//!
//! Pure: text in, judgement out. Names may be plain, patterns, with a port (`[host]:2222`) or hashed; keys may be
//! revoked. As with OpenSSH, a host that is known by other keys only has changed. Lines that cannot be read are
//! passed over, as OpenSSH does: they vouch for nobody. Certificates (`@cert-authority`) are not examined, so
//! they vouch for nobody either.

use super::pattern::list_matches;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

/// What is known of hosts' keys.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    is_revoked: bool,
    names: Names,
    key: Vec<u8>,
    /// The file and line it stands on, for people.
    place: String,
}

#[derive(Clone, Debug)]
enum Names {
    Patterns(Vec<String>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

/// What is known of the key that a host showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is this host's.
    Known,
    /// Nothing is known of this host.
    Unknown,
    /// The host is known by another key; where that stands.
    Changed(String),
    /// The key is revoked; where that stands.
    Revoked(String),
}

impl KnownHosts {
    /// Adds what a file holds.
    pub fn read(&mut self, text: &str, file: &str) {
        let lines = text.lines().enumerate();
        self.0.extend(lines.filter_map(|(n, line)| Entry::parse(line, format!("{file}:{}", n + 1))));
    }

    /// Judges the key (as it stands on the wire) that `host` showed.
    pub fn judge(&self, host: &str, port: u16, key: &[u8]) -> Judgement {
        let name = name(host, port);
        let of_host = || self.0.iter().filter(|entry| entry.names.mean(&name));
        if let Some(entry) = of_host().find(|entry| entry.is_revoked && entry.key == key) {
            return Judgement::Revoked(entry.place.clone());
        }
        let mut vouched = of_host().filter(|entry| !entry.is_revoked).peekable();
        let Some(first) = vouched.peek().map(|entry| entry.place.clone()) else { return Judgement::Unknown };
        match vouched.any(|entry| entry.key == key) {
            true => Judgement::Known,
            false => Judgement::Changed(first),
        }
    }

    /// The kinds of keys by which the host is known: it must be asked for those, for it may have others too.
    pub fn kinds(&self, host: &str, port: u16) -> Vec<String> {
        let name = name(host, port);
        let entries = self.0.iter().filter(|entry| !entry.is_revoked && entry.names.mean(&name));
        entries.filter_map(|entry| kind(&entry.key)).collect()
    }
}

/// The line that vouches for the key of a host.
pub fn line(host: &str, port: u16, key: &[u8]) -> Option<String> {
    Some(format!("{} {} {}\n", name(host, port), kind(key)?, STANDARD.encode(key)))
}

/// A host's name in the file.
fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// The kind of a key, which is the first text in it.
pub fn kind(key: &[u8]) -> Option<String> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let kind = rest.get(..u32::from_be_bytes(*length) as usize)?;
    String::from_utf8(kind.to_vec()).ok().filter(|kind| !kind.is_empty())
}

impl Entry {
    fn parse(line: &str, place: String) -> Option<Entry> {
        let mut words = line.split_ascii_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        let is_revoked = match marker {
            None => false,
            Some("@revoked") => true,
            Some(_) => return None,
        };
        let names = words.next().filter(|names| !names.starts_with('#'))?;
        let said = words.next()?;
        let key = STANDARD.decode(words.next()?).ok()?;
        // A key that is of another kind than the line says vouches for nothing.
        (kind(&key).as_deref() == Some(said)).then_some(())?;
        Some(Entry { is_revoked, names: Names::parse(names)?, key, place })
    }
}

impl Names {
    fn parse(text: &str) -> Option<Names> {
        match text.strip_prefix("|1|") {
            Some(hashed) => {
                let (salt, hash) = hashed.split_once('|')?;
                Some(Names::Hashed { salt: STANDARD.decode(salt).ok()?, hash: STANDARD.decode(hash).ok()? })
            }
            None if text.starts_with('|') => None,
            None => Some(Names::Patterns(text.split(',').map(str::to_owned).collect())),
        }
    }

    fn mean(&self, name: &str) -> bool {
        match self {
            Names::Patterns(patterns) => list_matches(patterns.iter().map(String::as_str), name),
            Names::Hashed { salt, hash } => hmac_sha1(salt, name.as_bytes()) == hash.as_slice(),
        }
    }
}

/// RFC 2104 with SHA-1, by which OpenSSH hides names. It guards no secret of ours.
fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..20].copy_from_slice(&Sha1::from(key).digest().bytes());
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let digest = |pad: u8, message: &[u8]| {
        let mut sha1 = Sha1::from(block.map(|byte| byte ^ pad));
        sha1.update(message);
        sha1.digest().bytes()
    };
    digest(0x5c, &digest(0x36, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, body: u8) -> Vec<u8> {
        let mut key = (kind.len() as u32).to_be_bytes().to_vec();
        key.extend(kind.as_bytes());
        key.extend([0, 0, 0, 1, body]);
        key
    }

    fn known(text: &str) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.read(text, "known_hosts");
        known
    }

    #[test]
    fn a_key_is_known_unknown_changed_or_revoked() {
        let (right, other) = (key("ssh-ed25519", 1), key("ssh-ed25519", 2));
        let text = line("N1", 22, &right).expect("it is a key");
        let known = known(&format!("# nobody\n\n{text}@revoked * ssh-ed25519 {}\n", STANDARD.encode(&other)));
        assert_eq!(known.judge("n1", 22, &right), Judgement::Known);
        assert_eq!(known.judge("n1", 22, &key("ssh-ed25519", 3)), Judgement::Changed("known_hosts:3".into()));
        assert_eq!(known.judge("n1", 22, &key("ssh-rsa", 1)), Judgement::Changed("known_hosts:3".into()));
        assert_eq!(known.judge("n1", 22, &other), Judgement::Revoked("known_hosts:4".into()));
        assert_eq!(known.judge("n2", 22, &right), Judgement::Unknown);
        assert_eq!(known.judge("n1", 2222, &right), Judgement::Unknown);
        assert_eq!(known.kinds("n1", 22), ["ssh-ed25519"]);
    }

    #[test]
    fn ports_patterns_and_lists_are_names() {
        let right = key("ssh-rsa", 1);
        let with = |names: &str| known(&format!("{names} ssh-rsa {}", STANDARD.encode(&right)));
        assert_eq!(line("n1", 2222, &right).expect("a key").split(' ').next(), Some("[n1]:2222"));
        assert_eq!(with("[n1]:2222").judge("n1", 2222, &right), Judgement::Known);
        assert_eq!(with("n2,10.0.0.*,!10.0.0.9").judge("10.0.0.1", 22, &right), Judgement::Known);
        assert_eq!(with("n2,10.0.0.*,!10.0.0.9").judge("10.0.0.9", 22, &right), Judgement::Unknown);
    }

    #[test]
    fn hashed_names_are_found() {
        // RFC 2202, test case 2, gives the hash; OpenSSH writes salt and hash in base64.
        assert_eq!(
            hmac_sha1(b"Jefe", b"what do ya want for nothing?")[..4],
            [0xef, 0xfc, 0xdf, 0x6a],
            "RFC 2202"
        );
        let right = key("ssh-rsa", 1);
        let (salt, hash) = (STANDARD.encode([7; 20]), STANDARD.encode(hmac_sha1(&[7; 20], b"[n1]:2222")));
        let known = known(&format!("|1|{salt}|{hash} ssh-rsa {}", STANDARD.encode(&right)));
        assert_eq!(known.judge("n1", 2222, &right), Judgement::Known);
        assert_eq!(known.judge("n1", 22, &right), Judgement::Unknown);
    }

    #[test]
    fn garbage_vouches_for_nobody() {
        let right = key("ssh-rsa", 1);
        let code = STANDARD.encode(&right);
        for text in [
            "n1",
            "n1 ssh-rsa",
            "n1 ssh-rsa !!!",
            &format!("n1 ssh-ed25519 {code}"),
            &format!("@cert-authority n1 ssh-rsa {code}"),
            &format!("@nonsense n1 ssh-rsa {code}"),
            &format!("|2|x|y ssh-rsa {code}"),
            &format!("|1|x ssh-rsa {code}"),
            &format!("#n1 ssh-rsa {code}"),
            "n1 ssh-rsa AAAA",
            "\0\u{fffd} \0 \0",
        ] {
            assert_eq!(known(text).judge("n1", 22, &right), Judgement::Unknown, "{text:?}");
        }
        assert_eq!((kind(b""), kind(&[0, 0, 0, 9, 1]), kind(&[255; 8])), (None, None, None));
    }
}
