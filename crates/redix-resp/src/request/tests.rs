#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::reply::Reply;

/// The outcome of parsing some bytes: the commands, and the error that ended them.
#[derive(PartialEq, Eq, Debug, Default)]
struct Seen {
    commands: Vec<Vec<Vec<u8>>>,
    error: Option<String>,
    /// Bytes of the incomplete command.
    pending: usize,
    /// What the last `Incomplete` asked for.
    wanted: usize,
}

/// Feeds `pieces` as a connection would: the buffer grows, complete commands are removed from its
/// front.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Seen {
    let mut seen = Seen::default();
    let mut parser = RequestParser::default();
    let (mut buf, mut args) = (Vec::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            assert!(args.is_empty(), "spans of unfinished commands must stay in the parser");
            let (consumed, bytes) = match parser.parse(&buf, &mut args, limits) {
                Ok(Parsed::Command { consumed }) => (consumed, buf.clone()),
                Ok(Parsed::Inline { consumed, bytes }) => (consumed, bytes),
                Ok(Parsed::Incomplete { wanted }) => {
                    assert!(args.is_empty());
                    assert_eq!(parser.is_idle(), buf.is_empty());
                    seen.wanted = wanted;
                    break;
                }
                Err(error) => {
                    (seen.error, seen.wanted) = (Some(error.to_string()), 0);
                    return seen;
                }
            };
            assert!(parser.is_idle());
            assert!((1..=buf.len()).contains(&consumed));
            seen.commands.push(args.drain(..).map(|span| span.of(&bytes).to_vec()).collect());
            buf.drain(..consumed);
        }
    }
    seen.pending = buf.len();
    seen
}

/// Checks what `input` parses to, as a whole and byte by byte: each command as its arguments joined
/// by `|`, then the error, or `...` if bytes are left.
fn check(input: impl AsRef<[u8]>, expect: &[&str]) {
    check_with(input, &Limits::default(), expect);
}

fn check_with(input: impl AsRef<[u8]>, limits: &Limits, expect: &[&str]) {
    let input = input.as_ref();
    let show = |seen: &Seen| {
        let mut lines: Vec<String> = Vec::new();
        lines
            .extend(seen.commands.iter().map(|words| words.join(&b'|').escape_ascii().to_string()));
        lines.extend(seen.error.clone());
        lines.extend((seen.pending > 0).then(|| "...".to_string()));
        lines
    };
    let head = &input[..input.len().min(60)];
    assert_eq!(show(&feed([input], limits)), expect, "whole: {}", head.escape_ascii());
    if input.len() < 1000 {
        assert_eq!(show(&feed(input.chunks(1), limits)), expect, "bytes: {}", head.escape_ascii());
    }
}

const PING: &str = "*1\r\n$4\r\nPING\r\n";
const BAD_COUNT: &str = "Protocol error: invalid multibulk length";
const BAD_LEN: &str = "Protocol error: invalid bulk length";
const BAD_CRLF: &str = "Protocol error: invalid CRLF in request";
const BAD_QUOTES: &str = "Protocol error: unbalanced quotes in request";

#[test]
fn multibulk_commands() {
    check("", &[]);
    check(PING, &["PING"]);
    check(PING.repeat(3), &["PING"; 3]);
    check("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", &["GET|k"]);
    check("*2\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n", &["|\\r\\n\\r\\n"]);
    check("*1\r\n$3\r\na\0\n\r\n", &["a\\x00\\n"]);
    check("*2\r\n$4\r\nECHO\r\n", &["..."]);
    check("*1\r\n$4\r\nPINGX", &["..."]);
    check("*1\r\n$4\r\nPING\r", &["..."]);
}

#[test]
fn counts_below_one_are_no_command() {
    for count in ["0", "-1", "-5", "-2147483649", "-9223372036854775808"] {
        check(format!("*{count}\r\n{PING}"), &["", "PING"]);
    }
}

#[test]
fn bad_counts() {
    for count in [
        "",
        "abc",
        "+1",
        "01",
        " 1",
        "1 ",
        "-0",
        "00",
        "-",
        "1x",
        "2147483648",
        "99999999999",
        "9223372036854775808",
    ] {
        check(format!("*{count}\r\n{PING}"), &[BAD_COUNT]);
    }
    check("*2147483647\r\n", &["..."]);
    check("*1048577\r\n", &["..."]);
    check(format!("{PING}*x\r\n{PING}"), &["PING", BAD_COUNT]);
}

#[test]
fn bad_lengths() {
    for len in [
        "",
        "-1",
        "-0",
        "+4",
        "04",
        " 4",
        "4x",
        "536870913",
        "9223372036854775807",
        "9223372036854775808",
    ] {
        check(format!("*1\r\n${len}\r\nPING\r\n"), &[BAD_LEN]);
    }
    check("*1\r\n$536870912\r\n", &["..."]);
    check("*1\r\n$4\nPING\r\n", &[BAD_LEN]);
}

