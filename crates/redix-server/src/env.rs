//! The engine's environment on a real machine: system clock, kernel randomness, file system,
//! log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use redix_core::env::{
    AuditCounts, AuditLog, Clock, CpuTimes, Crew, Disk, DiskFile, Entropy, Env, Host, HostFacts,
    Level, Log, Memory, Resident, SpillFile, Syncer,
};

use crate::{alloc, audit, crew, log, sys};

/// The system's clocks.
struct SystemClock(sys::TickClock);

impl Clock for SystemClock {
    fn unix_us(&self) -> i64 {
        sys::unix_us()
    }
    fn mono_ns(&self) -> u64 {
        self.0.now_ns()
    }
    fn sleep_us(&self, us: u64) {
        std::thread::sleep(std::time::Duration::from_micros(us));
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

struct SystemFile(Arc<File>);

struct SystemSyncer(Arc<File>);

impl Syncer for SystemSyncer {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Write for SystemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

impl DiskFile for SystemFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        (&*self.0).seek(SeekFrom::Start(len)).map(drop)
    }
    fn syncer(&self) -> io::Result<Arc<dyn Syncer>> {
        Ok(Arc::new(SystemSyncer(Arc::clone(&self.0))))
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
    fn open_at(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        // Ignored: a file system without locks has no other user of them.
        file.try_lock().ok();
        Ok(Box::new(SystemFile(Arc::new(file))))
    }
    fn append(&self, path: &Path) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        Ok((Box::new(SystemFile(Arc::new(file))), len))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match std::fs::DirBuilder::new().mode(0o755).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
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
    fn show_role(&self, replica: bool) {
        log::set_replica(replica);
    }
}

/// The audit log of the process.
struct ProcessAudit;

impl AuditLog for ProcessAudit {
    fn write(&self, file: &[u8], line: Vec<u8>) {
        audit::write(file, line);
    }
    fn counts(&self) -> AuditCounts {
        audit::counts()
    }
}

/// The counts of the allocator.
struct ProcessMemory;

impl Memory for ProcessMemory {
    fn used_bytes(&self) -> u64 {
        alloc::used_memory() as u64
    }
    fn uses_more_than(&self, bytes: u64) -> bool {
        alloc::uses_more_than(bytes)
    }
    fn peak_bytes(&self) -> u64 {
        alloc::peak_memory() as u64
    }
    fn take_recent_peak_bytes(&self) -> u64 {
        alloc::take_recent_peak() as u64
    }
}

/// The process and its host.
struct ProcessHost(HostFacts);

impl ProcessHost {
    fn new(io_backend: &'static str) -> Self {
        let executable = std::env::current_exe().unwrap_or_default();
        Self(HostFacts {
            pid: std::process::id(),
            os: sys::os_name(),
            executable: executable.display().to_string(),
            build_id: build_id(),
            monotonic_clock: sys::tick_clock_name().to_owned(),
            io_backend,
            allocator: "mimalloc",
            total_memory_bytes: sys::total_memory_bytes(),
        })
    }
}

impl Host for ProcessHost {
    fn facts(&self) -> &HostFacts {
        &self.0
    }
    fn resident_bytes(&self) -> Resident {
        // Fields of statm: pages of all, resident pages, those of files and shared memory.
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let mut fields = statm.split(' ').skip(1);
        let mut next = || fields.next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
        let (resident, shared) = (next(), next());
        Resident {
            all: resident * sys::page_bytes(),
            anonymous: resident.saturating_sub(shared) * sys::page_bytes(),
        }
    }
    fn cpu(&self) -> CpuTimes {
        let (user_us, system_us) = sys::process_cpu_us();
        let (thread_user_us, thread_system_us) = sys::thread_cpu_us();
        CpuTimes { user_us, system_us, thread_user_us, thread_system_us }
    }
    fn purge_memory(&self) {
        alloc::purge();
    }
    fn crew(&self, threads: usize) -> Box<dyn Crew> {
        Box::new(crew::Threads::start(threads))
    }
}

/// A hash of the program's version and build profile.
fn build_id() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let text = format!("{}-{profile}", env!("CARGO_PKG_VERSION"));
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The file system.
pub fn disk() -> Box<dyn Disk> {
    Box::new(SystemDisk)
}

/// The environment of a server process.
pub fn system(io_backend: &'static str) -> Env {
    Env {
        clock: Box::new(SystemClock(sys::TickClock::new())),
        entropy: Box::new(SystemEntropy),
        disk: disk(),
        log: Box::new(ProcessLog),
        audit: Box::new(ProcessAudit),
        memory: Box::new(ProcessMemory),
        host: Box::new(ProcessHost::new(io_backend)),
    }
}
