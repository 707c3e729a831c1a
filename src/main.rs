//! The `elenchus` program: what comes along, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    elenchus::main(elenchus::registry::Registry::builtin())
}
