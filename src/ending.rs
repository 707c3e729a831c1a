//! How a trial's nodes end: by the command that their system has for it, and by force; what they leave is kept.
//!
//! Nothing here can cost a verdict: the history is complete, and whatever fails becomes a line of `setup.log`.

use crate::live::LiveCluster;
use crate::store::file;
use elenchus_core::process::NodeId;
use elenchus_core::system::System;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long nodes are given to end by themselves.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of a node's logs is kept.
pub(crate) const KEPT_MAX: u64 = 256 << 20;

/// Asks every node to end, where its system has a way, and waits until they have. Returns what came of it, a line
/// each. Whoever still runs is for somebody else to kill.
pub async fn stop(cluster: &LiveCluster, system: &dyn System, nodes: &[NodeId]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut asked = Vec::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for node in nodes {
        let Some(stop) = system.stop(node) else { continue };
        cluster.forget_death(node);
        match tokio::time::timeout_at(deadline, stop).await {
            Ok(Ok(said)) => {
                lines.push(format!("{node} was asked to stop: {said}"));
                asked.push(node);
            }
            Ok(Err(why)) => lines.push(format!("{node} could not be asked to stop: {why}")),
            Err(_) => lines.push(format!("{node} could not be asked to stop within {PATIENCE:?}")),
        }
    }
    for node in asked {
        let ended = async {
            loop {
                match cluster.died(node) {
                    Some(status) => break status,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        lines.push(match tokio::time::timeout_at(deadline, ended).await {
            Ok(status) => format!("{node} stopped: it {status}"),
            Err(_) => format!("{node} did not stop within {PATIENCE:?} and is killed"),
        });
    }
    lines
}

/// Keeps what the nodes leave when it is dropped, so on every path out of a trial.
pub struct Collector {
    system: Rc<dyn System>,
    nodes: Vec<NodeId>,
    folder: PathBuf,
}

impl Collector {
    /// A collector for the trial in `folder`.
    pub fn new(system: Rc<dyn System>, nodes: &[NodeId], folder: &Path) -> Collector {
        Collector { system, nodes: nodes.to_vec(), folder: folder.into() }
    }

    fn collect(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for node in &self.nodes {
            let to = self.folder.join(file::LOGS).join(node.as_str());
            let mut left = KEPT_MAX;
            for from in self.system.logs(node) {
                let kept = fs::create_dir_all(&to).and_then(|()| keep(&from, &fresh(&to, &from), &mut left));
                if let Err(why) = kept {
                    lines.push(format!("{node}: {} is not kept: {why}", from.display()));
                }
            }
        }
        lines
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let lines = self.collect();
        let path = self.folder.join(file::SETUP);
        if let Ok(mut file) = fs::OpenOptions::new().create(true).append(true).open(path) {
            // It is for people who wonder; nothing fails for want of it.
            let _ = lines.iter().try_for_each(|line| writeln!(file, "{line}"));
        }
    }
}

/// Where to keep a file, so that it replaces none that was kept before.
pub(crate) fn fresh(to: &Path, from: &Path) -> PathBuf {
    let name = from.file_name().unwrap_or_default();
    let numbered = (2..).map(|number| {
        let mut name = name.to_owned();
        name.push(format!(".{number}"));
        to.join(name)
    });
    let mut paths = std::iter::once(to.join(name)).chain(numbered);
    paths.find(|path| !path.exists()).expect("there is always another number")
}

/// Copies a file or a folder. Links are not followed: they may lead anywhere.
fn keep(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    let kind = from.symlink_metadata()?;
    if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            keep(&entry.path(), &to.join(entry.file_name()), left)?;
        }
    } else if kind.is_file() {
        if kind.len() > *left {
            return Err(io::Error::other(format!("more than {} MiB are too much", KEPT_MAX >> 20)));
        }
        *left -= fs::copy(from, to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_kept_whole_and_replaces_nothing() {
        let folder = std::env::temp_dir().join(format!("elenchus-ending-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("inner")).expect("a temporary folder");
        fs::create_dir_all(&to).expect("a temporary folder");
        fs::write(from.join("inner/a.log"), "a").expect("written");
        std::os::unix::fs::symlink("/etc", from.join("link")).expect("a link");
        for name in ["from", "from.2"] {
            let path = fresh(&to, &from);
            assert_eq!(path, to.join(name));
            keep(&from, &path, &mut 10).expect("kept");
            assert_eq!(fs::read_to_string(path.join("inner/a.log")).expect("it is there"), "a");
            assert!(!path.join("link").exists(), "links are not followed");
        }
        assert!(keep(&from, &to.join("x"), &mut 0).is_err(), "too much is refused");
        fs::remove_dir_all(folder).expect("our own folder");
    }
}
