//! The files that a rewrite has replaced: how long they are kept, and their removal.
//!
//! With `aof-history-keep` any moment of the last so many seconds can be restored. A moment needs
//! the base before it and the increments since: files that were replaced after that moment. So a
//! file goes when it was replaced longer ago than that.

use super::super::Engine;
use crate::aof::writer::{FileError, Retention, Writer};
use crate::env::Level;
use crate::sync::atomic::Ordering;
use crate::sync::lock;

/// How long after a failed removal the next one is tried.
const RETRY_S: u64 = 60;

impl Engine {
    /// What is done about files that are replaced now.
    pub(super) fn retention(&self) -> Retention {
        match self.config().aof_history_keep {
            0 => Retention::None,
            _ => Retention::Kept(self.now_s()),
        }
    }

    fn now_s(&self) -> u64 {
        self.unix_s().unsigned_abs()
    }

    /// Records how old the history of a manifest is.
    pub(super) fn note_history(&self, writer: &Writer) {
        let oldest_s = writer.manifest().oldest_history_s().unwrap_or(u64::MAX);
        self.aof.status.oldest_history_s.store(oldest_s, Ordering::Relaxed);
    }

    /// Removes the history that is not to be kept any longer; called periodically.
    pub(in crate::engine) fn remove_history_if_due(&self) {
        let (config, oldest) = (self.config(), &self.aof.status.oldest_history_s);
        let oldest_s = oldest.load(Ordering::Relaxed);
        let since_s = self.now_s().saturating_sub(config.aof_history_keep);
        // A time that is not known counts as 0, and is recorded first.
        if oldest_s > since_s || oldest_s == u64::MAX || config.aof_disable_auto_gc {
            return;
        }
        let mut slot = lock(&self.aof.writer);
        let Some(writer) = &mut *slot else { return };
        if let Err(error) = self.remove_history(writer) {
            self.env.log(Level::Warning, &error.to_string());
            oldest.store(since_s + RETRY_S, Ordering::Relaxed);
        }
    }

    fn remove_history(&self, writer: &mut Writer) -> Result<(), FileError> {
        let (disk, keep_s) = (&*self.env.disk, self.config().aof_history_keep);
        let mut since_s = None;
        if keep_s > 0 {
            writer.date_history(disk, self.now_s())?;
            since_s = Some(self.now_s().saturating_sub(keep_s));
        }
        for error in writer.remove_history(disk, since_s)? {
            self.env.log(Level::Warning, &error.to_string());
        }
        self.note_history(writer);
        Ok(())
    }
}
