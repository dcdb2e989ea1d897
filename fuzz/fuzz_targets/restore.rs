//! RESTORE's payload on arbitrary bytes: type and value as they come, with a good footer put behind
//! them, so that the value is reached; and the bytes as a whole payload. What is read is the same
//! after it was dumped again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_core::rdb::format::{ChecksumPolicy, RdbError, RdbString, RdbValue, WriteVersion};
use redix_core::rdb::read::{DumpReader, ReadOptions};
use redix_core::rdb::write::RecordEncoder;

fuzz_target!(|data: &[u8]| {
    // The footer is part of the input here, but for what no input could guess: the checksum.
    let _ = restore(data, ChecksumPolicy::Ignore);
    let payload = [data, &WriteVersion::V11.number().to_le_bytes(), &[0; 8]].concat();
    if let Ok(value) = restore(&payload, ChecksumPolicy::Ignore) {
        let lent = RdbValue::Str(RdbString::Bytes(&value));
        let again = RecordEncoder::new(true).dump(WriteVersion::V10, lent);
        assert_eq!(restore(&again, ChecksumPolicy::Verify).expect("it was just dumped"), value);
    }
});

fn restore(payload: &[u8], checksums: ChecksumPolicy) -> Result<Vec<u8>, RdbError> {
    let options = ReadOptions { checksums, string_len_max: 1 << 20, ..ReadOptions::default() };
    let mut reader = DumpReader::open(payload, options)?;
    let RdbValue::Str(value) = reader.value()?;
    Ok(match value {
        RdbString::Int(value) => value.to_string().into_bytes(),
        RdbString::Bytes(bytes) => bytes.to_vec(),
    })
}
