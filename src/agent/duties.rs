//! What an agent does on its host when it is asked, and how it takes all of it back.
//!
//! The nodes are run and broken by the very code that does so for local trials ([`LocalMachines`]); what is
//! different on a host is the packet filter, which is not ours alone, and the clock, which may be the host's.

use super::clock::{self, HostClock};
use super::folder::Folder;
use super::programs;
use super::protocol::{Answer, Peer, Request};
use super::serve::Options;
use super::systemd;
use super::undo::{self, Faults, Hands, Undo, UndoError, Undone, undo_all};
use super::units::Units;
use super::wall::{self, FilterRequest, Wall};
use crate::host::handle::SupervisorLine;
use crate::host::journal::{Journal, VARIABLE};
use crate::host::links::{Links, Medium, Road};
use crate::host::{Exits, Packets, Spawn, disk, packets};
use crate::live::{DataFolder, LocalMachines, Machines};
use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::{FaultId, Link, Manner};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long each step of taking everything back may last.
const UNDO_LIMIT: Duration = Duration::from_secs(8);

/// An agent's hands.
pub(super) struct Duties {
    folder: Folder,
    nodes: Vec<NodeId>,
    filter: FilterRequest,
    journal: Arc<Journal>,
    faults: Rc<RefCell<Faults>>,
    /// Nodes that are units of systemd.
    units: Units,
    clock: Option<HostClock>,
    /// Until the peers are known.
    line: RefCell<Option<SupervisorLine>>,
    trial: RefCell<Option<Rc<Trial>>>,
    /// Where controllers come from: never cut off.
    controllers: RefCell<BTreeSet<IpAddr>>,
    in_force: RefCell<BTreeSet<InForce>>,
}

/// The nodes here, once all are known.
struct Trial {
    peers: Vec<Peer>,
    machines: LocalMachines,
}

/// A fault that lasts until it is taken back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum InForce {
    Cut(FaultId),
    Pause(NodeId),
    Skew(NodeId),
    Trouble(NodeId),
    Ailment(NodeId),
    Limit(NodeId),
}

impl Duties {
    /// An agent that has done nothing yet.
    pub fn new(
        folder: Folder,
        options: &Options,
        journal: Arc<Journal>,
        faults: Faults,
        clock: Option<HostClock>,
        line: SupervisorLine,
    ) -> Duties {
        let faults = Rc::new(RefCell::new(faults));
        Duties {
            folder,
            nodes: options.nodes.clone(),
            filter: options.filter,
            units: Units::new(journal.token(), faults.clone()),
            journal,
            faults,
            clock,
            line: RefCell::new(Some(line)),
            trial: RefCell::default(),
            controllers: RefCell::default(),
            in_force: RefCell::default(),
        }
    }

    /// Whose connection must never be cut.
    pub fn spare(&self, controller: IpAddr) {
        self.controllers.borrow_mut().insert(controller);
    }

    /// The host's clock, if it is ours to set.
    pub fn clock(&self) -> Option<&HostClock> {
        self.clock.as_ref()
    }

    fn trial(&self) -> Result<Rc<Trial>, String> {
        self.trial.borrow().clone().ok_or_else(|| "the agent does not know the trial's nodes yet".into())
    }

    /// Learns of all nodes. Returns the exits of those here, the first time.
    pub fn meet(&self, peers: &[Peer]) -> Result<Option<Exits>, String> {
        if let Some(trial) = &*self.trial.borrow() {
            let is_same = trial.peers == peers;
            return if is_same { Ok(None) } else { Err("the trial has other nodes than before".into()) };
        }
        if let Some(stranger) = self.nodes.iter().find(|node| peers.iter().all(|p| p.node != **node)) {
            return Err(format!("this agent runs {stranger}, which is no node of the trial"));
        }
        let name = format!("elenchus-{}", &self.journal.token()[..8]);
        let here = |peer: &Peer| self.nodes.contains(&peer.node);
        let medium: Box<dyn Medium> =
            match Wall::build(&name, self.filter, peers, here, &mut self.faults.borrow_mut()) {
                Ok(wall) => Box::new(wall),
                // Whoever never cuts needs no right to.
                Err(why) => Box::new(NoWall(why)),
            };
        let names: Vec<NodeId> = peers.iter().map(|peer| peer.node.clone()).collect();
        let line = self.line.borrow_mut().take().ok_or("the supervisor could not be reached before")?;
        let packets = self.packets(&name, peers)?;
        let token = self.journal.token().into();
        let machines = LocalMachines::new(line, Links::new(&names, medium), packets, token)?;
        let exits = machines.exits().map(|exits| self.units.beside(exits));
        *self.trial.borrow_mut() = Some(Rc::new(Trial { peers: peers.to_vec(), machines }));
        Ok(exits)
    }

