//! The arguments of RESTORE.

use super::*;
use crate::command::args::OwnedArgs;

fn options(words: &str) -> Result<RestoreOptions, String> {
    let words: Vec<&str> = std::iter::once("RESTORE").chain(words.split_whitespace()).collect();
    let owned = OwnedArgs::from_words(&words);
    RestoreOptions::parse(owned.args().options(1)).map_err(|error| error.to_string())
}

#[test]
fn options_of_restore() {
    let none = RestoreOptions::default;
    for (words, expected) in [
        ("", none()),
        ("replace ABSTTL", RestoreOptions { replace: true, absolute: true, ..none() }),
        ("IDLETIME 5 IDLETIME 7", RestoreOptions { idle_seconds: Some(7), ..none() }),
        ("FREQ 0 REPLACE freq 255", RestoreOptions { replace: true, freq: Some(255), ..none() }),
    ] {
        assert_eq!(options(words), Ok(expected), "{words}");
    }
}

#[test]
fn options_that_restore_refuses() {
    let number = "ERR value is not an integer or out of range";
    for (words, expected) in [
        ("FOO", "ERR syntax error"),
        ("IDLETIME", "ERR syntax error"),
        ("REPLACE FREQ", "ERR syntax error"),
        ("FREQ 1 IDLETIME 1", "ERR syntax error"),
        ("IDLETIME 1 FREQ 1", "ERR syntax error"),
        ("IDLETIME x", number),
        ("IDLETIME -1", "ERR Invalid IDLETIME value, must be >= 0"),
        ("FREQ x", number),
        ("FREQ -1", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
        ("FREQ 256", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
    ] {
        assert_eq!(options(words), Err(expected.to_owned()), "{words}");
    }
}
