//! The hash against a map.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::block::tests::live;
use crate::listpack::Element as Text;

const OPS: usize = if cfg!(miri) { 40 } else { 600 };
const CASES: u32 = if cfg!(miri) { 2 } else { 32 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

fn hasher() -> KeyHasher {
    KeyHasher::new(*b"0123456789abcdef")
}

type Model = HashMap<Vec<u8>, Vec<u8>>;

fn contents(hash: &Hash) -> Model {
    hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()
}

/// Lengths on both sides of the limit of elements in pages.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let len =
        prop_oneof![8 => 0usize..12, 2 => 100usize..140, 1 => 240usize..270, 1 => 300usize..900];
    (len, 0u8..6).prop_map(|(len, byte)| vec![byte; len])
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Share,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (text(), text()).prop_map(|(field, value)| Op::Set(field, value)),
        4 => text().prop_map(Op::Remove),
        1 => Just(Op::Share),
    ];
    prop::collection::vec(op, 1..OPS)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_hash_is_a_map_and_its_clones_stay(ops in ops()) {
        let start = live();
        let (mut hash, mut model) = (Hash::new(), Model::new());
        let mut shares = Vec::new();
        for op in ops {
            match op {
                Op::Set(field, value) => {
                    let new = hash.set(&field, &value, &hasher());
                    prop_assert_eq!(hash.get(&field, &hasher()), Some(&value[..]));
                    prop_assert_eq!(new, model.insert(field, value).is_none());
                }
                Op::Remove(field) => {
                    let there = model.remove(&field).is_some();
                    prop_assert_eq!(hash.remove(&field, &hasher()), there);
                    prop_assert_eq!(hash.get(&field, &hasher()), None);
                }
                Op::Share => shares.push((hash.clone(), model.clone())),
            }
            prop_assert_eq!(hash.len(), model.len());
        }
        prop_assert_eq!(contents(&hash), model);
        for (hash, model) in &shares {
            prop_assert_eq!(&contents(hash), model);
        }
        drop((hash, shares));
        prop_assert_eq!(live(), start);
    }

    #[test]
    fn a_listpack_becomes_a_hash(
        model in prop::collection::hash_map(
            prop_oneof![text(), Just(b"12".to_vec())],
            text(),
            0..40,
        ),
    ) {
        let mut lp = listpack::EMPTY.to_vec();
        for (field, value) in &model {
            listpack::append(&mut lp, Text::of(field));
            listpack::append(&mut lp, Text::of(value));
        }
        prop_assert_eq!(contents(&Hash::from_listpack(&lp, &hasher())), model);
    }
}

#[test]
fn scans_and_draws_show_fields_with_their_values() {
    let (mut hash, mut model) = (Hash::new(), Model::new());
    for id in 0..1000u32 {
        let (field, value) = (id.to_le_bytes().to_vec(), vec![id as u8; id as usize % 300]);
        hash.set(&field, &value, &hasher());
        model.insert(field, value);
    }
    let (mut cursor, mut seen) = (0, Model::new());
    loop {
        cursor = hash.scan(cursor, 10, |field, value| {
            seen.insert(field.to_vec(), value.to_vec());
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, model);
    for word in 0..1000 {
        let (field, value) = hash.random(word).unwrap();
        assert_eq!(model[field], value);
    }
}

/// 16-byte fields with values of 11 bytes: the memory of a large hash.
#[test]
fn memory_follows_the_fields() {
    let mut hash = Hash::new();
    let count: u32 = if cfg!(miri) { 300 } else { 50_000 };
    for id in 0..count {
        hash.set(format!("field:{id:010}").as_bytes(), b"value:00000", &hasher());
    }
    let each = hash.memory() as f64 / f64::from(count);
    assert!(each < 36.5, "{each} bytes a field");
    let before = hash.memory();
    let mut weight = hash.weight();
    while !hash.free_step(50) {
        assert!(hash.memory() < before);
        weight = weight.checked_sub(50).unwrap();
    }
    assert_eq!(hash.memory(), 0);
}

/// A hash that is large because of one long value.
#[test]
fn one_long_value_takes_little_more_than_itself() {
    let mut hash = Hash::new();
    hash.set(b"field", &[b'x'; 900], &hasher());
    assert!(hash.memory() <= 1024 + 128, "{} bytes", hash.memory());
}

mod views {
    use super::*;
    use crate::entry::EntryBox;
    use crate::value::{Encoding, Kind};

    const LIMITS: Limits = Limits { entries: 8, value: 20 };

    fn text_of(element: Text<'_>) -> Vec<u8> {
        element.text(&mut IntBuf::new()).to_vec()
    }

    fn contents_of(hash: HashRef<'_>) -> Model {
        let mut model = Model::new();
        hash.for_each(|(field, value)| {
            let twice = model.insert(text_of(field), text_of(value));
            assert!(twice.is_none());
        });
        model
    }

    fn short() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => (0i64..12).prop_map(|number| number.to_string().into_bytes()),
            4 => (0u8..4, 0usize..20).prop_map(|(byte, len)| vec![b'a' + byte; len]),
            1 => (19usize..23).prop_map(|len| vec![b'z'; len]),
        ]
    }

    proptest! {
        #![proptest_config(config())]

        /// Both forms behave as a map, and the form is the one that the limits require.
        #[test]
        fn an_entry_is_a_map(
            ops in prop::collection::vec((0u8..10, short(), short()), 1..40),
            word in any::<u64>(),
        ) {
            let mut entry = EntryBox::new(b"key", EMPTY, None, 0);
            let (mut model, mut large) = (Model::new(), false);
            let hasher = hasher();
            for (choice, field, value) in ops {
                let mut edit = HashEdit::new(&mut entry, LIMITS, &hasher);
                if choice < 7 {
                    large |= field.len().max(value.len()) > LIMITS.value;
                    let new = edit.set(&field, &value);
                    let found = edit.as_ref().get(&field, &hasher).map(text_of);
                    prop_assert_eq!(found, Some(value.clone()));
                    prop_assert_eq!(new, model.insert(field, value).is_none());
                    large |= model.len() > LIMITS.entries;
                } else {
                    prop_assert_eq!(edit.remove(&field), model.remove(&field).is_some());
                    prop_assert!(edit.as_ref().get(&field, &hasher).is_none());
                }
                let hash = edit.as_ref();
                prop_assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(contents_of(hash), model.clone());
                let random = hash.random(word);
                prop_assert_eq!(random.is_some(), !model.is_empty());
                if let Some((field, value)) = random {
                    prop_assert_eq!(&model[&text_of(field)], &text_of(value));
                }
                let mut scanned = Model::new();
                let mut cursor = 0;
                loop {
                    cursor = hash.scan(cursor, 3, |(field, value)| {
                        scanned.insert(text_of(field), text_of(value));
                    });
                    if cursor == 0 {
                        break;
                    }
                }
                prop_assert_eq!(&scanned, &model);
                let expected = if large { Encoding::Hashtable } else { Encoding::Listpack };
                prop_assert_eq!(entry.as_ref().encoding(), expected);
                prop_assert_eq!(entry.as_ref().kind(), Kind::Hash);
            }
        }
    }

    #[test]
    fn many_fields_at_once_make_a_hash_large() {
        let hasher = hasher();
        let mut entry = EntryBox::new(b"key", EMPTY, None, 0);
        let mut edit = HashEdit::new(&mut entry, LIMITS, &hasher);
        edit.expect(LIMITS.entries);
        assert!(matches!(edit.as_ref(), HashRef::Packed(_)));
        edit.expect(LIMITS.entries + 1);
        assert!(matches!(edit.as_ref(), HashRef::Large(_)));
    }
}