    /// The packets to our nodes; only IPv4 can be disturbed. Their rules lie in tables of the same name as the
    /// cuts; where the kernel has no queue they are led through a device named after those.
    fn packets(&self, name: &str, peers: &[Peer]) -> Result<Packets, String> {
        // Nothing is noted that could neither be made nor undone.
        if wall::permitted().is_ok() {
            let device = Undo::Device { name: packets::device(name).into() };
            for undo in [device, Undo::Tables { name: name.into() }] {
                let noted = self.faults.borrow_mut().begin(undo);
                noted.map_err(|error| format!("the list of faults: {error}"))?;
            }
        }
        let v4 = |address: &IpAddr| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        };
        let places = peers.iter().flat_map(|peer| {
            peer.addresses.iter().filter_map(v4).map(|address| (peer.node.clone(), address))
        });
        Packets::here(name, queue(self.journal.token()), places).map_err(|error| format!("packets: {error}"))
    }

    /// Does what is asked.
    pub async fn carry_out(&self, request: Request) -> Result<Answer, String> {
        match request {
            Request::Run(step) => {
                let token = (VARIABLE, self.journal.token());
                return programs::run_step(&step, token).await.map(Answer::Ran);
            }
            Request::Write { path, text, mode, owner } => {
                return write(&path, &text, mode, owner.as_deref()).map(|()| Answer::Done {});
            }
            Request::Folder { path, owner } => {
                return folder(&path, owner.as_deref()).map(|()| Answer::Done {});
            }
            Request::Space { path } => return space(&path).map(Answer::Space),
            _ => {}
        }
        let trial = self.trial()?;
        self.rule(&trial, request).await
    }

    /// Does what concerns nodes.
    async fn rule(&self, trial: &Trial, request: Request) -> Result<Answer, String> {
        let machines = &trial.machines;
        let bearer = |node| self.bearer(machines, node);
        match request {
            Request::Start { node, spawn } => {
                let spawn = self.housed(self.own(&node)?, spawn);
                bearer(&node).start(&node, &spawn).await.map_err(text).map(done)
            }
            Request::Kill { node } => {
                bearer(self.own(&node)?).kill(&node).await.map_err(text)?;
                self.ended(&InForce::Pause(node));
                Ok(Answer::Done {})
            }
            Request::Pause { node } => {
                self.begun(InForce::Pause(self.own(&node)?.clone()));
                bearer(&node).pause(&node).await.map_err(text).map(done)
            }
            Request::Resume { node } => {
                bearer(self.own(&node)?).resume(&node).await.map_err(text)?;
                self.ended(&InForce::Pause(node));
                Ok(Answer::Done {})
            }
            Request::Cut { id, links, manner } => {
                self.may_touch(&trial.peers, &links)?;
                self.begun(InForce::Cut(id));
                let cut = match manner {
                    Manner::Drop => machines.cut(id, &links),
                    Manner::Reset => machines.reset(id, &links),
                };
                cut.await.map_err(text).map(done)
            }
            Request::Mend { id } => {
                let held_back = machines.mend(id).await.map_err(text)?;
                self.ended(&InForce::Cut(id));
                Ok(count(held_back))
            }
            Request::Skew { node, skew, now_ns } => {
                let what = InForce::Skew(self.own(&node)?.clone());
                self.changing(what, skew.is_some(), async {
                    match &self.clock {
                        Some(clock) => clock.skew(skew, now_ns, &self.faults).await.map(Some),
                        None => bearer(&node).skew(&node, skew).await.map_err(text),
                    }
                })
                .await
                .map(Answer::Ahead)
            }
            Request::Clock { node } => match &self.clock {
                Some(clock) => clock.ahead().map(Some).map(Answer::Ahead),
                None => bearer(self.own(&node)?).clock(&node).await.map_err(text).map(Answer::Ahead),
            },
            Request::Disturb { node, trouble } => {
                let what = InForce::Trouble(self.own(&node)?.clone());
                if trouble.is_some() {
                    self.may_touch(&trial.peers, &links_to(&node, &trial.peers))?;
                }
                let act = async { machines.disturb(&node, trouble).await.map_err(text) };
                self.changing(what, trouble.is_some(), act).await.map(count)
            }
            Request::PowerOff { node, loss } => {
                let lost = bearer(self.own(&node)?).power_off(&node, loss).await.map_err(text)?;
                self.ended(&InForce::Pause(node));
                Ok(Answer::Lost { bytes: lost.bytes, files: lost.files })
            }
            Request::Ail { node, ailment } => {
                let what = InForce::Ailment(self.own(&node)?.clone());
                let act = async { bearer(&node).ail(&node, ailment).await.map_err(text) };
                self.changing(what, ailment.is_some(), act).await.map(count)
            }
            Request::Store { node, data } => {
                self.store(machines, self.own(&node)?, data).map(|()| Answer::Done {})
            }
            Request::Adopt { node, unit } => {
                self.units.adopt(self.own(&node)?, &unit).await.map(|ran| Answer::Adopted { ran })
            }
            Request::Journal { node } => {
                let log = self.output(self.own(&node)?);
                self.units.keep_journal(&node, &log).await.map(|()| Answer::Done {})
            }
            Request::Settle {} => machines.settle().await.map_err(text).map(done),
            Request::Damage { node, harm } => {
                bearer(self.own(&node)?).damage(&node, harm).await.map_err(text).map(Answer::Harmed)
            }
            Request::Restrict { node, limit } => {
                let what = InForce::Limit(self.own(&node)?.clone());
                let act = async { bearer(&node).restrict(&node, limit).await.map_err(text) };
                self.changing(what, limit.is_some(), act).await.map(count)
            }
            other => Err(format!("{other:?} is nothing to be done to nodes")),
        }
    }

    fn own<'a>(&self, node: &'a NodeId) -> Result<&'a NodeId, String> {
        if self.nodes.contains(node) { Ok(node) } else { Err(format!("{node} does not run on this host")) }
    }

    /// Who starts and breaks the node.
    fn bearer<'a>(&'a self, machines: &'a LocalMachines, node: &NodeId) -> &'a dyn Machines {
        if self.units.has(node) { &self.units } else { machines }
    }

    /// Makes the node's data folder one that faults can strike. A mount is noted before it is made.
    fn store(&self, machines: &LocalMachines, node: &NodeId, data: DataFolder) -> Result<(), String> {
        if machines.disks().has(node) {
            return Ok(());
        }
        if self.units.has(node) {
            return Err(format!("{node} is a unit of systemd, whose data is not known here"));
        }
        fs::create_dir_all(&data.path).map_err(at(&data.path))?;
        let path = data.path.canonicalize().map_err(at(&data.path))?;
        let data = DataFolder { path, ..data };
        let mut faults = self.faults.borrow_mut();
        let listed = |error: io::Error| format!("the list of faults: {error}");
        let entry = match data.ails {
            true => {
                let mounts = undo::mounts().map_err(|error| format!("our mount namespace: {error}"))?;
                Some(faults.begin(Undo::Mount { point: data.path.clone(), mounts }).map_err(listed)?)
            }
            false => None,
        };
        let added = machines.disks().add(node, &data);
        if let (Err(_), Some(entry)) = (&added, entry) {
            faults.end(entry).map_err(listed)?;
        }
        added
    }

    /// The same process, with its output in our folder: paths of the controller mean nothing here.
    fn housed(&self, node: &NodeId, spawn: Spawn) -> Spawn {
        let log = self.output(node);
        Spawn { stdout: log.clone(), stderr: log, ..spawn }
    }

    /// Where what the node says is kept.
    fn output(&self, node: &NodeId) -> PathBuf {
        self.folder.path().join("logs").join(node.as_str()).join("output.log")
    }

    /// Whether what comes by these links may be touched at all.
    fn may_touch(&self, peers: &[Peer], links: &[Link]) -> Result<(), String> {
        let addresses: BTreeMap<&NodeId, &[IpAddr]> =
            peers.iter().map(|peer| (&peer.node, &peer.addresses[..])).collect();
        for Link { from, to } in links {
            self.own(to)?;
            let sources = *addresses.get(from).ok_or_else(|| format!("the trial has no node {from}"))?;
            let own = addresses.get(to).copied().unwrap_or_default();
            for source in sources {
                let why = if self.controllers.borrow().contains(source) {
                    "the controller's own connection comes from there"
                } else if source.is_loopback() || own.contains(source) {
                    "that is this host itself"
                } else {
                    continue;
                };
                return Err(format!("what {from} sends to {to} from {source} cannot be touched: {why}"));
            }
            if sources.is_empty() {
                return Err(format!("nothing is known of where {from}'s packets come from"));
            }
        }
        Ok(())
    }

    // ---- what is in force -----------------------------------------------------------------------------

    fn begun(&self, what: InForce) {
        self.in_force.borrow_mut().insert(what);
    }

    fn ended(&self, what: &InForce) {
        self.in_force.borrow_mut().remove(what);
    }

    /// Notes what comes into force before it does, and what has gone after it went.
    async fn changing<T>(
        &self,
        what: InForce,
        comes: bool,
        act: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let is_new = comes && self.in_force.borrow_mut().insert(what.clone());
        let result = act.await;
        match &result {
            Ok(_) if !comes => self.ended(&what),
            // What this host cannot do at all was not half done either.
            Err(why) if is_new && self.cannot(&what, why).await => self.ended(&what),
            _ => {}
        }
        result
    }

    /// Takes back what began badly. Whether nothing of it can be left: it is undone, or was refused and cannot
    /// be undone for the very same reason.
    async fn cannot(&self, what: &InForce, why: &str) -> bool {
        match self.trial() {
            Ok(trial) => self.take_back(&trial.machines, what).await.map_or_else(|e| e == why, |()| true),
            Err(_) => true,
        }
    }

    /// Takes everything back and kills the nodes. Returns what was done, in words.
    pub async fn end(&self) -> Vec<String> {
        let mut said = vec![];
        let trial = self.trial.borrow().clone();
        if let Some(trial) = trial {
            let in_force: Vec<InForce> = self.in_force.borrow().iter().cloned().collect();
            for what in in_force {
                let undone = tokio::time::timeout(UNDO_LIMIT, self.take_back(&trial.machines, &what)).await;
                said.push(match undone {
                    Ok(Ok(())) => format!("undone: {what:?}"),
                    Ok(Err(why)) => format!("not undone: {what:?}: {why}"),
                    Err(_) => format!("not undone within {UNDO_LIMIT:?}: {what:?}"),
                });
            }
            // Units are given back as they were, below.
            for node in self.nodes.iter().filter(|node| !self.units.has(node)) {
                let killed = tokio::time::timeout(UNDO_LIMIT, trial.machines.kill(node)).await;
                said.push(match killed {
                    Ok(Ok(())) => format!("ended: {node}"),
                    Ok(Err(why)) => format!("{node}: {}", why.0),
                    Err(_) => format!("{node} was not gone within {UNDO_LIMIT:?}"),
                });
            }
        }
        said.extend(heal(&self.folder));
        said
    }

    async fn take_back(&self, machines: &LocalMachines, what: &InForce) -> Result<(), String> {
        match what {
            InForce::Cut(id) => machines.mend(*id).await.map(drop),
            InForce::Pause(node) => self.bearer(machines, node).resume(node).await,
            InForce::Skew(node) => match &self.clock {
                Some(clock) => return clock.skew(None, 0, &self.faults).await.map(drop),
                None => self.bearer(machines, node).skew(node, None).await.map(drop),
            },
            InForce::Trouble(node) => machines.disturb(node, None).await.map(drop),
            InForce::Ailment(node) => self.bearer(machines, node).ail(node, None).await.map(drop),
            InForce::Limit(node) => self.bearer(machines, node).restrict(node, None).await.map(drop),
        }
        .map_err(text)
    }
}

