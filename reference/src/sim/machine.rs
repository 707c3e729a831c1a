//! One node: its process if it runs, its disk, its clock, and at which point of its work it is to die.

use super::EPOCH;
use super::client::ClientId;
use super::disk::{Disk, Forgotten};
use crate::clock::{Clock, Lie};
use crate::protocol::{Connection, Input, Replica, SyncId};
use crate::timers::Timers;
use elenchus_core::fault::{Ailment, Harm, Loss, Skew};
use elenchus_core::random::Rng;
use std::collections::{BTreeMap, VecDeque};

/// A node, running or not.
#[derive(Default)]
pub struct Machine {
    /// Its process.
    pub process: Option<Process>,
    /// Counts its starts; what belonged to an earlier one is dropped.
    pub life: u64,
    /// Its files.
    pub disk: Disk,
    /// What it reads as the time.
    pub clock: Clock,
    /// By how many parts of a million its clock is too fast when nobody sets it.
    drift_ppm: i64,
    /// Whether somebody has set it.
    lies: bool,
    /// How its disk ails, and how many calls that has touched.
    pub ailment: Option<(Ailment, u64)>,
    /// What is to kill it.
    pub doom: Option<Doom>,
    /// How often it was killed.
    pub kills: u64,
    /// How often its disk forgot or was harmed.
    pub losses: u64,
    /// How often it synced.
    pub syncs: u64,
    /// When its last sync is done: a disk keeps their order.
    pub synced_at: u64,
    /// What its disk forgot when it died last.
    pub forgotten: Forgotten,
    /// Its files when the trial began, or when they were last put back.
    former: Disk,
}

/// A process of a node.
pub struct Process {
    /// What it runs.
    pub replica: Box<dyn Replica>,
    /// When it wants to be woken, by its clock.
    pub timers: Timers,
    /// For which time the universe has its alarm set.
    pub ring_at: Option<u64>,
    /// Whether it stands still.
    pub paused: bool,
    /// What waits for it while it stands still.
    pub inbox: VecDeque<Input>,
    /// Its clients.
    pub clients: BTreeMap<Connection, ClientId>,
    /// The role that was last seen: leader or not, and the term.
    pub office: (bool, u64),
}

/// The point of its work at which a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doom {
    /// Where.
    pub point: Point,
    /// What its disk forgets then, if the power fails.
    pub loss: Option<Loss>,
}

/// Most mistakes with disks show around a sync (Mohan et al., OSDI 2018), so that is where nodes like to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Where it stands.
    Now,
    /// In the midst of a step: so many outputs are carried out, the rest never.
    Amid(u64),
    /// So many steps after it has come to lead, or from now on if it leads, and in the midst of that one.
    InOffice {
        /// Steps that it still takes whole.
        steps: u64,
        /// Outputs of the next that are carried out.
        outputs: u64,
    },
    /// When it asks for a sync, which it does not get.
    BeforeSync,
    /// When it has asked for a sync.
    AfterSync,
    /// When it has heard that a sync is done, and said what it had to say.
    AfterSynced,
}

impl Point {
    /// Draws one.
    pub fn draw(rng: &mut Rng) -> Point {
        let amid = rng.between(1, 6);
        match rng.below(10) {
            0..=2 => Point::Now,
            3 => Point::Amid(amid),
            4 | 5 => Point::BeforeSync,
            6 | 7 => Point::AfterSync,
            _ => Point::AfterSynced,
        }
    }

    /// Draws one that only a leader comes to: what it leaves half done is the next leader's to find.
    pub fn in_office(rng: &mut Rng) -> Point {
        let steps = if rng.chance(1, 2) { 0 } else { rng.below(12) };
        Point::InOffice { steps, outputs: rng.between(1, 6) }
    }
}

impl Machine {
    /// A machine whose clock is too fast by so many parts of a million.
    pub fn new(drift_ppm: i64) -> Machine {
        let mut machine = Machine { drift_ppm, ..Machine::default() };
        machine.clock.set(machine.natural(), EPOCH);
        machine
    }

    /// How its clock runs when nobody sets it.
    pub fn natural(&self) -> Lie {
        Lie { rate_ppm: self.drift_ppm, ..Lie::default() }
    }

    /// A lie about the time ends with the process that it was told. A clock that was not set stays as it is.
    pub fn forget_lie(&mut self, now: u64) {
        if self.lies {
            self.set_clock(None, now);
        }
    }

    /// Makes its clock lie from now on, or run as it does by itself.
    pub fn set_clock(&mut self, skew: Option<Skew>, now: u64) {
        self.lies = skew.is_some();
        self.clock.set(skew.map_or_else(|| self.natural(), lie), now);
    }

    /// Whether its processes run, standing still or not.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Whether its disk refuses to be written to, or synced.
    pub fn refuses(&mut self) -> Option<&'static str> {
        let (ailment, touched) = self.ailment.as_mut()?;
        let why = match ailment {
            Ailment::SlowSync { .. } => return None,
            Ailment::Full => "no space left on device",
            Ailment::Failing => "input/output error",
        };
        *touched += 1;
        Some(why)
    }

    /// How much longer a sync takes than it would.
    pub fn slowness(&mut self) -> u64 {
        match self.ailment.as_mut() {
            Some((Ailment::SlowSync { ms }, touched)) => {
                *touched += 1;
                *ms * 1_000_000
            }
            _ => 0,
        }
    }

    /// When a sync that begins now, and takes so long, is done: never before an earlier one.
    pub fn sync(&mut self, now: u64, takes: u64, id: SyncId, file: String) -> u64 {
        self.disk.sync(id, file);
        self.synced_at = self.synced_at.max(now + takes);
        self.synced_at
    }

    /// After how many outputs of the step that it has just taken it is to die, if it is.
    pub fn last_output(&mut self) -> Option<u64> {
        let doom = self.doom.as_mut()?;
        let leads = || self.process.as_ref().is_some_and(|process| process.replica.status().role == "leader");
        match &mut doom.point {
            Point::Amid(outputs) => Some(*outputs),
            Point::InOffice { steps: 0, outputs } if leads() => Some(*outputs),
            Point::InOffice { steps, .. } if leads() => {
                *steps -= 1;
                None
            }
            _ => None,
        }
    }

    /// Harms the files of a node that does not run; says how.
    pub fn harm(&mut self, harm: Harm, rng: &mut Rng) -> Option<String> {
        match harm {
            Harm::BitFlip => self.disk.flip_bit(rng),
            Harm::Truncate => self.disk.cut_end(rng),
            Harm::Rollback => {
                let now = self.disk.clone();
                self.disk = std::mem::replace(&mut self.former, now);
                Some("its files are what they were before".into())
            }
        }
    }
}

/// The lie that a skew asks of a clock.
fn lie(skew: Skew) -> Lie {
    let ns = |ms: i64| ms.saturating_mul(1_000_000);
    match skew {
        Skew::Bump { delta_ms } => Lie { offset_ns: ns(delta_ms), ..Lie::default() },
        Skew::Strobe { delta_ms, period_ms } => {
            Lie { offset_ns: ns(delta_ms), strobe_ms: period_ms, ..Lie::default() }
        }
        Skew::Drift { rate_ppm } => Lie { rate_ppm, ..Lie::default() },
    }
}
