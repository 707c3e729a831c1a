//! What the kernel grants for keeping nodes apart, tried in a child whose namespaces end with it.
//!
//! The probe is the very set-up of a trial, for two nodes: what is refused here would be refused there, at the same
//! step and with the same errno. Nothing outside of the child changes.

use super::isolation::{Refusal, Way};
use super::namespaces::Identity;
use super::preparation::prepare;
use super::trial::{fork_into, leave};
use elenchus_core::process::NodeId;
use nix::sys::wait::waitpid;
use nix::unistd::ForkResult;
use std::io::{Read, Write, pipe};

/// What came of trying both ways to namespaces, each with its name. The error is the step that was refused, with its
/// errno.
///
/// # Panics
/// Never; but it forks, so that a process with several threads gets refusals only.
pub fn namespaces() -> [(&'static str, Result<(), Refusal>); 2] {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    [("with the rights at hand", Way::Namespaces), ("in a user namespace", Way::UserNamespace)].map(
        |(name, way)| {
            let alone =
                if threads == 1 { Ok(()) } else { Err(Refusal { step: "several threads".into(), errno: 0 }) };
            (name, alone.and_then(|()| attempt(way)))
        },
    )
}

fn attempt(way: Way) -> Result<(), Refusal> {
    let (mut answers, mut answer) = pipe().map_err(|error| Refusal::new("a pipe", &error))?;
    let identity = Identity::current();
    match fork_into(way) {
        Err(errno) => Err(Refusal { step: way.birth().into(), errno: errno as i32 }),
        Ok(ForkResult::Child) => leave(|| {
            let refused = prepare(way, &NodeId::numbered(2), None, identity).err();
            let text = serde_json::to_vec(&refused).expect("a refusal is text and a number");
            i32::from(answer.write_all(&text).is_err())
        }),
        Ok(ForkResult::Parent { child }) => {
            drop(answer);
            let mut text = Vec::new();
            let read = answers.read_to_end(&mut text);
            let _ = waitpid(child, None);
            read.map_err(|error| Refusal::new("the probe", &error))?;
            let refused: Option<Refusal> = serde_json::from_slice(&text)
                .map_err(|_| Refusal { step: "the probe said nothing".into(), errno: 0 })?;
            refused.map_or(Ok(()), Err)
        }
    }
}

/// Whether this user may trace processes of its own, as setting their clocks needs.
pub fn ptrace() -> Result<(), Refusal> {
    // SAFETY: the child does nothing but wait, and is ended below; a lock that another thread holds does not matter
    // to it.
    match unsafe { nix::unistd::fork() } {
        Err(errno) => Err(Refusal { step: "fork".into(), errno: errno as i32 }),
        Ok(ForkResult::Child) => loop {
            // SAFETY: it waits for a signal and touches no memory.
            unsafe { libc::pause() };
        },
        Ok(ForkResult::Parent { child }) => {
            // SAFETY: the kernel only looks at our rights over a child of ours, and reads no memory of ours.
            let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, child.as_raw(), 0, 0) };
            let seized = if seized == 0 { Ok(()) } else { Err(nix::errno::Errno::last()) };
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
            let _ = waitpid(child, None);
            seized.map_err(|errno| Refusal { step: "ptrace".into(), errno: errno as i32 })
        }
    }
}
