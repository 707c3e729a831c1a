//! What a campaign has reached, on disk: `coverage.jsonl`, a line a trial.
//!
//! A trial's line is written before its result. A line without a result is of a trial that will be run again, and is
//! dropped when the campaign goes on.

use super::{Coverage, Gain, Known};
use crate::store;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The file's name.
pub const COVERAGE: &str = "coverage.jsonl";

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    known: Known,
}

impl Ledger {
    /// Opens the ledger in a folder, or begins one. `has_ended` says of which trials there are results. Returns also
    /// what those have added, in their order.
    pub fn open(folder: &Path, has_ended: impl Fn(usize) -> bool) -> io::Result<(Ledger, Vec<Gain>)> {
        let path = folder.join(COVERAGE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let (mut known, mut gains, mut kept) = (Known::default(), Vec::new(), String::new());
        for (at, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| line.ends_with('\n')) {
            let gain: Gain = serde_json::from_str(line).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", at + 1))
            })?;
            if has_ended(gain.trial) {
                known.recall(&gain);
                gains.push(gain);
                kept.push_str(line);
            }
        }
        if kept != text {
            store::write_whole(&path, kept.as_bytes())?;
        }
        let file = File::options().append(true).create(true).open(&path)?;
        Ok((Ledger { file, known }, gains))
    }

    /// Takes what the next trial reached.
    pub fn add(&mut self, trial: usize, coverage: &Coverage) -> io::Result<Gain> {
        let gain = self.known.take(trial, coverage);
        let mut line = serde_json::to_vec(&gain)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        Ok(gain)
    }

    /// What has been reached so far.
    pub fn known(&self) -> &Known {
        &self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_goes_on_with_the_trials_that_have_results() {
        let folder = std::env::temp_dir().join(format!("elenchus-ledger-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let reach = |states: &[u64]| Coverage { states: states.to_vec(), turns: vec![7] };
        let (mut ledger, gains) = Ledger::open(&folder, |_| true).unwrap();
        assert_eq!(gains, []);
        let first = ledger.add(0, &reach(&[1, u64::MAX])).unwrap();
        ledger.add(1, &reach(&[2])).unwrap();
        let path = folder.join(COVERAGE);
        let torn = std::fs::read_to_string(&path).unwrap() + "{\"tri";
        std::fs::write(&path, torn).unwrap();
        let (mut ledger, gains) = Ledger::open(&folder, |trial| trial == 0).unwrap();
        assert_eq!(gains, [first]);
        assert_eq!(ledger.add(1, &reach(&[2, 3])).unwrap().new, [2, 3]);
        assert_eq!(Ledger::open(&folder, |_| true).unwrap().1.len(), 2);
        std::fs::write(&path, "what?\n").unwrap();
        assert!(Ledger::open(&folder, |_| true).unwrap_err().to_string().contains("line 1"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
