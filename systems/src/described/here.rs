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

    fn put<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, Result<(), Cause>> {
        let put =
            to.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|e| format!("{}: {e}", to.display()));
        let put = put.and_then(|()| copy(from, to));
        Box::pin(async move { put.map_err(Cause::from) })
    }

    fn folder<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, Result<(), Cause>> {
        let made = std::fs::create_dir_all(path);
        Box::pin(async move { made.map_err(|e| format!("{}: {e}", path.display()).into()) })
    }
}

/// Copies a file or a whole folder. Links to files are followed; one to a folder could lead anywhere, and is refused.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let about = std::fs::metadata(from).map_err(|e| at(from, e))?;
    if about.is_file() {
        return std::fs::copy(from, to).map(drop).map_err(|e| at(to, e));
    }
    if !about.is_dir() {
        return Err(format!("{} is neither a file nor a folder", from.display()));
    }
    if std::fs::symlink_metadata(from).map_err(|e| at(from, e))?.is_symlink() {
        return Err(format!("{} is a link to a folder", from.display()));
    }
    std::fs::create_dir_all(to).map_err(|e| at(to, e))?;
    for entry in std::fs::read_dir(from).map_err(|e| at(from, e))? {
        let entry = entry.map_err(|e| at(from, e))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    std::fs::set_permissions(to, about.permissions()).map_err(|e| at(to, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_copied_whole_with_its_modes_and_no_link_leads_out_of_it() {
        let scratch = std::env::temp_dir().join(format!("elenchus-here-{}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        let from = scratch.join("from");
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/server"), [0, 159, 146, 150]).unwrap();
        fs::set_permissions(from.join("deep/server"), fs::Permissions::from_mode(0o755)).unwrap();
        let to = scratch.join("there/to");
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("deep/server")).unwrap(), [0, 159, 146, 150], "not only text");
        assert_eq!(fs::metadata(to.join("deep/server")).unwrap().permissions().mode() & 0o777, 0o755);
        std::os::unix::fs::symlink("/", from.join("out")).unwrap();
        assert!(copy(&from, &scratch.join("again")).unwrap_err().contains("is a link to a folder"));
        assert!(copy(&scratch.join("none"), &to).unwrap_err().contains("none"));
        fs::remove_dir_all(scratch).unwrap();
    }
}
