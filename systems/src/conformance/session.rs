//! A running client program, spoken to line by line, with patience and a memory of what was said.

use super::talk::{Talk, Transcript, allowance};
use super::{Bad, Line, OPEN_MAX, bad};
use crate::exec::{Node, Program, start, words};
use elenchus_core::LocalFuture;
use elenchus_core::client::{Request, Response};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Process;
use serde_json::{Map, Value as Json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// One run of the program.
pub(super) struct Session {
    node: Node,
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    patience: Duration,
    lines: Transcript,
    /// The number of the last request.
    pub last: u64,
    /// How long the last answer took.
    pub took: Duration,
}

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// A line.
    Line(String),
    /// Nothing, for as long as the patience lasts.
    Silence,
    /// The end of its output, and how the program ended if it did.
    End(String),
}

impl Session {
    pub(super) fn start(
        program: &Program,
        patience: Duration,
        lines: Transcript,
    ) -> Result<Session, elenchus_core::outcome::Cause> {
        let mut child = start(program)?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (node, took) = (program.node.clone(), Duration::ZERO);
        Ok(Session { node, child, input, output, patience, lines, last: 0, took })
    }

    /// Tells the program whom to speak to, and hears its consent.
    pub(super) async fn open(&mut self) -> Result<(), Bad> {
        let mend = "answer the first line, `open`, with {\"id\":1,\"ok\":null} once the node is connected";
        match self.try_open().await.map_err(unopened)? {
            Ok(()) => Ok(()),
            Err(why) => bad(why, mend),
        }
    }

    /// As [`Session::open`]; the inner error is the program's refusal.
    pub(super) async fn try_open(&mut self) -> Result<Result<(), String>, Bad> {
        let message = words::open(&self.node, Process(0));
        let line = self.exchange(message).await?;
        Ok(words::opened(&line).map_err(|why| why.to_string()))
    }

    /// Asks for this and reads the answer, whatever it is, as long as it is one.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Outcome<Response>, Bad> {
        let patience = self.patience;
        self.patience += allowance(request);
        let line = self.exchange(words::request(request)).await;
        self.patience = patience;
        self.read(&line?, request)
    }

    /// What a line says of the last request.
    pub(super) fn read(&self, line: &str, request: &Request) -> Result<Outcome<Response>, Bad> {
        let mend = "answer with the request's `id` and exactly one of `ok`, `refused`, `fail` and `info`, of the kind that docs/clients.md names";
        let is_answer =
            |word: &&str| serde_json::from_str::<Json>(line).is_ok_and(|said| said.get(word).is_some());
        let words = ["ok", "refused", "fail", "info"].iter().filter(|word| is_answer(word)).count();
        if words > 1 {
            return bad("one answer says several things at once", mend);
        }
        words::outcome(line, self.last, request).or_else(|why| bad(why.to_string(), mend))
    }

    /// Sends a message under the next number, and hears one line.
    pub(super) async fn exchange(&mut self, mut message: Map<String, Json>) -> Result<String, Bad> {
        self.last += 1;
        message.insert("id".into(), self.last.into());
        self.say(&Json::from(message).to_string()).await;
        match self.hear().await {
            Heard::Line(line) => Ok(line),
            Heard::Silence => bad(
                format!("no answer within {:?}", self.patience),
                "answer every line at once, and flush the output after each answer",
            ),
            Heard::End(how) => {
                bad(how, "read requests until the end of input, and answer errors rather than die of them")
            }
        }
    }

    /// Sends lines as they are. Whether the program still takes them is seen by what it answers.
    pub(super) async fn say(&mut self, text: &str) {
        self.lines.borrow_mut().extend(text.lines().map(|line| Line::Sent(line.to_owned())));
        if let Some(input) = &mut self.input {
            let _ = input.write_all(format!("{text}\n").as_bytes()).await;
            let _ = input.flush().await;
        }
    }

    /// The next line.
    pub(super) async fn hear(&mut self) -> Heard {
        self.hear_within(self.patience).await
    }

    /// The next line, if it comes in this time.
    pub(super) async fn hear_within(&mut self, limit: Duration) -> Heard {
        let began = Instant::now();
        let heard = tokio::time::timeout(limit, self.output.next_line()).await;
        self.took = began.elapsed();
        match heard {
            Err(_) => Heard::Silence,
            Ok(Ok(Some(line))) => {
                self.lines.borrow_mut().push(Line::Received(line.clone()));
                Heard::Line(line)
            }
            Ok(Ok(None)) => match tokio::time::timeout(OPEN_MAX, self.child.wait()).await {
                Ok(Ok(status)) => Heard::End(format!("the program ended: {status}")),
                _ => Heard::End("the program closed its output".into()),
            },
            Ok(Err(error)) => Heard::End(format!("its output is no text: {error}")),
        }
    }

    /// Ends its input and waits for its end: how it ended, or nothing if it did not.
    pub(super) async fn end(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        self.input = None;
        tokio::time::timeout(limit, self.child.wait()).await.ok()?.ok()
    }
}

/// Whoever ends or falls silent before it answers has another trouble than its answers.
fn unopened(bad: Bad) -> Bad {
    let mend = "it must answer the first line, `open`: see what it says on its standard error";
    Bad { what: format!("{}, before `open` was answered", bad.what), mend }
}

impl Talk for Session {
    fn ask<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Result<Outcome<Response>, Bad>> {
        Box::pin(Session::ask(self, request))
    }

    fn took(&self) -> Duration {
        self.took
    }
}
