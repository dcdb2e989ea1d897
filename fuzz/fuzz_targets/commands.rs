//! Commands on collections, on an engine that keeps small ones in their compact form and on one
//! that never does: replies, digests and payloads must be the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(error) = redix_testkit::forms::run(data) {
        panic!("{error:?}");
    }
});
