//! What a nemesis asks the nodes of a bundled cluster, and tells them. No quorum is needed for it.

use super::line::Line;
use elenchus_core::fault::Skew;
use elenchus_core::process::NodeId;
use elenchus_reference::protocol::Status;
use elenchus_reference::wire::{Answer, ToClient, ToNode};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// How long a node may take to answer. One that stands still does not.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A million nanoseconds.
const NANOS_PER_MS: i64 = 1_000_000;

/// See the module. Keeps a connection to each node and opens it again when it is lost.
#[derive(Debug)]
pub struct Admin {
    cluster: u64,
    nodes: Vec<Desk>,
    requests: Cell<u64>,
}

#[derive(Debug)]
struct Desk {
    node: NodeId,
    address: SocketAddr,
    /// A connection that nobody uses at the moment.
    idle: RefCell<Option<Line>>,
}

impl Admin {
    /// For these nodes of this cluster.
    pub fn new(cluster: u64, nodes: Vec<(NodeId, SocketAddr)>) -> Admin {
        let desk = |(node, address)| Desk { node, address, idle: RefCell::new(None) };
        Admin { cluster, nodes: nodes.into_iter().map(desk).collect(), requests: Cell::new(0) }
    }

    /// Where the node stands.
    pub async fn status(&self, node: &NodeId) -> io::Result<Status> {
        Ok(self.ask(node, |id| ToNode::Status { id }).await?.0)
    }

    /// How far ahead of the true time the node reads its clock, in nanoseconds.
    pub async fn clock(&self, node: &NodeId) -> io::Result<i64> {
        Ok(self.ask(node, |id| ToNode::Status { id }).await?.1)
    }

    /// Makes the node's clock lie from now on, or (with `None`) tell the truth. Returns how far ahead of the
    /// true time it then reads, in nanoseconds: of a drifting clock close to nothing at first.
    pub async fn set_clock(&self, node: &NodeId, skew: Option<Skew>) -> io::Result<i64> {
        let request = |id| {
            let nanos = |ms: i64| ms.saturating_mul(NANOS_PER_MS);
            let (offset_ns, rate_ppm, strobe_ms) = match skew {
                None => (0, 0, 0),
                Some(Skew::Bump { delta_ms }) => (nanos(delta_ms), 0, 0),
                Some(Skew::Strobe { delta_ms, period_ms }) => (nanos(delta_ms), 0, period_ms),
                Some(Skew::Drift { rate_ppm }) => (0, rate_ppm, 0),
            };
            ToNode::Clock { id, offset_ns, rate_ppm, strobe_ms }
        };
        Ok(self.ask(node, request).await?.1)
    }

    async fn ask(&self, node: &NodeId, request: impl Fn(u64) -> ToNode) -> io::Result<(Status, i64)> {
        let desk = self.nodes.iter().find(|desk| desk.node == *node);
        let desk = desk.ok_or_else(|| io::Error::other(format!("{node} is no node here")))?;
        let id = self.requests.get() + 1;
        self.requests.set(id);
        let request = serde_json::to_vec(&request(id)).expect("a request has only numbers");
        match timeout(ANSWER_MAX, self.ask_desk(desk, id, &request)).await {
            Ok(answer) => answer,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within a second")),
        }
    }

    /// Asks on the idle connection, and if that is stale on a fresh one: asking twice does no harm.
    async fn ask_desk(&self, desk: &Desk, id: u64, request: &[u8]) -> io::Result<(Status, i64)> {
        let idle = desk.idle.borrow_mut().take();
        if let Some(mut line) = idle
            && let Ok(answer) = ask_line(&mut line, id, request).await
        {
            *desk.idle.borrow_mut() = Some(line);
            return Ok(answer);
        }
        let mut line = Line::open(desk.address, self.cluster, ANSWER_MAX).await?;
        let answer = ask_line(&mut line, id, request).await?;
        *desk.idle.borrow_mut() = Some(line);
        Ok(answer)
    }
}

async fn ask_line(line: &mut Line, id: u64, request: &[u8]) -> io::Result<(Status, i64)> {
    line.send(request)?;
    loop {
        let payload = line.receive().await?;
        let message: ToClient = serde_json::from_slice(&payload).map_err(io::Error::other)?;
        match message.answer {
            Answer::Status { status, clock_offset_ns } if message.id == id => {
                return Ok((status, clock_offset_ns));
            }
            _ if message.id == id => return Err(io::Error::other("the node answers something else")),
            _ => {}
        }
    }
}
