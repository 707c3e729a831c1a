//! Which model a history is judged against.

use super::adversary;
use super::input::Input;
use super::job::Job;
use super::{FailedCas, NilReading};
use elenchus_checkers::Linearizability;
use elenchus_checkers::consistency::{self, CONDITIONS};
use elenchus_checkers::linearizability::Subject;
use elenchus_checkers::models::catalogue::{self, CATALOGUE, Choices, Entry};
use elenchus_checkers::models::register::NilReads;
use elenchus_checkers::models::table::Table;
use elenchus_core::checker::Checker;
use elenchus_core::format::{Format, Recording, edn};
use elenchus_core::value::Value;
use std::collections::BTreeSet;

/// A model that may be meant, ready to judge.
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// One a condition.
    pub checkers: Vec<Box<dyn Checker>>,
    /// Whether what it finds valid may only keep others from accusing: something was assumed in favour of the history.
    pub only_acquits: bool,
}

/// Why there is no candidate.
pub enum NoModel {
    /// The user asked for what there is not.
    Wrong(String),
    /// It is not plain what is meant.
    Unclear(String),
}

/// The models that may be meant, the likeliest first: the one that the user named; else all that have every
/// function of the history, each meaning once. Which of these decodes it is for the caller to find out.
pub fn candidates(job: &Job, input: &Input) -> Result<Vec<Candidate>, NoModel> {
    let choices = choices(job, input.format, &input.recording)?;
    let make = |entry: &Entry| candidate(job, entry, &choices);
    if let Some(name) = &job.model {
        return match catalogue::named(name) {
            Some(entry) => Ok(vec![make(entry)?]),
            None => Ok(vec![without_entry(job, name, &choices)?]),
        };
    }
    let functions = input.functions();
    if functions.is_empty() {
        return Err(NoModel::Unclear("the history holds no operation: nothing was examined".into()));
    }
    let has_all = |entry: &&Entry| entry.has_all(functions.iter().copied());
    let workload = input.recording.header.as_ref().and_then(|header| catalogue::named(&header.workload));
    let mut entries: Vec<&Entry> = match workload.filter(has_all) {
        Some(entry) => vec![entry],
        None => CATALOGUE.iter().filter(has_all).collect(),
    };
    // Two names of one checker are one meaning.
    let mut seen = BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.checker as usize));
    if entries.is_empty() {
        let functions: Vec<&str> = functions.into_iter().collect();
        return Err(NoModel::Unclear(format!(
            "its operations ({}) are those of no model there is: {}",
            functions.join(", "),
            names()
        )));
    }
    let entries = if job.conditions.is_empty() { entries } else { registers(entries)? };
    // A guess that does not take the initial value is a wrong guess, if there is another.
    let guess = |entry: &Entry| match make(entry) {
        Err(_) if choices.initial.is_none() && entry.name == SEMAPHORE => {
            Ok(enough_permits(entry, &choices)?)
        }
        made => made,
    };
    let plain = entries.len() == 1;
    let mut made: Vec<Result<Candidate, NoModel>> =
        entries.into_iter().map(|entry| if plain { make(entry) } else { guess(entry) }).collect();
    if made.iter().any(Result::is_ok) {
        made.retain(Result::is_ok);
    }
    made.into_iter().collect()
}

/// The model that needs to be told its initial value.
const SEMAPHORE: &str = "semaphore";

/// A semaphore whose number of permits nobody said: with enough of them for whoever acquires.
fn enough_permits(entry: &Entry, choices: &Choices) -> Result<Candidate, NoModel> {
    let choices = Choices { initial: Some(Value::Int(u32::MAX.into())), ..choices.clone() };
    let checker = (entry.checker)(&choices).map_err(NoModel::Wrong)?;
    let name = "semaphore of enough permits".to_owned();
    Ok(Candidate { name, checkers: vec![checker], only_acquits: true })
}

/// A model of the catalogue under the conditions that were asked for.
fn candidate(job: &Job, entry: &Entry, choices: &Choices) -> Result<Candidate, NoModel> {
    let wrong = |e: String| NoModel::Wrong(format!("--initial: {e}"));
    let checker = |name: &String| match consistency::named(name) {
        Some(condition) => (condition.checker)(choices).map_err(wrong),
        None => (entry.checker)(choices).map_err(wrong),
    };
    let checkers = if job.conditions.is_empty() {
        entry.checkers(choices).map_err(wrong)?
    } else {
        registers(vec![entry])?;
        job.conditions.iter().map(checker).collect::<Result<_, _>>()?
    };
    Ok(Candidate { name: entry.name.to_owned(), checkers, only_acquits: false })
}

