//! The bundled clusters: protocol cores, log encoding, framing and client sessions, all without IO; the
//! node that moves their bytes for real; the bugs that they can be told to have.
//!
//! Shares no code with the checkers that judge it.

pub mod bug;
pub mod clock;
mod codec;
pub mod frame;
pub mod hello;
pub mod kv;
#[cfg(unix)]
pub mod node;
pub mod protocol;
pub mod raft;
pub mod replica;
pub mod session;
pub mod sim;
pub mod timers;
pub mod wal;
pub mod wire;
