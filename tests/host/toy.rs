//! A toy node: this very executable, started by the supervisor, doing what it is told over TCP.
//!
//! Lines it understands: `ping`, `dial ADDRESS` (a new connection there and back), `tell ADDRESS WORD` (over
//! a connection that it keeps), `lasts ADDRESS` (whether that connection does), `resets` (how many that others made were
//! reset), `note WORD`, `heard`, `daemon` (leaves a detached grandchild behind),
//! `beget FILE` (a child in a session of its own, which counts in that file), `getenv NAME`, `time`, `exit CODE`; and those of [`traffic`].

use crate::traffic;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

/// The environment variable that makes this executable a toy.
pub const ROLE: &str = "ELENCHUS_TOY";
/// The environment variable that says where it listens.
pub const LISTEN: &str = "ELENCHUS_TOY_LISTEN";

/// The environment variable that says where a counter counts.
const FILE: &str = "ELENCHUS_TOY_FILE";

static HEARD: Mutex<Vec<String>> = Mutex::new(vec![]);
static RESETS: AtomicUsize = AtomicUsize::new(0);
static TOLD: Mutex<BTreeMap<SocketAddr, TcpStream>> = Mutex::new(BTreeMap::new());

/// Plays the role that the environment names.
pub fn play(role: &str) -> ! {
    match role {
        "node" => serve(),
        // Dies at once, so that the sleeper is nobody's child.
        "forker" => {
            let mut sleeper = Command::new("/proc/self/exe");
            sleeper.env(ROLE, "sleeper").process_group(0);
            sleeper.spawn().expect("the sleeper starts");
            std::process::exit(0)
        }
        "counter" => count(),
        "sleeper" => loop {
            // It only has to be there; the trial's end ends it.
            std::thread::sleep(Duration::from_secs(60));
        },
        other => panic!("no such role: {other}"),
    }
}

fn count() -> ! {
    let file = std::env::var(FILE).expect("somewhere to count");
    for turn in 0u64.. {
        std::fs::write(&file, turn.to_string()).expect("a file of ours");
        std::thread::sleep(Duration::from_millis(5));
    }
    unreachable!("it ends with its trial")
}

fn serve() -> ! {
    let address = std::env::var(LISTEN).expect("somewhere to listen").parse().expect("an address");
    traffic::gather(address);
    let listener = TcpListener::bind(address).expect("a free address");
    loop {
        let (stream, _) = listener.accept().expect("a connection");
        std::thread::spawn(move || converse(stream));
    }
}

fn converse(stream: TcpStream) {
    let mut answers = stream.try_clone().expect("a second descriptor");
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    loop {
        match lines.read_line(&mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => {
                RESETS.fetch_add(1, SeqCst);
                return;
            }
        }
        let said = line.trim_end();
        if let Some(kib) = said.strip_prefix("stream ") {
            return traffic::receive(lines, kib.parse().expect("a number"), answers);
        }
        if let Some(answer) = obey(said)
            && writeln!(answers, "{answer}").is_err()
        {
            return;
        }
        line.clear();
    }
}

fn obey(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    if let Some(answer) = traffic::obey(&words) {
        return Some(answer);
    }
    let said = match words[..] {
        ["ping"] => "pong".into(),
        ["dial", address] => dial(address).unwrap_or_else(|error| format!("cut: {error}")),
        ["tell", address, word] => {
            tell(address, word).map_or_else(|error| format!("cut: {error}"), |()| "told".into())
        }
        ["lasts", address] => lasts(address).to_string(),
        ["resets"] => RESETS.load(SeqCst).to_string(),
        ["note", word] => {
            HEARD.lock().unwrap().push(word.into());
            return None;
        }
        ["heard"] => HEARD.lock().unwrap().join(","),
        ["daemon"] => {
            let mut forker = Command::new("/proc/self/exe");
            forker.env(ROLE, "forker");
            // SAFETY: one system call between fork and exec.
            unsafe { forker.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(Into::into)) };
            forker.status().expect("the forker ends");
            "left one behind".into()
        }
        ["beget", file] => {
            let mut counter = Command::new("/proc/self/exe");
            counter.env(ROLE, "counter").env(FILE, file);
            // SAFETY: one system call between fork and exec.
            unsafe { counter.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(Into::into)) };
            let mut counter = counter.spawn().expect("the counter starts");
            std::thread::spawn(move || counter.wait());
            "begotten".into()
        }
        ["time"] => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
            since.as_secs().to_string()
        }
        ["getenv", name] => std::env::var(name).unwrap_or_default(),
        ["exit", code] => std::process::exit(code.parse().expect("a number")),
        _ => format!("what is `{line}`?"),
    };
    Some(said)
}

fn dial(address: &str) -> std::io::Result<String> {
    let limit = Duration::from_millis(400);
    let mut stream = TcpStream::connect_timeout(&address.parse().expect("an address"), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"ping\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok("reached".into())
}

fn tell(address: &str, word: &str) -> std::io::Result<()> {
    let address: SocketAddr = address.parse().expect("an address");
    let mut told = TOLD.lock().unwrap();
    if let std::collections::btree_map::Entry::Vacant(vacant) = told.entry(address) {
        vacant.insert(TcpStream::connect_timeout(&address, Duration::from_secs(20))?);
    }
    let stream = told.get_mut(&address).expect("it was just connected");
    writeln!(stream, "note {word}")
}

/// Whether nobody has ended the connection that is kept to there; nothing is ever said to us on it.
fn lasts(address: &str) -> bool {
    let told = TOLD.lock().unwrap();
    let stream = &told[&address.parse().expect("an address")];
    stream.set_nonblocking(true).expect("a socket");
    let end = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