/// The registers among these: only of registers other conditions are known than linearizability.
fn registers(entries: Vec<&Entry>) -> Result<Vec<&Entry>, NoModel> {
    let is_register = |entry: &&Entry| ["register", "cas-register"].contains(&entry.name);
    let registers: Vec<&Entry> = entries.into_iter().filter(is_register).collect();
    if registers.is_empty() {
        let why = "--condition: only histories of registers can be judged by other conditions";
        return Err(NoModel::Wrong(why.into()));
    }
    Ok(registers)
}

/// A model that is not in the catalogue: a table, or one for tests.
fn without_entry(job: &Job, name: &str, choices: &Choices) -> Result<Candidate, NoModel> {
    if !job.conditions.is_empty() {
        registers(Vec::new())?;
    }
    let checker = match adversary::named(name) {
        Some(checker) => checker,
        None if is_file(name) => {
            let mut table = table(name).map_err(NoModel::Wrong)?;
            if let Some(initial) = &choices.initial {
                table = table.starting_as(initial).map_err(|e| NoModel::Wrong(format!("--initial: {e}")))?;
            }
            Box::new(Linearizability::new(table.clone(), table).of(choices.subject))
        }
        None => return Err(NoModel::Wrong(unknown(name))),
    };
    Ok(Candidate { name: name.to_owned(), checkers: vec![checker], only_acquits: false })
}

/// Whether a model is meant that stands in a file.
pub fn is_file(name: &str) -> bool {
    [".toml", ".json"].iter().any(|end| name.ends_with(end))
}

fn table(path: &str) -> Result<Table, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("--model: cannot read {path}: {e}"))?;
    Table::parse(&text).map_err(|e| format!("--model: {path}: {e}"))
}

/// Whether there is such a model.
pub fn validate(name: &str) -> Result<(), String> {
    if catalogue::named(name).is_some() || adversary::named(name).is_some() {
        return Ok(());
    }
    if is_file(name) { table(name).map(drop) } else { Err(unknown(name)) }
}

/// Whether there is such a condition.
pub fn validate_condition(name: &str) -> Result<(), String> {
    if name == LINEARIZABILITY || consistency::named(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = CONDITIONS.iter().map(|condition| condition.name).collect();
    Err(format!(
        "--condition: there is no condition `{name}`; there are {LINEARIZABILITY}, {}",
        known.join(", ")
    ))
}

/// What is judged if no condition is named.
const LINEARIZABILITY: &str = "linearizability";

fn unknown(name: &str) -> String {
    format!("--model: there is no model `{name}`; there are {}, or a FILE.toml", names())
}

fn names() -> String {
    CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
}

/// How the history is to be read: as the user said, else as its format is usually meant.
fn choices(job: &Job, format: Format, recording: &Recording) -> Result<Choices, NoModel> {
    let nil_reads = match job.nil_reads {
        Some(NilReading::Saw) => NilReads::SawNil,
        Some(NilReading::Nothing) => NilReads::SawNothing,
        None if matches!(format, Format::Edn | Format::EdnLines) => NilReads::SawNothing,
        None => NilReads::SawNil,
    };
    let failed_cas = match job.failed_cas {
        Some(FailedCas::NotDone) => catalogue::FailedCas::NotDone,
        Some(FailedCas::Refused) => catalogue::FailedCas::Refused,
        None if format == Format::JepsenLog => catalogue::FailedCas::Refused,
        None => catalogue::FailedCas::NotDone,
    };
    let initial = job.initial.as_deref().map(edn::read_value).transpose();
    let initial = initial.map_err(|e| NoModel::Wrong(format!("--initial: {e}")))?;
    // What the file says of itself is no guess; nil is what it says when it says nothing.
    let header = recording.header.as_ref().map(|header| header.initial.clone());
    let initial = initial.or(header.filter(|initial| !initial.is_nil()));
    Ok(Choices { initial, nil_reads, failed_cas, subject: Subject::History })
}
