#![allow(clippy::unwrap_used)]

use super::*;

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    RecordEncoder::new(WriteVersion::V11, true).string(&mut out, bytes);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn lengths_take_the_shortest_form() {
    let check = |len: u64, expect: &str| {
        let mut out = Vec::new();
        encode_len(&mut out, len);
        assert_eq!(hex(&out), expect, "{len}");
    };
    check(0, "00");
    check(63, "3f");
    check(64, "4040");
    check(16_383, "7fff");
    check(16_384, "8000004000");
    check(u64::from(u32::MAX), "80ffffffff");
    check(1 << 32, "810000000100000000");
}

#[test]
fn decimal_texts_become_integers() {
    let check = |text: &str, expect: &str| assert_eq!(hex(&string(text.as_bytes())), expect);
    check("0", "c000");
    check("-128", "c080");
    check("128", "c18000");
    check("-32768", "c10080");
    check("32768", "c200800000");
    check("2147483647", "c2ffffff7f");
    check("-2147483648", "c200000080");
}

#[test]
fn other_texts_stay_as_they_are() {
    let texts = [
        "",
        "-",
        "-0",
        "+1",
        "01",
        "00",
        "1 ",
        " 1",
        "1a",
        "2147483648",
        "-2147483649",
        "99999999999",
    ];
    for text in texts {
        let mut expect = vec![text.len() as u8];
        expect.extend_from_slice(text.as_bytes());
        assert_eq!(string(text.as_bytes()), expect, "{text:?}");
    }
}

#[test]
fn integer_values_are_written_like_their_text() {
    for value in [0, 5, -129, 70_000, i64::from(i32::MIN), 1 << 31, i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        types::encode(
            &mut RecordEncoder::new(WriteVersion::V11, true),
            &mut out,
            ValueRef::Int(value),
            &mut |_| {},
        );
        assert_eq!(out, string(value.to_string().as_bytes()), "{value}");
    }
}

#[test]
fn compression_starts_at_21_bytes_and_is_optional() {
    assert_eq!(string(&[b'a'; 20])[0], 20);
    assert_eq!(string(&[b'a'; 21])[0], encoding::LZF);
    let mut out = Vec::new();
    RecordEncoder::new(WriteVersion::V11, false).string(&mut out, &[b'a'; 21]);
    assert_eq!(out[0], 21);
}

#[test]
fn payloads_equal_those_of_redis_7() {
    let check = |value: ValueRef<'_>, expect: &str| {
        let payload = RecordEncoder::new(WriteVersion::V10, true).dump(value);
        assert_eq!(hex(&payload), expect);
    };
    check(ValueRef::Str(b"hello"), "000568656c6c6f0a006372df766534200a");
    check(ValueRef::Str(b""), "00000a005d9b5c400f7fa2da");
    check(ValueRef::Int(-7), "00c0f90a005e26d130d7a242ab");
    check(ValueRef::Int(1000), "00c1e8030a0089d1478ebac4b764");
    check(ValueRef::Int(-70_000), "00c290eefeff0a002875de7b13eb2800");
    check(ValueRef::Int(5_000_000_000), "000a353030303030303030300a0069a90fd57e0ff425");
}

#[test]
fn a_file_has_its_parts_in_order() {
    let options = WriteOptions { version: WriteVersion::V10, compression: true, checksum: false };
    let mut file = RdbEncoder::new(options);
    file.aux(b"a", b"b");
    file.function(b"f");
    file.select_db(3);
    file.resize_db(2, 1);
    let meta = EntryMeta { expire_at_ms: Some(0x0102), lru: Some(IdleOrFreq::IdleSeconds(64)) };
    file.entry(b"k", meta, ValueRef::Str(b"v"));
    let meta = EntryMeta { expire_at_ms: None, lru: Some(IdleOrFreq::Freq(9)) };
    file.entry(b"7", meta, ValueRef::Int(8));
    file.eof();
    let expect = [
        b"REDIS0010\xfa\x01a\x01b\xf5\x01f\xfe\x03\xfb\x02\x01".as_slice(),
        b"\xfc\x02\x01\0\0\0\0\0\0\xf8\x40\x40\0\x01k\x01v",
        b"\xf9\x09\0\xc0\x07\xc0\x08",
        b"\xff\0\0\0\0\0\0\0\0",
    ];
    assert_eq!(file.pending(), expect.concat());
}

#[test]
fn draining_changes_nothing() {
    let write = |drain_each: bool| {
        let mut file = RdbEncoder::new(WriteOptions::default());
        let mut written = Vec::new();
        for i in 0..100 {
            if drain_each {
                written.extend_from_slice(file.pending());
                file.drain();
            }
            let value = ValueRef::Str(b"some value");
            file.entry(format!("key {i}").as_bytes(), EntryMeta::default(), value);
        }
        file.eof();
        written.extend_from_slice(file.pending());
        written
    };
    let whole = write(false);
    assert_eq!(write(true), whole);
    let (summed, checksum) = whole.split_at(whole.len() - 8);
    assert_eq!(checksum, Checksum::of(summed).to_le_bytes());
}

#[test]
fn records_made_elsewhere_are_the_same() {
    let value = ValueRef::Str(b"value");
    let meta = EntryMeta { expire_at_ms: Some(1), lru: None };
    let mut inside = RdbEncoder::new(WriteOptions::default());
    inside.entry(b"key", meta, value);
    inside.eof();
    let mut record = Vec::new();
    RecordEncoder::new(WriteVersion::V11, true).entry(&mut record, b"key", meta, value);
    let mut outside = RdbEncoder::new(WriteOptions::default());
    outside.records(&record);
    outside.eof();
    assert_eq!(outside.pending(), inside.pending());
}
