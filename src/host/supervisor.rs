//! The supervisor: starts, signals and reaps every node, and ends all of them with the trial.
//!
//! It is a single thread that waits for four things: requests of the controller, children that change,
//! the end of the controller, the end of the outer process. In a pid namespace it is init: when it ends,
//! the kernel ends everything else in there. Without one it is a subreaper: every orphan of the trial
//! becomes its child, so that it finds and kills them all before it ends. It shows nothing, decides nothing
//! and never waits for a request's effect; the answer is sent when a child's change brings it about.

use super::journal::Journal;
use super::processes;
use super::protocol::{Exit, Lines, Notice, Numbered, Request, Status, line};
use super::spawn::{Home, spawn};
use elenchus_core::process::NodeId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// A node and its process, if it has one.
struct Node {
    id: NodeId,
    network: Option<OwnedFd>,
    running: Option<Running>,
    /// The process group of a process that ended and left others of its group behind.
    remnant: Option<i32>,
}

#[derive(Clone, Copy)]
struct Running {
    pid: i32,
    is_stopped: bool,
    is_killed: bool,
}

/// A request whose effect is not there yet.
struct Pending {
    id: u64,
    node: usize,
    awaited: Awaited,
}

#[derive(Clone, Copy)]
enum Awaited {
    /// Nothing of this process group is left.
    Gone(i32),
    /// This process stands.
    Stopped(i32),
    /// This process goes on.
    Going(i32),
}

/// The supervisor at work.
pub(super) struct Supervisor {
    nodes: Vec<Node>,
    journal: Arc<Journal>,
    is_init: bool,
    controller: i32,
    /// `None` once the controller has closed its end.
    line: Option<UnixStream>,
    lines: Lines,
    outgoing: Vec<u8>,
    pending: Vec<Pending>,
}

/// Why the supervisor's work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The controller ended like this.
    Controller(Status),
    /// The outer process is gone, or wants no more.
    Outer,
}

impl Supervisor {
    /// The supervisor of these nodes, each with its network namespace if it has one, on behalf of the
    /// process `controller` at the other end of `line`.
    pub fn new(
        nodes: Vec<(NodeId, Option<OwnedFd>)>,
        journal: Arc<Journal>,
        is_init: bool,
        controller: i32,
        line: UnixStream,
    ) -> io::Result<Supervisor> {
        line.set_nonblocking(true)?;
        let nodes = nodes.into_iter();
        Ok(Supervisor {
            nodes: nodes.map(|(id, network)| Node { id, network, running: None, remnant: None }).collect(),
            journal,
            is_init,
            controller,
            line: Some(line),
            lines: Lines::default(),
            outgoing: vec![],
            pending: vec![],
        })
    }

    /// Works until the controller or the outer process (`lifeline`) ends.
    pub fn work(&mut self, lifeline: &PipeReader, children: &SignalFd) -> io::Result<Over> {
        loop {
            if self.wait(lifeline, children)? {
                return Ok(Over::Outer);
            }
            while let Ok(Some(_)) = children.read_signal() {}
            if let Some(status) = self.reap() {
                return Ok(Over::Controller(status));
            }
            self.listen();
            self.answer_pending();
            self.speak();
        }
    }

