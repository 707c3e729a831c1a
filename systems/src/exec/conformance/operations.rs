//! What a client says of each operation that it offers.

use super::session::Session;
use super::{Bad, Checked, Finding, OPEN_MAX, Subject, bad};
use elenchus_core::client::{Capability, Request, Response};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::watch::Seen;
use std::time::Duration;

type Asked = Result<Outcome<Response>, Bad>;

const FAIL_IS_NO_ANSWER: &str =
    "this works on a healthy node: see the reason it gives, and the program's standard error";

/// Tries all of them.
pub(super) async fn all(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let key = |name: &str| subject.key(name);
    let absent = get(&key("absent"));
    findings.push(
        subject
            .opened("get", async |session| {
                holds(session, &absent, &Value::Nil).await?;
                Ok("an absent key is null".into())
            })
            .await,
    );
    findings.push(subject.opened("put", async |session| puts(session, &key("put")).await).await);
    findings.push(subject.opened("cas", async |session| sets(session, &key("cas")).await).await);
    findings.push(subject.opened("append", async |session| appends(session, &key("append")).await).await);
    findings.push(subject.opened("delete", async |session| deletes(session, &key("delete")).await).await);
    if subject.offers(Capability::Txn) {
        findings.push(subject.opened("txn", async |session| transacts(session, &key("txn")).await).await);
    }
    if subject.offers(Capability::Watch) {
        findings.push(subject.opened("watch", async |session| watches(session, &key("watch/")).await).await);
    }
}

pub(super) fn get(key: &str) -> Request {
    Request::Get { key: key.into() }
}

pub(super) fn put(key: &str, value: Value) -> Request {
    Request::Put { key: key.into(), value }
}

fn cas(key: &str, from: Value, to: Value) -> Request {
    Request::Cas { key: key.into(), from, to }
}

/// Whether a get answers this.
pub(super) async fn holds(session: &mut Session, get: &Request, value: &Value) -> Result<(), Bad> {
    match session.ask(get).await? {
        Outcome::Ok(Response::Value(found)) if found == *value => Ok(()),
        Outcome::Ok(Response::Value(found)) => bad(
            format!("the key holds {value}, and the get answered {found}"),
            "answer a get with the value as it was put: a number as a number, text as text, null if the key is absent",
        ),
        other => bad(format!("the get ended so: {}", told_so(&other)), FAIL_IS_NO_ANSWER),
    }
}

/// Whether the answer is ok.
fn done(asked: Asked, what: &str) -> Result<(), Bad> {
    match asked? {
        Outcome::Ok(_) => Ok(()),
        other => bad(format!("{what} ended so: {}", told_so(&other)), FAIL_IS_NO_ANSWER),
    }
}

/// Whether the answer is ok; a certain failure means that the store does not know the operation.
fn known(asked: Asked, what: &str) -> Result<bool, Bad> {
    match asked? {
        Outcome::Fail(Failure::NotDone(_)) => Ok(false),
        other => done(Ok(other), what).map(|()| true),
    }
}

fn told_so(outcome: &Outcome<Response>) -> String {
    match outcome {
        Outcome::Ok(response) => format!("ok {response:?}"),
        Outcome::Fail(Failure::Refused(_)) => "refused".into(),
        Outcome::Fail(Failure::NotDone(why)) => format!("fail: {why}"),
        Outcome::Info(why) => format!("info: {why}"),
    }
}

/// Whether a cas is refused by this.
async fn declines(session: &mut Session, request: &Request, saw: &Value) -> Result<(), Bad> {
    let mend =
        "answer a cas whose `from` is not what the key holds with {\"id\":…,\"refused\":WHAT IT HOLDS}";
    match session.ask(request).await? {
        Outcome::Fail(Failure::Refused(Some(Response::Value(found)))) if found == *saw => Ok(()),
        Outcome::Fail(Failure::Refused(_)) => {
            bad(format!("the key holds {saw}, not what `refused` says"), mend)
        }
        other => bad(format!("a cas from another value ended so: {}", told_so(&other)), mend),
    }
}

async fn puts(session: &mut Session, key: &str) -> Checked {
    for n in [5, 6, -1] {
        done(session.ask(&put(key, Value::Int(n))).await, "a put of a number")?;
        holds(session, &get(key), &Value::Int(n)).await?;
    }
    let text = Value::str("ä \"quoted\" \\ {x} 'y' $z");
    if !known(session.ask(&put(key, text.clone())).await, "a put of text")? {
        return Ok("numbers come back as they went; text is declined".into());
    }
    holds(session, &get(key), &text).await?;
    Ok("numbers and text come back as they went".into())
}

