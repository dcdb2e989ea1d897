//! A simulated disk: what is written is lost in a power cut unless it was synced.
//!
//! **Invariants.** Of a file, what was synced survives, unless a sync before had failed: what that
//! one was to write is gone, though later ones succeed. Of the bytes behind, a prefix survives, and
//! its end may be zeros. (Zeros in its middle, which disks may leave too, can lie inside a value,
//! where nothing in the format of the append-only file would show them.) Names are durable once
//! their directory was synced; of later changes of names the first ones survive, as file systems
//! with a journal keep them.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redix_core::env::{Disk, DiskFile, SpillFile, Syncer};

use crate::rng::Rng;

/// The content of a file.
#[derive(Default)]
struct Bytes {
    all: Vec<u8>,
    /// This many survive a power cut, except those in `lost`.
    synced: usize,
    /// What failed syncs were to write.
    lost: Vec<Range<usize>>,
}

type Content = Arc<Mutex<Bytes>>;
type Names = BTreeMap<PathBuf, Content>;

/// A change of names: what each of them stands for afterwards.
type Change = Vec<(PathBuf, Option<Content>)>;

#[derive(Default)]
struct Files {
    /// What the process sees.
    present: Names,
    /// What is there after a power cut, before any of the pending changes.
    durable: Names,
    pending: Vec<Change>,
}

#[derive(Default)]
struct Faults {
    full: AtomicBool,
    failing: AtomicBool,
    /// Called whenever a file is synced, before that is done.
    on_sync: Mutex<Option<Arc<OnSync>>>,
}

/// What a test does while a file is being synced.
type OnSync = dyn Fn() + Send + Sync;

/// Files in memory.
#[derive(Clone, Default)]
pub struct SimDisk {
    files: Arc<Mutex<Files>>,
    faults: Arc<Faults>,
}

