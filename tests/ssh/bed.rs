//! Five hosts on one network, made of namespaces; each can lose its cable, its `sshd`, its disk's last byte, its power.
//!
//! A host is an init of ours in namespaces of its own: it lays a small disk over `/var/tmp`, an `/etc` of its own over
//! the machine's, and reaps whatever dies. Killing it is a power cut. What is kept in the bed's folder (host keys)
//! survives that, what lies on the small disk does not.

use elenchus_core::process::NodeId;
use elenchus_systems::described::hosts::{Place, Ssh};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

/// Where the bed keeps its things: a file system in memory, in our own mount namespace.
const FOLDER: &str = "/mnt";
/// Where the machine's control groups are shown to hosts.
pub const CONTROL_GROUPS: &str = "/mnt/cgroup";
/// The size of a host's disk. etcd alone lays out twice 64 MB before its first entry.
const DISK: &str = "400m";
/// `tester`'s password there is `open sesame`, in crypt's words.
pub const PASSWORD: &str = "open sesame";
const SHADOW: &str = "tester:$6$bed$uXSaZilS8MJt5T5rpdqbQYFRpOmg0rxQJhxplnR/XVvCfFIlPyDWci36a.VR10YeXxdTqYqmmdHYowB9k71va0:19000:0:99999:7:::";

/// The hosts n1, n2…, at 10.77.0.1, 10.77.0.2…
pub struct Bed {
    pub folder: PathBuf,
    hosts: RefCell<Vec<Option<Child>>>,
}

impl Bed {
    /// Makes the network and starts the hosts. To be called in namespaces of our own.
    pub fn make(count: usize) -> Bed {
        let folder = PathBuf::from(FOLDER);
        must("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", FOLDER]);
        must("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]);
        show_control_groups();
        must("ip", &["link", "set", "lo", "up"]);
        must("ip", &["link", "add", "br0", "type", "bridge"]);
        must("ip", &["addr", "add", "10.77.0.254/24", "dev", "br0"]);
        must("ip", &["link", "set", "br0", "up"]);
        for key in ["user", "stranger"] {
            keygen(&folder.join(key), "");
        }
        keygen(&folder.join("locked"), "a passphrase");
        let public = ["user", "locked"]
            .map(|key| fs::read_to_string(folder.join(format!("{key}.pub"))).expect("a key"));
        fs::write(folder.join("authorized_keys"), public.concat()).expect("our own folder");
        fs::create_dir_all(folder.join("home/.ssh")).expect("our own folder");
        let bed = Bed { folder, hosts: RefCell::default() };
        let mut known = String::new();
        for i in 1..=count {
            keygen(&bed.folder.join(format!("host{i}")), "");
            let public = fs::read_to_string(bed.folder.join(format!("host{i}.pub"))).expect("a key");
            let mut words = public.split(' ');
            let (kind, key) = (words.next().expect("a kind"), words.next().expect("a key"));
            known.push_str(&format!("{} {kind} {}\n", address(i), key.trim()));
            bed.hosts.borrow_mut().push(None);
            must("ip", &["netns", "add", &format!("n{i}")]);
            bed.plug(i);
        }
        fs::write(bed.folder.join("home/.ssh/known_hosts"), known).expect("our own folder");
        (1..=count).for_each(|i| bed.power_on(i));
        bed
    }

    /// How the tests log in, unless they are about that.
    pub fn ssh(&self) -> Ssh {
        Ssh { key: Some(self.folder.join("user")), ..Ssh::default() }
    }

    /// A host as a campaign names it.
    pub fn place(&self, i: usize) -> Place {
        format!("root@{}", address(i)).parse().expect("a place")
    }

    pub fn node(&self, i: usize) -> NodeId {
        NodeId::new(&format!("n{i}"))
    }

