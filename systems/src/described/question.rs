//! Commands and requests beside those of clients, each with a deadline: does a node answer, does it lead, the install steps.

use super::description::{Leader, Ready};
use crate::http::{self, Connection};
use elenchus_core::host::Host;
use elenchus_core::outcome::Cause;
use elenchus_core::system::Leadership;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How long one question may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long one install step may take.
const INSTALL_MAX: Duration = Duration::from_secs(60);

/// Where a node is asked by commands.
pub(super) struct Seat<'a> {
    /// Its host.
    pub host: &'a dyn Host,
    /// Its working folder there.
    pub folder: &'a Path,
    /// Where its output goes there.
    pub log: &'a Path,
}

/// Whether the node answers; an error says what it waits for.
pub(super) async fn ready(
    ready: &Ready,
    fill: impl Fn(&String) -> String,
    seat: Seat<'_>,
) -> Result<(), Cause> {
    match ready {
        Ready::Started => Ok(()),
        Ready::Tcp(address) => {
            let address = fill(address);
            limited(tokio::net::TcpStream::connect(&address), &address).await.map(drop)
        }
        Ready::Http(url) => {
            let url = fill(url);
            let answer = ask(&url, None).await?;
            match answer.status {
                200..=299 => Ok(()),
                status => Err(format!("{url} answered with status {status}").into()),
            }
        }
        Ready::Log(text) => {
            let grep =
                ["grep", "-q", "-F", "-e", text.as_str(), &seat.log.to_string_lossy()].map(str::to_owned);
            match seat.host.run(&grep, seat.folder, ANSWER_MAX).await?.is_success {
                true => Ok(()),
                false => Err(format!("its output does not hold `{text}` yet").into()),
            }
        }
        Ready::Command(command) => run(&command.iter().map(fill).collect::<Vec<_>>(), &seat).await.map(drop),
    }
}

/// Whether the node believes to lead.
pub(super) async fn leads(
    leader: &Leader,
    fill: impl Fn(&String) -> String,
    seat: Seat<'_>,
) -> Result<Leadership, Cause> {
    let text = match (&leader.http, &leader.command) {
        (Some(url), _) => ask(&fill(url), leader.post.clone()).await?.body.to_vec(),
        (None, Some(command)) => run(&command.iter().map(&fill).collect::<Vec<_>>(), &seat).await?,
        (None, None) => return Err("nobody said how to see who leads".into()),
    };
    let answer: Value = serde_json::from_slice(&text)
        .map_err(|error| format!("who leads: the answer is no JSON: {error}"))?;
    Ok(leadership(&answer, &leader.leader, &fill(&leader.is), leader.term.as_deref()))
}

/// What an answer says of who leads: what stands at `leader` is `is`, or what stands at `is`.
fn leadership(answer: &Value, leader: &str, is: &str, term: Option<&str>) -> Leadership {
    let found = answer.pointer(leader);
    let leads = match is.starts_with('/') {
        true => found.is_some() && found == answer.pointer(is),
        false => found.is_some_and(|found| plain(found) == is),
    };
    let term = term.and_then(|term| plain(answer.pointer(term)?).parse().ok());
    Leadership { leads, term: term.unwrap_or(0) }
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn ask(url: &str, post: Option<String>) -> Result<http::Answer, Cause> {
    let (address, path) = http::cut(url)?;
    let asked = async {
        let mut connection = Connection::open(&address).await.map_err(|error| error.to_string())?;
        let answer = match post {
            Some(json) => connection.post(&path, json).await,
            None => connection.get(&path).await,
        };
        answer.map_err(|error| error.to_string())
    };
    limited(asked, url).await
}

async fn limited<T, E: std::fmt::Display>(
    asked: impl Future<Output = Result<T, E>>,
    what: &str,
) -> Result<T, Cause> {
    match tokio::time::timeout(ANSWER_MAX, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{what}: {error}").into()),
        Err(_) => Err(format!("{what}: no answer within {ANSWER_MAX:?}").into()),
    }
}

/// Runs a command and returns what it printed.
pub(super) async fn run(command: &[String], seat: &Seat<'_>) -> Result<Vec<u8>, Cause> {
    let what = command.join(" ");
    let ran =
        seat.host.run(command, seat.folder, ANSWER_MAX).await.map_err(|why| format!("{what}: {why}"))?;
    match ran.is_success {
        true => Ok(ran.stdout),
        false => {
            let said = String::from_utf8_lossy(&ran.stderr);
            Err(format!("{what}: {}: {}", ran.ending, said.lines().last().unwrap_or("")).into())
        }
    }
}

/// Runs a shell command to its end, as this user with all groups, and tells how it ended; an error if that is not
/// with 0.
pub(super) async fn shell(
    step: &str,
    host: &dyn Host,
    folder: &Path,
    user: Option<&str>,
) -> Result<String, String> {
    let command = match user {
        None => ["sh", "-c", step].map(str::to_owned).to_vec(),
        Some(user) => ["sh", "-c", AS, "sh", user, step].map(str::to_owned).to_vec(),
    };
    let ran = host.run(&command, folder, INSTALL_MAX).await.map_err(|why| format!("{step}: {why}"))?;
    match ran.is_success {
        true => Ok(ran.ending),
        false => Err(format!("{step}: {}: {}", ran.ending, String::from_utf8_lossy(&ran.stderr).trim())),
    }
}

/// Runs a step as somebody else: only root can.
const AS: &str = "exec setpriv --reuid=\"$1\" --regid=\"$(id -g \"$1\")\" --init-groups sh -c \"$2\"";

/// Makes a folder and all in it this user's.
pub(super) async fn give(user: &str, host: &dyn Host, folder: &Path) -> Result<(), String> {
    let command = ["chown", "-R", "--", &format!("{user}:"), &folder.to_string_lossy()].map(str::to_owned);
    let ran = host.run(&command, folder, INSTALL_MAX).await.map_err(|why| format!("chown: {why}"))?;
    match ran.is_success {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_leads_stands_in_the_answer() {
        let etcd = json!({"header": {"member_id": "7", "raft_term": "3"}, "leader": "7"});
        let leads = Leadership { leads: true, term: 3 };
        assert_eq!(leadership(&etcd, "/leader", "/header/member_id", Some("/header/raft_term")), leads);
        let other = json!({"header": {"member_id": "8"}, "leader": "7"});
        assert!(!leadership(&other, "/leader", "/header/member_id", None).leads);
        assert!(leadership(&json!({"role": "leader"}), "/role", "leader", None).leads);
        assert!(leadership(&json!({"leads": true}), "/leads", "true", None).leads);
    }

    #[test]
    fn an_answer_without_the_place_says_that_nobody_leads() {
        assert!(!leadership(&json!({}), "/leader", "/header/member_id", None).leads);
        assert!(!leadership(&json!({"x": null}), "/leader", "n1", None).leads);
    }
}
