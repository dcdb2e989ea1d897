//! The replicas of this server, and the data pending for each.
//!
//! A replica is an ordinary connection of its worker. Its output comes from its *feed*: status
//! lines of the handshake, then the snapshot, then the log from where the snapshot was cut. Its
//! worker moves bytes from there into the connection's output as fast as the socket accepts them
//! ([`Replica::fill`]); the rest stays in the log, where the feed's [`Reader`] retains it, so that
//! no replica has a buffer of its own.
//!
//! ```text
//! Handshake -> WaitStart -> WaitEnd -> SendBulk -> Online      a snapshot through a file
//! Handshake -> WaitStart -> WaitEnd ------------> Online      a snapshot through the socket
//! Handshake ------------------------------------> Online      a partial resynchronisation
//! ```
//!
//! A worker that hosts replicas is notified when there is more to send: once, until it looks. A
//! thread that has appended to the log notifies the others at the end of its turn
//! ([`Replicas::tell`]).
//!
//! **Invariants.** A feed's mutex is a leaf except for the log's and the payload's. The log is sent
//! only after the complete snapshot; and after a snapshot through the socket, only once the replica
//! has acknowledged it, since it finds the end of the snapshot by looking at the bytes it read
//! last.

#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::OnceLock;

use super::log::{Log, Reader};
use super::status::Target;
use crate::config::{Config, OutputLimit, WriteVersion};
use crate::env::Wake;
use crate::persist::payload::{Payload, PayloadReader, Progress};
use crate::registry::{ClientShared, Registry, client_flag};
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, Padded, lock};

/// The state of a replica's synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It has sent REPLCONF, no more.
    Handshake,
    /// It waits for a snapshot to begin.
    WaitStart,
    /// Its snapshot is being written.
    WaitEnd,
    /// Its snapshot is being sent from a file.
    SendBulk,
    /// It follows the log.
    Online,
    /// It asked for the snapshot only, at least over this connection, and has received it.
    Served,
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::Handshake,
        Self::WaitStart,
        Self::WaitEnd,
        Self::SendBulk,
        Self::Online,
        Self::Served,
    ];

    /// Its name in INFO.
    pub fn word(self) -> &'static str {
        match self {
            Self::Handshake | Self::WaitStart | Self::WaitEnd => "wait_bgsave",
            Self::SendBulk => "send_bulk",
            Self::Online => "online",
            Self::Served => "rdb_transmitted",
        }
    }
}

/// What a connection of a replica is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channel {
    /// Snapshot and stream.
    #[default]
    Both,
    /// The snapshot; the stream from its cut is kept until the replica asks for it over its other
    /// connection.
    Snapshot,
    /// The stream from the cut of the snapshot that goes to this client.
    StreamBeside(u64),
}

/// What a replica excludes from its snapshot. Source: `REPLCONF rdb-filter-only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Only the snapshot, not the stream.
    pub rdb_only: bool,
    /// No keys.
    pub without_data: bool,
    /// No function libraries.
    pub without_functions: bool,
}

/// What a replica has announced with REPLCONF.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announced {
    /// The port that it listens on; 0: not announced.
    pub port: u16,
    /// Its address, if not that of the connection; empty: not announced.
    pub ip: String,
    /// EOF capability: reads a snapshot of unknown length.
    pub eof: bool,
    /// PSYNC2 capability: follows a change of the replication id.
    pub psync2: bool,
    /// Dual channel capability: receives snapshot and stream over two connections.
    pub dual_channel: bool,
    /// What this connection is for.
    pub channel: Channel,
    /// Its version, 8 bits for each of three parts; 0: not announced.
    pub version: u32,
    /// Its filters.
    pub wanted: Wanted,
}

