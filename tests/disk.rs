//! Disks that fail, from outside: programs on a mounted disk, the power cut under them.
//!
//! They need root (or a user namespace in which one is root) and `/dev/fuse`, and say so where they are
//! skipped; `fuse` in `ELENCHUS_REQUIRE` makes a skip a failure. Each test mounts in a mount namespace of its
//! own, which belongs to its thread and to the programs that it starts.
#![cfg(target_os = "linux")]

mod common;

use common::{required, text};
use elenchus::host::disk::harm;
use elenchus::host::disk::{Disk, Lost, probe};
use elenchus_core::fault::{Ailment, Harm, Loss};
use elenchus_core::random::Seed;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with a disk mounted upon it.
struct Rig {
    disk: Option<Disk>,
    point: PathBuf,
}

impl Rig {
    /// `None`: this machine cannot, and may not be able to.
    fn new(name: &str) -> Option<Rig> {
        let private = || -> nix::Result<()> {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        };
        let refused = match (probe(), private()) {
            (Err(why), _) => Some(why),
            (_, Err(errno)) => Some(format!("no mount namespace of our own: {errno}")),
            _ => None,
        };
        if let Some(why) = refused {
            assert!(!required("fuse"), "ELENCHUS_REQUIRE names fuse: {why}");
            eprintln!("skipped: {why}");
            return None;
        }
        Some(Rig::on(name))
    }

