//! From a violation to the least that shows it: fewer strikes, operations and nodes, better weather, less time.
//!
//! The trial that found it is written out as a script, and the script is made smaller as long as a violation of the
//! same class by the same checker is there. Chance is drawn by name, so that what is left out changes little else.
//!
//! | module | its part |
//! |---|---|
//! | `origin` | what is shrunk |
//! | `ddmin` | the fewest items of a list that still show something |
//! | `passes` | what is tried to be left out, in which order |
//! | `leaps` | what could be all that it takes |
//! | `dice` | the same things in another order |
//! | `trials` | carries scripts out, and sees whether they show it |
//! | `past` | what happened before the contradiction, and led to it |
//! | `tale` | the same in sentences |
//! | `diagram` | the same as a picture |
//! | `remains` | what is left of it in a folder |

pub mod ddmin;
mod diagram;
mod dice;
mod leaps;
mod origin;
mod passes;
mod past;
mod remains;
#[cfg(test)]
mod sample;
mod tale;
mod trials;

pub use origin::written_out;
pub use passes::{Pass, Shrinking, Size};
pub use remains::leave;
pub use trials::{Performance, Sight, Trials, seen_at};