mod building {
    use super::*;
    use crate::value::{Compact, HeapValue};

    const LIMITS: Limits = Limits { entries: 8, value: 20 };

    fn built(pairs: &[(Vec<u8>, Vec<u8>)], announced: u64) -> Option<HeapValue> {
        let hasher = hasher();
        let mut builder = Builder::new(announced, LIMITS, &hasher);
        pairs.iter().for_each(|(field, value)| builder.push(field, value));
        builder.finish()
    }

    fn listpack_of(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut lp = listpack::EMPTY.to_vec();
        for (field, value) in pairs {
            listpack::append(&mut lp, Text::of(field));
            listpack::append(&mut lp, Text::of(value));
        }
        lp
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn what_is_no_hash_is_refused(
            pairs in prop::collection::vec(
                (0u8..30, prop_oneof![Just(3usize), 18usize..23]),
                0..12,
            ),
            announced in prop_oneof![Just(0u64), Just(100)],
        ) {
            let pairs: Vec<_> = pairs
                .into_iter()
                .map(|(id, len)| (id.to_string().into_bytes(), vec![b'v'; len]))
                .collect();
            let model: Model = pairs.iter().cloned().collect();
            let is_hash = model.len() == pairs.len() && !pairs.is_empty();
            let announced = announced.max(pairs.len() as u64);
            let value = built(&pairs, announced);
            prop_assert_eq!(value.is_some(), is_hash);
            if let Some(value) = value {
                let is_long = pairs.iter().any(|(_, value)| value.len() > LIMITS.value);
                let is_large = is_long || announced > LIMITS.entries as u64;
                prop_assert_eq!(matches!(value, HeapValue::Hash(_)), is_large);
                let mut read = Model::new();
                let text = |element: Text<'_>| element.text(&mut IntBuf::new()).to_vec();
                HashRef::of(value.as_ref()).for_each(|(field, value)| {
                    read.insert(text(field), text(value));
                });
                prop_assert_eq!(read, model);
            }
            let packed = from_packed(listpack_of(&pairs), LIMITS, &hasher());
            prop_assert_eq!(packed.is_some(), is_hash);
            if let Some(packed) = packed {
                let is_large = pairs.len() > LIMITS.entries;
                prop_assert_eq!(matches!(packed, HeapValue::Hash(_)), is_large);
            }
        }
    }

    #[test]
    fn broken_listpacks_are_refused() {
        let good = listpack_of(&[(b"a".to_vec(), b"1".to_vec())]);
        let from = |lp: Vec<u8>| from_packed(lp, LIMITS, &hasher());
        assert!(matches!(from(good.clone()), Some(HeapValue::Packed(Compact::Hash, _))));
        for cut in 0..good.len() {
            assert!(from(good[..cut].to_vec()).is_none(), "cut at {cut}");
        }
        let mut odd = good;
        listpack::append(&mut odd, Text::of(b"b"));
        assert!(from(odd).is_none());
    }

    /// The same number, once as an integer and once as a text, is one field.
    #[test]
    fn an_integer_written_as_text_is_the_same_field() {
        let lp = b"\x10\0\0\0\x04\0\x07\x01\x01\x01\x817\x02\x02\x01\xff";
        assert!(listpack::validate(lp, listpack::Depth::Elements));
        assert!(from_packed(lp.to_vec(), LIMITS, &hasher()).is_none());
    }
}
