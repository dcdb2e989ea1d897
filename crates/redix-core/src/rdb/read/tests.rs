//! The fixtures were written by real servers; `tests/data/README.md` says how.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::format::WriteVersion;
use super::super::write::{
    EntryMeta, FileInfo, IdleOrFreq, RdbEncoder, RecordEncoder, ReplicationInfo, WriteOptions,
};
use super::*;
use redix_types::value::ValueRef;

macro_rules! fixtures {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../../tests/data/", $name, ".rdb")))),*]
    };
}

const FIXTURES: &[(&str, &[u8])] = fixtures! {
    "redis-7.0.15-function" "redis-7.0.15-lfu" "redis-7.0.15-list" "redis-7.0.15-lru"
    "redis-7.0.15-no-checksum" "redis-7.0.15-strings" "redis-7.0.15-uncompressed"
    "redis-8.2.3-function" "redis-8.2.3-hash-fields" "redis-8.2.3-lfu" "redis-8.2.3-list"
    "redis-8.2.3-lru" "redis-8.2.3-no-checksum" "redis-8.2.3-slots" "redis-8.2.3-strings"
    "redis-8.2.3-uncompressed"
    "valkey-9.1.2-function" "valkey-9.1.2-hash-fields" "valkey-9.1.2-lfu" "valkey-9.1.2-list"
    "valkey-9.1.2-lru" "valkey-9.1.2-no-checksum" "valkey-9.1.2-slots" "valkey-9.1.2-strings"
    "valkey-9.1.2-uncompressed"
};

const SERVERS: [(&str, RdbVersion); 3] = [
    ("redis-7.0.15", RdbVersion::Redis(10)),
    ("redis-8.2.3", RdbVersion::Redis(12)),
    ("valkey-9.1.2", RdbVersion::Valkey(80)),
];

fn fixture(server: &str, name: &str) -> &'static [u8] {
    let name = format!("{server}-{name}");
    FIXTURES.iter().find(|(fixture, _)| *fixture == name).unwrap().1
}

/// A key of a test: database, expiry, idle time, frequency and value.
type Key = (u32, Option<i64>, Option<u64>, Option<u8>, Vec<u8>);

