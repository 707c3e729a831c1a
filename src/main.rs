//! The `elenchus` program: hands its arguments on and turns the answer into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic is a bug of ours, and must not look like a verdict.
    let exit = std::panic::catch_unwind(|| elenchus::cli::main(std::env::args_os().collect()));
    ExitCode::from(exit.map_or(255, elenchus::exit::Exit::code))
}
