//! What the operating system is asked to hold the judging process to.

/// Lets this process's address space grow by `more` bytes and no further, so that an allocation beyond that
/// fails at once instead of taking the machine's memory. Where the system has no such limit, or does not say
/// how large the process is, nothing happens: the deadline still holds.
#[cfg(unix)]
pub fn grow_by(more: usize) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Some(used) = address_space() else { return };
    let wanted = used.saturating_add(more as u64);
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_AS) {
        // A limit that was set from outside stays in force.
        let _ = setrlimit(Resource::RLIMIT_AS, wanted.min(hard), hard);
    }
}

/// Takes the limit back.
#[cfg(unix)]
pub fn lift() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_AS) {
        let _ = setrlimit(Resource::RLIMIT_AS, hard, hard);
    }
}

/// A process that is to be ended by force leaves no image of its memory, and does not outlive its parent.
#[cfg(unix)]
pub fn prepare() {
    use nix::sys::resource::{Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
}

/// Bytes of address space that this process has now.
#[cfg(target_os = "linux")]
fn address_space() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').next()?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn address_space() -> Option<u64> {
    None
}

#[cfg(not(unix))]
mod elsewhere {
    pub fn grow_by(_more: usize) {}
    pub fn lift() {}
    pub fn prepare() {}
}
#[cfg(not(unix))]
pub use elsewhere::*;
