//! From a file to a history: unpacked, read, and restricted to the keys that were asked for.

use super::job::Job;
use crate::store::file;
use elenchus_core::event::Event;
use elenchus_core::format::{self, Format, Recording, edn};
use elenchus_core::history::{History, Malformed};
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

/// A history as it will be judged.
pub struct Input {
    /// How it was written.
    pub format: Format,
    /// What it holds.
    pub recording: Recording,
    /// What was done to it, and what else should be known, a sentence each.
    pub notes: Vec<String>,
    /// Whether positions are those of the file.
    pub whole: bool,
}

/// Reads what a job names. An error says which file, where in it, and what was expected.
pub fn read(job: &Job) -> Result<Input, String> {
    let path = Path::new(&job.path);
    let bytes = unpacked(path)?;
    let format = match &job.format {
        Some(name) => Format::named(name).ok_or_else(|| format!("there is no format `{name}`"))?,
        None => format::detect(&bytes),
    };
    let recording = format::read(&bytes, Some(format)).map_err(|e| format!("{}: {e}", path.display()))?;
    drop(bytes);
    let notes = recording.torn.iter().chain(&recording.complaints).cloned().collect();
    let mut input = Input { format, recording, notes, whole: true };
    input.split_tuples(job.tuples)?;
    input.keep_keys(&job.keys)?;
    Ok(input)
}

/// Where in the file an event stands that only its model found to be wrong: `line 3, column 1`.
pub fn place(job: &Job, format: Format, malformed: &Malformed) -> Option<String> {
    let path = Path::new(&job.path);
    // Standard input is gone.
    let bytes = unpacked(path).ok().filter(|_| path != Path::new("-"))?;
    let (line, column) = format::locate(&bytes, format, malformed.index)?;
    Some(format!("line {line}, column {column}"))
}

/// The content of a file, decompressed if it is compressed.
fn unpacked(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = slurp(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let unpacked = match bytes {
        _ if bytes.starts_with(&[0x1f, 0x8b]) => gunzip(&bytes).map_err(|e| format!("gzip: {e}")),
        _ if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => unzstd(&bytes).map_err(|e| format!("zstd: {e}")),
        _ => return Ok(bytes),
    };
    unpacked.map_err(|e| format!("{}: {e}", path.display()))
}

fn slurp(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    if path.is_dir() {
        let history = path.join(file::HISTORY);
        return Err(io::Error::other(format!("it is a folder and holds no {}", history.display())));
    }
    std::fs::read(path)
}

fn gunzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut content)?;
    Ok(content)
}

/// All frames of a zstd file, one after the other.
fn unzstd(mut bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let mut decoder = FrameDecoder::new();
    while !bytes.is_empty() {
        match decoder.init(&mut bytes) {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                bytes = bytes.get(length as usize..).ok_or("a frame to be skipped is cut off")?;
                continue;
            }
            Err(e) => return Err(e.to_string()),
        }
        while !decoder.is_finished() {
            let some = BlockDecodingStrategy::UptoBytes(1 << 20);
            decoder.decode_blocks(&mut bytes, some).map_err(|e| e.to_string())?;
            decoder.collect_to_writer(&mut content).map_err(|e| e.to_string())?;
        }
        decoder.collect_to_writer(&mut content).map_err(|e| e.to_string())?;
        let (said, is) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
        if said.is_some() && said != is {
            return Err("the content is not what its checksum says".into());
        }
    }
    Ok(content)
}

impl Input {
    /// The functions that clients used.
    pub fn functions(&self) -> BTreeSet<&str> {
        let history = &self.recording.history;
        history.invocations().map(|call| &*history.names()[usize::from(history.name_id(call))]).collect()
    }

    /// Takes jepsen.independent's tuples apart if the values are some.
    fn split_tuples(&mut self, asked: Option<bool>) -> Result<(), String> {
        let history = &self.recording.history;
        let split = asked.unwrap_or_else(|| are_tuples(history));
        if !split {
            return Ok(());
        }
        self.recording.history = edn::split_keys(history).map_err(|malformed| malformed.to_string())?;
        if asked.is_none() {
            self.notes.push(
                "all values are pairs, those of reads [key nil]: taken for jepsen.independent's tuples \
                 (--tuples no, if they are not)"
                    .into(),
            );
        }
        Ok(())
    }

    /// Leaves only the events of these keys.
    fn keep_keys(&mut self, keys: &[String]) -> Result<(), String> {
        if keys.is_empty() {
            return Ok(());
        }
        let history = &self.recording.history;
        for key in keys {
            if !history.keys().iter().any(|known| is_named(known, key)) {
                let some: Vec<String> = history.keys().iter().take(10).map(ToString::to_string).collect();
                let known = match some.len() {
                    0 => "no event has a key; if values are tuples [key value], say --tuples yes".to_owned(),
                    _ => format!("there are {} keys, such as {}", history.keys().len(), some.join(", ")),
                };
                return Err(format!("--key: no event has the key {key}: {known}"));
            }
        }
        let asked = |event: &elenchus_core::history::EventRef<'_>| {
            let key = event.key.or_else(|| history.event(history.partner(event.index)?).key);
            key.is_some_and(|key| keys.iter().any(|name| is_named(key, name)))
        };
        let timed = history.bears_times();
        let mut events: Vec<Event> = history.events().filter(asked).map(|event| event.to_event()).collect();
        if !timed {
            // Their positions stood for times and are others now.
            (0..).zip(&mut events).for_each(|(position, event)| event.time = Time(position));
        }
        self.recording.history = History::seal(events).map_err(|malformed| malformed.to_string())?;
        self.whole = false;
        self.notes.push("positions are those among the events of the keys that were asked for".into());
        Ok(())
    }
}

/// Whether a user means this key: its EDN, or its text without quotes or colon.
fn is_named(key: &Value, name: &str) -> bool {
    key.as_text() == Some(name) || edn::read_value(name).is_ok_and(|value| value == *key)
}

/// Whether a history without keys can only be one of tuples: every client's invocation is of a pair, and
/// reads are of `[key nil]`. A plain read has nothing to say when it is invoked.
fn are_tuples(history: &History) -> bool {
    let mut reads = 0;
    history.keys().is_empty()
        && history.invocations().all(|call| match history.value(call).as_items() {
            Some([_, value]) => {
                reads += usize::from(value.is_nil());
                true
            }
            _ => false,
        })
        && reads > 0
}
