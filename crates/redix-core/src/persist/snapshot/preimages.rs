//! The pre-image queue: entries as they were at the cut, encoded by writers before they change
//! them.

use redix_types::entry::{EntryRef, HeapValue, ValueRef};

use crate::config::Config;
use crate::keyspace::shard::{DbShard, PreWrite};
use crate::persist::file::SaveError;
use crate::persist::record::Ages;
use crate::persist::save::write_options;
use crate::rdb::write::{EntryMeta, RecordEncoder, encode_select_db};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, lock};

/// Values of at least this size are shared rather than encoded under a shard's lock: encoding costs
/// about a microsecond per kilobyte, and a lock is held for some 20.
pub(super) const SHARE_LEN_MIN: usize = 4096;

/// Size at which a chunk of records is full.
const CHUNK_BYTES: usize = 64 << 10;
/// Spare capacity for the record that fills it; a longer one makes it grow.
const CHUNK_SPARE_BYTES: usize = SHARE_LEN_MIN + 512;

/// A value on the heap, shared with the keyspace until it is encoded.
pub(super) struct Shared {
    pub(super) db: u32,
    pub(super) key: Vec<u8>,
    pub(super) meta: EntryMeta,
    pub(super) value: HeapValue,
}

impl Shared {
    /// Shares an entry's value if it is large enough.
    pub(super) fn of(db: u32, entry: EntryRef<'_>, ages: Ages) -> Option<Self> {
        let value = entry.heap().filter(|value| value.memory_usage() >= SHARE_LEN_MIN)?;
        Some(Self { db, key: entry.key().to_vec(), meta: ages.meta(entry), value: value.clone() })
    }

    pub(super) fn value(&self) -> ValueRef<'_> {
        self.value.as_ref()
    }

    fn bytes(&self) -> u64 {
        (self.key.len() + self.value.share_cost()) as u64
    }
}

/// The pre-images queued since the saver last took them.
#[derive(Default)]
pub(super) struct Batch {
    /// Records, each run of one database preceded by SELECTDB. In chunks, so that a writer never
    /// copies megabytes to grow a buffer.
    pub(super) chunks: Vec<Vec<u8>>,
    /// How many records.
    pub(super) keys: u64,
    pub(super) shared: Vec<Shared>,
    /// Tables that left the keyspace before the walk had finished them.
    pub(super) tables: Vec<DbShard>,
}

struct Queue {
    batch: Batch,
    /// The database selected at the end of `batch.records`.
    selected: Option<u32>,
    encoder: RecordEncoder,
    /// Bytes of records and of shared values in `batch`.
    bytes: u64,
    /// The queue accepts nothing more.
    closed: bool,
}

/// The queue between workers and saver.
pub struct PreImages {
    queue: Mutex<Queue>,
    ages: Ages,
    limit_bytes: u64,
    peak_bytes: AtomicU64,
    waiting_bytes: AtomicU64,
    overrun: AtomicBool,
    cancelled: Mutex<bool>,
}

impl Batch {
    /// The chunk that the next record is appended to.
    fn chunk(&mut self) -> &mut Vec<u8> {
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK_BYTES) {
            self.chunks.push(Vec::with_capacity(CHUNK_BYTES + CHUNK_SPARE_BYTES));
        }
        self.chunks.last_mut().expect("one was pushed if there was none")
    }
}

impl PreImages {
    pub(super) fn new(config: &Config, ages: Ages) -> Self {
        let queue = Queue {
            batch: Batch::default(),
            selected: None,
            encoder: RecordEncoder::of(write_options(config)),
            bytes: 0,
            closed: false,
        };
        Self {
            queue: Mutex::new(queue),
            ages,
            limit_bytes: config.snapshot_buffer_limit,
            peak_bytes: AtomicU64::new(0),
            waiting_bytes: AtomicU64::new(0),
            overrun: AtomicBool::new(false),
            cancelled: Mutex::new(false),
        }
    }

    /// Asks the saver to cancel the snapshot. Once this returns, no file of the snapshot is created
    /// any more, neither the temporary nor the final one.
    pub fn cancel(&self) {
        *lock(&self.cancelled) = true;
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        *lock(&self.cancelled)
    }

    /// Runs `f`, which creates a file, unless the snapshot was cancelled; cancelling waits for it.
    pub(super) fn unless_cancelled<T>(
        &self,
        appear: impl FnOnce() -> Result<T, SaveError>,
    ) -> Result<T, SaveError> {
        let cancelled = lock(&self.cancelled);
        if *cancelled { Err(SaveError::Cancelled) } else { appear() }
    }

    /// Bytes in the queue.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// The peak of bytes in the queue.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// The bytes in the queue, if they exceed the memory limit.
    pub(super) fn over_limit(&self) -> bool {
        self.waiting_bytes() > self.limit_bytes
    }

    /// The bytes in the queue when it overflowed and was dropped.
    pub(super) fn overrun(&self) -> Option<u64> {
        self.overrun.load(Ordering::Acquire).then(|| self.peak_bytes())
    }

    /// Takes the content of the queue.
    pub(super) fn take(&self) -> Batch {
        let mut queue = lock(&self.queue);
        queue.selected = None;
        queue.bytes = 0;
        self.waiting_bytes.store(0, Ordering::Relaxed);
        std::mem::take(&mut queue.batch)
    }

    /// Closes the queue and drops its content except tables, which must still be freed in steps.
    pub(super) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        let tables = std::mem::take(&mut queue.batch.tables);
        queue.batch = Batch { tables, ..Batch::default() };
        queue.bytes = 0;
        self.waiting_bytes.store(0, Ordering::Relaxed);
    }
}

impl PreWrite for PreImages {
    fn save(&self, db: u32, entry: EntryRef<'_>) {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return;
        }
        let Queue { batch, selected, encoder, bytes, closed } = &mut *queue;
        match Shared::of(db, entry, self.ages) {
            Some(shared) => {
                *bytes += shared.bytes();
                batch.shared.push(shared);
            }
            None => {
                let chunk = batch.chunk();
                let before = chunk.len();
                if *selected != Some(db) {
                    encode_select_db(chunk, db);
                    *selected = Some(db);
                }
                encoder.entry(chunk, entry.key(), self.ages.meta(entry), entry.value());
                *bytes += (chunk.len() - before) as u64;
                batch.keys += 1;
            }
        }
        let waiting = *bytes;
        self.waiting_bytes.store(waiting, Ordering::Relaxed);
        self.peak_bytes.fetch_max(waiting, Ordering::Relaxed);
        if waiting > self.limit_bytes.saturating_mul(2) {
            // The queue only grows this far if the saver is stuck in a write.
            *closed = true;
            batch.chunks = Vec::new();
            batch.shared = Vec::new();
            self.overrun.store(true, Ordering::Release);
        }
    }

    fn take_over(&self, part: DbShard) {
        lock(&self.queue).batch.tables.push(part);
    }
}
