//! The host's own clock, made to lie by `clock_settime` and put right again.
//!
//! Only where the campaign agrees (`clock = "host"`): everything on the host sees the lie. While it lasts,
//! the services that would correct it stand still. The truth is kept as an *epoch*: the true time at which
//! the host had been up for no time; the time since boot, which no fault touches, leads from it to the true
//! time at any later moment, and so do healers that come after us. The epoch is the host's own, unless its
//! clock was more than a second off the controller's: then somebody left it wrong, and the controller's
//! counts.
//!
//! All that touches the machine is behind two traits, so that tests touch none.

use super::programs;
use super::undo::{Faults, Undo};
use elenchus_core::fault::Skew;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How far the host's clock may be off the controller's before it is taken for wrong: more than networks
/// delay a request.
const PLAUSIBLE_NS: i64 = 1_000_000_000;
/// How often a clock that strobes or drifts is set.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// Services that correct clocks, as systemd and others call them.
const SERVICES: [&str; 8] =
    ["systemd-timesyncd", "chronyd", "chrony", "ntpd", "ntp", "ntpsec", "openntpd", "ptp4l"];
/// The same, as the kernel shows the names of processes: the first 15 letters.
const CORRECTORS: [&str; 4] = ["systemd-timesyn", "chronyd", "ntpd", "ptp4l"];

/// A machine's two clocks, in nanoseconds.
pub(super) trait Machine {
    /// Since 1970, as everybody on the machine reads it.
    fn wall(&self) -> Result<i64, String>;
    /// Since the machine started, its sleep included.
    fn up(&self) -> Result<i64, String>;
    /// Sets the wall clock.
    fn set_wall(&self, now_ns: i64) -> Result<(), String>;
}

/// The services that keep a machine's clock right.
pub(super) trait Services {
    /// Those that run now. An error if one runs that cannot be stopped.
    fn running(&self) -> Result<Vec<String>, String>;
    /// Stops one.
    fn stop(&self, service: &str) -> Result<(), String>;
    /// Starts one.
    fn start(&self, service: &str) -> Result<(), String>;
}

/// The clock of a host and what keeps it right.
#[derive(Clone)]
pub(super) struct HostClock {
    machine: Rc<dyn Machine>,
    services: Rc<dyn Services>,
    lie: Rc<RefCell<Option<Lie>>>,
}

#[derive(Clone)]
struct Lie {
    skew: Skew,
    /// How long the machine had been up when the lie began.
    since_ns: i64,
    epoch_ns: i64,
    /// What was stopped for it.
    services: Vec<String>,
    /// The entry in the list of faults.
    entry: u64,
}

impl HostClock {
    /// A clock that tells the truth.
    pub fn new(machine: Rc<dyn Machine>, services: Rc<dyn Services>) -> HostClock {
        HostClock { machine, services, lie: Rc::default() }
    }

    /// Makes the clock lie, or (with `None`) tell the truth; `now_ns` is the controller's time. Returns how
    /// far ahead of the truth it is then.
    pub fn skew(&self, skew: Option<Skew>, now_ns: i64, faults: &mut Faults) -> Result<i64, String> {
        match skew {
            None => self.tell_the_truth(faults)?,
            Some(skew) => {
                let since_ns = self.machine.up()?;
                let before = self.lie.borrow().clone();
                let lie = match before {
                    Some(lie) => Lie { skew, since_ns, ..lie },
                    None => self.prepare(skew, now_ns, faults)?,
                };
                *self.lie.borrow_mut() = Some(lie);
                self.tick()?;
            }
        }
        self.ahead()
    }

    /// Remembers the truth and stops those who would tell it.
    fn prepare(&self, skew: Skew, now_ns: i64, faults: &mut Faults) -> Result<Lie, String> {
        let own = self.machine.wall()?;
        let true_ns = if (own - now_ns).abs() <= PLAUSIBLE_NS { own } else { now_ns };
        let since_ns = self.machine.up()?;
        let epoch_ns = true_ns - since_ns;
        let services = self.services.running()?;
        let undo = Undo::Clock { epoch_ns, services: services.clone() };
        let entry = faults.begin(undo).map_err(|e| format!("the list of faults: {e}"))?;
        if let Err(why) = services.iter().try_for_each(|service| self.services.stop(service)) {
            // Nothing lies yet. Those that stand are started again now, or by whoever heals.
            if services.iter().all(|service| self.services.start(service).is_ok()) {
                let _ = faults.end(entry);
            }
            return Err(why);
        }
        Ok(Lie { skew, since_ns, epoch_ns, services, entry })
    }

