//! `elenchus heal`: undoes what a killed trial left behind.

use super::say::say;
use super::{StoreArgs, broken, usage};
use crate::exit::Exit;
use crate::host::{Healed, heal};
use crate::hosts::undo;
use crate::store::{file, is_trial};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `heal`.
#[derive(Debug, Args)]
pub struct HealArgs {
    /// A trial's folder; every trial of the store if left out
    folder: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print one JSON object a trial
    #[arg(long)]
    json: bool,
}

/// Heals one trial, or all of the store.
pub fn run(args: &HealArgs) -> Exit {
    let folders = match &args.folder {
        Some(folder) if !is_trial(folder) => {
            return usage(&format!("{} is not the folder of a trial", folder.display()));
        }
        Some(folder) => vec![folder.clone()],
        None => match args.store.store().trials() {
            Ok(folders) => folders,
            Err(e) => return broken(&format!("cannot read the store {}: {e}", args.store.store.display())),
        },
    };
    let mut exit = Exit::Valid;
    let mut found = false;
    for folder in folders.iter().filter(|folder| folder.join(file::JOURNAL).is_file()) {
        let what = match heal(folder) {
            Ok(Healed::Already) if !undo::is_due(folder) => continue,
            Ok(Healed::Already) => "its own processes had ended".into(),
            Ok(Healed::Running { pid }) => format!("still runs, as process {pid}; nothing was touched"),
            Ok(Healed::Now { killed }) => healed(&killed, drop_data(folder)),
            Err(e) => {
                exit = exit.max(broken(&e.to_string()));
                continue;
            }
        };
        found = true;
        let what = match on_hosts(folder, what) {
            Ok(what) => what,
            Err(why) => {
                exit = exit.max(broken(&why));
                continue;
            }
        };
        if args.json {
            say!("{}", serde_json::json!({ "folder": folder, "healed": what }));
        } else {
            say!("{}: {what}", folder.display());
        }
    }
    if !found && exit == Exit::Valid && !args.json {
        say!("nothing to heal");
    }
    exit
}

/// Undoes on its hosts what a trial left, unless it still runs.
fn on_hosts(folder: &Path, what: String) -> Result<String, String> {
    if !undo::is_due(folder) || what.starts_with("still runs") {
        return Ok(what);
    }
    undo::heal(folder).map(|hosts| format!("{what}; nothing is left on its {hosts} hosts"))
}

/// What was done, in words.
fn healed(killed: &[i32], had_data: bool) -> String {
    match (killed, had_data) {
        ([], false) => "healed; nothing was left".into(),
        ([], true) => "healed; the nodes' data was left and is removed".into(),
        (killed, _) => format!("healed; these processes were left and are gone: {killed:?}"),
    }
}

/// Removes what the nodes kept; whether there was anything.
fn drop_data(folder: &Path) -> bool {
    std::fs::remove_dir_all(folder.join(file::DATA)).is_ok()
}
