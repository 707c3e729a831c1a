//! What a campaign's file says of a store that speaks HTTP: per operation a request, and how its answer reads.
//!
//! A description that no store could be asked by is refused before anything starts, by its key.

use super::hole::{Form, Holed, Word, name};
use crate::described::description::{Absurd, Secret};
use elenchus_core::client::Capability;
use elenchus_core::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `[cluster.client]` of kind `http`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpDescription {
    /// Where the node listens, with the node's holes: `{ip}:{port.client}`.
    #[serde(default = "address")]
    pub address: String,
    /// Sent with every request, with the node's holes; a secret by reference.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// What a key holds.
    #[serde(default)]
    pub get: Option<Exchange>,
    /// Sets a key.
    #[serde(default)]
    pub put: Option<Exchange>,
    /// Sets a key if it holds what it should.
    #[serde(default)]
    pub cas: Option<Exchange>,
    /// Removes a key.
    #[serde(default)]
    pub delete: Option<Exchange>,
    /// Adds text to what a key holds; without it, a get and a cas do it.
    #[serde(default)]
    pub append: Option<Exchange>,
}

/// One operation: what is sent, and what the answer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exchange {
    /// `GET`, `PUT`…
    pub method: String,
    /// Path and query; its holes are percent-escaped.
    pub path: String,
    /// A body of text; its holes are filled as they are.
    #[serde(default)]
    pub body: Option<String>,
    /// A body of JSON; its holes are filled with JSON values.
    #[serde(default)]
    pub json: Option<String>,
    /// Statuses that say that it is done.
    #[serde(default = "ok")]
    pub ok: Vec<u16>,
    /// What must stand in such an answer as well.
    #[serde(default)]
    pub ok_when: Option<Sign>,
    /// Statuses that say that the store looked and declined.
    #[serde(default)]
    pub refused: Vec<u16>,
    /// What stands in an answer of status ok that is such a refusal.
    #[serde(default)]
    pub refused_when: Option<Sign>,
    /// Statuses that say that nothing was done, nor will be.
    #[serde(default)]
    pub not_done: Vec<u16>,
    /// Statuses that say that the key is not there.
    #[serde(default)]
    pub absent: Vec<u16>,
    /// Where the value stands in an answer of JSON (RFC 6901); without it, the answer's text is the value.
    #[serde(default)]
    pub value: Option<String>,
    /// Whether the value is in base64.
    #[serde(default)]
    pub base64: bool,
    /// Where the key's version stands in the answer, for a cas that names it.
    #[serde(default)]
    pub version: Option<String>,
    /// The version of a key that is not there.
    #[serde(default)]
    pub version_absent: Option<String>,
}

/// Something that stands in an answer of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sign {
    /// Where (RFC 6901); empty: the whole.
    pub at: String,
    /// What, as text; without it, anything.
    #[serde(default)]
    pub is: Option<String>,
}

fn address() -> String {
    "{ip}:{port.client}".into()
}

fn ok() -> Vec<u16> {
    vec![200]
}

/// An operation's texts, read.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub path: Holed,
    pub body: Option<Holed>,
    /// What the body is, unless a header says otherwise.
    pub kind: &'static str,
}

impl HttpDescription {
    /// What workloads can ask of it.
    pub fn capabilities(&self) -> Vec<Capability> {
        let kv = self.get.is_some() && self.put.is_some() && self.cas.is_some();
        if kv { vec![Capability::Kv, Capability::Append] } else { Vec::new() }
    }

    /// Looks for what no store could be asked by.
    pub fn check(&self) -> Result<(), Absurd> {
        for name in self.headers.keys() {
            header(name)?;
        }
        for (name, exchange) in self.exchanges() {
            let refuse = |(key, what): Refused| Absurd { key: format!("client.{name}.{key}"), what };
            exchange.check(name).map_err(refuse)?;
        }
        if self.capabilities().is_empty() {
            let what = "describe get, put and cas: no workload does with less".into();
            return Err(Absurd { key: "client".into(), what });
        }
        let by_version = self.cas.as_ref().is_some_and(|cas| cas.names(Word::Version));
        if by_version && self.get.as_ref().is_none_or(|get| get.version.is_none()) {
            let what = "`{version}` stands in cas: say where a get's answer has it".into();
            return Err(Absurd { key: "client.get.version".into(), what });
        }
        Ok(())
    }

    fn exchanges(&self) -> impl Iterator<Item = (&'static str, &Exchange)> {
        let all = [
            ("get", &self.get),
            ("put", &self.put),
            ("cas", &self.cas),
            ("delete", &self.delete),
            ("append", &self.append),
        ];
        all.into_iter().filter_map(|(name, exchange)| Some((name, exchange.as_ref()?)))
    }
}

