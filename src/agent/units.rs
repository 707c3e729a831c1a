//! Nodes that are units of systemd: started by it, broken by us, left as they were found.
//!
//! A unit is no child of ours, so nobody tells us of its end: its main process is looked at twenty times a second. The
//! trial has a unit from its adoption on, under a drop-in ([`systemd`]) that is noted in the list of faults; undoing
//! that is all that it takes to give it back.

use super::programs::run_step;
use super::protocol::Step;
use super::systemd::{self, Seen};
use super::undo::{Faults, Undo};
use crate::host::journal::VARIABLE;
use crate::host::processes::Identity;
use crate::host::protocol::Status;
use crate::host::vdso::Clocks;
use crate::host::{Exit, Exits, Spawn};
use crate::live::Machines;
use elenchus_core::LocalFuture;
use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::{FaultId, Link, Skew};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use nix::sys::signal::Signal;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// How long starting, killing or pausing may take.
const LIMIT: Duration = Duration::from_secs(8);
/// How long a unit that ran before may take to end when it is adopted, and its journal to be read.
const LONG: Duration = Duration::from_secs(40);
/// How often a main process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The units of the nodes here. Clones are the same.
#[derive(Clone)]
pub(super) struct Units {
    /// What marks what we start as ours.
    token: String,
    faults: Rc<RefCell<Faults>>,
    nodes: Rc<RefCell<BTreeMap<NodeId, Rc<Unit>>>>,
    clocks: Rc<Clocks>,
    told: Rc<RefCell<Option<mpsc::WeakUnboundedSender<Exit>>>>,
}

/// A node's unit.
struct Unit {
    name: String,
    /// The end of the journal when the trial took it; empty: the journal was.
    cursor: String,
    /// Its run that we know of, the last one.
    run: RefCell<Option<Rc<Run>>>,
    /// The entry in the list of faults that says that its processes are told lies.
    lies: Cell<Option<u64>>,
}

/// One run of a unit, from a start to its main process's end.
struct Run {
    leader: Cell<Identity>,
    invocation: RefCell<String>,
    is_killed: Cell<bool>,
}

impl Units {
    /// None yet. `token` is the trial's.
    pub fn new(token: &str, faults: Rc<RefCell<Faults>>) -> Units {
        Units {
            token: token.into(),
            faults,
            nodes: Rc::default(),
            clocks: Rc::default(),
            told: Rc::default(),
        }
    }

    /// Whether the node is a unit.
    pub fn has(&self, node: &NodeId) -> bool {
        self.nodes.borrow().contains_key(node)
    }

    fn unit(&self, node: &NodeId) -> Result<Rc<Unit>, String> {
        self.nodes.borrow().get(node).cloned().ok_or_else(|| format!("{node} is no unit"))
    }

    /// The exits of these units beside those of others; both end when the others do.
    pub fn beside(&self, exits: Exits) -> Exits {
        let (told, all) = mpsc::unbounded_channel();
        *self.told.borrow_mut() = Some(told.downgrade());
        let mut exits = exits;
        tokio::task::spawn_local(async move {
            while let Some(exit) = exits.recv().await {
                if told.send(exit).is_err() {
                    return;
                }
            }
        });
        all
    }

    /// Makes the unit the node's, for the trial: its file's own restarts are off, and it does not run. Returns whether it
    /// ran.
    pub async fn adopt(&self, node: &NodeId, name: &str) -> Result<bool, String> {
        if self.has(node) {
            return Err(format!("{node} is a unit already"));
        }
        systemd::probe()?;
        let name = systemd::full_name(name)?;
        let seen = self.see(&name).await?;
        if seen.load != "loaded" {
            return Err(format!("systemd has no unit {name} that could be started: it is {}", seen.load));
        }
        if !seen.triggers.is_empty() {
            let why = format!("{} would start {name} again after a kill: stop that first", seen.triggers);
            return Err(why);
        }
        let (ran, path) = (!seen.is_down(), systemd::drop_in(&name, &self.token)?);
        let noted = Undo::Unit { unit: name.clone(), drop_in: path.clone(), ran };
        self.faults.borrow_mut().begin(noted).map_err(listed)?;
        systemd::write(&path)?;
        self.systemctl(&["daemon-reload"], LONG).await?;
        let restart = self.see(&name).await?.restart;
        if restart != "no" {
            return Err(format!(
                "{name} restarts by itself (Restart={restart}) whatever {} says",
                path.display()
            ));
        }
        self.systemctl(&["stop", "--", &name], LONG).await?;
        let cursor = self.cursor().await?;
        let unit = Unit { name, cursor, run: RefCell::default(), lies: Cell::default() };
        self.nodes.borrow_mut().insert(node.clone(), Rc::new(unit));
        Ok(ran)
    }