    fn tell_the_truth(&self, faults: &mut Faults) -> Result<(), String> {
        let Some(lie) = self.lie.borrow().clone() else { return Ok(()) };
        undo(&*self.machine, &*self.services, lie.epoch_ns, &lie.services)?;
        *self.lie.borrow_mut() = None;
        faults.end(lie.entry).map_err(|e| format!("the list of faults: {e}"))
    }

    /// Sets the clock to what the lie says now. To be called often.
    pub fn tick(&self) -> Result<(), String> {
        let lie = self.lie.borrow();
        let Some(lie) = lie.as_ref() else { return Ok(()) };
        let up = self.machine.up()?;
        self.machine.set_wall(lie.epoch_ns + up + ahead(lie.skew, up - lie.since_ns))
    }

    /// Whether the clock must be set again and again.
    pub fn ticks(&self) -> bool {
        self.lie.borrow().as_ref().is_some_and(|lie| !matches!(lie.skew, Skew::Bump { .. }))
    }

    /// How far ahead of the truth the clock is now: 0 while it tells the truth.
    pub fn ahead(&self) -> Result<i64, String> {
        match self.lie.borrow().as_ref() {
            None => Ok(0),
            Some(lie) => Ok(self.machine.wall()? - lie.epoch_ns - self.machine.up()?),
        }
    }
}

/// How far ahead of the truth a clock is that has lied like this for so long.
fn ahead(skew: Skew, elapsed_ns: i64) -> i64 {
    const MILLISECOND: i64 = 1_000_000;
    match skew {
        Skew::Bump { delta_ms } => delta_ms.saturating_mul(MILLISECOND),
        Skew::Strobe { delta_ms, period_ms } => {
            let period = i64::try_from(period_ms).unwrap_or(i64::MAX).max(1).saturating_mul(MILLISECOND);
            if elapsed_ns / period % 2 == 0 { delta_ms.saturating_mul(MILLISECOND) } else { 0 }
        }
        Skew::Drift { rate_ppm } => {
            let ahead = i128::from(elapsed_ns) * i128::from(rate_ppm) / 1_000_000;
            ahead.clamp(i64::MIN.into(), i64::MAX.into()) as i64
        }
    }
}

/// Sets a clock right and starts again what was stopped: the same for a liar and for whoever heals after it.
pub(super) fn undo(
    machine: &dyn Machine,
    services: &dyn Services,
    epoch_ns: i64,
    stopped: &[String],
) -> Result<(), String> {
    machine.set_wall(epoch_ns + machine.up()?)?;
    stopped.iter().try_for_each(|service| services.start(service))
}

/// By what means the clock of a node's processes could be made to lie, or, where that was asked for, the
/// host's own.
pub(super) fn probe(host_clock: bool) -> Result<String, String> {
    if !host_clock {
        return crate::host::vdso::probe();
    }
    if !super::rights::has_capability(super::rights::SYS_TIME) {
        return Err("setting the clock needs root (CAP_SYS_TIME)".into());
    }
    let services = Systemd.running()?;
    let paused =
        if services.is_empty() { String::new() } else { format!(", {} paused", services.join(", ")) };
    Ok(format!("clock_settime on the whole host{paused}"))
}

/// The machine that we run on.
pub(super) struct ThisMachine;

impl ThisMachine {
    fn read(clock: libc::clockid_t) -> Result<i64, String> {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes one timespec to where the pointer shows.
        if unsafe { libc::clock_gettime(clock, &mut now) } != 0 {
            return Err(format!("clock_gettime: {}", std::io::Error::last_os_error()));
        }
        Ok(now.tv_sec * 1_000_000_000 + now.tv_nsec)
    }
}

impl Machine for ThisMachine {
    fn wall(&self) -> Result<i64, String> {
        ThisMachine::read(libc::CLOCK_REALTIME)
    }

    fn up(&self) -> Result<i64, String> {
        ThisMachine::read(libc::CLOCK_BOOTTIME)
    }

