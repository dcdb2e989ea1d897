//! A digest of an engine's data, by which two of them are compared.

use redix_core::engine::Engine;
use redix_core::keyspace::SHARDS;
use redix_types::entry::{EntryRef, IntBuf, Kind};
use redix_types::hash::HashRef;
use redix_types::list::ListRef;
use redix_types::set::SetRef;
use redix_types::stream::{Stream, StreamId};
use redix_types::zset::ZsetRef;

/// A digest of every key, value and expiry. It does not depend on how an engine hashes.
pub fn of(engine: &Engine) -> u64 {
    let keyspace = &engine.keyspace;
    let _gate = keyspace.gates().enter(engine.background_thread());
    let mut digest = 0u64;
    for db in 0..keyspace.databases() {
        for shard in (0..SHARDS).filter(|&shard| keyspace.key_count_in(db, shard) > 0) {
            let shard = keyspace.lock(shard);
            let Some(part) = shard.db(db) else { continue };
            part.table.scan(0, usize::MAX, |entry| {
                let mut one = Mix::default();
                one.add(&db.to_be_bytes());
                one.add(entry.key());
                one.add_value(entry);
                one.add(&entry.expire_at_ms().unwrap_or(-1).to_be_bytes());
                digest = digest.wrapping_add(one.finish());
            });
        }
    }
    digest
}

/// A hash of several byte strings, eight bytes at a time (after FNV-1a), with a final mix.
#[derive(Default)]
struct Mix(u64);

impl Mix {
    fn add(&mut self, bytes: &[u8]) {
        let mut add = |word: u64| {
            self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        };
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| add(u64::from(*byte)));
        // Distinguishes ("a", "bc") from ("ab", "c").
        add(bytes.len() as u64);
    }

    /// Adds a value: lists in order, of other collections the sum of their elements.
    fn add_value(&mut self, entry: EntryRef<'_>) {
        let (value, text) = (entry.value(), &mut IntBuf::new());
        let mut sum = 0u64;
        let mut add_pair = |first: &[u8], second: &[u8]| {
            let mut one = Mix::default();
            one.add(first);
            one.add(second);
            sum = sum.wrapping_add(one.finish());
        };
        match entry.kind() {
            Kind::String => self.add(value.string_bytes(text)),
            Kind::List => {
                ListRef::of(value).iter_all().for_each(|element| self.add(element.text(text)));
            }
            Kind::Set => SetRef::of(value)
                .expect("a set by its kind")
                .for_each(|member| add_pair(member.text(text), b"")),
            Kind::Zset => ZsetRef::of(value)
                .expect("a sorted set by its kind")
                .iter()
                .for_each(|(member, score)| add_pair(member.text(text), &score.to_be_bytes())),
            Kind::Hash => HashRef::of(value).for_each_expiring(|(field, value), at_ms| {
                let expiry = format!(" {at_ms:?}");
                let value = [value.text(&mut IntBuf::new()), expiry.as_bytes()].concat();
                add_pair(field.text(text), &value);
            }),
            Kind::Stream => self.add_stream(Stream::of(value).expect("a stream by its kind")),
        }
        self.add(format!("{:?} {sum}", entry.kind()).as_bytes());
    }

    /// Adds a stream with what is pending for its groups. Whom nothing was delivered to, how often
    /// and when something was is not the same on replicas.
    fn add_stream(&mut self, stream: &Stream) {
        let text = &mut IntBuf::new();
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            self.add(entry.id.text().as_bytes());
            entry.parts().for_each(|part| self.add(part.text(text)));
        }
        let marks = (stream.last_id(), stream.max_deleted_id(), stream.entries_added());
        self.add(format!("{marks:?}").as_bytes());
        for (name, group) in stream.groups().iter() {
            self.add(name);
            self.add(format!("{} {:?}", group.last_id, group.entries_read).as_bytes());
            for (id, pending) in group.pending().iter() {
                self.add(id.text().as_bytes());
                self.add(&group.consumer(pending.consumer).name);
            }
        }
    }

    fn finish(self) -> u64 {
        crate::rng::Rng::new(self.0).next_u64()
    }
}
