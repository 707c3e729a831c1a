//! `elenchus init`: writes a campaign to start from.

use super::say::say;
use super::usage;
use crate::exit::Exit;
use crate::init::{STARTERS, named};
use clap::Args;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// For which system: bundled, etcd, http (a store of your own that speaks HTTP), or exec (a system and a client of your own)
    #[arg(default_value = "bundled")]
    name: String,
    /// The file to write; one that is there is left as it is
    #[arg(long, short = 'o', value_name = "FILE", default_value = "campaign.toml")]
    output: PathBuf,
}

/// Writes the file, unless there is one.
pub fn run(args: &InitArgs, program: &str) -> Exit {
    let Some(starter) = named(&args.name) else {
        let known = STARTERS.map(|starter| format!("{} ({})", starter.name, starter.about)).join(", ");
        return usage(&format!("there is no campaign `{}` to start from; there are {known}", args.name));
    };
    let path = args.output.display();
    let file = OpenOptions::new().write(true).create_new(true).open(&args.output);
    match file.and_then(|mut file| file.write_all(starter.text.as_bytes())) {
        Ok(()) => {
            say!("{path} is written: {}. Read it, then: {program} doctor {path}", starter.about);
            Exit::Valid
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            usage(&format!("{path} is there already, and is left as it is; name another with --output"))
        }
        Err(error) => usage(&format!("cannot write {path}: {error}")),
    }
}
