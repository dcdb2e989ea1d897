use super::*;
use crate::persist::check::stats::Form;
use crate::rdb::format::WriteVersion;
use crate::rdb::write::{EntryMeta, RdbEncoder, WriteOptions};
use redix_types::ValueRef;

const NOW_MS: i64 = 1_700_000_000_000;

/// A file with three keys: `a`, `b`, which has expired, and `c`, which will.
fn file(version: WriteVersion) -> Vec<u8> {
    let mut file = RdbEncoder::new(WriteOptions { version, ..WriteOptions::default() });
    file.select_db(3);
    for (key, expire_at_ms) in [("a", None), ("b", Some(NOW_MS - 1)), ("c", Some(NOW_MS + 1))] {
        let meta = EntryMeta { expire_at_ms, ..EntryMeta::default() };
        file.entry(key.as_bytes(), meta, ValueRef::Str(b"some value"));
    }
    file.eof();
    file.pending().to_vec()
}

/// The report, and the length of the file if it is sound.
fn report(file: &[u8]) -> (String, Option<u64>) {
    let mut out = Vec::new();
    let found = check(file, b"dump.rdb", NOW_MS, None, &mut out).expect("memory");
    (String::from_utf8_lossy(&out).into_owned(), found)
}

#[track_caller]
fn assert_has(report: &str, lines: &[&str]) {
    for line in lines {
        assert!(report.lines().any(|found| found.ends_with(line)), "no {line} in\n{report}");
    }
}

#[test]
fn a_sound_file() {
    let mut file = file(WriteVersion::V11);
    let len = file.len() as u64;
    file.extend_from_slice(b"*1\r\n");
    let (text, found) = report(&file);
    assert_eq!(found, Some(len));
    assert_has(
        &text,
        &[
            "[offset 0] Checking RDB file dump.rdb",
            "Selecting DB ID 3",
            &format!("[offset {len}] Checksum OK"),
            &format!("[offset {len}] \\o/ RDB looks OK! \\o/"),
            "[info] 3 keys read",
            "[info] 2 expires",
            "[info] 1 already expired",
            "[info] 0 functions",
        ],
    );
}

#[test]
fn a_file_cut_anywhere() {
    let file = file(WriteVersion::V11);
    for len in 0..file.len() {
        let (text, found) = report(&file[..len]);
        assert_eq!(found, None, "{len}");
        assert_has(&text, &["--- RDB ERROR DETECTED ---", "Unexpected EOF reading RDB file"]);
    }
}

#[test]
fn a_file_with_a_changed_byte() {
    let sound = file(WriteVersion::V11);
    for at in 0..sound.len() {
        let mut file = sound.clone();
        file[at] ^= 0x55;
        let (text, found) = report(&file);
        assert_eq!(found, None, "{at}: {text}");
    }
}

#[test]
fn the_key_at_fault_is_named() {
    let mut file = file(WriteVersion::V11);
    let at = file.windows(2).rposition(|pair| pair == b"\x01c").expect("the last key");
    // The length of its value.
    file[at + 2] = 0xc9;
    let (text, found) = report(&file);
    assert_eq!(found, None);
    assert_has(&text, &["[additional info] Reading key 'c'", "[info] 3 keys read"]);
}

#[test]
fn collections_without_elements() {
    // A set without members (type 2), as Redis once left some behind.
    let file = [b"REDIS0004\x02\x03set\x00", &[0xff][..]].concat();
    let (text, found) = report(&file);
    assert_eq!(found, None);
    assert_has(&text, &["1 collections without elements, of the keys:", "[additional info] 'set'"]);
}

#[test]
fn versions_of_others() {
    let mut file = file(WriteVersion::V80);
    assert_has(&report(&file).0, &["\\o/ RDB looks OK! \\o/"]);
    // Without a checksum, so that the version can be changed.
    let len = file.len();
    file[len - 8..].fill(0);
    assert_has(&report(&file).0, &["checksum disabled: no check performed."]);
    file[6..9].copy_from_slice(b"987");
    let relaxed = "RDB looks OK, but loading requires config 'rdb-version-check relaxed'";
    assert_has(&report(&file).0, &["[offset 9] Future RDB version 987 detected", relaxed]);
    file[9] = 150;
    let unknown = "[offset 9] Unknown object type 150 in RDB file with future version 987";
    assert_has(&report(&file).0, &[unknown]);
    file[..9].copy_from_slice(b"REDIS0012");
    let foreign = "[offset 9] Unknown object type 150 in RDB file with foreign version 12";
    assert_has(&report(&file).0, &["[offset 9] Foreign RDB version 12 detected", foreign]);
}

#[test]
fn statistics() {
    let mut stats = Stats::default();
    let file = file(WriteVersion::V11);
    check(&*file, b"", NOW_MS, Some(&mut stats), &mut Vec::new()).expect("memory");
    let mut out = Vec::new();
    stats.write_to(Form::Csv, &mut out).expect("memory");
    let text = String::from_utf8_lossy(&out);
    assert_has(
        &text,
        &[
            "db.0.keys.total,0,0,0,0,0,0,0",
            "db.3.type.name,string,list,set,zset,hash,module,stream",
            "db.3.keys.total,3,0,0,0,0,0,0",
            "db.3.expire_keys.total,2,0,0,0,0,0,0",
            "db.3.already_expired.total,1,0,0,0,0,0,0",
            "db.3.keys.size,3,0,0,0,0,0,0",
            "db.3.elements.size,30,0,0,0,0,0,0",
        ],
    );
    out.clear();
    stats.write_to(Form::Info, &mut out).expect("memory");
    assert_has(&String::from_utf8_lossy(&out), &["[info] db.3.type.string.elements.num.avg:1.00"]);
    out.clear();
    stats.write_to(Form::Table, &mut out).expect("memory");
    let row = "db.3.keys.total               \t3    \t0    \t0    \t0    \t0    \t0    \t0    ";
    assert_has(&String::from_utf8_lossy(&out), &[row]);
}

#[test]
fn statistics_of_collections() {
    let list = b"\x01\x01l\x02\x01a\x03bcd";
    let set = b"\x02\x01s\x01\x02xy";
    let (one, two) = (1.5_f64.to_le_bytes(), 2.0_f64.to_le_bytes());
    let zset = [&b"\x05\x01z\x02\x03mem"[..], &one, b"\x02m2", &two].concat();
    let hash = b"\x04\x01h\x01\x01f\x03val";
    let file = [b"REDIS0004", &list[..], set, &zset, hash, b"\xff"].concat();
    let mut stats = Stats::default();
    let found = check(&*file, b"", NOW_MS, Some(&mut stats), &mut Vec::new()).expect("memory");
    assert_eq!(found, Some(file.len() as u64));
    let mut out = Vec::new();
    stats.write_to(Form::Csv, &mut out).expect("memory");
    assert_has(
        &String::from_utf8_lossy(&out),
        &[
            "db.0.keys.total,0,1,1,1,1,0,0",
            "db.0.elements.total,0,2,1,2,1,0,0",
            "db.0.elements.size,0,4,2,9,4,0,0",
            "db.0.elements.num.max,0,2,1,2,1,0,0",
            "db.0.elements.size.max,0,3,2,6,4,0,0",
            "db.0.elements.size.avg,0.00,2.00,2.00,4.50,4.00,0.00,0.00",
        ],
    );
}
