//! Names in the audit log: any bytes become one line of JSON, which gives them back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_core::command::audit::text_of;

/// The bytes that a text stands for.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        match (byte, more) {
            (b'\\', [b'\\', more @ ..]) => {
                bytes.push(byte);
                rest = more;
            }
            (b'\\', [b'x', high, low, more @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit");
                bytes.push((digit(*high) << 4 | digit(*low)) as u8);
                rest = more;
            }
            (b'\\', _) => panic!("a backslash alone"),
            _ => bytes.push(byte),
        }
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let line = serde_json::to_string(&text_of(data)).expect("text is JSON");
    assert!(!line.contains(['\n', '\r']));
    let text: String = serde_json::from_str(&line).expect("it was just written");
    assert_eq!(bytes_of(&text), data);
});
