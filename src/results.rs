//! What came of the trials of a campaign: a line each, a table of all, and one result of many shards.
//!
//! `results.jsonl` begins with a line that says which campaign it is of; every trial adds a line when it has ended. So
//! an interrupted campaign goes on where it was, and shards are joined without having known of each other.

use crate::exit::Exit;
use crate::search::{Coverage, Search};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file's name.
pub const RESULTS: &str = "results.jsonl";

/// The first line: which campaign the results are of. Equal in all its shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Head {
    /// The version of this format.
    pub version: u32,
    /// The campaign's name.
    pub name: String,
    /// The program's version.
    pub program: String,
    /// The command that runs its first trial again.
    pub first: String,
    /// How many trials there are in all shards.
    pub trials: usize,
    /// How they are chosen.
    #[serde(default, skip_serializing_if = "Search::is_random")]
    pub search: Search,
}

/// One trial that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Row {
    /// Its place among the campaign's trials, from 0.
    pub trial: usize,
    /// What the clients did.
    pub workload: String,
    /// The faults that struck.
    pub nemesis: String,
    /// What fixed its choices.
    pub seed: u64,
    /// How it ended.
    pub end: Ending,
    /// Who decided that, and what class of violation it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// Why, if it is not valid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// After how many nanoseconds of the trial the first anomaly was to be seen, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<u64>,
    /// How many operations there were.
    pub operations: u64,
    /// How many of them succeeded.
    pub ok: u64,
    /// In how many abstract states a simulated cluster was.
    #[serde(default)]
    pub states: usize,
    /// How many of them no trial before it had reached.
    #[serde(default)]
    pub new_states: usize,
    /// Which they were; `coverage.jsonl` keeps them.
    #[serde(skip)]
    pub reached: Coverage,
    /// Whose changed schedule it is, in a guided campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// The kinds of fault that truly hit.
    #[serde(default)]
    pub hit: Vec<String>,
    /// How many terms had a leader, where the nodes' traces tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<u64>,
    /// How long it took, judging included, in milliseconds of real time.
    pub ms: u64,
    /// The command that runs it again.
    pub again: String,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Everything examined was kept.
    Valid,
    /// Not decided.
    Unknown,
    /// The trial itself failed.
    Broken,
    /// A promise was broken.
    Invalid,
}

/// A violation: which checker saw it, and its class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The checker.
    pub checker: String,
    /// The class.
    pub class: String,
    /// After how many nanoseconds of the trial it was to be seen, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<u64>,
}

impl From<Ending> for Exit {
    fn from(end: Ending) -> Exit {
        match end {
            Ending::Valid => Exit::Valid,
            Ending::Unknown => Exit::Unknown,
            Ending::Broken => Exit::Broken,
            Ending::Invalid => Exit::Invalid,
        }
    }
}

/// Results that cannot be read, or are of something else.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file is not there, or cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line says nothing that can be understood.
    #[error("{}: line {line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Another process adds to them.
    #[error("{}: another process is at work on this campaign; two would spoil each other's trials", .0.display())]
    Busy(PathBuf),
    /// The results are of another campaign.
    #[error("{} holds results of another campaign: {what}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// In what it differs.
        what: String,
    },
}

/// Results in a file, to which lines are added.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
    /// Nobody else adds to it meanwhile; given back with the file. Not every file system can.
    _lock: Option<Flock<File>>,
    /// What there is.
    pub rows: BTreeMap<usize, Row>,
}

impl Results {
    /// Opens the results of this campaign in a folder, or begins them.
    pub fn open(folder: &Path, head: &Head) -> Result<Results, ResultsError> {
        let path = folder.join(RESULTS);
        let fail = |error| ResultsError::File { path: path.clone(), error };
        let file = File::options().append(true).create(true).open(&path).map_err(fail)?;
        let lock = match Flock::lock(file.try_clone().map_err(fail)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Some(lock),
            Err((_, Errno::EWOULDBLOCK)) => return Err(ResultsError::Busy(path)),
            Err(_) => None,
        };
        let text = std::fs::read_to_string(&path).map_err(fail)?;
        let (found, rows) = parse(&path, &text)?;
        if let Some(found) = found {
            same(&path, &found, head)?;
        }
        // What an interrupted program left half written is cut off.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(fail)?;
        let mut results = Results { path: path.clone(), file, _lock: lock, rows };
        if whole == 0 {
            results.line(head)?;
        }
        Ok(results)
    }

    /// Adds a trial.
    pub fn add(&mut self, row: Row) -> Result<(), ResultsError> {
        self.line(&row)?;
        self.rows.insert(row.trial, row);
        Ok(())
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), ResultsError> {
        let mut line = serde_json::to_vec(value).expect("results are plain data");
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| ResultsError::File { path: self.path.clone(), error })
    }
}

