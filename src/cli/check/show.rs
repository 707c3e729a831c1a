//! What the user sees of a check: lines for people, objects for machines.

use super::watchdog::{Answer, Outcome};
use crate::cli::say::say;
use crate::exit::Exit;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use serde_json::{Map, Value, json};
use std::path::Path;

/// How results are shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// One JSON object a file.
    pub json: bool,
    /// The evidence below each line.
    pub evidence: bool,
}

/// One file's result, ready to be shown and counted.
pub struct Shown<'a> {
    /// The file.
    pub path: &'a Path,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// What a manifest expects.
    pub expected: Option<Validity>,
}

/// How what was found stands to what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Nothing was expected.
    Unasked,
    /// It is as expected.
    Agrees,
    /// It could not be decided, and something was expected.
    Undecided,
    /// It is the opposite.
    Disagrees,
}

impl Shown<'_> {
    /// The worst of the verdicts, if there are any.
    pub fn validity(&self) -> Option<Validity> {
        match &self.outcome.answer {
            Answer::Verdicts(verdicts) => Some(Verdict::merge(verdicts)),
            Answer::Refused(_) | Answer::Broken(_) => None,
        }
    }

    /// Whether it is as expected.
    pub fn agreement(&self) -> Agreement {
        match (self.expected, self.validity()) {
            (None, _) => Agreement::Unasked,
            (Some(expected), Some(found)) if expected == found => Agreement::Agrees,
            (_, Some(Validity::Unknown) | None) => Agreement::Undecided,
            _ => Agreement::Disagrees,
        }
    }

    /// What the exit code is to say of this file: of a verdict that was expected, only whether it came.
    pub fn exit(&self) -> Exit {
        let own = match &self.outcome.answer {
            Answer::Verdicts(verdicts) => Verdict::merge(verdicts).into(),
            Answer::Refused(_) => Exit::Usage,
            Answer::Broken(_) => Exit::Broken,
        };
        match self.agreement() {
            Agreement::Agrees => Exit::Valid,
            // Either the program is wrong or what was expected of it is.
            Agreement::Disagrees => Exit::Broken,
            Agreement::Unasked | Agreement::Undecided => own,
        }
    }

    /// Shows it.
    pub fn show(&self, style: Style) {
        if style.json {
            say!("{}", Value::Object(self.object()));
            return;
        }
        let path = self.path.display();
        for note in &self.outcome.read.notes {
            eprintln!("{path}: {note}");
        }
        self.warn(if style.evidence { 5 } else { 1 });
        match &self.outcome.answer {
            // The reasons begin with the path where that helps.
            Answer::Refused(why) => eprintln!("elenchus: {why}"),
            Answer::Broken(why) => eprintln!("elenchus: {path}: {why}"),
            Answer::Verdicts(verdicts) if style.evidence => verdicts.iter().for_each(|v| self.explain(v)),
            Answer::Verdicts(verdicts) => self.line(verdicts),
        }
        match &self.outcome.report {
            Some(Ok(page)) => say!("{path}: report: {}", page.display()),
            Some(Err(why)) => eprintln!("elenchus: {path}: no report: {why}"),
            None => {}
        }
    }

    fn warn(&self, shown_max: usize) {
        let (path, lints) = (self.path.display(), &self.outcome.lints);
        for lint in lints.iter().take(shown_max) {
            eprintln!("{path}: warning: {}", lint.sentence);
        }
        if lints.len() > shown_max {
            eprintln!("{path}: warning: {} more of these; --json names all", lints.len() - shown_max);
        }
    }

    /// One line: the worst verdict.
    fn line(&self, verdicts: &[Verdict]) {
        let validity = Verdict::merge(verdicts);
        let why = verdicts.iter().find(|verdict| verdict.validity == validity).map_or("", |v| &v.why);
        say!("{}: {}{}: {why}", self.path.display(), word(validity), self.remark());
    }

    /// ` (as expected)`, for who compares.
    fn remark(&self) -> String {
        let expected = self.expected.map(word).unwrap_or_default();
        match self.agreement() {
            Agreement::Unasked => String::new(),
            Agreement::Agrees => " (as expected)".into(),
            Agreement::Undecided => format!(" (expected {expected})"),
            Agreement::Disagrees => format!(" (DISAGREES: expected {expected})"),
        }
    }

    fn explain(&self, verdict: &Verdict) {
        let (path, validity) = (self.path.display(), word(verdict.validity));
        say!("{path}: {validity}{}: {}: {}", self.remark(), verdict.checker, verdict.why);
        verdict.anomalies.iter().for_each(explain);
    }

    fn object(&self) -> Map<String, Value> {
        let outcome = self.outcome;
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
        put("path", json!(self.path.to_string_lossy()));
        put("format", json!(outcome.read.format));
        put("model", json!(outcome.model));
        match &outcome.answer {
            Answer::Verdicts(verdicts) => {
                put("validity", json!(Verdict::merge(verdicts)));
                put("verdicts", json!(verdicts));
            }
            Answer::Refused(why) => put("error", json!(why)),
            Answer::Broken(why) => put("broken", json!(why)),
        }
        put("lints", json!(outcome.lints));
        put("notes", json!(outcome.read.notes));
        if let Some(expected) = self.expected {
            put("expected", json!(expected));
            put("agrees", json!(self.agreement() == Agreement::Agrees));
        }
        match &outcome.report {
            Some(Ok(page)) => put("report", json!(page)),
            Some(Err(why)) => put("report_error", json!(why)),
            None => {}
        }
        object
    }
}

