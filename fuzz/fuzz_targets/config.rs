//! The configuration file on arbitrary bytes: reading and rewriting never panic, what is rewritten
//! reads back as the same configuration, and rewriting it again changes nothing.
//!
//! A line `include x` reads the input's second half, so that includes are reached too. CONFIG SET
//! gets the input as the value of the directive that its first byte chooses: what was accepted
//! survives a rewrite.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_core::config::{ClientPlace, Config, ConfigFile, DIRECTIVES, load, rewrite};

fuzz_target!(|data: &[u8]| {
    let (first, second) = data.split_at(data.len() / 2);
    let file = |text: &[u8]| ConfigFile { path: "fuzz.conf".into(), text: text.into() };
    let mut half = |_: &[u8]| Ok(vec![file(second)]);
    let _ = load(&[file(first)], &[], &mut half);
    if let Some((choice, value)) = data.split_first() {
        let name = DIRECTIVES[usize::from(*choice) % DIRECTIVES.len()].name.as_bytes();
        let set = Config::default().plan_set(&[(name, value)], ClientPlace::Local);
        if let Ok((config, _)) = set {
            let again = load(&[file(&rewrite(b"", &config, &[]))], &[], &mut |_| Ok(Vec::new()));
            assert_eq!(again.expect("a written file loads").config, config);
        }
    }
    let Ok(loaded) = load(&[file(data)], &[], &mut |_| Ok(Vec::new())) else {
        let _ = rewrite(data, &Config::default(), &[]);
        return;
    };
    // The lines of users are written from the users, of which there are none here.
    let config = Config { users: Vec::new(), ..loaded.config };
    let written = rewrite(data, &config, &[]);
    let again = load(&[file(&written)], &[], &mut |_| Ok(Vec::new()));
    let again = again.expect("a rewritten file loads");
    assert_eq!(again.config, config);
    assert_eq!(rewrite(&written, &again.config, &[]), written);
});
