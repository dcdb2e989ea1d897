use super::port;

#[test]
fn a_port_is_the_number_that_a_word_begins_with() {
    for (word, expected) in
        [("6379", 6379), ("6379x", 6379), ("0", 0), ("x", 0), ("", 0), ("-", 0), ("-1", -1)]
    {
        assert_eq!(port(word.as_bytes()), expected, "{word}");
    }
    assert_eq!(port(b"99999999999999999999"), 0);
}