fn explain(anomaly: &Anomaly) {
    say!("  {}: {}", anomaly.class, anomaly.sentence);
    for exhibit in &anomaly.operations {
        let Exhibit { process, text, call, .. } = exhibit;
        let mark = if exhibit.guilty { "→" } else { " " };
        let done = exhibit.done.map_or_else(|| "never".to_owned(), |done| done.to_string());
        say!("   {mark} process {process:<4} {text:<40} [{call}, {done}]");
    }
}

/// Many files' results in a line.
#[derive(Debug, Default)]
pub struct Summary {
    files: usize,
    valid: usize,
    invalid: usize,
    unknown: usize,
    refused: usize,
    expected: usize,
    agree: usize,
    disagree: usize,
}

impl Summary {
    /// Counts one.
    pub fn count(&mut self, shown: &Shown<'_>) {
        self.files += 1;
        match shown.validity() {
            Some(Validity::Valid) => self.valid += 1,
            Some(Validity::Invalid) => self.invalid += 1,
            Some(Validity::Unknown) => self.unknown += 1,
            None => self.refused += 1,
        }
        self.expected += usize::from(shown.expected.is_some());
        self.agree += usize::from(shown.agreement() == Agreement::Agrees);
        self.disagree += usize::from(shown.agreement() == Agreement::Disagrees);
    }

    /// Shows it.
    pub fn show(&self, style: Style) {
        let Summary { files, valid, invalid, unknown, refused, expected, agree, disagree } = self;
        if style.json {
            say!(
                "{}",
                json!({"summary": {
                    "files": files, "valid": valid, "invalid": invalid, "unknown": unknown,
                    "unreadable": refused, "expected": expected, "agree": agree, "disagree": disagree,
                }})
            );
            return;
        }
        let others = [(unknown, "unknown"), (refused, "unreadable")];
        let others: String =
            others.iter().filter(|(n, _)| **n > 0).map(|(n, what)| format!(", {n} {what}")).collect();
        let agreement = match (disagree, expected - agree - disagree) {
            _ if *expected == 0 => "nothing was expected".to_owned(),
            (0, 0) => format!("all {expected} as expected"),
            (0, open) => format!("{agree} of {expected} as expected, {open} not decided"),
            (n, open) => format!("{n} of {expected} DISAGREE, {open} not decided"),
        };
        let histories = if *files == 1 { "history" } else { "histories" };
        say!("{files} {histories}: {valid} valid, {invalid} invalid{others}; {agreement}");
    }
}

fn word(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "invalid",
    }
}
