//! The programs whose clocks are set wrong: this executable, doing as an environment variable says.
//!
//! Every role answers each line on its standard input with one line; the last word of `ask` are nanoseconds.

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The environment variable that makes this executable play a role.
pub const ROLE: &str = "ELENCHUS_CLOCK_ROLE";

/// The environment variable that names the pipe for which `held` waits.
pub const FIFO: &str = "ELENCHUS_CLOCK_FIFO";

static TURNS: AtomicU64 = AtomicU64::new(0);
static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Plays the role.
pub fn play(role: &str) -> ! {
    match role {
        "teller" => {}
        "spinner" => (0..4).for_each(|_| drop(std::thread::spawn(spin))),
        // Sleeps, counts signals and never looks at a clock.
        "sleeper" => {
            for signal in [libc::SIGRTMIN(), libc::SIGTRAP] {
                // SAFETY: the handler touches an atomic number only.
                unsafe { libc::signal(signal, count as *const () as usize) };
            }
        }
        // One of its threads starts a program whose input nobody gives yet: the kernel holds it meanwhile.
        "held" => drop(std::thread::spawn(|| {
            spawn_behind(&std::env::var(FIFO).expect("a pipe"));
            TURNS.fetch_add(1, Ordering::Relaxed);
        })),
        // Becomes another program as soon as it is told something.
        "changer" => {
            // Byte by byte: what follows the line is for the other program.
            let mut byte = [0];
            while nix::unistd::read(std::io::stdin(), &mut byte) == Ok(1) && byte != *b"\n" {}
            let error = Command::new("/proc/self/exe").env(ROLE, "teller").exec();
            panic!("{error}");
        }
        other => panic!("no such role: {other}"),
    }
    serve()
}

extern "C" fn count(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Reads clocks for ever; ends the process if one says what it never may.
fn spin() {
    let mut last = Instant::now();
    loop {
        let (real, now) = (clock(libc::CLOCK_REALTIME), Instant::now());
        if !(0..1_000_000_000).contains(&real.tv_nsec) || now < last {
            eprintln!("a clock is broken: {}.{}", real.tv_sec, real.tv_nsec);
            std::process::abort();
        }
        last = now;
        TURNS.fetch_add(1, Ordering::Relaxed);
    }
}

fn serve() -> ! {
    let mut forked = None;
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let answer = match line.as_str() {
            "ask" => ns(clock(libc::CLOCK_REALTIME)),
            "monotonic" => ns(clock(libc::CLOCK_MONOTONIC)),
            "boottime" => ns(clock(libc::CLOCK_BOOTTIME)),
            "coarse" => ns(clock(libc::CLOCK_REALTIME_COARSE)),
            "tai" => ns(clock(libc::CLOCK_TAI)),
            "day" => day(),
            "time" => second(),
            "std" => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64,
            "nothing" => nothing(),
            "turns" => TURNS.load(Ordering::Relaxed) as i64,
            "signals" => SIGNALS.load(Ordering::Relaxed) as i64,
            "nap" => nap(),
            "fork" => {
                forked = Some(fork());
                0
            }
            "ask child" => ask(forked.as_ref().expect("a child")),
            _ => panic!("what is `{line}`?"),
        };
        println!("{answer}");
        let _ = std::io::stdout().flush();
    }
    std::process::exit(0)
}

fn clock(id: i32) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer shows to a timespec.
    assert_eq!(unsafe { libc::clock_gettime(id, &mut now) }, 0);
    now
}

fn ns(time: libc::timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn day() -> i64 {
    let mut now = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the pointer shows to a timeval.
    assert_eq!(unsafe { libc::gettimeofday(&mut now, std::ptr::null_mut()) }, 0);
    assert!((0..1_000_000).contains(&now.tv_usec));
    now.tv_sec * 1_000_000_000 + now.tv_usec * 1000
}

fn second() -> i64 {
    let mut written = 0;
    // SAFETY: the pointer shows to a number, or to nothing, which is allowed.
    let (with, without) = unsafe { (libc::time(&mut written), libc::time(std::ptr::null_mut())) };
    assert!(with == written && (0..=1).contains(&(without - with)));
    with * 1_000_000_000
}

/// Asks for what does not exist, and for nothing. Returns how many calls failed.
fn nothing() -> i64 {
    let mut now = libc::timespec { tv_sec: -7, tv_nsec: -7 };
    let mut failed = 0;
    for id in [12, 17, 31, 32, 63, 64, 99, 1 << 20, i32::MAX] {
        // SAFETY: the pointer shows to a timespec.
        failed += i64::from(unsafe { libc::clock_gettime(id, &mut now) } == -1);
        assert_eq!((now.tv_sec, now.tv_nsec), (-7, -7), "clock {id} is none");
    }
    // SAFETY: both pointers may be null.
    assert_eq!(unsafe { libc::gettimeofday(std::ptr::null_mut(), std::ptr::null_mut()) }, 0);
    failed
}

/// Sleeps for 400 ms, and says how long that took.
fn nap() -> i64 {
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(400));
    began.elapsed().as_nanos() as i64
}

/// Starts `true` with this pipe as its input, and returns once somebody has opened the pipe for writing: a
/// child shares its parent's memory until it executes, and its parent cannot be disturbed.
fn spawn_behind(fifo: &str) {
    let text = |text: &str| std::ffi::CString::new(text).expect("no zeroes");
    let (fifo, program) = (text(fifo), text("/bin/true"));
    let mut actions = std::mem::MaybeUninit::uninit();
    let (mut argv, mut pid) = ([program.as_ptr().cast_mut(), std::ptr::null_mut()], 0);
    // SAFETY: all that is pointed to lives until the calls have returned, and the lists end with null.
    let spawned = unsafe {
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        libc::posix_spawn_file_actions_addopen(actions.as_mut_ptr(), 0, fifo.as_ptr(), libc::O_RDONLY, 0);
        let none = std::ptr::null();
        libc::posix_spawn(
            &mut pid,
            program.as_ptr(),
            actions.as_ptr(),
            none,
            argv.as_mut_ptr(),
            argv[1..].as_ptr(),
        )
    };
    assert_eq!(spawned, 0);
}

/// A child that tells the time, and the pipes to it: questions, answers.
struct Child {
    ask: std::io::PipeWriter,
    answer: std::io::PipeReader,
}

/// Forks without executing: the child has all that its parent had.
fn fork() -> Child {
    let ((questions, ask), (answer, mut answers)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    // SAFETY: this process has a single thread.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Parent { .. } => Child { ask, answer },
        nix::unistd::ForkResult::Child => {
            drop(ask);
            use std::io::Read;
            let mut questions = questions;
            while questions.read_exact(&mut [0]).is_ok() {
                let now = ns(clock(libc::CLOCK_REALTIME));
                answers.write_all(&now.to_ne_bytes()).unwrap();
            }
            std::process::exit(0)
        }
    }
}

fn ask(child: &Child) -> i64 {
    use std::io::Read;
    let mut bytes = [0; 8];
    (&child.ask).write_all(b"?").unwrap();
    (&child.answer).read_exact(&mut bytes).unwrap();
    i64::from_ne_bytes(bytes)
}
