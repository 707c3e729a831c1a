//! Histories as text: our JSON lines, Jepsen's EDN.

pub mod edn;
pub mod jsonl;
