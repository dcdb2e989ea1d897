//! FUNCTION RESTORE's payload on arbitrary bytes: as they come, with a good footer behind them, and
//! as the code of one library. What was loaded is dumped, and loads again.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use redix_core::env::{Clock, Env};
use redix_core::rdb::format::{ChecksumPolicy, WriteVersion};
use redix_core::rdb::read::{DumpReader, ReadOptions};
use redix_core::rdb::write::RecordEncoder;
use redix_core::scripting::functions::Libraries;
use redix_testkit::engine::{SimClock, SimDisk, sim_env};

/// Each look at it takes a millisecond, so that endless code ends.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn unix_us(&self) -> i64 {
        0
    }

    fn mono_ns(&self) -> u64 {
        self.0.fetch_add(1_000_000, Ordering::Relaxed)
    }

    fn sleep_us(&self, _: u64) {}
}

const LIMIT_NS: u64 = 10_000_000;

fuzz_target!(|data: &[u8]| {
    // Strings of a gigabyte may be made, but not thousands of times.
    if memchr::memmem::find(data, b"rep").is_some() {
        return;
    }
    let env = Env {
        clock: Box::<Ticking>::default(),
        ..sim_env(&Arc::new(SimClock::default()), &SimDisk::default(), 1)
    };
    let code = [b"#!lua name=lib\n", data].concat();
    let one = RecordEncoder::new(WriteVersion::V10, false).dump_functions([&code[..]].into_iter());
    let footed = [data, &WriteVersion::V11.number().to_le_bytes(), &[0; 8]].concat();
    for payload in [data, &footed, &one] {
        let loaded = restore(&env, payload, LIMIT_NS).unwrap_or_default();
        let sources = || loaded.catalogue().iter().map(|library| &library.source[..]);
        let dumped = RecordEncoder::new(WriteVersion::V80, true).dump_functions(sources());
        let again = restore(&env, &dumped, 10 * LIMIT_NS).expect("it was just dumped");
        let names = |libraries: &Libraries| -> Vec<_> {
            let functions = libraries.catalogue().iter().flat_map(|library| &library.functions);
            functions.map(|function| (function.name.clone(), function.flags)).collect()
        };
        assert_eq!(names(&loaded), names(&again));
        let mut joined = Libraries::default();
        joined.join(&env, again, false).expect("there is nothing yet");
        assert_eq!(joined.join(&env, loaded, false).is_ok(), joined.catalogue().is_empty());
    }
});

fn restore(env: &Env, payload: &[u8], limit_ns: u64) -> Option<Libraries> {
    let checksums = ChecksumPolicy::Ignore;
    let options = ReadOptions { checksums, string_len_max: 1 << 20, ..ReadOptions::default() };
    let mut reader = DumpReader::open(payload, options).ok()?;
    let mut libraries = Libraries::default();
    while let Some(source) = reader.library().ok()? {
        libraries.load(env, source, false, limit_ns).ok()?;
    }
    Some(libraries)
}
