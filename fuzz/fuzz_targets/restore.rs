//! RESTORE's payload on arbitrary bytes: type and value as they come, with a good footer put behind
//! them, so that the value is reached; and the bytes as a whole payload. What is read can be dumped
//! and read again, and then takes as many bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_core::rdb::format::{ChecksumPolicy, RdbError, WriteVersion};
use redix_core::rdb::read::{DumpReader, ReadOptions};
use redix_core::rdb::write::RecordEncoder;
use redix_types::EntryBox;

fuzz_target!(|data: &[u8]| {
    // The footer is part of the input here, but for what no input could guess: the checksum.
    let _ = restore(data, ChecksumPolicy::Ignore);
    let payload = [data, &WriteVersion::V11.number().to_le_bytes(), &[0; 8]].concat();
    if let Ok(entry) = restore(&payload, ChecksumPolicy::Ignore) {
        use WriteVersion::{V10, V11, V12, V80};
        for version in [V10, V11, V12, V80] {
            // Uncompressed, so that the order of elements does not show in the length.
            let mut encoder = RecordEncoder::new(version, false);
            let dumped = encoder.dump(entry.as_ref().value());
            let again = restore(&dumped, ChecksumPolicy::Verify).expect("it was just dumped");
            assert_eq!(encoder.dump(again.as_ref().value()).len(), dumped.len());
        }
    }
});

fn restore(payload: &[u8], checksums: ChecksumPolicy) -> Result<EntryBox, RdbError> {
    let options = ReadOptions { checksums, string_len_max: 1 << 20, ..ReadOptions::default() };
    let mut reader = DumpReader::open(payload, options)?;
    Ok(EntryBox::new(b"key", reader.value()?.into_value(), None, 0))
}
