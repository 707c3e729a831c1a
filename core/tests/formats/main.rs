//! Histories as text: what is written is read back, what is damaged is told.

mod arbitrary;
mod damaged;
mod porcupine;
mod recorded;
mod round_trip;
