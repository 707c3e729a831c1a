//! What the user sees of the checks of a client.

use crate::cli::say::say;
use elenchus_systems::conformance::{Finding, Line};

/// A line a check, and what was said where it is bad.
pub fn table(findings: &[Finding], verbose: bool) {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    for finding in findings {
        let (mark, text) = match &finding.result {
            Ok(note) => ("ok ", note.as_str()),
            Err(bad) => ("bad", bad.what.as_str()),
        };
        say!("{mark}  {:width$}  {text}", finding.name);
        if verbose || finding.result.is_err() {
            for line in &finding.lines {
                let (way, text) = parts(line);
                say!("     {:width$}  {way:8} {}", "", short(text));
            }
        }
        if let Err(bad) = &finding.result {
            say!("     {:width$}  mend     {}", "", bad.mend);
        }
    }
    let bad = findings.iter().filter(|finding| finding.result.is_err()).count();
    match bad {
        0 => say!("{} checks, all ok", findings.len()),
        bad => say!("{bad} of {} checks are bad", findings.len()),
    }
}

fn parts(line: &Line) -> (&'static str, &str) {
    match line {
        Line::Sent(text) => ("sent", text),
        Line::Received(text) => ("received", text),
    }
}

/// A line of a terminal's width, its controls left out.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// All of it, for machines.
pub fn json(findings: &[Finding]) {
    let checks = findings.iter().map(|finding| {
        let lines = finding.lines.iter().map(parts).map(|(way, text)| serde_json::json!({ way: text }));
        let mut check = serde_json::json!({
            "name": finding.name,
            "ok": finding.result.is_ok(),
            "lines": lines.collect::<Vec<_>>(),
        });
        match &finding.result {
            Ok(note) => check["note"] = note.as_str().into(),
            Err(bad) => {
                check["what"] = bad.what.as_str().into();
                check["mend"] = bad.mend.into();
            }
        }
        check
    });
    say!("{}", serde_json::json!({ "checks": checks.collect::<Vec<_>>() }));
}
