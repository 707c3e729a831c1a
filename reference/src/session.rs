//! A client's side of a session with a bundled cluster: what to send, when to send it again, and what may be
//! said of an operation in the end.
//!
//! Writes bear the number of a session and their own (Ongaro 2014, section 6.3), so that the cluster applies
//! a command once however often it is sent; hence this client alone may send again, and must send the same.
//! A session is opened lazily, by the first write. The client speaks to its own node only.
//!
//! Each sending is accounted for on its own. It is *certain* once the node has answered that it was not and
//! will not be applied; until then, and for ever after its connection was lost, it may have been. A write
//! that ends without an answer failed for certain only if every sending is certain. Reads change nothing,
//! so a read without an answer always failed for certain.
//!
//! No IO and no clock: whoever owns a connection and the time carries out the [`Effect`]s.

use crate::wire::{Answer, Command, Datum, ToClient, ToNode};
use elenchus_core::time::Time;
use std::time::Duration;

/// One operation of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Reads all of these keys in one instant: only [`Command::Get`]s.
    Read(Vec<Command>),
    /// Changes, atomically, all or none.
    Write(Vec<Command>),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It took effect once, with these results, one a command.
    Done(Vec<Option<Datum>>),
    /// Nothing was changed: the command at `at` found what it did not expect.
    Refused {
        /// Which command.
        at: usize,
        /// What the key holds.
        saw: Option<Datum>,
    },
    /// It did not take effect, and never will.
    NotDone(String),
    /// It may have taken effect, may yet, or may never.
    InDoubt(String),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open a connection, then say [`ClientSession::connected`] or [`ClientSession::disconnected`].
    Connect,
    /// Close the connection; nothing needs to be said of it.
    Disconnect,
    /// Send this payload.
    Send(Vec<u8>),
    /// The operation has ended.
    Finish(End),
}

/// How patient the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// An operation of which nothing could be sent ends after this.
    pub unsent: Duration,
    /// What is not answered is sent again after this; then after twice as long, and so on up to `resend_max`.
    pub resend: Duration,
    /// The longest time between two sendings without an answer.
    pub resend_max: Duration,
    /// The pause after a connection was lost or a node declined; doubled each time up to `pause_max`.
    pub pause: Duration,
    /// The longest such pause.
    pub pause_max: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            unsent: Duration::from_millis(1000),
            resend: Duration::from_millis(250),
            resend_max: Duration::from_millis(500),
            pause: Duration::from_millis(50),
            pause_max: Duration::from_millis(200),
        }
    }
}

/// The state of one client. See the module.
#[derive(Clone, Debug)]
pub struct ClientSession {
    patience: Patience,
    link: Link,
    /// The session, once the cluster has named it.
    session: Option<u64>,
    /// The number of the latest write. Numbers are never used again, not even after a certain failure.
    number: u64,
    /// The latest request. Never used again, so a late answer cannot be taken for another's.
    request: u64,
    /// Registrations on this connection that are not answered yet.
    registrations: Vec<u64>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Connecting,
    Up,
}

/// The operation under way.
#[derive(Clone, Debug)]
struct Open {
    call: Call,
    /// The write's number in its session; taken when it is first sent.
    number: Option<u64>,
    deadline: Time,
    /// Whether anything was sent, be it a registration.
    sent: bool,
    /// When to give up if nothing could be sent.
    unsent_deadline: Time,
    /// Sendings on this connection that are not answered yet.
    pending: Vec<u64>,
    /// Why some sending can never be certain again, if one cannot.
    doubt: Option<String>,
    /// What went wrong last, for people.
    trouble: String,
    /// When to connect or send next.
    next: Time,
    resend: Duration,
    pause: Duration,
}

impl ClientSession {
    /// A client without a connection.
    pub fn new(patience: Patience) -> ClientSession {
        ClientSession {
            patience,
            link: Link::Down,
            session: None,
            number: 0,
            request: 0,
            registrations: Vec::new(),
            open: None,
        }
    }

    /// Begins an operation that ends at `deadline` at the latest. One that is still open is forgotten: its
    /// caller has given it up and knows nothing of it.
    pub fn begin(&mut self, now: Time, call: Call, deadline: Time, out: &mut Vec<Effect>) {
        self.open = Some(Open {
            call,
            number: None,
            deadline,
            sent: false,
            unsent_deadline: deadline.min(now + self.patience.unsent),
            pending: Vec::new(),
            doubt: None,
            trouble: "no answer".to_owned(),
            next: now,
            resend: self.patience.resend,
            pause: self.patience.pause,
        });
        self.act(now, out);
    }

    /// A connection that was asked for is open.
    pub fn connected(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.link = Link::Up;
        if let Some(open) = &mut self.open {
            open.next = now;
        }
        self.act(now, out);
    }

    /// The connection is lost, or could not be opened.
    pub fn disconnected(&mut self, now: Time, why: &str, out: &mut Vec<Effect>) {
        self.lose(now, why);
        self.act(now, out);
    }

    /// A payload has come from the node.
    pub fn received(&mut self, now: Time, payload: &[u8], out: &mut Vec<Effect>) {
        match serde_json::from_slice(payload) {
            Ok(ToClient { id, answer }) => self.answered(now, id, answer, out),
            Err(error) => {
                out.push(Effect::Disconnect);
                self.lose(now, &format!("the node does not speak our language: {error}"));
            }
        }
        self.act(now, out);
    }

