//! Lying clocks from outside: real programs, patched while they run, asked what time it is.
//!
//! The programs are this executable again in another role, Python, a shell and etcd. Where the kernel lets
//! nobody be traced the tests are reported as ignored, with the reason.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod roles;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn main() -> std::process::ExitCode {
    if let Ok(role) = std::env::var(roles::ROLE) {
        roles::play(&role);
    }
    tests::run_all(&std::env::args().skip(1).collect::<Vec<_>>())
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn main() {
    println!("test result: ok. 0 passed; no clock lies on this platform");
}
