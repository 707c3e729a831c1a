//! What a client says of locks: one holds it, another waits in vain until it is released or its holder is gone.

use super::operations::{FAIL_IS_NO_ANSWER, done};
use super::talk::{Talk, told};
use super::{Bad, Checked, Others, bad};
use elenchus_core::client::{Request, Response};
use elenchus_core::outcome::Outcome;
use std::time::Duration;

/// How long a lock outlives its holder.
const TTL: Duration = Duration::from_secs(2);
/// Longer than that: so it is seen that a holder that lives keeps its lease alive.
const IN_VAIN: Duration = Duration::from_millis(2600);
/// How long somebody may wait for a lock that is free, or will be once a lease lapses.
const IN_HOPE: Duration = Duration::from_secs(5);

fn lock(key: &str, wait: Duration) -> Request {
    Request::Lock { key: key.into(), ttl: TTL, wait }
}

/// Two clients contend for a lock.
pub(super) async fn excludes(
    first: &mut dyn Talk,
    others: &Others<'_>,
    key: &str,
    is_fenced: bool,
) -> Checked {
    let mut tokens = Tokens { is_fenced, last: None };
    tokens.grow(granted(first, key, "a lock that nobody holds").await?)?;
    let mut second = others.another().await?;
    let word = match second.ask(&lock(key, IN_VAIN)).await? {
        Outcome::Ok(_) => {
            return bad(
                format!(
                    "a second client was granted, within {IN_VAIN:?}, a lock of {TTL:?} whose holder lives and has not released it"
                ),
                "grant a lock to one client at a time, and keep the holder's lease alive in the background until it unlocks",
            );
        }
        Outcome::Fail(_) => "in vain",
        Outcome::Info(_) => "in doubt (`fail` would be certain)",
    };
    // Whoever is in doubt may still wait for it.
    drop(second);
    done(first.ask(&Request::Unlock { key: key.into() }).await, "an unlock by the holder")?;
    let mut third = others.another().await?;
    tokens.grow(granted(&mut *third, key, "a lock that was released").await?)?;
    drop(third);
    tokens.grow(granted(first, key, "a lock whose holder has ended, and whose lease must lapse,").await?)?;
    done(first.ask(&Request::Unlock { key: key.into() }).await, "an unlock by the holder")?;
    let fencing = if is_fenced { "; tokens grow" } else { "" };
    Ok(format!("one holds it and others wait {word}, until it is released or its holder ends{fencing}"))
}

/// The token of a grant that must come.
async fn granted(talk: &mut dyn Talk, key: &str, what: &str) -> Result<Option<i64>, Bad> {
    match talk.ask(&lock(key, IN_HOPE)).await? {
        Outcome::Ok(Response::Granted(token)) => Ok(token),
        other => bad(
            format!("{what} was asked for with {IN_HOPE:?} to wait, and it ended so: {}", told(&other)),
            FAIL_IS_NO_ANSWER,
        ),
    }
}

/// The tokens seen so far.
struct Tokens {
    is_fenced: bool,
    last: Option<i64>,
}

impl Tokens {
    fn grow(&mut self, token: Option<i64>) -> Result<(), Bad> {
        if !self.is_fenced {
            return Ok(());
        }
        let mend = "answer each lock with an integer larger than those of all grants before; a client that cannot must not say `fencing`";
        match (token, self.last) {
            (None, _) => bad("a lock was granted without a token, though the client offers `fencing`", mend),
            (Some(token), Some(last)) if token <= last => {
                bad(format!("a lock was granted under token {token}, after one under token {last}"), mend)
            }
            (Some(token), _) => {
                self.last = Some(token);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_offers_fencing_must_have_tokens_that_grow() {
        let mut fenced = Tokens { is_fenced: true, last: None };
        assert!(fenced.grow(None).is_err());
        assert!(
            fenced.grow(Some(3)).is_ok() && fenced.grow(Some(3)).is_err() && fenced.grow(Some(4)).is_ok()
        );
        let mut bare = Tokens { is_fenced: false, last: None };
        assert!(bare.grow(None).is_ok() && bare.grow(Some(2)).is_ok() && bare.grow(Some(1)).is_ok());
    }
}
