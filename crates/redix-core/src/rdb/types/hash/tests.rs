//! Round trips of hashes through payloads, and invalid payloads.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use redix_types::IntBuf;
use redix_types::hash::HashRef;
use redix_types::listpack::Element;

use super::super::super::format::{Checksum, ChecksumPolicy, RdbValue, WriteVersion};
use super::super::super::read::{DumpReader, ReadOptions};
use super::super::super::skip::tests::assert_is_skipped;
use super::*;

/// Values and expiries.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

const VERSIONS: [WriteVersion; 4] =
    [WriteVersion::V10, WriteVersion::V11, WriteVersion::V12, WriteVersion::V80];

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
    payload_of(11, type_byte, body)
}

fn payload_of(version: u8, type_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut payload = [&[type_byte][..], body, &[version, 0]].concat();
    payload.extend(Checksum::of(&payload).to_le_bytes());
    payload
}

fn content(value: &HeapValue) -> Model {
    let text = |element: Element<'_>| element.text(&mut IntBuf::new()).to_vec();
    let mut model = Model::new();
    let (hash, hasher) = (HashRef::of(value.as_ref()), ReadOptions::default().hasher);
    hash.for_each(|(field, value)| {
        let field = text(field);
        let (_, at_ms) = hash.get_expiring(&field, &hasher).unwrap();
        model.insert(field, (text(value), at_ms));
    });
    model
}

fn built(model: &Model) -> HeapValue {
    let (limits, hasher) = (ReadOptions::default().limits.hash, ReadOptions::default().hasher);
    let mut builder = Builder::new(model.len() as u64, limits, &hasher);
    for (field, (value, at_ms)) in model {
        match at_ms {
            None => builder.push(field, value),
            Some(at_ms) => builder.push_expiring(field, value, *at_ms),
        }
    }
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
    let time = prop_oneof![Just(0i64), Just(1_700_000_000_000), 0..i64::MAX, Just(i64::MAX)];
    let expiry = prop_oneof![Just(None).boxed(), prop::option::of(time).boxed()];
    (len, expiry).prop_flat_map(move |(len, expiry)| {
        let field = (text.clone(), text.clone(), Just(expiry));
        prop::collection::vec(field, len).prop_map(number)
    })
}

type Field = (Vec<u8>, Vec<u8>, Option<i64>);

