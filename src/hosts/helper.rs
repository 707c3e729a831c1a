//! This very program as it lies on hosts: sent once, under a name that says what it holds.

use super::{ANSWER_MAX, FOLDER, UPLOAD_MAX};
use crate::host::ssh::{Purpose, SshError, SshHost, quoted};
use elenchus_systems::described::hosts::Ssh;
use std::io;
use std::path::{Path, PathBuf};

/// Our program, here and there.
#[derive(Clone)]
pub struct Helper {
    /// The folder of all that is ours on a host.
    pub base: String,
    /// Its path there.
    pub path: String,
    program: PathBuf,
}

impl Helper {
    /// This program, for hosts that are reached in this way.
    pub fn new(ssh: &Ssh) -> Result<Helper, String> {
        let unreadable = |error: io::Error| format!("our own program cannot be read: {error}");
        let program = std::env::current_exe().map_err(unreadable)?;
        let mut sha1 = sha1_smol::Sha1::new();
        sha1.update(&std::fs::read(&program).map_err(unreadable)?);
        let base = ssh.folder.clone().unwrap_or_else(|| FOLDER.into());
        let path = format!("{base}/bin/elenchus-{}", short(&sha1.hexdigest()));
        Ok(Helper { base, path, program })
    }

    /// How many bytes it takes.
    pub fn size(&self) -> u64 {
        self.program.metadata().map_or(0, |about| about.len())
    }

    /// Sends it, unless it is there; says whether it was.
    pub async fn send(&self, host: &SshHost) -> Result<bool, SshError> {
        let (base, path) = (quoted(&self.base), quoted(&self.path));
        // What root runs must not lie where somebody else may put another file in its place.
        let made = format!(
            "mkdir -p -- {base} && {{ test -O {base} || {{ echo {base} belongs to somebody else: name another \
             folder in cluster.ssh.folder >&2; exit 1; }}; }} && mkdir -p -- {base}/bin && \
             {{ test ! -x {path} || sha1sum < {path}; }}"
        );
        let said = host.run(Purpose::Work, &made, ANSWER_MAX).await?;
        host.expect(&said, "make its folder")?;
        let is_there = !said.text().is_empty() && self.path.ends_with(short(&said.text()));
        if !is_there {
            host.upload(&self.program, Path::new(&self.path), UPLOAD_MAX).await?;
            let said = host.run(Purpose::Work, &format!("{path} --version"), ANSWER_MAX).await?;
            host.expect(&said, "run our helper")?;
        }
        Ok(is_there)
    }
}

/// Enough of a hash for a name.
fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}