    /// Time has passed.
    pub fn elapsed(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.act(now, out);
    }

    /// When to say [`ClientSession::elapsed`], if nothing else happens before.
    pub fn wake_at(&self) -> Option<Time> {
        let open = self.open.as_ref()?;
        let give_up = open.gives_up_at();
        Some(if self.link == Link::Connecting { give_up } else { give_up.min(open.next) })
    }

    /// Does what is due: give up, connect, send.
    fn act(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(open) = &self.open else { return };
        if now >= open.gives_up_at() {
            let end = self.open.take().map(Open::give_up).expect("it is open");
            out.push(Effect::Finish(end));
        } else if now >= open.next {
            match self.link {
                Link::Down => {
                    self.link = Link::Connecting;
                    out.push(Effect::Connect);
                }
                Link::Connecting => {}
                Link::Up => self.send(now, out),
            }
        }
    }

    /// Sends the operation, or opens the session that it needs.
    fn send(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(open) = &mut self.open else { return };
        self.request += 1;
        let id = self.request;
        open.sent = true;
        let message = match (&open.call, self.session) {
            (Call::Read(commands), _) => {
                open.pending.push(id);
                ToNode::Read { id, commands: commands.clone() }
            }
            (Call::Write(_), None) => {
                self.registrations.push(id);
                ToNode::Register { id }
            }
            (Call::Write(commands), Some(session)) => {
                open.pending.push(id);
                let number = *open.number.get_or_insert_with(|| {
                    self.number += 1;
                    self.number
                });
                ToNode::Write { id, session, number, commands: commands.clone() }
            }
        };
        open.next = now + open.resend;
        open.resend = (open.resend * 2).min(self.patience.resend_max);
        let payload = serde_json::to_vec(&message).expect("a message has only text and numbers");
        out.push(Effect::Send(payload));
    }

    fn answered(&mut self, now: Time, id: u64, answer: Answer, out: &mut Vec<Effect>) {
        if let Some(at) = self.registrations.iter().position(|&other| other == id) {
            self.registrations.swap_remove(at);
            self.registered(now, answer);
            return;
        }
        let Some(open) = &mut self.open else { return };
        let Some(at) = open.pending.iter().position(|&other| other == id) else { return };
        open.pending.swap_remove(at);
        let end = match answer {
            Answer::Done { results } => End::Done(results),
            Answer::Refused { at, saw } => End::Refused { at, saw },
            Answer::NotDone { why } => return self.try_again(now, why, false),
            Answer::InDoubt { why } => return self.try_again(now, why, true),
            Answer::NoSession => return self.session_lost(out),
            Answer::Session { .. } | Answer::Status { .. } | Answer::Configuration { .. } => {
                return self.try_again(now, "the node answered something else".to_owned(), true);
            }
        };
        self.open = None;
        out.push(Effect::Finish(end));
    }

    fn registered(&mut self, now: Time, answer: Answer) {
        match answer {
            Answer::Session { session } => {
                // A second answer belongs to a session too many; the cluster forgets it in time.
                self.session.get_or_insert(session);
                if let Some(open) = self.open.as_mut().filter(|open| open.awaits_session()) {
                    open.next = now;
                    open.resend = self.patience.resend;
                }
            }
            Answer::NotDone { why } | Answer::InDoubt { why } => self.try_again(now, why, false),
            _ => self.try_again(now, "the node answered something else".to_owned(), false),
        }
    }

    /// Sends again after a pause. `doubt`: the sending that was answered may have been applied.
    fn try_again(&mut self, now: Time, why: String, doubt: bool) {
        let Some(open) = &mut self.open else { return };
        if doubt {
            open.doubt = Some(why.clone());
        }
        open.trouble = why;
        open.next = open.next.min(now + open.pause);
        open.pause = (open.pause * 2).min(self.patience.pause_max);
    }

    /// The cluster has forgotten the session, so it cannot recognise what was sent before: nothing may be sent
    /// again.
    fn session_lost(&mut self, out: &mut Vec<Effect>) {
        self.session = None;
        let Some(mut open) = self.open.take() else { return };
        open.trouble = "the session is not known any more".to_owned();
        out.push(Effect::Finish(open.give_up()));
    }

    fn lose(&mut self, now: Time, why: &str) {
        self.link = Link::Down;
        self.registrations.clear();
        let Some(open) = &mut self.open else { return };
        let sent = !open.pending.is_empty();
        open.pending.clear();
        open.next = now + open.pause;
        open.resend = self.patience.resend;
        open.pause = (open.pause * 2).min(self.patience.pause_max);
        open.trouble = why.to_owned();
        if sent {
            open.doubt = Some(why.to_owned());
        }
    }
}

impl Open {
    fn gives_up_at(&self) -> Time {
        if self.sent { self.deadline } else { self.unsent_deadline }
    }

    fn awaits_session(&self) -> bool {
        self.number.is_none() && matches!(self.call, Call::Write(_))
    }

    /// What may be said of an operation that ends without an answer.
    fn give_up(self) -> End {
        match (self.call, self.doubt) {
            (Call::Read(_), _) => End::NotDone(self.trouble),
            (Call::Write(_), Some(why)) => End::InDoubt(why),
            (Call::Write(_), None) if self.pending.is_empty() => End::NotDone(self.trouble),
            (Call::Write(_), None) => End::InDoubt(self.trouble),
        }
    }
}

#[cfg(test)]
mod tests;
