//! The RDB reader on arbitrary bytes, with and without checksums: it does not panic, errors lie
//! inside the input, and what it reads is the same after it was written again. The check of a file
//! finds what the reader finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_core::persist::check::rdb::check;
use redix_core::persist::check::stats::{Form, Stats};
use redix_core::rdb::format::{ChecksumPolicy, RdbError, WriteVersion};
use redix_core::rdb::read::{Event, RdbReader, ReadOptions};
use redix_core::rdb::write::{EntryMeta, IdleOrFreq, RdbEncoder, RecordEncoder, WriteOptions};
use redix_types::EntryBox;

fuzz_target!(|data: &[u8]| {
    let verified = read(data, ChecksumPolicy::Verify);
    let ignored = read(data, ChecksumPolicy::Ignore);
    report(data, verified.is_ok());
    if let Err(error) = &ignored {
        assert!(error.offset <= data.len() as u64, "{error}");
        assert!(verified.is_err(), "checksums only add errors: {error}");
        return;
    }
    if let Ok(keys) = ignored {
        let again = read(&write(&keys), ChecksumPolicy::Verify).expect("it was just written");
        assert_eq!(again, keys);
    }
});

/// The check refuses collections without elements, and reads unknown versions.
fn report(data: &[u8], sound: bool) {
    let mut stats = Stats::default();
    let mut text = Vec::new();
    let len = check(data, b"file", 0, Some(&mut stats), &mut text).expect("memory");
    assert!(len.is_none_or(|len| len <= data.len() as u64));
    let text = String::from_utf8_lossy(&text);
    let passed_over = text.contains("collections without elements");
    assert!(len.is_some() || !sound || passed_over, "{text}");
    for form in [Form::Table, Form::Csv, Form::Info] {
        stats.write_to(form, &mut std::io::sink()).expect("a sink");
    }
}

#[derive(Debug)]
struct Key {
    db: u32,
    entry: EntryBox,
    idle_or_freq: Option<IdleOrFreq>,
}

impl Key {
    /// What stays when it is written and read again. Of the value that is its size: the order of
    /// the elements of a large collection does not.
    fn outline(&self) -> (u32, &[u8], Option<i64>, Option<IdleOrFreq>, usize) {
        let entry = self.entry.as_ref();
        let size = RecordEncoder::new(WriteVersion::V11, false).encoded_len(entry.value());
        (self.db, entry.key(), entry.expire_at_ms(), self.idle_or_freq, size)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.outline() == other.outline()
    }
}

fn read(data: &[u8], checksums: ChecksumPolicy) -> Result<Vec<Key>, RdbError> {
    let options = ReadOptions { checksums, string_len_max: 1 << 20, ..ReadOptions::default() };
    let mut reader = RdbReader::new(data, options);
    let mut keys = Vec::new();
    loop {
        match reader.next_event()? {
            Event::Key(record) => {
                let idle = record.idle_s.map(IdleOrFreq::IdleSeconds);
                let idle_or_freq = idle.or(record.freq.map(IdleOrFreq::Freq));
                let value = record.value.into_value();
                let entry = EntryBox::new(record.key, value, record.expire_at_ms, 0);
                keys.push(Key { db: record.db, entry, idle_or_freq });
            }
            Event::End(_) => {
                assert!(reader.offset() <= data.len() as u64);
                return Ok(keys);
            }
            _ => {}
        }
    }
}

fn write(keys: &[Key]) -> Vec<u8> {
    // As a snapshot chooses it.
    let expiring = keys.iter().any(|key| key.entry.as_ref().has_expiring_fields());
    let version = WriteVersion::V11.able(expiring);
    let mut file = RdbEncoder::new(WriteOptions { version, ..WriteOptions::default() });
    for key in keys {
        file.select_db(key.db);
        let entry = key.entry.as_ref();
        let meta = EntryMeta { expire_at_ms: entry.expire_at_ms(), lru: key.idle_or_freq };
        file.entry(entry.key(), meta, entry.value());
    }
    file.eof();
    file.pending().to_vec()
}