#[test]
fn bad_line_ends() {
    check("*1\n$4\nPING\n", &["..."]);
    // The end of a line is looked at before the number in it, but after the dollar.
    for line in ["*1\rX", "*-1\rX", "*abc\rX", "*1\r\r\n", "*1\r\n$4\rX", "*1\r\n$x\rX"] {
        check(line, &[BAD_CRLF]);
    }
    check("*1\r\nfoo\rX", &["Protocol error: expected '$', got 'f'"]);
    check("*1\r\n\r\r", &["Protocol error: expected '$', got '\r'"]);
    check("*1\r\n$4\r\nPINGXY", &[BAD_CRLF]);
    check("*1\r\n$4\r\nPINGX\n", &[BAD_CRLF]);
    check("*1\r\n$4\r\nPING\rX", &[BAD_CRLF]);
}

#[test]
fn something_else_than_a_dollar() {
    check("*1\r\nPING\r\n", &["Protocol error: expected '$', got 'P'"]);
    check("*1\r\n*1\r\n", &["Protocol error: expected '$', got '*'"]);
    check("*1\r\n'\r\n", &["Protocol error: expected '$', got '''"]);
    check("*1\r\nx", &["..."]);
    for (byte, expect) in [(0u8, 0u8), (1, 1), (0xff, 0xff), (b'\n', b' '), (b'\r', b' ')] {
        let mut parser = RequestParser::default();
        let input = [b"*1\r\n".as_slice(), &[byte], b"\r\n"].concat();
        let input = if byte == b'\r' { b"*1\r\n\r\n".to_vec() } else { input };
        let error = parser.parse(&input, &mut Vec::new(), &Limits::default()).unwrap_err();
        let mut reply = Reply::new(crate::Proto::Resp2);
        error.write_to(&mut reply);
        let text = [b"-ERR Protocol error: expected '$', got '".as_slice(), &[expect], b"'\r\n"];
        assert_eq!(reply.as_bytes(), text.concat());
    }
}

#[test]
fn lines_have_a_limit() {
    let digits = |n: usize| "1".repeat(n);
    check(format!("*{}", digits(65_535)), &["..."]);
    check(format!("*{}", digits(65_536)), &["Protocol error: too big mbulk count string"]);
    check(format!("*1\r\n${}", digits(65_535)), &["..."]);
    check(format!("*1\r\n${}", digits(65_536)), &["Protocol error: too big bulk count string"]);
    check("A".repeat(65_536), &["..."]);
    check("A".repeat(65_537), &["Protocol error: too big inline request"]);
    check(format!("A\0{}\n", "A".repeat(65_536)), &["Protocol error: too big inline request"]);
    // The limit is for incomplete lines: these were received whole.
    for len in [65_535, 65_537, 70_000, 81_920, 300_000] {
        let word = "A".repeat(len);
        check(format!("{word}\r\n"), &[&word]);
        check(format!("'{word}'\r\n"), &[&word]);
        check(format!("*{}\r\n", digits(len)), &[BAD_COUNT]);
        check(format!("*1\r\n${}\r\n", digits(len)), &[BAD_LEN]);
    }
    let word = "A".repeat(70_000);
    let line = format!("{word}\r\n");
    let (first, rest) = line.as_bytes().split_at(65_536);
    let seen = feed([first, rest], &Limits::default());
    assert_eq!(seen.commands, [[word.as_bytes()]]);
    let (first, rest) = line.as_bytes().split_at(65_537);
    let seen = feed([first, rest], &Limits::default());
    assert_eq!(seen.error.as_deref(), Some("Protocol error: too big inline request"));
}

#[test]
fn unauthenticated_clients_have_less() {
    let limits = Limits { authenticated: false, ..Limits::default() };
    let check = |input: &str, expect| check_with(input, &limits, &[expect]);
    check("*10\r\n", "...");
    check("*11\r\n", "Protocol error: unauthenticated multibulk length");
    check("*99999999999\r\n", BAD_COUNT);
    check("*1\r\n$16384\r\n", "...");
    check("*1\r\n$16385\r\n", "Protocol error: unauthenticated bulk length");
    check("*1\r\n$99999999999\r\n", BAD_LEN);
    check("*1\r\n$-1\r\n", BAD_LEN);
}

