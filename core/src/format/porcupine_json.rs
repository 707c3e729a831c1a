//! Operations as users of Porcupine write them: `porcupine.Operation` as Go's `encoding/json` prints it.
//!
//! An operation is one object with both its ends, so order is by the clock here, and the reader makes a log
//! of it: ends sorted by time, calls before returns where times are equal, since Porcupine takes intervals
//! as closed. `ClientId` is a mere label there, so a client may have operations open at once; a second one
//! gets a process of its own. What an operation asked and was answered is the user's own type in Go, so its
//! shape is ours to choose; `docs/formats.md` is the specification. A field that is not in it is an error:
//! what was asked under a condition that nobody examined would be judged wrongly.

use super::json::Reader;
use super::text::{ReadError, Trouble};
use super::{Recording, without_mark};
use crate::event::{Event, Kind};
use crate::history::{HistoryBuilder, Malformed};
use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Reads an array of operations, or operations one after the other.
pub fn read(bytes: &[u8]) -> Result<Recording, ReadError> {
    let content = without_mark(bytes);
    let mut reader = Reader::new(content);
    let shift =
        |trouble: Box<Trouble>| ReadError::at(bytes, bytes.len() - content.len() + trouble.at, trouble.what);
    let operations = read_operations(&mut reader).map_err(shift)?;
    let (builder, overlaps) =
        log_of(operations).map_err(|malformed| ReadError::at(bytes, 0, malformed.to_string()))?;
    let mut complaints = Vec::new();
    if overlaps > 0 {
        complaints.push(format!(
            "operations that began while their client had another open, and were given a process of their own: {overlaps}"
        ));
    }
    Ok(Recording { header: None, history: builder.seal(), torn: None, complaints })
}

/// Whether this name is a field of an operation: how the format is recognised.
pub(super) fn is_field(name: &str) -> bool {
    ["clientid", "input", "call", "output", "return", "metadata"]
        .iter()
        .any(|field| name.eq_ignore_ascii_case(field))
}

/// An operation with both its ends.
struct Entry {
    client: u32,
    f: Arc<str>,
    key: Option<Value>,
    asked: Value,
    call: i64,
    end: Option<End>,
    extra: Vec<(Arc<str>, Value)>,
}

/// How an operation ended, if it did.
struct End {
    at: i64,
    kind: Kind,
    answer: Value,
    error: Option<Value>,
}

fn read_operations(reader: &mut Reader<'_>) -> Result<Vec<Entry>, Box<Trouble>> {
    let mut names = Names::default();
    let mut entries = Vec::new();
    let list = reader.takes(b'[');
    loop {
        match reader.peek() {
            Some(b']') if list && entries.is_empty() => break,
            None if !list => return Ok(entries),
            _ => entries.push(read_operation(reader, &mut names)?),
        }
        if list && !reader.takes(b',') {
            break;
        }
    }
    if !reader.takes(b']') {
        return reader.expected("`,` or `]`");
    }
    reader.end("the end after the array of all operations")?;
    Ok(entries)
}

