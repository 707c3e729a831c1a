//! The process tree of one trial, from its first fork to the moment when nothing of it is left.
//!
//! ```text
//! outer (the user's command) → supervisor (init or subreaper) → controller (clients, nemeses)
//!                                                             ↘ nodes
//! ```
//!
//! Whoever loses the one above ends: the supervisor reads end-of-file on a pipe that the outer process
//! holds, and in namespaces the kernel kills it too; controller and nodes are killed by the kernel when the
//! supervisor dies. Whoever loses the one below cleans up. So `kill -9` of any one of them leaves nothing.
//!
//! Everything is forked from a process with a single thread, before the controller's body may start
//! threads; forking later could copy a lock that somebody else holds.

use super::ground::Ground;
use super::interrupts::Interrupts;
use super::isolation::{Isolation, IsolationRequest, Refusal, Way, describe};
use super::journal::{Journal, Role};
use super::namespaces::{Identity, NODES_MAX};
use super::preparation::{Prepared, prepare};
use super::processes::{self, Process};
use super::protocol::{Lines, Report, Status, line};
use super::supervisor::{Over, Supervisor};
use super::{Ended, HostError, Wish, resources};
use elenchus_core::process::NodeId;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid, setpgid, setsid};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long processes are given to die that were killed.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The exit code of a controller whose trial broke before its body could say anything.
pub(super) const BROKEN: i32 = 255;

/// Runs `body` in the controller of a new trial, on ground where the nodes can be started and cut off from
/// each other. Returns when the controller has ended and nothing of the trial is left.
///
/// `folder` is the trial's own; it receives the journal. Signals to us (SIGINT, SIGTERM, SIGHUP) reach the
/// body as [`Interrupts`]; the third ends everything.
pub fn run_trial(
    wish: Wish<'_>,
    folder: &Path,
    body: impl FnOnce(Ground) -> i32,
) -> Result<Ended, HostError> {
    check(wish.nodes)?;
    let journal = Journal::create(folder).map_err(HostError::io("the journal"))?;
    let signals = Signals::take().map_err(HostError::io("signals"))?;
    let mut outer = Outer { wish, journal: Arc::new(journal), signals, body: Some(body), interrupts: 0 };
    let mut refused = vec![];
    for way in Way::all(wish.isolation) {
        let isolation = way.isolation(&refused);
        match outer.attempt(*way, isolation)? {
            Ok(ended) => {
                if ended.left.is_empty() {
                    resources::sweep(outer.journal.token()).map_err(HostError::io("control groups"))?;
                    outer.journal.done().map_err(HostError::io("the journal"))?;
                }
                return Ok(ended);
            }
            Err(refusal) => refused.push((*way, refusal)),
        }
    }
    outer.journal.done().map_err(HostError::io("the journal"))?;
    let hint = if wish.isolation == IsolationRequest::Namespaces {
        " (`--isolation proxy` needs none of it)"
    } else {
        ""
    };
    Err(HostError::Refused(describe(&refused) + hint))
}

fn check(nodes: &[NodeId]) -> Result<(), HostError> {
    let names: BTreeSet<&NodeId> = nodes.iter().collect();
    if names.len() < nodes.len() {
        return Err(HostError::Nodes("two nodes bear the same name".into()));
    }
    if nodes.is_empty() || nodes.len() > NODES_MAX {
        return Err(HostError::Nodes(format!("{} nodes: there may be 1 to {NODES_MAX}", nodes.len())));
    }
    let threads = fs::read_dir("/proc/self/task").map_err(HostError::io("/proc"))?.count();
    if threads == 1 { Ok(()) } else { Err(HostError::Threads(threads)) }
}

/// Signals that the outer process takes as messages, as long as this lives.
struct Signals {
    fd: SignalFd,
    before: SigSet,
    child: SigAction,
}

impl Signals {
    fn take() -> io::Result<Signals> {
        // Whoever ignores SIGCHLD never learns how a child ended.
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler of ours runs.
        let child = unsafe { sigaction(Signal::SIGCHLD, &default) }?;
        let mut taken = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // `nohup` asks us to live on when the terminal goes.
            if signal != Signal::SIGHUP || !is_ignored(signal) {
                taken.add(signal);
            }
        }
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&taken), Some(&mut before))?;
        let fd = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals { fd, before, child })
    }

    /// The mask of someone who takes no signals as messages.
    fn release(mask: &SigSet) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: it is what was there before.
        let _ = unsafe { sigaction(Signal::SIGCHLD, &self.child) };
        Signals::release(&self.before);
    }
}

