//! The patch of one process: its vDSO's clock functions lead into a stub that lies as its variables say.
//!
//! The process itself is made to map a block: the stub with the bytes that it displaced, which nobody can
//! write, and behind it the variables. The variables are shared with whatever the process forks, which
//! inherits the patch with all else: one writing makes all of them lie, or tell the truth. A new program
//! (`exec`) begins without. The block stays when the patch is removed, for no thread may be sure to have left
//! it, and serves the next one.
//!
//! A patch is known by what lies in memory and by nothing else, so that it is found again in a child, and
//! missed in a process that has the number of an earlier one or has executed another program.

use super::image::{self, Function, Image, ImageError};
use super::lie::Lie;
use super::memory;
use super::stub::{self, Entry};
use super::tracee::{Standstill, TraceError};
use super::variables::{self, Shown};
use nix::errno::Errno;
use nix::libc;
use std::fs;
use std::ops::Range;
use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

/// Why a process cannot be patched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// It cannot be traced.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Its vDSO is not understood.
    #[error("process {0}: {1}")]
    Image(i32, ImageError),
    /// It has none.
    #[error("process {0} has no vDSO: it asks the kernel itself for the time")]
    NoVdso(i32),
    /// A function is shorter than a jump.
    #[error("process {0}: {1} of its vDSO is too short to be patched")]
    Short(i32, &'static str),
    /// It filters its own system calls.
    #[error(
        "process {0} filters its own system calls (seccomp), and one made in its name could be the end of it"
    )]
    Sandboxed(i32),
}

impl PatchError {
    /// Whether the process ended, which is nobody's fault.
    pub fn is_gone(&self) -> bool {
        matches!(self, PatchError::Trace(TraceError::Gone(_)))
    }

    /// Whether it may be otherwise in a moment: its memory changed while it was looked at.
    pub fn is_passing(&self) -> bool {
        let passing = [Errno::EFAULT, Errno::EIO];
        matches!(self, PatchError::Trace(TraceError::Failed { errno, .. }) if passing.contains(errno))
    }
}

/// A patched process, or one that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pid: i32,
    /// Where the stub begins.
    block: u64,
    /// The functions that lead into it.
    hooks: Vec<Hook>,
}

/// A function of the vDSO that leads, or led, into the stub.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hook {
    function: Function,
    entry: u64,
}

impl Hook {
    fn range(&self) -> Range<u64> {
        self.function.at..self.function.at + self.function.length
    }
}

/// The bytes that a function had where its jump is now, in the order of the hooks, begin here.
fn displaced(place: usize) -> u64 {
    (stub::code().len() + place * stub::JUMP.next_multiple_of(8)) as u64
}

impl Patch {
    /// The patch that lies in the memory of this process, if there is one.
    pub fn find(pid: i32) -> Result<Option<Patch>, PatchError> {
        let (functions, _) = look(pid)?;
        let hooks = hooks(pid, functions)?;
        let essential = &hooks[0];
        let Some(block) = destination(pid, essential)? else { return Ok(None) };
        let patch = Patch { pid, block, hooks };
        Ok(patch.has_stub()?.then_some(patch))
    }

    /// Patches a process so that it lies from its next read on. It stands still meanwhile. `block` may be the
    /// one of an earlier patch.
    pub fn install(pid: i32, block: Option<u64>, lie: &Lie, deadline: Instant) -> Result<Patch, PatchError> {
        if is_sandboxed(pid) {
            return Err(PatchError::Sandboxed(pid));
        }
        let mut still = Standstill::new(pid, deadline)?;
        // Only now can it execute no other program any more.
        let (functions, syscall) = look(pid)?;
        let mut patch = Patch { pid, block: block.unwrap_or_default(), hooks: hooks(pid, functions)? };
        if block.is_none() || !patch.has_stub()? {
            patch.block = map(&mut still, syscall.ok_or(PatchError::NoVdso(pid))?)?;
            still.write(patch.block, stub::code())?;
        }
        patch.set(lie)?;
        still.clear(&patch.ranges())?;
        // Whoever had to be let loose for that may have executed another program.
        if !patch.has_stub()? {
            return Err(failed(pid, Errno::EFAULT));
        }
        for (place, hook) in patch.hooks.iter().enumerate() {
            let original = still.read(hook.function.at, stub::JUMP)?;
            still.write(patch.block + displaced(place), &original)?;
        }
        for hook in &patch.hooks {
            still.write(hook.function.at, &stub::jump(patch.block + hook.entry))?;
        }
        Ok(patch)
    }

    /// Puts the functions back as they were. The process stands still meanwhile.
    pub fn remove(&self, deadline: Instant) -> Result<(), PatchError> {
        let mut still = Standstill::new(self.pid, deadline)?;
        if !self.stands()? {
            return Ok(());
        }
        still.clear(&self.ranges())?;
        // As above: a new program has its own clock.
        if !self.stands()? {
            return Ok(());
        }
        for (place, hook) in self.hooks.iter().enumerate() {
            let original = still.read(self.block + displaced(place), stub::JUMP)?;
            still.write(hook.function.at, &original)?;
        }
        Ok(())
    }

    /// Whether the process is still the one that was patched, running the same program, and its clock leads
    /// into the stub.
    pub fn stands(&self) -> Result<bool, PatchError> {
        Ok(destination(self.pid, &self.hooks[0])? == Some(self.block) && self.has_stub()?)
    }

