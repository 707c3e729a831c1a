//! How an operation ended, as far as the client can know.
//!
//! Doubt is the default: whatever is not known for certain is [`Outcome::Info`], so forgetting to list
//! an error can only make a verdict weaker, never false. `From<io::Error>` keeps that rule.

use std::borrow::Cow;
use std::fmt;

/// What a client learnt of its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It took effect, once, between its invocation and now, and returned this.
    Ok(R),
    /// It certainly did not take effect, and never will.
    Fail(Failure<R>),
    /// It may have taken effect, may yet, or may never.
    Info(Cause),
}

/// Why an operation certainly did not take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<R> {
    /// Nothing was sent, or the system says that it did nothing. This is no observation of the state.
    NotDone(Cause),
    /// The system examined the state and declined, having seen this (where it said so): an observation.
    Refused(Option<R>),
}

/// A reason in a few words: an errno, a timeout, what the system answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause(pub Cow<'static, str>);

impl<R> Outcome<R> {
    /// An end in doubt, for this reason.
    pub fn info(cause: impl Into<Cause>) -> Outcome<R> {
        Outcome::Info(cause.into())
    }

    /// A certain failure: nothing was done, for this reason.
    pub fn not_done(cause: impl Into<Cause>) -> Outcome<R> {
        Outcome::Fail(Failure::NotDone(cause.into()))
    }

    /// The same outcome with its answer translated.
    pub fn map<S>(self, f: impl FnOnce(R) -> S) -> Outcome<S> {
        match self {
            Outcome::Ok(ret) => Outcome::Ok(f(ret)),
            Outcome::Fail(Failure::Refused(saw)) => Outcome::Fail(Failure::Refused(saw.map(f))),
            Outcome::Fail(Failure::NotDone(cause)) => Outcome::Fail(Failure::NotDone(cause)),
            Outcome::Info(cause) => Outcome::Info(cause),
        }
    }

    /// Whether the operation took effect for certain.
    pub fn is_ok(&self) -> bool {
        matches!(self, Outcome::Ok(_))
    }

    /// Whether the operation ended in doubt, so that its process must end.
    pub fn is_info(&self) -> bool {
        matches!(self, Outcome::Info(_))
    }
}

impl<R> From<std::io::Error> for Outcome<R> {
    fn from(error: std::io::Error) -> Outcome<R> {
        Outcome::Info(error.into())
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Cause {
        Cause(error.to_string().into())
    }
}

impl From<&'static str> for Cause {
    fn from(text: &'static str) -> Cause {
        Cause(Cow::Borrowed(text))
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause(Cow::Owned(text))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
