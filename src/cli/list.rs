//! `elenchus list`: what there is.

use super::faults;
use super::say::{self, say};
use crate::exit::Exit;
use crate::faults::{Ground, possible};
use crate::registry::{Registry, SystemEntry};
use clap::Args;
use elenchus_checkers::consistency::CONDITIONS;
use elenchus_checkers::models::catalogue::CATALOGUE;
use elenchus_nemeses::FaultName;
use elenchus_reference::bug::Bug;

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "faults")]
    json: bool,
    /// Print only where each fault is possible, and how
    #[arg(long)]
    faults: bool,
    /// Print it as Markdown, as docs/faults.md has it
    #[arg(long, requires = "faults")]
    markdown: bool,
}

/// Lists everything that can be named on the command line.
pub fn run(args: &ListArgs, registry: &Registry) -> Exit {
    if args.markdown {
        say::bytes(faults::markdown().as_bytes());
        return Exit::Valid;
    }
    let sections = if args.faults { grounds() } else { sections(registry) };
    if args.json {
        let json: serde_json::Map<String, serde_json::Value> = sections
            .into_iter()
            .map(|(title, rows)| {
                let rows =
                    rows.into_iter().map(|(name, about)| serde_json::json!({"name": name, "about": about}));
                (title.to_owned(), rows.collect())
            })
            .collect();
        say!("{}", serde_json::Value::Object(json));
        return Exit::Valid;
    }
    for (title, rows) in sections {
        say!("{title}");
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, about) in rows {
            say!("  {name:width$}  {about}");
        }
        say!();
    }
    Exit::Valid
}

type Row = (String, String);

/// For each ground, the faults with how they are brought about, or why they cannot be.
fn grounds() -> Vec<(&'static str, Vec<Row>)> {
    let row = |fault: FaultName, ground| match possible(fault, ground) {
        Ok(how) => (fault.to_string(), how.to_owned()),
        Err(why) => (fault.to_string(), format!("no: {why}")),
    };
    let rows = |ground: Ground| FaultName::ALL.into_iter().map(|fault| row(fault, ground)).collect();
    Ground::ALL.into_iter().map(|ground| (ground.describe(), rows(ground))).collect()
}

/// A system, with what its clients can be asked, where that is known.
fn system(entry: &SystemEntry) -> Row {
    let offers: Vec<&str> = entry.offers.iter().map(|offered| offered.name()).collect();
    let about = match &offers[..] {
        [] => entry.about.to_owned(),
        offers => format!("{}; clients offer {}", entry.about, offers.join(", ")),
    };
    (entry.name.to_owned(), about)
}

fn sections(registry: &Registry) -> Vec<(&'static str, Vec<Row>)> {
    let row = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    vec![
        ("systems", registry.systems().iter().map(system).collect()),
        ("workloads", registry.workloads().iter().map(|w| row(w.name, w.about)).collect()),
        ("faults", FaultName::ALL.iter().map(|f| row(f.as_str(), f.describe())).collect()),
        ("models", CATALOGUE.iter().map(|entry| row(entry.name, entry.about)).collect()),
        ("conditions", CONDITIONS.iter().map(|c| row(c.name, c.about)).collect()),
        ("bugs", Bug::ALL.iter().map(|b| row(b.name(), b.page().change)).collect()),
    ]
}
