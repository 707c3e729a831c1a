//! `elenchus merge`: the results of shards as one.

use super::say::say;
use super::usage;
use crate::exit::Exit;
use crate::results;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Folders of shards, or their results.jsonl
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Print one JSON object a trial instead of a table
    #[arg(long)]
    json: bool,
}

/// Joins them. Trials that no shard has are a doubt.
pub fn run(args: &MergeArgs) -> Exit {
    let (head, rows) = match results::merge(&args.shards) {
        Ok(merged) => merged,
        Err(e) => return usage(&e.to_string()),
    };
    if args.json {
        for row in rows.values() {
            say!("{}", serde_json::to_string(row).expect("a row is plain data"));
        }
    } else {
        say!("{}: {} of {} trials\n\n{}", head.name, rows.len(), head.trials, results::table(rows.values()));
    }
    let worst = results::worst(rows.values());
    if rows.len() < head.trials {
        eprintln!("elenchus: {} trials are in none of these shards", head.trials - rows.len());
        return worst.max(Exit::Unknown);
    }
    worst
}
