#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Checks the value at the start of `input` as [`Value::pretty`] shows it, or the error, or "..."
/// where more is needed.
fn check(input: impl AsRef<[u8]>, expect: &str) {
    let input = input.as_ref();
    let shown = match decode(input) {
        Ok(Some((value, consumed))) => {
            assert_eq!(consumed, input.len());
            value.pretty()
        }
        Ok(None) => "...".to_string(),
        Err(error) => format!("{error:?}"),
    };
    assert_eq!(shown, expect, "{}", input.escape_ascii());
}

#[test]
fn plain_values() {
    check("+OK\r\n", "+OK");
    check("-ERR it's bad\r\n", "-ERR it's bad");
    check("!8\r\nERR a\r\nb\r\n", "-ERR a\r\nb");
    check(":-12\r\n", "(integer) -12");
    check(":+12\r\n", "(integer) 12");
    check("$5\r\na\"\r\n\x7f\r\n", "\"a\\\"\\r\\n\\x7f\"");
    check("$-1\r\n", "(null)");
    check("_\r\n", "(null)");
    check("*-1\r\n", "(null array)");
    check(",1.5\r\n", "(double) 1.5");
    check("#t\r\n", "(true)");
    check("#f\r\n", "(false)");
    check("(123456789012345678901\r\n", "(big number) 123456789012345678901");
    check("=7\r\ntxt:abc\r\n", "(txt) \"abc\"");
}

#[test]
fn aggregates() {
    check("*0\r\n", "(empty array)");
    check("%0\r\n", "(empty map)");
    check(
        "*2\r\n:1\r\n*2\r\n$1\r\na\r\n~1\r\n_\r\n",
        "1) (integer) 1\n2) 1) \"a\"\n   2) 1~ (null)",
    );
    check("%2\r\n+a\r\n:1\r\n+b\r\n>1\r\n:2\r\n", "1# +a => (integer) 1\n2# +b => 1> (integer) 2");
    check("|1\r\n+a\r\n:1\r\n+OK\r\n", "1| +a => (integer) 1\n+OK");
    let eleven = format!("*11\r\n{}", "*0\r\n".repeat(11));
    let pretty = decode(eleven.as_bytes()).unwrap().unwrap().0.pretty();
    assert!(
        pretty.starts_with(" 1) (empty array)\n 2) ") && pretty.ends_with("\n11) (empty array)")
    );
}

#[test]
fn what_is_not_a_reply() {
    check("x\r\n", "UnknownType(120)");
    check("\r\n", "UnknownType(13)");
    for bad in [
        ":\r\n", ":1x\r\n", ":01\r\n", "#x\r\n", "_x\r\n", "$-2\r\n", "$?\r\n", "*-2\r\n",
        "%-1\r\n",
    ] {
        check(bad, "BadLine");
    }
    check("=3\r\ntxt\r\n", "BadLine");
    check("+OK\rx", "BadLineEnd");
    check("$1\r\nabc", "BadLineEnd");
    check("$4294967296\r\n", "TooLong");
    check("*4294967296\r\n", "TooLong");
    check("+".to_string() + &"x".repeat(LINE_LEN_MAX), "...");
    check("+".to_string() + &"x".repeat(LINE_LEN_MAX + 1), "TooLong");
}

#[test]
fn nesting_has_a_limit() {
    check("*1\r\n".repeat(DEPTH_MAX), "...");
    check("*1\r\n".repeat(DEPTH_MAX + 1), "TooDeep");
    check("|0\r\n".repeat(DEPTH_MAX + 1), "TooDeep");
}

#[test]
fn lengths_reserve_nothing() {
    check("*4294967295\r\n", "...");
    check("%4294967295\r\n:1\r\n", "...");
    check("$4294967295\r\nx", "...");
}

#[test]
fn replies_in_pieces() {
    let input = b"+OK\r\n*2\r\n$3\r\nabc\r\n%1\r\n:1\r\n_\r\n:7\r\nREST";
    for size in 1..input.len() {
        let mut decoder = ReplyDecoder::default();
        let mut shown = Vec::new();
        for piece in input[..input.len() - 4].chunks(size) {
            decoder.feed(piece);
            while let Some(value) = decoder.next_reply().unwrap() {
                shown.push(value.pretty());
            }
        }
        assert_eq!(shown, ["+OK", "1) \"abc\"\n2) 1# (integer) 1 => (null)", "(integer) 7"]);
        decoder.feed(b"REST");
        assert_eq!(decoder.pending(), 4);
        assert_eq!(decoder.next_reply(), Err(DecodeError::UnknownType(b'R')));
        assert_eq!(decoder.take_rest(), b"REST");
        assert_eq!(decoder.next_reply(), Ok(None));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "*2\r\n", "%1\r\n", "~1\r\n", "|1\r\n", "$3\r\n", "abc\r\n", ":1\r\n", "_\r\n", "+",
            "-", "=7\r\n", "txt:", "\r\n", "\r", "\n", "9", "#t\r\n", ",1\r\n", "\0", "\u{ff}",
        ]), 0..20),
    ) {
        let input = pieces.concat().into_bytes();
        let whole = decode(&input);
        if let Ok(Some((_, consumed))) = whole {
            prop_assert!((1..=input.len()).contains(&consumed));
            prop_assert_eq!(decode(&input[..consumed]), whole.clone());
            prop_assert_eq!(decode(&input[..consumed - 1]), Ok(None));
        }
        let mut decoder = ReplyDecoder::default();
        let mut first = Ok(None);
        for piece in input.chunks(1) {
            decoder.feed(piece);
            first = decoder.next_reply();
            if first != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(first, whole.map(|found| found.map(|(value, _)| value)));
    }
}
