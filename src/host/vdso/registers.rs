//! The registers of a stopped thread, as far as a system call in its name needs them.

use nix::libc::user_regs_struct;

/// A thread's registers.
pub type Registers = user_regs_struct;

/// Where the thread goes on.
#[cfg(target_arch = "x86_64")]
pub fn place(registers: &Registers) -> u64 {
    registers.rip
}

/// What the last system call answered.
#[cfg(target_arch = "x86_64")]
pub fn answer(registers: &Registers) -> i64 {
    registers.rax as i64
}

/// The registers with which the instruction at `at` makes this system call. A call that was interrupted when
/// the thread was stopped is not begun again now, but when the thread has its own registers back.
#[cfg(target_arch = "x86_64")]
pub fn calling(registers: &Registers, at: u64, number: i64, arguments: [u64; 6]) -> Registers {
    let [rdi, rsi, rdx, r10, r8, r9] = arguments;
    Registers { rip: at, rax: number as u64, orig_rax: u64::MAX, rdi, rsi, rdx, r10, r8, r9, ..*registers }
}

/// Where the thread goes on.
#[cfg(target_arch = "aarch64")]
pub fn place(registers: &Registers) -> u64 {
    registers.pc
}

/// What the last system call answered.
#[cfg(target_arch = "aarch64")]
pub fn answer(registers: &Registers) -> i64 {
    registers.regs[0] as i64
}

/// The registers with which the instruction at `at` makes this system call. Here the kernel has already wound
/// an interrupted call back when a thread stops, so that it begins again with the thread's own registers; a
/// relative sleep then begins again in full.
#[cfg(target_arch = "aarch64")]
pub fn calling(registers: &Registers, at: u64, number: i64, arguments: [u64; 6]) -> Registers {
    let mut calling = *registers;
    calling.regs[..6].copy_from_slice(&arguments);
    calling.regs[8] = number as u64;
    calling.pc = at;
    calling
}
