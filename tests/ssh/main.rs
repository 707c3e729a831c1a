//! Hosts over SSH, against five that this test makes: namespaces with a network, processes, a name and an `/etc`
//! of their own, and their own `sshd`.
//!
//! All of it, the tests included, lives in namespaces that end with this process, so that nothing touches the
//! machine's network and nothing is left. That needs root and OpenSSH's server; without them the tests are
//! reported as ignored, with the reason. `ELENCHUS_REQUIRE=sshd` makes that a failure.

#[cfg(target_os = "linux")]
mod bed;
#[cfg(target_os = "linux")]
mod inside;
#[cfg(target_os = "linux")]
mod transport;
#[cfg(target_os = "linux")]
mod trials;
#[cfg(target_os = "linux")]
mod units;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["host", name, folder] => bed::be_init(name, folder.as_ref()),
        ["login", place, options] => transport::log_in(place, options),
        ["inside", ref filter @ ..] => inside::run(filter),
        _ => inside::enter(&arguments),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("test result: ok. 0 passed; hosts made of namespaces need Linux");
}
