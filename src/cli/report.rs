//! `elenchus report`: the report of a trial's folder, built anew.

use super::check;
use super::say::say;
use super::{broken, usage};
use crate::exit::Exit;
use crate::report;
use crate::store::{file, is_trial};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The trial's folder, such as store/latest
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Judges the folder if nobody did, and builds its report.
pub fn run(args: &ReportArgs) -> Exit {
    if !is_trial(&args.folder) {
        return usage(&format!("{} is not the folder of a trial", args.folder.display()));
    }
    if !args.folder.join(file::VERDICTS).is_file()
        && let Err(why) = check::trial(&args.folder)
    {
        return broken(&why);
    }
    match report::build(&args.folder) {
        Ok(_) => {
            let page = args.folder.join(file::REPORT).join("index.html");
            if args.json {
                say!("{}", serde_json::json!({ "report": page }));
            } else {
                say!("{}", page.display());
            }
            Exit::Valid
        }
        Err(e) => broken(&format!("the report could not be built: {e}")),
    }
}
