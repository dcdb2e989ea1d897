//! The end of a MIGRATE: keys that the target server has accepted are deleted here.

use super::invalidate::Author;
use super::{Runner, fail};
use crate::command::plan::shards_of;
use crate::command::spec::flag;
use crate::command::timing::call_stats;
use crate::effects::class;
use crate::keyspace::Key;
use crate::keyspace::access::Expiry;
use crate::migration::Finished;

impl Runner<'_> {
    /// Whether a pause delays the deletions at the end of a migration.
    pub fn holds_migrations_back(&self) -> bool {
        self.paused(flag::WRITE)
    }

    /// Deletes the keys that the target has accepted, except those changed meanwhile, as a unit of
    /// its own, and replies to the client if it is still connected. Returns the replication offset
    /// after it, if it was logged.
    pub fn finish_migration(&mut self, finished: &Finished) -> Option<u64> {
        let Finished { origin, waiter, taken, .. } = finished;
        let is_replica = self.engine.repl.is_replica();
        self.keys.held.release();
        self.keys.db = origin.db;
        self.keys.expiry = if is_replica { Expiry::Hide } else { Expiry::Delete };
        self.keys.effects.begin(self.engine.repl.recording(), self.config.event_classes());
        // If this server has become a replica, the keys belong to its primary, and its clients have
        // received an error.
        let goes = |item: &&_| crate::migration::Item::goes(item);
        let ours = if is_replica && !origin.was_replica { &[][..] } else { &taken[..] };
        let keys: Vec<Key<'_>> =
            ours.iter().filter(goes).map(|item| self.keys.key(item.key())).collect();
        self.keys.held.lock_plan(&shards_of(keys.iter().map(|key| key.hash)));
        let mut changed = false;
        let mut gone = Vec::new();
        for (item, key) in ours.iter().filter(goes).zip(&keys) {
            if !self.keys.exists(*key) {
                continue;
            }
            if item.has_changed() {
                changed = true;
            } else {
                gone.push(*key);
            }
        }
        self.delete_migrated(&gone);
        let end = self.finish_unit(true, Author::Nobody);
        self.keys.held.release();
        waiter.serve(|reply| match finished.answer(changed) {
            Ok(()) => reply.ok(),
            Err(error) => {
                call_stats(self.stats, origin.command).failed.bump();
                fail(self.engine, self.stats, reply, &error);
            }
        });
        end
    }

    /// Logs and announces the deletions; a key that was named twice is deleted twice, as on real
    /// servers.
    fn delete_migrated(&mut self, gone: &[Key<'_>]) {
        if gone.is_empty() {
            return;
        }
        let db = self.keys.db;
        for key in gone {
            if !self.keys.delete(*key) {
                self.keys.effects.add_dirty(1);
            }
            self.keys.effects.notify(class::GENERIC, "del", db, key.bytes);
        }
        let words: Vec<&[u8]> =
            std::iter::once(&b"DEL"[..]).chain(gone.iter().map(|key| key.bytes)).collect();
        self.keys.effects.log_also(db, &words);
    }
}
