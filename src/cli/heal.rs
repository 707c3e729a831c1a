//! `elenchus heal`: undoes what a killed trial left behind.

use super::{StoreArgs, broken, usage};
use crate::exit::Exit;
use crate::host::journal;
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
    let mut healed = 0;
    for folder in folders.iter().filter(|folder| folder.join(file::JOURNAL).is_file()) {
        match journal::heal(folder) {
            Ok(what) => {
                for line in what.lines() {
                    println!("{}: {line}", folder.display());
                    healed += 1;
                }
            }
            Err(e) => exit = exit.max(broken(&format!("{}: {e}", folder.display()))),
        }
    }
    if healed == 0 && exit == Exit::Valid {
        println!("nothing to heal");
    }
    exit
}