async fn sets(session: &mut Session, key: &str) -> Checked {
    done(session.ask(&cas(key, Value::Nil, Value::Int(1))).await, "a cas from null on an absent key")?;
    declines(session, &cas(key, Value::Nil, Value::Int(9)), &Value::Int(1)).await?;
    declines(session, &cas(key, Value::Int(2), Value::Int(9)), &Value::Int(1)).await?;
    holds(session, &get(key), &Value::Int(1)).await?;
    done(session.ask(&cas(key, Value::Int(1), Value::Int(2))).await, "a cas from what the key holds")?;
    holds(session, &get(key), &Value::Int(2)).await?;
    Ok("sets, and says what it saw where it is refused".into())
}

async fn appends(session: &mut Session, key: &str) -> Checked {
    let append = |text: &str| Request::Append { key: key.into(), text: text.into() };
    if !known(session.ask(&append("a ")).await, "an append")? {
        return Ok("not offered (the workload set needs it)".into());
    }
    done(session.ask(&append("b ")).await, "an append")?;
    holds(session, &get(key), &Value::str("a b ")).await?;
    Ok("adds to the end; an absent key counts as empty".into())
}

async fn deletes(session: &mut Session, key: &str) -> Checked {
    done(session.ask(&put(key, Value::Int(1))).await, "a put")?;
    if !known(session.ask(&Request::Delete { key: key.into() }).await, "a delete")? {
        return Ok("not offered".into());
    }
    holds(session, &get(key), &Value::Nil).await?;
    Ok("the key is absent after it".into())
}

/// How long a watch is asked to last.
const WATCH_TIME: Duration = Duration::from_millis(300);

async fn watches(session: &mut Session, prefix: &str) -> Checked {
    let mut told = Vec::new();
    for n in [1, 2] {
        let publish = Request::Publish { key: format!("{prefix}{n}"), value: Value::Int(n) };
        match session.ask(&publish).await? {
            Outcome::Ok(Response::Revision(revision)) => told.push(revision),
            other => return bad(format!("a publish ended so: {}", told_so(&other)), FAIL_IS_NO_ANSWER),
        }
    }
    let all = watch(session, prefix, 1).await?;
    let shown: Vec<(&str, &Value)> =
        all.changes.iter().map(|change| (change.key.as_text().unwrap_or(""), &change.value)).collect();
    let (first, second) = (format!("{prefix}1"), format!("{prefix}2"));
    let mend = "show every change of the prefix from that revision on, once, in the order of revisions; `next` is the first revision not shown";
    if shown != [(first.as_str(), &Value::Int(1)), (second.as_str(), &Value::Int(2))] {
        return bad("two keys were published, and a watch from revision 1 on does not show just those", mend);
    }
    let revisions: Vec<i64> = all.changes.iter().map(|change| change.revision).collect();
    let as_told = told.iter().zip(&revisions).all(|(told, shown)| told.is_none_or(|told| told == *shown));
    if !as_told || revisions[0] >= revisions[1] || all.next <= revisions[1] {
        return bad("the revisions shown are not those that the publishers were told, or do not grow", mend);
    }
    let rest = watch(session, prefix, revisions[1]).await?;
    match rest.changes.as_slice() {
        [change] if change.revision == revisions[1] => {
            Ok("shows changes in order, from the revision asked for".into())
        }
        _ => bad("a watch from the second revision on does not show just the second change", mend),
    }
}

async fn watch(session: &mut Session, prefix: &str, from: i64) -> Result<Seen, Bad> {
    let watch = Request::Watch { prefix: prefix.into(), from, changes_max: 10, time_max: WATCH_TIME };
    match session.ask(&watch).await? {
        Outcome::Ok(Response::Seen(seen)) if session.took > WATCH_TIME + OPEN_MAX => bad(
            format!(
                "a watch of {WATCH_TIME:?} took {:?} to show {} changes",
                session.took,
                seen.changes.len()
            ),
            "answer a watch after `time_ms` at the latest, with what there is by then",
        ),
        Outcome::Ok(Response::Seen(seen)) => Ok(seen),
        other => bad(format!("a watch ended so: {}", told_so(&other)), FAIL_IS_NO_ANSWER),
    }
}

async fn transacts(session: &mut Session, key: &str) -> Checked {
    let mend = "answer a txn with a list, an answer a request, and do all of it or nothing";
    let txn = Request::Txn(vec![put(key, Value::Int(1)), get(key)]);
    match session.ask(&txn).await? {
        Outcome::Ok(Response::Txn(answers)) if answers[1] == Response::Value(Value::Int(1)) => {}
        other => return bad(format!("a put and a get at once ended so: {}", told_so(&other)), mend),
    }
    let torn = Request::Txn(vec![put(key, Value::Int(2)), cas(key, Value::Int(9), Value::Int(3))]);
    match session.ask(&torn).await? {
        Outcome::Fail(Failure::Refused(_)) => {}
        other => return bad(format!("a put beside a refused cas ended so: {}", told_so(&other)), mend),
    }
    holds(session, &get(key), &Value::Int(1)).await?;
    Ok("all at once, or nothing".into())
}
