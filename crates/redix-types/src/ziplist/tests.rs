//! Ziplists as old servers write them, and what is refused.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// What a ziplist is made of here.
#[derive(Clone, Debug)]
enum Item {
    Int(i64),
    Str(Vec<u8>),
}

/// Encoding and data.
fn encoded(item: &Item) -> Vec<u8> {
    match item {
        Item::Int(value @ 0..=12) => vec![0xf1 + *value as u8],
        Item::Int(value) => {
            let bytes = value.to_le_bytes();
            let (encoding, len) = match value {
                -0x80..=0x7f => (0xfe, 1),
                -0x8000..=0x7fff => (0xc0, 2),
                -0x80_0000..=0x7f_ffff => (0xf0, 3),
                -0x8000_0000..=0x7fff_ffff => (0xd0, 4),
                _ => (0xe0, 8),
            };
            [&[encoding][..], &bytes[..len]].concat()
        }
        Item::Str(text) => {
            let len = text.len() as u32;
            let head = match text.len() {
                0..=63 => vec![len as u8],
                64..=16383 => vec![0x40 | (len >> 8) as u8, len as u8],
                _ => [&[0x80][..], &len.to_be_bytes()].concat(),
            };
            [head, text.clone()].concat()
        }
    }
}

/// A ziplist; `long_back` writes every back length in its long form, which servers leave behind.
fn ziplist(items: &[Item], long_back: bool) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let (mut before, mut tail) = (0usize, HEADER);
    for item in items {
        tail = bytes.len();
        if before < 254 && !long_back {
            bytes.push(before as u8);
        } else {
            bytes.push(LONG_BACK);
            bytes.extend((before as u32).to_le_bytes());
        }
        bytes.extend(encoded(item));
        before = bytes.len() - tail;
    }
    bytes.push(END);
    let total = bytes.len() as u32;
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    bytes[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
    bytes[8..10].copy_from_slice(&(items.len() as u16).to_le_bytes());
    bytes
}

fn read(bytes: &[u8]) -> Vec<String> {
    iter(bytes).map(|element| format!("{element:?}")).collect()
}

/// The example in the documentation of the format: 2 and 5.
#[test]
fn the_known_example_is_read() {
    let bytes = b"\x0f\0\0\0\x0c\0\0\0\x02\0\0\xf3\x02\xf6\xff";
    assert!(validate(bytes));
    assert!(iter(bytes).eq([Element::Int(2), Element::Int(5)]));
}

#[test]
fn broken_ones_are_refused() {
    let good = ziplist(&[Item::Int(1000), Item::Str(b"text".to_vec()), Item::Int(3)], false);
    assert!(validate(&good));
    assert!(validate(&ziplist(&[], false)));
    for cut in 0..good.len() {
        assert!(!validate(&good[..cut]), "cut at {cut}");
    }
    let spoil = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    for (at, byte) in [(0, 1), (4, 10), (8, 2), (8, 4), (10, 1), (11, 0xc1), (14, 3), (15, 5)] {
        assert!(!validate(&spoil(at, byte)), "byte {at} = {byte}");
    }
    let counted = spoil(8, 0xff);
    assert!(!validate(&counted), "255 is a count like others");
    let mut uncounted = counted;
    uncounted[9] = 0xff;
    assert!(validate(&uncounted));
}

fn item() -> impl Strategy<Value = Item> {
    let len = prop_oneof![6 => 0usize..20, 2 => 60usize..70, 1 => 250usize..300, 1 => Just(17_000)];
    prop_oneof![
        2 => (any::<i64>(), 0u32..64).prop_map(|(value, shift)| Item::Int(value >> shift)),
        2 => len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len)).prop_map(Item::Str),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(100)
    })]

    #[test]
    fn items_come_back(items in prop::collection::vec(item(), 0..20), long_back in any::<bool>()) {
        let bytes = ziplist(&items, long_back);
        prop_assert!(validate(&bytes));
        let expected = items.iter().map(|item| match item {
            Item::Int(value) => Element::Int(*value),
            Item::Str(text) => Element::Str(text),
        });
        prop_assert!(iter(&bytes).eq(expected));
    }

    /// Whatever is accepted can be read.
    #[test]
    fn changed_bytes_never_panic(
        items in prop::collection::vec(item(), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = ziplist(&items, false);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if validate(&bytes) {
            read(&bytes);
        }
    }
}
