//! All threads of another process, standing still: read, written, stepped, made to call the kernel.
//!
//! A tracer is a thread, not a process: whoever makes a [`Standstill`] keeps it in one thread, and the kernel
//! lets everybody go when that thread ends, whatever was left undone. Nothing here waits for longer than its
//! deadline, for the kernel may hold a thread as long as a disk or a network file system does.

use super::registers::{self, Registers};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Why another process cannot be worked on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// It ended, or never was.
    #[error("process {0} has ended")]
    Gone(i32),
    /// The kernel allows it not.
    #[error("process {pid} may not be traced: {errno} ({hint})")]
    Refused {
        /// Which.
        pid: i32,
        /// What the kernel said.
        errno: Errno,
        /// What may be the reason.
        hint: String,
    },
    /// It takes too long.
    #[error("process {pid} cannot be held still: {what}")]
    Stuck {
        /// Which.
        pid: i32,
        /// By what.
        what: String,
    },
    /// The kernel gave another error.
    #[error("process {pid}: {what}: {errno}")]
    Failed {
        /// Which.
        pid: i32,
        /// At what.
        what: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

impl TraceError {
    /// That the kernel refused, with what may be the reason.
    pub fn refused(pid: i32, errno: Errno) -> TraceError {
        let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        let hint = match (tracer(pid, pid), yama.trim()) {
            (Some(tracer), _) => format!("process {tracer} traces it already"),
            (None, scope @ ("1" | "2" | "3")) => format!("kernel.yama.ptrace_scope is {scope}"),
            _ => "it runs with other rights than we do, or a filter of system calls forbids tracing".into(),
        };
        TraceError::Refused { pid, errno, hint }
    }
}

/// How long a thread is waited for that the kernel holds without an end in sight.
const HELD_AFTER: Duration = Duration::from_millis(100);
/// For how long a thread is stepped: several ticks of the kernel's clock.
const WALK: Duration = Duration::from_millis(10);
/// For how long a thread that is lost is let loose at first.
const MOMENT: Duration = Duration::from_micros(100);
/// And at last: longer than a busy machine takes to let it run at all.
const MOMENT_MAX: Duration = Duration::from_millis(20);
/// How often a thread is looked at before we sleep: a step is done sooner than the shortest sleep.
const LOOKS: u32 = 50;

/// Every signal but the one that ends a step: were that blocked, the kernel would take its handler away.
const ALL_BUT_TRAP: u64 = !(1 << (libc::SIGTRAP - 1));

/// A process that stands still until this is dropped.
#[derive(Debug)]
pub struct Standstill {
    pid: i32,
    deadline: Instant,
    threads: BTreeMap<i32, Stand>,
    /// Signals that came while a thread was made to run, to be sent again.
    postponed: Vec<(i32, i32)>,
}

/// How a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// It has stopped.
    Stopped,
    /// The kernel holds it in a call, and will stop it before it runs an instruction of its own.
    Held,
}

/// What a thread that was waited for did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// It stopped because we, or a stop signal to its whole process, wanted it.
    Stopped,
    /// It stopped before this signal is delivered to it.
    Signal(i32),
    /// It ended.
    Ended,
}

impl Standstill {
    /// Stops all threads of a process.
    pub fn new(pid: i32, deadline: Instant) -> Result<Standstill, TraceError> {
        let mut still = Standstill { pid, deadline, threads: BTreeMap::new(), postponed: vec![] };
        // Whoever is stopped begets no threads: once a round finds no new one, all of them are.
        while still.stop_new()? {}
        while still.stopped().is_empty() {
            let Some(thread) = still.threads.keys().next().copied() else {
                return Err(TraceError::Gone(pid));
            };
            match still.until_stopped(thread)? {
                Some(stand) => drop(still.threads.insert(thread, stand)),
                None => drop(still.threads.remove(&thread)),
            }
            if Instant::now() > deadline {
                return Err(still.stuck("the kernel holds all its threads".into()));
            }
        }
        Ok(still)
    }