fn is_ignored(signal: Signal) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action the kernel only writes the present one to where the pointer shows; all
    // zeroes is a valid one.
    unsafe {
        libc::sigaction(signal as i32, std::ptr::null(), now.as_mut_ptr());
        now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

// ---- the outer process --------------------------------------------------------------------------------

struct Outer<'a, F> {
    wish: Wish<'a>,
    journal: Arc<Journal>,
    signals: Signals,
    body: Option<F>,
    /// How many signals the user has sent.
    interrupts: usize,
}

impl<F: FnOnce(Ground) -> i32> Outer<'_, F> {
    /// One way to set up the ground. The inner error is the kernel's refusal; then all is as before.
    fn attempt(&mut self, way: Way, isolation: Isolation) -> Result<Result<Ended, Refusal>, HostError> {
        let (lifeline, mut held) = pipe().map_err(HostError::io("a pipe"))?;
        let (reports, report) = pipe().map_err(HostError::io("a pipe"))?;
        let (interrupts, interrupt) = pipe().map_err(HostError::io("a pipe"))?;
        let strangers = processes::children(std::process::id() as i32);
        let was_subreaper = prctl::get_child_subreaper().unwrap_or(false);
        if way == Way::Proxy {
            prctl::set_child_subreaper(true).map_err(HostError::io("subreaper"))?;
        }
        let identity = Identity::current();
        let _ = (io::stdout().flush(), io::stderr().flush());
        let supervisor = match fork_into(way) {
            Ok(ForkResult::Parent { child }) => child,
            Err(errno) => return Ok(Err(Refusal { step: way.birth().into(), errno: errno as i32 })),
            Ok(ForkResult::Child) => {
                drop((held, reports, interrupt));
                let setting = Setting {
                    way,
                    isolation,
                    nodes: self.wish.nodes,
                    port_base: self.wish.port_base,
                    identity,
                    journal: self.journal.clone(),
                    mask: self.signals.before,
                };
                let body = self.body.take().expect("only one attempt comes to its controller");
                let pipes = SupervisorPipes { lifeline, report, interrupts };
                leave(|| supervise(setting, pipes, body))
            }
        };
        drop((lifeline, report, interrupts));
        let entered = self.journal.enter_pid(Role::Supervisor, supervisor.as_raw());
        // Without this byte the supervisor does nothing but end.
        let go = entered.and_then(|()| held.write_all(b"!"));
        let mut watch = Watch { supervisor, held: Some(held), interrupt, reports, lines: Lines::default() };
        if go.is_err() {
            watch.held = None;
        }
        let result = watch.until_end(&mut self.interrupts, &self.signals.fd);
        let left = if way == Way::Proxy { processes::end_descendants(&strangers, PATIENCE) } else { vec![] };
        prctl::set_child_subreaper(was_subreaper).map_err(HostError::io("subreaper"))?;
        go.map_err(HostError::io("the journal"))?;
        Ok(match result.map_err(HostError::io("the supervisor"))? {
            Last::Refused(refusal) => Err(refusal),
            Last::Ended { controller, left: also } => {
                let left = left.iter().map(|identity| identity.pid).chain(also).collect();
                Ok(Ended { controller, left, interrupts: self.interrupts })
            }
        })
    }
}

/// What the outer process holds of a trial while it runs.
struct Watch {
    supervisor: Pid,
    /// The lifeline: dropped, the trial ends.
    held: Option<PipeWriter>,
    interrupt: PipeWriter,
    reports: PipeReader,
    lines: Lines,
}

/// How it went, as the outer process knows in the end.
enum Last {
    Refused(Refusal),
    Ended { controller: Option<Status>, left: Vec<i32> },
}

