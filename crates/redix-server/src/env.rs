//! The engine's environment on a real machine: system clock, kernel randomness, file system,
//! log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use redix_core::env::{Clock, Disk, DiskFile, Entropy, Env, Level, Log, Memory, SpillFile};

use crate::{alloc, log, sys};

/// The system's clocks.
struct SystemClock(sys::TickClock);

impl Clock for SystemClock {
    fn unix_us(&self) -> i64 {
        sys::unix_us()
    }
    fn mono_ns(&self) -> u64 {
        self.0.now_ns()
    }
}

/// The kernel's randomness.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the kernel supplies randomness once it has booted");
    }
}

/// The file system.
struct SystemDisk;

struct SystemFile(File);

impl Write for SystemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for SystemFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

struct Spill {
    file: File,
    len: u64,
}

impl SpillFile for Spill {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(())
    }
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(out, offset)
    }
    fn reset(&mut self) -> io::Result<()> {
        self.len = 0;
        self.file.set_len(0)
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok((Box::new(file), len))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(SystemFile(file)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
    fn spill(&self, dir: &Path) -> io::Result<Box<dyn SpillFile>> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).open(dir)?;
        Ok(Box::new(Spill { file, len: 0 }))
    }
}

/// The log of the process.
struct ProcessLog;

impl Log for ProcessLog {
    fn log(&self, level: Level, text: &str) {
        log::write(level, text);
    }
}

/// What the counting allocator knows.
struct ProcessMemory;

impl Memory for ProcessMemory {
    fn used_bytes(&self) -> u64 {
        alloc::used_memory() as u64
    }
}

/// The environment of a server process.
pub fn system() -> Env {
    Env {
        clock: Box::new(SystemClock(sys::TickClock::new())),
        entropy: Box::new(SystemEntropy),
        disk: Box::new(SystemDisk),
        log: Box::new(ProcessLog),
        memory: Box::new(ProcessMemory),
    }
}