    fn plug(&self, i: usize) {
        let (outer, node, ip) = (format!("v{i}"), format!("n{i}"), format!("{}/24", address(i)));
        must("ip", &["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &node]);
        must("ip", &["link", "set", &outer, "master", "br0", "up"]);
        must("ip", &["-n", &node, "addr", "add", &ip, "dev", "eth0"]);
        must("ip", &["-n", &node, "link", "set", "eth0", "up"]);
        must("ip", &["-n", &node, "link", "set", "lo", "up"]);
    }

    /// Pulls the host's cable, or puts it back.
    pub fn cable(&self, i: usize, is_in: bool) {
        must("ip", &["link", "set", &format!("v{i}"), if is_in { "up" } else { "down" }]);
    }

    /// Starts the host and waits until it listens.
    pub fn power_on(&self, i: usize) {
        let name = format!("n{i}");
        let ready = self.folder.join(format!("{name}.ready"));
        let _ = fs::remove_file(&ready);
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &name,
            "unshare",
            "--fork",
            "--kill-child",
            "--pid",
            "--mount",
            "--uts",
            "--ipc",
        ]);
        command.arg("--mount-proc").arg(this).args(["host", &name, FOLDER]).stdin(Stdio::null());
        let host = command.spawn().expect("ip runs");
        self.hosts.borrow_mut()[i - 1] = Some(host);
        eventually(&format!("{name} is up"), || ready.exists());
        self.start_sshd(i);
    }

    /// Cuts the host's power: whatever runs there is gone.
    pub fn power_off(&self, i: usize) {
        if let Some(mut host) = self.hosts.borrow_mut()[i - 1].take() {
            let init = init_of(&host);
            host.kill().expect("it is ours");
            host.wait().expect("it is ours");
            // Its parent is dead, and we are the init of our own namespace: it is ours to bury.
            let is_buried = |pid| {
                let asked = nix::sys::wait::waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
                !matches!(asked, Ok(WaitStatus::StillAlive))
            };
            eventually("the host is off", || init.is_none_or(is_buried));
        }
    }

    /// Whatever the tests did, all hosts run, listen, and hang on their cables again.
    pub fn restore(&self) {
        let count = self.hosts.borrow().len();
        for i in 1..=count {
            self.cable(i, true);
            let is_on = self.hosts.borrow()[i - 1].is_some();
            match is_on {
                false => self.power_on(i),
                true => {
                    self.of_sshd(i, Signal::SIGCONT);
                    self.empty_disk(i);
                    if self.sshd(i).is_empty() {
                        self.start_sshd(i);
                    }
                }
            }
        }
    }

    /// Runs a shell command on the host, without SSH.
    pub fn shell(&self, i: usize, command: &str) -> Output {
        let init = self.init(i).to_string();
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-t", &init, "-n", "-m", "-p", "-u", "-i", "sh", "-c", command]);
        nsenter.stdin(Stdio::null()).output().expect("nsenter runs")
    }

    pub fn start_sshd(&self, i: usize) {
        let host = format!("{FOLDER}/host{i}");
        let options = [
            "UsePAM=no",
            "StrictModes=no",
            "PidFile=/run/sshd.pid",
            "PasswordAuthentication=yes",
            "PermitRootLogin=prohibit-password",
            "MaxStartups=200",
            "MaxSessions=200",
            "Subsystem=sftp internal-sftp",
            "AuthorizedKeysFile=/mnt/authorized_keys",
        ];
        let options: String = options.iter().map(|option| format!(" -o '{option}'")).collect();
        let said =
            self.shell(i, &format!("/usr/sbin/sshd -f /dev/null -h {host} -E {FOLDER}/sshd{i}.log{options}"));
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let at = (address(i), 22);
        eventually("sshd listens", || std::net::TcpStream::connect((at.0.as_str(), at.1)).is_ok());
    }

    /// Ends the host's `sshd`, with every session.
    pub fn kill_sshd(&self, i: usize) {
        self.of_sshd(i, Signal::SIGKILL);
        eventually("sshd is gone", || self.sshd(i).is_empty());
    }

    /// Stops the host's `sshd` in its tracks: it accepts, and answers nothing.
    pub fn stop_sshd(&self, i: usize) {
        self.of_sshd(i, Signal::SIGSTOP);
    }

    fn of_sshd(&self, i: usize, signal: Signal) {
        for pid in self.sshd(i) {
            // It may have ended of its own.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// The processes of the host that are `sshd`.
    fn sshd(&self, i: usize) -> Vec<i32> {
        let is_sshd =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sshd\n");
        self.pids(i).into_iter().filter(is_sshd).collect()
    }

    /// What runs on the host beside its init and `sshd`: command lines.
    pub fn processes(&self, i: usize) -> Vec<String> {
        let ours = [vec![self.init(i)], self.sshd(i)].concat();
        let line = |pid: i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).replace('\0', " ")
        };
        // Zombies have no command line.
        self.pids(i)
            .into_iter()
            .filter(|pid| !ours.contains(pid))
            .map(line)
            .filter(|l| !l.is_empty())
            .collect()
    }

