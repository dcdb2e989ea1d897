use super::take_line;

#[test]
fn the_words_of_a_primary_are_shown_as_they_are() {
    let check = |sent: &[u8], shown: &str| {
        let mut inbox = [sent, b"\r\nrest"].concat();
        assert_eq!(take_line(&mut inbox).unwrap().unwrap(), shown);
        assert_eq!(inbox, b"rest");
    };
    check(b"-NOMASTERLINK Can't SYNC while \"x\"", "-NOMASTERLINK Can't SYNC while \"x\"");
    check(b"C:\\dump.rdb", "C:\\dump.rdb");
    check(b"\x1b[2J\t\xff\0", "\\x1b[2J\\t\\xff\\x00");
}
