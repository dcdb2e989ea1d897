//! Payloads of real servers, and invalid payloads.
#![allow(clippy::unwrap_used)]

use proptest::collection::btree_map;
use proptest::prelude::*;
use redix_types::value::ValueRef;
use redix_types::zset::ZsetRef;

use super::super::super::format::{Checksum, RdbValue, WriteVersion};
use super::super::super::read::{DumpReader, ReadOptions};
use super::super::super::skip::tests::assert_is_skipped;
use super::*;

/// A payload of DUMP with its footer.
fn payload(type_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut payload = [&[type_byte][..], body, &[11, 0]].concat();
    payload.extend(Checksum::of(&payload).to_le_bytes());
    payload
}

/// A string as a file has it, with a short or a four-byte length.
fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes.len() {
        len @ 0..64 => [&[len as u8], bytes].concat(),
        len => [&[0x80][..], &(len as u32).to_be_bytes(), bytes].concat(),
    }
}

fn read(payload: &[u8]) -> std::result::Result<HeapValue, String> {
    let mut reader =
        DumpReader::open(payload, ReadOptions::default()).map_err(|e| e.to_string())?;
    match reader.value() {
        Ok(RdbValue::Collection(value)) => Ok(value),
        Ok(RdbValue::Str(_)) => panic!("a sorted set is no string"),
        Err(error) => Err(error.to_string()),
    }
}

/// Members, scores and whether they are a listpack.
type Content = (Vec<(Vec<u8>, f64)>, bool);

