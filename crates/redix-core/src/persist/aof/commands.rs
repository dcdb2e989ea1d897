//! A data set as commands: a base of the append-only file without RDB (`aof-use-rdb-preamble no`).
//!
//! Large collections take several commands, so that no one of them holds others up for long when
//! the file is loaded.

use redix_resp::request::{encode_command, encode_words};
use redix_types::entry::{EntryRef, IntBuf, Kind};
use redix_types::hash::HashRef;
use redix_types::list::ListRef;
use redix_types::num;
use redix_types::set::SetRef;
use redix_types::stream::{Group, Idempotence, Stream, StreamId, Told};
use redix_types::zset::ZsetRef;

/// The most elements of a command. Source: Redis, `AOF_REWRITE_ITEMS_PER_CMD`.
const ELEMENTS_MAX: usize = 64;

/// Appends the commands that create a key with its value and expiry. `flush` is called between
/// them, to take what there is.
pub fn push_entry(out: &mut Vec<u8>, entry: EntryRef<'_>, flush: &mut dyn FnMut(&mut Vec<u8>)) {
    let key = entry.key();
    match entry.kind() {
        Kind::String => {
            let mut digits = IntBuf::new();
            encode_command(out, &[b"SET", key, entry.value().string_bytes(&mut digits)]);
        }
        Kind::List => {
            let mut pieces = Pieces::new(out, flush, b"RPUSH", key, 1);
            let mut digits = IntBuf::new();
            for element in ListRef::of(entry.value()).iter_all() {
                pieces.add(&[element.text(&mut digits)]);
            }
        }
        Kind::Set => {
            let mut pieces = Pieces::new(out, flush, b"SADD", key, 1);
            let set = SetRef::of(entry.value()).expect("a set by its kind");
            set.for_each_text(&mut |member| pieces.add(&[member]));
        }
        Kind::Zset => {
            let mut pieces = Pieces::new(out, flush, b"ZADD", key, 2);
            let (mut digits, mut score_text) = (IntBuf::new(), Vec::new());
            let set = ZsetRef::of(entry.value()).expect("a sorted set by its kind");
            for (member, score) in set.iter() {
                score_text.clear();
                num::push_f64_compact(&mut score_text, score);
                pieces.add(&[&score_text, member.text(&mut digits)]);
            }
        }
        Kind::Hash => push_hash(out, key, HashRef::of(entry.value()), flush),
        Kind::Stream => {
            let stream = Stream::of(entry.value()).expect("a stream by its kind");
            push_stream(out, key, stream, flush);
        }
    }
    if let Some(at_ms) = entry.expire_at_ms() {
        encode_command(out, &[b"PEXPIREAT", key, at_ms.to_string().as_bytes()]);
    }
}

/// Commands of one name and key that share many arguments between them.
struct Pieces<'a> {
    out: &'a mut Vec<u8>,
    flush: &'a mut dyn FnMut(&mut Vec<u8>),
    start: [&'a [u8]; 2],
    /// The arguments of the next command, one behind the other, and where they end.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Arguments that belong together.
    width: usize,
}

impl<'a> Pieces<'a> {
    fn new(
        out: &'a mut Vec<u8>,
        flush: &'a mut dyn FnMut(&mut Vec<u8>),
        name: &'a [u8],
        key: &'a [u8],
        width: usize,
    ) -> Self {
        Self { out, flush, start: [name, key], bytes: Vec::new(), ends: Vec::new(), width }
    }