#[derive(Debug, Default, PartialEq)]
struct Content {
    version: Option<RdbVersion>,
    aux: BTreeMap<String, String>,
    functions: Vec<String>,
    /// Other events, in order.
    parts: Vec<String>,
    keys: BTreeMap<(u32, Vec<u8>), Key>,
    end: Option<ChecksumOutcome>,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn owned(string: RdbString<'_>) -> Vec<u8> {
    match string {
        RdbString::Int(value) => value.to_string().into_bytes(),
        RdbString::Bytes(bytes) => bytes.to_vec(),
    }
}

fn read_from(
    source: impl Read + Send,
    options: ReadOptions,
) -> std::result::Result<Content, RdbError> {
    let mut reader = RdbReader::new(source, options);
    let mut content = Content::default();
    while content.end.is_none() {
        content.note(reader.next_event()?);
    }
    Ok(content)
}

impl Content {
    fn note(&mut self, event: Event<'_>) {
        match event {
            Event::Start(version) => self.version = Some(version),
            Event::Aux { name, value } => {
                self.aux.insert(text(name), text(&owned(value)));
            }
            Event::Function(source) => self.functions.push(text(source)),
            Event::Key(KeyRecord { db, key, expire_at_ms, idle_s, freq, value, .. }) => {
                let value = match value {
                    RdbValue::Str(value) => owned(value),
                    // In a form in which equal collections are equal.
                    RdbValue::Collection(heap) => {
                        RecordEncoder::new(WriteVersion::V11, false).dump(heap.as_ref())
                    }
                };
                let record = (db, expire_at_ms, idle_s, freq, value);
                self.keys.insert((db, key.to_vec()), record);
            }
            Event::End(outcome) => self.end = Some(outcome),
            Event::ModuleAux { module } => self.parts.push(format!("module {}", text(&module))),
            part => self.parts.push(format!("{part:?}")),
        }
    }
}

/// As [`read_from`], with what can be cut out read in pieces.
fn read_in_pieces(bytes: &[u8]) -> std::result::Result<Content, RdbError> {
    let options = ReadOptions::default();
    let (mut reader, mut piece) = (RdbReader::new(bytes, options), Piece::default());
    let mut content = Content::default();
    while content.end.is_none() {
        if !reader.cut(&mut piece)? {
            content.note(reader.next_event()?);
            continue;
        }
        let mut keys = PieceReader::new(std::mem::take(&mut piece), options);
        while let Some(record) = keys.next_key()? {
            content.note(Event::Key(record));
        }
        piece = keys.into_spare();
    }
    Ok(content)
}

/// Reads a file in both ways, which must agree.
fn read(bytes: &[u8]) -> std::result::Result<Content, RdbError> {
    let read = read_from(bytes, ReadOptions::default());
    match (&read, read_in_pieces(bytes)) {
        (Ok(whole), Ok(pieces)) => assert_eq!(*whole, pieces),
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        (whole, pieces) => panic!("{whole:?} as a whole, {pieces:?} in pieces"),
    }
    read
}

/// A file of version 11 without a checksum whose parts are `body`.
fn file(body: &[u8]) -> Vec<u8> {
    [b"REDIS0011", body, b"\xff\0\0\0\0\0\0\0\0"].concat()
}

#[track_caller]
fn check_error(bytes: &[u8], expect: &str) {
    assert_eq!(read(bytes).unwrap_err().to_string(), expect);
}

/// What `tests/data/README.md` sets in the fixtures named `strings`.
fn strings_expected() -> BTreeMap<(u32, Vec<u8>), Key> {
    let mut keys = BTreeMap::new();
    let mut set = |db: u32, key: &[u8], value: &[u8], expire: Option<i64>| {
        keys.insert((db, key.to_vec()), (db, expire, None, None, value.to_vec()));
    };
    let ints = [
        0,
        -1,
        127,
        128,
        -128,
        -129,
        32767,
        32768,
        -32768,
        -32769,
        2147483647,
        2147483648,
        -2147483648,
        -2147483649,
        i64::MAX,
        i64::MIN,
    ];
    for int in ints {
        set(0, format!("int:{int}").as_bytes(), int.to_string().as_bytes(), None);
    }
    let far: Vec<u8> = (0..300u32).map(|i| ((i * i * 7 + i / 3) % 251) as u8).collect();
    let sequence: Vec<u8> = (0..100u32).map(|i| (i * 37) as u8).collect();
    let all_bytes: Vec<u8> = (0..=255).collect();
    set(0, b"12345", b"integer key", None);
    set(0, b"007", b"007", None);
    set(0, b"plus", b"+1", None);
    set(0, b"minus zero", b"-0", None);
    set(0, b"empty", b"", None);
    set(0, b"", b"empty key", None);
    set(0, b"binary", &all_bytes, None);
    set(0, b"run", &[b'a'; 1000], None);
    set(0, b"text", &b"the quick brown fox jumps over the lazy dog; ".repeat(8), None);
    set(0, b"far", &[&far[..], &[b'x'; 9000], &far].concat(), None);
    set(0, &[b'k'; 70], b"long key", None);
    set(0, b"raw 14 bit", &sequence, None);
    set(0, b"expires", b"soon", Some(4_102_444_800_123));
    set(3, b"in db 3", b"x", Some(4_102_444_800_000));
    set(3, b"n", b"42", None);
    set(15, b"in db 15", b"y", None);
    keys
}

#[test]
fn strings_of_every_server_are_read() {
    for (server, version) in SERVERS {
        let content = read(fixture(server, "strings")).unwrap();
        assert_eq!(content.version, Some(version));
        assert_eq!(content.keys, strings_expected(), "{server}");
        assert_eq!(content.end, Some(ChecksumOutcome::Verified));
        let (fork, number) = server.split_once('-').unwrap();
        assert_eq!(content.aux[&format!("{fork}-ver")], number);
        assert_eq!(content.aux["redis-bits"], "64");
        assert_eq!(
            content.parts,
            [
                "SelectDb(0)",
                "ResizeDb { keys: 29, expires: 1 }",
                "SelectDb(3)",
                "ResizeDb { keys: 2, expires: 1 }",
                "SelectDb(15)",
                "ResizeDb { keys: 1, expires: 0 }"
            ]
        );
    }
}

#[test]
fn idle_times_and_frequencies_are_read() {
    for (server, _) in SERVERS {
        let keys = read(fixture(server, "lru")).unwrap().keys;
        assert_eq!(keys[&(0, b"old".to_vec())], (0, None, Some(2), None, b"v".to_vec()));
        assert_eq!(keys[&(0, b"n".to_vec())], (0, None, Some(2), None, b"5".to_vec()));
        let keys = read(fixture(server, "lfu")).unwrap().keys;
        let (_, expire, idle, freq, _) = &keys[&(0, b"k".to_vec())];
        assert_eq!((*expire, *idle), (None, None));
        assert!(freq.unwrap() > 5, "read fifty times");
        let expire = Some(4_102_444_800_123);
        assert_eq!(keys[&(0, b"n".to_vec())], (0, expire, None, Some(5), b"7".to_vec()));
    }
}

#[test]
fn functions_are_read() {
    for (server, _) in SERVERS {
        let content = read(fixture(server, "function")).unwrap();
        let expect = r"#!lua name=lib\nredis.register_function(\'f\', function() return 1 end)";
        assert_eq!(content.functions, [expect], "{server}");
        assert_eq!(content.keys.len(), 1);
    }
}

#[test]
fn slot_sizes_are_reported() {
    let content = read(fixture("redis-8.2.3", "slots")).unwrap();
    assert_eq!(content.parts[2], "SlotInfo { slot: 3432, keys: 1, expires: 1 }");
    assert_eq!(content.parts[3], "SlotInfo { slot: 12182, keys: 1, expires: 0 }");
    let content = read(fixture("valkey-9.1.2", "slots")).unwrap();
    assert_eq!(content.aux["slot-info"], "12182,1,0,0");
    assert_eq!(content.keys.len(), 2);
}

#[test]
fn files_without_checksum_or_compression_are_read() {
    for (server, _) in SERVERS {
        let content = read(fixture(server, "no-checksum")).unwrap();
        assert_eq!(content.end, Some(ChecksumOutcome::Absent), "{server}");
        let content = read(fixture(server, "uncompressed")).unwrap();
        assert_eq!(content.keys[&(0, b"run".to_vec())].4, [b'a'; 100], "{server}");
    }
}

#[test]
fn types_that_cannot_be_loaded_are_named() {
    check_error(
        &file(b"\x16\x01h"),
        "at offset 9, key \"h\": hash with expiring fields (before Redis 7.4) (type 22) is not \
         supported",
    );
    check_error(
        &file(b"\x17\x01h"),
        "at offset 9, key \"h\": hash with expiring fields (listpack, before Redis 7.4) (type 23) is \
         not supported",
    );
    let unknown = |type_byte| {
        format!(
            "at offset 9: Unknown type or opcode when loading DB. Unrecoverable error, aborting \
             now. (type {type_byte})"
        )
    };
    check_error(&file(b"\xc8"), &unknown(200));
    check_error(
        b"REDIS0012\xc8",
        "at offset 9: Can't handle foreign type or opcode 200 in RDB with version 12",
    );
    check_error(
        &file(b"\xf6"),
        "at offset 9: function library (before Redis 7.0) (type 246) is not supported",
    );
    check_error(b"VALKEY080\xf3", "at offset 9: slot import state (type 243) is not supported");
    check_error(b"VALKEY080\x19", &unknown(25));
}

/// What Valkey 9.1.2 passes over, and RESTORE refuses. (Empty intsets and zipmaps are broken.)
#[test]
fn keys_with_nothing_in_them_are_passed_over() {
    const LISTPACK: &[u8] = b"\x07\x07\x00\x00\x00\x00\x00\xff";
    const ZIPLIST: &[u8] = b"\x0b\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff";
    let cases: &[(u8, &[&[u8]])] = &[
        (1, &[b"\0"]),
        (2, &[b"\0"]),
        (3, &[b"\0"]),
        (4, &[b"\0"]),
        (5, &[b"\0"]),
        (10, &[ZIPLIST]),
        (12, &[ZIPLIST]),
        (13, &[ZIPLIST]),
        (14, &[b"\0"]),
        (14, &[b"\x02", ZIPLIST, ZIPLIST]),
        (16, &[LISTPACK]),
        (17, &[LISTPACK]),
        (18, &[b"\0"]),
        (18, &[b"\x02\x02", LISTPACK, b"\x02", LISTPACK]),
        (20, &[LISTPACK]),
    ];
    for (type_byte, value) in cases {
        let value = value.concat();
        let expiring = [&b"\xfc\x01\0\0\0\0\0\0\0"[..], &[*type_byte], b"\x01k", &value];
        let bytes = file(&[&expiring.concat()[..], b"\0\x05after\x01v"].concat());
        let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
        let mut keys = Vec::new();
        loop {
            match reader.next_event().unwrap() {
                Event::Key(record) => keys.push((record.key.to_vec(), record.expire_at_ms)),
                Event::End(_) => break,
                _ => {}
            }
        }
        assert_eq!(keys, [(b"after".to_vec(), None)], "type {type_byte}");
        assert_eq!(reader.empty_keys(), 1);
        let mut decoder = Decoder::new(ReadOptions::default());
        let mut input = Input::new(Box::new(&value[..]), value.len(), ChecksumPolicy::Ignore);
        assert!(decoder.decode_value(&mut input, *type_byte).is_err());
    }
}

#[test]
fn every_truncation_is_an_error_at_the_end() {
    for (name, bytes) in FIXTURES {
        let whole = read(bytes);
        for len in 0..bytes.len() {
            let error = read(&bytes[..len]).unwrap_err();
            match error.kind {
                RdbErrorKind::Truncated => assert_eq!(error.offset, len as u64, "{name}"),
                // The type was refused before the truncation.
                RdbErrorKind::UnsupportedType { .. } => assert!(whole.is_err(), "{name}"),
                _ => panic!("{name} cut to {len} bytes: {error}"),
            }
        }
    }
}

#[test]
fn a_source_may_return_any_number_of_bytes() {
    /// Fails with `Interrupted` before each byte.
    struct Trickle<'a>(&'a [u8], bool);
    impl Read for Trickle<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                Err(std::io::ErrorKind::Interrupted.into())
            } else {
                self.0.read(&mut buf[..1])
            }
        }
    }
    let bytes = fixture("redis-7.0.15", "strings");
    let content = read_from(Trickle(bytes, false), ReadOptions::default()).unwrap();
    assert_eq!(content, read(bytes).unwrap());
}

