//! The scanner of append-only files and the parser of manifests on arbitrary bytes: they neither
//! panic nor loop, how the bytes are cut into reads does not matter, what lies before the end of
//! the last whole unit is sound by itself, and a manifest that was read is read again after it was
//! written.
//!
//! The first byte of an input chooses the length of the reads.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use redix_core::persist::aof::manifest::{LINE_LEN_MAX, Manifest};
use redix_core::persist::aof::scan::{Item, Scanner};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, file)) = data.split_first() else { return };
    let whole = scan(file, usize::MAX);
    assert_eq!(scan(file, usize::from(choice) + 1), whole);
    let sound = scan(&file[..whole.unit_end as usize], usize::MAX);
    assert_eq!(sound.error, None);
    assert!(whole.ends.starts_with(&sound.ends));
    assert_eq!(sound.unit_end, whole.unit_end);

    if let Ok(manifest) = Manifest::parse(file) {
        let text = manifest.to_bytes();
        // Quoting may make a line too long.
        let fits = text.split(|byte| *byte == b'\n').all(|line| line.len() < LINE_LEN_MAX);
        if fits && !text.is_empty() {
            assert_eq!(Manifest::parse(&text), Ok(manifest));
        }
    }
});

struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.1.min(self.0.len()).min(buf.len());
        let (now, later) = self.0.split_at(len);
        buf[..len].copy_from_slice(now);
        self.0 = later;
        Ok(len)
    }
}

#[derive(Debug, PartialEq)]
struct Found {
    ends: Vec<u64>,
    unit_end: u64,
    error: Option<String>,
}

fn scan(file: &[u8], step: usize) -> Found {
    let mut scanner = Scanner::new(Drip(file, step), 0);
    let mut ends = Vec::new();
    loop {
        let (start, end, bytes) = match scanner.next_item() {
            Ok(Some(Item::Command(command))) => {
                assert_ne!(command.args().len(), 0);
                (command.start, command.end, command.bytes)
            }
            Ok(Some(Item::Annotation(note))) => {
                let _ = note.timestamp();
                (note.start, note.end, note.line)
            }
            Ok(None) => {
                assert_eq!(scanner.unit_end(), file.len() as u64);
                return Found { ends, unit_end: scanner.unit_end(), error: None };
            }
            Err(error) => {
                assert!(error.offset() <= file.len() as u64);
                assert!(scanner.unit_end() <= error.start);
                let error = Some(error.to_string());
                return Found { ends, unit_end: scanner.unit_end(), error };
            }
        };
        assert_eq!(&file[start as usize..end as usize], bytes);
        ends.push(end);
    }
}
