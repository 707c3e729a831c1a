//! How a client takes requests: their ids, their order, words that it does not know, the end of its input.

use super::operations::{get, holds, put};
use super::session::{Heard, Session};
use super::{Checked, Finding, OPEN_MAX, Program, Subject, bad};
use elenchus_core::value::Value;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// How long a program may take to end.
const END_MAX: Duration = Duration::from_secs(2);

/// The best of three tries: the first start of a program may be slow on a busy machine.
pub(super) async fn opens(subject: &Subject<'_>, program: &Program<'_>) -> Finding {
    let mut tries = 1;
    loop {
        let mut in_time = true;
        let finding = subject
            .opened("open", program, async |session| {
                in_time = session.took <= OPEN_MAX;
                open(session)
            })
            .await;
        if in_time || tries == 3 {
            return finding;
        }
        tries += 1;
    }
}

/// Whether the session, just opened, was opened in time.
fn open(session: &Session) -> Checked {
    if session.took > OPEN_MAX {
        return bad(
            format!("`open` was answered after {:?}", session.took),
            "Elenchus waits a second for a connection: start faster, or connect at the first request",
        );
    }
    Ok(format!("answered after {} ms", session.took.as_millis()))
}

/// Tries all of them.
pub(super) async fn all(subject: &Subject<'_>, program: &Program<'_>, findings: &mut Vec<Finding>) {
    let key = |name: &str| subject.key(name);
    findings.push(subject.opened("ids", program, async |session| ids(session, &key("ids")).await).await);
    findings
        .push(subject.opened("order", program, async |session| order(session, &key("order")).await).await);
    findings
        .push(subject.opened("fields", program, async |session| fields(session, &key("fields")).await).await);
    findings.push(
        subject.opened("unknown", program, async |session| unknown(session, &key("unknown")).await).await,
    );
    findings.push(
        subject.opened("garbage", program, async |session| garbage(session, &key("garbage")).await).await,
    );
    findings.push(together(subject).await);
    findings.push(subject.opened("end", program, async |session| end(session).await).await);
}

async fn ids(session: &mut Session, key: &str) -> Checked {
    for last in [41, 1_000_000_006, 6] {
        session.last = last;
        holds(session, &get(key), &Value::Nil).await?;
    }
    Ok("each answer bears its request's id".into())
}

async fn order(session: &mut Session, key: &str) -> Checked {
    let requests: Vec<String> =
        (2..=4).map(|id| json!({ "id": id, "op": "get", "key": key }).to_string()).collect();
    session.say(&requests.join("\n")).await;
    for id in 2..=4 {
        let heard = session.hear().await;
        session.last = id;
        let answered = matches!(&heard, Heard::Line(line) if session.read(line, &get(key)).is_ok());
        if !answered {
            return bad(
                format!("of three requests sent at once, the one with id {id} was not answered in its turn"),
                "answer each request, in the order in which they came",
            );
        }
    }
    Ok("three requests sent at once are answered in turn".into())
}

async fn fields(session: &mut Session, key: &str) -> Checked {
    let message = object(json!({ "op": "get", "key": key, "since": "a later version" }));
    let line = session.exchange(message).await?;
    match session.read(&line, &get(key))? {
        outcome if outcome.is_ok() => Ok("a field that it does not know changes nothing".into()),
        _ => bad("a get with one more field was not answered ok", "ignore fields that you do not know"),
    }
}

async fn unknown(session: &mut Session, key: &str) -> Checked {
    let line = session.exchange(object(json!({ "op": "no-such-operation", "key": key }))).await?;
    let outcome = session.read(&line, &put(key, Value::Nil))?;
    if outcome.is_ok() {
        return bad(
            "an operation that does not exist was answered ok",
            "answer an `op` that you do not know with `fail`",
        );
    }
    holds(session, &get(key), &Value::Nil).await?;
    let word = if outcome.is_info() { "info; `fail` would be certain" } else { "fail" };
    Ok(format!("an operation that it does not know is answered with {word}"))
}

async fn garbage(session: &mut Session, key: &str) -> Checked {
    session.say("this is no request").await;
    let heard = session.hear_within(Duration::from_millis(300)).await;
    match heard {
        Heard::End(how) => return Ok(format!("a line that is no request ends it ({how})")),
        Heard::Line(line) if line.contains("\"ok\"") => {
            return bad(
                "a line that is no request was answered ok",
                "answer such a line with `fail`, or end",
            );
        }
        Heard::Line(_) | Heard::Silence => {}
    }
    // It may have been slow to end.
    session.last += 1;
    session.say(&json!({ "id": session.last, "op": "get", "key": key }).to_string()).await;
    loop {
        match session.hear().await {
            Heard::End(how) => return Ok(format!("a line that is no request ends it ({how})")),
            Heard::Silence => {
                return bad(
                    "after a line that is no request it hangs",
                    "go on with the next line, or end: a program that hangs costs a whole deadline",
                );
            }
            Heard::Line(line) if session.read(&line, &get(key)).is_ok_and(|outcome| outcome.is_ok()) => {
                return Ok("a line that is no request does not disturb it".into());
            }
            Heard::Line(line) if line.contains("\"ok\"") => session.read(&line, &get(key)).map(drop)?,
            Heard::Line(_) => {}
        }
    }
}

/// Two programs at once.
async fn together(subject: &Subject<'_>) -> Finding {
    let key = subject.key("together");
    subject
        .talk("together", async |first, others| {
            let mut second = others.another().await?;
            first.ask(&put(&key, Value::Int(1))).await?;
            holds(&mut *second, &get(&key), &Value::Int(1)).await?;
            Ok("what one client wrote, another reads".into())
        })
        .await
}

async fn end(session: &mut Session) -> Checked {
    match session.end(END_MAX).await {
        Some(status) => Ok(format!("ends with its input ({status})")),
        None => bad(
            format!("it still runs {END_MAX:?} after the end of its input"),
            "end when standard input ends; it is ended by force otherwise, with whatever it holds",
        ),
    }
}

fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}
