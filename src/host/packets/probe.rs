//! Whether this machine can make packets suffer, tried out in a network namespace that nobody sees.
//!
//! The trial takes place in a forked child, since entering namespaces would take us along; they end with
//! it. Everything that a trouble needs is opened there, but no packet is sent.

use super::detour;
use super::lane::Lane;
use super::means::{Means, VARIABLE};
use crate::host::isolation::Refusal;
use crate::host::netlink::queue::Queue;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use std::io::{self, Read, Write, pipe};

/// By which means packets can be made to suffer here, or why they cannot. Changes nothing.
pub fn probe() -> Result<String, String> {
    ask().map_err(|error| format!("no answer of the kernel's: {error}"))?
}

fn ask() -> io::Result<Result<String, String>> {
    let (mut answer, mut say) = pipe()?;
    // SAFETY: the child may have been born among other threads, so it takes no lock that one of them could
    // hold: it makes system calls, and allocates, which the C library keeps possible after a fork.
    let child = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop(answer);
            let text = attempt().map_or_else(|why| format!("-{why}"), |means| format!("+{means}"));
            let _ = say.write_all(text.as_bytes());
            // SAFETY: it does not return. What the parent does at its exit must not be done here.
            unsafe { libc::_exit(0) }
        }
    };
    drop(say);
    let mut text = String::new();
    let read = answer.read_to_string(&mut text);
    waitpid(child, None)?;
    read?;
    Ok(match text.split_at_checked(1) {
        Some(("+", means)) => Ok(means.to_owned()),
        Some((_, why)) => Err(why.to_owned()),
        None => Err("the attempt died".to_owned()),
    })
}

fn attempt() -> Result<String, String> {
    let network = CloneFlags::CLONE_NEWNET;
    let entered = match unshare(network) {
        Err(Errno::EPERM) => unshare(network | CloneFlags::CLONE_NEWUSER),
        other => other,
    };
    entered.map_err(|error| Refusal::new("network namespace", &error.into()).to_string())?;
    let mut refused: Vec<String> = vec![];
    let allowed = Means::allowed()?;
    for means in allowed {
        let tried = match means {
            Means::Queue => Lane::open("elenchus", Queue(0)).map(|lane| lane.means().as_str().to_owned()),
            Means::Netem => detour::try_out().map(|()| match &refused[..] {
                [] => "netem and tbf".into(),
                refused => format!("netem and tbf, for lack of a queue ({})", refused.join("; ")),
            }),
        };
        match tried {
            Ok(how) => return Ok(how),
            Err(refusal) => refused.push(refusal.to_string()),
        }
    }
    let only = if let [_] = allowed {
        format!(" (and {VARIABLE} in the environment forbids the other)")
    } else {
        String::new()
    };
    Err(refused.join("; ") + &only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_how_or_why_not_and_we_stay_where_we_are() {
        let network = || std::fs::read_link("/proc/self/ns/net").expect("/proc");
        let before = network();
        match probe() {
            Ok(means) => {
                assert!(["queue", "QUEUE", "netem"].iter().any(|one| means.contains(one)), "{means}")
            }
            Err(why) => assert!(why.contains(": E"), "a step and an errno: {why}"),
        }
        assert_eq!(before, network());
    }
}