/// The number of our packet queue: others on the host are likely to use small ones.
fn queue(token: &str) -> u16 {
    u16::from_str_radix(&token[..4], 16).unwrap_or_default() | 0x8000
}

/// All links that end at this node.
fn links_to(node: &NodeId, peers: &[Peer]) -> Vec<Link> {
    let others = peers.iter().map(|peer| &peer.node).filter(|other| *other != node);
    others.map(|other| Link { from: other.clone(), to: node.clone() }).collect()
}

fn text(cause: Cause) -> String {
    cause.0.into_owned()
}

fn done((): ()) -> Answer {
    Answer::Done {}
}

fn count(held_back: HeldBack) -> Answer {
    Answer::HeldBack(held_back.count)
}

// ---- healing ------------------------------------------------------------------------------------------

/// This machine's hands.
struct OurHands;

impl Hands for OurHands {
    fn undo(&mut self, undo: &Undo) -> Result<(), String> {
        match undo {
            Undo::Tables { name } => wall::remove_tables(name),
            Undo::Chains { name } => wall::remove_chains(name),
            Undo::Device { name } => {
                packets::remove_device(name).map_err(|error| format!("interface {name}: {error}"))
            }
            Undo::Mount { point, mounts } => unmount(point, mounts),
            Undo::Unit { unit, drop_in, ran } => systemd::restore(unit, drop_in, *ran),
            Undo::Lies { unit } => systemd::slay(unit),
            Undo::Clock { epoch_ns, services } => {
                clock::undo(&clock::ThisMachine, &clock::Systemd, *epoch_ns, services)
            }
        }
    }
}

