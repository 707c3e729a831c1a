//! A list of histories with what is expected of each, as a table with tabs.

use super::job::Job;
use super::model;
use elenchus_core::verdict::Validity;
use std::path::Path;

/// A row: what to judge, and the verdict that is expected, if one is.
#[derive(Clone, Debug)]
pub struct Row {
    /// What to judge.
    pub job: Job,
    /// The expected verdict.
    pub expected: Option<Validity>,
}

/// The rows of a manifest. The first line names the columns: `file`, and any of `format`, `model`, `initial`,
/// `verdict` (or `expected`). A field that is empty or `-` says nothing, and then `usual` does; files are
/// relative to the manifest.
pub fn read(path: &Path, usual: &Job) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let rows = parse(&text, folder, usual)
        .map_err(|(line, what)| format!("{}: line {line}: {what}", path.display()))?;
    match rows.is_empty() {
        true => Err(format!("{}: it names no file: nothing would be examined", path.display())),
        false => Ok(rows),
    }
}

const COLUMNS: [&str; 6] = ["file", "format", "model", "initial", "verdict", "expected"];

fn parse(text: &str, folder: &Path, usual: &Job) -> Result<Vec<Row>, (usize, String)> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((first, head)) = lines.next() else {
        return Err((1, format!("expected a line that names the columns: {}", COLUMNS.join(", "))));
    };
    let columns: Vec<&str> = head.split('\t').collect();
    if let Some(strange) = columns.iter().find(|column| !COLUMNS.contains(column)) {
        let what = format!("expected columns among {}, found `{strange}`", COLUMNS.join(", "));
        return Err((first, what));
    }
    if !columns.contains(&"file") {
        return Err((first, "expected a column `file`".into()));
    }
    lines.map(|(number, line)| row(&columns, line, folder, usual).map_err(|what| (number, what))).collect()
}

fn row(columns: &[&str], line: &str, folder: &Path, usual: &Job) -> Result<Row, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    if fields.len() != columns.len() {
        return Err(format!("expected {} fields, found {}", columns.len(), fields.len()));
    }
    let mut row = Row { job: usual.clone(), expected: None };
    for (column, field) in columns.iter().zip(fields) {
        if field.is_empty() || field == "-" {
            if *column == "file" {
                return Err("expected the name of a file".into());
            }
            continue;
        }
        match *column {
            "file" => row.job.path = folder.join(field).into(),
            "format" => row.job.format = Some(field.into()),
            "model" if model::is_file(field) => {
                row.job.model = Some(folder.join(field).to_string_lossy().into_owned());
            }
            "model" => row.job.model = Some(field.into()),
            "initial" => row.job.initial = Some(field.into()),
            _ => row.expected = Some(verdict(field)?),
        }
    }
    super::validate(&row.job)?;
    Ok(row)
}

fn verdict(word: &str) -> Result<Validity, String> {
    match word {
        "valid" => Ok(Validity::Valid),
        "invalid" => Ok(Validity::Invalid),
        "unknown" => Ok(Validity::Unknown),
        _ => Err(format!("expected valid, invalid or unknown, found `{word}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn usual() -> Job {
        Job {
            path: "-".into(),
            format: None,
            model: None,
            conditions: Vec::new(),
            initial: Some("7".into()),
            nil_reads: None,
            failed_cas: None,
            keys: Vec::new(),
            tuples: None,
            timeout: Duration::from_secs(1),
            memory: 1,
            evidence: false,
            report: None,
            trial: false,
            earlier: None,
        }
    }

    fn parsed(text: &str) -> Result<Vec<Row>, (usize, String)> {
        parse(text, Path::new("folder"), &usual())
    }

    #[test]
    fn a_row_says_what_it_says_and_the_flags_the_rest() {
        let rows =
            parsed("# a comment\nfile\tmodel\tinitial\tverdict\na.log\tregister\t-\tinvalid\nb\t\t0\t\n");
        let rows = rows.expect("a manifest");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].job.path, "folder/a.log");
        assert_eq!(rows[0].job.model.as_deref(), Some("register"));
        assert_eq!(rows[0].job.initial.as_deref(), Some("7"));
        assert_eq!(rows[0].expected, Some(Validity::Invalid));
        assert_eq!((rows[1].job.initial.as_deref(), rows[1].expected), (Some("0"), None));
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_told_with_its_line() {
        let refused = |text: &str| parsed(text).expect_err("it is wrong");
        assert_eq!(refused("").0, 1);
        assert_eq!(refused("file\tcolour\n").0, 1);
        assert_eq!(refused("model\n").1, "expected a column `file`");
        assert_eq!(refused("file\tmodel\n\na\n"), (3, "expected 2 fields, found 1".into()));
        assert_eq!(refused("file\tverdict\na\tfine\n").1, "expected valid, invalid or unknown, found `fine`");
        assert!(refused("file\tmodel\na\tpoem\n").1.contains("`poem`"));
        assert!(refused("file\tformat\na\txml\n").1.contains("`xml`"));
        assert!(refused("file\tinitial\na\t(\n").1.contains("--initial"));
    }
}