    /// Stops the threads that are not yet stopped. Returns whether there were any.
    fn stop_new(&mut self) -> Result<bool, TraceError> {
        let all = tasks(self.pid).ok_or(TraceError::Gone(self.pid))?;
        let new: Vec<i32> = all.into_iter().filter(|thread| !self.threads.contains_key(thread)).collect();
        let (mut seized, mut found) = (vec![], false);
        for thread in &new {
            match seize(self.pid, *thread) {
                Ok(()) => seized.push(*thread),
                // It ended just now; a dead first thread stays listed while others live.
                Err(_) if has_ended(self.pid, *thread) => {}
                // A thread of ours that traced it is about to end.
                Err(Errno::EPERM) if is_ours(self.pid, *thread) && Instant::now() < self.deadline => {
                    std::thread::sleep(Duration::from_micros(200));
                    found = true;
                }
                Err(errno) => return Err(TraceError::refused(self.pid, errno)),
            }
        }
        for thread in seized {
            if let Some(stand) = self.until_stopped(thread)? {
                self.threads.insert(thread, stand);
                found = true;
            }
        }
        Ok(found)
    }

    /// Waits until the thread has stopped. `None`: it ended.
    fn until_stopped(&mut self, thread: i32) -> Result<Option<Stand>, TraceError> {
        let held_at = Instant::now() + HELD_AFTER;
        loop {
            let patience = held_at.min(self.deadline);
            match wait(self.pid, thread, patience) {
                Some(Event::Stopped) => return Ok(Some(Stand::Stopped)),
                Some(Event::Ended) => return Ok(None),
                Some(Event::Signal(signal)) => {
                    // It is delivered, and no instruction of its handler runs before the thread stops again.
                    // A thread that ended meanwhile is noticed in the next round.
                    let _ = ptrace::interrupt(Pid::from_raw(thread));
                    let _ = resume(libc::PTRACE_CONT, thread, signal);
                }
                None if is_held(self.pid, thread) => return Ok(Some(Stand::Held)),
                None if Instant::now() > self.deadline => {
                    return Err(self.stuck(format!("thread {thread} does not stop")));
                }
                None => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    /// Reads from its memory.
    pub fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, TraceError> {
        super::memory::read(self.pid, at, length).map_err(|errno| self.failed("its memory", errno))
    }

    /// Writes into its memory, whether the process itself may write there or not: as a debugger does, so that
    /// only this process sees it, and the processor's instructions are renewed.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), TraceError> {
        let thread = Pid::from_raw(self.thread()?);
        let failed = |errno| self.failed("writing into its code", errno);
        let length = bytes.len().next_multiple_of(8);
        let mut words = bytes.to_vec();
        if length > bytes.len() {
            let rest = self.read(at + bytes.len() as u64, length - bytes.len())?;
            words.extend(rest);
        }
        for (word, place) in words.chunks_exact(8).zip((at..).step_by(8)) {
            let word = i64::from_ne_bytes(word.try_into().expect("chunks of eight"));
            ptrace::write(thread, place as ptrace::AddressType, word).map_err(failed)?;
        }
        Ok(())
    }

    /// Lets threads that are about to run instructions in these places run on until they are out of there.
    ///
    /// They go step by step, so that they do nothing else. But a clock function begins again when the kernel
    /// wrote the time meanwhile, as it does at every tick: where steps are slow a thread goes round and round.
    /// One that does is let loose for a moment, and may have done anything when it is stopped again.
    pub fn clear(&mut self, places: &[Range<u64>]) -> Result<(), TraceError> {
        let mut moment = MOMENT;
        loop {
            let mut lost = vec![];
            for thread in self.stopped() {
                match self.walk(thread, places) {
                    Ok(true) => {}
                    // The deadline may fall into a step as well as between two.
                    Ok(false) | Err(TraceError::Stuck { .. }) => lost.push(thread),
                    Err(error) => return Err(error),
                }
            }
            if lost.is_empty() {
                return Ok(());
            }
            if Instant::now() >= self.deadline {
                return Err(self.stuck(format!("thread {} does not leave its vDSO", lost[0])));
            }
            self.let_loose(&lost, moment)?;
            // They may have begotten others.
            while self.stop_new()? {}
            moment = (moment * 2).min(MOMENT_MAX);
        }
    }

    /// Steps a thread until it is out of these places. Returns whether it came out.
    fn walk(&mut self, thread: i32, places: &[Range<u64>]) -> Result<bool, TraceError> {
        let is_out =
            |registers: &Registers| !places.iter().any(|place| place.contains(&registers::place(registers)));
        if is_out(&self.registers(thread)?) {
            return Ok(true);
        }
        self.deaf(thread, |still| {
            let until = Instant::now() + WALK;
            while Instant::now() < until {
                still.step(thread)?;
                if is_out(&still.registers(thread)?) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Lets stopped threads run for a moment.
    fn let_loose(&mut self, threads: &[i32], moment: Duration) -> Result<(), TraceError> {
        for thread in threads {
            resume(libc::PTRACE_CONT, *thread, 0).map_err(|errno| self.failed("going on", errno))?;
        }
        std::thread::sleep(moment);
        for thread in threads {
            // One that ended meanwhile is noticed below.
            let _ = ptrace::interrupt(Pid::from_raw(*thread));
        }
        for thread in threads {
            match self.until_stopped(*thread)? {
                Some(stand) => drop(self.threads.insert(*thread, stand)),
                None => drop(self.threads.remove(thread)),
            }
        }
        Ok(())
    }

    /// Makes the process call the kernel with the instruction at `at`.
    pub fn call(&mut self, at: u64, number: i64, arguments: [u64; 6]) -> Result<u64, TraceError> {
        let thread = self.thread()?;
        let before = self.registers(thread)?;
        self.deaf(thread, |still| {
            still.set_registers(thread, registers::calling(&before, at, number, arguments))?;
            let called = still.step(thread).and_then(|()| still.registers(thread));
            still.set_registers(thread, before)?;
            match registers::answer(&called?) {
                error @ -4095..0 => {
                    Err(still.failed("a system call in its name", Errno::from_raw(-error as i32)))
                }
                answer => Ok(answer as u64),
            }
        })
    }

    /// Does something with a thread that no signal reaches meanwhile.
    fn deaf<T>(
        &mut self,
        thread: i32,
        act: impl FnOnce(&mut Standstill) -> Result<T, TraceError>,
    ) -> Result<T, TraceError> {
        let mask = signal_mask(thread, None).map_err(|errno| self.failed("its signals", errno))?;
        signal_mask(thread, Some(ALL_BUT_TRAP)).map_err(|errno| self.failed("its signals", errno))?;
        let done = act(self);
        let heard = signal_mask(thread, Some(mask)).map_err(|errno| self.failed("its signals", errno));
        done.and_then(|done| heard.map(|_| done))
    }

    /// Runs one instruction of a thread that is deaf.
    fn step(&mut self, thread: i32) -> Result<(), TraceError> {
        let before = registers::place(&self.registers(thread)?);
        loop {
            resume(libc::PTRACE_SINGLESTEP, thread, 0).map_err(|errno| self.failed("a step", errno))?;
            match wait(self.pid, thread, self.deadline) {
                Some(Event::Signal(libc::SIGTRAP)) => return Ok(()),
                // A stop signal cannot be blocked. It must not be lost either.
                Some(Event::Signal(signal)) => self.postponed.push((thread, signal)),
                // The process is being stopped, which does not concern whoever is traced.
                Some(Event::Stopped) => {}
                Some(Event::Ended) => return Err(TraceError::Gone(self.pid)),
                None => return Err(self.stuck(format!("thread {thread} does not end its step"))),
            }
            if registers::place(&self.registers(thread)?) != before {
                return Ok(());
            }
        }
    }

    fn registers(&self, thread: i32) -> Result<Registers, TraceError> {
        ptrace::getregs(Pid::from_raw(thread)).map_err(|errno| self.failed("its registers", errno))
    }

    fn set_registers(&self, thread: i32, registers: Registers) -> Result<(), TraceError> {
        ptrace::setregs(Pid::from_raw(thread), registers).map_err(|errno| self.failed("its registers", errno))
    }

    fn stopped(&self) -> Vec<i32> {
        let stopped = self.threads.iter().filter(|(_, stand)| **stand == Stand::Stopped);
        stopped.map(|(thread, _)| *thread).collect()
    }

    fn thread(&self) -> Result<i32, TraceError> {
        self.stopped().first().copied().ok_or(TraceError::Gone(self.pid))
    }

    fn stuck(&self, what: String) -> TraceError {
        TraceError::Stuck { pid: self.pid, what }
    }

    fn failed(&self, what: &'static str, errno: Errno) -> TraceError {
        match errno {
            Errno::ESRCH => TraceError::Gone(self.pid),
            errno => TraceError::Failed { pid: self.pid, what, errno },
        }
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        for thread in self.threads.keys() {
            // Of a thread that ended meanwhile nothing is left to let go; one that is held in the kernel is
            // let go when ours ends.
            let _ = ptrace::detach(Pid::from_raw(*thread), None);
        }
        for (thread, signal) in &self.postponed {
            // SAFETY: it sends a signal that was meant for this very thread's process.
            unsafe { libc::syscall(libc::SYS_tgkill, self.pid, *thread, *signal) };
        }
    }
}

/// The threads of a process; `None` if there is no such process.
fn tasks(pid: i32) -> Option<Vec<i32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The letter of a thread's state.
fn state(pid: i32, thread: i32) -> Option<u8> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.bytes().next()
}

fn has_ended(pid: i32, thread: i32) -> bool {
    matches!(state(pid, thread), None | Some(b'Z' | b'X'))
}

/// Begins to trace a thread, and asks it to stop.
fn seize(pid: i32, thread: i32) -> Result<(), Errno> {
    let seize = || ptrace::seize(Pid::from_raw(thread), Options::empty());
    let seized = match seize() {
        // Whoever traced it may have let it go just now.
        Err(Errno::EPERM) if tracer(pid, thread).is_none() => seize(),
        result => result,
    };
    seized.and_then(|()| ptrace::interrupt(Pid::from_raw(thread)))
}

/// Who traces a thread.
fn tracer(pid: i32, thread: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).ok()?;
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    tracer.trim().parse().ok().filter(|tracer| *tracer != 0)
}

/// Whether a thread of our own process traces that thread.
fn is_ours(pid: i32, thread: i32) -> bool {
    tracer(pid, thread).is_some_and(|tracer| fs::exists(format!("/proc/self/task/{tracer}")).unwrap_or(false))
}

/// Whether the kernel holds a thread and lets nothing disturb it.
fn is_held(pid: i32, thread: i32) -> bool {
    state(pid, thread) == Some(b'D')
}

/// Waits for a traced thread, no longer than until this moment.
fn wait(pid: i32, thread: i32, until: Instant) -> Option<Event> {
    let mut pause = Duration::from_micros(10);
    for looked in 0.. {
        match look(thread) {
            Some(Event::Ended) => return Some(Event::Ended),
            Some(_) => return Some(stop(thread)),
            None if looked < LOOKS => {
                std::thread::yield_now();
                continue;
            }
            // The end of a first thread is not told while others of its process are left.
            None if has_ended(pid, thread) => return Some(Event::Ended),
            None => {}
        }
        if Instant::now() >= until {
            return None;
        }
        // What is waited for takes microseconds, unless the machine is busy.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    }
    None
}

/// Whether a traced thread has stopped or ended, without taking note: its end is for its parent to note.
fn look(thread: i32) -> Option<Event> {
    let options = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: all zeroes is a valid answer, and the kernel writes another one to where the pointer shows.
    let (found, info) = unsafe {
        let mut info = std::mem::zeroed::<libc::siginfo_t>();
        (libc::waitid(libc::P_PID, thread as libc::id_t, &mut info, options), info)
    };
    // SAFETY: what `waitid` filled in, or left empty, has this field.
    match (found, unsafe { info.si_pid() }, info.si_code) {
        (0, 0, _) => None,
        (0, _, libc::CLD_STOPPED | libc::CLD_TRAPPED) => Some(Event::Stopped),
        _ => Some(Event::Ended),
    }
}

/// Takes note of a thread's stop, which is known to be there.
fn stop(thread: i32) -> Event {
    let mut status = 0;
    // SAFETY: the kernel writes one integer to where the pointer shows.
    let found = unsafe { libc::waitpid(thread, &mut status, libc::__WALL | libc::WNOHANG) };
    if found != thread || !libc::WIFSTOPPED(status) {
        return Event::Ended;
    }
    if status >> 16 == libc::PTRACE_EVENT_STOP {
        Event::Stopped
    } else {
        Event::Signal(libc::WSTOPSIG(status))
    }
}

/// Lets a stopped thread run, with a signal that it stopped for.
fn resume(request: libc::c_uint, thread: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: these requests take no pointers; the last argument is a number.
    let done = unsafe { libc::ptrace(request, thread, 0_usize, signal as usize) };
    Errno::result(done).map(drop)
}

/// Sets the signals that a stopped thread does not hear, or asks for them.
fn signal_mask(thread: i32, set: Option<u64>) -> Result<u64, Errno> {
    let mut mask = set.unwrap_or_default();
    let request = if set.is_some() { libc::PTRACE_SETSIGMASK } else { libc::PTRACE_GETSIGMASK };
    // SAFETY: the kernel reads or writes as many bytes as it is told, which is what the pointer shows to.
    let done = unsafe { libc::ptrace(request, thread, size_of::<u64>(), &raw mut mask) };
    Errno::result(done).map(|_| mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::waitpid;
    use nix::unistd::{ForkResult, fork};

    /// A child that goes round a loop of two instructions so often, and then waits for its end.
    struct Runner(Pid);

    impl Runner {
        fn new(rounds: u64) -> Runner {
            // SAFETY: the child counts, makes system calls, and does nothing else.
            match unsafe { fork() }.unwrap() {
                ForkResult::Parent { child } => Runner(child),
                // SAFETY: the loop touches one register, and the calls take no pointers.
                ForkResult::Child => unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    #[cfg(target_arch = "x86_64")]
                    std::arch::asm!("2: dec {0}", "jnz 2b", inout(reg) rounds => _);
                    #[cfg(target_arch = "aarch64")]
                    std::arch::asm!("2: subs {0}, {0}, #1", "b.ne 2b", inout(reg) rounds => _);
                    loop {
                        libc::pause();
                    }
                },
            }
        }

        /// Stops it in its loop. Returns where that is, too; `None` where nobody may be traced.
        fn stop(&self, limit: Duration) -> Option<(Standstill, Range<u64>)> {
            let mut last = 0;
            loop {
                let still = match Standstill::new(self.0.as_raw(), Instant::now() + limit) {
                    Err(TraceError::Refused { hint, .. }) => {
                        println!("skipped: {hint}");
                        return None;
                    }
                    still => still.unwrap(),
                };
                // Seen at about the same place twice it is in its loop.
                let place = registers::place(&still.registers(self.0.as_raw()).unwrap());
                if place.abs_diff(last) < 8 {
                    return Some((still, place - 8..place + 8));
                }
                last = place;
                drop(still);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    impl Drop for Runner {
        fn drop(&mut self) {
            // Ours and not reaped: its number is nobody else's.
            let _ = kill(self.0, Signal::SIGKILL);
            let _ = waitpid(self.0, None);
        }
    }

    #[test]
    fn whoever_goes_round_too_often_to_be_stepped_is_let_loose_until_out() {
        let runner = Runner::new(2_000_000_000);
        let Some((mut still, place)) = runner.stop(Duration::from_secs(60)) else { return };
        still.clear(std::slice::from_ref(&place)).unwrap();
        assert!(!place.contains(&registers::place(&still.registers(runner.0.as_raw()).unwrap())));
    }

    #[test]
    fn whoever_never_comes_out_is_told_at_the_deadline() {
        let runner = Runner::new(u64::MAX);
        let Some((mut still, place)) = runner.stop(Duration::from_millis(300)) else { return };
        let began = Instant::now();
        let error = still.clear(&[place]).unwrap_err().to_string();
        assert!(error.contains("does not leave its vDSO"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
}
