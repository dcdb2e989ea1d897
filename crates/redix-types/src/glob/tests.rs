use super::*;

/// Verdicts of Valkey 9.1.2, Redis 7.0.15 and 8.2.3 (`KEYS`, which all agree).
#[test]
fn matches_as_the_servers_do() {
    for (pattern, text, expected) in [
        ("*", "", false),
        ("**", "", false),
        ("", "", true),
        ("", "a", false),
        ("?", "", false),
        ("a*b*c", "aXXbXXc", true),
        ("a*b*c", "aXXbXX", false),
        ("*a", "aba", true),
        ("[]", "]", false),
        ("[]a]", "a]", false),
        ("[^]", "x", true),
        ("[^]a", "xa", true),
        ("[abc", "b", true),
        ("[^abc", "b", false),
        ("[a-", "-", true),
        ("[a-", "a", true),
        ("[a-]", "]", true),
        ("[a-]", "^", true),
        ("[a-]", "a", true),
        ("[a-]", "b", false),
        ("[z-a]", "m", true),
        ("[\\]]", "]", true),
        ("[\\", "\\", true),
        ("[a\\-c]", "-", true),
        ("[a\\-c]", "b", false),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a\\", "a\\", true),
        ("[", "[", false),
        ("[^", "[", true),
        ("-]", "-]", true),
    ] {
        let found = matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive);
        assert_eq!(found, expected, "{pattern} against {text}");
    }
}

/// Ranges order bytes as signed ones, so that one from `a` to 0xff is reversed and empty of `z`.
#[test]
fn ranges_are_signed() {
    assert!(!matches(b"[a-\xff]", b"z", Case::Sensitive));
    assert!(matches(b"[a-\xff]", b"A", Case::Sensitive));
    assert!(matches(b"[\x80-\xff]", b"\x90", Case::Sensitive));
}

/// Verdicts of the same servers (`CONFIG GET`): a range is ordered before case is folded.
#[test]
fn folds_case_as_the_servers_do() {
    for (pattern, text, expected) in [
        ("DIR*", "dir", true),
        ("\\Dir", "dir", true),
        ("D[h-J]R", "dir", false),
        ("[Z-a]ir", "dir", false),
        ("[D-d]ir", "dir", true),
        ("d[^I]r", "dir", false),
    ] {
        let found = matches(pattern.as_bytes(), text.as_bytes(), Case::Insensitive);
        assert_eq!(found, expected, "{pattern} against {text}");
    }
}

/// Work is bounded by the product of the lengths: backtracking per star would take forever.
#[test]
fn many_stars_end_soon() {
    let pattern = "*a".repeat(2000) + "*b";
    let text = "a".repeat(20_000);
    assert!(!matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive));
}

#[test]
fn a_pattern_has_a_limited_number_of_stars() {
    let text = [b'b'; 3000];
    let pattern = |stars: usize| b"*b".repeat(stars);
    let check = |pattern: &[u8]| matches(pattern, &text, Case::Sensitive);
    assert!(check(&pattern(1000)) && !check(&pattern(1001)));
    assert!(check(&[pattern(1000), b"**".to_vec()].concat()));
    assert!(check(&b"***b".repeat(1000)) && !check(&b"*?".repeat(50_000)));
}