    fn on(name: &str) -> Rig {
        let point = std::env::temp_dir().join(format!("elenchus-disk-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&point).expect("a temporary folder");
        let disk = Disk::mount(&point, &point).expect("the probe said that it can be mounted");
        Rig { disk: Some(disk), point }
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("it is mounted")
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.point.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a program in Python to its end, on the disk. Returns what it printed.
    #[track_caller]
    fn python(&self, program: &str) -> String {
        let mut running = python(&self.point, program);
        let mut said = String::new();
        running.1.read_to_string(&mut said).expect("text");
        assert!(running.0.wait().expect("it ends").success(), "the program failed; it said: {said}");
        said.trim().to_owned()
    }

    /// Runs a program until it has nothing more to do, kills it, and cuts the power.
    #[track_caller]
    fn power_loss(&self, program: &str, loss: Loss) -> Lost {
        let mut running = python(
            &self.point,
            &format!("{program}\nprint('ready', flush=True)\nimport time\ntime.sleep(60)"),
        );
        let mut line = String::new();
        running.1.read_line(&mut line).expect("text");
        assert_eq!(line.trim(), "ready", "the program failed");
        running.0.kill().expect("it runs");
        running.0.wait().expect("it is gone");
        self.disk().power_off(loss).expect("the power goes")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.disk = None;
        let _ = std::fs::remove_dir_all(&self.point);
    }
}

fn python(folder: &Path, program: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new("python3");
    command.args(["-c", &format!("import os, sys, mmap, errno\n{program}")]).current_dir(folder);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("python3 is installed");
    let said = BufReader::new(child.stdout.take().expect("it was asked for"));
    (child, said)
}

#[test]
fn what_was_synced_survives_and_nothing_else() {
    let Some(rig) = Rig::new("synced") else { return };
    let lost = rig.power_loss(
        r"
def write(name, data, flags=0):
    fd = os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o644)
    assert os.write(fd, data) == len(data)
    return fd
os.fsync(write('synced', b's' * 10))
write('never', b'n' * 100)
os.close(write('closed', b'c' * 100))
fd = write('appended', b'kept,'); os.fdatasync(fd); os.write(fd, b'lost')
write('each', b'd' * 10, os.O_DSYNC)
os.pwritev(write('one', b''), [b'w' * 10], 0, os.RWF_DSYNC)
fd = write('overwritten', b'old old old'); os.fsync(fd); os.pwrite(fd, b'NEW', 4)
os.fsync(write('config', b'old')); os.close(write('config.new', b'new')); os.rename('config.new', 'config')
os.rename('never', 'never renamed')
fd = write('reserved', b''); os.posix_fallocate(fd, 0, 5000); os.pwrite(fd, b'gone', 100)
fd = write('cut', b'0123456789'); os.fsync(fd); os.ftruncate(fd, 4); os.lseek(fd, 0, 2); os.write(fd, b'lost')
os.fsync(write('replaced', b'old')); open('replaced', 'w').write('new')
os.mkdir('folder'); os.symlink('synced', 'link'); os.link('synced', 'other name')
",
        Loss::Unsynced,
    );
    assert_eq!(rig.file("synced"), [b's'; 10]);
    assert_eq!(rig.file("never renamed"), b"");
    assert_eq!(rig.file("closed"), b"");
    assert_eq!(rig.file("appended"), b"kept,");
    assert_eq!(rig.file("each"), [b'd'; 10]);
    assert_eq!(rig.file("one"), [b'w'; 10]);
    assert_eq!(rig.file("overwritten"), b"old old old");
    assert_eq!(rig.file("config"), b"new");
    assert_eq!(rig.file("reserved"), [0; 5000]);
    assert_eq!(rig.file("cut"), b"0123");
    assert_eq!(rig.file("replaced"), b"new");
    assert_eq!(rig.file("link"), rig.file("other name"));
    assert!(!rig.point.join("never").exists() && rig.point.join("folder").is_dir());
    assert_eq!(lost, Lost { bytes: 100 + 100 + 4 + 3 + 4 + 4, files: 6 });
    assert_eq!(rig.disk().power_off(Loss::Unsynced).expect("again"), Lost::default());
    // The same, as a process sees it that comes afterwards.
    assert_eq!(rig.python("print(open('appended').read(), os.stat('appended').st_size)"), "kept, 5");
}

#[test]
fn mapped_pages_are_durable_once_they_are_synced() {
    let Some(rig) = Rig::new("mapped") else { return };
    rig.power_loss(
        r"
def mapped(name):
    fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, 16384); os.fsync(fd)
    return mmap.mmap(fd, 16384)
synced = mapped('synced'); synced[5000:5006] = b'synced'; synced.flush()
dirty = mapped('dirty'); dirty[5000:5005] = b'dirty'
assert open('dirty', 'rb').read()[5000:5005] == b'dirty'
",
        Loss::Unsynced,
    );
    assert_eq!(&rig.file("synced")[5000..5006], b"synced");
    assert_eq!(rig.file("dirty"), vec![0; 16384]);
    let read = "m = mmap.mmap(os.open('dirty', os.O_RDWR), 16384); print(m[5000:5005] == bytes(5))";
    assert_eq!(rig.python(read), "True", "the kernel kept a page of what was lost");
}

#[test]
fn what_was_read_before_the_power_went_is_not_remembered() {
    let Some(rig) = Rig::new("cached") else { return };
    std::fs::write(rig.point.join("file"), b"first").expect("a file");
    std::fs::File::open(rig.point.join("file")).expect("it is there").sync_all().expect("synced");
    // Somebody who keeps it open sees it change too.
    let mut open = std::fs::File::open(rig.point.join("file")).expect("it is there");
    rig.power_loss("f = open('file', 'r+'); f.write('later and longer'); f.flush()", Loss::Unsynced);
    let mut content = String::new();
    open.read_to_string(&mut content).expect("text");
    assert_eq!(content, "first");
    assert_eq!(rig.file("file"), b"first");
    assert_eq!(std::fs::metadata(rig.point.join("file")).expect("it is there").len(), 5);
}

#[test]
fn the_last_write_is_torn_between_two_sectors() {
    let Some(rig) = Rig::new("torn") else { return };
    let lost = rig.power_loss(
        "f = open('log', 'wb', buffering=0); f.write(b'a' * 512); os.fsync(f); f.write(b'b' * 4096)",
        Loss::Torn,
    );
    let log = rig.file("log");
    assert_eq!((log.len(), lost), (512 + 2048, Lost { bytes: 2048, files: 1 }));
    assert!(log[..512].iter().all(|b| *b == b'a') && log[512..].iter().all(|b| *b == b'b'));
}

#[test]
fn a_failing_disk_says_so_and_a_cured_one_works() {
    let Some(rig) = Rig::new("failing") else { return };
    let attempt = r"
def attempt(act):
    try: act(); return 'ok'
    except OSError as e: return errno.errorcode[e.errno]
fd = os.open('file', os.O_RDWR | os.O_CREAT, 0o644)
print(attempt(lambda: os.write(fd, b'x')), attempt(lambda: os.fsync(fd)), attempt(lambda: os.fdatasync(fd)))
";
    assert_eq!(rig.disk().ail(Some(Ailment::Failing)), 0);
    assert_eq!(rig.python(attempt), "EIO EIO EIO");
    assert_eq!(rig.disk().ail(None), 3);
    assert_eq!(rig.python(attempt), "ok ok ok");
    assert_eq!(rig.disk().ail(None), 0);
}

#[test]
fn a_full_disk_takes_what_needs_no_room() {
    let Some(rig) = Rig::new("full") else { return };
    let attempt = r"
def attempt(act):
    try: act(); return 'ok'
    except OSError as e: return errno.errorcode[e.errno]
fd = os.open('file', os.O_RDWR | os.O_CREAT, 0o644)
over = attempt(lambda: os.pwrite(fd, b'inside', 10))
grow = attempt(lambda: os.pwrite(fd, b'beyond', 98))
room = attempt(lambda: os.posix_fallocate(fd, 0, 1000))
print(over, grow, room, attempt(lambda: os.fsync(fd)), os.statvfs('.').f_bavail > 0)
";
    std::fs::write(rig.point.join("file"), [0; 100]).expect("a file");
    rig.disk().ail(Some(Ailment::Full));
    assert_eq!(rig.python(attempt), "ok ENOSPC ENOSPC ok False");
    assert_eq!(rig.disk().ail(None), 2);
    assert_eq!(rig.python(attempt), "ok ok ok ok True");
}

#[test]
fn a_slow_sync_takes_its_time_and_keeps_nobody_else_waiting() {
    let Some(rig) = Rig::new("slow") else { return };
    let sync = r"
import time
fd = os.open('file', os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, b'x' * 10)
begun = time.monotonic(); os.fsync(fd); print(time.monotonic() - begun)
";
    let seconds = |said: &str| said.parse::<f64>().expect("a number");
    rig.disk().ail(Some(Ailment::SlowSync { ms: 700 }));
    let took = seconds(&rig.python(sync));
    assert!((0.7..20.0).contains(&took), "{took}");

    // While several sync, others read and write; the cure ends their wait.
    rig.disk().ail(Some(Ailment::SlowSync { ms: 60_000 }));
    let begun = Instant::now();
    let mut waiting: Vec<_> = (0..4).map(|_| python(&rig.point, sync)).collect();
    let asked = Instant::now();
    while rig.file("file").len() < 10 || asked.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::write(rig.point.join("other"), b"not kept waiting").expect("a file");
    // Those that have not come to their sync yet find a healthy disk.
    assert!(rig.disk().ail(None) <= 4);
    for (child, _) in &mut waiting {
        assert!(child.wait().expect("it ends").success());
    }
    assert!(begun.elapsed() < Duration::from_secs(50));
}

#[test]
fn two_disks_fail_apart() {
    let Some(one) = Rig::new("one") else { return };
    let other = Rig::on("other");
    other.disk().ail(Some(Ailment::Failing));
    let lost = one.power_loss("f = open('f', 'w'); f.write('lost'); f.flush()", Loss::Unsynced);
    assert_eq!(lost, Lost { bytes: 4, files: 1 });
    assert!(std::fs::write(other.point.join("f"), b"x").is_err());
    other.disk().ail(None);
    let write = "f = open('f', 'w'); f.write('kept'); f.close()";
    other.python(write);
    one.power_loss("", Loss::Unsynced);
    assert_eq!(other.file("f"), b"kept");
}

#[test]
fn a_disk_that_is_put_away_leaves_its_files_and_no_mount() {
    let Some(mut rig) = Rig::new("away") else { return };
    rig.python("f = open('f', 'w'); f.write('written out'); f.close()");
    let mounts = || std::fs::read_to_string("/proc/thread-self/mountinfo").expect("/proc");
    let point = rig.point.to_str().expect("text").to_owned();
    assert!(mounts().contains(&point));
    // A file that is still open does not keep the mount.
    let open = std::fs::File::open(rig.point.join("f")).expect("it is there");
    rig.disk = None;
    assert!(!mounts().contains(&point));
    assert_eq!(rig.file("f"), b"written out");
    drop(open);
}

#[test]
fn files_damaged_under_a_disk_are_damaged_for_good() {
    let Some(rig) = Rig::new("harm") else { return };
    let copy = rig.point.with_extension("copy");
    rig.python("f = open('log', 'w'); f.write('x' * 1000); f.flush(); os.fsync(f)");
    harm::keep(&rig.point, &copy).expect("a copy");
    let damage = |harm| harm::damage(&rig.point, harm, &copy, Seed(1)).expect("damaged");
    assert!(damage(Harm::BitFlip).contains("log"));
    damage(Harm::Truncate);
    let lost = rig.disk().power_off(Loss::Unsynced).expect("the power goes");
    assert_eq!(lost, Lost::default());
    assert!(rig.file("log").len() < 1000);
    damage(Harm::Rollback);
    rig.disk().power_off(Loss::Unsynced).expect("the power goes");
    assert_eq!(rig.file("log"), [b'x'; 1000]);
    std::fs::remove_dir_all(&copy).expect("our own copy");
}

#[test]
fn what_stores_do_with_files_works() {
    let Some(rig) = Rig::new("works") else { return };
    let said = rig.python(
        r"
import fcntl, socket, sqlite3, stat
fd = os.open('lock', os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(fd, fcntl.LOCK_EX)
other = os.open('lock', os.O_RDWR)
try: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB); print('locked twice')
except BlockingIOError: pass
fcntl.lockf(fd, fcntl.LOCK_EX)
assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
os.fchmod(fd, 0o640); assert stat.S_IMODE(os.stat('lock').st_mode) == 0o640
os.utime('lock', (1, 2)); assert os.stat('lock').st_mtime == 2

for i in range(1500): open(f'many-{i}', 'w').close()
assert sum(name.startswith('many-') for name in os.listdir('.')) == 1500
for i in range(1500): os.unlink(f'many-{i}')

os.makedirs('a/b/c'); os.rename('a/b', 'moved'); assert os.listdir('moved') == ['c']
try: os.rmdir('moved'); print('removed')
except OSError as e: assert e.errno == errno.ENOTEMPTY
os.symlink('nowhere', 'dangling'); assert os.readlink('dangling') == 'nowhere'
try: os.getxattr('lock', 'user.x'); print('attribute')
except OSError as e: assert e.errno == errno.ENOTSUP
socket.socket(socket.AF_UNIX).bind('socket'); os.mkfifo('pipe')
f = open('gone', 'w+'); f.write('still here'); os.unlink('gone'); f.seek(0); assert f.read() == 'still here'

direct = os.open('direct', os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
page = mmap.mmap(-1, 4096); page[:] = b'd' * 4096
assert os.write(direct, page) == 4096
assert open('direct', 'rb').read() == b'd' * 4096
log = os.open('append', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for i in range(3): os.write(log, b'line\n')
assert open('append').read() == 'line\n' * 3
FALLOC_KEEP_AND_PUNCH = 3
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
long = ctypes.c_long
if libc.fallocate(direct, FALLOC_KEEP_AND_PUNCH, long(0), long(2048)) == 0:
    assert open('direct', 'rb').read() == bytes(2048) + b'd' * 2048

db = sqlite3.connect('db'); db.execute('pragma journal_mode=wal'); db.execute('create table t (x)')
for i in range(10): db.execute('insert into t values (?)', (i,)); db.commit()
db.close()
assert sqlite3.connect('db').execute('select count(*) from t').fetchone() == (10,)
print('all of it')
",
    );
    assert_eq!(said, "all of it");
}

#[test]
fn what_sqlite_has_committed_survives() {
    let Some(rig) = Rig::new("sqlite") else { return };
    for mode in ["delete", "wal", "truncate", "persist"] {
        for loss in [Loss::Unsynced, Loss::Torn] {
            let program = format!(
                "import sqlite3\ndb = sqlite3.connect('{mode}.db', isolation_level=None)\n\
                 db.execute('pragma journal_mode={mode}'); db.execute('pragma synchronous=full')\n\
                 db.execute('create table if not exists t (x)')\n\
                 for i in range(20): db.execute('insert into t values (?)', ('x' * 500,))\n\
                 db.execute('begin'); db.execute('insert into t values (1)')"
            );
            rig.power_loss(&program, loss);
        }
        let look = format!(
            "import sqlite3\ndb = sqlite3.connect('{mode}.db')\n\
             print(db.execute('select count(*) from t').fetchone()[0], \
             db.execute('pragma integrity_check').fetchone()[0])"
        );
        assert_eq!(rig.python(&look), "40 ok", "{mode}");
    }
}

#[test]
fn a_process_that_waits_for_a_slow_sync_can_be_killed_in_time() {
    let Some(rig) = Rig::new("killed") else { return };
    rig.disk().ail(Some(Ailment::SlowSync { ms: 1_500 }));
    let (mut child, mut said) = python(
        &rig.point,
        "f = open('f', 'w'); f.write('x'); f.flush(); print('syncing', flush=True); os.fsync(f); print('synced')",
    );
    let mut line = String::new();
    said.read_line(&mut line).expect("text");
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    child.kill().expect("it runs");
    let output = child.wait().expect("it is gone");
    assert!(begun.elapsed() < Duration::from_secs(20) && !output.success());
    let mut rest = vec![];
    said.read_to_end(&mut rest).expect("bytes");
    assert_eq!(text(&rest), "");
}