/// Joins the results of shards: files, or the folders that hold them. The same trial in two of them counts once.
pub fn merge(paths: &[PathBuf]) -> Result<(Head, BTreeMap<usize, Row>), ResultsError> {
    let mut joined: Option<Head> = None;
    let mut rows = BTreeMap::new();
    for path in paths {
        let path = if path.is_dir() { path.join(RESULTS) } else { path.clone() };
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| ResultsError::File { path: path.clone(), error })?;
        let (head, more) = parse(&path, &text)?;
        let head = head.ok_or_else(|| ResultsError::Line {
            path: path.clone(),
            line: 1,
            what: "there is no first line".into(),
        })?;
        match &joined {
            Some(known) => same(&path, &head, known)?,
            None => joined = Some(head),
        }
        rows.extend(more);
    }
    let head = joined.ok_or_else(|| ResultsError::Line {
        path: PathBuf::new(),
        line: 0,
        what: "no results were named".into(),
    })?;
    Ok((head, rows))
}

fn same(path: &Path, found: &Head, wanted: &Head) -> Result<(), ResultsError> {
    if found == wanted {
        return Ok(());
    }
    let what = if found.search != wanted.search {
        format!("its search is {:?}, not {:?}", found.search, wanted.search).to_lowercase()
    } else if found.first != wanted.first {
        format!("its first trial is `{}`, not `{}`", found.first, wanted.first)
    } else {
        format!("it has {} trials by version {}", found.trials, found.program)
    };
    Err(ResultsError::Other { path: path.into(), what })
}

/// The first line, and the trials. A last line without an end is not there yet.
fn parse(path: &Path, text: &str) -> Result<(Option<Head>, BTreeMap<usize, Row>), ResultsError> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let (mut head, mut rows) = (None, BTreeMap::new());
    for (at, line) in whole.lines().enumerate() {
        let wrong = |error: serde_json::Error| ResultsError::Line {
            path: path.into(),
            line: at + 1,
            what: error.to_string(),
        };
        if at == 0 {
            head = Some(serde_json::from_str(line).map_err(wrong)?);
        } else {
            let row: Row = serde_json::from_str(line).map_err(wrong)?;
            rows.insert(row.trial, row);
        }
    }
    Ok((head, rows))
}

/// How many rows the list of what was found has at most.
const LISTED_MAX: usize = 20;

/// The table of a campaign, for people.
pub fn table<'r>(rows: impl Iterator<Item = &'r Row>) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    let mut bad: Vec<&Row> = Vec::new();
    for row in rows {
        groups.entry((&row.workload, &row.nemesis)).or_default().push(row);
        if row.end != Ending::Valid {
            bad.push(row);
        }
    }
    let wide = groups.keys().map(|(_, nemesis)| nemesis.chars().count()).max().unwrap_or(0).clamp(7, 60);
    let mut text = format!(
        "{:10} {:wide$} {:>6} {:>6} {:>7} {:>7} {:>6} {:>10}  {:>10} {:>9}\n",
        "workload",
        "nemesis",
        "trials",
        "valid",
        "invalid",
        "unknown",
        "broken",
        "new states",
        "first seen",
        "s"
    );
    for ((workload, nemesis), rows) in &groups {
        let count = |end| rows.iter().filter(|row| row.end == end).count();
        let first = median(rows.iter().filter_map(|row| row.first_ns).collect());
        let first = first.map_or_else(|| "-".into(), |ns| format!("{:.1} s", ns as f64 / 1e9));
        let seconds = rows.iter().map(|row| row.ms).sum::<u64>() as f64 / 1e3;
        let _ = writeln!(
            text,
            "{workload:10} {nemesis:wide$} {:>6} {:>6} {:>7} {:>7} {:>6} {:>10}  {first:>10} {seconds:>9.1}",
            rows.len(),
            count(Ending::Valid),
            count(Ending::Invalid),
            count(Ending::Unknown),
            count(Ending::Broken),
            rows.iter().map(|row| row.new_states).sum::<usize>(),
        );
    }
    text.push_str(&hits(&groups));
    bad.sort_by_key(|row| (std::cmp::Reverse(row.end), row.trial));
    for row in bad.iter().take(LISTED_MAX) {
        let _ = write!(text, "\n{:?} seed {}: {}\n  {}", row.end, row.seed, row.why, row.again);
    }
    if bad.len() > LISTED_MAX {
        let _ = write!(text, "\nand {} more that are not valid", bad.len() - LISTED_MAX);
    }
    text
}