    fn set_wall(&self, now_ns: i64) -> Result<(), String> {
        let now = libc::timespec {
            tv_sec: now_ns.div_euclid(1_000_000_000),
            tv_nsec: now_ns.rem_euclid(1_000_000_000),
        };
        // SAFETY: the kernel reads one timespec from where the pointer shows.
        match unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &now) } {
            0 => Ok(()),
            _ => Err(format!("clock_settime: {}", std::io::Error::last_os_error())),
        }
    }
}

/// The services of systemd.
pub(super) struct Systemd;

impl Services for Systemd {
    fn running(&self) -> Result<Vec<String>, String> {
        let is_active =
            |service: &&&str| programs::run("systemctl", &["is-active", "--quiet", service]).is_ok();
        let running: Vec<String> = SERVICES.iter().filter(is_active).map(|s| (*s).to_owned()).collect();
        if running.is_empty()
            && let Some(name) = corrector()
        {
            return Err(format!(
                "{name} keeps the clock right and is no service of systemd that could be paused"
            ));
        }
        Ok(running)
    }

    fn stop(&self, service: &str) -> Result<(), String> {
        programs::run("systemctl", &["stop", service]).map(|_| ())
    }

    fn start(&self, service: &str) -> Result<(), String> {
        programs::run("systemctl", &["start", service]).map(|_| ())
    }
}

