//! The types' own tests, in `rdb::types`, call [`assert_is_skipped`] with what they write.
#![allow(clippy::unwrap_used)]

use super::*;

/// Asserts that the value of a DUMP payload, as the value of a key in a file, ends where its bytes
/// do, and nowhere if it is cut off.
pub(in super::super) fn assert_is_skipped(payload: &[u8]) {
    let (body, footer) = payload.split_at(payload.len() - 10);
    let version = match u16::from_le_bytes([footer[0], footer[1]]) {
        number @ 80.. => RdbVersion::Valkey(number),
        number => RdbVersion::Redis(number),
    };
    let record = [&body[..1], b"\x03key", &body[1..]].concat();
    let followed = [&record[..], &[opcode::EOF]].concat();
    assert_eq!(records_len(&followed, version), record.len(), "{record:?}");
    for len in [1, 4, record.len() / 2, record.len() - 1] {
        assert_eq!(records_len(&record[..len], version), 0, "{record:?} cut at {len}");
    }
}

#[test]
fn what_precedes_a_key_belongs_to_its_record() {
    let records = b"\xfc12345678\xf8\x05\x00\x01a\xc1\x01\x02\
        \xfd1234\xf9\x07\x00\x80\x00\x00\x00\x01b\xc3\x02\x41\x00zz\
        \x00\xc0\x01\x40\x01v";
    assert_eq!(records_len(records, RdbVersion::Redis(11)), records.len());
    // A part that is no key, a rare type and an impossible length end what can be cut out.
    for next in [&b"\xfe\x01\x00\x01a\x01b"[..], b"\x03\x01a\x01\x01b\x011", b"\x00\xbf\x01a"] {
        let bytes = [&records[..], next].concat();
        assert_eq!(records_len(&bytes, RdbVersion::Redis(11)), records.len(), "{next:?}");
    }
}

#[test]
fn a_length_beyond_the_bytes_ends_the_search() {
    let huge = b"\x02\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a";
    assert_eq!(records_len(huge, RdbVersion::Redis(11)), 0);
    let string = b"\x00\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(records_len(string, RdbVersion::Redis(11)), 0);
}