/// The key at fault, and why.
type Refused = (&'static str, String);

impl Exchange {
    /// The texts; they are checked when a trial is planned.
    pub(super) fn texts(&self) -> Result<Texts, Refused> {
        let body = match (&self.body, &self.json) {
            (Some(_), Some(_)) => return Err(("json", "say either `body` or `json`".into())),
            (Some(text), None) => Some(Holed::parse(text, Form::Text).map_err(|why| ("body", why))?),
            (None, Some(json)) => Some(Holed::parse(json, Form::Json).map_err(|why| ("json", why))?),
            (None, None) => None,
        };
        let path = Holed::parse(&self.path, Form::Percent).map_err(|why| ("path", why))?;
        let kind = if self.json.is_some() { "application/json" } else { "text/plain" };
        Ok(Texts { path, body, kind })
    }

    /// Whether the request names this.
    pub(super) fn names(&self, word: Word) -> bool {
        self.texts().is_ok_and(|texts| texts.names(word))
    }

    fn check(&self, operation: &str) -> Result<(), Refused> {
        let texts = self.texts()?;
        if hyper::Method::from_bytes(self.method.as_bytes()).is_err() {
            return Err(("method", format!("`{}` is no method", self.method)));
        }
        if !self.path.starts_with('/') || self.path.contains(|c: char| c.is_control() || c == ' ' || c == '#')
        {
            return Err(("path", format!("`{}`: a path begins with / and is escaped", self.path)));
        }
        texts.check(operation)?;
        self.json_parses(&texts)?;
        self.statuses()?;
        self.belongs(operation)?;
        let pointers = [("value", self.value.as_ref()), ("version", self.version.as_ref())];
        let signs = [("ok-when", &self.ok_when), ("refused-when", &self.refused_when)];
        let signs = signs.into_iter().filter_map(|(key, sign)| Some((key, Some(&sign.as_ref()?.at))));
        for (key, pointer) in pointers.into_iter().chain(signs) {
            if let Some(pointer) = pointer.filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/'))
            {
                return Err((
                    key,
                    format!("`{pointer}`: a place in JSON is written /like/0/this (RFC 6901)"),
                ));
            }
        }
        Ok(())
    }

    /// Whether the body is JSON once its holes are filled, be it with numbers or with text.
    fn json_parses(&self, texts: &Texts) -> Result<(), Refused> {
        let Some(body) = texts.body.as_ref().filter(|_| self.json.is_some()) else { return Ok(()) };
        for sample in [Value::Int(1), Value::str("a\"b")] {
            let text = body.fill(|_| Some(&sample)).map_err(|why| ("json", why))?;
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
                let hint = "holes bring their own quotes; {value:base64} and the like bring none";
                return Err(("json", format!("with {sample} in its holes it is no JSON ({error}): {hint}")));
            }
        }
        Ok(())
    }

    /// Each status has one meaning.
    fn statuses(&self) -> Result<(), Refused> {
        let lists = [
            ("ok", &self.ok),
            ("refused", &self.refused),
            ("not-done", &self.not_done),
            ("absent", &self.absent),
        ];
        let mut seen = BTreeMap::new();
        for (key, list) in lists {
            for status in list {
                if !(200..=599).contains(status) {
                    return Err((key, format!("{status} is no status that ends a request")));
                }
                if let Some(other) = seen.insert(*status, key) {
                    return Err((key, format!("{status} stands in `{other}` already")));
                }
            }
        }
        if self.ok.is_empty() { Err(("ok", "no status would be a success".into())) } else { Ok(()) }
    }

    /// What would be ignored is refused.
    fn belongs(&self, operation: &str) -> Result<(), Refused> {
        let of_get = [
            ("absent", !self.absent.is_empty()),
            ("version", self.version.is_some()),
            ("version-absent", self.version_absent.is_some()),
        ];
        let of_cas = [("refused", !self.refused.is_empty()), ("refused-when", self.refused_when.is_some())];
        let of_both = [("value", self.value.is_some()), ("base64", self.base64)];
        let strange = |key: &'static str, where_: &str| Err((key, format!("belongs to {where_} only")));
        match (operation, first(&of_get), first(&of_cas), first(&of_both)) {
            ("get", _, Some(key), _) => strange(key, "cas"),
            ("cas", Some(key), _, _) => strange(key, "get"),
            ("get" | "cas", ..) | (_, None, None, None) => Ok(()),
            (_, Some(key), _, _) => strange(key, "get"),
            (_, _, Some(key), _) => strange(key, "cas"),
            (_, _, _, Some(key)) => strange(key, "get and cas"),
        }
    }
}

