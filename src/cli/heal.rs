//! `elenchus heal`: undoes what a killed trial left behind.

use super::{StoreArgs, broken, usage};
use crate::exit::Exit;
use crate::host::{Healed, heal};
use crate::store::{file, is_trial};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `heal`.
#[derive(Debug, Args)]
pub struct HealArgs {
    /// A trial's folder; every trial of the store if left out
    folder: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
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
            Ok(Healed::Already) => continue,
            Ok(Healed::Running { pid }) => format!("still runs, as process {pid}; nothing was touched"),
            Ok(Healed::Now { killed }) if killed.is_empty() => "healed; nothing was left".into(),
            Ok(Healed::Now { killed }) => {
                format!("healed; these processes were left and are gone: {killed:?}")
            }
            Err(e) => {
                exit = exit.max(broken(&e.to_string()));
                continue;
            }
        };
        found = true;
        println!("{}: {what}", folder.display());
    }
    if !found && exit == Exit::Valid {
        println!("nothing to heal");
    }
    exit
}
