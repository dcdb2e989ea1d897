//! Zipmaps of old files, and invalid ones.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// A zipmap with `unused` bytes behind each value.
fn zipmap(pairs: &[(Vec<u8>, Vec<u8>)], count: u8, unused: u8) -> Vec<u8> {
    let length = |len: usize| match u8::try_from(len) {
        Ok(len) if len < LONG => vec![len],
        _ => [&[LONG][..], &(len as u32).to_le_bytes()].concat(),
    };
    let mut bytes = vec![count];
    for (field, value) in pairs {
        bytes.extend([&length(field.len()), &field[..], &length(value.len())].concat());
        bytes.push(unused);
        bytes.extend(value);
        bytes.extend(vec![0; usize::from(unused)]);
    }
    bytes.push(END);
    bytes
}

/// The example in the documentation of the format.
#[test]
fn the_known_example_is_read() {
    let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x00world\xff";
    assert!(validate(bytes));
    let expected: [(&[u8], &[u8]); 2] = [(b"foo", b"bar"), (b"hello", b"world")];
    assert_eq!(iter(bytes).collect::<Vec<_>>(), expected);
}

#[test]
fn broken_ones_are_refused() {
    let good = b"\x01\x03foo\x03\x00bar\xff";
    assert!(validate(good) && validate(b"\x00\xff"));
    for bad in [
        &b""[..],
        b"\xff",
        b"\x00",
        b"\x01\xff",
        b"\x02\x03foo\x03\x00bar\xff",
        b"\x01\x03foo\x03\x01bar\xff",
        b"\x01\x03foo\xff",
        b"\x01\x03foo\x03\xff",
        b"\x01\x03foo\x03\x00ba\xff",
        b"\x01\xfe\xff\xff\xff\xfffoo\x03\x00bar\xff",
        b"\x01\xfe\x03\x00\x00\x00foo\x03\x00bar\xff",
        b"\x01\x03foo\xfe\x03\x00\x00\x00\x00bar\xff",
    ] {
        assert!(!validate(bad), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pairs_come_back(
        pairs in prop::collection::vec((text(), text()), 0..20),
        unused in 0u8..5,
        unknown in any::<bool>(),
    ) {
        let count = if unknown { COUNT_UNKNOWN } else { pairs.len() as u8 };
        let bytes = zipmap(&pairs, count, unused);
        prop_assert!(validate(&bytes));
        let read: Vec<_> = iter(&bytes).map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        prop_assert_eq!(read, pairs);
    }

    /// Whatever is accepted can be read.
    #[test]
    fn changed_bytes_never_panic(
        pairs in prop::collection::vec((text(), text()), 1..5),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = zipmap(&pairs, pairs.len() as u8, 1);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if validate(bytes) {
                iter(bytes).for_each(drop);
            }
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![4 => 0usize..20, 1 => 250usize..260];
    len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len))
}
