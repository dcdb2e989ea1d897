//! An in-memory disk, clock and random generator for tests, all derived from one seed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redix_testkit::rng::Rng;

use crate::env::{
    Clock, CpuTimes, Disk, DiskFile, Entropy, Env, Host, HostFacts, Level, Log, Memory, NoAuditLog,
    Resident, SpillFile, Syncer,
};

/// Controls and counters of an [`Env`] made of it.
#[derive(Clone, Default)]
pub(crate) struct Sim {
    pub(crate) files: Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>,
    /// Writing and syncing fail.
    pub(crate) disk_full: Arc<AtomicBool>,
    /// Bytes that can still be written; `None`: any number.
    pub(crate) room: Arc<Mutex<Option<usize>>>,
    /// Bytes appended to spill files.
    pub(crate) spilled: Arc<AtomicU64>,
    pub(crate) now_ns: Arc<AtomicU64>,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
}

impl Sim {
    /// An environment whose clock advances by a random step at each reading.
    pub(crate) fn env(&self, seed: u64) -> Env {
        Env {
            clock: Box::new(SimClock(self.clone(), Mutex::new(Rng::new(seed)))),
            entropy: Box::new(SimEntropy(Mutex::new(Rng::new(seed ^ 1)))),
            disk: Box::new(self.clone()),
            log: Box::new(self.clone()),
            audit: Box::new(NoAuditLog),
            memory: Box::new(self.clone()),
            host: Box::new(SimHost(HostFacts::default())),
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.disk_full.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

const START_MS: u64 = 1_700_000_000_000;

struct SimClock(Sim, Mutex<Rng>);

impl Clock for SimClock {
    fn unix_us(&self) -> i64 {
        let ms = START_MS + self.0.now_ns.load(Ordering::Relaxed) / 1_000_000;
        i64::try_from(ms * 1000).unwrap()
    }
    fn mono_ns(&self) -> u64 {
        let step = self.1.lock().unwrap().below(40_000) as u64;
        self.0.now_ns.fetch_add(step, Ordering::Relaxed) + step
    }
    fn sleep_us(&self, us: u64) {
        self.0.now_ns.fetch_add(us * 1000, Ordering::Relaxed);
    }
}

struct SimEntropy(Mutex<Rng>);

impl Entropy for SimEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut rng = self.0.lock().unwrap();
        out.fill_with(|| rng.next_u64() as u8);
    }
}

impl Log for Sim {
    fn log(&self, _: Level, text: &str) {
        self.log.lock().unwrap().push(text.to_owned());
    }
}

impl Memory for Sim {
    fn used_bytes(&self) -> u64 {
        1 << 20
    }
    fn peak_bytes(&self) -> u64 {
        1 << 20
    }
    fn take_recent_peak_bytes(&self) -> u64 {
        1 << 20
    }
}

/// A process without facts.
struct SimHost(HostFacts);

impl Host for SimHost {
    fn facts(&self) -> &HostFacts {
        &self.0
    }
    fn resident_bytes(&self) -> Resident {
        Resident::default()
    }
    fn cpu(&self) -> CpuTimes {
        CpuTimes::default()
    }
    fn purge_memory(&self) {}
}

struct SimFile(Sim, PathBuf);

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.check()?;
        let mut room = self.0.room.lock().unwrap();
        let count = room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if count == 0 && !bytes.is_empty() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        *room = room.map(|room| room - count);
        let mut files = self.0.files.lock().unwrap();
        files.entry(self.1.clone()).or_default().extend_from_slice(&bytes[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.check()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut files = self.0.files.lock().unwrap();
        files.entry(self.1.clone()).or_default().truncate(usize::try_from(len).unwrap());
        Ok(())
    }
    fn syncer(&self) -> io::Result<Arc<dyn Syncer>> {
        Ok(Arc::new(SimSyncer(self.0.clone())))
    }
}

struct SimSyncer(Sim);

impl Syncer for SimSyncer {
    fn sync(&self) -> io::Result<()> {
        self.0.check()
    }
}

struct SimSpill(Sim, Vec<u8>);

impl SpillFile for SimSpill {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.check()?;
        self.0.spilled.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.1.extend_from_slice(bytes);
        Ok(())
    }
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.1[usize::try_from(offset).unwrap()..];
        // Short reads, as a file may give them.
        let count = rest.len().min(out.len()).min(1000);
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    fn reset(&mut self) -> io::Result<()> {
        self.1.clear();
        Ok(())
    }
}

impl Disk for Sim {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let files = self.files.lock().unwrap();
        let bytes = files.get(path).ok_or(io::ErrorKind::NotFound)?.clone();
        let len = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), len))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.files.lock().unwrap().insert(path.to_owned(), Vec::new());
        Ok(Box::new(SimFile(self.clone(), path.to_owned())))
    }
    fn append(&self, path: &Path) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let len = self.files.lock().unwrap().entry(path.to_owned()).or_default().len() as u64;
        Ok((Box::new(SimFile(self.clone(), path.to_owned())), len))
    }
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().unwrap().remove(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn spill(&self, _: &Path) -> io::Result<Box<dyn SpillFile>> {
        self.check()?;
        Ok(Box::new(SimSpill(self.clone(), Vec::new())))
    }
}
