//! Clocks on a platform where none can be made to lie: every attempt says so.

use crate::host::processes::Identity;
use elenchus_core::fault::Skew;
use elenchus_core::process::NodeId;

/// No clock lies here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("clocks of unmodified programs lie on Linux only, on x86_64 and aarch64")]
pub struct ClockError;

/// The clocks of all nodes, which tell the truth.
#[derive(Debug, Default)]
pub struct Clocks;

impl Clocks {
    /// An error.
    pub async fn skew(&self, _: &NodeId, _: Identity, _: Option<Skew>) -> Result<i64, ClockError> {
        Err(ClockError)
    }

    /// An error.
    pub async fn clock(&self, _: &NodeId, _: Identity) -> Result<i64, ClockError> {
        Err(ClockError)
    }
}

/// Says that clocks cannot be made to lie here.
pub fn probe() -> Result<String, String> {
    Err(ClockError.to_string())
}
