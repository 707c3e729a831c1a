//! A store of our own, tested by a program of our own: `elenchus` with a system more.
//!
//! | module | what it is |
//! |---|---|
//! | `node` | the store: what runs on each node |
//! | `client` | speaks to one node, for workloads |
//! | `system` | the adapter: how a node is started, when it is ready, who leads |
//!
//! The nodes are further processes of this very program, told apart by their first argument.

mod client;
mod node;
mod system;

use elenchus::registry::Registry;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(system::NODE) {
        return node::run(&arguments.collect::<Vec<_>>());
    }
    elenchus::main(
        Registry::builtin()
            .program("rust-system")
            .system(
                "shelf",
                "the first node keeps all, on its disk; the others ask it",
                200.0,
                client::OFFERED,
                system::shelf,
            )
            .system(
                "forgetful",
                "the same, but it keeps nothing on its disk",
                200.0,
                client::OFFERED,
                system::forgetful,
            ),
    )
}
