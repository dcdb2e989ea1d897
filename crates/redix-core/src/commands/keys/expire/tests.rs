//! Arguments and arithmetic of expiries.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::command::args::OwnedArgs;

fn conditions(words: &str) -> Result<Conditions, String> {
    let words: Vec<&str> = std::iter::once("EXPIRE").chain(words.split_whitespace()).collect();
    let owned = OwnedArgs::from_words(&words);
    Conditions::parse(owned.args().options(1)).map_err(|error| error.to_string())
}

#[test]
fn conditions_that_fit_together() {
    let none = Conditions::default();
    for (words, expected) in [
        ("", none),
        ("NX", Conditions { nx: true, ..none }),
        ("nx NX", Conditions { nx: true, ..none }),
        ("XX gt", Conditions { xx: true, gt: true, ..none }),
        ("LT XX", Conditions { xx: true, lt: true, ..none }),
    ] {
        assert_eq!(conditions(words), Ok(expected), "{words}");
    }
}

#[test]
fn conditions_that_do_not() {
    let nx = "ERR NX and XX, GT or LT options at the same time are not compatible";
    let gt = "ERR GT and LT options at the same time are not compatible";
    for (words, expected) in [
        ("NX XX", nx),
        ("GT NX", nx),
        ("LT NX GT", nx),
        ("GT LT", gt),
        ("XX LT GT", gt),
        ("NX FOO XX", "ERR Unsupported option FOO"),
        ("100", "ERR Unsupported option 100"),
    ] {
        assert_eq!(conditions(words), Err(expected.to_owned()), "{words}");
    }
}

#[test]
fn a_condition_compares_with_the_present_expiry() {
    for (words, none, earlier, same, later) in [
        ("", true, true, true, true),
        ("NX", true, false, false, false),
        ("XX", false, true, true, true),
        ("GT", false, true, false, false),
        ("LT", true, false, false, true),
        ("XX GT", false, true, false, false),
        ("XX LT", false, false, false, true),
    ] {
        let conditions = conditions(words).unwrap();
        for (present, expected) in
            [(None, none), (Some(99), earlier), (Some(100), same), (Some(101), later)]
        {
            assert_eq!(conditions.allow(present, 100), expected, "{words} {present:?}");
        }
    }
}

#[test]
fn answers_are_rounded_half_up() {
    for (ms, seconds) in [(0, 0), (499, 0), (500, 1), (1499, 1), (i64::MAX, 9_223_372_036_854_776)]
    {
        assert_eq!(Unit::Seconds.of_ms(ms), seconds, "{ms}");
        assert_eq!(Unit::Milliseconds.of_ms(ms), ms);
    }
}
