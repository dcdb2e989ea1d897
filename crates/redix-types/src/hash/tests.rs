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

/// Lengths on both sides of what lies in a page.
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
        cursor = hash.scan(cursor, 10, &mut |field, value| {
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

/// 16-byte fields with values of 11 bytes: what a large hash takes.
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
