//! Placeholder.
mod final_reads;
mod store;
