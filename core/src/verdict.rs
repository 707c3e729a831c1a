//! What a checker concludes, with the evidence a person needs to believe it.
//!
//! `valid < unknown < invalid`: when verdicts are merged, the worst wins. A checker never claims more
//! than it saw: what it could not examine is `unknown`, with the reason in [`Verdict::why`].

use crate::event::Index;
use crate::process::Process;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// The three answers. Their order is the merge: the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// Examined, and kept.
    Valid,
    /// Not decided; the reason is in the verdict.
    Unknown,
    /// Broken, for certain.
    Invalid,
}

/// What one checker concluded about one history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The checker's name.
    pub checker: String,
    /// The answer.
    pub validity: Validity,
    /// A stable name of the violation (`stale-read`, `lost-write`, `nonlinearizable`…), for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The reason in plain words, one or two sentences.
    pub why: String,
    /// The anomalies found, worst or earliest first; a checker may cap them and say so in `why`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anomalies: Vec<Anomaly>,
    /// Figures: counts, quantiles, what was examined. Free in form, stable in names.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub figures: serde_json::Map<String, serde_json::Value>,
}

/// One thing that should not be, with the operations that prove it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    /// A stable name of the violation.
    pub class: String,
    /// The object concerned, as text, where objects are independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Plain words: which operation saw what, what it should have seen, which operations force it.
    pub sentence: String,
    /// The operations that prove it, in the order of their calls.
    pub operations: Vec<Exhibit>,
    /// Operations that do not belong to the proof but help to read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Exhibit>,
}

/// One operation, shown as evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exhibit {
    /// Position of its invocation in the log.
    pub call: Index,
    /// Position of its completion, if it ended for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Index>,
    /// Who performed it.
    pub process: u32,
    /// What it did and what came of it, in plain notation: `read 3`, `cas 1 → 2 refused`.
    pub text: String,
    /// When it was invoked, in nanoseconds of the trial.
    pub called: Time,
    /// When it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Whether this is the operation whose answer no order can explain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guilty: bool,
}

impl Verdict {
    /// A verdict without evidence yet.
    pub fn new(checker: &str, validity: Validity, why: impl Into<String>) -> Verdict {
        Verdict {
            checker: checker.into(),
            validity,
            class: None,
            why: why.into(),
            anomalies: Vec::new(),
            figures: serde_json::Map::new(),
        }
    }

    /// The same verdict with one more figure.
    pub fn with_figure(mut self, name: &str, figure: impl Into<serde_json::Value>) -> Verdict {
        self.figures.insert(name.into(), figure.into());
        self
    }

    /// The worst of many answers; no answer at all is `unknown`, since nothing was examined.
    pub fn merge(verdicts: &[Verdict]) -> Validity {
        verdicts.iter().map(|v| v.validity).max().unwrap_or(Validity::Unknown)
    }
}

impl Exhibit {
    /// The exhibit of an operation, described as `text`.
    pub fn of<O, R>(operation: &crate::operation::Operation<O, R>, text: String) -> Exhibit {
        let done = operation.done;
        Exhibit {
            call: operation.call,
            done: (done != crate::operation::Operation::<O, R>::OPEN).then_some(done),
            process: Process(operation.process.0).0,
            text,
            called: operation.called,
            ended: operation.ended,
            guilty: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_wins_and_none_is_unknown() {
        let of = |v| Verdict::new("x", v, "");
        assert_eq!(Verdict::merge(&[]), Validity::Unknown);
        assert_eq!(Verdict::merge(&[of(Validity::Valid)]), Validity::Valid);
        assert_eq!(Verdict::merge(&[of(Validity::Valid), of(Validity::Unknown)]), Validity::Unknown);
        assert_eq!(Verdict::merge(&[of(Validity::Invalid), of(Validity::Unknown)]), Validity::Invalid);
    }
}
