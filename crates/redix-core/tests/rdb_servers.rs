//! Files and payloads written here are loaded by the real servers, and their own saves contain the
//! same data.

#![allow(clippy::unwrap_used)]
// The peer is a process, which reads files and listens on a socket.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use redix_core::rdb::format::{RdbString, RdbValue, WriteVersion};
use redix_core::rdb::read::{Event, RdbReader, ReadOptions};
use redix_core::rdb::write::{
    EntryMeta, FileInfo, IdleOrFreq, RdbEncoder, RecordEncoder, ReplicationInfo, WriteOptions,
};
use redix_testkit::peer::{Peer, Tool};
use redix_testkit::server::{Launch, TempDir};
use redix_types::value::ValueRef;

const FUNCTION: &[u8] = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";

/// (database, key) -> (expiry, value).
type Keys = BTreeMap<(u32, Vec<u8>), (Option<i64>, Vec<u8>)>;

fn sample_keys() -> Keys {
    let mut json = String::new();
    for i in 0..200 {
        write!(json, "{{\"id\":{i},\"name\":\"user {i}\",\"active\":true}},").unwrap();
    }
    let noise: Vec<u8> = (0..400_000u32).map(|i| (i.wrapping_mul(i) >> 11) as u8).collect();
    let mut values: Vec<Vec<u8>> = [
        "",
        "0",
        "-0",
        "007",
        "127",
        "-128",
        "128",
        "32767",
        "-32769",
        "2147483647",
        "-2147483648",
        "2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "+1",
        " 1",
        "text",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    values.push((0..=255).collect());
    values.push(vec![b'a'; 100_000]);
    values.push([&noise[..300], &[b'x'; 8000], &noise[..300]].concat());
    values.push(noise);
    values.push(json.into_bytes());
    let mut keys = Keys::new();
    for db in [0, 1, 15] {
        for (i, value) in values.iter().enumerate() {
            let expire_at_ms = (i % 3 == 1).then(|| 4_102_444_800_000 + i as i64);
            keys.insert((db, format!("key:{i}").into_bytes()), (expire_at_ms, value.clone()));
        }
    }
    keys.insert((3, b"12345".to_vec()), (None, b"integer key".to_vec()));
    keys.insert((3, vec![]), (None, b"empty key".to_vec()));
    keys.insert((3, vec![b'k'; 300]), (None, b"compressible key".to_vec()));
    keys
}

/// A file with every part that can be written.
fn write_sample(options: WriteOptions, keys: &Keys, lru: Option<IdleOrFreq>) -> Vec<u8> {
    let mut file = RdbEncoder::new(options);
    file.info(&FileInfo {
        server_version: "7.2.4",
        created_at_s: 1_700_000_000,
        used_memory: 1 << 20,
        replication: Some(ReplicationInfo {
            stream_db: 0,
            id: "0123456789012345678901234567890123456789",
            offset: 1000,
        }),
        aof_base: false,
    });
    file.function(FUNCTION);
    let mut selected = None;
    for ((db, key), (expire_at_ms, value)) in keys {
        if selected != Some(*db) {
            selected = Some(*db);
            let of_db = || keys.range((*db, vec![])..(db + 1, vec![])).map(|(_, record)| record);
            let expires = of_db().filter(|(expire_at_ms, _)| expire_at_ms.is_some()).count();
            file.select_db(*db);
            file.resize_db(of_db().count() as u64, expires as u64);
        }
        let meta = EntryMeta { expire_at_ms: *expire_at_ms, lru };
        file.entry(key, meta, ValueRef::Str(value));
    }
    file.eof();
    file.pending().to_vec()
}

struct Saved {
    keys: Keys,
    functions: Vec<Vec<u8>>,
    idle_s: Vec<Option<u64>>,
    freq: Vec<Option<u8>>,
}

fn read_saved(path: &Path) -> Saved {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = RdbReader::new(file, ReadOptions::default());
    let mut saved = Saved { keys: Keys::new(), functions: vec![], idle_s: vec![], freq: vec![] };
    loop {
        match reader.next_event().unwrap() {
            Event::Key(record) => {
                let RdbValue::Str(value) = record.value else {
                    panic!("only strings were written")
                };
                let value = match value {
                    RdbString::Int(value) => value.to_string().into_bytes(),
                    RdbString::Bytes(bytes) => bytes.to_vec(),
                };
                saved.idle_s.push(record.idle_s);
                saved.freq.push(record.freq);
                let place = (record.db, record.key.to_vec());
                saved.keys.insert(place, (record.expire_at_ms, value));
            }
            Event::Function(source) => saved.functions.push(source.to_vec()),
            Event::End(_) => return saved,
            _ => {}
        }
    }
}

/// Sends one command and returns the line of its reply.
fn command(stream: &TcpStream, args: &[&[u8]]) -> String {
    let mut request = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        write!(request, "${}\r\n", arg.len()).unwrap();
        request.extend_from_slice(arg);
        request.extend_from_slice(b"\r\n");
    }
    let mut stream = stream;
    stream.write_all(&request).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Makes `peer` load `file`, execute `commands` and save.
fn through(peer: Peer, file: &[u8], args: &[&str], commands: &[Vec<&[u8]>]) -> Saved {
    let dir = TempDir::new("rdb").unwrap();
    let path = dir.path().join("dump.rdb");
    std::fs::write(&path, file).unwrap();
    let dir_arg = dir.path().to_str().unwrap();
    let launch = Launch::new(peer).unwrap().args(&["--dir", dir_arg]).args(args);
    let server = launch.start().unwrap();
    let stream = TcpStream::connect(server.addr()).unwrap();
    for args in commands {
        assert_eq!(command(&stream, args), "+OK", "{}", peer.name());
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(command(&stream, &[b"SAVE"]), "+OK", "{}", peer.name());
    read_saved(&path)
}

/// The servers of this machine, each with the versions that it reads.
fn peers() -> Vec<(Peer, &'static [WriteVersion])> {
    let both: &[WriteVersion] = &[WriteVersion::V10, WriteVersion::V11];
    let mut peers = vec![(Peer::Redis7, &both[..1]), (Peer::Redis8, both), (Peer::Valkey, both)];
    peers.retain(|(peer, _)| peer.available_or_skip());
    peers
}

#[test]
fn written_files_are_loaded_by_real_servers() {
    let keys = sample_keys();
    for (peer, versions) in peers() {
        for &version in versions {
            for (compression, checksum) in [(true, true), (false, false)] {
                let options = WriteOptions { version, compression, checksum };
                let saved = through(peer, &write_sample(options, &keys, None), &[], &[]);
                assert!(saved.keys == keys, "{} changed {options:?}", peer.name());
                assert_eq!(saved.functions, [FUNCTION], "{}", peer.name());
            }
        }
    }
}

#[test]
fn idle_times_and_frequencies_are_loaded_by_real_servers() {
    let keys = sample_keys();
    let options = WriteOptions { version: WriteVersion::V10, ..WriteOptions::default() };
    for (peer, _) in peers() {
        let file = write_sample(options, &keys, Some(IdleOrFreq::IdleSeconds(1000)));
        let saved = through(peer, &file, &["--maxmemory-policy", "allkeys-lru"], &[]);
        assert_eq!(saved.keys.len(), keys.len());
        assert!(saved.idle_s.iter().all(|idle| (1000..1100).contains(&idle.unwrap())));
        let file = write_sample(options, &keys, Some(IdleOrFreq::Freq(200)));
        let saved = through(peer, &file, &["--maxmemory-policy", "allkeys-lfu"], &[]);
        assert!(saved.freq.iter().all(|freq| (195..=200).contains(&freq.unwrap())));
    }
}

#[test]
fn written_payloads_are_restored_by_real_servers() {
    let keys: Keys = sample_keys()
        .into_iter()
        .filter(|((db, _), _)| *db == 0)
        .map(|(place, (_, value))| (place, (None, value)))
        .collect();
    for (peer, versions) in peers() {
        for &version in versions {
            let mut records = RecordEncoder::new(version, true);
            let payloads: Vec<(&[u8], Vec<u8>)> = keys
                .iter()
                .map(|((_, key), (_, value))| (key.as_slice(), records.dump(ValueRef::Str(value))))
                .collect();
            let restores: Vec<Vec<&[u8]>> = payloads
                .iter()
                .map(|(key, payload)| vec![b"RESTORE".as_slice(), key, b"0", payload])
                .collect();
            let options = WriteOptions { version, ..WriteOptions::default() };
            let empty = write_sample(options, &Keys::new(), None);
            let saved = through(peer, &empty, &[], &restores);
            assert!(saved.keys == keys, "{} changed {version:?}", peer.name());
        }
    }
}

#[test]
fn written_files_pass_redis_check_rdb() {
    let Some(check_rdb) = Tool::CheckRdb.path().filter(|_| Peer::Redis7.available_or_skip()) else {
        return;
    };
    let dir = TempDir::new("check-rdb").unwrap();
    let path = dir.path().join("dump.rdb");
    let options = WriteOptions { version: WriteVersion::V10, ..WriteOptions::default() };
    std::fs::write(&path, write_sample(options, &sample_keys(), None)).unwrap();
    let output = Command::new(check_rdb).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("RDB looks OK"), "{text}");
    assert!(text.contains("Checksum OK"), "{text}");
}