impl SimDisk {
    /// The content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.file(path).ok().map(|file| locked(&file).all.clone())
    }

    /// The disk after a power cut.
    pub fn after_crash(&self, rng: &mut Rng) -> SimDisk {
        let files = locked(&self.files);
        let mut names = files.durable.clone();
        let kept = rng.below(files.pending.len() + 1);
        files.pending[..kept].iter().for_each(|change| apply(change, &mut names));
        let survivors = names.into_iter().map(|(path, content)| {
            let all = locked(&content).survivor(rng);
            let synced = all.len();
            (path, Arc::new(Mutex::new(Bytes { all, synced, lost: Vec::new() })))
        });
        let present: Names = survivors.collect();
        let files = Files { durable: present.clone(), present, pending: Vec::new() };
        SimDisk { files: Arc::new(Mutex::new(files)), faults: Arc::clone(&self.faults) }
    }

    /// Makes writing fail for want of space, or succeed again, from now on.
    pub fn set_full(&self, full: bool) {
        self.faults.full.store(full, Ordering::Relaxed);
    }

    /// Makes syncing fail, or succeed again, from now on.
    pub fn set_failing(&self, failing: bool) {
        self.faults.failing.store(failing, Ordering::Relaxed);
    }

    /// Calls this from now on whenever a file is synced, before that is done.
    pub fn on_sync(&self, act: impl Fn() + Send + Sync + 'static) {
        *locked(&self.faults.on_sync) = Some(Arc::new(act));
    }

    /// Whether writing or syncing fails.
    pub fn is_faulty(&self) -> bool {
        let Faults { full, failing, .. } = &*self.faults;
        full.load(Ordering::Relaxed) || failing.load(Ordering::Relaxed)
    }

    /// The file of this name.
    pub(crate) fn existing(&self, path: &Path) -> io::Result<SimFile> {
        Ok(SimFile(self.file(path)?, Arc::clone(&self.faults)))
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<PathBuf> {
        locked(&self.files).present.keys().cloned().collect()
    }

    fn file(&self, path: &Path) -> io::Result<Content> {
        let found = locked(&self.files).present.get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The file of this name, which is created if there is none.
    pub(crate) fn file_or_new(&self, path: &Path) -> SimFile {
        let mut files = locked(&self.files);
        let content = files.present.get(path).cloned().unwrap_or_else(|| {
            let content = Content::default();
            files.change(vec![(path.to_owned(), Some(Arc::clone(&content)))]);
            content
        });
        SimFile(content, Arc::clone(&self.faults))
    }
}

impl Files {
    fn change(&mut self, change: Change) {
        apply(&change, &mut self.present);
        self.pending.push(change);
    }
}

fn apply(change: &Change, names: &mut Names) {
    for (path, content) in change {
        match content {
            Some(content) => drop(names.insert(path.clone(), Arc::clone(content))),
            None => drop(names.remove(path)),
        }
    }
}

impl Bytes {
    /// Makes the first `len` bytes survive, if they are still there.
    fn sync(&mut self, len: usize, faults: &Faults) -> io::Result<()> {
        let len = len.min(self.all.len()).max(self.synced);
        if faults.failing.load(Ordering::Relaxed) {
            self.lost.push(self.synced..len);
            return Err(io::Error::other("simulated I/O error"));
        }
        self.synced = len;
        Ok(())
    }

    fn survivor(&self, rng: &mut Rng) -> Vec<u8> {
        let len = self.synced + rng.below(self.all.len() - self.synced + 1);
        let mut all = self.all[..len].to_vec();
        let mut lost = self.lost.clone();
        if len > self.synced && rng.chance(30) {
            // The length was written, the last blocks were not.
            lost.push(self.synced + rng.below(len - self.synced)..len);
        }
        lost.iter().for_each(|range| {
            let end = range.end.min(len);
            all[range.start.min(end)..end].fill(0);
        });
        all
    }
}

/// A file that is open.
#[derive(Clone)]
pub(crate) struct SimFile(Content, Arc<Faults>);

impl SimFile {
    /// What is equal for two of the same file only.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Its length.
    pub(crate) fn len(&self) -> usize {
        locked(&self.0).all.len()
    }

    /// Up to `max` bytes from `offset` on.
    pub(crate) fn read(&self, offset: usize, max: usize) -> Vec<u8> {
        let content = locked(&self.0);
        let from = offset.min(content.all.len());
        let to = from + max.min(content.all.len() - from);
        content.all[from..to].to_vec()
    }

    /// Makes the first `len` bytes survive a power cut, if they are still there.
    pub(crate) fn sync_to(&self, len: usize) -> io::Result<()> {
        let act = locked(&self.1.on_sync).clone();
        if let Some(act) = act {
            act();
        }
        locked(&self.0).sync(len, &self.1)
    }
}

impl Syncer for SimFile {
    fn sync(&self) -> io::Result<()> {
        self.sync_to(usize::MAX)
    }
}

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        locked(&self.0).all.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn sync(&mut self) -> io::Result<()> {
        Syncer::sync(self)
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut content = locked(&self.0);
        content.all.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        let len = content.all.len();
        content.synced = content.synced.min(len);
        content.lost.iter_mut().for_each(|range| range.end = range.end.min(len));
        Ok(())
    }
    fn syncer(&self) -> io::Result<Arc<dyn Syncer>> {
        Ok(Arc::new(SimFile(Arc::clone(&self.0), Arc::clone(&self.1))))
    }
}

#[derive(Default)]
struct SimSpill(Vec<u8>);

impl SpillFile for SimSpill {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        (&self.0[start..]).read(out)
    }
    fn reset(&mut self) -> io::Result<()> {
        self.0.clear();
        Ok(())
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let bytes = locked(&*self.file(path)?).all.clone();
        let len = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), len))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.file_or_new(path);
        *locked(&file.0) = Bytes::default();
        Ok(Box::new(file))
    }
    fn append(&self, path: &Path) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let file = self.file_or_new(path);
        let len = locked(&file.0).all.len() as u64;
        Ok((Box::new(file), len))
    }
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.file(from)?;
        if from == to {
            return Ok(());
        }
        let change = vec![(to.to_owned(), Some(content)), (from.to_owned(), None)];
        locked(&self.files).change(change);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        locked(&self.files).change(vec![(path.to_owned(), None)]);
        Ok(())
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.faults.failing.load(Ordering::Relaxed) {
            return Err(io::Error::other("simulated I/O error"));
        }
        let Files { durable, pending, .. } = &mut *locked(&self.files);
        pending.retain(|change| {
            let concerns = change.iter().any(|(path, _)| path.parent() == Some(dir));
            if concerns {
                apply(change, durable);
            }
            !concerns
        });
        Ok(())
    }
    fn spill(&self, _: &Path) -> io::Result<Box<dyn SpillFile>> {
        Ok(Box::<SimSpill>::default())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
