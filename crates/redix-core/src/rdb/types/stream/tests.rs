//! Streams through payloads and back, and payloads that lie.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use redix_types::stream::Limits;

use super::super::super::format::{Checksum, ChecksumPolicy, RdbValue};
use super::super::super::read::{DumpReader, ReadOptions};
use super::super::super::skip::tests::assert_is_skipped;
use super::*;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) }
}

fn read(payload: &[u8], checksums: ChecksumPolicy) -> std::result::Result<HeapValue, String> {
    let options = ReadOptions { checksums, ..ReadOptions::default() };
    let mut reader = DumpReader::open(payload, options).map_err(|e| e.to_string())?;
    match reader.value() {
        Ok(RdbValue::Collection(value)) => Ok(value),
        Ok(RdbValue::Str(_)) => Err("a string".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// A payload of DUMP with its footer.
fn payload(type_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut payload = [&[type_byte][..], body, &[11, 0]].concat();
    payload.extend(Checksum::of(&payload).to_le_bytes());
    payload
}

fn id(ms: u64) -> StreamId {
    StreamId { ms, seq: 0 }
}

/// A stream of so many entries, one in seven deleted, with groups whose consumers have some.
fn stream(len: u64, groups: u8) -> Stream {
    let mut stream = Stream::new();
    let limits = Limits { bytes: 500, entries: 20 };
    for ms in 1..=len {
        let pairs: [&[u8]; 4] = [b"field", b"123", b"other", b"some text that is longer"];
        let kept = if ms % 5 == 0 { 2 } else { 4 };
        stream.append(id(ms), pairs[..kept].iter().copied(), limits).unwrap();
    }
    for ms in (7..=len).step_by(7) {
        stream.delete(id(ms));
    }
    for group in 0..groups {
        let read = (group % 2 == 0).then_some(i64::from(group));
        let mut one = Group::new(id(u64::from(group)), read);
        let numbers = [0u8, 1, 2].map(|c| one.create_consumer(&[b'c', c], 1000, -1));
        for ms in 1..=len / 2 {
            let consumer = numbers[(ms % 2) as usize];
            one.assign(id(ms), Pending { delivered_ms: 5000, count: ms, consumer });
        }
        stream.create_group(&[b'g', group], one);
    }
    stream
}

/// All that a stream holds, as text.
fn content(stream: &Stream) -> String {
    let mut text = format!(
        "{} {} {} {} {}\n",
        stream.len(),
        stream.first_id(),
        stream.last_id(),
        stream.max_deleted_id(),
        stream.entries_added()
    );
    for (id, listpack) in stream.nodes() {
        text += &format!("{id} {listpack:?}\n");
    }
    for (name, group) in stream.groups().iter() {
        text += &format!("{name:?} {} {:?}\n", group.last_id, group.entries_read);
        for (id, pending) in group.pending().iter() {
            let name = &group.consumer(pending.consumer).name;
            text += &format!("{id} {} {} {name:?}\n", pending.delivered_ms, pending.count);
        }
        for consumer in group.consumers() {
            let ids: Vec<_> = consumer.pending().iter().map(|(id, ())| *id).collect();
            text += &format!("{:?} {} {ids:?}\n", consumer.name, consumer.seen_ms);
        }
    }
    text
}

fn of(value: &HeapValue) -> &Stream {
    Stream::of(value.as_ref()).unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(len in 0u64..200, groups in 0u8..4) {
        let value = HeapValue::Stream(Box::new(stream(len, groups)));
        for version in [WriteVersion::V10, WriteVersion::V11] {
            let dumped = RecordEncoder::new(version, true).dump(value.as_ref());
            assert_is_skipped(&dumped);
            let read = read(&dumped, ChecksumPolicy::Verify).unwrap();
            prop_assert_eq!(content(of(&read)), content(of(&value)));
        }
    }

    /// What is damaged is refused, or is a stream that can be written and read again.
    #[test]
    fn damaged_payloads_do_not_panic(
        len in 1u64..60,
        groups in 0u8..3,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let value = HeapValue::Stream(Box::new(stream(len, groups)));
        let whole = RecordEncoder::new(WriteVersion::V11, false).dump(value.as_ref());
        let mut dumped = whole.clone();
        for (at, byte) in &damage {
            let end = dumped.len() - 10;
            *at.get_mut(&mut dumped[1..end]) = *byte;
        }
        if let Ok(found) = read(&dumped, ChecksumPolicy::Ignore) {
            let again = RecordEncoder::new(WriteVersion::V11, true).dump(found.as_ref());
            let again = read(&again, ChecksumPolicy::Verify).unwrap();
            prop_assert_eq!(content(of(&again)), content(of(&found)));
        }
        // Of a damaged one the rest may be a whole value, followed by bytes that are ignored.
        let cut = &whole[..cut.index(whole.len())];
        prop_assert!(read(cut, ChecksumPolicy::Ignore).is_err());
    }
}

/// No node, no entry, no mark: a group, as `id`, with pending entries and consumers behind.
fn with_group(last: &[u8], rest: &[u8]) -> Vec<u8> {
    let head = [0, 0, 9, 0, 0, 0, 0, 0, 5, 1, 1, b'g'];
    payload(TYPE_3, &[&head[..], last, rest].concat())
}

fn pending(ms: u8) -> Vec<u8> {
    [&id(u64::from(ms)).to_bytes()[..], &7u64.to_le_bytes(), &[1]].concat()
}

fn consumer(name: u8, ids: &[u8]) -> Vec<u8> {
    let head = [&[1, name][..], &[0; 16], &[ids.len() as u8]].concat();
    let ids: Vec<u8> = ids.iter().flat_map(|ms| id(u64::from(*ms)).to_bytes()).collect();
    [head, ids].concat()
}

#[test]
fn groups_that_contradict_themselves_are_refused() {
    let group = |pendings: &[u8], consumers: &[Vec<u8>]| {
        let pendings: Vec<Vec<u8>> = pendings.iter().map(|ms| pending(*ms)).collect();
        let counts = (pendings.len() as u8, consumers.len() as u8);
        let rest = [&[counts.0][..], &pendings.concat(), &[counts.1], &consumers.concat()].concat();
        read(&with_group(&[9, 0, 5], &rest), ChecksumPolicy::Verify).map(|_| ())
    };
    assert_eq!(group(&[], &[]), Ok(()));
    assert_eq!(group(&[1, 2], &[consumer(b'a', &[1]), consumer(b'b', &[2])]), Ok(()));
    let errors = [
        group(&[2, 1], &[consumer(b'a', &[1, 2])]),
        group(&[1, 1], &[consumer(b'a', &[1])]),
        group(&[1, 2], &[consumer(b'a', &[1])]),
        group(&[1], &[consumer(b'a', &[2])]),
        group(&[1], &[consumer(b'a', &[1]), consumer(b'b', &[1])]),
        group(&[], &[consumer(b'a', &[]), consumer(b'a', &[])]),
    ];
    for (at, error) in errors.iter().enumerate() {
        assert!(error.is_err(), "case {at}");
    }
}
