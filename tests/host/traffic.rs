//! What toy nodes send each other to show what became of it: datagrams that bear numbers, and streams.
//!
//! `send ADDRESS COUNT PAUSE_US` (numbered datagrams), `gathered` (the numbers that came; forgets them), `echo ADDRESS COUNT` (round trips over one
//! connection, the shortest and longest in microseconds), `push ADDRESS KIB` (a stream that its receiver
//! compares byte for byte; answers how many milliseconds it took), `pushed` (how many streams came whole, and
//! how many did not).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

static GATHERED: Mutex<Vec<String>> = Mutex::new(vec![]);
static WHOLE: AtomicUsize = AtomicUsize::new(0);
static TORN: AtomicUsize = AtomicUsize::new(0);
/// Generous: it only bounds how long a failing test hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Gathers datagrams from now on.
pub fn gather(address: SocketAddr) {
    // Where a proxy isolates nodes it keeps this port from others; there are no packets to look at.
    let Ok(socket) = UdpSocket::bind(address) else { return };
    thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok(length) = socket.recv(&mut buffer) {
            let number = u32::from_be_bytes(buffer[..4].try_into().expect("four bytes"));
            let is_whole = buffer[4..length].iter().all(|byte| *byte == number as u8);
            let number = if is_whole { number.to_string() } else { "mangled".into() };
            GATHERED.lock().unwrap().push(number);
        }
    });
}

/// Does what the line says, if it is about traffic.
pub fn obey(words: &[&str]) -> Option<String> {
    let said = match words[..] {
        ["send", address, count, pause] => send(address, number(count), Duration::from_micros(number(pause))),
        ["gathered"] => Ok(std::mem::take(&mut *GATHERED.lock().unwrap()).join(",")),
        ["echo", address, count] => echo(address, number(count)),
        ["push", address, kib] => push(address, number(kib)),
        ["pushed"] => Ok(format!("{} {}", WHOLE.load(SeqCst), TORN.load(SeqCst))),
        _ => return None,
    };
    Some(said.unwrap_or_else(|error| format!("cut: {error}")))
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

fn send(address: &str, count: u64, pause: Duration) -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    for number in 0..count as u32 {
        let mut datagram = number.to_be_bytes().to_vec();
        datagram.resize(200, number as u8);
        socket.send_to(&datagram, address)?;
        thread::sleep(pause);
    }
    Ok("sent".into())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address.parse().expect("an address"), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn echo(address: &str, count: u64) -> io::Result<String> {
    let mut stream = connect(address)?;
    let mut times = vec![];
    for _ in 0..count {
        let began = Instant::now();
        stream.write_all(b"ping\n")?;
        stream.read_exact(&mut [0; 5])?;
        times.push(began.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok(format!("{} {}", times[0], times[times.len() - 1]))
}

/// The line that begins a stream, and what then comes.
fn push(address: &str, kib: u64) -> io::Result<String> {
    let mut stream = connect(address)?;
    let began = Instant::now();
    writeln!(stream, "stream {kib}")?;
    stream.write_all(&(0..kib << 10).map(pattern).collect::<Vec<u8>>())?;
    stream.read_exact(&mut [0; 1])?;
    Ok(began.elapsed().as_millis().to_string())
}

fn pattern(place: u64) -> u8 {
    (place ^ (place >> 8) ^ (place >> 16)) as u8
}

/// Receives a stream of so many kibibytes, and says that it is there.
pub fn receive(mut stream: impl Read, kib: u64, mut answers: impl Write) {
    let mut bytes = vec![0; (kib << 10) as usize];
    let is_whole = stream.read_exact(&mut bytes).is_ok()
        && bytes.iter().enumerate().all(|(place, byte)| *byte == pattern(place as u64));
    if is_whole { &WHOLE } else { &TORN }.fetch_add(1, SeqCst);
    let _ = answers.write_all(b"!");
}