#[test]
fn a_failing_source_is_reported_with_its_offset() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk gone"))
        }
    }
    let error = read_from(b"REDIS0011".chain(Failing), ReadOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "at offset 9: disk gone");
}

#[test]
fn a_wrong_checksum_is_an_error_unless_ignored() {
    let mut bytes = fixture("valkey-9.1.2", "function").to_vec();
    let len = bytes.len();
    bytes[len - 1] ^= 1;
    let error = read(&bytes).unwrap_err();
    assert_eq!(error.offset, len as u64 - 8);
    let RdbErrorKind::Checksum { expected, found } = error.kind else { panic!("{error}") };
    assert_eq!(expected ^ found, 1 << 56);
    let options = ReadOptions { checksums: ChecksumPolicy::Ignore, ..ReadOptions::default() };
    let content = read_from(&bytes[..], options).unwrap();
    assert_eq!(content.end, Some(ChecksumOutcome::Ignored));
}

#[test]
fn magic_and_version_are_checked() {
    check_error(b"REDIS00", "at offset 7: unexpected end of the data");
    for magic in [b"REDIT0011", b"REDIS001x", b"VALKEY0x0", b"REDIS 011", b"*1\r\n$4\r\nP"] {
        check_error(magic, "at offset 0: not an RDB file");
    }
    for (magic, number) in [
        (b"REDIS0000", 0),
        (b"REDIS0013", 13),
        (b"REDIS0080", 80),
        (b"VALKEY011", 11),
        (b"VALKEY081", 81),
    ] {
        check_error(magic, &format!("at offset 0: Can't handle RDB format version {number}"));
    }
    for number in 1..=12u16 {
        let bytes = format!("REDIS{number:04}").into_bytes();
        let end: &[u8] = if number < 5 { b"\xff" } else { b"\xff\0\0\0\0\0\0\0\0" };
        let content = read(&[&bytes, b"\0\x01k\x01v".as_slice(), end].concat()).unwrap();
        assert_eq!(content.version, Some(RdbVersion::Redis(number)));
        assert_eq!(content.keys.len(), 1);
        assert_eq!(content.end, Some(ChecksumOutcome::Absent));
    }
}

