//! A described client against servers that say what they are told to say.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

const CONSUL: &str = r#"
headers = { X-Token = { env = "PATH" } }
get = { method = "GET", path = "/v1/kv/{key:path}", absent = [404], value = "/0/Value", base64 = true, version = "/0/ModifyIndex", version-absent = "0" }
put = { method = "PUT", path = "/v1/kv/{key:path}", body = "{value}", ok-when = { at = "", is = "true" } }

[cas]
method = "PUT"
path = "/v1/kv/{key:path}?cas={version}"
body = "{to}"
ok-when = { at = "", is = "true" }
refused-when = { at = "", is = "false" }
"#;

/// What comes of a request whose exchanges are answered with these, status line and body, and what was sent.
fn met(answers: &[(&'static str, &'static str)], request: Request) -> (Outcome<Response>, Vec<String>) {
    let description: HttpDescription = toml::from_str(CONSUL).expect("it is well written");
    assert_eq!(description.check(), Ok(()));
    let answers = answers.to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let server = tokio::task::spawn_local(async move {
            let mut heard = Vec::new();
            let (mut stream, _) = listener.accept().await.expect("a client comes");
            for (status, body) in answers {
                let mut request = [0; 4096];
                let n = stream.read(&mut request).await.expect("a request comes");
                heard.push(String::from_utf8_lossy(&request[..n]).into_owned());
                let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(text.as_bytes()).await.expect("the client reads");
            }
            heard
        });
        let node = NodeId::new("n1");
        let connector = HttpConnector::new(description, std::slice::from_ref(&node), |_, _| address.clone());
        let mut client = connector.connect(&node, Process(0)).await.expect("it listens");
        let outcome = client.call(&request).await;
        drop(client);
        (outcome, server.await.expect("the server ended well"))
    })
}

fn cas() -> Request {
    Request::Cas { key: "a/b".into(), from: Value::Int(42), to: Value::Int(7) }
}

const FOUND: (&str, &str) = ("200 OK", r#"[{"Value": "NDI=", "ModifyIndex": 9}]"#);

#[test]
fn a_cas_by_version_reads_first_and_names_the_version_it_saw() {
    let (outcome, sent) = met(&[FOUND, ("200 OK", "true")], cas());
    assert_eq!(outcome, Outcome::Ok(Response::Done));
    assert!(sent[0].starts_with("GET /v1/kv/a/b HTTP/1.1\r\n"), "{}", sent[0]);
    assert!(sent[1].starts_with("PUT /v1/kv/a/b?cas=9 ") && sent[1].ends_with("\r\n\r\n7"), "{}", sent[1]);
}

#[test]
fn a_version_that_changed_in_between_is_no_observation_of_the_value() {
    let (outcome, _) = met(&[FOUND, ("200 OK", "false")], cas());
    assert!(matches!(outcome, Outcome::Fail(Failure::NotDone(_))), "{outcome:?}");
}

#[test]
fn a_cas_by_version_is_refused_by_what_was_read() {
    let absent = Outcome::Fail(Failure::Refused(Some(Response::Value(Value::Nil))));
    assert_eq!(met(&[("404 Not Found", "")], cas()).0, absent);
}

#[test]
fn a_redirect_is_not_followed_and_is_a_doubt() {
    let put = Request::Put { key: "k".into(), value: Value::Int(1) };
    let (outcome, sent) = met(&[("307 Temporary Redirect", "")], put);
    assert!(outcome.is_info() && sent.len() == 1, "{outcome:?}");
}

#[test]
fn an_append_is_a_get_and_a_cas_from_what_it_saw() {
    let append = Request::Append { key: "k".into(), text: " x".into() };
    let (outcome, sent) = met(&[FOUND, FOUND, ("200 OK", "true")], append);
    assert_eq!(outcome, Outcome::Ok(Response::Done));
    assert!(sent[2].ends_with("\r\n\r\n42 x"), "{}", sent[2]);
}

#[test]
fn a_secret_that_a_server_echoes_reaches_no_record() {
    let secret: &'static str = std::env::var("PATH").expect("there is a path").leak();
    let put = Request::Put { key: "k".into(), value: Value::Int(1) };
    let (outcome, sent) = met(&[("500 Oops", secret)], put);
    assert!(sent[0].contains(secret));
    let Outcome::Info(why) = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.to_string(), "status 500: (secret)");
}