    /// Appends what the unit has said since its adoption to this file.
    pub async fn keep_journal(&self, node: &NodeId, to: &Path) -> Result<(), String> {
        let unit = self.unit(node)?;
        let to = to.to_string_lossy().into_owned();
        let after = format!("--after-cursor={}", unit.cursor);
        let script = "mkdir -p -- \"$(dirname -- \"$0\")\" && exec journalctl \"$@\" >> \"$0\"";
        let mut argv = vec!["sh", "-c", script, &to, "--no-pager", "-q", "-o", "short-iso-precise"];
        argv.extend((!unit.cursor.is_empty()).then_some(after.as_str()));
        argv.extend(["-u", &unit.name]);
        self.run(&argv, LONG).await.map(drop)
    }

    /// The end of the journal as it is now.
    async fn cursor(&self) -> Result<String, String> {
        let said = self.run(&["journalctl", "--no-pager", "-n", "1", "--show-cursor"], LIMIT).await?;
        let mut cursors = said.lines().filter_map(|line| line.strip_prefix("-- cursor: "));
        Ok(cursors.next_back().unwrap_or_default().trim().to_owned())
    }

    // ---- systemctl ------------------------------------------------------------------------------------

    async fn see(&self, unit: &str) -> Result<Seen, String> {
        self.systemctl(&Seen::question(unit), LIMIT).await.map(|text| Seen::parse(&text))
    }

    async fn systemctl(&self, arguments: &[&str], limit: Duration) -> Result<String, String> {
        self.run(&[&["systemctl"], arguments].concat(), limit).await
    }

    async fn run(&self, argv: &[&str], limit: Duration) -> Result<String, String> {
        let step = Step {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: vec![],
            cwd: "/".into(),
            limit_ms: limit.as_millis() as u64,
        };
        let ran = run_step(&step, (VARIABLE, &self.token)).await?;
        match ran.code {
            Some(0) => Ok(ran.stdout),
            code => {
                let code = code.map_or("a signal".to_owned(), |code| format!("code {code}"));
                Err(format!("`{}` ended with {code}: {}", argv.join(" "), ran.stderr.trim()))
            }
        }
    }

    // ---- what is done to a unit -----------------------------------------------------------------------

