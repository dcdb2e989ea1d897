//! A directory for real processes whose files suffer power cuts: what was not synced is lost or
//! torn. A [`SimDisk`] mounted by FUSE.
//!
//! **Invariants.** The kernel keeps no file's bytes for the processes: a write has reached the
//! simulated disk when it returns. Files only grow at their end or are truncated, which is all that
//! the server does; another write fails. Directories survive. A sync takes a few milliseconds, and
//! what is written meanwhile is not part of it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use redix_core::env::{Disk, DiskFile};

use crate::disk::{SimDisk, SimFile};
use crate::rng::Rng;
use crate::server::TempDir;

/// The longest time of a sync, in milliseconds.
const SYNC_MS_MAX: usize = 4;
/// Nothing is remembered by the kernel.
const UNCACHED: Duration = Duration::ZERO;
const ROOT: &str = "/";
const GENERATION: Generation = Generation(0);

/// A mounted directory. Dropping it loses everything.
pub struct PowerCutDir {
    // Unmounted before the directory is removed.
    session: Option<BackgroundSession>,
    disk: SimDisk,
    dirs: Dirs,
    dir: TempDir,
}

impl PowerCutDir {
    /// An empty one. Errors: there is no FUSE here, or no right to mount.
    pub fn mount(rng: &mut Rng) -> Result<Self> {
        let dir = TempDir::new("powercut")?;
        let dirs = Dirs::new(Mutex::new(BTreeSet::from([PathBuf::from(ROOT)])));
        let mut this = Self { session: None, disk: SimDisk::default(), dirs, dir };
        this.serve(rng)?;
        Ok(this)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Cuts the power: loses what was not synced, or a part of it. Nobody may have files open.
    pub fn cut_power(&mut self, rng: &mut Rng) -> Result<()> {
        if let Some(session) = self.session.take() {
            session.umount_and_join().context("cannot unmount")?;
        }
        self.disk = self.disk.after_crash(rng);
        self.serve(rng)
    }

    fn serve(&mut self, rng: &mut Rng) -> Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("redix-powercut".to_owned())];
        let files = Files {
            disk: self.disk.clone(),
            dirs: Arc::clone(&self.dirs),
            state: Mutex::new(State {
                nodes: Vec::new(),
                numbers: HashMap::new(),
                rng: Rng::new(rng.next_u64()),
            }),
        };
        files.state().number(Node::Dir(ROOT.into()));
        let session = fuser::spawn_mount(files, self.dir.path(), &config);
        self.session = Some(session.context("cannot mount a file system")?);
        Ok(())
    }
}

#[derive(Clone)]
enum Node {
    Dir(PathBuf),
    File(SimFile),
}

#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Dir(PathBuf),
    File(usize),
}

struct State {
    /// By inode number, from 1. They keep their files, so that identities stay unique.
    nodes: Vec<Node>,
    numbers: HashMap<Identity, usize>,
    rng: Rng,
}

