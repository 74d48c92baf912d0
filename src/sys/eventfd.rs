//! Eventfds: how a thread without a ring, and a ring while its thread is parked in glommio, wake a shard.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};

/// A new eventfd with nothing signalled. Reads block, since glommio waits in one.
pub fn new() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC)?)
}

/// Signals `fd`.
pub fn signal(fd: &OwnedFd) {
    // It fails only when 2^64 - 2 signals are pending, and then the reader wakes anyway.
    let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
}

/// A glommio file over an own copy of the descriptor, for waiting on it inside an executor.
pub fn glommio_file(fd: &OwnedFd) -> io::Result<glommio::io::BufferedFile> {
    use std::os::fd::{FromRawFd, IntoRawFd};
    let copy = fd.try_clone()?;
    // SAFETY: the copy is ours alone, and the file takes it over.
    Ok(unsafe { glommio::io::BufferedFile::from_raw_fd(copy.into_raw_fd()) })
}