fn content(value: &HeapValue) -> Content {
    let set = ZsetRef::of(value.as_ref()).unwrap();
    let owned =
        |(member, score): (Element<'_>, f64)| (member.text(&mut IntBuf::new()).to_vec(), score);
    (set.iter().map(owned).collect(), matches!(set, ZsetRef::Small(_)))
}

fn check(payload: &[u8], members: &[(&str, f64)], is_small: bool) {
    let value = read(payload).unwrap();
    let members =
        members.iter().map(|&(member, score)| (member.as_bytes().to_vec(), score)).collect();
    assert_eq!(content(&value), (members, is_small));
}

fn listpack_of(elements: &[Element<'_>]) -> Vec<u8> {
    let mut lp = listpack::EMPTY.to_vec();
    elements.iter().for_each(|element| listpack::append(&mut lp, *element));
    lp
}

fn text(text: &str) -> Element<'_> {
    Element::of(text.as_bytes())
}

#[test]
fn what_older_servers_wrote_is_read() {
    let lp = listpack_of(&[text("a"), text("1"), text("b"), text("2.5000000000000000")]);
    check(&payload(TYPE_LISTPACK, &string(&lp)), &[("a", 1.0), ("b", 2.5)], true);
    // What all three real servers restore as these members; see golden/zset/restore.txt.
    let header = b"\x1e\0\0\0\x18\0\0\0\x06\0";
    let elements = b"\0\xfe\xf9\x03\xfe\xfd\x03\x01a\x03\xf2\x02\x01b\x03\x032.5\xff";
    let body = string(&[&header[..], elements].concat());
    check(&payload(TYPE_ZIPLIST, &body), &[("-7", -3.0), ("a", 1.0), ("b", 2.5)], true);
    let texts =
        [&[3][..], &string(b"x"), b"\x032.5", &string(b"y"), b"\xff", &string(b"z"), b"\xfe"];
    let members = [("y", f64::NEG_INFINITY), ("x", 2.5), ("z", f64::INFINITY)];
    check(&payload(TYPE_TEXT_SCORES, &texts.concat()), &members, true);
    let score = |score: f64| score.to_le_bytes();
    let pairs = [&[2][..], &string(b"b"), &score(1.5), &string(b"a"), &score(0.5)].concat();
    check(&payload(TYPE_SCORES, &pairs), &[("a", 0.5), ("b", 1.5)], true);
    let long = "l".repeat(65);
    let pairs = [&[1][..], &string(long.as_bytes()), &score(1.5)].concat();
    check(&payload(TYPE_SCORES, &pairs), &[(&long, 1.5)], false);
}

#[test]
fn payloads_that_lie_are_refused() {
    let lp = |texts: &[&str]| {
        let elements: Vec<_> = texts.iter().map(|t| text(t)).collect();
        string(&listpack_of(&elements))
    };
    let pairs = |pairs: &[(&str, f64)], len: u8| {
        let mut body = vec![len];
        for (member, score) in pairs {
            body.extend(string(member.as_bytes()));
            body.extend(score.to_le_bytes());
        }
        body
    };
    let mut cut = listpack_of(&[text("a"), text("1")]);
    cut.pop();
    for (type_byte, body) in [
        (TYPE_LISTPACK, lp(&[])),
        (TYPE_LISTPACK, lp(&["a"])),
        (TYPE_LISTPACK, lp(&["a", "1", "b"])),
        (TYPE_LISTPACK, lp(&["a", "one"])),
        (TYPE_LISTPACK, lp(&["a", "nan"])),
        (TYPE_LISTPACK, lp(&["a", "1", "a", "2"])),
        (TYPE_LISTPACK, lp(&["a", "1", "a", "1"])),
        (TYPE_LISTPACK, lp(&["a", "2", "b", "1"])),
        (TYPE_LISTPACK, lp(&["b", "1", "a", "1"])),
        (TYPE_LISTPACK, string(&cut)),
        (TYPE_LISTPACK, string(b"")),
        (TYPE_ZIPLIST, string(b"\x0b\0\0\0\x0a\0\0\0\0\0\xff")),
        (TYPE_ZIPLIST, lp(&["a", "1"])),
        (TYPE_SCORES, pairs(&[], 0)),
        (TYPE_SCORES, pairs(&[("a", f64::NAN)], 1)),
        (TYPE_SCORES, pairs(&[("a", 1.0), ("a", 2.0)], 2)),
        (TYPE_SCORES, pairs(&[("a", 1.0)], 2)),
        (TYPE_SCORES, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        (TYPE_TEXT_SCORES, b"\x01\x01a\xfd".to_vec()),
        (TYPE_TEXT_SCORES, b"\x01\x01a\x03one".to_vec()),
        (TYPE_TEXT_SCORES, b"\x01\x01a\x09one".to_vec()),
    ] {
        let outcome = read(&payload(type_byte, &body));
        assert!(outcome.is_err(), "type {type_byte}: {}: {outcome:?}", body.escape_ascii());
    }
}

#[test]
fn a_member_twice_is_found_in_a_large_set() {
    let mut body = vec![0x40 | 1, 0x2c]; // 300
    for number in 0..300 {
        body.extend(string(format!("{}", number % 299).as_bytes()));
        body.extend(f64::from(number).to_le_bytes());
    }
    assert!(read(&payload(TYPE_SCORES, &body)).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        members in btree_map("[a-z0-9]{0,70}", prop_oneof![-9f64..9.0, Just(1.0)], 1..200),
        entries in 0usize..200,
        version in prop_oneof![Just(WriteVersion::V10), Just(WriteVersion::V11)],
    ) {
        let hasher = ReadOptions::default().hasher;
        let mut sorted: Vec<(&[u8], f64)> =
            members.iter().map(|(member, score)| (member.as_bytes(), *score)).collect();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(b.0)));
        let limits = Limits { entries, value: 64 };
        let value = build(sorted.into_iter(), limits, &hasher).unwrap();
        let dump = RecordEncoder::new(version, true).dump(value.as_ref());
        assert_is_skipped(&dump);
        let expected = content(&value).0;
        let is_small = ReadOptions::default().limits.zset.allow(
            expected.len(),
            expected.iter().map(|(member, _)| member.len()).max().unwrap(),
        );
        prop_assert_eq!(content(&read(&dump).unwrap()), (expected, is_small));
        let large = matches!(value.as_ref(), ValueRef::Large(_));
        prop_assert_eq!(dump[0], if large { TYPE_SCORES } else { TYPE_LISTPACK });
    }
}