fn read_operation(reader: &mut Reader<'_>, names: &mut Names) -> Result<Entry, Box<Trouble>> {
    if !reader.takes(b'{') {
        return reader.expected("an operation: `{`");
    }
    let start = reader.at - 1;
    let (mut client, mut input, mut output, mut call, mut end) = (None, None, None, None, None);
    let (mut extra, mut first) = (Vec::new(), true);
    while let Some(name) = reader.key(&mut first)? {
        reader.peek();
        let at = reader.at;
        let value = reader.value(0)?;
        let field = match name.to_ascii_lowercase().as_str() {
            "clientid" => &mut client,
            "input" => &mut input,
            "output" => &mut output,
            "call" => &mut call,
            "return" => &mut end,
            _ => {
                extra.push((names.get(&name), value));
                continue;
            }
        };
        if field.replace((value, at)).is_some() {
            return Err(Trouble::meaning(at, format!("expected `{name}` only once")));
        }
    }
    let missing =
        |name: &str| Trouble::meaning(start, format!("expected an operation, this one has no \"{name}\""));
    let client = client.map(|(value, at)| client_id(&value, at)).transpose()?.unwrap_or(0);
    let (input, input_at) = input.ok_or_else(|| missing("Input"))?;
    let (call, call_at) = call.ok_or_else(|| missing("Call"))?;
    let call = time(&call, call_at)?;
    let end = match end {
        None | Some((Value::Nil, _)) => None,
        Some((value, at)) => match time(&value, at)? {
            i64::MAX => None,
            earlier if earlier < call => {
                let what = format!(
                    "expected a return after the call at {call}, found {earlier}; leave it out if there was none"
                );
                return Err(Trouble::meaning(at, what));
            }
            later => Some(later),
        },
    };
    let asked = asked(input, names).map_err(|what| Trouble::meaning(input_at, what))?;
    let (output, output_at) = output.unwrap_or((Value::Nil, start));
    let end = end
        .map(|at| ended(at, &asked, output))
        .transpose()
        .map_err(|what| Trouble::meaning(output_at, what))?;
    Ok(Entry { client, f: asked.f, key: asked.key, asked: asked.value, call, end, extra })
}

fn client_id(value: &Value, at: usize) -> Result<u32, Box<Trouble>> {
    let number = value.as_int().and_then(|n| u32::try_from(n).ok()).filter(|n| *n < CLIENTS_MAX);
    number.ok_or_else(|| Trouble::meaning(at, format!("expected a client: a number below {CLIENTS_MAX}")))
}

/// Beyond the clients' own numbers are those of processes that are given.
const CLIENTS_MAX: u32 = 1 << 31;

fn time(value: &Value, at: usize) -> Result<i64, Box<Trouble>> {
    value
        .as_int()
        .ok_or_else(|| Trouble::meaning(at, format!("expected a time: an integer of 64 bits, found {value}")))
}

/// What was asked.
struct Asked {
    f: Arc<str>,
    key: Option<Value>,
    value: Value,
}

/// The fields of an input, whatever the case of their names.
fn asked(input: Value, names: &mut Names) -> Result<Asked, String> {
    const EXPECTED: &str = "expected an input as in {\"f\":\"write\",\"key\":\"x\",\"value\":1}";
    let Value::Map(fields) = input else { return Err(format!("{EXPECTED}, found {input}")) };
    let (mut f, mut key, mut value, mut from, mut to) = (None, None, None, None, None);
    for (name, content) in fields {
        let name = name.as_text().unwrap_or_default();
        let field = match name.to_ascii_lowercase().as_str() {
            "f" | "op" => &mut f,
            "key" => &mut key,
            "value" => &mut value,
            "from" => &mut from,
            "to" => &mut to,
            _ => {
                return Err(format!(
                    "expected an input of f (or op), key, value, from and to, found \"{name}\""
                ));
            }
        };
        if field.replace(content).is_some() {
            return Err(format!("expected \"{name}\" only once in an input"));
        }
    }
    let f = match f {
        Some(Value::Str(name)) => names.get(&name.to_ascii_lowercase()),
        Some(other) => return Err(format!("expected the name of a function, found {other}")),
        None => return Err(format!("{EXPECTED}, this one has no \"f\"")),
    };
    let value = match (from, to) {
        // Go prints all fields of a struct, so that other operations may bear these too.
        (Some(from), Some(to)) if &*f == "cas" => Value::vector([from, to]),
        _ => value.unwrap_or(Value::Nil),
    };
    Ok(Asked { f, key, value })
}