#[test]
fn every_form_of_length_is_read() {
    for head in [b"\x03".as_slice(), b"\x40\x03", b"\x80\0\0\0\x03", b"\x81\0\0\0\0\0\0\0\x03"] {
        let content = read(&file(&[b"\0\x01k", head, b"abc"].concat())).unwrap();
        assert_eq!(content.keys[&(0, b"k".to_vec())].4, b"abc");
    }
    check_error(&file(b"\0\x01k\x82"), "at offset 12, key \"k\": unknown form of a length");
    check_error(&file(b"\0\x01k\xc4"), "at offset 12, key \"k\": unknown encoding of a string");
    check_error(&file(b"\xfe\xc0\x01"), "at offset 9: a string where a length is due");
}

#[test]
fn expiry_in_seconds_is_read_and_belongs_to_the_next_key_only() {
    let content = read(&file(b"\xfd\x02\0\0\0\xfe\x04\0\x01k\x01v\0\x01l\x01w")).unwrap();
    assert_eq!(content.keys[&(4, b"k".to_vec())].1, Some(2000));
    assert_eq!(content.keys[&(4, b"l".to_vec())].1, None);
    let content = read(&file(b"\xfd\xff\xff\xff\xff\0\x01k\x01v")).unwrap();
    assert_eq!(content.keys[&(0, b"k".to_vec())].1, Some(-1000));
}

