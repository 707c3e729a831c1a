//! A client of a bundled cluster: a [`ClientSession`] with a socket and the time.

use super::line::Line;
use super::translate;
use elenchus_core::LocalFuture;
use elenchus_core::client::{Client, Request, Response};
use elenchus_core::outcome::Outcome;
use elenchus_core::time::Time;
use elenchus_reference::session::{ClientSession, Effect, End, Patience};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Where and how patiently a client calls.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The node.
    pub address: SocketAddr,
    /// Its cluster.
    pub cluster: u64,
    /// How long an attempt to connect may take.
    pub connect_max: Duration,
    /// How long an operation may take, all sendings together.
    pub operation_max: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct BundledClient {
    target: Target,
    session: ClientSession,
    line: Option<Line>,
    /// The session's time zero.
    start: Instant,
}

/// What a client waits for.
enum Happening {
    Opened(io::Result<Line>),
    Received(io::Result<Vec<u8>>),
    TimePassed,
}

impl BundledClient {
    /// A client with an open connection. An error: there is none, and nothing was sent.
    pub async fn connect(target: Target) -> io::Result<BundledClient> {
        let line = Line::open(target.address, target.cluster, target.connect_max).await?;
        let mut session = ClientSession::new(Patience::default());
        session.connected(Time::ZERO, &mut Vec::new());
        Ok(BundledClient { target, session, line: Some(line), start: Instant::now() })
    }

    fn now(&self) -> Time {
        self.start.elapsed().into()
    }

    async fn perform(&mut self, request: &Request) -> Outcome<Response> {
        let call = match translate::call(request) {
            Ok(call) => call,
            Err(cause) => return Outcome::not_done(cause),
        };
        self.notice_loss();
        let mut effects = Vec::new();
        let now = self.now();
        self.session.begin(now, call, now + self.target.operation_max, &mut effects);
        let mut connecting = false;
        loop {
            if let Some(end) = self.carry_out(&mut effects, &mut connecting) {
                return translate::outcome(request, end);
            }
            let happening = self.wait(connecting).await;
            let now = self.now();
            match happening {
                Happening::TimePassed => self.session.elapsed(now, &mut effects),
                Happening::Received(Ok(payload)) => self.session.received(now, &payload, &mut effects),
                Happening::Opened(Ok(line)) => {
                    connecting = false;
                    self.line = Some(line);
                    self.session.connected(now, &mut effects);
                }
                Happening::Opened(Err(error)) | Happening::Received(Err(error)) => {
                    connecting = false;
                    self.line = None;
                    self.session.disconnected(now, &error.to_string(), &mut effects);
                }
            }
        }
    }

    /// A connection that was lost between two operations puts none of them in doubt.
    fn notice_loss(&mut self) {
        if self.line.as_mut().is_some_and(Line::is_closed) {
            self.line = None;
        }
        if self.line.is_none() {
            // An operation that its caller gave up may still be open; what it wants now concerns nobody.
            self.session.disconnected(self.now(), "the connection was lost", &mut Vec::new());
        }
    }

    /// Carries out effects; the end, if the operation has one.
    fn carry_out(&mut self, effects: &mut Vec<Effect>, connecting: &mut bool) -> Option<End> {
        let mut ended = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::Connect => *connecting = true,
                Effect::Disconnect => self.line = None,
                Effect::Send(payload) => {
                    let line = self.line.as_mut().expect("a session sends on a connection only");
                    if let Err(error) = line.send(&payload) {
                        // Too long for a frame, and so would every other sending be: nothing left, ever.
                        self.line = None;
                        ended = Some(End::NotDone(error.to_string()));
                    }
                }
                Effect::Finish(end) => ended = Some(end),
            }
        }
        ended
    }

    async fn wait(&mut self, connecting: bool) -> Happening {
        let wake = self.session.wake_at().expect("an open operation has a deadline");
        let alarm = sleep_until(self.start + Duration::from_nanos(wake.0));
        let Target { address, cluster, connect_max, .. } = self.target;
        match &mut self.line {
            Some(line) => tokio::select! {
                biased;
                received = line.receive() => Happening::Received(received),
                () = alarm => Happening::TimePassed,
            },
            None if connecting => tokio::select! {
                biased;
                opened = Line::open(address, cluster, connect_max) => Happening::Opened(opened),
                () = alarm => Happening::TimePassed,
            },
            None => {
                alarm.await;
                Happening::TimePassed
            }
        }
    }
}

impl Client for BundledClient {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(self.perform(request))
    }
}
