//! `elenchus list`: what there is.

use super::say::say;
use crate::exit::Exit;
use crate::registry::{SYSTEMS, WORKLOADS};
use clap::Args;
use elenchus_checkers::consistency::CONDITIONS;
use elenchus_checkers::models::catalogue::CATALOGUE;
use elenchus_nemeses::FaultName;
use elenchus_reference::bug::Bug;

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists everything that can be named on the command line.
pub fn run(args: &ListArgs) -> Exit {
    let sections = sections();
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

fn sections() -> Vec<(&'static str, Vec<Row>)> {
    let row = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    vec![
        ("systems", SYSTEMS.iter().map(|s| row(s.name, s.about)).collect()),
        ("workloads", WORKLOADS.iter().map(|w| row(w.name, w.about)).collect()),
        ("faults", FaultName::ALL.iter().map(|f| row(f.as_str(), f.describe())).collect()),
        ("models", CATALOGUE.iter().map(|entry| row(entry.name, entry.about)).collect()),
        ("conditions", CONDITIONS.iter().map(|c| row(c.name, c.about)).collect()),
        ("bugs", Bug::ALL.iter().map(|b| row(b.name(), b.page().change)).collect()),
    ]
}
