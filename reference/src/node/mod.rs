//! The node: one process that gives a replica real sockets, real files and real time.
//!
//! It only moves bytes. One task owns the replica and hands it one input at a time; what the replica wants
//! done is carried out in its order. A *turn* takes all inputs that are waiting, then lets everything leave at
//! once: trace lines first, then frames, one `write(2)` each for a peer or client. Files belong to a thread of
//! their own, because fsync blocks; while it waits, further turns gather, and share the next one.
//!
//! | module | its part |
//! |---|---|
//! | [`protocols`] | which replica it runs |
//! | [`driver`] | the task that owns the replica |
//! | [`disk`] | the data folder, the thread that writes and syncs |
//! | [`outbox`] | frames on their way to a socket |
//! | [`outbound`] | connections to peers, opened again whenever they break |
//! | [`inbound`] | connections of peers and clients |
//! | [`diary`] | lines on standard error |
//!
//! Deliberately absent: becoming a daemon, watching a parent, choosing ports. Whoever starts a node sees to
//! that. A node that cannot write or sync ends: what a failed fsync left on disk is unknown, and asking again
//! would be answered with a success that means nothing (Rebello et al., "Can Applications Recover from
//! fsync Failures?", ATC 2020).

pub mod diary;
pub mod disk;
pub mod driver;
pub mod inbound;
pub mod outbound;
pub mod outbox;
pub mod protocols;

use crate::protocol::{Peer, Replica};
use diary::Diary;
use disk::{Disk, DiskError, Folder};
use driver::{Driver, Sources};
use inbound::Reception;
use outbox::Outbox;
use protocols::Protocol;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// How many reads of sockets may wait for the replica before sockets are left unread.
const INBOX: usize = 1024;

/// What a node needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeOptions {
    /// Which of the nodes this is.
    pub me: Peer,
    /// Its name, for people.
    pub name: String,
    /// Where peers and clients reach it.
    pub listen: SocketAddr,
    /// How this node reaches each node, its own entry included (and not used). May be addresses of proxies.
    pub peers: Vec<SocketAddr>,
    /// Its data folder, made if it is not there. Two nodes cannot share one.
    pub data: PathBuf,
    /// Where its trace goes, line by line at the end of what is there; `None`: nowhere.
    pub trace: Option<PathBuf>,
    /// The seed of the replica's choices.
    pub seed: u64,
    /// The number that all nodes and clients of this cluster say when they call.
    pub cluster: u64,
    /// What it runs.
    pub protocol: Protocol,
}

/// Why a node ended.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The options contradict themselves.
    #[error("the node's options make no sense: {0}")]
    Options(String),
    /// Its files failed it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It cannot be reached where it should be.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Its trace cannot be written; without it the node's deeds could not be judged.
    #[error("cannot write the trace {path}: {source}")]
    Trace {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system denied a thread, a timer or the like.
    #[error("the system denies the node what it needs: {0}")]
    System(#[from] io::Error),
    /// The replica cannot go on.
    #[error("{0}")]
    Halted(String),
}

/// Runs the node of these options until it cannot go on, and says why on standard error.
pub fn run(options: &NodeOptions) -> Result<(), NodeError> {
    let (_never, stop) = oneshot::channel();
    run_until(options, stop)
}

/// Runs the node of these options until it cannot go on, or until `stop` is sent or dropped.
pub fn run_until(options: &NodeOptions, stop: oneshot::Receiver<()>) -> Result<(), NodeError> {
    let make = |peers| options.protocol.replica(options.me, peers, options.seed);
    run_replica(options, make, stop)
}

/// Runs a replica, made for so many nodes, as the node of these options until it cannot go on, or until `stop` is sent or dropped: then
/// it ends between two turns, as abruptly for its peers and clients as if it had been killed. Of the options'
/// protocol it takes no notice: this is for other replicas.
///
/// What it has to say goes to standard error, the final error included.
pub fn run_replica(
    options: &NodeOptions,
    replica: impl FnOnce(u16) -> Result<Box<dyn Replica>, NodeError>,
    stop: oneshot::Receiver<()>,
) -> Result<(), NodeError> {
    let diary = Diary::begin(&options.name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let ended = tokio::task::LocalSet::new().block_on(&runtime, serve(options, replica, stop, diary.clone()));
    if let Err(error) = &ended {
        diary.note(format_args!("ends: {error}"));
    }
    ended
}

async fn serve(
    options: &NodeOptions,
    replica: impl FnOnce(u16) -> Result<Box<dyn Replica>, NodeError>,
    stop: oneshot::Receiver<()>,
    diary: Diary,
) -> Result<(), NodeError> {
    let peers = check(options)?;
    let replica = replica(peers)?;
    let folder = Folder::open(&options.data)?;
    let files = folder.read()?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| NodeError::Listen { address: options.listen, source })?;
    diary.note(format_args!("starts as node {} of {peers} on {}", options.me.0, options.listen));

    let (reports, disk_reports) = mpsc::unbounded_channel();
    let disk = Disk::start(folder, reports)?;
    let (arrivals, inbox) = mpsc::channel(INBOX);
    let outboxes = connect_all(options, &diary);
    let mut driver = Driver::new(options, replica, disk, outboxes, diary.clone())?;
    driver.restart(files)?;
    let reception = Reception { cluster: options.cluster, me: options.me, peers, arrivals, diary };
    tokio::task::spawn_local(reception.open(listener));
    driver.run(Sources { inbox, disk: disk_reports, stop }).await
}

/// How many nodes there are, if the options agree on it.
fn check(options: &NodeOptions) -> Result<u16, NodeError> {
    let peers = u16::try_from(options.peers.len())
        .map_err(|_| NodeError::Options(format!("{} nodes are too many", options.peers.len())))?;
    if options.me.0 >= peers {
        return Err(NodeError::Options(format!("node {} is none of {peers}", options.me.0)));
    }
    Ok(peers)
}

/// Begins to keep a connection to each peer; each one's outbox, none for the node itself.
fn connect_all(options: &NodeOptions, diary: &Diary) -> Vec<Option<Rc<Outbox>>> {
    let outbox = |(to, &address): (usize, &SocketAddr)| {
        let to = Peer(to as u16);
        (to != options.me).then(|| {
            let outbox = Rc::new(Outbox::new(outbound::QUEUE_MAX));
            let hello = crate::hello::Hello::peer(options.cluster, options.me, to);
            let link = outbound::Link { to, address, hello, outbox: outbox.clone(), diary: diary.clone() };
            tokio::task::spawn_local(link.keep());
            outbox
        })
    };
    options.peers.iter().enumerate().map(outbox).collect()
}

#[cfg(test)]
mod tests;
