//! Agents from outside: on hosts that are network namespaces of a trial, reached through `agent attach`, as
//! root and as nobody (who is root in a user namespace of his own); and that nothing of them is left, whoever
//! is killed.
//!
//! This executable is the program under test as well: its first argument `agent` is what it is for users.
//! Every scenario runs in a process of its own, because forking needs a single thread. A machine that
//! refuses namespaces cannot run them; they are then reported as ignored, with the reason. No scenario sets
//! any clock.

#[cfg(target_os = "linux")]
mod bed;
#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
mod scenarios;
#[cfg(target_os = "linux")]
#[path = "../host/toy.rs"]
mod toy;
#[cfg(target_os = "linux")]
#[path = "../host/traffic.rs"]
mod traffic;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if let Ok(role) = std::env::var(toy::ROLE) {
        toy::play(&role);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["agent", ..] => {
            elenchus::cli::main(&elenchus::registry::Registry::builtin(), std::env::args_os().collect())
                .code()
                .into()
        }
        ["scenario", name, folder] => harness::scenario(name, folder),
        _ => harness::run_all(&arguments),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("test result: ok. 0 passed; agents need Linux");
}