    fn add(&mut self, element: &[&[u8]]) {
        for argument in element {
            self.bytes.extend_from_slice(argument);
            self.ends.push(self.bytes.len());
        }
        if self.ends.len() == ELEMENTS_MAX * self.width {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let arguments = starts.zip(&self.ends).map(|(from, to)| &self.bytes[from..*to]);
        let words: Vec<&[u8]> = self.start.into_iter().chain(arguments).collect();
        encode_words(self.out, words.into_iter());
        self.bytes.clear();
        self.ends.clear();
        (self.flush)(self.out);
    }
}

impl Drop for Pieces<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn push_hash(
    out: &mut Vec<u8>,
    key: &[u8],
    hash: HashRef<'_>,
    flush: &mut dyn FnMut(&mut Vec<u8>),
) {
    let (mut field_text, mut value_text) = (IntBuf::new(), IntBuf::new());
    {
        let mut pieces = Pieces::new(out, flush, b"HSET", key, 2);
        hash.for_each_expiring(|(field, value), _| {
            pieces.add(&[field.text(&mut field_text), value.text(&mut value_text)]);
        });
    }
    hash.for_each_expiring(|(field, _), expire_at_ms| {
        let Some(at_ms) = expire_at_ms else { return };
        let field = field.text(&mut field_text);
        let at = at_ms.to_string();
        encode_command(out, &[b"HPEXPIREAT", key, at.as_bytes(), b"FIELDS", b"1", field]);
        flush(out);
    });
}

fn push_stream(
    out: &mut Vec<u8>,
    key: &[u8],
    stream: &Stream,
    flush: &mut dyn FnMut(&mut Vec<u8>),
) {
    if stream.is_empty() {
        // It exists all the same.
        encode_command(out, &[b"XADD".as_slice(), key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
    }
    let mut digits = IntBuf::new();
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        let id = entry.id.text();
        let parts: Vec<Vec<u8>> =
            entry.parts().map(|part| part.text(&mut digits).to_vec()).collect();
        let start = [b"XADD".as_slice(), key, id.as_bytes()];
        let words: Vec<&[u8]> = start.into_iter().chain(parts.iter().map(Vec::as_slice)).collect();
        encode_words(out, words.into_iter());
        flush(out);
    }
    let (last, deleted) = (stream.last_id().text(), stream.max_deleted_id().text());
    let added = stream.entries_added().to_string();
    let marks = [b"ENTRIESADDED".as_slice(), added.as_bytes(), b"MAXDELETEDID", deleted.as_bytes()];
    let start = [b"XSETID".as_slice(), key, last.as_bytes()];
    encode_words(out, [start.as_slice(), &marks].concat().into_iter());
    for (name, group) in stream.groups().iter() {
        push_group(out, key, (name, group), flush);
    }
    if let Some(known) = stream.idempotence() {
        push_producers(out, key, known, flush);
    }
}

/// The producers of a stream, as the log tells of them.
fn push_producers(
    out: &mut Vec<u8>,
    key: &[u8],
    known: &Idempotence,
    flush: &mut dyn FnMut(&mut Vec<u8>),
) {
    let mut tell = |told: Told<'_>, id: StreamId| {
        encode_command(out, &[&b"XACK"[..], key, &told.group(), id.text().as_bytes()]);
        flush(out);
    };
    tell(Told::Window(known.window()), StreamId::MIN);
    for (producer, entries) in known.producers() {
        entries.for_each(|(id, iid)| tell(Told::Entry(producer, iid), id));
    }
    tell(Told::Counts(known.added, known.duplicates), StreamId::MIN);
}

fn push_group(
    out: &mut Vec<u8>,
    key: &[u8],
    (name, group): (&[u8], &Group),
    flush: &mut dyn FnMut(&mut Vec<u8>),
) {
    let last = group.last_id.text();
    let read = group.entries_read.unwrap_or(-1).to_string();
    let start = [b"XGROUP".as_slice(), b"CREATE", key, name, last.as_bytes()];
    let words = [start.as_slice(), &[b"ENTRIESREAD", read.as_bytes()]].concat();
    encode_words(out, words.into_iter());
    for consumer in group.consumers() {
        // Nobody appears with the first entry that is claimed for it.
        if !consumer.is_nobody() {
            encode_command(out, &[&b"XGROUP"[..], b"CREATECONSUMER", key, name, &consumer.name]);
        }
        for (id, ()) in consumer.pending().iter() {
            let Some(pending) = group.pending().get(id) else { continue };
            let (id, time) = (id.text(), pending.delivered_ms.to_string());
            let count = pending.count.to_string();
            let start = [b"XCLAIM".as_slice(), key, name, &consumer.name, b"0", id.as_bytes()];
            let options = [b"TIME".as_slice(), time.as_bytes(), b"RETRYCOUNT", count.as_bytes()];
            let words = [start.as_slice(), &options, &[b"JUSTID", b"FORCE"]].concat();
            encode_words(out, words.into_iter());
            flush(out);
        }
    }
}
