//! Choices by name: each is drawn from hash(seed, stream, identity), never from one running generator.
//!
//! Whoever takes one decision out of a run (a fault, an operation, a letter) leaves all other decisions as they
//! were; that is what lets a failure be made smaller.

use elenchus_core::random::{Rng, Seed};

/// The streams of one universe.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    network: Seed,
    disk: Seed,
    crashes: Seed,
    clients: Seed,
    priorities: Seed,
    clocks: Seed,
}

impl Chance {
    /// All choices of this seed.
    pub fn new(seed: Seed) -> Chance {
        Chance {
            network: seed.stream("network"),
            disk: seed.stream("disk"),
            crashes: seed.stream("crashes"),
            clients: seed.stream("client-links"),
            priorities: seed.stream("priorities"),
            clocks: seed.stream("clocks"),
        }
    }

    /// What becomes of the `nth` letter on a link.
    pub fn letter(&self, from: u16, to: u16, nth: u64) -> Rng {
        self.network.nth((u64::from(from) << 16) | u64::from(to)).nth(nth).rng()
    }

    /// When a cut turns for the `nth` time.
    pub fn turn(&self, fault: u32, nth: u64) -> Rng {
        self.network.stream("turn").nth(u64::from(fault)).nth(nth).rng()
    }

    /// Who is on which side then.
    pub fn sides(&self, fault: u32, nth: u64) -> Rng {
        self.network.stream("sides").nth(u64::from(fault)).nth(nth).rng()
    }

    /// Whether what a cut holds back is kept for later, and whether it turns.
    pub fn cut(&self, fault: u32) -> Rng {
        self.network.stream("cut").nth(u64::from(fault)).rng()
    }

    /// How long the `nth` sync of a node takes.
    pub fn sync(&self, node: u16, nth: u64) -> Rng {
        self.disk.nth(u64::from(node)).nth(nth).rng()
    }

    /// What a node's disk keeps when the power fails for the `nth` time, or how its files are harmed.
    pub fn loss(&self, node: u16, nth: u64) -> Rng {
        self.disk.stream("loss").nth(u64::from(node)).nth(nth).rng()
    }

    /// At which point of its work a node dies that is killed for the `nth` time.
    pub fn crash(&self, node: u16, nth: u64) -> Rng {
        self.crashes.nth(u64::from(node)).nth(nth).rng()
    }

    /// Whether those who are killed at this time die in office. Together: then one who was elected dies of it, and
    /// the next one after it.
    pub fn office(&self, now: u64) -> Rng {
        self.crashes.stream("office").nth(now).rng()
    }

    /// How long the `nth` message between a client and its node takes.
    pub fn client(&self, client: u32, nth: u64) -> Rng {
        self.clients.nth(u64::from(client)).nth(nth).rng()
    }

    /// How low a link stands at first.
    pub fn priority(&self, from: u16, to: u16) -> Rng {
        self.priorities.nth((u64::from(from) << 16) | u64::from(to)).rng()
    }

    /// Which link falls with the `nth` change of priorities, and when.
    pub fn change(&self, nth: u32) -> Rng {
        self.priorities.stream("change").nth(u64::from(nth)).rng()
    }

    /// How fast a node's clock runs.
    pub fn drift(&self, node: u16) -> Rng {
        self.clocks.nth(u64::from(node)).rng()
    }
}