#[test]
fn an_unauthenticated_command_is_short() {
    let limits = Limits { authenticated: false, ..Limits::default() };
    let of_length = |len: usize| {
        // Two headers of nine and eight bytes, two line ends.
        let (first, second) = (16_000, len - 16_000 - 4 - 4 - 8 - 7);
        let text = |bytes: usize| format!("${bytes}\r\n{}\r\n", "x".repeat(bytes));
        format!("*2\r\n{}{}", text(first), text(second))
    };
    let whole = of_length(UNAUTHENTICATED_COMMAND_LEN_MAX);
    assert_eq!(whole.len(), UNAUTHENTICATED_COMMAND_LEN_MAX);
    for cut in [whole.len(), 10, 16_020, whole.len() - 1] {
        let (first, rest) = whole.as_bytes().split_at(cut);
        assert_eq!(feed([first, rest], &limits).commands.len(), 1, "cut at {cut}");
    }
    let longer = of_length(UNAUTHENTICATED_COMMAND_LEN_MAX + 1);
    for cut in [longer.len(), 10, 16_020, longer.len() - 1] {
        let (first, rest) = longer.as_bytes().split_at(cut);
        let seen = feed([first, rest], &limits);
        let expected = "Protocol error: unauthenticated bulk length";
        assert_eq!(seen.error.as_deref(), Some(expected), "cut at {cut}");
        assert_eq!(feed([first, rest], &Limits::default()).commands.len(), 1);
    }
    let line = "x".repeat(UNAUTHENTICATED_COMMAND_LEN_MAX);
    check_with(&line, &limits, &["Protocol error: too big inline request"]);
    check_with(&line[1..], &limits, &["..."]);
}

#[test]
fn a_command_has_at_most_4_gib() {
    let limits = Limits { bulk_len_max: i64::MAX, ..Limits::default() };
    check_with("*1\r\n$4294901740\r\n", &limits, &["..."]);
    check_with("*1\r\n$4294901741\r\n", &limits, &[BAD_LEN]);
    check_with("*1\r\n$9223372036854775807\r\n", &limits, &[BAD_LEN]);
}

#[test]
fn a_big_body_tells_what_it_wants() {
    let limits = Limits::default();
    assert_eq!(feed([b"*2\r\n$3\r\nSET\r\n$1000\r\nabc".as_slice()], &limits).wanted, 1022);
    assert_eq!(feed([b"*2\r\n$3\r\nSET\r\n$10".as_slice()], &limits).wanted, 0);
}

#[test]
fn inline_commands() {
    check("PING\r\n", &["PING"]);
    check("PING\n", &["PING"]);
    check("PING\r", &["..."]);
    check("\r\n\n   \r\nPING\r\n", &["", "", "", "PING"]);
    check("  SET  k\tv  \r\n", &["SET|k|v"]);
    check("ECHO a\rb\r\n", &["ECHO|a|b"]);
    check("ECHO a\r\r\n", &["ECHO|a"]);
    check("ECHO \x0ba \x0cb c\x0bd\r\n", &["ECHO|a|b|c\\x0bd"]);
    check(b"ECHO \xff\xc3 \xa0\r\n", &["ECHO|\\xff\\xc3|\\xa0"]);
    check("ECHO a\\x41 \\\r\n", &["ECHO|a\\\\x41|\\\\"]);
    check("$4\r\nPING\r\n", &["$4", "PING"]);
}

