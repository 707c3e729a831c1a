//! What a client says of each operation that it offers.

use super::talk::{Talk, told};
use super::{Bad, Checked, Finding, OPEN_MAX, Subject, bad, locks};
use elenchus_core::client::{Capability, Request, Response};
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::watch::Seen;
use std::time::{Duration, Instant};

type Asked = Result<Outcome<Response>, Bad>;

pub(super) const FAIL_IS_NO_ANSWER: &str =
    "this works on a healthy node: see the reason it gives, and the program's standard error";

/// Tries all that is offered.
pub(super) async fn all(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let key = |name: &str| subject.key(name);
    if subject.offers(Capability::Kv) {
        let absent = get(&key("absent"));
        let gets = subject.talk("get", async |talk, _| {
            holds(talk, &absent, &Value::Nil).await?;
            Ok("an absent key is null".into())
        });
        findings.push(gets.await);
        findings.push(subject.talk("put", async |talk, _| puts(talk, &key("put")).await).await);
        findings.push(subject.talk("cas", async |talk, _| sets(talk, &key("cas")).await).await);
        let is_offered = subject.offers(Capability::Append);
        let appends = subject.talk("append", async |talk, _| appends(talk, &key("append"), is_offered).await);
        findings.push(appends.await);
        findings.push(subject.talk("delete", async |talk, _| deletes(talk, &key("delete")).await).await);
    }
    if subject.offers(Capability::Peek) {
        findings.push(subject.talk("peek", async |talk, _| peeks(talk, &key("peek")).await).await);
    }
    if subject.offers(Capability::Txn) {
        findings.push(subject.talk("txn", async |talk, _| transacts(talk, &key("txn")).await).await);
    }
    if subject.offers(Capability::Watch) {
        findings.push(subject.talk("watch", async |talk, _| watches(talk, &key("watch/")).await).await);
    }
    if subject.offers(Capability::Lock) {
        let is_fenced = subject.offers(Capability::Fencing);
        let locks = subject
            .talk("lock", async |talk, others| locks::excludes(talk, others, &key("lock"), is_fenced).await);
        findings.push(locks.await);
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
pub(super) async fn holds(talk: &mut dyn Talk, get: &Request, value: &Value) -> Result<(), Bad> {
    match talk.ask(get).await? {
        Outcome::Ok(Response::Value(found)) if found == *value => Ok(()),
        Outcome::Ok(Response::Value(found)) => bad(
            format!("the key holds {value}, and the get answered {found}"),
            "answer a get with the value as it was put: a number as a number, text as text, null if the key is absent",
        ),
        other => bad(format!("the get ended so: {}", told(&other)), FAIL_IS_NO_ANSWER),
    }
}

/// Whether the answer is ok.
pub(super) fn done(asked: Asked, what: &str) -> Result<(), Bad> {
    match asked? {
        Outcome::Ok(_) => Ok(()),
        other => bad(format!("{what} ended so: {}", told(&other)), FAIL_IS_NO_ANSWER),
    }
}

/// Whether the answer is ok; a certain failure means that the store does not know the operation.
fn known(asked: Asked, what: &str) -> Result<bool, Bad> {
    match asked? {
        Outcome::Fail(Failure::NotDone(_)) => Ok(false),
        other => done(Ok(other), what).map(|()| true),
    }
}

/// Whether a cas is refused by this.
async fn declines(talk: &mut dyn Talk, request: &Request, saw: &Value) -> Result<(), Bad> {
    let mend =
        "answer a cas whose `from` is not what the key holds with {\"id\":…,\"refused\":WHAT IT HOLDS}";
    match talk.ask(request).await? {
        Outcome::Fail(Failure::Refused(Some(Response::Value(found)))) if found == *saw => Ok(()),
        Outcome::Fail(Failure::Refused(_)) => {
            bad(format!("the key holds {saw}, not what `refused` says"), mend)
        }
        other => bad(format!("a cas from another value ended so: {}", told(&other)), mend),
    }
}

async fn puts(talk: &mut dyn Talk, key: &str) -> Checked {
    for n in [5, 6, -1] {
        done(talk.ask(&put(key, Value::Int(n))).await, "a put of a number")?;
        holds(talk, &get(key), &Value::Int(n)).await?;
    }
    let text = Value::str("ä \"quoted\" \\ {x} 'y' $z");
    if !known(talk.ask(&put(key, text.clone())).await, "a put of text")? {
        return Ok("numbers come back as they went; text is declined".into());
    }
    holds(talk, &get(key), &text).await?;
    Ok("numbers and text come back as they went".into())
}

async fn sets(talk: &mut dyn Talk, key: &str) -> Checked {
    done(talk.ask(&cas(key, Value::Nil, Value::Int(1))).await, "a cas from null on an absent key")?;
    declines(talk, &cas(key, Value::Nil, Value::Int(9)), &Value::Int(1)).await?;
    declines(talk, &cas(key, Value::Int(2), Value::Int(9)), &Value::Int(1)).await?;
    holds(talk, &get(key), &Value::Int(1)).await?;
    done(talk.ask(&cas(key, Value::Int(1), Value::Int(2))).await, "a cas from what the key holds")?;
    holds(talk, &get(key), &Value::Int(2)).await?;
    Ok("sets, and says what it saw where it is refused".into())
}

async fn appends(talk: &mut dyn Talk, key: &str, is_offered: bool) -> Checked {
    let append = |text: &str| Request::Append { key: key.into(), text: text.into() };
    let first = talk.ask(&append("a ")).await;
    if is_offered {
        done(first, "an append, which it claims to offer,")?;
    } else if !known(first, "an append")? {
        return Ok("not offered (the workload set does without it)".into());
    }
    done(talk.ask(&append("b ")).await, "an append")?;
    holds(talk, &get(key), &Value::str("a b ")).await?;
    Ok("adds to the end; an absent key counts as empty".into())
}

async fn deletes(talk: &mut dyn Talk, key: &str) -> Checked {
    done(talk.ask(&put(key, Value::Int(1))).await, "a put")?;
    if !known(talk.ask(&Request::Delete { key: key.into() }).await, "a delete")? {
        return Ok("not offered".into());
    }
    holds(talk, &get(key), &Value::Nil).await?;
    Ok("the key is absent after it".into())
}

/// How long a watch is asked to last.
const WATCH_TIME: Duration = Duration::from_millis(300);

async fn watches(talk: &mut dyn Talk, prefix: &str) -> Checked {
    let mut revisions_told = Vec::new();
    for n in [1, 2] {
        let publish = Request::Publish { key: format!("{prefix}{n}"), value: Value::Int(n) };
        match talk.ask(&publish).await? {
            Outcome::Ok(Response::Revision(revision)) => revisions_told.push(revision),
            other => return bad(format!("a publish ended so: {}", told(&other)), FAIL_IS_NO_ANSWER),
        }
    }
    let all = watch(talk, prefix, 1).await?;
    let shown: Vec<(&str, &Value)> =
        all.changes.iter().map(|change| (change.key.as_text().unwrap_or(""), &change.value)).collect();
    let (first, second) = (format!("{prefix}1"), format!("{prefix}2"));
    let mend = "show every change of the prefix from that revision on, once, in the order of revisions; `next` is the first revision not shown";
    if shown != [(first.as_str(), &Value::Int(1)), (second.as_str(), &Value::Int(2))] {
        return bad("two keys were published, and a watch from revision 1 on does not show just those", mend);
    }
    let revisions: Vec<i64> = all.changes.iter().map(|change| change.revision).collect();
    let as_told =
        revisions_told.iter().zip(&revisions).all(|(told, shown)| told.is_none_or(|told| told == *shown));
    if !as_told || revisions[0] >= revisions[1] || all.next <= revisions[1] {
        return bad("the revisions shown are not those that the publishers were told, or do not grow", mend);
    }
    let rest = watch(talk, prefix, revisions[1]).await?;
    match rest.changes.as_slice() {
        [change] if change.revision == revisions[1] => {
            Ok("shows changes in order, from the revision asked for".into())
        }
        _ => bad("a watch from the second revision on does not show just the second change", mend),
    }
}

async fn watch(talk: &mut dyn Talk, prefix: &str, from: i64) -> Result<Seen, Bad> {
    let watch = Request::Watch { prefix: prefix.into(), from, changes_max: 10, time_max: WATCH_TIME };
    match talk.ask(&watch).await? {
        Outcome::Ok(Response::Seen(seen)) if talk.took() > WATCH_TIME + OPEN_MAX => bad(
            format!(
                "a watch of {WATCH_TIME:?} took {:?} to show {} changes",
                talk.took(),
                seen.changes.len()
            ),
            "answer a watch after `time_ms` at the latest, with what there is by then",
        ),
        Outcome::Ok(Response::Seen(seen)) => Ok(seen),
        other => bad(format!("a watch ended so: {}", told(&other)), FAIL_IS_NO_ANSWER),
    }
}

/// How long a node may take to know what it took itself.
const PEEK_MAX: Duration = Duration::from_secs(2);

async fn peeks(talk: &mut dyn Talk, key: &str) -> Checked {
    let peek = Request::Peek { key: key.into() };
    let peeked = match talk.ask(&peek).await? {
        Outcome::Ok(Response::Value(Value::Nil)) => Ok(()),
        other => bad(format!("a peek at an absent key ended so: {}", told(&other)), "answer null"),
    };
    peeked?;
    done(talk.ask(&put(key, Value::Int(1))).await, "a put")?;
    let began = Instant::now();
    loop {
        match talk.ask(&peek).await? {
            Outcome::Ok(Response::Value(Value::Int(1))) => {
                return Ok("shows what the node asked knows".into());
            }
            Outcome::Ok(Response::Value(Value::Nil)) if began.elapsed() < PEEK_MAX => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Outcome::Ok(Response::Value(found)) => {
                return bad(
                    format!(
                        "1 was put, and {:?} later a peek on the same node answered {found}",
                        began.elapsed()
                    ),
                    "answer what the node asked knows of the key, as a get answers it",
                );
            }
            other => return bad(format!("a peek ended so: {}", told(&other)), FAIL_IS_NO_ANSWER),
        }
    }
}

async fn transacts(talk: &mut dyn Talk, key: &str) -> Checked {
    let mend = "answer a txn with a list, an answer a request, and do all of it or nothing";
    let (first, second) = (format!("{key}/1"), format!("{key}/2"));
    let txn =
        Request::Txn(vec![put(&first, Value::Int(1)), get(&second), cas(&second, Value::Nil, Value::Int(5))]);
    match talk.ask(&txn).await? {
        Outcome::Ok(Response::Txn(answers)) if answers.get(1) == Some(&Response::Value(Value::Nil)) => {}
        other => {
            return bad(
                format!("a put, a get of an absent key and a cas of it ended so: {}", told(&other)),
                mend,
            );
        }
    }
    holds(talk, &get(&first), &Value::Int(1)).await?;
    holds(talk, &get(&second), &Value::Int(5)).await?;
    let torn = Request::Txn(vec![put(&first, Value::Int(2)), cas(&second, Value::Int(9), Value::Int(3))]);
    match talk.ask(&torn).await? {
        Outcome::Fail(Failure::Refused(_)) => {}
        other => return bad(format!("a put beside a refused cas ended so: {}", told(&other)), mend),
    }
    for (key, value) in [(&first, 1), (&second, 5)] {
        match talk.ask(&get(key)).await? {
            Outcome::Ok(Response::Value(Value::Int(found))) if found == value => {}
            other => {
                let what = format!(
                    "a refused txn changed what it should not: {key} held {value}, a get ended so: {}",
                    told(&other)
                );
                return bad(what, mend);
            }
        }
    }
    Ok("all at once, or nothing".into())
}