/// A process that corrects clocks, if one runs.
fn corrector() -> Option<&'static str> {
    let names = std::fs::read_dir("/proc").ok()?.flatten();
    let names: Vec<String> =
        names.filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok()).collect();
    CORRECTORS.into_iter().find(|corrector| names.iter().any(|name| name.trim() == *corrector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::undo::{Hands, undo_all};
    use std::cell::Cell;
    use std::path::PathBuf;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 1_000_000 * SECOND;

    /// A machine that has been up for 100 s; time passes when the test says so.
    struct Fake {
        up: Cell<i64>,
        offset: Cell<i64>,
        is_refused: Cell<bool>,
    }

    impl Fake {
        fn pass(&self, ns: i64) {
            self.up.set(self.up.get() + ns);
        }
    }

    impl Machine for Fake {
        fn wall(&self) -> Result<i64, String> {
            Ok(self.up.get() + self.offset.get())
        }

        fn up(&self) -> Result<i64, String> {
            Ok(self.up.get())
        }

        fn set_wall(&self, now_ns: i64) -> Result<(), String> {
            if self.is_refused.get() {
                return Err("EPERM".into());
            }
            self.offset.set(now_ns - self.up.get());
            Ok(())
        }
    }

    #[derive(Default)]
    struct FakeServices {
        running: RefCell<Vec<String>>,
        sticks: Cell<bool>,
    }

    impl Services for FakeServices {
        fn running(&self) -> Result<Vec<String>, String> {
            Ok(self.running.borrow().clone())
        }

        fn stop(&self, service: &str) -> Result<(), String> {
            if self.sticks.get() {
                return Err(format!("{service} does not stop"));
            }
            self.running.borrow_mut().retain(|s| s != service);
            Ok(())
        }

        fn start(&self, service: &str) -> Result<(), String> {
            if !self.running.borrow().iter().any(|s| s == service) {
                self.running.borrow_mut().push(service.into());
            }
            Ok(())
        }
    }

    struct Bench {
        machine: Rc<Fake>,
        services: Rc<FakeServices>,
        clock: HostClock,
        faults: Faults,
        path: PathBuf,
    }

    impl Bench {
        fn new(name: &str) -> Bench {
            let path = std::env::temp_dir().join(format!("elenchus-clock-{}-{name}", std::process::id()));
            let machine = Rc::new(Fake {
                up: Cell::new(100 * SECOND),
                offset: Cell::new(NOW - 100 * SECOND),
                is_refused: Cell::new(false),
            });
            let services = Rc::new(FakeServices::default());
            services.running.borrow_mut().push("chrony".into());
            let clock = HostClock::new(machine.clone(), services.clone());
            Bench { machine, services, clock, faults: Faults::create(&path).unwrap(), path }
        }

        fn skew(&mut self, skew: Option<Skew>) -> Result<i64, String> {
            self.clock.skew(skew, NOW, &mut self.faults)
        }

        fn is_true(&self) -> bool {
            self.machine.offset.get() == NOW - 100 * SECOND
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    struct Heal<'a>(&'a Bench);

    impl Hands for Heal<'_> {
        fn undo(&mut self, undo: &Undo) -> Result<(), String> {
            let Undo::Clock { epoch_ns, services } = undo else { return Err("not done here".into()) };
            super::undo(&*self.0.machine, &*self.0.services, *epoch_ns, services)
        }
    }

    #[test]
    fn a_bump_lasts_until_the_truth_is_asked_for_and_services_stand_meanwhile() {
        let mut bench = Bench::new("bump");
        assert_eq!(bench.skew(Some(Skew::Bump { delta_ms: -60_000 })), Ok(-60 * SECOND));
        assert_eq!(*bench.services.running.borrow(), [] as [String; 0]);
        bench.machine.pass(5 * SECOND);
        assert_eq!(bench.clock.ahead(), Ok(-60 * SECOND));
        // A second lie does not take the first for the truth.
        assert_eq!(bench.skew(Some(Skew::Bump { delta_ms: 1_000 })), Ok(SECOND));
        assert_eq!(bench.skew(None), Ok(0));
        assert!(bench.is_true());
        assert_eq!(*bench.services.running.borrow(), ["chrony"]);
        assert_eq!(bench.skew(None), Ok(0));
        assert_eq!(undo_all(&bench.path, &mut Heal(&bench)).unwrap(), []);
    }

    #[test]
    fn a_clock_that_strobes_or_drifts_follows_the_time_since_boot() {
        let mut bench = Bench::new("drift");
        assert_eq!(bench.skew(Some(Skew::Strobe { delta_ms: 300, period_ms: 100 })), Ok(300_000_000));
        assert!(bench.clock.ticks());
        bench.machine.pass(150_000_000);
        bench.clock.tick().unwrap();
        assert_eq!(bench.clock.ahead(), Ok(0));
        bench.machine.pass(100_000_000);
        bench.clock.tick().unwrap();
        assert_eq!(bench.clock.ahead(), Ok(300_000_000));
        assert_eq!(bench.skew(Some(Skew::Drift { rate_ppm: 500_000 })), Ok(0));
        bench.machine.pass(10 * SECOND);
        bench.clock.tick().unwrap();
        assert_eq!(bench.clock.ahead(), Ok(5 * SECOND));
        bench.skew(None).unwrap();
        assert!(bench.is_true() && !bench.clock.ticks());
        // Nonsense is survived.
        assert_eq!(ahead(Skew::Strobe { delta_ms: i64::MIN, period_ms: 0 }, 5), i64::MIN);
        assert_eq!(ahead(Skew::Drift { rate_ppm: i64::MAX }, i64::MAX), i64::MAX);
    }

    #[test]
    fn a_liar_that_is_killed_is_undone_by_the_list_alone() {
        let mut bench = Bench::new("killed");
        bench.skew(Some(Skew::Bump { delta_ms: 3_600_000 })).unwrap();
        bench.machine.pass(30 * SECOND);
        let undone = undo_all(&bench.path, &mut Heal(&bench)).unwrap();
        assert!(matches!(&undone[..], [(Undo::Clock { .. }, Ok(()))]), "{undone:?}");
        assert!(bench.is_true());
        assert_eq!(*bench.services.running.borrow(), ["chrony"]);
        assert_eq!(undo_all(&bench.path, &mut Heal(&bench)).unwrap(), []);
    }

    #[test]
    fn a_clock_that_was_wrong_before_is_set_to_the_controllers() {
        let mut bench = Bench::new("wrong");
        bench.machine.offset.set(bench.machine.offset.get() - 7 * SECOND);
        bench.skew(Some(Skew::Bump { delta_ms: 10 })).unwrap();
        bench.skew(None).unwrap();
        assert!(bench.is_true());
    }

    #[test]
    fn what_is_refused_changes_nothing_that_lasts() {
        let mut bench = Bench::new("refused");
        bench.services.sticks.set(true);
        assert!(bench.skew(Some(Skew::Bump { delta_ms: 10 })).unwrap_err().contains("chrony"));
        assert!(bench.is_true());
        assert_eq!(bench.clock.ahead(), Ok(0));
        bench.services.sticks.set(false);
        bench.machine.is_refused.set(true);
        assert_eq!(bench.skew(Some(Skew::Bump { delta_ms: 10 })), Err("EPERM".into()));
        bench.machine.is_refused.set(false);
        bench.skew(None).unwrap();
        assert!(bench.is_true());
        assert_eq!(*bench.services.running.borrow(), ["chrony"]);
    }
}
