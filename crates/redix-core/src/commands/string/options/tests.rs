#![allow(clippy::unwrap_used)]

use super::*;
use crate::command::args::OwnedArgs;

/// The options in `words`, which follow a command's name, as text; errors as their text.
fn parsed(grammar: Grammar, words: &str) -> String {
    let all: Vec<&str> = std::iter::once("name").chain(words.split_whitespace()).collect();
    let owned = OwnedArgs::from_words(&all);
    match Options::parse(owned.args(), 1, grammar) {
        Ok(Options { condition, fields, get, expire }) => {
            let fields = match fields {
                Condition::Always => "",
                Condition::Missing => "fnx ",
                Condition::Exists => "fxx ",
                other => unreachable!("{other:?}"),
            };
            let condition = match condition {
                Condition::Always => String::new(),
                Condition::Missing => "nx ".into(),
                Condition::Exists => "xx ".into(),
                Condition::Equals(value) => format!("ifeq:{} ", String::from_utf8_lossy(value)),
                Condition::Differs(value) => format!("ifne:{} ", String::from_utf8_lossy(value)),
                Condition::DigestEquals(text) => {
                    format!("ifdeq:{} ", String::from_utf8_lossy(text))
                }
                Condition::DigestDiffers(text) => {
                    format!("ifdne:{} ", String::from_utf8_lossy(text))
                }
            };
            let get = if get { "get " } else { "" };
            let expire = match expire {
                Expire::Unsaid => String::new(),
                Expire::Keep => "keep".into(),
                Expire::Persist => "persist".into(),
                Expire::At(unit, text) => format!("{unit:?}:{}", String::from_utf8_lossy(text)),
            };
            format!("{condition}{fields}{get}{expire}").trim_end().to_owned()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn words_of_set() {
    const SYNTAX: &str = "ERR syntax error";
    let cases = [
        ("", ""),
        ("nx", "nx"),
        ("XX get", "xx get"),
        ("GET GET", "get"),
        ("NX NX", "nx"),
        ("NX XX", SYNTAX),
        ("XX NX", SYNTAX),
        ("IFEQ", SYNTAX),
        ("IFEQ nx", "ifeq:nx"),
        ("ifeq a get ex 5", "ifeq:a get Seconds:5"),
        ("IFEQ a IFEQ a", SYNTAX),
        ("IFEQ a NX", SYNTAX),
        ("XX IFEQ a", SYNTAX),
        ("IFNE a", "ifne:a"),
        ("get ifdeq a", "ifdeq:a get"),
        ("IFDNE a KEEPTTL", "ifdne:a keep"),
        ("IFDNE", SYNTAX),
        ("IFNE a IFNE a", SYNTAX),
        ("IFNE a IFDNE b", SYNTAX),
        ("EX", SYNTAX),
        ("EX 1", "Seconds:1"),
        ("PX ex", "Millis:ex"),
        ("EXAT 1", "UnixSeconds:1"),
        ("PXAT 1", "UnixMillis:1"),
        ("EX 1 EX 2", "Seconds:2"),
        ("EX 1 PX 2", SYNTAX),
        ("EXAT 1 EX 2", SYNTAX),
        ("KEEPTTL KEEPTTL", "keep"),
        ("KEEPTTL EX 1", SYNTAX),
        ("EX 1 KEEPTTL", SYNTAX),
        ("PERSIST", SYNTAX),
        ("NXX", SYNTAX),
        ("EX a XX NX", SYNTAX),
    ];
    for (words, expect) in cases {
        assert_eq!(parsed(Grammar::Set, words), expect, "SET k v {words}");
    }
}

#[test]
fn words_of_getex_msetex_and_hsetex() {
    const SYNTAX: &str = "ERR syntax error";
    let cases = [
        (Grammar::Getex, "", ""),
        (Grammar::Getex, "persist PERSIST", "persist"),
        (Grammar::Getex, "PERSIST EX 1", SYNTAX),
        (Grammar::Getex, "EX 1 PERSIST", SYNTAX),
        (Grammar::Getex, "PXAT 1", "UnixMillis:1"),
        (Grammar::Getex, "KEEPTTL", SYNTAX),
        (Grammar::Getex, "NX", SYNTAX),
        (Grammar::Getex, "XX", SYNTAX),
        (Grammar::Getex, "GET", SYNTAX),
        (Grammar::Getex, "IFEQ a", SYNTAX),
        (Grammar::Msetex, "NX EX 1", "nx Seconds:1"),
        (Grammar::Msetex, "keepttl xx", "xx keep"),
        (Grammar::Msetex, "GET", SYNTAX),
        (Grammar::Msetex, "PERSIST", SYNTAX),
        (Grammar::Msetex, "IFEQ a", SYNTAX),
        (Grammar::Msetex, "FNX", SYNTAX),
        (Grammar::Hsetex, "fnx FNX nx EX 1", "nx fnx Seconds:1"),
        (Grammar::Hsetex, "keepttl fxx", "fxx keep"),
        (Grammar::Hsetex, "FXX FNX", SYNTAX),
        (Grammar::Hsetex, "GET", SYNTAX),
        (Grammar::Hsetex, "PERSIST", SYNTAX),
    ];
    for (grammar, words, expect) in cases {
        assert_eq!(parsed(grammar, words), expect, "{grammar:?} {words}");
    }
}

#[test]
fn times_are_positive_and_fit() {
    use Unit::{Millis, Seconds, UnixMillis, UnixSeconds};
    const NOW_MS: i64 = 1_700_000_000_000;
    const MAX: &str = "9223372036854775807";
    const INVALID: &str = "ERR invalid expire time in 'set' command";
    const NO_INTEGER: &str = "ERR value is not an integer or out of range";
    let cases = [
        (Seconds, "10", Ok(NOW_MS + 10_000)),
        (Millis, "10", Ok(NOW_MS + 10)),
        (UnixSeconds, "10", Ok(10_000)),
        (UnixMillis, "10", Ok(10)),
        (UnixMillis, MAX, Ok(i64::MAX)),
        (UnixSeconds, "9223372036854775", Ok(9_223_372_036_854_775_000)),
        (UnixSeconds, "9223372036854776", Err(INVALID)),
        (Seconds, "9223372036854775", Err(INVALID)),
        (Millis, MAX, Err(INVALID)),
        (Seconds, "-9223372036854775808", Err(INVALID)),
        (Seconds, "0", Err(INVALID)),
        (UnixMillis, "0", Err(INVALID)),
        (Millis, "-1", Err(INVALID)),
        (Seconds, "1.5", Err(NO_INTEGER)),
        (Seconds, "", Err(NO_INTEGER)),
        (Seconds, "9223372036854775808", Err(NO_INTEGER)),
    ];
    for (unit, text, expect) in cases {
        let found = expire_at_ms(unit, text.as_bytes(), NOW_MS, "set");
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found, expect.map_err(str::to_owned), "{unit:?} {text}");
    }
}

#[test]
fn times_are_absolute_and_never_overflow() {
    const NOW: i64 = 1_700_000_000_000;
    let invalid = "ERR invalid expire time in 'expire' command";
    let number = "ERR value is not an integer or out of range";
    for (word, unit, now_ms, expected) in [
        ("10", Unit::Seconds, NOW, Ok(NOW + 10_000)),
        ("-10", Unit::Seconds, NOW, Ok(NOW - 10_000)),
        ("10", Unit::Millis, NOW, Ok(NOW + 10)),
        ("10", Unit::UnixSeconds, NOW, Ok(10_000)),
        ("9223372036854775807", Unit::UnixMillis, NOW, Ok(i64::MAX)),
        ("9223372036854775807", Unit::Millis, 1, Err(invalid)),
        ("9223372036854775", Unit::UnixSeconds, NOW, Ok(9_223_372_036_854_775_000)),
        ("9223372036854775", Unit::Seconds, NOW, Err(invalid)),
        ("9223372036854776", Unit::UnixSeconds, NOW, Err(invalid)),
        ("-9223372036854776", Unit::Seconds, NOW, Err(invalid)),
        ("-9223372036854775808", Unit::Millis, NOW, Ok(i64::MIN + NOW)),
        ("9223372036854775808", Unit::UnixMillis, NOW, Err(number)),
        ("1.5", Unit::Seconds, NOW, Err(number)),
        ("", Unit::Seconds, NOW, Err(number)),
    ] {
        let parsed = expire_from(i64::MIN, (unit, word.as_bytes()), now_ms, "expire");
        let parsed = parsed.map_err(|error| error.to_string());
        assert_eq!(parsed, expected.map_err(str::to_owned), "{word}");
    }
}
