//! By which of its means the kernel makes packets suffer, and how to insist on one.

use std::env;

/// The environment variable that insists on one means: `queue` or `netem`. For tests of the other one, where
/// a kernel has both; it is read by whoever disturbs packets, on a host that is our agent.
pub const VARIABLE: &str = "ELENCHUS_PACKETS";

/// A means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// The packet filter hands packets to a thread of ours.
    Queue,
    /// The kernel's own queueing disciplines, `netem` and `tbf`.
    Netem,
}

impl Means {
    /// Those that may be tried, in their order. The queue comes first: it sees each packet, flips only bits
    /// that a checksum guards, and lets go on at once what waits when a trouble ends.
    pub fn allowed() -> Result<&'static [Means], String> {
        match env::var(VARIABLE) {
            Err(env::VarError::NotPresent) => read(None),
            Err(error) => Err(format!("{VARIABLE}: {error}")),
            Ok(text) => read(Some(&text)),
        }
    }
}

fn read(asked: Option<&str>) -> Result<&'static [Means], String> {
    match asked {
        None | Some("") => Ok(&[Means::Queue, Means::Netem]),
        Some("queue") => Ok(&[Means::Queue]),
        Some("netem") => Ok(&[Means::Netem]),
        Some(other) => Err(format!("{VARIABLE}={other} is no means: say queue or netem")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_comes_first_unless_somebody_insists() {
        assert_eq!(read(None), Ok(&[Means::Queue, Means::Netem][..]));
        assert_eq!(read(Some("queue")), Ok(&[Means::Queue][..]));
        assert_eq!(read(Some("netem")), Ok(&[Means::Netem][..]));
        assert!(read(Some("proxy")).unwrap_err().contains("say queue or netem"));
    }
}
