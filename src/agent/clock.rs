//! The host's own clock, made to lie by `clock_settime` and put right again.
//!
//! Only where the campaign agrees (`clock = "host"`): everything on the host sees the lie. While it lasts,
//! the services that would correct it stand still. The truth is kept as an *epoch*: the true time at which
//! the host had been up for no time; the time since boot, which no fault touches, leads from it to the true
//! time at any later moment, and so do healers that come after us. The epoch is the host's own, unless its
//! clock was more than a second off the controller's: then somebody left it wrong, and the controller's
//! counts.
//!
//! Services stop and start in their own time, seconds perhaps. Whoever changes the clock awaits that, one after the
//! other, while the agent does all else that it is asked.
//!
//! All that touches the machine is behind two traits, so that tests touch none.

use super::programs;
use super::undo::{Faults, Undo};
use elenchus_core::fault::Skew;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
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

/// The services that keep a machine's clock right. They are asked in threads of their own.
pub(super) trait Services: Send + Sync {
    /// Those that run now. An error if one runs that cannot be stopped.
    fn running(&self) -> Result<Vec<String>, String>;
    /// Stops one.
    fn stop(&self, service: &str) -> Result<(), String>;
    /// Starts one.
    fn start(&self, service: &str) -> Result<(), String>;
}

/// The clock of a host and what keeps it right.
pub(super) struct HostClock {
    machine: Rc<dyn Machine>,
    services: Arc<dyn Services>,
    lie: RefCell<Option<Lie>>,
    /// Whoever changes the clock has it.
    turn: tokio::sync::Mutex<()>,
    is_closed: Cell<bool>,
}

/// What is kept as long as the services stand.
#[derive(Clone)]
struct Lie {
    /// `None`: the clock tells the truth already, or not yet a lie.
    skew: Option<Skew>,
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
    pub fn new(machine: Rc<dyn Machine>, services: Arc<dyn Services>) -> HostClock {
        let (lie, turn, is_closed) = Default::default();
        HostClock { machine, services, lie, turn, is_closed }
    }

    /// Makes the clock lie, or (with `None`) tell the truth; `now_ns` is the controller's time. Returns how
    /// far ahead of the truth it is then.
    pub async fn skew(
        &self,
        skew: Option<Skew>,
        now_ns: i64,
        faults: &RefCell<Faults>,
    ) -> Result<i64, String> {
        let _turn = self.turn.lock().await;
        match skew {
            None => self.tell_the_truth(faults).await?,
            Some(skew) => self.tell(skew, now_ns, faults).await?,
        }
        self.ahead()
    }

    /// Stops no service any more: the agent is about to take everything back.
    pub fn close(&self) {
        self.is_closed.set(true);
    }

    async fn tell(&self, skew: Skew, now_ns: i64, faults: &RefCell<Faults>) -> Result<(), String> {
        let before = self.lie.borrow().clone();
        let lie = match before {
            Some(lie) => {
                // Where the truth could not be told to its end some of them may run again.
                if lie.skew.is_none() {
                    self.stop(&lie.services).await?;
                }
                lie
            }
            None => self.prepare(now_ns, faults).await?,
        };
        *self.lie.borrow_mut() = Some(lie.clone());
        let since_ns = self.machine.up()?;
        *self.lie.borrow_mut() = Some(Lie { skew: Some(skew), since_ns, ..lie });
        self.tick()
    }

    /// Remembers the truth and stops those who would tell it.
    async fn prepare(&self, now_ns: i64, faults: &RefCell<Faults>) -> Result<Lie, String> {
        let own = self.machine.wall()?;
        let true_ns = if (own - now_ns).abs() <= PLAUSIBLE_NS { own } else { now_ns };
        let since_ns = self.machine.up()?;
        let epoch_ns = true_ns - since_ns;
        let services = self.ask(|services| services.running()).await?;
        let undo = Undo::Clock { epoch_ns, services: services.clone() };
        let entry = faults.borrow_mut().begin(undo).map_err(listed)?;
        if let Err(why) = self.stop(&services).await {
            // Nothing lies yet. Those that stand are started again now, or by whoever heals.
            if self.start(&services).await.is_ok() {
                let _ = faults.borrow_mut().end(entry);
            }
            return Err(why);
        }
        Ok(Lie { skew: None, since_ns, epoch_ns, services, entry })
    }