impl Announced {
    /// The version of the snapshot that it is sent, where `configured` is the one of files and
    /// `expiring` says whether hashes have fields with an expiry, which old versions cannot hold.
    /// Redis does not announce its version: it is sent that of 7.0 or, with such fields, of 8. A
    /// replica that cannot read these refuses the snapshot; dropping the expiries was rejected.
    pub fn rdb_version(&self, configured: WriteVersion, expiring: bool) -> WriteVersion {
        match (self.version, configured) {
            (0x09_00_00.., WriteVersion::V80) => WriteVersion::V80,
            (0x07_02_00.., WriteVersion::V10) if !expiring => WriteVersion::V10,
            (0x07_02_00.., _) => WriteVersion::V11.able(expiring),
            _ if expiring => WriteVersion::V12,
            _ => WriteVersion::V10,
        }
    }

    /// Whether it reads snapshots of a version.
    pub fn reads(&self, version: WriteVersion) -> bool {
        match version {
            WriteVersion::V10 => true,
            WriteVersion::V11 => self.version >= 0x07_02_00,
            WriteVersion::V12 => false,
            WriteVersion::V80 => self.version >= 0x09_00_00,
        }
    }
}

/// The feed has failed: the connection must be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The part of the log that is on disk cannot be read, for this reason.
    pub unreadable: Option<String>,
}

impl Lost {
    const FEED: Self = Self { unreadable: None };
}

/// What is pending for a replica, as far as its output limit is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// Bytes in memory that have not been sent to it.
    pub memory: u64,
    /// The part of them that counts.
    pub counted: u64,
    /// The limit for them.
    pub limit: OutputLimit,
}

enum Transfer {
    File { file: Box<dyn Read + Send>, left: u64 },
    Payload(PayloadReader),
}

/// The pending data of a replica.
#[derive(Default)]
struct Feed {
    /// Status lines and commands, sent first.
    words: Vec<u8>,
    transfer: Option<Transfer>,
    /// Its position in the log.
    reader: Option<Reader>,
    /// Whether the log may be sent.
    open: bool,
    /// Closed: nothing is sent any more.
    closed: bool,
}

/// One replica.
pub struct Replica {
    /// The connection.
    pub client: Arc<ClientShared>,
    announced: Mutex<Announced>,
    phase: AtomicU8,
    /// The offset that it has acknowledged.
    acked: AtomicU64,
    /// The offset up to which it has acknowledged that the stream is in its append-only file.
    filed: AtomicU64,
    /// It has acknowledged an offset at all: until then it may still be loading, and lacks even
    /// what was written before the stream began.
    has_acked: AtomicBool,
    /// Unix time in milliseconds of its last acknowledgement.
    acked_ms: AtomicI64,
    /// Unix time in milliseconds when it asked to be synchronised.
    asked_ms: AtomicI64,
    /// Unix time in milliseconds when it began to wait for a snapshot.
    waiting_since_ms: AtomicI64,
    /// Unix time in milliseconds since which its socket accepts nothing; 0: it does.
    stuck_since_ms: AtomicI64,
    /// It came with SYNC and sends no acknowledgements.
    legacy: AtomicBool,
    feed: Mutex<Feed>,
    /// The part of the memory of all output buffers that is counted for it; [`GONE`] once it has
    /// disconnected.
    buffer_bytes: AtomicUsize,
}

/// Nothing more is counted.
const GONE: usize = usize::MAX;

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("client", &self.client.id)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// The outcome of [`Replica::fill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// Bytes appended.
    pub bytes: usize,
    /// The snapshot is complete with these bytes.
    pub transferred: bool,
}

impl Replica {
    /// A replica that has sent its first REPLCONF, PSYNC or SYNC.
    pub fn new(client: Arc<ClientShared>) -> Arc<Self> {
        Arc::new(Self {
            client,
            announced: Mutex::new(Announced::default()),
            phase: AtomicU8::new(Phase::Handshake as u8),
            acked: AtomicU64::new(0),
            filed: AtomicU64::new(0),
            has_acked: AtomicBool::new(false),
            acked_ms: AtomicI64::new(0),
            asked_ms: AtomicI64::new(0),
            waiting_since_ms: AtomicI64::new(0),
            stuck_since_ms: AtomicI64::new(0),
            legacy: AtomicBool::new(false),
            feed: Mutex::new(Feed::default()),
            buffer_bytes: AtomicUsize::new(0),
        })
    }