    fn pids(&self, i: usize) -> Vec<i32> {
        let space = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let Some(own) = space(self.init(i)) else { return vec![] };
        let entries = fs::read_dir("/proc").expect("/proc");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid| space(*pid).as_ref() == Some(&own)).collect()
    }

    /// Fills the host's disk to the last byte.
    pub fn fill_disk(&self, i: usize) {
        self.shell(i, "cat /dev/zero > /var/tmp/filler 2>/dev/null");
    }

    pub fn empty_disk(&self, i: usize) {
        self.shell(i, "rm -f /var/tmp/filler");
    }

    fn init(&self, i: usize) -> i32 {
        let hosts = self.hosts.borrow();
        let host = hosts[i - 1].as_ref().expect("the host is on");
        init_of(host).expect("the host has an init")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let count = self.hosts.borrow().len();
        (1..=count).for_each(|i| self.power_off(i));
    }
}

/// The host's init: the only child of the process that made its namespaces.
fn init_of(host: &Child) -> Option<i32> {
    let pid = host.id();
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The machine's control groups, where hosts find them although `ip netns` hides `/sys`. Helpers make groups below
/// the one that we are in, and nowhere else.
fn show_control_groups() {
    if !Path::new("/sys/fs/cgroup").exists() {
        return;
    }
    fs::create_dir_all(CONTROL_GROUPS).expect("our own folder");
    must("mount", &["--rbind", "/sys/fs/cgroup", CONTROL_GROUPS]);
}

/// Where a host is.
pub fn address(i: usize) -> String {
    format!("10.77.0.{i}")
}

/// Is the init of a host, for ever.
pub fn be_init(name: &str, folder: &Path) -> ExitCode {
    let etc = folder.join(format!("{name}.etc"));
    let (upper, work) = (etc.join("upper"), etc.join("work"));
    for folder in [&upper, &work] {
        fs::create_dir_all(folder).expect("the bed's own folder");
    }
    fs::write("/proc/sys/kernel/hostname", name).expect("a name of our own");
    let layers = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
    must("mount", &["-t", "overlay", "-o", &layers, "overlay", "/etc"]);
    for (place, options) in [("/run", "mode=755"), ("/tmp", "mode=1777"), ("/root", "mode=700")] {
        must("mount", &["-t", "tmpfs", "-o", options, "tmpfs", place]);
    }
    must("mount", &["-t", "tmpfs", "-o", &format!("mode=1777,size={DISK}"), "tmpfs", "/var/tmp"]);
    fs::create_dir_all("/run/sshd").expect("our own folder");
    fs::write("/etc/hostname", format!("{name}\n")).expect("our own folder");
    let hosts: String = (1..=9).map(|i| format!("{} n{i}\n", address(i))).collect();
    fs::write("/etc/hosts", format!("127.0.0.1 localhost\n{hosts}")).expect("our own folder");
    add_line("/etc/passwd", "tester:x:12345:12345::/tmp:/bin/sh");
    add_line("/etc/shadow", SHADOW);
    fs::create_dir_all("/etc/sudoers.d").expect("our own folder");
    fs::write("/etc/sudoers.d/tester", "tester ALL=(ALL) NOPASSWD: ALL\n").expect("our own folder");
    fs::set_permissions("/etc/sudoers.d/tester", fs::Permissions::from_mode(0o440)).expect("our own file");
    fs::write(folder.join(format!("{name}.ready")), "").expect("the bed's own folder");
    loop {
        // Whoever lost its parent is ours.
        if nix::sys::wait::waitpid(None, None).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn add_line(file: &str, line: &str) {
    let text = fs::read_to_string(file).unwrap_or_default();
    if !text.lines().any(|known| known == line) {
        fs::write(file, format!("{text}{line}\n")).expect("our own folder");
    }
}

/// Waits for what must come.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn must(program: &str, arguments: &[&str]) {
    let said = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("it is installed");
    assert!(said.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
}

fn keygen(file: &Path, passphrase: &str) {
    let path = file.to_str().expect("text");
    must("ssh-keygen", &["-q", "-t", "ed25519", "-N", passphrase, "-C", "bed", "-f", path]);
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("our own file");
}
