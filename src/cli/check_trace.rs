//! `elenchus check-trace`: traces of consensus, judged. Anybody's: of a trial, of etcd, of a Raft of your own.

use super::say::say;
use super::usage;
use crate::exit::Exit;
use crate::trace::{self, Judged};
use clap::Args;
use elenchus_checkers::Consensus;
use elenchus_checkers::consensus::Violation;
use elenchus_core::budget::Budget;
use elenchus_core::verdict::Validity;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `check-trace`.
#[derive(Debug, Args)]
pub struct CheckTraceArgs {
    /// Files of trace lines (JSON), one or several nodes each; a folder of such files, or a trial's; `-` for standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Hold nothing against a node that forgot what was on its disk
    #[arg(long)]
    forgetful_disks: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Judges all files together: they are the nodes of one cluster.
pub fn run(args: &CheckTraceArgs) -> Exit {
    let consensus = Consensus::new();
    let consensus = if args.forgetful_disks { consensus.with_forgetful_disks() } else { consensus };
    let judged =
        trace::files(&args.paths).and_then(|files| trace::judge(&files, consensus, &Budget::unlimited()));
    let judged = match judged {
        Ok(judged) => judged,
        Err(why) => return usage(&why.to_string()),
    };
    if args.json {
        print_json(&judged)
    } else {
        print(&judged)
    }
    judged.findings.validity().into()
}

fn print(judged: &Judged) {
    let verdict = judged.verdict();
    let word = match verdict.validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "INVALID",
    };
    say!("{word}: {}", verdict.why);
    for Violation { class, node, term, index, sentence, .. } in &judged.findings.violations {
        let term = term.map_or(String::new(), |term| format!(", term {term}"));
        let index = index.map_or(String::new(), |index| format!(", index {index}"));
        say!("\n{class} (node {node}{term}{index}):\n  {sentence}");
    }
    let figures = judged.findings.examined.figures().map(|(name, figure)| format!("{name} {figure}"));
    say!("\nexamined: {}", figures.join(", "));
    if judged.torn > 0 {
        say!("lines that a crash cut off: {}", judged.torn);
    }
}

fn print_json(judged: &Judged) {
    let examined: serde_json::Map<_, _> = judged
        .findings
        .examined
        .figures()
        .into_iter()
        .map(|(name, figure)| (name.to_owned(), figure.into()))
        .collect();
    let line = json!({
        "validity": judged.findings.validity(),
        "violations": judged.findings.violations,
        "counts": judged.findings.counts,
        "examined": examined,
        "torn": judged.torn,
    });
    say!("{line}");
}
