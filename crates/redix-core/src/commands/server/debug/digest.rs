//! DEBUG DIGEST and DIGEST-VALUE: fingerprints that show whether two servers hold the same data.
//!
//! A key's fingerprint mixes its name, the number of its type, its value and whether it expires;
//! the data set's is the XOR of all keys' and of the numbers of the databases that are not empty.
//! Source: Redis 7.0, 8.2 and Valkey 9.1, which agree on every value except scores, which Redis 7.0
//! prints with 17 digits, and fields with an expiry: as in Valkey, it is not mixed in, and expired
//! fields are left out.

use redix_types::entry::{EntryRef, IntBuf, Kind};
use redix_types::hash::HashRef;
use redix_types::list::ListRef;
use redix_types::num;
use redix_types::set::SetRef;
use redix_types::sha1::sha1;
use redix_types::stream::{Stream, StreamId};
use redix_types::zset::ZsetRef;

use super::data::raw;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::error::CommandResult;
use crate::keyspace::SHARDS;

/// A fingerprint under construction.
#[derive(Clone, Copy, Default)]
struct Digest([u8; 20]);

impl Digest {
    /// Adds a part independently of order.
    fn xor(&mut self, bytes: &[u8]) {
        self.0.iter_mut().zip(sha1(bytes)).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds a part whose order matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.xor(bytes);
        self.0 = sha1(&self.0);
    }

    /// Adds an entry's type, value and whether it expires.
    /// Fields that expire at `horizon_ms` or before are left out.
    fn add_value(&mut self, entry: EntryRef<'_>, horizon_ms: i64) {
        self.mix(&type_number(entry.kind()).to_be_bytes());
        let mut digits = IntBuf::new();
        match entry.kind() {
            Kind::List => {
                for element in ListRef::of(entry.value()).iter_all() {
                    self.mix(element.text(&mut digits));
                }
            }
            Kind::Set => {
                let set = SetRef::of(entry.value()).expect("a set by its kind");
                set.for_each(|member| self.xor(member.text(&mut digits)));
            }
            Kind::Zset => self.add_zset(entry),
            Kind::Hash => self.add_hash(HashRef::after(entry.value(), horizon_ms)),
            Kind::String => self.mix(entry.value().string_bytes(&mut digits)),
            Kind::Stream => {
                let stream = Stream::of(entry.value()).expect("a stream by its kind");
                for entry in stream.range(StreamId::MIN, StreamId::MAX) {
                    self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                    entry.parts().for_each(|part| self.mix(part.text(&mut digits)));
                }
            }
        }
        if entry.has_expiry() {
            self.xor(b"!!expire!!");
        }
    }

    fn add_zset(&mut self, entry: EntryRef<'_>) {
        let set = ZsetRef::of(entry.value()).expect("the kind says so");
        for (member, score) in set.iter() {
            let mut text = Vec::new();
            num::push_f64_compact(&mut text, score);
            let mut one = Digest::default();
            one.mix(member.text(&mut IntBuf::new()));
            one.mix(&text);
            self.xor(&one.0);
        }
    }

    /// Adds fields with their values, in any order.
    fn add_hash(&mut self, hash: HashRef<'_>) {
        let mut text = IntBuf::new();
        hash.for_each(|(field, value)| {
            let mut one = Digest::default();
            one.mix(field.text(&mut text));
            one.mix(value.text(&mut text));
            self.xor(&one.0);
        });
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The number of a type in the real servers.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::Zset => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// `DEBUG DIGEST` -> status of 40 hexadecimal digits; all 0 where there is nothing.
pub(super) fn digest(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let (mut all, now_ms) = (Digest::default(), cx.now_ms());
    for db in 0..cx.engine.keyspace.databases() {
        if cx.engine.keyspace.key_count(db) == 0 {
            continue;
        }
        all.mix(&db.to_be_bytes());
        for index in 0..SHARDS {
            let Some(part) = cx.keys.held.shard(index).db(db) else { continue };
            part.table.scan(0, usize::MAX, |entry| {
                let mut one = Digest::default();
                one.mix(entry.key());
                one.add_value(entry, now_ms);
                all.xor(&one.0);
            });
        }
    }
    cx.reply.simple(&all.hex());
    Ok(())
}

/// `DEBUG DIGEST-VALUE [key ...]` -> array of statuses of 40 hexadecimal digits; all 0 for a key
/// that does not exist.
pub(super) fn digest_value(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.reply.array(args.len() - 2);
    let now_ms = cx.now_ms();
    for key in args.iter_from(2) {
        let mut one = Digest::default();
        if let Some(entry) = raw(cx.keys, key) {
            one.add_value(entry, now_ms);
        }
        cx.reply.simple(&one.hex());
    }
    Ok(())
}
