//! A host as a system sees it: its node's files, and commands beside its process.

use crate::host::ssh::{Purpose, SshHost, quoted};
use elenchus_core::LocalFuture;
use elenchus_core::host::{Host, Ran};
use elenchus_core::outcome::Cause;
use std::path::Path;
use std::time::Duration;

/// A host that is reached over SSH.
pub(super) struct Seated(pub SshHost);

impl Host for Seated {
    fn run<'a>(
        &'a self,
        argv: &'a [String],
        folder: &'a Path,
        limit: Duration,
    ) -> LocalFuture<'a, Result<Ran, Cause>> {
        let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
        let command = format!("cd {} && {}", quoted(&folder.to_string_lossy()), words.join(" "));
        Box::pin(async move {
            let output = self.0.run_as_root(Purpose::Work, &command, limit).await.map_err(cause)?;
            Ok(Ran {
                is_success: output.is_success(),
                ending: output.how(),
                stdout: output.stdout,
                stderr: output.stderr,
            })
        })
    }

    fn write<'a>(&'a self, path: &'a Path, text: &'a str) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            if let Some(folder) = path.parent() {
                self.folder(folder).await?;
            }
            let bytes = text.as_bytes().to_vec();
            self.0.write(path, bytes, 0o644, super::ANSWER_MAX).await.map_err(cause)
        })
    }

    fn put<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            if let Some(folder) = to.parent() {
                self.folder(folder).await?;
            }
            self.0.upload(from, to, super::UPLOAD_MAX).await.map_err(cause)
        })
    }

    /// Ours, not root's: files are written by whoever logs in.
    fn folder<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, Result<(), Cause>> {
        let command = format!("mkdir -p -- {}", quoted(&path.to_string_lossy()));
        Box::pin(async move {
            let made = self.0.run(Purpose::Work, &command, super::ANSWER_MAX).await.map_err(cause)?;
            match made.is_success() {
                true => Ok(()),
                false => Err(format!("{}: {command}: {}", self.0.node(), made.ending()).into()),
            }
        })
    }
}

fn cause(error: impl std::fmt::Display) -> Cause {
    Cause::from(error.to_string())
}
