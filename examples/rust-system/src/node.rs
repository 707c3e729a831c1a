//! The store: one JSON object a line, over TCP. The first node holds all keys; the others pass on what they are asked.
//!
//! The first node answers a write once it is in its log and synced, and reads wait for the lock that a write holds, so
//! no answer shows what a crash could take back. Without a log it forgets everything when it is killed: the bug.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the first node may take to answer another node.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Runs a node until it is killed. Arguments: where to listen, where the first node is (`-`: this is it), the log's
/// path (`-`: none).
pub fn run(arguments: &[String]) -> ExitCode {
    let [listen, first, log] = arguments else {
        eprintln!("usage: LISTEN FIRST LOG");
        return ExitCode::from(254);
    };
    match serve(listen, first, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listen: &str, first: &str, log: &str) -> io::Result<()> {
    let role = Arc::new(match first {
        "-" => Role::First(Mutex::new(Shelf::open(log)?)),
        first => Role::Other(first.to_owned()),
    });
    for stream in TcpListener::bind(listen)?.incoming() {
        let (stream, role) = (stream?, role.clone());
        // Whoever is cut off in the middle of an answer learns it from the closed connection.
        std::thread::spawn(move || drop(converse(stream, &role)));
    }
    Ok(())
}

enum Role {
    First(Mutex<Shelf>),
    Other(String),
}

/// Answers one connection's requests, one after the other.
fn converse(stream: TcpStream, role: &Role) -> io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut onward = None;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let request: Value = serde_json::from_str(&line)?;
        let answer = match role {
            _ if request["op"] == "role" => json!({ "leads": matches!(role, Role::First(_)) }),
            Role::First(shelf) => shelf.lock().unwrap_or_else(PoisonError::into_inner).carry_out(&request)?,
            Role::Other(first) => pass_on(first, &mut onward, &line)?,
        };
        answers.write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}

/// Asks the first node. An error means that nobody knows what it did.
fn pass_on(first: &str, onward: &mut Option<BufReader<TcpStream>>, line: &str) -> io::Result<Value> {
    let link = match onward {
        Some(link) => link,
        None => match connect(first) {
            Ok(stream) => onward.insert(BufReader::new(stream)),
            Err(error) => return Ok(json!({ "not-done": format!("the first node: {error}") })),
        },
    };
    link.get_mut().write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    match link.read_line(&mut answer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(serde_json::from_str(&answer)?),
    }
}

fn connect(first: &str) -> io::Result<TcpStream> {
    let address = first.parse().map_err(io::Error::other)?;
    let stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// All keys, and the log from which they come back.
struct Shelf {
    keys: BTreeMap<String, Value>,
    log: Option<File>,
}

impl Shelf {
    fn open(log: &str) -> io::Result<Shelf> {
        if log == "-" {
            return Ok(Shelf { keys: BTreeMap::new(), log: None });
        }
        let text = std::fs::read_to_string(log).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(String::new()),
            _ => Err(error),
        })?;
        // A last line without an end was never answered, and must not become part of the next.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut keys = BTreeMap::new();
        for line in text[..whole].lines() {
            let (key, value): (String, Value) = serde_json::from_str(line)?;
            keys.insert(key, value);
        }
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        file.set_len(whole as u64)?;
        Ok(Shelf { keys, log: Some(file) })
    }

    /// An error means that the log cannot be trusted: whoever asked is not answered.
    fn carry_out(&mut self, request: &Value) -> io::Result<Value> {
        let key = request["key"].as_str().unwrap_or_default();
        let now = self.keys.get(key).cloned().unwrap_or(Value::Null);
        let next = match request["op"].as_str() {
            Some("get") => return Ok(json!({ "value": now })),
            Some("cas") if now != request["from"] => return Ok(json!({ "refused": now })),
            Some("put") => request["value"].clone(),
            Some("cas") => request["to"].clone(),
            Some("append") => {
                json!(format!("{}{}", now.as_str().unwrap_or(""), request["text"].as_str().unwrap_or("")))
            }
            Some("delete") => Value::Null,
            _ => return Ok(json!({ "not-done": "an unknown request" })),
        };
        if let Some(log) = &mut self.log {
            log.write_all(format!("{}\n", json!([key, next])).as_bytes())?;
            log.sync_data()?;
        }
        self.keys.insert(key.to_owned(), next);
        Ok(json!({}))
    }
}
