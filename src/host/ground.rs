//! The ground that a trial's controller stands on, whichever way it was set up.

use super::addresses::Addresses;
use super::handle::SupervisorLine;
use super::interrupts::Interrupts;
use super::isolation::Isolation;
use super::links::Links;
use super::packets::Packets;

/// All that a controller needs to run nodes and to break what joins them.
#[derive(Debug)]
pub struct Ground {
    /// How nodes are kept apart, and why so.
    pub isolation: Isolation,
    /// A word that no other trial has, for the names of what must be found again.
    pub token: String,
    /// Where everybody is.
    pub addresses: Addresses,
    /// What joins the nodes.
    pub links: Links,
    /// What the nodes send each other.
    pub packets: Packets,
    /// The one who starts and ends the nodes; to be connected inside a tokio runtime.
    pub supervisor: SupervisorLine,
    /// The user's wish to stop.
    pub interrupts: Interrupts,
}