    /// The state of its synchronisation.
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Whether it has asked to be synchronised: from then on it is no ordinary client.
    pub fn attached(&self) -> bool {
        self.phase() != Phase::Handshake
    }

    /// What it has announced.
    pub fn announced(&self) -> Announced {
        lock(&self.announced).clone()
    }

    /// Records an announcement of REPLCONF.
    pub fn announce(&self, change: impl FnOnce(&mut Announced)) {
        change(&mut lock(&self.announced));
    }

    /// Its address and port as INFO shows them.
    pub fn address(&self) -> (String, u16) {
        let announced = lock(&self.announced);
        let ip = if announced.ip.is_empty() {
            peer_ip(&self.client.addr).to_owned()
        } else {
            announced.ip.clone()
        };
        (ip, announced.port)
    }

    /// Whether this is its address.
    pub fn is_at(&self, place: &Target) -> bool {
        let (ip, port) = self.address();
        port == place.port && ip.as_bytes().eq_ignore_ascii_case(&place.host)
    }

    /// Its name in log messages.
    pub fn name(&self) -> String {
        match self.address() {
            (ip, 0) => format!("{ip}:<unknown-replica-port>"),
            (ip, port) => format!("{ip}:{port}"),
        }
    }

    /// The offset that it has acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    /// Whether it has acknowledged the stream up to `offset`.
    pub fn has(&self, offset: u64) -> bool {
        self.has_acked.load(Ordering::Acquire) && self.acked() >= offset
    }

    /// Whether it has acknowledged that the stream up to `offset` is in its append-only file.
    pub fn has_in_file(&self, offset: u64) -> bool {
        self.filed.load(Ordering::Acquire) >= offset && self.has(offset)
    }

    /// Records up to where the stream is in its append-only file.
    pub fn note_filed(&self, offset: u64) {
        self.filed.fetch_max(offset, Ordering::AcqRel);
    }

    /// Unix time in milliseconds of its last acknowledgement, or when it came online.
    pub fn acked_ms(&self) -> i64 {
        self.acked_ms.load(Ordering::Relaxed)
    }

    /// When it began to wait for a snapshot.
    pub fn waiting_since_ms(&self) -> i64 {
        self.waiting_since_ms.load(Ordering::Relaxed)
    }

    /// Unix time in milliseconds since which its socket accepts nothing; 0: it does.
    pub fn stuck_since_ms(&self) -> i64 {
        self.stuck_since_ms.load(Ordering::Relaxed)
    }

    /// Records whether the socket accepts anything.
    pub fn note_sending(&self, stuck: bool, now_ms: impl FnOnce() -> i64) {
        if !stuck {
            self.stuck_since_ms.store(0, Ordering::Relaxed);
        } else if self.stuck_since_ms() == 0 {
            self.stuck_since_ms.store(now_ms(), Ordering::Relaxed);
        }
    }

    /// Whether `newer` is the same server on another connection: at the same address, and this one
    /// has been silent since. Replicas behind one address and port, as a proxy makes them look, go
    /// on to acknowledge.
    fn is_replaced_by(&self, newer: &Replica) -> bool {
        let (ip, port) = self.address();
        port != 0
            && self.acked_ms() <= newer.asked_ms.load(Ordering::Relaxed)
            && newer.address() == (ip, port)
    }

    /// Whether it came with SYNC: it gets no status line before the snapshot and sends no
    /// acknowledgements.
    pub fn is_legacy(&self) -> bool {
        self.legacy.load(Ordering::Relaxed)
    }

    /// Records whether it came with SYNC.
    pub fn set_legacy(&self, legacy: bool) {
        self.legacy.store(legacy, Ordering::Relaxed);
    }

