#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn a_request_is_what_a_client_would_send() {
    let set = Requests::new(Op::Set, [7].into_iter(), 8);
    let text = String::from_utf8(set.bytes(0, 1).to_vec()).unwrap();
    assert!(text.starts_with("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000007\r\n$8\r\nv"), "{text}");
    assert!(text.ends_with("\r\n"));
}

#[test]
fn a_wrong_reply_is_noticed() {
    let mut get = Requests::new(Op::Get, [1, 2].into_iter(), 8);
    let mut good = b"$8\r\n".to_vec();
    good.extend(value(1, 8));
    good.extend(b"\r\n");
    assert_eq!((get.reply_len(), get.take(1), get.take(1), get.take(1)), (good.len(), 0, 1, 0));
    assert!(get.replies_match(0, 1, &good));
    assert!(!get.replies_match(1, 1, &good));
    let set = Requests::new(Op::Set, [1].into_iter(), 8);
    assert!(set.replies_match(0, 1, b"+OK\r\n"));
    assert!(!set.replies_match(0, 1, b"-ERR\r"));
}

#[test]
fn each_once_is_a_permutation() {
    let all = Requests::each_once(Op::Get, 100, 8);
    let mut seen: Vec<&[u8]> = (0..100).map(|i| all.bytes(i, 1)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), all.count()), (100, 100));
}

#[test]
fn of_some_replies_only_the_lines_are_known() {
    let pops = Requests::made(4, 2, |_, _, out| push_words(out, &["LPOP", "l"]));
    assert_eq!((pops.reply_len(), pops.reply_lines(), pops.count()), (0, Some(2), 4));
    assert_eq!(pops.bytes(1, 1), b"*2\r\n$4\r\nLPOP\r\n$1\r\nl\r\n");
    assert!(pops.replies_match(0, 2, b"$1\r\na\r\n$2\r\nbc\r\n"));
    assert!(!pops.replies_match(0, 2, b"$1\r\na\r\n$-1\r\n"));
}
