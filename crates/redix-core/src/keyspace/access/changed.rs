//! What follows from the change of a key, besides its own effects.

use crate::effects::{Change, Effects};
use crate::keyspace::Keyspace;
use crate::keyspace::shard::Shard;

/// Who has changed a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The unit's client.
    Author,
    /// Nobody: its time was over, or it was evicted.
    Nobody,
}

/// Marks the watchers of a key and notes the change for the clients that may have cached it.
#[inline(always)]
pub(super) fn changed(
    shard: &mut Shard,
    keyspace: &Keyspace,
    effects: &mut Effects,
    (db, key): (u32, &[u8]),
    origin: Origin,
) {
    #[cfg(debug_assertions)]
    if origin == Origin::Author {
        crate::keyspace::trace::note(db, key, true);
    }
    shard.touch(db, key);
    if shard.has_cached() || keyspace.cached().broadcasting() {
        note(shard, keyspace, effects, key, origin);
    }
}

#[cold]
fn note(shard: &mut Shard, keyspace: &Keyspace, effects: &mut Effects, key: &[u8], origin: Origin) {
    let totals = keyspace.cached();
    let cachers = shard.take_cachers(key, totals);
    if !cachers.is_empty() || totals.broadcasting() {
        let by_author = origin == Origin::Author;
        effects.note_change(Change { key: key.into(), cachers, by_author });
    }
}