/// Unmounts a disk of ours, unless it was mounted where we cannot see it.
fn unmount(point: &Path, there: &str) -> Result<(), String> {
    let here = undo::mounts().map_err(|error| format!("our mount namespace: {error}"))?;
    if here != there {
        return Err(format!(
            "{} was mounted in the mount namespace {there}, and this process is in {here}: heal from there",
            point.display()
        ));
    }
    disk::unmount(point).map_err(at(point))
}

/// Undoes what the folder's list of faults still holds. Returns what was done, in words.
pub(super) fn heal(folder: &Folder) -> Vec<String> {
    match try_heal(folder) {
        Ok(undone) => undone
            .into_iter()
            .map(|(undo, result)| match result {
                Ok(()) => format!("undone: {undo:?}"),
                Err(why) => format!("not undone: {undo:?}: {why}"),
            })
            .collect(),
        Err(error) => vec![format!("not undone: {error}")],
    }
}

/// The same, for whoever wants to know what failed.
pub(super) fn try_heal(folder: &Folder) -> Result<Undone, UndoError> {
    undo_all(&folder.faults(), &mut OurHands)
}

/// No links can be cut here, for this reason.
struct NoWall(String);

impl Medium for NoWall {
    fn cut(&mut self, roads: &[Road]) -> io::Result<()> {
        if roads.is_empty() { Ok(()) } else { Err(io::Error::other(self.0.clone())) }
    }