impl State {
    /// The inode number of a node.
    fn number(&mut self, node: Node) -> INodeNo {
        let identity = match &node {
            Node::Dir(path) => Identity::Dir(path.clone()),
            Node::File(file) => Identity::File(file.identity()),
        };
        let number = *self.numbers.entry(identity).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len()
        });
        INodeNo(number as u64)
    }

    fn node(&self, number: INodeNo) -> Result<Node, Errno> {
        let at = usize::try_from(number.0).ok().and_then(|number| number.checked_sub(1));
        at.and_then(|at| self.nodes.get(at)).cloned().ok_or(Errno::ENOENT)
    }

    fn file(&self, number: INodeNo) -> Result<SimFile, Errno> {
        match self.node(number)? {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(Errno::EISDIR),
        }
    }

    fn dir(&self, number: INodeNo) -> Result<PathBuf, Errno> {
        match self.node(number)? {
            Node::Dir(path) => Ok(path),
            Node::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn path(&self, parent: INodeNo, name: &OsStr) -> Result<PathBuf, Errno> {
        Ok(self.dir(parent)?.join(name))
    }
}

/// The paths of all directories.
type Dirs = Arc<Mutex<BTreeSet<PathBuf>>>;

struct Files {
    disk: SimDisk,
    dirs: Dirs,
    state: Mutex<State>,
}

impl Files {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn attr_of(&self, state: &mut State, node: Node) -> FileAttr {
        let (kind, perm, size) = match &node {
            Node::Dir(_) => (FileType::Directory, 0o755, 0),
            Node::File(file) => (FileType::RegularFile, 0o644, file.len() as u64),
        };
        let ino = state.number(node);
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let mut state = self.state();
        let path = state.path(parent, name)?;
        let node = if locked(&self.dirs).contains(&path) {
            Node::Dir(path)
        } else {
            Node::File(self.disk.existing(&path).map_err(|error| errno(&error))?)
        };
        Ok(self.attr_of(&mut state, node))
    }

    fn make(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let mut state = self.state();
        let path = state.path(parent, name)?;
        let file = self.disk.file_or_new(&path);
        Ok(self.attr_of(&mut state, Node::File(file)))
    }

    fn make_dir(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let mut state = self.state();
        let path = state.path(parent, name)?;
        locked(&self.dirs).insert(path.clone());
        Ok(self.attr_of(&mut state, Node::Dir(path)))
    }

    fn attr(&self, number: INodeNo, truncate_to: Option<u64>) -> Result<FileAttr, Errno> {
        let mut state = self.state();
        if let Some(len) = truncate_to {
            state.file(number)?.truncate(len).map_err(|error| errno(&error))?;
        }
        let node = state.node(number)?;
        Ok(self.attr_of(&mut state, node))
    }

    fn append(&self, number: INodeNo, offset: u64, bytes: &[u8]) -> Result<u32, Errno> {
        let mut file = self.state().file(number)?;
        if offset != file.len() as u64 {
            return Err(Errno::EINVAL);
        }
        file.write_all(bytes).map_err(|error| errno(&error))?;
        Ok(bytes.len() as u32)
    }

    /// The entries of a directory: number, kind and name.
    fn entries(&self, number: INodeNo) -> Result<Vec<(INodeNo, FileType, PathBuf)>, Errno> {
        let mut state = self.state();
        let dir = state.dir(number)?;
        let is_here = |path: &PathBuf| path.parent() == Some(&*dir);
        let dirs = locked(&self.dirs).clone();
        let mut entries = Vec::new();
        for path in dirs.into_iter().filter(is_here) {
            entries.push((state.number(Node::Dir(path.clone())), FileType::Directory, path));
        }
        for path in self.disk.names().into_iter().filter(is_here) {
            if let Ok(file) = self.disk.existing(&path) {
                entries.push((state.number(Node::File(file)), FileType::RegularFile, path));
            }
        }
        Ok(entries)
    }

    fn rename_in(
        &self,
        (parent, name): (INodeNo, &OsStr),
        (new_parent, new_name): (INodeNo, &OsStr),
    ) -> Result<(), Errno> {
        let state = self.state();
        let (from, to) = (state.path(parent, name)?, state.path(new_parent, new_name)?);
        self.disk.rename(&from, &to).map_err(|error| errno(&error))
    }

    fn remove(&self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        let path = self.state().path(parent, name)?;
        self.disk.remove(&path).map_err(|error| errno(&error))
    }

    fn sync_names(&self, number: INodeNo) -> Result<(), Errno> {
        let dir = self.state().dir(number)?;
        self.disk.sync_dir(&dir).map_err(|error| errno(&error))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel calls an error of the simulated disk.
fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::NotFound => Errno::ENOENT,
        io::ErrorKind::StorageFull => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}

fn answer(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn answer_entry(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(attr) => reply.entry(&UNCACHED, &attr, GENERATION),
        Err(error) => reply.error(error),
    }
}

fn answer_attr(result: Result<FileAttr, Errno>, reply: ReplyAttr) {
    match result {
        Ok(attr) => reply.attr(&UNCACHED, &attr),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(self.find(parent, name), reply);
    }
    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attr(self.attr(ino, None), reply);
    }
    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        answer_attr(self.attr(ino, size), reply);
    }
    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        answer_entry(self.make_dir(parent, name), reply);
    }
    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name) {
            Ok(attr) => {
                let flags = FopenFlags::FOPEN_DIRECT_IO;
                reply.created(&UNCACHED, &attr, GENERATION, FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }
    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let file = self.state().file(ino);
        match file {
            Ok(file) => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                reply.data(&file.read(offset, size as usize));
            }
            Err(error) => reply.error(error),
        }
    }
    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.append(ino, offset, data) {
            Ok(count) => reply.written(count),
            Err(error) => reply.error(error),
        }
    }
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let (file, pause) = {
            let mut state = self.state();
            let pause = Duration::from_millis(state.rng.below(SYNC_MS_MAX + 1) as u64);
            (state.file(ino), pause)
        };
        match file {
            Ok(file) => {
                let len = file.len();
                // Others read and write meanwhile.
                std::thread::spawn(move || {
                    std::thread::sleep(pause);
                    answer(file.sync_to(len).map_err(|error| errno(&error)), reply);
                });
            }
            Err(error) => reply.error(error),
        }
    }
    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.sync_names(ino), reply);
    }
    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.remove(parent, name), reply);
    }
    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(self.rename_in((parent, name), (newparent, newname)), reply);
    }
    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        match self.entries(ino) {
            Ok(entries) => {
                for (at, (number, kind, path)) in entries.iter().enumerate().skip(offset as usize) {
                    let name = path.file_name().unwrap_or_default();
                    if reply.add(*number, at as u64 + 1, *kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }
}
