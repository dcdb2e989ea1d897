#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use redix_types::stream::Stream;

use super::*;
use crate::rdb::format::WriteVersion;

fn id(ms: u64) -> StreamId {
    StreamId { ms, seq: 3 }
}

/// The fields of a stream.
fn fields(stream: Stream) -> Vec<Vec<u8>> {
    let (value, mut out) = (HeapValue::Stream(Box::new(stream)), Vec::new());
    let mut encoder = RecordEncoder::new(WriteVersion::V11, false);
    encode(&mut encoder, &mut out, value.as_ref(), &mut |_| {});
    // Without compression and below 16 KB, a field is opcode, length, name, length, bytes.
    let (mut rest, mut found) = (&out[..], Vec::new());
    while let Some(b"\xfa") = take(&mut rest, 1) {
        assert_eq!(take(&mut rest, 1).unwrap(), [FIELD.len() as u8]);
        assert_eq!(take(&mut rest, FIELD.len()), Some(FIELD));
        let len = match take(&mut rest, 1).unwrap()[0] {
            short @ 0..64 => usize::from(short),
            long => usize::from(long & 63) << 8 | usize::from(take(&mut rest, 1).unwrap()[0]),
        };
        found.push(take(&mut rest, len).unwrap().to_vec());
    }
    assert!(rest.is_empty());
    found
}

/// Producers, entries and identifiers.
fn all(known: &Idempotence) -> Vec<(Vec<u8>, StreamId, Vec<u8>)> {
    let mut all = Vec::new();
    for (producer, entries) in known.producers() {
        all.extend(entries.map(|(id, iid)| (producer.to_vec(), id, iid.to_vec())));
    }
    all
}

fn sample() -> Stream {
    let mut stream = Stream::new();
    let known = stream.begin_idempotence();
    known.set_window(Window { duration_s: 7, max: 3 });
    for (pid, iid, ms) in [("p", "a", 5), ("q", "a", 6), ("p", "b", 7), ("p", "\0c", 4)] {
        known.record(pid.as_bytes(), iid.as_bytes(), id(ms), 0);
    }
    known.duplicates = 9;
    stream
}

#[test]
fn fields_say_what_a_stream_knows() {
    let stream = sample();
    let fields = fields(stream.clone());
    assert_eq!(fields.len(), 3);
    let mut known = None;
    fields.iter().for_each(|field| decode(&mut known, RdbString::Bytes(field)));
    let (known, expected) = (known.unwrap(), stream.idempotence().unwrap());
    assert_eq!(known.window(), expected.window());
    assert_eq!((known.added, known.duplicates), (4, 9));
    assert_eq!(all(&known), all(expected));
}

#[test]
fn a_stream_without_producers_has_no_fields() {
    assert_eq!(fields(Stream::new()).len(), 0);
}

#[test]
fn windows_beyond_the_bounds_are_passed_over() {
    for (duration_s, max) in [(0u32, 1u32), (1, 0), (86_401, 1), (1, 10_001)] {
        let mut field = vec![b'W'];
        field.extend_from_slice(&duration_s.to_le_bytes());
        field.extend_from_slice(&max.to_le_bytes());
        field.extend_from_slice(&[0; 16]);
        let mut known = None;
        decode(&mut known, RdbString::Bytes(&field));
        assert!(known.is_none());
    }
}

proptest! {
    /// Bytes from outside are passed over, and nothing is known beyond the window.
    #[test]
    fn damaged_fields_do_no_harm(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut known = None;
        for mut field in fields(sample()) {
            for (at, byte) in &damage {
                *at.get_mut(&mut field) = *byte;
            }
            field.truncate(cut.index(field.len() + 1));
            decode(&mut known, RdbString::Bytes(&field));
        }
        if let Some(known) = known {
            let max = known.window().max as usize;
            prop_assert!(max <= 10_000);
            prop_assert!(known.producers().all(|(_, entries)| entries.count() <= max));
        }
    }
}
