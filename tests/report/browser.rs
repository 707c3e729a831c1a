//! A page as headless Chromium shows it: console, document after the script ran, screenshot.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the browser made of a page.
pub struct Look {
    /// The document once its script had run.
    pub dom: String,
    /// What the console said.
    pub console: Vec<String>,
    /// What it looked like.
    pub screenshot: PathBuf,
}

/// Whether Chromium is here. Without it browser tests are skipped, unless `ELENCHUS_REQUIRE` names it.
pub fn is_here() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join("chromium").is_file()) {
        return true;
    }
    let required = std::env::var("ELENCHUS_REQUIRE").unwrap_or_default();
    assert!(!required.contains("chromium"), "ELENCHUS_REQUIRE names chromium, and it is not installed");
    eprintln!("skipped: chromium is not installed");
    false
}

/// Opens a page in a window of this size.
pub fn look(page: &Path, (width, height): (u32, u32), dark: bool) -> Look {
    let name = page.file_stem().and_then(|stem| stem.to_str()).unwrap_or("page");
    let scheme = if dark { "dark" } else { "light" };
    let folder = page.parent().expect("a page is in a folder");
    let screenshot = folder.join(format!("{name}-{width}-{scheme}.png"));
    let profile = folder.join(format!("profile-{name}-{width}-{scheme}"));
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--hide-scrollbars", "--enable-logging=stderr", "--v=0"])
        .args(["--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},{height}"))
        .arg(format!("--screenshot={}", screenshot.display()))
        .args(dark.then_some("--blink-settings=preferredColorScheme=0"))
        .arg(format!("file://{}", page.display()));
    let (dom, log) = run(command);
    let _ = std::fs::remove_dir_all(&profile);
    let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    assert!(dom.contains("</html>"), "chromium shows nothing:\n{log}");
    Look { dom, console, screenshot }
}

/// Runs a command to its end, both its streams read; past a minute its whole process group is ended.
fn run(mut command: Command) -> (String, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("chromium can be started");
    let read = |mut stream: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(Box::new(child.stdout.take().expect("it is piped")));
    let log = read(Box::new(child.stderr.take().expect("it is piped")));
    let since = Instant::now();
    while child.try_wait().expect("a child can be waited for").is_none() {
        if since.elapsed() > Duration::from_secs(120) {
            let group = nix::unistd::Pid::from_raw(child.id() as i32);
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            let _ = child.wait();
            panic!("chromium did not end within two minutes");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    (out.join().expect("a reader does not panic"), log.join().expect("a reader does not panic"))
}