/// Of how many trials each kind of fault hit: what never hit was not examined.
fn hits(groups: &BTreeMap<(&str, &str), Vec<&Row>>) -> String {
    let rows: Vec<&Row> = groups.values().flatten().copied().collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in rows.iter().flat_map(|row| &row.hit) {
        *kinds.entry(kind).or_default() += 1;
    }
    if kinds.is_empty() {
        return String::new();
    }
    let all: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let terms: Vec<u64> = rows.iter().filter_map(|row| row.terms).collect();
    let least =
        terms.iter().min().map_or_else(String::new, |least| format!("; at least {least} terms in each"));
    format!("\nof {} trials, so many were hit: {}{least}\n", rows.len(), all.join(", "))
}

/// The middle one, of an even number the upper.
pub fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The worst of all trials; no trial at all decides nothing.
pub fn worst<'r>(rows: impl Iterator<Item = &'r Row>) -> Exit {
    rows.map(|row| Exit::from(row.end)).max().unwrap_or(Exit::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            version: 1,
            name: "c".into(),
            program: "0.1.0".into(),
            first: "elenchus test --sim --seed 1".into(),
            trials: 4,
            search: Search::Random,
        }
    }

    fn row(trial: usize, end: Ending) -> Row {
        Row {
            trial,
            workload: "register".into(),
            nemesis: "kill".into(),
            seed: trial as u64 + 7,
            end,
            found: Vec::new(),
            why: "because".into(),
            first_ns: (end == Ending::Invalid).then_some(2_500_000_000),
            operations: 10,
            ok: 9,
            states: 40,
            new_states: 2,
            reached: Coverage::default(),
            parent: None,
            hit: vec!["kill".into()],
            terms: Some(3),
            ms: 3,
            again: "elenchus test".into(),
        }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("elenchus-results-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_was_interrupted_goes_on_where_it_was() {
        let folder = folder("resume");
        let mut results = Results::open(&folder, &head()).unwrap();
        results.add(row(0, Ending::Valid)).unwrap();
        results.add(row(2, Ending::Invalid)).unwrap();
        let busy = Results::open(&folder, &head()).unwrap_err().to_string();
        assert!(busy.contains("another process is at work"), "{busy}");
        drop(results);
        let path = folder.join(RESULTS);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"trial\":3,\"wor");
        std::fs::write(&path, text).unwrap();
        let mut results = Results::open(&folder, &head()).unwrap();
        assert_eq!(results.rows.keys().copied().collect::<Vec<_>>(), [0, 2]);
        results.add(row(3, Ending::Valid)).unwrap();
        drop(results);
        assert_eq!(Results::open(&folder, &head()).unwrap().rows.len(), 3);
        let other = Head { search: Search::Guided, ..head() };
        let refused = Results::open(&folder, &other).unwrap_err().to_string();
        assert!(refused.contains("random, not guided"), "{refused}");
        let other = Head { first: "elenchus test --seed 2".into(), ..head() };
        let refused = Results::open(&folder, &other).unwrap_err().to_string();
        assert!(refused.contains("another campaign") && refused.contains("--seed 2"), "{refused}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn shards_are_joined_and_strangers_refused() {
        let (a, b, c) = (folder("a"), folder("b"), folder("c"));
        Results::open(&a, &head()).unwrap().add(row(0, Ending::Valid)).unwrap();
        Results::open(&b, &head()).unwrap().add(row(1, Ending::Unknown)).unwrap();
        let (_, rows) = merge(&[a.clone(), b.join(RESULTS), a.clone()]).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(worst(rows.values()), Exit::Unknown);
        Results::open(&c, &Head { trials: 9, ..head() }).unwrap();
        assert!(merge(&[a.clone(), c.clone()]).is_err());
        std::fs::write(c.join(RESULTS), "what?\n").unwrap();
        assert!(merge(std::slice::from_ref(&c)).unwrap_err().to_string().contains("line 1"));
        [a, b, c].into_iter().for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
    }

    #[test]
    fn the_table_counts_every_end_and_names_the_worst_first() {
        let rows = [Ending::Valid, Ending::Unknown, Ending::Broken, Ending::Invalid]
            .map(|end| row(end as usize, end));
        let text = table(rows.iter());
        let line = text.lines().nth(1).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["register", "kill", "4", "1", "1", "1", "1", "8", "2.5", "s", "0.0"]);
        assert!(text.contains("of 4 trials, so many were hit: kill 4; at least 3 terms in each"), "{text}");
        assert!(text.find("Invalid seed 10") < text.find("Broken seed 9"), "{text}");
        assert_eq!(worst(rows.iter()), Exit::Invalid);
        assert_eq!(worst([].iter()), Exit::Unknown, "no trial decides nothing");
    }
}
