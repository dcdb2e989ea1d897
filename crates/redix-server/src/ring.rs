//! Receiving from, or sending to, many sockets in one system call: an io_uring, used synchronously.
//!
//! A batch is submitted and waited for at once, and no transfer waits for its socket: what cannot
//! be done now fails with `WouldBlock`. So nothing is under way between two calls, buffers are
//! merely borrowed, and a socket may be closed at any time: the ring is a cheaper way to make the
//! calls that the worker would make anyway. Readiness is still the poll's.
//!
//! Rejected: receives that stay armed (multishot, with buffers provided by the ring). They cost as
//! much here, need a copy of everything that is received, and have to be cancelled wherever reading
//! is suspended or ends.
//!
//! **Invariants.** Whenever no call of [`Ring`] is running, no submission is queued, none is under
//! way, and no completion is unread.
#![allow(unsafe_code)]

use std::fmt::Display;
use std::io;
use std::os::fd::RawFd;

use io_uring::squeue::Entry;
use io_uring::{IoUring, Probe, opcode, types};

use crate::log;

/// Transfers per system call.
const ENTRIES: usize = 256;

/// The outcome of a transfer that was not tried.
const NOT_TRIED: io::ErrorKind = io::ErrorKind::Interrupted;

/// One receive of a batch.
#[derive(Debug)]
pub struct Receive<'a> {
    /// What the caller knows it by.
    pub tag: usize,
    fd: RawFd,
    space: &'a mut [u8],
    /// The number of bytes received, 0 at the end of what the peer sends.
    pub outcome: io::Result<usize>,
}

impl<'a> Receive<'a> {
    /// A receive from a socket into `space`, which is not empty.
    pub fn new(tag: usize, fd: RawFd, space: &'a mut [u8]) -> Self {
        Self { tag, fd, space, outcome: Err(NOT_TRIED.into()) }
    }

    /// Bytes of space.
    pub fn offered(&self) -> usize {
        self.space.len()
    }
}

/// One send of a batch.
#[derive(Debug)]
pub struct Send<'a> {
    /// What the caller knows it by.
    pub tag: usize,
    fd: RawFd,
    bytes: &'a [u8],
    /// The number of bytes sent, from the beginning.
    pub outcome: io::Result<usize>,
}

impl<'a> Send<'a> {
    /// A send of `bytes`, which are not empty, to a socket.
    pub fn new(tag: usize, fd: RawFd, bytes: &'a [u8]) -> Self {
        Self { tag, fd, bytes, outcome: Err(NOT_TRIED.into()) }
    }
}

/// A transfer between a socket and memory that it borrows.
///
/// # Safety
///
/// The memory that the entry names must stay borrowed, as its operation needs it, for as long as
/// `self` is.
unsafe trait Transfer {
    fn entry(&mut self) -> Entry;
    fn finish(&mut self, outcome: io::Result<usize>);
}

// SAFETY: the kernel writes to at most `space.len()` bytes at `space`, which is borrowed mutably.
unsafe impl Transfer for Receive<'_> {
    fn entry(&mut self) -> Entry {
        opcode::Recv::new(types::Fd(self.fd), self.space.as_mut_ptr(), length(self.space))
            .flags(libc::MSG_DONTWAIT)
            .build()
    }
    fn finish(&mut self, outcome: io::Result<usize>) {
        self.outcome = outcome;
    }
}

// SAFETY: the kernel reads at most `bytes.len()` bytes at `bytes`, which is borrowed.
unsafe impl Transfer for Send<'_> {
    fn entry(&mut self) -> Entry {
        opcode::Send::new(types::Fd(self.fd), self.bytes.as_ptr(), length(self.bytes))
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
            .build()
    }
    fn finish(&mut self, outcome: io::Result<usize>) {
        self.outcome = outcome;
    }
}

/// The length of a transfer; the kernel bounds it by less than that anyway.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// An io_uring. See the module's documentation.
pub struct Ring(IoUring);

impl Ring {
    /// A ring that was seen to work. Fails where the kernel does not have it, or refuses it.
    pub fn new() -> io::Result<Self> {
        // Its flags, a registered descriptor and registered sockets made no difference.
        let mut ring = Self(IoUring::new(ENTRIES as u32)?);
        let mut known = Probe::new();
        ring.0.submitter().register_probe(&mut known)?;
        if !known.is_supported(opcode::Recv::CODE) || !known.is_supported(opcode::Send::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        ring.try_out()?;
        Ok(ring)
    }

    /// Submits nothing: a filter of system calls may permit to make a ring, but not to use it.
    fn try_out(&mut self) -> io::Result<()> {
        // SAFETY: the operation names no memory.
        unsafe { self.0.submission().push(&opcode::Nop::new().build()) }
            .map_err(io::Error::other)?;
        self.0.submit_and_wait(1)?;
        let results: i32 = self.0.completion().map(|completion| completion.result()).sum();
        if results == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-results)) }
    }

    /// Receives what is available now, and sets the outcomes.
    pub fn receive(&mut self, batch: &mut [Receive<'_>]) {
        self.make(batch);
    }

    /// Sends what the sockets accept now, in the order of the batch, and sets the outcomes.
    pub fn send(&mut self, batch: &mut [Send<'_>]) {
        self.make(batch);
    }

    /// Makes all transfers of a batch.
    // HOT PATH: no allocation, one system call for each `ENTRIES` transfers.
    fn make<T: Transfer>(&mut self, batch: &mut [T]) {
        for part in batch.chunks_mut(ENTRIES) {
            let mut queue = self.0.submission();
            for (at, transfer) in (0..).zip(&mut *part) {
                let entry = transfer.entry().user_data(at);
                // SAFETY: what the entry names is borrowed by `part`, and `complete` returns only
                // when all of its transfers have ended.
                if unsafe { queue.push(&entry) }.is_err() {
                    fail(&"its queue was not empty");
                }
            }
            drop(queue);
            self.complete(part);
        }
    }

    /// Submits what is queued and waits for all of it. Where it cannot be known whether a transfer
    /// is under way, the process ends: its memory must not be used for anything else.
    fn complete<T: Transfer>(&mut self, part: &mut [T]) {
        let mut left = part.len();
        while left > 0 {
            match self.0.submit_and_wait(left) {
                Err(error) if !is_passing(&error) => fail(&error),
                Ok(_) | Err(_) => {}
            }
            for completion in self.0.completion() {
                let result = completion.result();
                let outcome = usize::try_from(result)
                    .map_err(|_| io::Error::from_raw_os_error(result.saturating_neg()));
                let at = usize::try_from(completion.user_data()).ok();
                match at.and_then(|at| part.get_mut(at)) {
                    Some(transfer) => transfer.finish(outcome),
                    None => fail(&"it has completed what was not submitted"),
                }
                left -= 1;
            }
        }
    }
}

/// Whether the kernel was interrupted, or lacks memory at the moment.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

fn fail(reason: &dyn Display) -> ! {
    log::warning(&format!("io_uring has failed: {reason}"));
    std::process::exit(1)
}

#[cfg(test)]
mod tests;
