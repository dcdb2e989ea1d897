use super::*;

/// The real server's error ends in a blank, which golden scripts cannot show.
#[test]
fn an_empty_flag_is_none_of_the_known_ones() {
    for flags in [",", "no-writes,", ",no-writes", "no-writes,,allow-oom", "no-writes, allow-oom"] {
        let source = format!("#!lua flags={flags}\nreturn 1");
        let error = parse(source.as_bytes()).map(|_| ()).expect_err(flags);
        assert_eq!(error.text(), &b"ERR Unexpected flag in script shebang: "[..], "{flags}");
    }
}

#[test]
fn there_may_be_no_flags_at_all() {
    let parsed = parse(b"#!lua flags=\nreturn 1").ok();
    assert_eq!(parsed, Some((Some(0), &b"\nreturn 1"[..])));
}