    /// Waits until something happens. Returns whether the outer process is gone.
    fn wait(&self, lifeline: &PipeReader, children: &SignalFd) -> io::Result<bool> {
        let mut fds = vec![
            PollFd::new(lifeline.as_fd(), PollFlags::POLLIN),
            PollFd::new(children.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(line) = &self.line {
            let out = if self.outgoing.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            fds.push(PollFd::new(line.as_fd(), PollFlags::POLLIN | out));
        }
        // The last of a process group may be another's child, whose end nobody tells us.
        let looks_again = self.pending.iter().any(|p| matches!(p.awaited, Awaited::Gone(_)));
        let timeout = if looks_again { PollTimeout::from(5u8) } else { PollTimeout::NONE };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Nothing is ever sent on the lifeline again: readable means closed.
        Ok(fds[0].any().unwrap_or(false))
    }

    // ---- children -------------------------------------------------------------------------------------

    /// Takes note of all children that changed. Returns how the controller ended, if it did.
    fn reap(&mut self) -> Option<Status> {
        let mut ended = None;
        while let Some((pid, change)) = next_change() {
            if pid == self.controller {
                ended = match change {
                    Change::Ended(status) => Some(status),
                    Change::Stopped | Change::Continued => ended,
                };
                continue;
            }
            let Some(place) = self.nodes.iter().position(|n| n.running.is_some_and(|r| r.pid == pid)) else {
                continue; // an orphan that became ours
            };
            let node = &mut self.nodes[place];
            match (change, &mut node.running) {
                (Change::Stopped, Some(running)) => running.is_stopped = true,
                (Change::Continued, Some(running)) => running.is_stopped = false,
                (Change::Ended(status), running) => {
                    let expected = running.take().is_some_and(|running| running.is_killed);
                    node.remnant = processes::group_lives(pid).then_some(pid);
                    let exit = Exit { node: node.id.clone(), pid, status, expected };
                    self.say(&Notice::Exit(exit));
                }
                (_, None) => {}
            }
        }
        ended
    }

    // ---- the controller -------------------------------------------------------------------------------

    fn listen(&mut self) {
        let mut buffer = [0; 1 << 14];
        while let Some(line) = &mut self.line {
            match line.read(&mut buffer) {
                Ok(0) => self.lose_controller(),
                Ok(length) => match self.lines.push::<Numbered>(&buffer[..length]) {
                    Ok(requests) => requests.into_iter().for_each(|request| self.carry_out(request)),
                    Err(_) => self.lose_controller(),
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.lose_controller(),
            }
        }
    }

    /// Nobody commands the nodes any more: they end. The controller may go on without them.
    fn lose_controller(&mut self) {
        self.line = None;
        self.pending.clear();
        for node in &mut self.nodes {
            if let Some(running) = &mut node.running {
                running.is_killed = true;
                signal_group(running.pid, Signal::SIGKILL);
            }
        }
    }

    fn carry_out(&mut self, Numbered { id, request }: Numbered) {
        let node = match &request {
            Request::Start { node, .. }
            | Request::Kill { node }
            | Request::Pause { node }
            | Request::Resume { node } => node,
        };
        let Some(place) = self.nodes.iter().position(|n| n.id == *node) else {
            let why = format!("the trial has no node {node}");
            return self.say(&Notice::Failed { id, why });
        };
        match request {
            Request::Start { spawn, .. } => self.start(id, place, &spawn),
            Request::Kill { .. } => self.kill(id, place),
            Request::Pause { .. } => self.pause(id, place),
            Request::Resume { .. } => self.resume(id, place),
        }
    }

    fn start(&mut self, id: u64, place: usize, how: &super::protocol::Spawn) {
        let node = &mut self.nodes[place];
        let result = match node.running {
            Some(running) if running.is_killed => Err(format!("{} is being killed", node.id)),
            Some(running) => Ok(running.pid),
            None => {
                let network = node.network.as_ref();
                let home = Home { network, journal: &self.journal, is_seen_outside: !self.is_init };
                spawn(how, home).map_err(|error| format!("{} cannot be started: {error}", node.id))
            }
        };
        match result {
            Ok(pid) => {
                node.running.get_or_insert(Running { pid, is_stopped: false, is_killed: false });
                self.say(&Notice::Done { id, pid: Some(pid) });
            }
            Err(why) => self.say(&Notice::Failed { id, why }),
        }
    }

    fn kill(&mut self, id: u64, place: usize) {
        let node = &mut self.nodes[place];
        let remnant = node.remnant.filter(|group| processes::group_lives(*group));
        if let Some(group) = node.running.as_ref().map(|running| running.pid).or(remnant) {
            signal_group(group, Signal::SIGKILL);
            if let Some(running) = &mut node.running {
                running.is_killed = true;
            }
            self.pending.push(Pending { id, node: place, awaited: Awaited::Gone(group) });
        } else {
            self.say(&Notice::Done { id, pid: None });
        }
    }

    fn pause(&mut self, id: u64, place: usize) {
        let node = &self.nodes[place];
        match node.running.filter(|running| !running.is_killed) {
            None => {
                let why = format!("{} does not run", node.id);
                self.say(&Notice::Failed { id, why });
            }
            Some(running) => {
                signal_group(running.pid, Signal::SIGSTOP);
                self.pending.push(Pending { id, node: place, awaited: Awaited::Stopped(running.pid) });
            }
        }
    }

    fn resume(&mut self, id: u64, place: usize) {
        // A pause that the resumption overtakes never comes to stand.
        let overtaken = |p: &Pending| p.node == place && matches!(p.awaited, Awaited::Stopped(_));
        for pause in self.pending.extract_if(.., |p| overtaken(p)).collect::<Vec<_>>() {
            let why = format!("{} was resumed meanwhile", self.nodes[place].id);
            self.say(&Notice::Failed { id: pause.id, why });
        }
        match self.nodes[place].running {
            None => self.say(&Notice::Done { id, pid: None }),
            Some(running) => {
                signal_group(running.pid, Signal::SIGCONT);
                self.pending.push(Pending { id, node: place, awaited: Awaited::Going(running.pid) });
            }
        }
    }

    /// Answers the requests whose effect is there by now, or can never be.
    fn answer_pending(&mut self) {
        let mut answers = vec![];
        self.pending.retain(|pending| {
            let node = &self.nodes[pending.node];
            let running = |pid: i32| node.running.filter(|running| running.pid == pid);
            let id = pending.id;
            let answer = match pending.awaited {
                Awaited::Gone(group) => {
                    let is_gone = running(group).is_none() && !processes::group_lives(group);
                    is_gone.then_some(Notice::Done { id, pid: None })
                }
                Awaited::Stopped(pid) => match running(pid) {
                    Some(running) => running.is_stopped.then_some(Notice::Done { id, pid: Some(pid) }),
                    None => Some(Notice::Failed { id, why: format!("{} ended meanwhile", node.id) }),
                },
                Awaited::Going(pid) => match running(pid) {
                    Some(running) => (!running.is_stopped).then_some(Notice::Done { id, pid: Some(pid) }),
                    None => Some(Notice::Done { id, pid: None }),
                },
            };
            let is_open = answer.is_none();
            answers.extend(answer);
            is_open
        });
        answers.iter().for_each(|answer| self.say(answer));
    }

    fn say(&mut self, notice: &Notice) {
        self.outgoing.extend(line(notice));
    }

    /// Sends what the socket takes; the rest waits, for the supervisor must not.
    fn speak(&mut self) {
        let Some(line) = &mut self.line else { return self.outgoing.clear() };
        while !self.outgoing.is_empty() {
            match line.write(&self.outgoing) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.lose_controller(),
            }
        }
    }
}

/// What happened to a child.
#[derive(Clone, Copy)]
enum Change {
    Ended(Status),
    Stopped,
    Continued,
}

/// The next child that changed, if any did. Says also of signals that have no name how they ended a child,
/// which `nix` takes for an error.
fn next_change() -> Option<(i32, Change)> {
    let mut status = 0;
    // SAFETY: the kernel writes one integer to where the pointer shows.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED) };
    let change = if libc::WIFSTOPPED(status) {
        Change::Stopped
    } else if libc::WIFCONTINUED(status) {
        Change::Continued
    } else if libc::WIFSIGNALED(status) {
        Change::Ended(Status::Killed(libc::WTERMSIG(status)))
    } else {
        Change::Ended(Status::Exited(libc::WEXITSTATUS(status)))
    };
    (pid > 0).then_some((pid, change))
}

fn signal_group(group: i32, signal: Signal) {
    // The only failure is that the group is gone, and then there is nothing to signal.
    let _ = kill(Pid::from_raw(-group), signal);
}
