//! JSON lines, in and out.