    async fn tell_the_truth(&self, faults: &RefCell<Faults>) -> Result<(), String> {
        let Some(lie) = self.lie.borrow().clone() else { return Ok(()) };
        self.machine.set_wall(lie.epoch_ns + self.machine.up()?)?;
        // However long the services take to start: nobody must set it again meanwhile.
        *self.lie.borrow_mut() = Some(Lie { skew: None, ..lie.clone() });
        self.start(&lie.services).await?;
        *self.lie.borrow_mut() = None;
        faults.borrow_mut().end(lie.entry).map_err(listed)
    }

    async fn stop(&self, names: &[String]) -> Result<(), String> {
        for name in names {
            if self.is_closed.get() {
                return Err("the agent is ending".into());
            }
            let name = name.clone();
            self.ask(move |services| services.stop(&name)).await?;
        }
        Ok(())
    }

    /// Starts all of these, whether one fails or not; the first failure is told.
    async fn start(&self, names: &[String]) -> Result<(), String> {
        let mut started = Ok(());
        for name in names {
            let name = name.clone();
            started = started.and(self.ask(move |services| services.start(&name)).await);
        }
        started
    }

    /// Asks something of the services, in a thread that may wait for them.
    async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&dyn Services) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let services = self.services.clone();
        let asked = tokio::task::spawn_blocking(move || what(&*services)).await;
        asked.unwrap_or_else(|error| Err(format!("asking the services that correct clocks: {error}")))
    }

    /// Sets the clock to what the lie says now. To be called often.
    pub fn tick(&self) -> Result<(), String> {
        let lie = self.lie.borrow();
        let Some((lie, skew)) = lie.as_ref().and_then(|lie| Some((lie, lie.skew?))) else { return Ok(()) };
        let up = self.machine.up()?;
        self.machine.set_wall(lie.epoch_ns + up + ahead(skew, up - lie.since_ns))
    }

    /// Whether the clock must be set again and again.
    pub fn ticks(&self) -> bool {
        let skew = self.lie.borrow().as_ref().and_then(|lie| lie.skew);
        skew.is_some_and(|skew| !matches!(skew, Skew::Bump { .. }))
    }

    /// How far ahead of the truth the clock is now: 0 while it tells the truth.
    pub fn ahead(&self) -> Result<i64, String> {
        match self.lie.borrow().as_ref() {
            None => Ok(0),
            Some(lie) => Ok(self.machine.wall()? - lie.epoch_ns - self.machine.up()?),
        }
    }
}

