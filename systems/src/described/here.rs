//! This machine, as the host of nodes.

use elenchus_core::LocalFuture;
use elenchus_core::host::{Host, Ran};
use elenchus_core::outcome::Cause;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// This machine.
#[derive(Clone, Copy, Debug)]
pub struct Here;

impl Host for Here {
    fn run<'a>(
        &'a self,
        argv: &'a [String],
        folder: &'a Path,
        limit: Duration,
    ) -> LocalFuture<'a, Result<Ran, Cause>> {
        Box::pin(async move {
            let (program, arguments) = argv.split_first().ok_or("no command is named")?;
            let mut command = Command::new(program);
            command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
            let ended = tokio::time::timeout(limit, command.output()).await;
            let output = ended.map_err(|_| format!("not within {limit:?}"))?.map_err(|e| e.to_string())?;
            Ok(Ran {
                is_success: output.status.success(),
                ending: output.status.to_string(),
                stdout: output.stdout,
                stderr: output.stderr,
            })
        })
    }

    fn write<'a>(&'a self, path: &'a Path, text: &'a str) -> LocalFuture<'a, Result<(), Cause>> {
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
        Box::pin(async move { written.map_err(|e| format!("{}: {e}", path.display()).into()) })
    }

    fn folder<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, Result<(), Cause>> {
        let made = std::fs::create_dir_all(path);
        Box::pin(async move { made.map_err(|e| format!("{}: {e}", path.display()).into()) })
    }
}