/// What was answered: a bare value, or an object that says more.
fn ended(at: i64, asked: &Asked, output: Value) -> Result<End, String> {
    let mut end = End { at, kind: Kind::Ok, answer: Value::Nil, error: None };
    let Value::Map(fields) = output else {
        end.answer = if &*asked.f == "cas" { asked.value.clone() } else { output };
        return Ok(end);
    };
    let (mut saw, mut exists) = (None, true);
    for (name, content) in fields {
        let name = name.as_text().unwrap_or_default();
        match (name.to_ascii_lowercase().as_str(), content) {
            ("value", value) => end.answer = value,
            ("saw", value) => saw = Some(value),
            ("ok", Value::Bool(true)) | ("unknown", Value::Bool(false)) | ("error", Value::Nil) => {}
            ("error", Value::Str(text)) if text.is_empty() => {}
            ("exists", Value::Bool(there)) => exists = there,
            ("ok", Value::Bool(false)) if end.kind == Kind::Ok => end.kind = Kind::Fail,
            ("ok", Value::Bool(false)) => {}
            ("unknown", Value::Bool(true)) => end.kind = Kind::Info,
            ("error", Value::Str(text)) => {
                (end.kind, end.error) = (Kind::Info, Some(Value::Str(text)));
            }
            (_, content) => {
                return Err(format!(
                    "expected an output of value, ok, saw, exists, unknown (true or false) and error (text), \
                     found \"{name}\" with {content}"
                ));
            }
        }
    }
    if !exists {
        end.answer = Value::Nil;
    }
    match end.kind {
        // Go prints a zero where nothing was seen, so only `saw` is an observation.
        Kind::Fail => {
            end.answer = asked.value.clone();
            end.error = Some(Value::vector([Value::str("refused")].into_iter().chain(saw)));
        }
        Kind::Info => end.answer = asked.value.clone(),
        _ if &*asked.f == "cas" => end.answer = asked.value.clone(),
        _ => {}
    }
    Ok(end)
}

/// The log of these operations, and how many of them overlapped another one of their client.
fn log_of(mut entries: Vec<Entry>) -> Result<(HistoryBuilder, usize), Malformed> {
    let mut ends: Vec<(i64, bool, u32)> = Vec::with_capacity(2 * entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let i = u32::try_from(i).unwrap_or(u32::MAX);
        ends.push((entry.call, false, i));
        ends.extend(entry.end.as_ref().map(|end| (end.at, true, i)));
    }
    ends.sort_unstable();
    let began = ends.first().map_or(0, |(at, ..)| *at);
    let mut processes = Processes::new(&entries);
    let mut of_entry = vec![Process(0); entries.len()];
    let mut builder = HistoryBuilder::new();
    for (at, is_return, i) in ends {
        let entry = &mut entries[i as usize];
        let time = Time(at.wrapping_sub(began) as u64);
        let (f, key) = (entry.f.clone(), entry.key.clone());
        let event = if is_return {
            let End { kind, answer, error, .. } = entry.end.take().expect("it was put among the ends");
            let process = of_entry[i as usize];
            if kind != Kind::Info {
                processes.free(entry.client, process);
            }
            Event { time, process, kind, f, key, value: answer, error, extra: Vec::new() }
        } else {
            let process = processes.take(entry.client);
            of_entry[i as usize] = process;
            let (value, extra) = (entry.asked.clone(), std::mem::take(&mut entry.extra));
            Event { time, process, kind: Kind::Invoke, f, key, value, error: None, extra }
        };
        builder.push(event)?;
    }
    Ok((builder, processes.overlaps))
}

/// Which processes stand for a client, and which of them are free.
struct Processes {
    free: HashMap<u32, Vec<Process>>,
    next: u32,
    overlaps: usize,
}

impl Processes {
    fn new(entries: &[Entry]) -> Processes {
        let next = entries.iter().map(|entry| entry.client + 1).max().unwrap_or(0);
        Processes { free: HashMap::new(), next, overlaps: 0 }
    }

    fn take(&mut self, client: u32) -> Process {
        let free = self.free.entry(client).or_insert_with(|| vec![Process(client)]);
        free.pop().unwrap_or_else(|| {
            self.overlaps += 1;
            self.next += 1;
            Process(self.next - 1)
        })
    }

    fn free(&mut self, client: u32, process: Process) {
        self.free.entry(client).or_default().push(process);
    }
}

/// Names, each once.
#[derive(Default)]
struct Names(HashMap<Box<str>, Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.0.insert(name.into(), new.clone());
        new
    }
}