fn listed(error: std::io::Error) -> String {
    format!("the list of faults: {error}")
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

/// Sets a clock right and starts again what was stopped, for whoever heals after a liar, and may wait.
pub(super) fn undo(
    machine: &dyn Machine,
    services: &dyn Services,
    epoch_ns: i64,
    stopped: &[String],
) -> Result<(), String> {
    machine.set_wall(epoch_ns + machine.up()?)?;
    let started = stopped.iter().map(|service| services.start(service));
    started.fold(Ok(()), Result::and)
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
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

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
        running: Mutex<Vec<String>>,
        sticks: AtomicBool,
        /// Whether stopping and starting take until it is not so any more.
        is_slow: AtomicBool,
    }

    impl FakeServices {
        fn running(&self) -> Vec<String> {
            self.running.lock().unwrap().clone()
        }

        fn work(&self) {
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            while self.is_slow.load(Ordering::SeqCst) && std::time::Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    impl Services for FakeServices {
        fn running(&self) -> Result<Vec<String>, String> {
            Ok(FakeServices::running(self))
        }

        fn stop(&self, service: &str) -> Result<(), String> {
            self.work();
            if self.sticks.load(Ordering::SeqCst) {
                return Err(format!("{service} does not stop"));
            }
            self.running.lock().unwrap().retain(|s| s != service);
            Ok(())
        }

        fn start(&self, service: &str) -> Result<(), String> {
            self.work();
            let mut running = self.running.lock().unwrap();
            if !running.iter().any(|s| s == service) {
                running.push(service.into());
            }
            Ok(())
        }
    }

    struct Bench {
        machine: Rc<Fake>,
        services: Arc<FakeServices>,
        clock: HostClock,
        faults: RefCell<Faults>,
        path: PathBuf,
        runtime: tokio::runtime::Runtime,
    }

    impl Bench {
        fn new(name: &str) -> Bench {
            let path = std::env::temp_dir().join(format!("elenchus-clock-{}-{name}", std::process::id()));
            let machine = Rc::new(Fake {
                up: Cell::new(100 * SECOND),
                offset: Cell::new(NOW - 100 * SECOND),
                is_refused: Cell::new(false),
            });
            let services = Arc::new(FakeServices::default());
            services.running.lock().unwrap().push("chrony".into());
            let clock = HostClock::new(machine.clone(), services.clone());
            let faults = RefCell::new(Faults::create(&path).unwrap());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            Bench { machine, services, clock, faults, path, runtime }
        }

        fn skew(&self, skew: Option<Skew>) -> Result<i64, String> {
            self.runtime.block_on(self.change(skew))
        }

        async fn change(&self, skew: Option<Skew>) -> Result<i64, String> {
            self.clock.skew(skew, NOW, &self.faults).await
        }

        /// The undoings that the list of faults holds, as text.
        fn listed(&self) -> String {
            std::fs::read_to_string(&self.path).unwrap()
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
        let bench = Bench::new("bump");
        assert_eq!(bench.skew(Some(Skew::Bump { delta_ms: -60_000 })), Ok(-60 * SECOND));
        assert_eq!(bench.services.running(), [] as [String; 0]);
        bench.machine.pass(5 * SECOND);
        assert_eq!(bench.clock.ahead(), Ok(-60 * SECOND));
        // A second lie does not take the first for the truth.
        assert_eq!(bench.skew(Some(Skew::Bump { delta_ms: 1_000 })), Ok(SECOND));
        assert_eq!(bench.skew(None), Ok(0));
        assert!(bench.is_true());
        assert_eq!(bench.services.running(), ["chrony"]);
        assert_eq!(bench.skew(None), Ok(0));
        assert_eq!(undo_all(&bench.path, &mut Heal(&bench)).unwrap(), []);
    }

    #[test]
    fn a_clock_that_strobes_or_drifts_follows_the_time_since_boot() {
        let bench = Bench::new("drift");
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
        let bench = Bench::new("killed");
        bench.skew(Some(Skew::Bump { delta_ms: 3_600_000 })).unwrap();
        bench.machine.pass(30 * SECOND);
        let undone = undo_all(&bench.path, &mut Heal(&bench)).unwrap();
        assert!(matches!(&undone[..], [(Undo::Clock { .. }, Ok(()))]), "{undone:?}");
        assert!(bench.is_true());
        assert_eq!(bench.services.running(), ["chrony"]);
        assert_eq!(undo_all(&bench.path, &mut Heal(&bench)).unwrap(), []);
    }

    #[test]
    fn a_clock_that_was_wrong_before_is_set_to_the_controllers() {
        let bench = Bench::new("wrong");
        bench.machine.offset.set(bench.machine.offset.get() - 7 * SECOND);
        bench.skew(Some(Skew::Bump { delta_ms: 10 })).unwrap();
        bench.skew(None).unwrap();
        assert!(bench.is_true());
    }

    #[test]
    fn what_is_refused_changes_nothing_that_lasts() {
        let bench = Bench::new("refused");
        bench.services.sticks.store(true, Ordering::SeqCst);
        assert!(bench.skew(Some(Skew::Bump { delta_ms: 10 })).unwrap_err().contains("chrony"));
        assert!(bench.is_true());
        assert_eq!(bench.clock.ahead(), Ok(0));
        bench.services.sticks.store(false, Ordering::SeqCst);
        bench.machine.is_refused.set(true);
        assert_eq!(bench.skew(Some(Skew::Bump { delta_ms: 10 })), Err("EPERM".into()));
        bench.machine.is_refused.set(false);
        bench.skew(None).unwrap();
        assert!(bench.is_true());
        assert_eq!(bench.services.running(), ["chrony"]);
    }

    /// A moment in which whatever can go on does.
    async fn pass() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    #[test]
    fn services_that_take_their_time_delay_nobody_and_the_fault_is_listed_before_they_stop() {
        let bench = Bench::new("slow");
        bench.services.is_slow.store(true, Ordering::SeqCst);
        bench.runtime.block_on(async {
            let meanwhile = async {
                while !bench.listed().contains("\"clock\"") {
                    pass().await;
                }
                pass().await;
                assert!(bench.is_true() && bench.services.running() == ["chrony"]);
                bench.services.is_slow.store(false, Ordering::SeqCst);
            };
            let (ahead, ()) = tokio::join!(bench.change(Some(Skew::Bump { delta_ms: 10 })), meanwhile);
            assert_eq!(ahead, Ok(10_000_000));
        });
        assert_eq!(bench.services.running(), [] as [String; 0]);
    }

    #[test]
    fn a_clock_that_is_right_again_stays_right_however_long_services_take_to_start() {
        let bench = Bench::new("starting");
        bench.skew(Some(Skew::Strobe { delta_ms: 300, period_ms: 100 })).unwrap();
        bench.services.is_slow.store(true, Ordering::SeqCst);
        bench.runtime.block_on(async {
            let meanwhile = async {
                pass().await;
                assert!(bench.is_true() && !bench.clock.ticks());
                bench.clock.tick().unwrap();
                assert!(bench.is_true() && bench.clock.ahead() == Ok(0));
                bench.services.is_slow.store(false, Ordering::SeqCst);
            };
            assert_eq!(tokio::join!(bench.change(None), meanwhile).0, Ok(0));
        });
        assert_eq!(bench.services.running(), ["chrony"]);
        assert_eq!(undo_all(&bench.path, &mut Heal(&bench)).unwrap(), []);
    }

    #[test]
    fn a_truth_that_is_asked_for_while_services_stop_is_told_after_the_lie() {
        let bench = Bench::new("overtaken");
        bench.services.is_slow.store(true, Ordering::SeqCst);
        bench.runtime.block_on(async {
            let healed = async {
                pass().await;
                bench.change(None).await
            };
            let meanwhile = async {
                pass().await;
                pass().await;
                bench.services.is_slow.store(false, Ordering::SeqCst);
            };
            let lie = bench.change(Some(Skew::Bump { delta_ms: 10 }));
            assert_eq!(tokio::join!(lie, healed, meanwhile), (Ok(10_000_000), Ok(0), ()));
        });
        assert!(bench.is_true() && bench.services.running() == ["chrony"]);
    }

    #[test]
    fn an_agent_that_ends_stops_no_further_service_and_starts_those_that_stand() {
        let bench = Bench::new("ending");
        bench.services.running.lock().unwrap().push("ntp".into());
        bench.services.is_slow.store(true, Ordering::SeqCst);
        bench.runtime.block_on(async {
            let meanwhile = async {
                pass().await;
                bench.clock.close();
                bench.services.is_slow.store(false, Ordering::SeqCst);
            };
            let (lie, ()) = tokio::join!(bench.change(Some(Skew::Bump { delta_ms: 10 })), meanwhile);
            assert!(lie.unwrap_err().contains("ending"));
        });
        assert!(bench.is_true());
        assert_eq!(bench.services.running(), ["ntp", "chrony"]);
        assert_eq!(undo_all(&bench.path, &mut Heal(&bench)).unwrap(), []);
    }
}
