//! The RDB reader on arbitrary bytes, with and without checksums: it does not panic, errors lie
//! inside the input, and what it reads is the same after it was written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_core::rdb::format::{ChecksumPolicy, RdbError, RdbString, RdbValue};
use redix_core::rdb::read::{Event, RdbReader, ReadOptions};
use redix_core::rdb::write::{EntryMeta, IdleOrFreq, RdbEncoder, WriteOptions};

fuzz_target!(|data: &[u8]| {
    let verified = read(data, ChecksumPolicy::Verify);
    let ignored = read(data, ChecksumPolicy::Ignore);
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

#[derive(Debug, PartialEq)]
struct Key {
    db: u32,
    key: Vec<u8>,
    expire_at_ms: Option<i64>,
    idle_or_freq: Option<IdleOrFreq>,
    value: Vec<u8>,
}

fn read(data: &[u8], checksums: ChecksumPolicy) -> Result<Vec<Key>, RdbError> {
    let options = ReadOptions { checksums, string_len_max: 1 << 20, ..ReadOptions::default() };
    let mut reader = RdbReader::new(data, options);
    let mut keys = Vec::new();
    loop {
        match reader.next_event()? {
            Event::Key(record) => {
                let RdbValue::Str(value) = record.value;
                let idle = record.idle_s.map(IdleOrFreq::IdleSeconds);
                keys.push(Key {
                    db: record.db,
                    key: record.key.to_vec(),
                    expire_at_ms: record.expire_at_ms,
                    idle_or_freq: idle.or(record.freq.map(IdleOrFreq::Freq)),
                    value: match value {
                        RdbString::Int(value) => value.to_string().into_bytes(),
                        RdbString::Bytes(bytes) => bytes.to_vec(),
                    },
                });
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
    let mut file = RdbEncoder::new(WriteOptions::default());
    for key in keys {
        file.select_db(key.db);
        let meta = EntryMeta { expire_at_ms: key.expire_at_ms, lru: key.idle_or_freq };
        file.entry(&key.key, meta, RdbValue::Str(RdbString::Bytes(&key.value)));
    }
    file.eof();
    file.pending().to_vec()
}
