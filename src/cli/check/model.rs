//! Which model a history is judged against.

use super::adversary;
use super::input::Input;
use super::job::Job;
use super::{FailedCas, NilReading};
use elenchus_checkers::linearizability::Subject;
use elenchus_checkers::models::catalogue::{self, CATALOGUE, Choices, Entry};
use elenchus_checkers::models::register::NilReads;
use elenchus_core::checker::Checker;
use elenchus_core::format::{Format, edn};

/// A model that may be meant, ready to judge.
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its checker.
    pub checker: Box<dyn Checker>,
}

/// Why there is no candidate.
pub enum NoModel {
    /// The user asked for what there is not.
    Wrong(String),
    /// It is not plain what is meant.
    Unclear(String),
}

/// The models that may be meant, the likeliest first: the one that the user named; else all that have every
/// function of the history. Which of these decodes it is for the caller to find out.
pub fn candidates(job: &Job, input: &Input) -> Result<Vec<Candidate>, NoModel> {
    let choices = choices(job, input.format)?;
    let make = |entry: &Entry| {
        let checker = (entry.checker)(&choices).map_err(|e| NoModel::Wrong(format!("--initial: {e}")))?;
        Ok(Candidate { name: entry.name.to_owned(), checker })
    };
    if let Some(name) = &job.model {
        if let Some(checker) = adversary::named(name) {
            return Ok(vec![Candidate { name: name.clone(), checker }]);
        }
        let entry = catalogue::named(name).ok_or_else(|| NoModel::Wrong(unknown(name)))?;
        return Ok(vec![make(entry)?]);
    }
    let functions = input.functions();
    if functions.is_empty() {
        return Err(NoModel::Unclear("the history holds no operation: nothing was examined".into()));
    }
    let has_all = |entry: &&Entry| functions.iter().all(|f| entry.functions.contains(f));
    let workload = input.recording.header.as_ref().and_then(|header| catalogue::named(&header.workload));
    let entries: Vec<&Entry> = workload.into_iter().chain(CATALOGUE).filter(has_all).collect();
    if entries.is_empty() {
        let functions: Vec<&str> = functions.into_iter().collect();
        return Err(NoModel::Unclear(format!(
            "its operations ({}) are those of no model there is: {}",
            functions.join(", "),
            names()
        )));
    }
    // A guess that does not take the initial value is a wrong guess, if there is another.
    let mut made: Vec<Result<Candidate, NoModel>> = entries.into_iter().map(make).collect();
    if made.iter().any(Result::is_ok) {
        made.retain(Result::is_ok);
    }
    made.into_iter().collect()
}

/// That there is no model of this name.
pub fn unknown(name: &str) -> String {
    format!("--model: there is no model `{name}`; there are {}", names())
}

/// Whether there is a model of this name.
pub fn is_known(name: &str) -> bool {
    catalogue::named(name).is_some() || adversary::named(name).is_some()
}

fn names() -> String {
    CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
}

/// How the history is to be read: as the user said, else as its format is usually meant.
fn choices(job: &Job, format: Format) -> Result<Choices, NoModel> {
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
    Ok(Choices { initial, nil_reads, failed_cas, subject: Subject::History })
}