#[test]
fn module_data_is_skipped_and_named() {
    let id = b"ReJSON-RL"
        .iter()
        .map(|c| {
            let characters = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
            characters.into_iter().position(|other| other == char::from(*c)).unwrap() as u64
        })
        .fold(0, |id, index| id << 6 | index)
        << 10
        | 3;
    let parts: &[&[u8]] = &[
        b"\xf7\x81",
        &id.to_be_bytes(),
        b"\x02\x02",
        b"\x01\x07\x02\x40\x41\x03abcd\x04abcdefgh\x05\x03abc\x05\xc1ab\x05\xc3\x02\x09ab",
        b"\0\0\x01k\x01v",
    ];
    let content = read(&file(&parts.concat())).unwrap();
    assert_eq!(content.parts, ["module ReJSON-RL"]);
    assert_eq!(content.keys.len(), 1);
    check_error(&file(b"\xf7\x01\x03"), "at offset 9: module data without its position");
    check_error(&file(b"\xf7\x01\x02\x02\x06"), "at offset 13: unknown part of module data");
}

#[test]
fn claimed_lengths_are_bounded() {
    check_error(
        &file(b"\0\x01k\x80\x20\0\0\x01"),
        "at offset 12, key \"k\": string longer than allowed",
    );
    check_error(
        &file(b"\0\x01k\xc3\x03\x81\xff\xff\xff\xff\xff\xff\xff\xffabc"),
        "at offset 12, key \"k\": string longer than allowed",
    );
    check_error(&file(b"\xfe\x80\x80\0\0\0"), "at offset 9: impossible database number");
    let options = ReadOptions { string_len_max: 3, ..ReadOptions::default() };
    assert!(read_from(&file(b"\0\x01k\x03abc")[..], options).is_ok());
    assert!(read_from(&file(b"\0\x01k\x04abcd")[..], options).is_err());
    // Half a gigabyte is announced and a little arrives.
    let mut reader_input =
        Input::new(Box::new(std::io::repeat(7).take(3 << 20)), 64, ChecksumPolicy::Verify);
    let mut out = Vec::new();
    let result = reader_input.read_into(512 << 20, &mut out);
    assert!(matches!(result, Err(RdbErrorKind::Truncated)));
    assert_eq!(out.len(), 3 << 20);
    assert!(out.capacity() <= 2 * out.len(), "{}", out.capacity());
}