fn first(keys: &[(&'static str, bool)]) -> Option<&'static str> {
    keys.iter().find(|(_, is_set)| *is_set).map(|(key, _)| *key)
}

impl Texts {
    pub(super) fn names(&self, word: Word) -> bool {
        self.path.names(word) || self.body.as_ref().is_some_and(|body| body.names(word))
    }

    /// Whether the request says what it is about, and nothing that it does not know.
    fn check(&self, operation: &str) -> Result<(), Refused> {
        let known: &[Word] = match operation {
            "put" => &[Word::Key, Word::Value],
            "cas" => &[Word::Key, Word::To, Word::From, Word::Version],
            "append" => &[Word::Key, Word::Text],
            _ => &[Word::Key],
        };
        for (key, holed) in [("path", Some(&self.path)), ("body", self.body.as_ref())] {
            let mut words = holed.into_iter().flat_map(|holed| holed.words());
            if let Some(word) = words.find(|word| !known.contains(word)) {
                return Err((key, format!("a {operation} has no {{{}}}", name(word))));
            }
        }
        let lacks = |word: &&Word| !self.names(**word);
        let needed = if operation == "cas" { &known[..2] } else { known };
        if let Some(word) = needed.iter().find(lacks) {
            return Err(("path", format!("neither path nor body names {{{}}}", name(*word))));
        }
        if operation == "cas" && !self.names(Word::From) && !self.names(Word::Version) {
            return Err(("path", "neither {from} nor {version} says what the key must hold".into()));
        }
        Ok(())
    }
}

fn header(name: &str) -> Result<(), Absurd> {
    let absurd = |what: &str| Err(Absurd { key: format!("client.headers.{name}"), what: what.into() });
    const OURS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];
    if OURS.contains(&name.to_ascii_lowercase().as_str()) {
        return absurd("is written by the connection itself: leave it out");
    }
    match hyper::header::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => absurd("is no header's name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "get = { method = \"GET\", path = \"/kv/{key}\", absent = [404] }";
    const PUT: &str = "put = { method = \"PUT\", path = \"/kv/{key}\", body = \"{value}\" }";
    const CAS: &str = "cas = { method = \"POST\", path = \"/kv/{key}\", json = '{\"from\": {from}, \"to\": {to}}', refused = [409] }";

    fn described(lines: &[&str]) -> HttpDescription {
        toml::from_str(&lines.join("\n")).expect("it is well written")
    }

    #[track_caller]
    fn refused(lines: &[&str], key: &str, word: &str) {
        let absurd = described(lines).check().expect_err("it must be refused");
        assert!(absurd.key == key && absurd.what.contains(word), "{absurd}");
    }

    #[test]
    fn get_put_and_cas_are_what_workloads_need() {
        let whole = described(&[GET, PUT, CAS]);
        assert_eq!((whole.check(), whole.capabilities()), (Ok(()), vec![Capability::Kv, Capability::Append]));
        refused(&[GET, PUT], "client", "describe get, put and cas");
    }

    #[test]
    fn requests_that_say_nothing_or_too_much_are_refused_by_their_key() {
        let put = |rest: &str| format!("put = {{ method = \"PUT\", {rest} }}");
        let with = |rest: &str, key: &str, word: &str| refused(&[GET, &put(rest), CAS], key, word);
        with("path = \"/kv\", body = \"{value}\"", "client.put.path", "{key}");
        with("path = \"/kv/{key}\"", "client.put.path", "{value}");
        with("path = \"/kv/{key}\", body = \"{from}\"", "client.put.body", "{from}");
        with("path = \"kv/{key}\", body = \"{value}\"", "client.put.path", "begins with /");
        with("path = \"/{key}\", body = \"{value}\", json = \"{value}\"", "client.put.json", "either");
        with("path = \"/{key}\", json = '{\"v\": \"{value}\"}'", "client.put.json", "quotes");
        with("path = \"/{key}\", body = \"{value}\", ok = [200, 200]", "client.put.ok", "already");
        with("path = \"/{key}\", body = \"{value}\", ok = [100]", "client.put.ok", "100");
        with("path = \"/{key}\", body = \"{value}\", ok = []", "client.put.ok", "success");
        with("path = \"/{key}\", body = \"{value}\", refused = [409]", "client.put.refused", "cas only");
        with(
            "path = \"/{key}\", body = \"{value}\", ok-when = { at = \"x\" }",
            "client.put.ok-when",
            "RFC 6901",
        );
        let cas = "cas = { method = \"P T\", path = \"/{key}?to={to}&from={from}\" }";
        refused(&[GET, PUT, cas], "client.cas.method", "no method");
        let blind = "cas = { method = \"PUT\", path = \"/{key}?to={to}\" }";
        refused(&[GET, PUT, blind], "client.cas.path", "{from}");
        let version = "cas = { method = \"PUT\", path = \"/{key}?to={to}&cas={version}\" }";
        refused(&[GET, PUT, version], "client.get.version", "say where");
        refused(&["headers = { Host = \"x\" }", GET, PUT, CAS], "client.headers.Host", "leave it out");
        refused(&["headers = { \"a b\" = \"x\" }", GET, PUT, CAS], "client.headers.a b", "no header");
    }
}
