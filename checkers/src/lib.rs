//! Judges of histories: each decides from a recorded history whether one promise was kept.
//!
//! Everything here is a pure function of a history and a budget. Nothing knows a cluster, a nemesis or a
//! clock; with `elenchus-core` this is a library that stands alone. Two mistakes are never forgiven: to
//! accuse a system that kept its promise, and to pass one that was not examined.
//!
//! | module | promise |
//! |---|---|
//! | [`linearizability`] | every operation takes effect at once, between call and return |
//! | [`models`] | the objects that are judged, and how their operations stand on disk |

pub mod linearizability;
pub mod models;

mod exhibits;
mod vacuity;
