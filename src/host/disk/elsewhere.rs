//! Disks that fail, where there is no FUSE: none can be had, and the reason is said.

use super::Lost;
use elenchus_core::fault::{Ailment, Loss};
use std::convert::Infallible;
use std::io;
use std::path::Path;

const WHY: &str = "disks that fail need Linux";

/// There is none.
#[derive(Debug)]
pub struct Disk(Infallible);

impl Disk {
    /// Says that there is none.
    pub fn mount(_folder: &Path, _point: &Path) -> io::Result<Disk> {
        Err(io::Error::new(io::ErrorKind::Unsupported, WHY))
    }

    /// Cannot be called.
    pub fn point(&self) -> &Path {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn settle(&self) -> io::Result<()> {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn power_off(&self, _loss: Loss) -> io::Result<Lost> {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn ail(&self, _ailment: Option<Ailment>) -> u64 {
        match self.0 {}
    }
}

/// Says why there is none.
pub fn probe() -> Result<String, String> {
    Err(WHY.into())
}

/// Says why there is none.
pub fn probe_as_we_are() -> Result<String, String> {
    probe()
}
