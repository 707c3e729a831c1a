//! Where a node's files lie and commands beside its own process run: this machine, or another one.
//!
//! A system speaks to it, and knows nothing of folders in a store or of connections. Deliberately absent:
//! starting and breaking nodes, which is the world's affair.

use crate::LocalFuture;
use crate::outcome::Cause;
use std::path::Path;
use std::time::Duration;

/// What a command left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Whether it ended with 0.
    pub is_success: bool,
    /// How it ended, for people: `exit status: 1`.
    pub ending: String,
    /// What it printed on standard output.
    pub stdout: Vec<u8>,
    /// What it printed on standard error.
    pub stderr: Vec<u8>,
}

/// A machine that bears nodes. An error means that nobody knows whether it was done.
pub trait Host {
    /// Runs a program and its arguments in a folder, to its end or to the limit.
    fn run<'a>(
        &'a self,
        argv: &'a [String],
        folder: &'a Path,
        limit: Duration,
    ) -> LocalFuture<'a, Result<Ran, Cause>>;

    /// Writes a file, and makes the folders above it.
    fn write<'a>(&'a self, path: &'a Path, text: &'a str) -> LocalFuture<'a, Result<(), Cause>>;

    /// Puts a file or a folder of this machine there, as it is, and makes the folders above it.
    fn put<'a>(&'a self, from: &'a Path, to: &'a Path) -> LocalFuture<'a, Result<(), Cause>>;

    /// Makes a folder, and those above it.
    fn folder<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, Result<(), Cause>>;
}