    async fn start_it(&self, node: &NodeId) -> Result<(), String> {
        let unit = self.unit(node)?;
        if unit.run.borrow().as_ref().is_some_and(|run| run.leader.get().is_alive()) {
            return Ok(());
        }
        // It knows nothing of a failure when there was none.
        let _ = self.systemctl(&["reset-failed", "--", &unit.name], LIMIT).await;
        let before = self.see(&unit.name).await?.invocation;
        self.systemctl(&["start", "--no-block", "--", &unit.name], LIMIT).await?;
        let deadline = Instant::now() + LIMIT;
        loop {
            let seen = self.see(&unit.name).await?;
            if let Some(leader) = seen.leader() {
                let run = Run {
                    leader: Cell::new(leader),
                    invocation: RefCell::new(seen.invocation),
                    is_killed: Cell::default(),
                };
                let run = Rc::new(run);
                *unit.run.borrow_mut() = Some(run.clone());
                tokio::task::spawn_local(self.clone().watch(node.clone(), unit, run));
                return Ok(());
            }
            let has_ended = seen.is_down() && !seen.invocation.is_empty() && seen.invocation != before;
            if seen.active == "failed" || has_ended {
                return Err(format!("{} ended at once: it {}", unit.name, status(&seen)));
            }
            if Instant::now() > deadline {
                return Err(format!("{} is {} and has no main process", unit.name, seen.active));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn kill_it(&self, node: &NodeId) -> Result<(), String> {
        let unit = self.unit(node)?;
        if let Some(run) = unit.run.borrow().as_ref() {
            run.is_killed.set(run.is_killed.get() || run.leader.get().is_alive());
        }
        let deadline = Instant::now() + LIMIT;
        loop {
            let seen = self.see(&unit.name).await?;
            let left = seen.processes();
            // Those of a program that systemd runs after the end die as well.
            systemd::signal(&left, Signal::SIGKILL);
            if left.is_empty() && seen.is_down() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{} is {} and has {} processes", unit.name, seen.active, left.len()));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn pause_it(&self, node: &NodeId) -> Result<(), String> {
        let unit = self.unit(node)?;
        let deadline = Instant::now() + LIMIT;
        let seen = self.see(&unit.name).await?;
        loop {
            // Whoever is born meanwhile is found the next time.
            let all = seen.processes();
            if all.is_empty() {
                return Err(format!("{node} does not run"));
            }
            let moving: Vec<Identity> =
                all.into_iter().filter(|process| !systemd::stands(*process)).collect();
            if moving.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{} processes of {} do not stand still", moving.len(), unit.name));
            }
            systemd::signal(&moving, Signal::SIGSTOP);
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn resume_it(&self, node: &NodeId) -> Result<(), String> {
        let seen = self.see(&self.unit(node)?.name).await?;
        systemd::signal(&seen.processes(), Signal::SIGCONT);
        Ok(())
    }

    /// As [`Machines::skew`]. Lies are noted before they are told: whoever heals must end who was told them, for nobody
    /// else can take them back.
    async fn skew_it(&self, node: &NodeId, skew: Option<Skew>) -> Result<Option<i64>, String> {
        let (unit, leader) = (self.unit(node)?, self.leader(node)?);
        if skew.is_some() && unit.lies.get().is_none() {
            let noted = self.faults.borrow_mut().begin(Undo::Lies { unit: unit.name.clone() });
            unit.lies.set(Some(noted.map_err(listed)?));
        }
        let ahead = self.clocks.skew(node, leader, skew).await.map_err(|error| error.to_string())?;
        if skew.is_none()
            && let Some(entry) = unit.lies.take()
        {
            self.faults.borrow_mut().end(entry).map_err(listed)?;
        }
        Ok(ahead)
    }

    /// The main process that the node's unit had last.
    fn leader(&self, node: &NodeId) -> Result<Identity, String> {
        let unit = self.unit(node)?;
        let leader = unit.run.borrow().as_ref().map(|run| run.leader.get());
        leader.ok_or_else(|| format!("{node} does not run"))
    }

    // ---- how a unit ends ------------------------------------------------------------------------------

    /// Tells when the run ends. A main process that gives way to another in the same run does not end it.
    async fn watch(self, node: NodeId, unit: Rc<Unit>, run: Rc<Run>) {
        loop {
            let leader = run.leader.get();
            while leader.is_alive() {
                sleep(LOOK_EVERY).await;
            }
            if run.is_killed.get() {
                return self.tell(&node, leader, Status::Killed(Signal::SIGKILL as i32), true);
            }
            let seen = self.see_end(&unit.name, leader).await;
            let next = seen.as_ref().ok().and_then(Seen::leader);
            let is_same = seen.as_ref().is_ok_and(|seen| seen.invocation == *run.invocation.borrow());
            if next.is_none() || !is_same {
                let status = seen.as_ref().map_or(Status::Exited(-1), status);
                self.tell(&node, leader, status, run.is_killed.get());
            }
            // Somebody else has started it again: that was an end all the same.
            let (Some(next), Ok(seen)) = (next, seen) else { return };
            run.leader.set(next);
            *run.invocation.borrow_mut() = seen.invocation;
        }
    }

    /// What systemd says once it has noticed that its main process is gone.
    async fn see_end(&self, unit: &str, leader: Identity) -> Result<Seen, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let seen = self.see(unit).await?;
            if seen.main != leader.pid || Instant::now() > deadline {
                return Ok(seen);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn tell(&self, node: &NodeId, leader: Identity, status: Status, expected: bool) {
        let told = self.told.borrow().as_ref().and_then(mpsc::WeakUnboundedSender::upgrade);
        if let Some(told) = told {
            // Nobody listens only when all is over.
            let _ = told.send(Exit { node: node.clone(), pid: leader.pid, status, expected });
        }
    }
}

/// How the unit's main process ended.
fn status(seen: &Seen) -> Status {
    match seen.code {
        2 | 3 => Status::Killed(seen.status),
        _ => Status::Exited(seen.status),
    }
}

fn listed(error: io::Error) -> String {
    format!("the list of faults: {error}")
}

impl Machines for Units {
    fn start<'a>(&'a self, node: &'a NodeId, _spawn: &'a Spawn) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { Ok(self.start_it(node).await?) })
    }

    fn kill<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { Ok(self.kill_it(node).await?) })
    }

    fn pause<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { Ok(self.pause_it(node).await?) })
    }

    fn resume<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { Ok(self.resume_it(node).await?) })
    }

    fn cut<'a>(&'a self, _id: FaultId, _links: &'a [Link]) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async { Err("links are the host's, and no unit's".into()) })
    }

    fn mend<'a>(&'a self, _id: FaultId) -> LocalFuture<'a, Result<HeldBack, Cause>> {
        Box::pin(async { Err("links are the host's, and no unit's".into()) })
    }

    fn exits(&self) -> Option<Exits> {
        None
    }

    fn skew<'a>(
        &'a self,
        node: &'a NodeId,
        skew: Option<Skew>,
    ) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move { Ok(self.skew_it(node, skew).await?) })
    }

    fn clock<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<Option<i64>, Cause>> {
        Box::pin(async move {
            let leader = self.leader(node)?;
            self.clocks.clock(node, leader).await.map_err(|error| error.to_string().into())
        })
    }
}
