//! Clocks of unmodified processes that lie: what a running program is told by its vDSO is shifted, for itself
//! alone.
//!
//! A program asks for the time by calling a function that the kernel has mapped into its memory, the vDSO;
//! static programs and Go's do so too. [`Clocks`] leads these functions, in the processes of one node, into
//! a few instructions that make the real system call and shift its answer: a jump, a strobe, a drift.
//! Nobody else's clock changes. The wall clock lies, and only that: monotonic clocks stay true, and so do all
//! sleeps and timers, which are the kernel's.
//!
//! The proof is a count, kept by these instructions, of the reads that were answered askew, with what the last
//! one said: a clock counts as shown only once the node has read it.
//!
//! Not reached: programs that make the system call themselves or read the processor's counter, and those of
//! 32 bits. A new program that a node executes tells the truth until it is looked after, which [`Clocks`] does
//! every 50 ms while the node's clock lies.
//!
//! | module | what it is |
//! |---|---|
//! | `lie`, `variables` | how a clock lies, and where that stands in memory |
//! | `image` | the functions of a vDSO |
//! | `stub` | the instructions, and the jump to them |
//! | `tracee`, `registers`, `memory` | another process, stopped, made to call the kernel, read |
//! | `patch`, `family` | one process, all of a node |
//! | `clocks` | all nodes, for whoever must not block |
//! | [`probe`] | whether this machine allows it |

mod clocks;
mod family;
mod image;
mod lie;
mod memory;
mod patch;
mod probe;
mod registers;
mod stub;
mod tracee;
mod variables;

pub use clocks::{ClockError, Clocks};
pub use probe::probe;
