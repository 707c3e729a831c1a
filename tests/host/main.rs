//! Local hosts from outside: whole trials with toy nodes, as root and as nobody, with namespaces and with
//! the proxy; and that nothing of them is left, whoever is killed.
//!
//! Every trial runs in a process of its own (this executable again), because forking needs a single thread
//! and because some of them are killed. A machine that refuses namespaces cannot run those tests; they are
//! then reported as ignored, with the reason.

#[cfg(target_os = "linux")]
mod packets;
#[cfg(target_os = "linux")]
mod scenarios;
#[cfg(target_os = "linux")]
mod tests;
#[cfg(target_os = "linux")]
mod toy;
#[cfg(target_os = "linux")]
mod traffic;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if let Ok(role) = std::env::var(toy::ROLE) {
        toy::play(&role);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["how-packets-suffer"] => tests::say_how_packets_suffer(),
        ["trial", scenario, isolation, folder] => tests::trial(scenario, isolation, folder),
        _ => tests::run_all(&arguments),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("test result: ok. 0 passed; local hosts need Linux");
}