    /// Records a sign of life.
    pub fn heard(&self, now_ms: i64) {
        self.acked_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Records an acknowledged offset. After a snapshot through the socket this starts the log.
    pub fn ack(&self, offset: u64, now_ms: i64) {
        self.acked.fetch_max(offset, Ordering::AcqRel);
        self.has_acked.store(true, Ordering::Release);
        self.acked_ms.store(now_ms, Ordering::Relaxed);
        if self.phase() == Phase::Online {
            lock(&self.feed).open = true;
        }
    }

    /// Makes it wait for a snapshot.
    pub fn wait_for_start(&self, now_ms: i64) {
        self.asked_ms.store(now_ms, Ordering::Relaxed);
        self.waiting_since_ms.store(now_ms, Ordering::Relaxed);
        self.set_phase(Phase::WaitStart);
    }

    /// Continues in the log at once, after these status lines.
    pub fn resume(&self, words: &[u8], reader: Reader, now_ms: i64) {
        let mut feed = lock(&self.feed);
        feed.words.extend_from_slice(words);
        feed.reader = Some(reader);
        feed.open = true;
        self.acked_ms.store(now_ms, Ordering::Relaxed);
        self.asked_ms.store(now_ms, Ordering::Relaxed);
        self.set_phase(Phase::Online);
    }

    /// Its snapshot has been cut at the position of `reader`; it is streamed by `payload`, or else
    /// sent from a file that is being written.
    pub fn begin(&self, words: &[u8], reader: Reader, payload: Option<PayloadReader>) {
        let mut feed = lock(&self.feed);
        feed.words.extend_from_slice(words);
        feed.reader = Some(reader);
        feed.transfer = payload.map(Transfer::Payload);
        self.set_phase(Phase::WaitEnd);
    }

    /// The offset of the cut of the snapshot that it waits for.
    pub fn cut_at(&self) -> Option<u64> {
        let feed = lock(&self.feed);
        if self.phase() != Phase::WaitEnd || matches!(feed.transfer, Some(Transfer::Payload(_))) {
            return None;
        }
        feed.reader.as_ref().map(Reader::offset)
    }

    /// Whether it is still receiving `payload`.
    pub fn receives(&self, payload: &Arc<Payload>) -> bool {
        match &lock(&self.feed).transfer {
            Some(Transfer::Payload(reader)) => reader.reads(payload),
            _ => false,
        }
    }

    /// Sends the file that it waits for, which is complete.
    pub fn send_file(&self, file: Box<dyn Read + Send>, len: u64) {
        let mut feed = lock(&self.feed);
        feed.words.extend_from_slice(format!("${len}\r\n").as_bytes());
        feed.transfer = Some(Transfer::File { file, left: len });
        self.set_phase(Phase::SendBulk);
    }

    /// Sends an empty line as a keep-alive, unless the snapshot is being sent.
    pub fn reassure(&self) {
        let mut feed = lock(&self.feed);
        if feed.transfer.is_none() && feed.words.is_empty() {
            feed.words.push(b'\n');
        }
    }

    /// Bytes of the log that have not been sent to it.
    pub fn lag(&self, end: u64) -> u64 {
        let feed = lock(&self.feed);
        feed.reader.as_ref().map_or(0, |reader| end.saturating_sub(reader.offset()))
    }

    /// What is pending for it; `unsent`: bytes in the output of its connection. Of what may be
    /// moved to disk only what it retains beside the backlog counts, and twice the limit is
    /// conceded as long as that works: moving it takes time.
    pub fn owed(&self, log: &Log, config: &Config, unsent: u64) -> Owed {
        let (feed, limit) = (lock(&self.feed), config.replica_output_limit());
        let Some(reader) = &feed.reader else {
            return Owed { memory: unsent, counted: unsent, limit };
        };
        let memory = unsent + log.unread_in_memory(reader);
        if !reader.spills() || config.spill_above().is_none() {
            let counted = unsent + log.end().saturating_sub(reader.offset());
            return Owed { memory, counted, limit };
        }
        let counted = unsent + log.retained_by(reader, config.repl_backlog_size);
        let limit = if log.spill_works() { limit.times(2) } else { limit };
        Owed { memory, counted, limit }
    }

    /// Whether it has loaded its snapshot, as far as it tells.
    fn is_synchronised(&self) -> bool {
        self.has_acked.load(Ordering::Acquire) || self.is_legacy()
    }

    /// Appends up to about `max` bytes of its feed to `out`.
    // HOT PATH: once per turn and replica; allocates only to grow `out`.
    pub fn fill(&self, log: &Log, max: usize, out: &mut Vec<u8>) -> Result<Filled, Lost> {
        let mut feed = lock(&self.feed);
        if feed.closed {
            return Err(Lost::FEED);
        }
        let before = out.len();
        out.append(&mut feed.words);
        let mut ended = false;
        match &mut feed.transfer {
            None => {}
            Some(Transfer::Payload(payload)) => match payload.read(max, out) {
                Progress::Read(_) => {}
                Progress::Ended => ended = true,
                Progress::Failed => return Err(Lost::FEED),
            },
            Some(Transfer::File { file, left }) => {
                *left -= read_file(file, (max as u64).min(*left), out)?;
                ended = *left == 0;
            }
        }
        if ended {
            self.end_transfer(&mut feed);
        } else if feed.open
            && feed.transfer.is_none()
            && let Some(reader) = &feed.reader
        {
            log.read(reader, max, out)
                .map_err(|error| Lost { unreadable: Some(error.to_string()) })?;
            if reader.spills() && self.is_synchronised() && log.has_caught_up(reader) {
                reader.set_spills(false);
            }
        }
        Ok(Filled { bytes: out.len() - before, transferred: ended })
    }

    fn end_transfer(&self, feed: &mut Feed) {
        let through_socket = matches!(feed.transfer, Some(Transfer::Payload(_)));
        feed.transfer = None;
        let announced = lock(&self.announced);
        if announced.channel == Channel::Snapshot {
            // What follows the cut is kept for the other connection.
            self.set_phase(Phase::Served);
            return;
        }
        if announced.wanted.rdb_only {
            feed.reader = None;
            self.set_phase(Phase::Served);
            return;
        }
        feed.open = !through_socket;
        self.set_phase(Phase::Online);
    }

    /// Whether the stream is kept for a connection that has not asked for it yet.
    pub fn awaits_stream(&self) -> bool {
        let snapshot_only = lock(&self.announced).channel == Channel::Snapshot;
        snapshot_only && lock(&self.feed).reader.is_some()
    }

    /// Whether it follows the stream, but still receives or loads its snapshot, which has a
    /// connection of its own: it acknowledges nothing before that is done.
    pub fn loads_beside(&self) -> bool {
        self.phase() == Phase::Online
            && !self.has_acked.load(Ordering::Acquire)
            && matches!(lock(&self.announced).channel, Channel::StreamBeside(_))
    }

    /// Whether it has received all that it asked for over this connection, and nothing is kept for
    /// another.
    pub fn is_served(&self) -> bool {
        self.phase() == Phase::Served && !self.awaits_stream()
    }

    /// Releases the stream that is kept for the other connection, which follows it now.
    fn release_stream(&self) {
        lock(&self.feed).reader = None;
    }

    /// Releases everything that is kept for it.
    fn let_go(&self) {
        *lock(&self.feed) = Feed { closed: true, ..Feed::default() };
    }
}

/// Appends up to `max` bytes of a file; a file that ends early is an error.
fn read_file(file: &mut dyn Read, max: u64, out: &mut Vec<u8>) -> Result<u64, Lost> {
    let count = file.take(max).read_to_end(out).map_err(|_| Lost::FEED)? as u64;
    if count == 0 && max > 0 { Err(Lost::FEED) } else { Ok(count) }
}

fn peer_ip(addr: &str) -> &str {
    let ip = addr.rsplit_once(':').map_or(addr, |(ip, _)| ip);
    ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip)
}

