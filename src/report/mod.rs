//! A trial's report, built from its folder alone: a page and pictures.
//!
//! The folder is read, told as a [`Story`] of plain data, drawn as HTML text and as pixels, and written to
//! `report/` inside it; only the first and the last step touch files. A report never affects a verdict:
//! what cannot be drawn is told on the page, and the rest goes on.
//!
//! | module | what it is |
//! |---|---|
//! | [`folder`] | what a folder holds |
//! | [`story`] | what a report tells, as plain data |
//! | [`operations`], [`series`], [`statistics`], [`faults`], [`scene`] | parts of a story |
//! | [`page`] | a story as HTML |
//! | [`pictures`] | a story as PNG |
//! | [`escape`], [`scale`] | text made harmless, axes and numbers for people |

pub mod escape;
pub mod faults;
pub mod folder;
pub mod operations;
pub mod page;
pub mod pictures;
pub mod scale;
pub mod scene;
pub mod series;
pub mod statistics;
pub mod story;

use folder::Folder;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
pub use story::Story;

/// Why there is no report: a file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct ReportError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
}

/// A report that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The page: `<folder>/report/index.html`.
    pub page: PathBuf,
    /// The pictures that were drawn, beside the page.
    pub pictures: Vec<PathBuf>,
    /// What could not be drawn, a sentence each; the page says the same.
    pub troubles: Vec<String>,
}

/// Builds `report/` inside a trial's folder, over what an earlier report left there.
pub fn build(folder: &Path) -> Result<Built, ReportError> {
    let story = Story::tell(&Folder::read(folder)?);
    let report = folder.join("report");
    fs::create_dir_all(&report).map_err(|e| reason(&report, e))?;
    let mut troubles = Vec::new();
    let mut drawn = Vec::new();
    for name in pictures::NAMES {
        let path = report.join(name);
        match draw_picture(&story, name, &path) {
            Ok(true) => drawn.push(name.to_owned()),
            Ok(false) => remove_old(&path)?,
            Err(what) => troubles.push(format!("{name} could not be drawn: {what}")),
        }
    }
    let page = report.join("index.html");
    fs::write(&page, page::render(&story, &drawn, &troubles)).map_err(|e| reason(&page, e))?;
    Ok(Built { page, pictures: drawn.iter().map(|name| report.join(name)).collect(), troubles })
}

/// Draws one picture into its file; `false` if the story has nothing to show in it. A panic of a plotting
/// library is a trouble of this picture alone.
fn draw_picture(story: &Story, name: &str, path: &Path) -> Result<bool, String> {
    let drawn = std::panic::catch_unwind(|| pictures::draw(story, name));
    match drawn.unwrap_or_else(|_| Err("drawing it panicked".to_owned()))? {
        Some(picture) => picture.write(path).map(|()| true),
        None => Ok(false),
    }
}

/// A picture of an earlier report that this one does not have must not stand beside it.
fn remove_old(path: &Path) -> Result<(), ReportError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(reason(path, error)),
        _ => Ok(()),
    }
}

fn reason(path: &Path, what: impl Display) -> ReportError {
    ReportError { path: path.to_owned(), what: what.to_string() }
}
