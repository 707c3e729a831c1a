//! The stub: machine code that answers for the clock functions of a vDSO, and the jump that leads to it.
//!
//! Its source is `x86_64.s` and `aarch64.s` beside this file, assembled into this very program, whose bytes
//! are copied into others. On other processors there is none, and no clock lies. A function of the stub
//! makes the real system call and then shifts what it answered, for the wall clocks alone: REALTIME, its
//! COARSE and ALARM relatives, and TAI.
//!
//! A jump begins with what may be reached by a call where the processor wants to see that (`bti c` of
//! aarch64), and goes through a register that a call may clobber.

/// A function of a vDSO and its answer in the stub.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name there.
    pub name: &'static str,
    /// Where its answer begins, from the beginning of the stub.
    pub at: u64,
}

/// Bytes from the beginning of the stub to that of its variables: whole pages, whatever their size.
pub const VARIABLES: u64 = 0x10000;

pub use arch::*;

#[cfg(target_arch = "x86_64")]
mod arch {
    use super::Entry;

    core::arch::global_asm!(include_str!("x86_64.s"));

    /// The machine that an ELF image must be for.
    pub const MACHINE: u16 = 62;
    /// The instruction that makes a system call.
    pub const SYSCALL: &[u8] = &[0x0f, 0x05];
    /// At multiples of what instructions begin.
    pub const ALIGN: usize = 1;
    /// How many bytes a jump takes.
    pub const JUMP: usize = 12;
    /// The function without which nothing is gained.
    pub const ESSENTIAL: &str = "__vdso_clock_gettime";

    unsafe extern "C" {
        static elenchus_stub_begin: u8;
        static elenchus_stub_end: u8;
        static elenchus_stub_clock_gettime: u8;
        static elenchus_stub_gettimeofday: u8;
        static elenchus_stub_time: u8;
    }

    pub(super) fn bounds() -> (*const u8, *const u8) {
        (&raw const elenchus_stub_begin, &raw const elenchus_stub_end)
    }

    /// The functions that are answered for.
    pub fn entries() -> Vec<Entry> {
        let at = |label: *const u8| label as u64 - bounds().0 as u64;
        vec![
            Entry { name: ESSENTIAL, at: at(&raw const elenchus_stub_clock_gettime) },
            Entry { name: "__vdso_gettimeofday", at: at(&raw const elenchus_stub_gettimeofday) },
            Entry { name: "__vdso_time", at: at(&raw const elenchus_stub_time) },
        ]
    }

    /// The jump to an address: `mov rax, imm64; jmp rax`.
    pub fn jump(to: u64) -> [u8; JUMP] {
        let mut bytes = [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0];
        bytes[2..10].copy_from_slice(&to.to_le_bytes());
        bytes
    }

    /// Where such a jump leads.
    pub fn destination(bytes: &[u8; JUMP]) -> Option<u64> {
        let to = u64::from_le_bytes(*bytes[2..].first_chunk()?);
        (jump(to) == *bytes).then_some(to)
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    use super::Entry;

    core::arch::global_asm!(include_str!("aarch64.s"));

    /// The machine that an ELF image must be for.
    pub const MACHINE: u16 = 183;
    /// The instruction that makes a system call: `svc #0`.
    pub const SYSCALL: &[u8] = &[0x01, 0x00, 0x00, 0xd4];
    /// At multiples of what instructions begin.
    pub const ALIGN: usize = 4;
    /// How many bytes a jump takes.
    pub const JUMP: usize = 20;
    /// The function without which nothing is gained.
    pub const ESSENTIAL: &str = "__kernel_clock_gettime";

    unsafe extern "C" {
        static elenchus_stub_begin: u8;
        static elenchus_stub_end: u8;
        static elenchus_stub_clock_gettime: u8;
        static elenchus_stub_gettimeofday: u8;
    }

    pub(super) fn bounds() -> (*const u8, *const u8) {
        (&raw const elenchus_stub_begin, &raw const elenchus_stub_end)
    }

    /// The functions that are answered for.
    pub fn entries() -> Vec<Entry> {
        let at = |label: *const u8| label as u64 - bounds().0 as u64;
        vec![
            Entry { name: ESSENTIAL, at: at(&raw const elenchus_stub_clock_gettime) },
            Entry { name: "__kernel_gettimeofday", at: at(&raw const elenchus_stub_gettimeofday) },
        ]
    }

    /// `bti c; ldr x16, .+8; br x16`; the address follows.
    const HEAD: [u8; 12] = [0x5f, 0x24, 0x03, 0xd5, 0x50, 0x00, 0x00, 0x58, 0x00, 0x02, 0x1f, 0xd6];

    /// The jump to an address.
    pub fn jump(to: u64) -> [u8; JUMP] {
        let mut bytes = [0; JUMP];
        bytes[..12].copy_from_slice(&HEAD);
        bytes[12..].copy_from_slice(&to.to_le_bytes());
        bytes
    }

    /// Where such a jump leads.
    pub fn destination(bytes: &[u8; JUMP]) -> Option<u64> {
        let to = u64::from_le_bytes(*bytes[12..].first_chunk()?);
        (jump(to) == *bytes).then_some(to)
    }
}

/// The bytes of the stub.
pub fn code() -> &'static [u8] {
    let (begin, end) = bounds();
    // SAFETY: the labels enclose instructions of this program, which nobody writes.
    unsafe { std::slice::from_raw_parts(begin, end.offset_from_unsigned(begin)) }
}

#[cfg(test)]
mod tests;