#[test]
fn long_strings_are_read_whole() {
    for len in [BLOCK_LEN / 4 - 1, BLOCK_LEN / 4 + 1, BLOCK_LEN, 3 * BLOCK_LEN + 5] {
        for compression in [false, true] {
            let value: Vec<u8> = (0..len as u32).map(|i| (i.wrapping_mul(i) >> 9) as u8).collect();
            let mut encoder =
                RdbEncoder::new(WriteOptions { compression, ..WriteOptions::default() });
            for key in [b"a".as_slice(), &value, b"b"] {
                let value = ValueRef::Str(&value);
                encoder.entry(key, EntryMeta::default(), value);
            }
            encoder.function(&value);
            encoder.eof();
            let content = read(encoder.pending()).unwrap();
            assert_eq!(content.end, Some(ChecksumOutcome::Verified));
            assert_eq!(content.functions, [text(&value)]);
            let keys: Vec<_> = content.keys.into_iter().map(|((_, k), r)| (k, r.4)).collect();
            let value = || value.clone();
            let expect = [(value(), value()), (b"a".to_vec(), value()), (b"b".to_vec(), value())];
            assert!(keys == expect, "{len} bytes, compression {compression}");
        }
    }
}

#[test]
fn the_reader_stops_at_the_end_marker() {
    let bytes = [fixture("redis-7.0.15", "function"), b"*1\r\n$4\r\nPING\r\n"].concat();
    let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
    while !matches!(reader.next_event().unwrap(), Event::End(_)) {}
    assert_eq!(reader.offset(), bytes.len() as u64 - 14);
    assert!(matches!(reader.next_event().unwrap(), Event::End(ChecksumOutcome::Verified)));
}

#[test]
fn the_description_of_a_file_is_read_back() {
    let mut encoder = RdbEncoder::new(WriteOptions::default());
    encoder.info(&FileInfo {
        server_version: "7.2.4",
        created_at_s: 1_700_000_000,
        used_memory: 123_456,
        replication: Some(ReplicationInfo {
            stream_db: 2,
            id: "0123456789abcdef",
            offset: 5_000_000_000,
        }),
        aof_base: true,
    });
    encoder.eof();
    let content = read(encoder.pending()).unwrap();
    assert_eq!(content.version, Some(RdbVersion::Redis(11)));
    let aux: Vec<_> = content.aux.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        aux,
        [
            "aof-base=1",
            "ctime=1700000000",
            "redis-bits=64",
            "redis-ver=7.2.4",
            "repl-id=0123456789abcdef",
            "repl-offset=5000000000",
            "repl-stream-db=2",
            "used-mem=123456"
        ]
    );
}

#[test]
fn keys_in_messages_are_escaped_and_cut() {
    let record = [b"\0\x41\x00\n".as_slice(), &[b'x'; 255], b"\xc4"].concat();
    let message = read(&file(&record)).unwrap_err().to_string();
    let shown = "x".repeat(127);
    assert_eq!(
        message,
        format!("at offset 268, key \"\\n{shown}...\": unknown encoding of a string")
    );
}

fn dump_value(payload: &[u8]) -> std::result::Result<Vec<u8>, RdbError> {
    let mut reader = DumpReader::open(payload, ReadOptions::default())?;
    let RdbValue::Str(value) = reader.value()? else { panic!("only strings were written") };
    Ok(owned(value))
}

fn from_hex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Payloads of Redis 7.0.15, Redis 8.2.3 and Valkey 9.1.2.
const PAYLOADS: &[(&str, &str)] = &[
    ("000568656c6c6f0a006372df766534200a", "hello"),
    ("00c290eefeff0a002875de7b13eb2800", "-70000"),
    ("00c30e170668656c6c6f2068e00505016c6f0a000a1f8567ecb05a66", "hello hello hello hello"),
    ("00c0f90c009550e5f02d88dce2", "-7"),
    ("000a353030303030303030300c00a2df3b1584256a6c", "5000000000"),
    ("0000500092b195d1912dc52e", ""),
    ("00c30e170668656c6c6f2068e00505016c6f5000c5354cf672e23d92", "hello hello hello hello"),
];

#[test]
fn payloads_of_every_server_are_read() {
    for (payload, expect) in PAYLOADS {
        assert_eq!(dump_value(&from_hex(payload)).unwrap(), expect.as_bytes(), "{payload}");
    }
}