#[test]
fn inline_quotes() {
    check(r#"ECHO "a b" "" ''"#.to_string() + "\r\n", &["ECHO|a b||"]);
    check("ECHO \"a\\x41\\xfFb\"\n", &["ECHO|aA\\xffb"]);
    check("ECHO \"\\xzz \\x4G \\X41 \\x4\"\n", &["ECHO|xzz x4G X41 x4"]);
    check("ECHO \"\\n\\r\\t\\b\\a\\q\\\\\\\"\"\n", &[r#"ECHO|\n\r\t\x08\x07q\\\""#]);
    check("ECHO 'a\\'b\\n\\\\ '\n", &[r"ECHO|a\'b\\n\\\\ "]);
    check("ECHO a\"b c\" d'e f'\n", &["ECHO|ab c|de f"]);
    check("\"PING\"\r\n\"\"\r\n", &["PING", ""]);
    check("ECHO \"a\"\tx \"b\"\x0by\n", &["ECHO|a|x|b\\x0by"]);
    check("ECHO \"\"\"te\"s't'-'k'e\"y\" x\n", &["ECHO|test-key|x"]);
    // A backslash escapes only what has something behind it.
    check("ECHO \"a\\\"\n", &["ECHO|a\\\\"]);
    check("ECHO 'a\\'\n", &["ECHO|a\\\\"]);
    check("ECHO 'a\\'' \n", &["ECHO|a\\'"]);
    check("ECHO \"\\x00\"\n", &["ECHO|\\x00"]);
    for line in [
        "\"a",
        "'a",
        "'b'a'r",
        "\"b\"a\"r",
        "\"a\" b\"",
        "a\\\"b",
        "\"a\\\"b",
        "'a\\",
        "ab'",
        "\"a\\",
        "\"",
        "\"a\nb\"",
    ] {
        check(format!("ECHO {line}\r\n"), &[BAD_QUOTES]);
    }
}

#[test]
fn a_nul_hides_the_end_of_an_inline_command() {
    check("PING\0x\r\n", &["..."]);
    check("\0\r\nPING\r\n", &["..."]);
    check("\0".to_string() + &"A\n".repeat(40_000), &["Protocol error: too big inline request"]);
}

#[test]
fn an_error_leaves_the_arguments_of_earlier_commands() {
    let mut parser = RequestParser::default();
    let mut args = Vec::new();
    let limits = Limits::default();
    parser.parse(PING.as_bytes(), &mut args, &limits).unwrap();
    for bad in ["ECHO a 'b\r\n", "*2\r\n$1\r\na\r\n$x\r\n"] {
        parser.parse(bad.as_bytes(), &mut args, &limits).unwrap_err();
        parser.reset();
        assert_eq!(args, [Span { start: 8, len: 4 }]);
    }
}

/// Quadratic time would make this test run for hours.
#[test]
fn pieces_are_not_scanned_again() {
    let mut input = Vec::new();
    encode_command(&mut input, &vec!["k"; 300_000]);
    let mut parser = RequestParser::default();
    let mut args = Vec::new();
    for end in (0..input.len()).step_by(5) {
        let parsed = parser.parse(&input[..end], &mut args, &Limits::default()).unwrap();
        assert!(matches!(parsed, Parsed::Incomplete { .. }) && args.is_empty());
    }
    let parsed = parser.parse(&input, &mut args, &Limits::default()).unwrap();
    assert_eq!(parsed, Parsed::Command { consumed: input.len() });
    assert_eq!(args.len(), 300_000);
}

fn commands() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let word = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(any::<u8>(), 90..130),
        1 => Just(b"\r\n$1\r\n*1\r\n".to_vec()),
    ];
    prop::collection::vec(prop::collection::vec(word, 1..6), 1..5)
}

/// Bytes that resemble requests, so that random input reaches every branch.
fn request_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "*1\r\n", "*2\r\n", "*0\r\n", "*-1\r\n", "*3", "$1\r\n", "$4\r\n", "$", "PING\r\n",
            "a\r\n", "\r\n", "\r", "\n", " ", "\"", "'", "\\x4", "\\", "\0", "*", "12345678", "-",
            "+",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// `input` cut at the given places.
fn cut<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    ends.push(input.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.iter().map(|end| &input[std::mem::replace(&mut start, *end)..*end]).collect()
}

proptest! {
    #[test]
    fn encoded_commands_come_back(commands in commands()) {
        let mut input = Vec::new();
        for command in &commands {
            encode_command(&mut input, command);
        }
        let limits = Limits::default();
        let expect = Seen { commands, ..Seen::default() };
        for at in 0..=input.len() {
            let (head, tail) = input.split_at(at);
            let seen = feed([head, tail], &limits);
            prop_assert_eq!(&seen.commands, &expect.commands, "cut at {}", at);
            prop_assert_eq!((seen.error, seen.pending), (None, 0));
        }
    }

    #[test]
    fn pieces_do_not_matter(
        input in request_like(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        authenticated in any::<bool>(),
        inline_max in 4usize..64,
    ) {
        let limits = Limits { authenticated, inline_max, ..Limits::default() };
        let whole = feed([input.as_slice()], &limits);
        for seen in [feed(cut(&input, &cuts), &limits), feed(input.chunks(1), &limits)] {
            // A line of which the first piece alone exceeds the limit is refused before its end.
            if seen.error.as_ref().is_some_and(|error| error.contains("too big")) {
                prop_assert!(whole.commands.starts_with(&seen.commands));
            } else {
                prop_assert_eq!(&seen, &whole);
            }
        }
    }

    #[test]
    fn quoted_words_come_back(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..5),
    ) {
        let quoted: Vec<String> = words
            .iter()
            .map(|word| word.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>())
            .map(|word| format!("\"{word}\""))
            .collect();
        let line = quoted.join(" ") + "\r\n";
        prop_assert_eq!(feed([line.as_bytes()], &Limits::default()).commands, vec![words]);
    }
}

#[test]
fn a_command_is_encoded_so_that_it_parses_whatever_the_lengths() {
    for len in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 12_345] {
        let word = vec![b'x'; len];
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &[&b"ECHO"[..], &word]);
        let mut expected = format!("*2\r\n$4\r\nECHO\r\n${len}\r\n").into_bytes();
        expected.extend_from_slice(&word);
        expected.extend_from_slice(b"\r\n");
        assert_eq!(bytes, expected);
    }
    for count in [1, 9, 10, 99, 100, 101] {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &vec!["k"; count]);
        assert!(bytes.starts_with(format!("*{count}\r\n$1\r\nk\r\n").as_bytes()));
    }
}
