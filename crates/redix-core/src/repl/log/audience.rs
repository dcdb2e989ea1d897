//! Records that are not for everybody: for replicas alone, or for the append-only file alone.
//!
//! **Invariant.** What is for the file alone has no offsets: it is kept beside the stream, with the
//! offset before which it is inserted there.

use super::{EXEC, MULTI, State, encode_select};
use crate::effects::{Audience, Record};

impl State {
    /// Appends a record for those who receive it; without a `backlog` the stream is that of the
    /// append-only file.
    pub(super) fn put_record(&mut self, record: Record<'_>, backlog: bool) {
        match record.audience {
            Audience::File if !self.recorded => {}
            Audience::File if backlog => self.insert(std::iter::once(record), false),
            Audience::Replicas if !backlog => {}
            audience => {
                self.select(record.db);
                let begin = self.history.end;
                self.put(record.bytes);
                if audience == Audience::Replicas {
                    self.note_replicas_only(begin);
                }
            }
        }
    }

    /// Inserts records into the append-only file, before what comes next in the stream. They leave
    /// the selected database as it is.
    pub(super) fn insert<'r>(&mut self, records: impl Iterator<Item = Record<'r>>, multi: bool) {
        if !self.recorded {
            return;
        }
        let (mut bytes, mut db) = (Vec::new(), self.db);
        if multi {
            bytes.extend_from_slice(MULTI);
        }
        for record in records {
            if db.replace(record.db) != Some(record.db) {
                encode_select(record.db, &mut bytes);
            }
            bytes.extend_from_slice(record.bytes);
        }
        if multi {
            bytes.extend_from_slice(EXEC);
        }
        if let Some(before) = self.db.filter(|before| db != Some(*before)) {
            encode_select(before, &mut bytes);
        }
        let end = self.history.end;
        match self.file_only.back_mut() {
            Some((at, before)) if *at == end => before.extend_from_slice(&bytes),
            _ => self.file_only.push_back((end, bytes)),
        }
    }
}