#[test]
fn broken_payloads_are_refused() {
    for (payload, _) in PAYLOADS {
        let payload = from_hex(payload);
        for len in 0..payload.len() {
            dump_value(&payload[..len]).unwrap_err();
        }
        for bit in 0..payload.len() * 8 {
            let mut payload = payload.clone();
            payload[bit / 8] ^= 1 << (bit % 8);
            dump_value(&payload).unwrap_err();
        }
    }
}

#[test]
fn payload_checks_follow_the_policy() {
    let value = ValueRef::Str(b"v");
    let mut payload = RecordEncoder::new(WriteVersion::V11, true).dump(value);
    let (body, version) = verify_dump_payload(&payload, ReadOptions::default()).unwrap();
    assert_eq!((body, version), (b"\0\x01v".as_slice(), RdbVersion::Redis(11)));
    *payload.last_mut().unwrap() ^= 1;
    verify_dump_payload(&payload, ReadOptions::default()).unwrap_err();
    let ignore = ReadOptions { checksums: ChecksumPolicy::Ignore, ..ReadOptions::default() };
    verify_dump_payload(&payload, ignore).unwrap();
    payload[3] = 13;
    let error = verify_dump_payload(&payload, ignore).unwrap_err();
    assert_eq!(error.to_string(), "at offset 3: Can't handle RDB format version 13");
}

