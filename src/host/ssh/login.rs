//! Logging in: by the user's key agent, by key files, by password; whatever is allowed, in that order.
//!
//! Keys that the user named come first: an agent with many keys would use up the host's patience. Secrets are
//! read from the environment here and kept nowhere.

use super::access::Access;
use super::error::Trouble;
use super::session::gone;
use ssh2::Session;
use std::path::Path;

/// Tries to log in; notes why it did not. An error means that no other way need be tried.
type Way = fn(&Session, &Access, &mut Vec<String>) -> Result<(), Trouble>;

/// Logs in, or says of every way why it did not lead in.
pub(super) fn log_in(session: &Session, access: &Access) -> Result<(), Trouble> {
    let mut tried = vec![];
    let ways: [Way; 3] = match access.keys_are_named {
        true => [by_key, by_agent, by_password],
        false => [by_agent, by_key, by_password],
    };
    for way in ways {
        way(session, access, &mut tried)?;
        if session.authenticated() {
            return Ok(());
        }
    }
    let user = &access.user;
    Err(Trouble::NotAdmitted(format!("`{user}` is not admitted: {}", tried.join("; "))))
}

fn by_agent(session: &Session, access: &Access, tried: &mut Vec<String>) -> Result<(), Trouble> {
    if std::env::var_os("SSH_AUTH_SOCK").is_none() {
        tried.push("no key agent runs".into());
        return Ok(());
    }
    let keys = session.agent().and_then(|mut agent| {
        agent.connect()?;
        agent.list_identities()?;
        Ok((agent.identities()?, agent))
    });
    let (keys, agent) = match keys {
        Ok(keys) => keys,
        Err(e) => {
            tried.push(format!("the key agent: {}", e.message()));
            return Ok(());
        }
    };
    for key in &keys {
        match agent.userauth(&access.user, key) {
            Ok(()) => return Ok(()),
            Err(e) => {
                gone(&e).map_or(Ok(()), |trouble| Err(told(trouble, "the host may have had enough keys")))?
            }
        }
    }
    tried.push(format!("the key agent's {} keys are refused", keys.len()));
    Ok(())
}

fn by_key(session: &Session, access: &Access, tried: &mut Vec<String>) -> Result<(), Trouble> {
    for key in &access.keys {
        if !key.is_file() {
            if access.keys_are_named {
                tried.push(format!("the key {} is not there", key.display()));
            }
            continue;
        }
        match with_key(session, access, key) {
            Ok(()) => return Ok(()),
            Err(Ok(e)) => {
                gone(&e).map_or(Ok(()), Err)?;
                tried.push(format!("the key {}: {}", key.display(), e.message()));
            }
            Err(Err(why)) => tried.push(format!("the key {}: {why}", key.display())),
        }
    }
    if access.keys.iter().all(|key| !key.is_file()) && !access.keys_are_named {
        tried.push("no key lies in ~/.ssh".into());
    }
    Ok(())
}

fn with_key(session: &Session, access: &Access, key: &Path) -> Result<(), Result<ssh2::Error, String>> {
    let passphrase = access.passphrase.as_deref().map(secret).transpose().map_err(Err)?;
    session.userauth_pubkey_file(&access.user, None, key, passphrase.as_deref()).map_err(Ok)
}

fn by_password(session: &Session, access: &Access, tried: &mut Vec<String>) -> Result<(), Trouble> {
    let Some(variable) = &access.password else { return Ok(()) };
    let refused = match secret(variable) {
        Ok(password) => match session.userauth_password(&access.user, &password) {
            Ok(()) => return Ok(()),
            Err(e) => gone(&e).map_or(Ok("the password is refused".to_owned()), Err)?,
        },
        Err(why) => why,
    };
    tried.push(refused);
    Ok(())
}

/// A secret by the variable that holds it.
fn secret(variable: &str) -> Result<String, String> {
    std::env::var(variable).map_err(|_| format!("the variable {variable} is not set, or is no text"))
}

fn told(trouble: Trouble, more: &str) -> Trouble {
    match trouble {
        Trouble::Unreachable(why) => Trouble::NotAdmitted(format!("{why}; {more}")),
        other => other,
    }
}