impl Watch {
    /// Forwards signals until the supervisor has ended.
    fn until_end(&mut self, interrupts: &mut usize, signals: &SignalFd) -> io::Result<Last> {
        loop {
            let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            while let Some(signal) = signals.read_signal()? {
                if signal.ssi_signo != Signal::SIGCHLD as u32 {
                    *interrupts += 1;
                    self.forward(*interrupts);
                }
            }
            match waitpid(self.supervisor, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(_) => return self.last(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn forward(&mut self, interrupts: usize) {
        if interrupts < 3 {
            // A controller that is gone has no use for it.
            let _ = self.interrupt.write_all(b"!");
        } else {
            self.held = None;
        }
    }

    /// What the supervisor had to say. It has ended, so all of it is in the pipe; its controller may hold
    /// the other end a little longer, and must not keep us.
    fn last(&mut self) -> io::Result<Last> {
        fcntl(&self.reports, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut bytes = vec![];
        match self.reports.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => drop(result?),
        }
        let mut last = Last::Ended { controller: None, left: vec![] };
        for report in self.lines.push::<Report>(&bytes).map_err(io::Error::other)? {
            last = match report {
                Report::Ready => last,
                Report::Refused(refusal) => Last::Refused(refusal),
                Report::Ended { controller, left } => Last::Ended { controller: Some(controller), left },
            };
        }
        Ok(last)
    }
}

// ---- forks --------------------------------------------------------------------------------------------

impl Way {
    /// The namespaces that the supervisor is born into.
    fn spaces(self) -> CloneFlags {
        let common = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
        match self {
            Way::Namespaces => common,
            Way::UserNamespace => common | CloneFlags::CLONE_NEWUSER,
            Way::Proxy => CloneFlags::empty(),
        }
    }

    /// What to call the first step.
    fn birth(self) -> &'static str {
        match self {
            Way::Namespaces => "clone(NEWNET|NEWPID|NEWNS)",
            Way::UserNamespace => "clone(NEWUSER|NEWNET|NEWPID|NEWNS)",
            Way::Proxy => "fork",
        }
    }
}

/// Forks; the child is the first process of its new namespaces, if there are any.
fn fork_into(way: Way) -> nix::Result<ForkResult> {
    let flags = way.spaces();
    if flags.is_empty() {
        // SAFETY: we have a single thread, which `check` made sure of.
        return unsafe { fork() };
    }
    let flags = flags.bits() | Signal::SIGCHLD as i32;
    // SAFETY: without CLONE_VM and without a stack this is a fork: the child goes on on a copy of ours. We
    // have a single thread, so no lock is held that the child would wait for.
    match unsafe { libc::syscall(libc::SYS_clone, i64::from(flags), 0, 0, 0, 0) } {
        -1 => Err(nix::errno::Errno::last()),
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(child as i32) }),
    }
}

/// Ends the process with the code that `act` returns, whatever happens in there: the frames below belong
/// to another process.
pub(super) fn leave(act: impl FnOnce() -> i32) -> ! {
    let code = catch_unwind(AssertUnwindSafe(act)).unwrap_or(BROKEN);
    let _ = (io::stdout().flush(), io::stderr().flush());
    // SAFETY: it does not return. What the parent registered to run at its own exit must not run here.
    unsafe { libc::_exit(code) }
}

// ---- the supervisor and the controller ----------------------------------------------------------------

struct Setting<'a> {
    way: Way,
    isolation: Isolation,
    nodes: &'a [NodeId],
    port_base: Option<u16>,
    identity: Identity,
    journal: Arc<Journal>,
    /// The signals that were blocked before the trial.
    mask: SigSet,
}

struct SupervisorPipes {
    lifeline: PipeReader,
    report: PipeWriter,
    interrupts: PipeReader,
}

/// The supervisor's whole life. Returns its exit code.
fn supervise(setting: Setting<'_>, pipes: SupervisorPipes, body: impl FnOnce(Ground) -> i32) -> i32 {
    let SupervisorPipes { mut lifeline, mut report, interrupts } = pipes;
    // Nobody reads this but the outer process, and if that is gone nobody does.
    let mut say = |message: &Report| drop(report.write_all(&line(message)));
    match begin(&setting, &mut lifeline) {
        Err(refusal) => say(&Report::Refused(refusal)),
        Ok(None) => {}
        Ok(Some(begun)) => {
            say(&Report::Ready);
            if let Err(refusal) = run(&setting, begun, &lifeline, interrupts, body, &mut say) {
                say(&Report::Refused(refusal));
            }
        }
    }
    0
}

/// All that the supervisor has before the controller is born.
struct Begun {
    prepared: Prepared,
    children: SignalFd,
    /// The `/proc` in which our numbers are those that the outer process sees.
    proc: OwnedFd,
}

