//! Round trips of hashes through payloads, and invalid payloads.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use redix_types::hash::HashRef;
use redix_types::listpack::Element;
use redix_types::{IntBuf, KeyHasher};

use super::super::super::format::{Checksum, ChecksumPolicy, RdbValue, WriteVersion};
use super::super::super::read::{DumpReader, ReadOptions};
use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) }
}

fn read(payload: &[u8], checksums: ChecksumPolicy) -> Result<HeapValue, String> {
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

fn content(value: &HeapValue) -> Model {
    let text = |element: Element<'_>| element.text(&mut IntBuf::new()).to_vec();
    let mut model = Model::new();
    HashRef::of(value.as_ref()).for_each(|(field, value)| {
        model.insert(text(field), text(value));
    });
    model
}

fn built(model: &Model) -> HeapValue {
    let (limits, hasher) = (ReadOptions::default().limits.hash, KeyHasher::new([0; 16]));
    let mut builder = Builder::new(model.len() as u64, limits, &hasher);
    model.iter().for_each(|(field, value)| builder.push(field, value));
    builder.finish().unwrap()
}

/// Hashes of both forms, with texts that files keep as integers or compressed.
fn model() -> impl Strategy<Value = Model> {
    let text = prop_oneof![
        4 => (-300i64..300).prop_map(|number| number.to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (60usize..400, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ];
    let len = prop_oneof![8 => 1usize..20, 1 => 510usize..516];
    let pairs =
        len.prop_flat_map(move |len| prop::collection::vec((text.clone(), text.clone()), len));
    pairs.prop_map(|pairs| {
        let numbered = |(id, (field, value)): (usize, (Vec<u8>, Vec<u8>))| match id % 2 {
            0 => (id.to_string().into_bytes(), value),
            _ => ([&id.to_le_bytes(), &field[..]].concat(), value),
        };
        pairs.into_iter().enumerate().map(numbered).collect()
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn hashes_come_back(model in model(), compress in any::<bool>()) {
        let value = built(&model);
        for version in [WriteVersion::V10, WriteVersion::V11] {
            let dumped = RecordEncoder::new(version, compress).dump(value.as_ref());
            let again = read(&dumped, ChecksumPolicy::Verify).unwrap();
            prop_assert_eq!(content(&again), model.clone());
            prop_assert_eq!(again.encoding(), value.encoding());
        }
    }

    /// A payload with changed bytes is refused, or is a hash that can be written and read again.
    #[test]
    fn changed_bytes_never_panic(
        model in model(),
        type_byte in prop_oneof![
            3 => Just(None),
            1 => prop_oneof![Just(TYPE_HASH), Just(TYPE_ZIPMAP), Just(TYPE_ZIPLIST)].prop_map(Some),
        ],
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = RecordEncoder::new(WriteVersion::V11, false).dump(built(&model).as_ref());
        let body = bytes.len() - 10;
        for (at, byte) in changes {
            bytes[1 + at.index(body - 1)] = byte;
        }
        bytes[0] = type_byte.unwrap_or(bytes[0]);
        if let Ok(value) = read(&bytes, ChecksumPolicy::Ignore) {
            let dumped = RecordEncoder::new(WriteVersion::V11, false).dump(value.as_ref());
            let again = read(&dumped, ChecksumPolicy::Verify).unwrap();
            prop_assert_eq!(content(&again), content(&value));
        }
    }
}

/// Payloads that are always refused; replies of the real servers are in the golden scripts.
#[test]
fn a_field_that_comes_twice_is_an_error() {
    let twice = [2, 1, b'a', 1, b'1', 1, b'a', 1, b'2'];
    assert!(read(&payload(TYPE_HASH, &twice), ChecksumPolicy::Verify).is_err());
    // The same with a count that makes it a large hash from the start.
    let mut many = vec![0x42, 0x01];
    for id in 0..513u32 {
        let text = (id % 512 + 100).to_string();
        many.extend([&[3], text.as_bytes(), &[1, b'v']].concat());
    }
    assert!(read(&payload(TYPE_HASH, &many), ChecksumPolicy::Verify).is_err());
}

#[test]
fn a_count_is_not_believed() {
    let mut lie = vec![0x81];
    lie.extend(u64::MAX.to_be_bytes());
    lie.extend([1, b'a', 1, b'1']);
    let error = read(&payload(TYPE_HASH, &lie), ChecksumPolicy::Verify).unwrap_err();
    assert!(error.contains("unexpected end"), "{error}");
}