#[derive(Default)]
struct Host {
    replicas: AtomicUsize,
    told: AtomicBool,
}

/// All replicas.
pub struct Replicas {
    list: Mutex<Vec<Arc<Replica>>>,
    count: AtomicUsize,
    /// The number of good replicas, for `min-replicas-to-write`.
    good: AtomicUsize,
    /// Unix time in milliseconds when the last replica disconnected, or of startup.
    empty_since_ms: AtomicI64,
    /// Per worker: whether it hosts replicas.
    hosts: Box<[Padded<Host>]>,
    /// The end of the log that the hosts have been notified of.
    told_end: AtomicU64,
    acks_wanted: AtomicBool,
    /// The thread that moves the log to disk.
    spiller: OnceLock<Box<dyn Wake>>,
    /// The snapshot file was made for replicas.
    file: AtomicBool,
    /// Memory of the output buffers of all, as last counted.
    buffer_bytes: AtomicI64,
}

impl Replicas {
    /// No replicas, of `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self {
            list: Mutex::new(Vec::new()),
            count: AtomicUsize::new(0),
            good: AtomicUsize::new(0),
            empty_since_ms: AtomicI64::new(0),
            hosts: (0..workers).map(|_| Padded::default()).collect(),
            told_end: AtomicU64::new(0),
            acks_wanted: AtomicBool::new(false),
            spiller: OnceLock::new(),
            file: AtomicBool::new(false),
            buffer_bytes: AtomicI64::new(0),
        }
    }

    /// Memory of the output buffers of all replicas, in bytes: copies of a part of the log.
    #[inline]
    pub fn buffer_bytes(&self) -> u64 {
        u64::try_from(self.buffer_bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Counts the output buffer of a replica, of so many bytes.
    pub fn note_buffer(&self, replica: &Replica, bytes: usize) {
        let count = |old| (old != GONE).then_some(bytes);
        let counted = &replica.buffer_bytes;
        if let Ok(old) = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
            self.buffer_bytes.fetch_add(bytes as i64 - old as i64, Ordering::Relaxed);
        }
    }

    /// The number of replicas.
    #[inline]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The number of good replicas for `min-replicas-to-write`, as last counted.
    #[inline]
    pub fn good(&self) -> usize {
        self.good.load(Ordering::Relaxed)
    }

    /// Counts the replicas that are online and have acknowledged something within `lag_ms_max`.
    pub fn count_good(&self, now_ms: i64, lag_ms_max: i64) {
        let list = lock(&self.list);
        let is_good = |replica: &&Arc<Replica>| {
            replica.phase() == Phase::Online
                && !replica.loads_beside()
                && now_ms - replica.acked_ms() <= lag_ms_max
        };
        self.good.store(list.iter().filter(is_good).count(), Ordering::Relaxed);
    }

    /// The number of replicas that have acknowledged the stream up to `offset`, or that it is in
    /// their append-only files. One that has connected again is counted once.
    pub fn acknowledged(&self, offset: u64, in_file: bool) -> i64 {
        if self.count() == 0 {
            return 0;
        }
        let list = lock(&self.list);
        let has = |replica: &&Arc<Replica>| {
            let has = if in_file { replica.has_in_file(offset) } else { replica.has(offset) };
            replica.phase() == Phase::Online && has
        };
        let counts = |&(index, replica): &(usize, &Arc<Replica>)| {
            has(&replica) && !list[index + 1..].iter().any(|newer| replica.is_replaced_by(newer))
        };
        list.iter().enumerate().filter(counts).count() as i64
    }

    /// Installs the waker of the thread that moves the log to disk; once.
    pub fn set_spiller(&self, thread: Box<dyn Wake>) {
        assert!(self.spiller.set(thread).is_ok(), "there is one such thread");
    }

    /// Wakes that thread.
    #[cold]
    pub fn wake_spiller(&self) {
        if let Some(thread) = self.spiller.get() {
            thread.wake();
        }
    }

    /// Requests a GETACK at the end of a worker's turn.
    pub fn want_acks(&self) {
        self.acks_wanted.store(true, Ordering::Release);
    }

    /// Whether the snapshot file was made for replicas.
    pub fn left_file(&self) -> bool {
        self.file.load(Ordering::Relaxed)
    }

    /// Records whether the snapshot file was made for replicas.
    pub fn note_file(&self, for_replicas: bool) {
        self.file.store(for_replicas, Ordering::Relaxed);
    }

    /// Whether a GETACK is requested.
    #[inline]
    pub fn acks_wanted(&self) -> bool {
        self.acks_wanted.load(Ordering::Relaxed)
    }

    /// Takes the request for a GETACK.
    pub fn take_acks_wanted(&self) -> bool {
        self.acks_wanted.swap(false, Ordering::AcqRel)
    }

    /// All replicas, in the order of their arrival.
    pub fn all(&self) -> Vec<Arc<Replica>> {
        lock(&self.list).clone()
    }

    /// The connection over which client `id` receives a snapshot, where its replica gets the
    /// stream over another.
    pub fn snapshot_channel(&self, id: u64) -> Option<Arc<Replica>> {
        let list = lock(&self.list);
        let is_it = |replica: &&Arc<Replica>| {
            replica.client.id == id && replica.announced().channel == Channel::Snapshot
        };
        list.iter().find(is_it).cloned()
    }

    /// A replica follows the stream now, so that none is kept beside its snapshot.
    pub fn follows(&self, replica: &Replica) {
        if let Channel::StreamBeside(id) = replica.announced().channel
            && let Some(beside) = self.snapshot_channel(id)
        {
            beside.release_stream();
        }
    }

    /// Unix time in milliseconds when the last replica disconnected; 0: there never was one.
    pub fn empty_since_ms(&self) -> i64 {
        self.empty_since_ms.load(Ordering::Relaxed)
    }

    /// Adds a connection that asks to be synchronised.
    pub fn attach(&self, replica: &Arc<Replica>) {
        let mut list = lock(&self.list);
        if list.iter().all(|other| !Arc::ptr_eq(other, replica)) {
            list.push(Arc::clone(replica));
            self.hosts[replica.client.worker].replicas.fetch_add(1, Ordering::AcqRel);
        }
        self.count.store(list.len(), Ordering::Relaxed);
        replica.client.set_flag(client_flag::REPLICA, true);
    }

    /// Removes a replica whose connection is closed or about to be; no effect if it was removed
    /// already.
    pub fn detach(&self, replica: &Arc<Replica>, now_ms: i64) {
        let counted = replica.buffer_bytes.swap(GONE, Ordering::Relaxed);
        if counted != GONE {
            self.buffer_bytes.fetch_sub(counted as i64, Ordering::Relaxed);
        }
        replica.let_go();
        let mut list = lock(&self.list);
        let before = list.len();
        list.retain(|other| !Arc::ptr_eq(other, replica));
        if list.len() < before {
            self.hosts[replica.client.worker].replicas.fetch_sub(1, Ordering::AcqRel);
            self.empty_since_ms.store(now_ms, Ordering::Relaxed);
        }
        self.count.store(list.len(), Ordering::Relaxed);
    }

    /// Notifies the workers that host replicas, except `but`, that there is something to send.
    pub fn tell(&self, registry: &Registry, but: Option<usize>) {
        for (index, host) in self.hosts.iter().enumerate() {
            if Some(index) != but
                && host.replicas.load(Ordering::Acquire) != 0
                && !host.told.swap(true, Ordering::AcqRel)
            {
                registry.wake(index);
            }
        }
    }

    /// As [`Replicas::tell`], where the log has grown to `end`; once for each end.
    #[inline]
    pub fn tell_of(&self, end: u64, registry: &Registry, but: Option<usize>) {
        if self.count() != 0
            && self.told_end.load(Ordering::Relaxed) != end
            && self.told_end.swap(end, Ordering::AcqRel) != end
        {
            self.tell(registry, but);
        }
    }

    /// Whether worker `index` has been notified since it last asked.
    pub fn take_told(&self, index: usize) -> bool {
        let host = &self.hosts[index];
        host.told.load(Ordering::Relaxed) && host.told.swap(false, Ordering::AcqRel)
    }
}