/// Makes the fields distinct.
fn number(fields: Vec<Field>) -> Model {
    let distinct = |(id, (field, value, at_ms)): (usize, Field)| {
        // Every third field has no expiry, and they differ.
        let at_ms = at_ms.filter(|_| id % 3 != 0).map(|at_ms| at_ms.saturating_add(id as i64));
        match id % 2 {
            0 => (id.to_string().into_bytes(), (value, at_ms)),
            _ => ([&id.to_le_bytes(), &field[..]].concat(), (value, at_ms)),
        }
    };
    fields.into_iter().enumerate().map(distinct).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn hashes_come_back(model in model(), compress in any::<bool>()) {
        let value = built(&model);
        for version in VERSIONS {
            let dumped = RecordEncoder::new(version, compress).dump(value.as_ref());
            assert_is_skipped(&dumped);
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
            1 => prop_oneof![
                Just(TYPE_HASH),
                Just(TYPE_ZIPMAP),
                Just(TYPE_ZIPLIST),
                Just(TYPE_EXPIRING),
                Just(TYPE_EXPIRING_REDIS),
                Just(TYPE_EXPIRING_LISTPACK),
            ]
            .prop_map(Some),
        ],
        version in prop::sample::select(&VERSIONS[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = RecordEncoder::new(version, false).dump(built(&model).as_ref());
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

/// `a` expires at 33000000000000 and `b` half a second later; `c` does not.
fn expiring() -> Model {
    let field = |name: &str, value: &str, at_ms| (name.into(), (value.into(), at_ms));
    Model::from([
        field("a", "1", Some(33_000_000_000_000)),
        field("b", "two", Some(33_000_000_000_500)),
        field("c", "x", None),
    ])
}

/// Payloads of Valkey 9.1.2 and Redis 8.2.3, without their footers.
#[test]
fn the_types_of_both_forks_are_read() {
    let valkey = b"\x03\x01a\xc0\x01\x00\x10\x47\x69\x03\x1e\x00\x00\x01b\x03two\
        \xf4\x11\x47\x69\x03\x1e\x00\x00\x01c\x01x\xff\xff\xff\xff\xff\xff\xff\xff";
    let redis = b"\x00\x10\x47\x69\x03\x1e\x00\x00\x03\x41\xf5\x01b\x03two\x01\x01a\xc0\x01\
        \x00\x01c\x01x";
    let redis_small = b"\x00\x10\x47\x69\x03\x1e\x00\x00\x30\x30\x00\x00\x00\x09\x00\
        \x81a\x02\x01\x01\xf4\x00\x10\x47\x69\x03\x1e\x00\x00\x09\
        \x81b\x02\x83two\x04\xf4\xf4\x11\x47\x69\x03\x1e\x00\x00\x09\
        \x81c\x02\x81x\x02\x00\x01\xff";
    let payloads = [
        payload_of(80, TYPE_EXPIRING, valkey),
        payload_of(12, TYPE_EXPIRING_REDIS, redis),
        payload_of(12, TYPE_EXPIRING_LISTPACK, redis_small),
    ];
    for payload in &payloads {
        let value = read(payload, ChecksumPolicy::Verify).unwrap();
        assert_eq!(content(&value), expiring());
    }
    // The types of one fork are not those of the other.
    for (version, type_byte, body) in
        [(11, TYPE_EXPIRING, &valkey[..]), (80, TYPE_EXPIRING_REDIS, &redis[..])]
    {
        assert!(read(&payload_of(version, type_byte, body), ChecksumPolicy::Verify).is_err());
    }
}

#[test]
fn expiries_that_cannot_be_are_errors() {
    let expiring = |at: i64| {
        let body = [&b"\x01\x01a\x01v"[..], &at.to_le_bytes()].concat();
        read(&payload_of(80, TYPE_EXPIRING, &body), ChecksumPolicy::Verify)
    };
    assert!(expiring(0).is_ok() && expiring(i64::MAX).is_ok() && expiring(-1).is_ok());
    assert!(expiring(-2).unwrap_err().contains("before 1970"));
    let relative = |first: i64, after: &[u8]| {
        let body = [&first.to_le_bytes(), &b"\x01"[..], after, b"\x01a\x01v"].concat();
        read(&payload_of(12, TYPE_EXPIRING_REDIS, &body), ChecksumPolicy::Verify)
    };
    assert!(relative(i64::MAX, &[1]).is_ok() && relative(0, &[0]).is_ok());
    assert!(relative(i64::MAX, &[2]).unwrap_err().contains("after all times"));
    assert!(relative(-1, &[1]).unwrap_err().contains("before 1970"));
    let listpack = |expiry: &[u8], first: i64| {
        let lp_len = 6 + 3 + 3 + expiry.len() + 1;
        let body = [
            &first.to_le_bytes()[..],
            &[lp_len as u8, lp_len as u8, 0, 0, 0, 3, 0],
            b"\x81a\x02\x81v\x02",
            expiry,
            b"\xff",
        ]
        .concat();
        read(&payload_of(12, TYPE_EXPIRING_LISTPACK, &body), ChecksumPolicy::Verify)
    };
    assert!(listpack(b"\x05\x01", 5).is_ok() && listpack(b"\x00\x01", 5).is_ok());
    assert!(listpack(b"\xdf\xff\x02", 5).unwrap_err().contains("before 1970"));
    assert!(listpack(b"\x81x\x02", 5).unwrap_err().contains("integrity check failed"));
    assert!(listpack(b"\x05\x01", -5).unwrap_err().contains("before 1970"));
}
