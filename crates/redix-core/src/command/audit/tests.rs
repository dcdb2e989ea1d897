#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The bytes that a text stands for.
fn bytes_of(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        rest = match escape.strip_prefix('\\') {
            Some(rest) => {
                bytes.push(b'\\');
                rest
            }
            None => {
                let (digits, rest) = escape.strip_prefix('x').unwrap().split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

proptest! {
    #[test]
    fn a_text_gives_its_bytes_back(bytes in vec(any::<u8>(), 0..200)) {
        let line = serde_json::to_string(&text_of(&bytes)).unwrap();
        prop_assert!(!line.contains('\n'));
        let text: String = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(bytes_of(&text), bytes);
    }
}

#[test]
fn texts_are_readable() {
    assert_eq!(text_of("schlüssel:1".as_bytes()), "schlüssel:1");
    assert_eq!(text_of(b"a\\x41\xff\n"), "a\\\\x41\\xff\n");
}
