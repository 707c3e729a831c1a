//! One host: commands, files and streams over connections that are kept.

use super::access::Access;
use super::bridge::{self, Ended};
use super::command::{self, Output, quoted};
use super::error::{Broke, SshError, Trouble};
use super::line::Line;
use super::transfer;
use elenchus_core::process::NodeId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// What a connection is for. A connection that a fault or a slow command holds up never stands in the way of healing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Setting up, breaking, asking, collecting.
    Work,
    /// Undoing.
    Heal,
}

/// A host that is reached over SSH. Clones share its connections.
#[derive(Clone)]
pub struct SshHost {
    access: Arc<Access>,
    work: Line,
    heal: Line,
    sudo: bool,
}

/// An open stream to a command on a host. Dropping it ends the command's input and its connection.
#[derive(Debug)]
pub struct Stream {
    /// Standard output of the command, and its standard input.
    pub socket: UnixStream,
    /// Why it ended, once reading has.
    pub ended: Ended,
}

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Its kernel: `Linux`.
    pub system: String,
    /// Its architecture: `x86_64`, `aarch64`…
    pub architecture: String,
    /// Our user's number there.
    pub uid: u32,
    /// What it calls itself.
    pub name: String,
}

impl SshHost {
    /// A host to which nothing is connected yet. With `sudo` commands that need it are run as root by `sudo -n`.
    pub fn new(access: Access, sudo: bool) -> std::io::Result<SshHost> {
        let access = Arc::new(access);
        let line = |purpose: &str| Line::new(access.clone(), &format!("{} {purpose}", access.node));
        Ok(SshHost { work: line("work")?, heal: line("heal")?, access, sudo })
    }

    /// The node that it bears.
    pub fn node(&self) -> &NodeId {
        &self.access.node
    }

    fn line(&self, purpose: Purpose) -> &Line {
        match purpose {
            Purpose::Work => &self.work,
            Purpose::Heal => &self.heal,
        }
    }

    /// Opens both connections, or says why one cannot be.
    pub async fn connect(&self, limit: Duration) -> Result<(), SshError> {
        let open = |line: &Line| {
            let line = line.clone();
            async move { line.ask("log in", limit, |_, _| Ok(())).await }
        };
        let (work, heal) = tokio::join!(open(&self.work), open(&self.heal));
        work.and(heal)
    }

    /// Runs a shell command as the user who logs in.
    pub async fn run(&self, purpose: Purpose, command: &str, limit: Duration) -> Result<Output, SshError> {
        self.shell(purpose, command, false, limit).await
    }

    /// Runs a shell command as root, if the host was made with `sudo`; otherwise as the user who logs in.
    pub async fn run_as_root(
        &self,
        purpose: Purpose,
        command: &str,
        limit: Duration,
    ) -> Result<Output, SshError> {
        self.shell(purpose, command, self.sudo, limit).await
    }

    async fn shell(
        &self,
        purpose: Purpose,
        command: &str,
        sudo: bool,
        limit: Duration,
    ) -> Result<Output, SshError> {
        let what = short(command);
        let (line, asked) = (command::bounded(command, sudo, limit), what.clone());
        self.line(purpose)
            .ask(&what, limit, move |open, deadline| command::run(open, &line, &asked, deadline))
            .await
    }

