use super::*;

#[test]
fn a_repeated_word_ends_at_a_zero_byte() {
    let text = |word: &[u8]| ReplyError::quoting("no '", word, "'").text().into_owned();
    assert_eq!(text(b"a\0b"), b"ERR no 'a'");
    assert_eq!(text(b"\0"), b"ERR no ''");
    assert_eq!(text(b"a\xff\r\n"), b"ERR no 'a\xff\r\n'");
}

#[test]
fn unknown_names_are_shortened() {
    let long = [b'x'; 300];
    let error = ReplyError::unknown_subcommand(&long, "config");
    let shown = String::from_utf8_lossy(&long[..SHOWN_MAX]);
    let expected = format!("ERR unknown subcommand '{shown}'. Try CONFIG HELP.");
    assert_eq!(error.to_string(), expected);

    let error = ReplyError::unknown_command(&long, [&long[..]; 3].into_iter());
    let expected = format!("ERR unknown command '{shown}', with args beginning with: '{shown}' ");
    assert_eq!(error.to_string(), expected);

    let error = ReplyError::unknown_command(b"no\0such", [&b"a\0b"[..], b"c"].into_iter());
    let expected = "ERR unknown command 'no', with args beginning with: 'a' 'c' ";
    assert_eq!(error.to_string(), expected);
}
