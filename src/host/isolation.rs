//! Which way the nodes of a trial are kept apart: what was asked for, what was chosen, and why.

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the user asks for: `--isolation auto|namespaces|proxy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationRequest {
    /// Namespaces where the kernel grants them, else the proxy.
    #[default]
    Auto,
    /// Namespaces, or an error.
    Namespaces,
    /// The proxy.
    Proxy,
}

impl FromStr for IsolationRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<IsolationRequest, String> {
        match text {
            "auto" => Ok(IsolationRequest::Auto),
            "namespaces" => Ok(IsolationRequest::Namespaces),
            "proxy" => Ok(IsolationRequest::Proxy),
            other => Err(format!("`{other}` is no isolation: say auto, namespaces or proxy")),
        }
    }
}

impl fmt::Display for IsolationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IsolationRequest::Auto => "auto",
            IsolationRequest::Namespaces => "namespaces",
            IsolationRequest::Proxy => "proxy",
        })
    }
}

/// How nodes are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// Each node has a network namespace with its own address; a cut drops packets inside it.
    Namespaces,
    /// All nodes share the loopback; each directed link leads through a proxy, and a cut stalls it.
    Proxy,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::Namespaces => "namespaces",
            Means::Proxy => "proxy",
        })
    }
}

/// How the nodes of this trial are kept apart; shown on screen and in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// What was chosen.
    pub chosen: Means,
    /// Why: what was asked for, and where the kernel refused the step and errno that decided.
    pub why: String,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.chosen, self.why)
    }
}

/// The step of the set-up that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {}", name(*errno))]
pub struct Refusal {
    /// What was tried, in a few words.
    pub step: String,
    /// The kernel's answer.
    pub errno: i32,
}

impl Refusal {
    /// A refusal of `step` for this reason.
    pub fn new(step: impl Into<String>, error: &std::io::Error) -> Refusal {
        Refusal { step: step.into(), errno: error.raw_os_error().unwrap_or(0) }
    }
}

fn name(errno: i32) -> String {
    let errno = Errno::from_raw(errno);
    format!("{errno:?} ({})", errno.desc())
}

/// One way to set up the ground, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Namespaces, with the rights that we have.
    Namespaces,
    /// Namespaces inside a user namespace, where everyone has all rights over what is made there.
    UserNamespace,
    /// Loopback ports and a proxy.
    Proxy,
}

impl Way {
    pub(super) fn all(request: IsolationRequest) -> &'static [Way] {
        match request {
            IsolationRequest::Auto => &[Way::Namespaces, Way::UserNamespace, Way::Proxy],
            IsolationRequest::Namespaces => &[Way::Namespaces, Way::UserNamespace],
            IsolationRequest::Proxy => &[Way::Proxy],
        }
    }

    /// What to say when this way was taken after `refused`.
    pub(super) fn isolation(self, refused: &[(Way, Refusal)]) -> Isolation {
        match self {
            Way::Namespaces => Isolation {
                chosen: Means::Namespaces,
                why: "a network namespace a node, with the rights at hand".into(),
            },
            Way::UserNamespace => Isolation {
                chosen: Means::Namespaces,
                why: "a network namespace a node, inside a user namespace".into(),
            },
            Way::Proxy if refused.is_empty() => Isolation { chosen: Means::Proxy, why: "asked for".into() },
            Way::Proxy => Isolation {
                chosen: Means::Proxy,
                why: format!("namespaces were refused: {}", describe(refused)),
            },
        }
    }
}

/// All refusals in one line.
pub(super) fn describe(refused: &[(Way, Refusal)]) -> String {
    let each = refused.iter().map(|(way, refusal)| match way {
        Way::UserNamespace => format!("in a user namespace {refusal}"),
        Way::Namespaces | Way::Proxy => refusal.to_string(),
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_every_step_and_errno() {
        let refused = [
            (Way::Namespaces, Refusal { step: "clone".into(), errno: 1 }),
            (Way::UserNamespace, Refusal { step: "bridge".into(), errno: 28 }),
        ];
        let isolation = Way::Proxy.isolation(&refused);
        assert_eq!(isolation.chosen, Means::Proxy);
        assert_eq!(
            isolation.why,
            "namespaces were refused: clone: EPERM (Operation not permitted); \
             in a user namespace bridge: ENOSPC (No space left on device)"
        );
    }

    #[test]
    fn a_request_is_read_as_it_is_written() {
        for request in [IsolationRequest::Auto, IsolationRequest::Namespaces, IsolationRequest::Proxy] {
            assert_eq!(request.to_string().parse(), Ok(request));
        }
        assert!("docker".parse::<IsolationRequest>().is_err());
    }
}
