//! The state of saving: the last save, the one under way, and whether writes are refused.
//!
//! Source: the rdb fields of `INFO persistence` and the rules of `stop-writes-on-bgsave-error`.

use crate::config::Config;
use crate::error::ReplyError;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// The state of saving.
#[derive(Debug)]
pub struct Saves {
    /// Unix time in seconds of the last successful save, or of the start.
    pub last_save_s: AtomicI64,
    /// Whether the last background save succeeded.
    pub last_ok: AtomicBool,
    /// Unix time in seconds when the last background save was tried.
    pub last_try_s: AtomicI64,
    /// Seconds that the last background save took; -1: none yet.
    pub last_duration_s: AtomicI64,
    /// Unix time in seconds when the background save under way began; 0: none.
    pub running_since_s: AtomicI64,
    /// A background save begins as soon as no other prevents it.
    pub scheduled: AtomicBool,
    /// Saves begun since the start: INFO's `rdb_saves`.
    pub started: AtomicU64,
    /// Keys written by the save under way.
    pub keys_done: AtomicU64,
    /// Keys that the save under way will write.
    pub keys_total: AtomicU64,
    /// Bytes of pre-images queued for the save under way: INFO's `current_cow_size`.
    pub buffer_bytes: AtomicU64,
    /// Their peak: INFO's `current_cow_peak`.
    pub buffer_peak_bytes: AtomicU64,
    /// Their peak in the last background save: INFO's `rdb_last_cow_size`.
    pub last_buffer_peak_bytes: AtomicU64,
    /// Unix time in seconds when the loading under way began.
    pub load_started_s: AtomicI64,
    /// The length in bytes of the file being loaded.
    pub load_total_bytes: AtomicU64,
    /// Bytes of it consumed so far.
    pub load_done_bytes: AtomicU64,
    /// Keys loaded by the last load.
    pub last_load_keys: AtomicU64,
    /// Expired keys skipped by the last load.
    pub last_load_expired: AtomicU64,
}

impl Saves {
    /// Nothing saved yet, at the start of the process.
    pub fn new(now_s: i64) -> Self {
        Self {
            last_save_s: AtomicI64::new(now_s),
            last_ok: AtomicBool::new(true),
            last_try_s: AtomicI64::new(0),
            last_duration_s: AtomicI64::new(-1),
            running_since_s: AtomicI64::new(0),
            scheduled: AtomicBool::new(false),
            started: AtomicU64::new(0),
            keys_done: AtomicU64::new(0),
            keys_total: AtomicU64::new(0),
            buffer_bytes: AtomicU64::new(0),
            buffer_peak_bytes: AtomicU64::new(0),
            last_buffer_peak_bytes: AtomicU64::new(0),
            load_started_s: AtomicI64::new(0),
            load_total_bytes: AtomicU64::new(0),
            load_done_bytes: AtomicU64::new(0),
            last_load_keys: AtomicU64::new(0),
            last_load_expired: AtomicU64::new(0),
        }
    }

    /// Whether a background save is under way.
    pub fn running(&self) -> bool {
        self.running_since_s.load(Ordering::Relaxed) != 0
    }

    /// Whether writes are refused because the last background save failed.
    #[inline]
    pub fn admit_write(&self, config: &Config) -> Result<(), ReplyError> {
        if self.last_ok.load(Ordering::Relaxed)
            || !config.stop_writes_on_bgsave_error
            || config.save.is_empty()
        {
            return Ok(());
        }
        Err(ReplyError::Static(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist \
             to disk. Commands that may modify the data set are disabled, because this instance is \
             configured to report errors during writes if RDB snapshotting fails \
             (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the \
             RDB error.",
        ))
    }
}
