//! The configuration file on arbitrary bytes: reading and rewriting never panic, what is rewritten
//! reads back as the same configuration, and rewriting it again changes nothing.
//!
//! A line `include x` reads the input's second half, so that includes are reached too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_core::config::{Config, ConfigFile, load, rewrite};

fuzz_target!(|data: &[u8]| {
    let (first, second) = data.split_at(data.len() / 2);
    let file = |text: &[u8]| ConfigFile { path: "fuzz.conf".into(), text: text.into() };
    let mut half = |_: &str| Ok(vec![file(second)]);
    let _ = load(Some(&file(first)), &[], &mut half);
    let Ok(loaded) = load(Some(&file(data)), &[], &mut |_| Ok(Vec::new())) else {
        let _ = rewrite(data, &Config::default());
        return;
    };
    let written = rewrite(data, &loaded.config);
    let again = load(Some(&file(&written)), &[], &mut |_| Ok(Vec::new()));
    let again = again.expect("a rewritten file loads");
    assert_eq!(again.config, loaded.config);
    assert_eq!(rewrite(&written, &again.config), written);
});