/// Sets up the ground. `None`: the outer process is gone.
fn begin(setting: &Setting<'_>, lifeline: &mut PipeReader) -> Result<Option<Begun>, Refusal> {
    let step = |name: &'static str| move |error: nix::Error| Refusal::new(name, &error.into());
    // Away from the terminal: its signals are for the outer process, which forwards them.
    setsid().map_err(step("setsid"))?;
    if setting.way == Way::Proxy {
        prctl::set_child_subreaper(true).map_err(step("subreaper"))?;
    } else {
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(step("parent-death signal"))?;
    }
    if !matches!(lifeline.read(&mut [0]), Ok(1)) {
        return Ok(None);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).map_err(step("signals"))?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let mut child = SigSet::empty();
    child.add(Signal::SIGCHLD);
    let children = SignalFd::with_flags(&child, flags).map_err(step("signals"))?;
    keep_from_programs();
    let proc = fs::File::open("/proc").map_err(|error| Refusal::new("/proc", &error))?;
    let prepared = prepare(setting.way, setting.nodes, setting.port_base, setting.identity)?;
    Ok(Some(Begun { prepared, children, proc: proc.into() }))
}

/// Marks every descriptor that we inherited from whoever started the outer process: a node must not hold
/// its terminal's or its pipe's other end.
pub(super) fn keep_from_programs() {
    let first = 3;
    // SAFETY: it touches descriptors' flags only, and none that a program of ours should inherit.
    let marked = unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_uint)
    };
    if marked != 0 {
        for fd in first..4096 {
            // SAFETY: as above; the kernel refuses numbers that are not open.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Brings forth the controller and supervises until the end.
fn run(
    setting: &Setting<'_>,
    begun: Begun,
    lifeline: &PipeReader,
    interrupts: PipeReader,
    body: impl FnOnce(Ground) -> i32,
    say: &mut impl FnMut(&Report),
) -> Result<(), Refusal> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| Refusal::new("a socket pair", &error))?;
    let parent = Pid::this();
    // SAFETY: we have a single thread.
    let controller = match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => child,
        Err(errno) => return Err(Refusal { step: "fork of the controller".into(), errno: errno as i32 }),
        Ok(ForkResult::Child) => {
            drop(ours);
            leave(|| control(setting, begun, parent, theirs, interrupts, body))
        }
    };
    drop((theirs, interrupts));
    // What the body owns is the controller's now; to drop it here could remove a file under its feet.
    std::mem::forget(body);
    let is_init = setting.way != Way::Proxy;
    let networks = setting.nodes.iter().cloned().zip(begun.prepared.into_networks(setting.nodes.len()));
    let journal = setting.journal.clone();
    let over = Supervisor::new(networks.collect(), journal, is_init, controller.as_raw(), ours)
        .and_then(|mut supervisor| supervisor.work(lifeline, &begun.children));
    let left = if is_init { vec![] } else { processes::end_descendants(&BTreeSet::new(), PATIENCE) };
    if let Ok(Over::Controller(status)) = over {
        let left = left.iter().map(|identity| identity.pid).collect();
        say(&Report::Ended { controller: status, left });
    }
    Ok(())
}

/// The controller's whole life. Returns its exit code.
fn control(
    setting: &Setting<'_>,
    begun: Begun,
    parent: Pid,
    socket: UnixStream,
    interrupts: PipeReader,
    body: impl FnOnce(Ground) -> i32,
) -> i32 {
    let own_group = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let tied = own_group.and_then(|()| prctl::set_pdeathsig(Signal::SIGKILL));
    if tied.is_err() || getppid() != parent {
        return BROKEN;
    }
    let ground = enter(&setting.journal, &begun.proc).and_then(|()| {
        let isolation = setting.isolation.clone();
        let token = setting.journal.token().to_owned();
        let interrupts = Interrupts::new(interrupts.into());
        begun.prepared.into_ground(setting.nodes, isolation, token, socket, interrupts)
    });
    drop((begun.children, begun.proc));
    Signals::release(&setting.mask);
    match ground {
        Ok(ground) => body(ground),
        Err(error) => {
            eprintln!("elenchus: the trial cannot begin: {error}");
            BROKEN
        }
    }
}

/// Enters the controller in the journal under the number that the outer process sees.
fn enter(journal: &Journal, proc: &OwnedFd) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}/self/stat", proc.as_raw_fd());
    let stat = fs::read_to_string(path)?;
    let own = Process::parse(&stat).ok_or_else(|| io::Error::other("/proc/self/stat is strange"))?;
    journal.enter(Role::Controller, own.identity)
}