    /// Makes the clock lie so, without stopping anybody.
    pub fn set(&self, lie: &Lie) -> Result<(), PatchError> {
        let now = self.variables()?;
        if variables::say(&now, lie) {
            return Ok(());
        }
        for (at, bytes) in variables::writes(&now, lie) {
            let to = self.block + stub::VARIABLES + at;
            memory::write(self.pid, to, &bytes).map_err(|errno| failed(self.pid, errno))?;
            // What was written must be seen before what names it.
            fence(Ordering::SeqCst);
        }
        Ok(())
    }

    /// What the process was shown under its present lie.
    pub fn shown(&self) -> Result<Shown, PatchError> {
        Ok(variables::shown(&self.variables()?))
    }

    /// Where its stub is.
    pub fn block(&self) -> u64 {
        self.block
    }

    fn variables(&self) -> Result<[u8; variables::SIZE], PatchError> {
        let bytes = read(self.pid, self.block + stub::VARIABLES, variables::SIZE)?;
        Ok(bytes.try_into().expect("as many as were asked for"))
    }

    fn has_stub(&self) -> Result<bool, PatchError> {
        match memory::read(self.pid, self.block, stub::code().len()) {
            Ok(bytes) => Ok(bytes == stub::code()),
            Err(Errno::EFAULT) => Ok(false),
            Err(errno) => Err(failed(self.pid, errno)),
        }
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.hooks.iter().map(Hook::range).collect()
    }
}

/// The clock functions of a process's vDSO, and an instruction in there that calls the kernel.
fn look(pid: i32) -> Result<(Vec<Function>, Option<u64>), PatchError> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"));
    let maps =
        maps.map_err(|error| failed(pid, Errno::from_raw(error.raw_os_error().unwrap_or_default())))?;
    if maps.is_empty() {
        return Err(TraceError::Gone(pid).into());
    }
    let range = image::range(&maps).ok_or(PatchError::NoVdso(pid))?;
    let bytes = read(pid, range.start, (range.end - range.start) as usize)?;
    let broken = |error| PatchError::Image(pid, error);
    let image = Image::new(&bytes, range.start, stub::MACHINE).map_err(broken)?;
    let names: Vec<&'static str> = stub::entries().iter().map(|entry| entry.name).collect();
    Ok((image.functions(&names), image.find(stub::SYSCALL, stub::ALIGN)))
}

/// What of the vDSO is to lead where in the stub; the essential function comes first.
fn hooks(pid: i32, functions: Vec<Function>) -> Result<Vec<Hook>, PatchError> {
    let mut hooks = vec![];
    for Entry { name, at } in stub::entries() {
        match functions.iter().find(|function| function.name == name) {
            Some(function) if function.length < stub::JUMP as u64 => {
                return Err(PatchError::Short(pid, name));
            }
            Some(function) => hooks.push(Hook { function: function.clone(), entry: at }),
            None if name == stub::ESSENTIAL => {
                return Err(PatchError::Image(pid, ImageError::Missing(name)));
            }
            None => {}
        }
    }
    Ok(hooks)
}

/// The block into which this function leads, if it does.
fn destination(pid: i32, hook: &Hook) -> Result<Option<u64>, PatchError> {
    match memory::read(pid, hook.function.at, stub::JUMP) {
        Ok(bytes) => {
            let to = stub::destination(&bytes.try_into().expect("as many as were asked for"));
            Ok(to.and_then(|to| to.checked_sub(hook.entry)))
        }
        Err(Errno::EFAULT) => Ok(None),
        Err(errno) => Err(failed(pid, errno)),
    }
}

/// Makes the process map a block, with the instruction at `syscall`.
fn map(still: &mut Standstill, syscall: u64) -> Result<u64, PatchError> {
    let nothing = u64::MAX; // no file
    let code = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    let size = 2 * stub::VARIABLES;
    let block = still.call(syscall, libc::SYS_mmap, [0, size, code, private, nothing, 0])?;
    let data = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
    let at = block + stub::VARIABLES;
    let mapped = still.call(syscall, libc::SYS_mmap, [at, stub::VARIABLES, data, shared, nothing, 0]);
    if let Err(error) = mapped {
        // Half a block is of no use; if it cannot be given back it does no harm.
        let _ = still.call(syscall, libc::SYS_munmap, [block, size, 0, 0, 0, 0]);
        return Err(error.into());
    }
    Ok(block)
}

/// Whether the process has more filters of system calls than we have ourselves.
fn is_sandboxed(pid: i32) -> bool {
    filters(&format!("/proc/{pid}/status")) > filters("/proc/self/status")
}

/// How many filters of system calls a process has; of old kernels only whether it has any.
fn filters(path: &str) -> u32 {
    let status = fs::read_to_string(path).unwrap_or_default();
    let number = |key| status.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    number("Seccomp_filters:").or_else(|| number("Seccomp:")).unwrap_or_default()
}

fn read(pid: i32, at: u64, length: usize) -> Result<Vec<u8>, PatchError> {
    memory::read(pid, at, length).map_err(|errno| failed(pid, errno))
}

fn failed(pid: i32, errno: Errno) -> PatchError {
    let error = match errno {
        Errno::ESRCH | Errno::ENOENT => TraceError::Gone(pid),
        Errno::EPERM | Errno::EACCES => TraceError::refused(pid, errno),
        errno => TraceError::Failed { pid, what: "its memory", errno },
    };
    error.into()
}
