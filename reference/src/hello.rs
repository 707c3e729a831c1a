//! The first frame of every connection to a node: who calls, and whom it believes to have reached.
//!
//! Ports are reused. Without this a node or client left over from another trial could join a cluster that it
//! does not belong to, and its messages would be believed. A hello is no secret and keeps no attacker out.

use crate::protocol::Peer;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of frames, messages and this hello; both ends must have the same.
pub const VERSION: u32 = 2;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`VERSION`] of the caller.
    pub version: u32,
    /// The cluster that the caller means: one number for all its nodes and clients, drawn anew for each trial.
    pub cluster: u64,
    /// As what it calls.
    pub caller: Caller,
}

/// As what someone calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Caller {
    /// A client (or the nemesis): frames of [`crate::wire::ToNode`] follow.
    Client,
    /// A peer: frames of its protocol's messages follow; nothing comes back on this connection.
    Peer {
        /// The caller.
        from: Peer,
        /// Whom it believes to have reached.
        to: Peer,
    },
}

/// Why a caller is turned away.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stray {
    /// The first frame is no hello.
    #[error("the first frame is no hello: {0}")]
    NoHello(String),
    /// It speaks another version.
    #[error("the caller speaks version {0}, this node version {VERSION}")]
    Version(u32),
    /// It belongs to another cluster.
    #[error("the caller belongs to cluster {0:#x}, not to this one")]
    Cluster(u64),
    /// It is nobody's peer here, or meant another node.
    #[error("peer {from} called for node {to} of {peers}, this is node {me}", from = from.0, to = to.0, me = me.0)]
    Peer {
        /// Who it says it is.
        from: Peer,
        /// Whom it meant.
        to: Peer,
        /// Who was reached.
        me: Peer,
        /// How many nodes there are.
        peers: u16,
    },
}

impl Hello {
    /// A client's hello.
    pub fn client(cluster: u64) -> Hello {
        Hello { version: VERSION, cluster, caller: Caller::Client }
    }

    /// A peer's hello.
    pub fn peer(cluster: u64, from: Peer, to: Peer) -> Hello {
        Hello { version: VERSION, cluster, caller: Caller::Peer { from, to } }
    }

    /// The payload of the first frame.
    pub fn payload(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a hello has only numbers and names")
    }

    /// Reads the first frame as node `me` of the `peers` nodes of `cluster`: who calls, if it may.
    pub fn admit(payload: &[u8], cluster: u64, me: Peer, peers: u16) -> Result<Caller, Stray> {
        let hello: Hello =
            serde_json::from_slice(payload).map_err(|error| Stray::NoHello(error.to_string()))?;
        if hello.version != VERSION {
            return Err(Stray::Version(hello.version));
        }
        if hello.cluster != cluster {
            return Err(Stray::Cluster(hello.cluster));
        }
        match hello.caller {
            Caller::Peer { from, to } if to != me || from == me || from.0 >= peers => {
                Err(Stray::Peer { from, to, me, peers })
            }
            caller => Ok(caller),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Peer = Peer(1);

    fn admit(hello: Hello) -> Result<Caller, Stray> {
        Hello::admit(&hello.payload(), 7, ME, 3)
    }

    #[test]
    fn clients_and_peers_of_the_cluster_are_admitted() {
        assert_eq!(admit(Hello::client(7)), Ok(Caller::Client));
        assert_eq!(admit(Hello::peer(7, Peer(2), ME)), Ok(Caller::Peer { from: Peer(2), to: ME }));
    }

    #[test]
    fn strays_are_turned_away() {
        assert_eq!(admit(Hello::client(8)), Err(Stray::Cluster(8)));
        assert_eq!(admit(Hello::peer(8, Peer(2), ME)), Err(Stray::Cluster(8)));
        assert_eq!(admit(Hello { version: 1, ..Hello::client(7) }), Err(Stray::Version(1)));
        for (from, to) in [(2, 0), (1, 1), (3, 1), (u16::MAX, 1)] {
            assert!(matches!(admit(Hello::peer(7, Peer(from), Peer(to))), Err(Stray::Peer { .. })));
        }
        for noise in [&b""[..], b"GET / HTTP/1.1", b"{}", b"null", b"\xff\xfe"] {
            assert!(matches!(Hello::admit(noise, 7, ME, 3), Err(Stray::NoHello(_))));
        }
    }
}
