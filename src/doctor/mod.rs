//! What this machine allows, and whether a campaign can run here: found out before anything runs.
//!
//! | module | what it looks at |
//! |---|---|
//! | [`machine`] | the machine: what keeps nodes apart, and what can break them |
//! | [`hosts`] | the hosts that a campaign names, over SSH |
//! | [`needs`] | a campaign: programs, variables, users, addresses, faults |
//!
//! Every finding that is no *yes* says why, what is lost by it and how to get it. Deliberately absent: any change
//! (a host over SSH is sent our program). Probes act in a child with namespaces of its own, or only look.

pub mod hosts;
pub mod machine;
pub mod needs;

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// Whether it is there.
    pub ok: bool,
    /// Whether the campaign cannot do without.
    pub needed: bool,
    /// How it is there, or why it is not.
    pub why: String,
    /// What cannot be done without it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lost: String,
    /// How to get it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    /// Something that is there.
    pub fn yes(what: impl Into<String>, how: impl Into<String>) -> Finding {
        let (what, why) = (what.into(), how.into());
        Finding { what, ok: true, needed: false, why, lost: String::new(), remedy: String::new() }
    }

    /// Something that is not there.
    pub fn no(
        what: impl Into<String>,
        why: impl Into<String>,
        lost: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        let (what, why, lost, remedy) = (what.into(), why.into(), lost.into(), remedy.into());
        Finding { what, ok: false, needed: false, why, lost, remedy }
    }

    /// What the campaign cannot do without.
    pub fn needed(self) -> Finding {
        Finding { needed: true, ..self }
    }
}

/// Whether nothing is missing that is needed.
pub fn is_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.ok || !finding.needed)
}
