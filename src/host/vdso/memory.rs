//! The memory of another process, read and written while it runs.

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use std::io::{IoSlice, IoSliceMut};

/// Reads so many bytes.
pub fn read(pid: i32, at: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; length];
    let remote = [RemoteIoVec { base: at as usize, len: length }];
    let done = process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut bytes)], &remote)?;
    if done == length { Ok(bytes) } else { Err(Errno::EFAULT) }
}

/// Writes these bytes where the process itself could.
pub fn write(pid: i32, at: u64, bytes: &[u8]) -> Result<(), Errno> {
    let remote = [RemoteIoVec { base: at as usize, len: bytes.len() }];
    let done = process_vm_writev(Pid::from_raw(pid), &[IoSlice::new(bytes)], &remote)?;
    if done == bytes.len() { Ok(()) } else { Err(Errno::EFAULT) }
}