    /// Sends a file or a folder, modes included. A file is there whole or not at all.
    pub async fn upload(&self, from: &Path, to: &Path, limit: Duration) -> Result<(), SshError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let what = format!("upload {}", to.display());
        self.work.ask(&what, limit, move |open, deadline| transfer::upload(open, &from, &to, deadline)).await
    }

    /// Writes a file. It is there whole or not at all.
    pub async fn write(&self, to: &Path, bytes: Vec<u8>, mode: u32, limit: Duration) -> Result<(), SshError> {
        let to = to.to_owned();
        let what = format!("write {}", to.display());
        self.work
            .ask(&what, limit, move |open, deadline| transfer::write(open, &bytes, &to, mode, deadline))
            .await
    }

    /// Fetches a file or a folder.
    pub async fn download(&self, from: &Path, to: &Path, limit: Duration) -> Result<(), SshError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let what = format!("download {}", from.display());
        self.work
            .ask(&what, limit, move |open, deadline| transfer::download(open, &from, &to, deadline))
            .await
    }

    /// An error unless the host speaks SFTP.
    pub async fn speaks_sftp(&self, limit: Duration) -> Result<(), SshError> {
        self.work.ask("SFTP", limit, transfer::is_there).await
    }

    /// Opens a connection of its own, as root if the host was made with `sudo`, and starts a command on it that
    /// speaks on its standard streams. Its `$1` begins with the address that the host sees us come from.
    pub async fn stream(&self, command: &str, limit: Duration) -> Result<Stream, SshError> {
        let what = short(command);
        let sudo = if self.sudo { "sudo -n " } else { "" };
        let line = format!("exec {sudo}sh -c {} sh \"$SSH_CONNECTION\"", quoted(command));
        let (name, asked) = (format!("{} stream", self.access.node), what.clone());
        let own = Line::new(self.access.clone(), &name).map_err(|e| self.failed(&e))?;
        let (socket, ended) = own
            .ask_for_good(&what, limit, move |open, deadline| {
                let channel = command::begin(&open, &line, &asked, deadline)?;
                bridge::start(open, channel, &name)
                    .map_err(|e| Broke::Answered(Trouble::Failed(format!("{asked}: {e}"))))
            })
            .await?;
        let socket = socket.set_nonblocking(true).and_then(|()| UnixStream::from_std(socket));
        Ok(Stream { socket: socket.map_err(|e| self.failed(&e))?, ended })
    }

    /// Asks the host who it is.
    pub async fn survey(&self, limit: Duration) -> Result<Survey, SshError> {
        let said = self.run(Purpose::Work, "uname -s && uname -m && id -u && uname -n", limit).await?;
        let text = said.text();
        let lines: Vec<&str> = text.lines().collect();
        match (said.is_success(), &lines[..]) {
            (true, [system, architecture, uid, name]) if uid.parse::<u32>().is_ok() => Ok(Survey {
                system: (*system).into(),
                architecture: (*architecture).into(),
                uid: uid.parse().unwrap_or(u32::MAX),
                name: (*name).into(),
            }),
            _ => Err(self.error(Trouble::Failed(format!("it does not say who it is: {}", said.ending())))),
        }
    }

    /// An error unless the command ended with 0. `what` it was to do, for people.
    pub fn expect(&self, output: &Output, what: &str) -> Result<(), SshError> {
        match output.is_success() {
            true => Ok(()),
            false => Err(self.error(Trouble::Failed(format!("it cannot {what}: {}", output.ending())))),
        }
    }

    fn failed(&self, error: &std::io::Error) -> SshError {
        self.error(Trouble::Failed(error.to_string()))
    }

    /// Where it is: `user@host:port`.
    pub fn place(&self) -> String {
        let Access { user, host, port, .. } = &*self.access;
        format!("{user}@{host}:{port}")
    }

    /// An error of this host.
    pub fn error(&self, trouble: Trouble) -> SshError {
        SshError { node: self.access.node.clone(), place: self.place(), trouble }
    }
}

impl Survey {
    /// Whether our own program runs there; an error says why not.
    pub fn runs_us(&self) -> Result<(), String> {
        let ours = std::env::consts::ARCH;
        let theirs = match self.architecture.as_str() {
            "arm64" => "aarch64",
            "amd64" => "x86_64",
            other => other,
        };
        if self.system != "Linux" {
            return Err(format!("it runs {}, and our helper needs Linux", self.system));
        }
        if theirs != ours {
            let what = format!("it is {theirs} and this program {ours}");
            return Err(format!("{what}: our helper cannot run there, and nothing that needs it"));
        }
        Ok(())
    }
}

/// A command as an error can name it.
fn short(command: &str) -> String {
    let line = command.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_architecture_or_system_is_refused_with_the_reason() {
        let survey = |system: &str, architecture: &str| Survey {
            system: system.into(),
            architecture: architecture.into(),
            uid: 0,
            name: "n1".into(),
        };
        assert_eq!(survey("Linux", std::env::consts::ARCH).runs_us(), Ok(()));
        assert!(survey("Linux", "riscv64").runs_us().expect_err("another").contains("riscv64"));
        assert!(
            survey("FreeBSD", std::env::consts::ARCH).runs_us().expect_err("another").contains("FreeBSD")
        );
    }
}
