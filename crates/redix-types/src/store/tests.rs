//! The store against a map from numbers to what the blocks hold.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::block::tests::live;

const OPS: usize = if cfg!(miri) { 60 } else { 400 };
const CASES: u32 = if cfg!(miri) { 2 } else { 48 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

type Model = BTreeMap<usize, u32>;

/// A block of a size that depends on what it holds.
fn block(value: u32) -> Block {
    let mut block = Block::from_parts(&[&value.to_le_bytes(), &vec![0; value as usize % 300]]);
    if value.is_multiple_of(3) {
        block.insert_link(0, Some(Block::new(0)), 4, 0);
    }
    block
}

fn value_of(block: &Block) -> u32 {
    u32::from_le_bytes(block.payload()[..4].try_into().unwrap())
}

/// All invariants, and that the store equals the model.
fn check(store: &Store, model: &Model) {
    let held: Model = store.iter().map(|(number, block)| (number, value_of(block))).collect();
    assert_eq!(&held, model);
    assert_eq!(store.end(), model.last_key_value().map_or(0, |(&number, _)| number + 1));
    for number in 0..store.end() + 2 * CHUNK {
        assert_eq!(store.get(number).map(value_of), model.get(&number).copied());
    }
    let last = store.chunks.len().saturating_sub(1);
    assert!(store.chunks[..last].iter().all(|chunk| chunk.links() == CHUNK), "S2");
    assert_eq!(store.memory, store.chunks.iter().map(bytes_of).sum::<usize>(), "S3");
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Put { number: usize, value: u32 },
    Edit { number: usize, value: u32 },
    Take { number: usize },
    Share,
    Unshare { at: usize },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    (1usize..300).prop_flat_map(|numbers| {
        let op = prop_oneof![
            4 => (0..numbers, any::<u32>()).prop_map(|(number, value)| Op::Put { number, value }),
            4 => (0..numbers, any::<u32>()).prop_map(|(number, value)| Op::Edit { number, value }),
            5 => (0..numbers).prop_map(|number| Op::Take { number }),
            1 => Just(Op::Share),
            1 => any::<usize>().prop_map(|at| Op::Unshare { at }),
        ];
        prop::collection::vec(op, 1..OPS)
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_store_is_a_map_and_its_clones_stay(ops in ops()) {
        let start = live();
        let (mut store, mut model) = (Store::new(), Model::new());
        let mut shares: Vec<(Store, Model)> = Vec::new();
        for op in ops {
            match op {
                Op::Put { number, value } => {
                    store.put(number, block(value));
                    model.insert(number, value);
                }
                Op::Edit { number, value } => {
                    if let Some(held) = model.get_mut(&number) {
                        store.edit(number, |page| *page = block(value));
                        *held = value;
                    }
                }
                Op::Take { number } => {
                    if let Some(value) = model.remove(&number) {
                        assert_eq!(value_of(&store.take(number)), value);
                    }
                }
                Op::Share => {
                    shares.push((store.clone(), model.clone()));
                }
                Op::Unshare { at } if !shares.is_empty() => {
                    let at = at % shares.len();
                    let (mut store, model) = shares.swap_remove(at);
                    check(&store, &model);
                    // One half of them by slices, the other at once.
                    while at.is_multiple_of(2) && !store.free_step(3) {
                        assert_eq!(store.memory, store.chunks.iter().map(bytes_of).sum::<usize>());
                    }
                }
                Op::Unshare { .. } => {}
            }
        }
        check(&store, &model);
        for (store, model) in &shares {
            check(store, model);
        }
        drop((store, shares));
        prop_assert_eq!(live(), start);
    }
}

#[test]
fn a_write_after_a_snapshot_copies_one_chunk_and_one_block() {
    let mut store = Store::new();
    for number in 0..200 {
        store.put(number, block(1));
    }
    let before = live();
    let snapshot = store.clone();
    assert_eq!(live(), before);
    store.edit(70, |block| block.payload_mut()[0] = 2);
    assert_eq!(live(), before + 2);
    store.edit(70, |block| block.payload_mut()[0] = 3);
    assert_eq!(live(), before + 2);
    store.edit(71, |block| block.payload_mut()[0] = 3);
    assert_eq!(live(), before + 3);
    assert_eq!(value_of(snapshot.get(70).unwrap()), 1);
    assert_eq!(value_of(store.get(70).unwrap()), 3);
}

#[test]
fn freeing_goes_by_slices() {
    let mut store = Store::new();
    for number in 0..100 {
        store.put(number, block(1));
    }
    let blocks = live();
    assert!(!store.free_step(10));
    assert!(blocks - live() <= 11, "no more than the budget and a chunk");
    let mut steps = 1;
    while !store.free_step(10) {
        steps += 1;
    }
    assert!(steps >= 10, "{steps} steps");
    assert_eq!(store.memory(), 0);
}

#[test]
fn memory_shrinks_with_the_store() {
    let mut store = Store::new();
    for number in 0..10_000 {
        store.put(number, Block::new(0));
    }
    for number in (0..10_000).rev() {
        store.take(number);
    }
    assert_eq!(store.memory(), 0);
}
