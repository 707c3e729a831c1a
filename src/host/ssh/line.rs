//! One connection that is kept: a thread that owns it, a queue of what is to be done, answers to whoever waits.
//!
//! libssh2 blocks, and one session does one thing at a time. The thread connects when it must, tries again
//! with growing pauses while the deadline allows, and now and then sees whether an idle connection still lives.
//! Whoever asks has a clock of their own: even a thread that hangs makes nobody wait for ever.

use super::access::Access;
use super::error::{Broke, Deadline, SshError, Trouble};
use super::session::{self, Open};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a connection may be idle before it is looked at.
const IDLE: Duration = Duration::from_secs(10);
/// How long an idle connection may take to show that it lives.
const SIGN_MAX: Duration = Duration::from_secs(5);
/// The pause after the first connection that could not be opened; doubled each time…
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// …up to this.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long opening one connection may take, if the deadline is later.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// How much longer than its deadline a thread is waited for: it tells more.
const GRACE: Duration = Duration::from_secs(3);

type Job = Box<dyn FnOnce(&mut Keeper) + Send>;

/// The line to a host. Clones share the connection.
#[derive(Clone)]
pub(super) struct Line {
    access: Arc<Access>,
    jobs: Sender<Job>,
}

impl Line {
    /// A line that opens its connection when it is first needed. `name` is for whoever lists threads.
    pub fn new(access: Arc<Access>, name: &str) -> std::io::Result<Line> {
        let (jobs, todo) = channel();
        let keeper = Keeper { access: access.clone(), open: None, pause: PAUSE_MIN };
        std::thread::Builder::new().name(format!("ssh {name}")).spawn(move || keeper.serve(&todo))?;
        Ok(Line { access, jobs })
    }

    /// Has `act` done over the connection, `what` being what people call it. It may be called again over another
    /// connection if it said [`Broke::Before`].
    pub async fn ask<T: Send + 'static>(
        &self,
        what: &str,
        limit: Duration,
        act: impl FnMut(&Open, Deadline) -> Result<T, Broke> + Send + 'static,
    ) -> Result<T, SshError> {
        let (queued, deadline) = (what.to_owned(), Deadline::after(limit));
        self.queue(what, limit, move |keeper| keeper.perform(&queued, deadline, act)).await
    }

    /// The same, but `act` keeps the connection.
    pub async fn ask_for_good<T: Send + 'static>(
        &self,
        what: &str,
        limit: Duration,
        act: impl FnOnce(Open, Deadline) -> Result<T, Broke> + Send + 'static,
    ) -> Result<T, SshError> {
        let (queued, deadline) = (what.to_owned(), Deadline::after(limit));
        let job = move |keeper: &mut Keeper| match act(keeper.taken(&queued, deadline)?, deadline) {
            Ok(done) => Ok(done),
            Err(Broke::Before(trouble) | Broke::Within(trouble) | Broke::Answered(trouble)) => Err(trouble),
        };
        self.queue(what, limit, job).await
    }

    async fn queue<T: Send + 'static>(
        &self,
        what: &str,
        limit: Duration,
        act: impl FnOnce(&mut Keeper) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, SshError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |keeper| {
            // Whoever asked may have gone: then nothing is begun any more.
            if !answer.is_closed() {
                let _ = answer.send(act(keeper));
            }
        });
        let broke = || self.error(Trouble::Failed(format!("the thread of its connection broke ({what})")));
        self.jobs.send(job).map_err(|_| broke())?;
        match tokio::time::timeout(limit + GRACE, answered).await {
            Ok(Ok(result)) => result.map_err(|trouble| self.error(trouble)),
            Ok(Err(_)) => Err(broke()),
            Err(_) => Err(self.error(Trouble::Deadline { what: what.to_owned(), limit })),
        }
    }

    fn error(&self, trouble: Trouble) -> SshError {
        let Access { node, user, host, port, .. } = &*self.access;
        SshError { node: node.clone(), place: format!("{user}@{host}:{port}"), trouble }
    }
}

/// What the thread holds.
struct Keeper {
    access: Arc<Access>,
    open: Option<Open>,
    pause: Duration,
}

impl Keeper {
    fn serve(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(IDLE) {
                Ok(job) => job(&mut self),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn perform<T>(
        &mut self,
        what: &str,
        deadline: Deadline,
        mut act: impl FnMut(&Open, Deadline) -> Result<T, Broke>,
    ) -> Result<T, Trouble> {
        loop {
            let open = self.opened(what, deadline)?;
            match act(open, deadline) {
                Ok(done) => return Ok(done),
                Err(Broke::Answered(trouble)) => return Err(trouble),
                Err(Broke::Within(trouble)) => {
                    self.open = None;
                    return Err(trouble);
                }
                Err(Broke::Before(trouble)) => {
                    self.open = None;
                    if deadline.is_over() {
                        return Err(trouble);
                    }
                }
            }
        }
    }

    /// The connection, which is the caller's from now on.
    fn taken(&mut self, what: &str, deadline: Deadline) -> Result<Open, Trouble> {
        self.opened(what, deadline)?;
        Ok(self.open.take().expect("it was just opened"))
    }

    /// The connection, opened if need be.
    fn opened(&mut self, what: &str, deadline: Deadline) -> Result<&Open, Trouble> {
        let began = Instant::now();
        while self.open.is_none() {
            if deadline.is_over() {
                return Err(deadline.trouble(what));
            }
            match session::open(&self.access, deadline.within(OPEN_MAX)) {
                Ok(open) => {
                    self.open = Some(open);
                    self.pause = PAUSE_MIN;
                }
                Err(trouble) if !trouble.may_pass() => return Err(trouble),
                Err(_) if deadline.left() > self.pause => {
                    std::thread::sleep(self.pause);
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
                Err(Trouble::Unreachable(why)) => {
                    return Err(Trouble::Unreachable(format!("{why} (for {:.1?})", began.elapsed())));
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(self.open.as_ref().expect("it was just opened"))
    }

    /// Sees whether the idle connection still lives; a dead one is dropped, and opened again when needed.
    fn look(&mut self) {
        let Some(open) = &self.open else { return };
        open.session.set_timeout(SIGN_MAX.as_millis() as u32);
        let lives = open.session.channel_session().and_then(|mut channel| channel.close());
        if lives.is_err() {
            self.open = None;
        }
    }
}