#[test]
fn versions_that_are_not_known_are_taken_where_the_check_is_relaxed() {
    let version = |magic: &[u8; 9], versions| {
        let options = ReadOptions { versions, ..ReadOptions::default() };
        let mut reader = RdbReader::new(&magic[..], options);
        match reader.next_event() {
            Ok(Event::Start(version)) => Ok(version),
            Ok(other) => panic!("no start: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    use RdbVersionCheck::{Relaxed, Strict};
    let refused = |number| Err(format!("at offset 0: Can't handle RDB format version {number}"));
    for (magic, number, relaxed) in [
        (b"REDIS0000", 0, None),
        (b"REDIS0013", 13, Some(RdbVersion::Redis(13))),
        (b"REDIS0079", 79, Some(RdbVersion::Redis(79))),
        (b"REDIS0080", 80, None),
        (b"VALKEY079", 79, None),
        (b"VALKEY081", 81, Some(RdbVersion::Valkey(81))),
        (b"VALKEY999", 999, Some(RdbVersion::Valkey(999))),
    ] {
        assert_eq!(version(magic, Strict), refused(number));
        assert_eq!(version(magic, Relaxed), relaxed.ok_or(()).or(refused(number)), "{number}");
    }
    assert_eq!(version(b"VALKEY080", Strict), Ok(RdbVersion::Valkey(80)));
}

fn any_meta() -> impl Strategy<Value = EntryMeta> {
    let lru = prop_oneof![
        Just(None),
        any::<u64>().prop_map(|idle| Some(IdleOrFreq::IdleSeconds(idle))),
        any::<u8>().prop_map(|freq| Some(IdleOrFreq::Freq(freq))),
    ];
    (any::<Option<i64>>(), lru).prop_map(|(expire_at_ms, lru)| EntryMeta { expire_at_ms, lru })
}

fn any_string() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..30),
        any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        any::<i32>().prop_map(|int| int.to_string().into_bytes()),
        any::<i8>().prop_map(|int| int.to_string().into_bytes()),
        "[-+0-9]{1,12}".prop_map(String::into_bytes),
        (vec(any::<u8>(), 1..20), 1..2000usize).prop_map(|(part, times)| part.repeat(times)),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        entries in vec((0u32..16, any_string(), any_meta(), any_string()), 0..40),
        compression: bool,
        checksum: bool,
        drain_at in 1usize..5000,
    ) {
        let options = WriteOptions { version: WriteVersion::V11, compression, checksum };
        let mut encoder = RdbEncoder::new(options);
        let mut bytes = Vec::new();
        let mut expect = BTreeMap::new();
        for (db, key, meta, value) in &entries {
            encoder.select_db(*db);
            encoder.entry(key, *meta, ValueRef::Str(value));
            let (idle, freq) = match meta.lru {
                Some(IdleOrFreq::IdleSeconds(idle)) => (Some(idle), None),
                Some(IdleOrFreq::Freq(freq)) => (None, Some(freq)),
                None => (None, None),
            };
            let record = (*db, meta.expire_at_ms, idle, freq, value.clone());
            expect.insert((*db, key.clone()), record);
            if encoder.pending().len() > drain_at {
                bytes.extend_from_slice(encoder.pending());
                encoder.drain();
            }
        }
        encoder.eof();
        bytes.extend_from_slice(encoder.pending());
        let content = read(&bytes).unwrap();
        prop_assert_eq!(content.keys, expect);
        let end = if checksum { ChecksumOutcome::Verified } else { ChecksumOutcome::Absent };
        prop_assert_eq!(content.end, Some(end));
    }

    #[test]
    fn flipped_bits_are_noticed_and_never_panic(
        which in 0..FIXTURES.len(),
        flips in vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let (name, original) = FIXTURES[which];
        let mut bytes = original.to_vec();
        for flip in flips {
            let bit = flip.index((bytes.len() - 9) * 8) + 9 * 8;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let options = ReadOptions { checksums: ChecksumPolicy::Ignore, ..ReadOptions::default() };
        // Any outcome but a panic: checksums are off.
        let _ = read_from(&bytes[..], options);
        if !name.ends_with("no-checksum") && bytes != original {
            prop_assert!(read(&bytes).is_err(), "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..200)) {
        let _ = read(&file(&body));
        let _ = read(&[b"VALKEY080".as_slice(), &body].concat());
        let _ = dump_value(&body);
    }

    #[test]
    fn any_dumped_value_is_restored(value in any_string()) {
        for version in [WriteVersion::V10, WriteVersion::V11] {
            let lent = ValueRef::Str(&value);
            let payload = RecordEncoder::new(version, true).dump(lent);
            prop_assert_eq!(&dump_value(&payload).unwrap(), &value);
        }
    }
}

/// The events of a reader until the file ends or cannot be read on; `more` pushes bytes.
fn trace(mut reader: RdbReader<'_>, mut more: impl FnMut(&mut RdbReader<'_>)) -> Vec<String> {
    let mut trace = Vec::new();
    loop {
        match reader.next_event() {
            Ok(event @ Event::End(_)) => {
                trace.push(format!("{event:?}"));
                trace.push(format!("{}", reader.offset()));
                return trace;
            }
            Ok(event) => trace.push(format!("{event:?}")),
            Err(error) if error.is_starved() => more(&mut reader),
            Err(error) => {
                trace.push(error.to_string());
                return trace;
            }
        }
    }
}

#[test]
fn what_is_pushed_in_pieces_reads_like_a_file() {
    for (name, file) in FIXTURES {
        for cut in [file.len(), file.len() - 3, file.len() / 2] {
            let file = &file[..cut];
            let options = ReadOptions::default();
            let pulled = trace(RdbReader::new(file, options), |_| panic!("a file does not starve"));
            for step in [1, 2, 7, 100, file.len()] {
                let mut pieces = file.chunks(step);
                let pushed = trace(RdbReader::pushed(options), |reader| match pieces.next() {
                    Some(piece) => reader.push(piece),
                    None => reader.end_pushing(),
                });
                assert_eq!(pulled, pushed, "{name} up to {cut} in steps of {step}");
            }
        }
    }
}

#[test]
fn what_is_pushed_behind_the_end_is_given_back() {
    let file = fixture("valkey-9.1.2", "strings");
    let mut reader = RdbReader::pushed(ReadOptions::default());
    reader.push(&[file, b"rest"].concat());
    while !matches!(reader.next_event().unwrap(), Event::End(_)) {}
    assert_eq!(reader.rest(), b"rest");
}

#[test]
fn an_event_is_tried_again_only_once_it_has_grown() {
    let mut record = Vec::from(*b"REDIS0011\x00\x01k");
    // A string of a million bytes.
    record.extend([0x80, 0, 0x0f, 0x42, 0x40]);
    let mut reader = RdbReader::pushed(ReadOptions::default());
    reader.push(&record);
    let mut tries = 0;
    for _ in 0..1000 {
        if reader.is_worth_trying() {
            tries += 1;
            while reader.next_event().is_ok() {}
        }
        reader.push(&[b'x'; 1000]);
    }
    assert_eq!(tries, 1);
    assert!(matches!(reader.next_event().unwrap(), Event::Key(_)));
}
