//! The table of faults: what each does, and where it is possible. `docs/faults.md` is what this prints.

use crate::faults::{Ground, possible};
use elenchus_nemeses::FaultName;
use std::fmt::Write;

/// The table with its explanation, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    let grounds = Ground::ALL.map(Ground::describe).join(" | ");
    let _ = writeln!(page, "| fault | {grounds} |\n|{}", "---|".repeat(Ground::ALL.len() + 1));
    for fault in FaultName::ALL {
        let cells = Ground::ALL.map(|ground| match possible(fault, ground) {
            Ok(how) => escaped(how),
            Err(why) => format!("*no:* {}", escaped(why)),
        });
        let _ = writeln!(page, "| `{fault}` | {} |", cells.join(" | "));
    }
    page.push_str("\n## What they do\n\n| fault | does | strikes |\n|---|---|---|\n");
    for fault in FaultName::ALL {
        let when = match fault {
            _ if fault.is_beyond_assumptions() => "by name only: it is beyond what systems assume",
            _ if FaultName::CUSTOMARY.contains(&fault) => "without a word, in `all`, by name",
            _ => "in `all`, by name",
        };
        let _ = writeln!(page, "| `{fault}` | {} | {when} |", escaped(fault.describe()));
    }
    page
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

const HEAD: &str = "\
# Faults, and where they are possible

Printed by `elenchus list --faults --markdown`; a test compares. A fault that is named where it is not possible is refused when the trial is
planned, with the reason (on hosts: before the first operation); `all` leaves it out. What a machine lacks although its ground allows it (a kernel without a feature, a closed
`/dev/fuse`), `elenchus doctor` says. Each fault heals alone, and counts as hit only with proof of its effect while an operation was open.

";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_page_is_what_the_code_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, markdown()).expect("docs/faults.md can be written");
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            page == markdown(),
            "docs/faults.md is out of date: UPDATE=1 cargo test --lib the_page_is writes it"
        );
    }

    #[test]
    fn every_row_has_a_cell_for_every_ground() {
        let page = markdown();
        let rows: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| `")).take(FaultName::ALL.len()).collect();
        assert_eq!(rows.len(), FaultName::ALL.len());
        for row in rows {
            let cells = row.replace("\\|", "").matches('|').count() - 1;
            assert_eq!(cells, Ground::ALL.len() + 1, "{row}");
        }
    }
}