    fn reset(&mut self, roads: &[Road]) -> io::Result<()> {
        self.cut(roads)
    }

    fn mend(&mut self, _roads: &[Road]) -> io::Result<()> {
        Ok(())
    }

    fn held_back(&mut self, roads: &[Road]) -> io::Result<Vec<u64>> {
        Ok(vec![0; roads.len()])
    }
}

// ---- files --------------------------------------------------------------------------------------------

fn at(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn write(path: &Path, text: &str, mode: u32, owner: Option<&str>) -> Result<(), String> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let written = fill(&new, text, mode, owner).and_then(|()| fs::rename(&new, path).map_err(at(path)));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn fill(path: &Path, text: &str, mode: u32, owner: Option<&str>) -> Result<(), String> {
    let mut options = fs::OpenOptions::new();
    // Nobody else reads it before it is whose it shall be.
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(at(path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at(path))?;
    give(path, owner)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at(path))
}

fn folder(path: &Path, owner: Option<&str>) -> Result<(), String> {
    fs::create_dir_all(path).map_err(at(path))?;
    give(path, owner)
}

fn give(path: &Path, owner: Option<&str>) -> Result<(), String> {
    let Some(owner) = owner else { return Ok(()) };
    let user = nix::unistd::User::from_name(owner).map_err(|errno| format!("user {owner}: {errno}"))?;
    let user = user.ok_or_else(|| format!("this host has no user {owner}"))?;
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(at(path))
}

fn space(path: &Path) -> Result<u64, String> {
    let of = nix::sys::statvfs::statvfs(path).map_err(|errno| at(path)(errno.into()))?;
    Ok(of.blocks_available().saturating_mul(of.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_or_its_path_is_told() {
        let folder = std::env::temp_dir().join(format!("elenchus-duties-{}", std::process::id()));
        super::folder(&folder.join("a/b"), None).unwrap();
        let path = folder.join("a/b/conf");
        write(&path, "x = 1", 0o640, None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "x = 1");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let why = write(&folder.join("none/conf"), "", 0o600, None).unwrap_err();
        assert!(why.contains("none/conf"), "{why}");
        let why = write(&path, "x = 2", 0o600, Some("no-such-user-here")).unwrap_err();
        assert!(why.contains("no-such-user-here"), "{why}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "x = 1", "the old file stays");
        assert!(space(&folder).unwrap() > 0);
        assert!(space(&folder.join("none")).unwrap_err().contains("none"));
        fs::remove_dir_all(folder).unwrap();
    }
}
