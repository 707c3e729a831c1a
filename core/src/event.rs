//! One line of a trial's log, in Jepsen's shape.

use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use std::sync::Arc;

/// The position of an event in its log. Order is position, never the clock.
pub type Index = u32;

/// What kind of event this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A client starts an operation, or the nemesis starts to break or to heal something.
    Invoke,
    /// The operation took effect.
    Ok,
    /// The operation certainly did not, and never will.
    Fail,
    /// Nobody knows; the process ends. Also everything that the nemesis reports.
    Info,
}

impl Kind {
    /// The word for it, in the log as everywhere: `invoke`, `ok`, `fail`, `info`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Kind> {
        Some(match name {
            "invoke" => Kind::Invoke,
            "ok" => Kind::Ok,
            "fail" => Kind::Fail,
            "info" => Kind::Info,
            _ => return None,
        })
    }
}

/// One line of the log: `{"index":12,"time":5003112,"process":3,"type":"ok","f":"cas","key":7,"value":[1,2]}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When, on the trial's clock.
    pub time: Time,
    /// Who.
    pub process: Process,
    /// `type` on disk.
    pub kind: Kind,
    /// The function: `read`, `cas`, `partition`…
    pub f: Arc<str>,
    /// Which of many independent objects, if there are many.
    pub key: Option<Value>,
    /// Arguments of an invocation, answer of a completion.
    pub value: Value,
    /// Why a completion is `fail` or `info`. A refusal is `["refused", saw]`.
    pub error: Option<Value>,
    /// Whatever else the line said, in its order, kept for the way out.
    pub extra: Vec<(Arc<str>, Value)>,
}
