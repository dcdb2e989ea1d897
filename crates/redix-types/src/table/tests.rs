//! The table against `HashMap` models, through random histories of growth and shrinkage.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::entry::{EntryBox, Value};

/// The simplest possible item.
struct Plain(Box<(Vec<u8>, bool)>);

// SAFETY: a `Plain` is its box's pointer, live from `into_raw` to `from_raw`.
unsafe impl Item for Plain {
    type Ref<'a> = &'a (Vec<u8>, bool);

    fn into_raw(self) -> NonNull<u8> {
        NonNull::from(Box::leak(self.0)).cast()
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        // SAFETY: as the trait demands, the pointer comes from `into_raw`.
        Plain(unsafe { Box::from_raw(raw.cast().as_ptr()) })
    }

    unsafe fn ref_from_raw<'a>(raw: NonNull<u8>) -> &'a (Vec<u8>, bool) {
        // SAFETY: as the trait demands, the item lives and does not change during 'a.
        unsafe { raw.cast().as_ref() }
    }

    fn key<'a>(item: Self::Ref<'a>) -> &'a [u8] {
        &item.0
    }

    fn is_marked(item: &(Vec<u8>, bool)) -> bool {
        item.1
    }

    fn is_nested(item: &(Vec<u8>, bool)) -> bool {
        item.1 && item.0.last().is_some_and(|digit| digit % 2 == 1)
    }
}

fn plain(id: u32, marked: bool) -> Plain {
    Plain(Box::new((key_of(id), marked)))
}

fn key_of(id: u32) -> Vec<u8> {
    format!("k{id}").into_bytes()
}

fn hasher() -> KeyHasher {
    KeyHasher::new(*b"0123456789abcdef")
}

/// How many operations a history has; miri is some hundred times slower.
const OPS: usize = if cfg!(miri) { 60 } else { 2000 };
const CASES: u32 = if cfg!(miri) { 2 } else { 24 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

/// The hash of keys in a test: the real one, or one with constant middle bits, so that all keys
/// crowd into 32 buckets with long chains.
#[derive(Clone, Copy, Debug)]
enum Hashes {
    Good,
    Crowded,
}

impl Hashes {
    fn of(self, key: &[u8]) -> u64 {
        let hash = hasher().hash(key);
        match self {
            Hashes::Good => hash,
            Hashes::Crowded => hash & !0x01ff_ffe0 | 0x00a5_5aa0,
        }
    }
}

fn hashes() -> impl Strategy<Value = Hashes> {
    prop_oneof![3 => Just(Hashes::Good), 1 => Just(Hashes::Crowded)]
}

/// One step of a history: what to do with key number `id`. Histories drift between growing and
/// shrinking, so that both directions cross many splits and merges.
#[derive(Clone, Copy, Debug)]
enum Op {
    Insert { id: u32, marked: bool },
    Remove { id: u32 },
    Remark { id: u32, marked: bool },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let step = (0u32..10, any::<u32>(), any::<bool>());
    (prop::collection::vec(step, OPS), 20u32..600).prop_map(|(steps, keys)| {
        let phase = steps.len() / 4;
        let op_of = |(number, (choice, id, marked)): (usize, (u32, u32, bool))| {
            let id = id % keys;
            let growing = (number / phase) % 2 == 0;
            match choice {
                0 => Op::Remark { id, marked },
                1..=7 if growing => Op::Insert { id, marked },
                8.. if !growing => Op::Insert { id, marked },
                _ => Op::Remove { id },
            }
        };
        steps.into_iter().enumerate().map(op_of).collect()
    })
}

/// Does one step to the table and the model; both must agree on what is there.
fn apply<T: Item>(
    table: &mut Table<T>,
    model: &mut HashMap<u32, bool>,
    op: Op,
    hashes: Hashes,
    make: impl Fn(u32, bool) -> T,
    remark: impl Fn(&mut T, bool),
) {
    let (Op::Insert { id, .. } | Op::Remove { id } | Op::Remark { id, .. }) = op;
    let key = key_of(id);
    let hash = hashes.of(&key);
    let found = table.find(hash, &key);
    assert_eq!(found.is_some(), model.contains_key(&id), "{op:?}");
    match (op, found) {
        (Op::Insert { marked, .. }, None) => {
            table.insert_new(hash, make(id, marked), false, &hasher());
            model.insert(id, marked);
        }
        (Op::Insert { marked, .. } | Op::Remark { marked, .. }, Some(pos)) => {
            table.modify(pos, |item| remark(item, marked));
            model.insert(id, marked);
        }
        (Op::Remove { .. }, Some(pos)) => {
            let raw = table.remove(pos).into_raw();
            // SAFETY: the item was just taken out of the table and given up.
            unsafe {
                assert_eq!(T::key(T::ref_from_raw(raw)), key);
                drop(T::from_raw(raw));
            }
            model.remove(&id);
        }
        (Op::Remove { .. } | Op::Remark { .. }, None) => {}
    }
    assert_eq!(table.len(), model.len());
    assert_eq!(table.marked_len(), model.values().filter(|&&marked| marked).count());
}

/// Invariants T2 to T4, and the counts.
fn check_whole<T: Item>(table: &Table<T>, model: &HashMap<u32, bool>, hashes: Hashes) {
    let (mut items, mut units, mut nested) = (0, 0, 0);
    for bucket in 0..table.segments.len() {
        for (link, node) in table.segments.node(bucket).chain().enumerate() {
            units += if link > 0 { node.units() } else { 0 };
            for index in node.items() {
                let slot = node.slot(index);
                let key = T::key(table.view(slot));
                let id: u32 = std::str::from_utf8(&key[1..]).unwrap().parse().unwrap();
                assert_eq!(slot.is_marked(), model[&id]);
                assert_eq!(slot.is_nested(), T::is_nested(table.view(slot)));
                nested += usize::from(slot.is_nested());
                assert!(slot.matches(hashes.of(key)));
                assert_eq!(table.segments.bucket_of(hashes.of(key)), Some(bucket));
                items += 1;
            }
        }
    }
    assert_eq!(items, model.len());
    assert_eq!(nested, table.nested_len());
    assert_eq!(units, table.segments.child_units);
    for &id in model.keys() {
        assert!(table.find(hashes.of(&key_of(id)), &key_of(id)).is_some());
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn plain_items_agree_with_a_map(ops in ops(), hashes in hashes()) {
        let (mut table, mut model) = (Table::new(), HashMap::new());
        for (number, &op) in ops.iter().enumerate() {
            apply(&mut table, &mut model, op, hashes, plain, |item, marked| item.0.1 = marked);
            if number % 97 == 0 {
                check_whole(&table, &model, hashes);
            }
            prop_assert!(!model.is_empty() || table.memory_bytes() == 0);
        }
        check_whole(&table, &model, hashes);
    }

    #[test]
    fn entries_agree_with_a_map(ops in ops(), hashes in hashes()) {
        let (mut table, mut model) = (Table::new(), HashMap::new());
        let make = |id: u32, marked: bool| {
            let value = vec![b'v'; id as usize];
            let expiry = marked.then_some(i64::from(id));
            EntryBox::new(&key_of(id), Value::Raw(&value), expiry, id)
        };
        let remark = |entry: &mut EntryBox, marked: bool| {
            let longer = vec![b'w'; entry.as_ref().value().string_len() + 7];
            drop(entry.replace_value(Value::Raw(&longer)));
            entry.set_expire_at_ms(marked.then_some(5));
        };
        for &op in &ops {
            apply(&mut table, &mut model, op, hashes, make, remark);
        }
        check_whole(&table, &model, hashes);
    }

    /// An item that exists during a whole scan is visited, whatever else changes.
    #[test]
    fn scan_misses_nothing(ops in ops(), hashes in hashes(), budget in 1usize..30) {
        let (mut table, mut model) = (Table::new(), HashMap::new());
        let act = |table: &mut Table<Plain>, model: &mut _, op| {
            apply(table, model, op, hashes, plain, |item, marked| item.0.1 = marked);
        };
        let (before, during) = ops.split_at(ops.len() / 2);
        for &op in before {
            act(&mut table, &mut model, op);
        }
        let (mut stayed, mut seen) = (model.clone(), HashSet::new());
        let (mut position, mut during) = (Some(0), during.iter());
        while let Some(from) = position {
            position = table.scan(from, budget, |item| {
                seen.insert(item.0.clone());
            });
            prop_assert!(position.is_none_or(|next| next > from));
            for &op in during.by_ref().take(40) {
                act(&mut table, &mut model, op);
                stayed.retain(|id, _| model.contains_key(id));
            }
        }
        for &id in stayed.keys() {
            prop_assert!(seen.contains(&key_of(id)), "{} was missed", id);
        }
    }

    /// A snapshot by walk and pre-images is exactly the table at its start.
    #[test]
    fn walk_is_exact(ops in ops(), hashes in hashes(), budget in 1usize..30) {
        // The crowded hash is not the hasher's, which the walk uses after a merge.
        let _ = hashes;
        let (mut table, mut model) = (Table::new(), HashMap::new());
        let hasher = hasher();
        let remark = |item: &mut Plain, marked: bool| item.0.1 = marked;
        let (before, during) = ops.split_at(ops.len() / 3);
        for &op in before {
            apply(&mut table, &mut model, op, Hashes::Good, plain, remark);
        }
        let cut = model.clone();
        let mut saved: HashMap<Vec<u8>, bool> = HashMap::new();
        let (mut position, mut during) = (Some(0), during.iter());
        while let Some(from) = position {
            position = table.walk(from, budget, &hasher, |item| {
                assert!(saved.insert(item.0.clone(), item.1).is_none(), "visited twice");
            });
            for &op in during.by_ref().take(25) {
                let (Op::Insert { id, .. } | Op::Remove { id } | Op::Remark { id, .. }) = op;
                let hash = hasher.hash(&key_of(id));
                let ahead = position.is_some_and(|position| order(hash) >= position);
                match table.find(hash, &key_of(id)) {
                    Some(pos) if ahead && !table.is_done(pos) => {
                        let (key, marked) = table.get(pos).clone();
                        assert!(saved.insert(key, marked).is_none(), "saved twice");
                        table.set_done(pos, true);
                    }
                    None if matches!(op, Op::Insert { .. }) => {
                        table.insert_new(hash, plain(id, false), ahead, &hasher);
                        model.insert(id, false);
                    }
                    _ => {}
                }
                apply(&mut table, &mut model, op, Hashes::Good, plain, remark);
            }
        }
        let expected: HashMap<Vec<u8>, bool> =
            cut.into_iter().map(|(id, marked)| (key_of(id), marked)).collect();
        prop_assert_eq!(saved, expected);
        for bucket in 0..table.segments.len() {
            for node in table.segments.node(bucket).chain() {
                prop_assert!(node.items().all(|index| !node.slot(index).is_done()));
            }
        }
    }

    /// A sweep visits every marked item and no other, and removes exactly those it condemns.
    #[test]
    fn sweep_takes_what_it_condemns(ops in ops(), hashes in hashes(), step in 1usize..9) {
        let (mut table, mut model) = (Table::new(), HashMap::new());
        for &op in &ops {
            apply(&mut table, &mut model, op, hashes, plain, |item, marked| item.0.1 = marked);
        }
        let condemned = |key: &[u8]| key[key.len() - 1].is_multiple_of(2);
        let (mut taken, mut position) = (HashSet::new(), Some(0));
        while let Some(from) = position {
            let judge = |item: &(Vec<u8>, bool), done: bool| {
                assert!(item.1 && !done);
                if condemned(&item.0) { Sweep::Remove } else { Sweep::Keep }
            };
            position = table.sweep_marked(from, step, judge, |item| {
                assert!(taken.insert(item.0.0));
            });
        }
        let expected: HashSet<Vec<u8>> = model
            .iter()
            .filter(|&(&id, &marked)| marked && condemned(&key_of(id)))
            .map(|(&id, _)| key_of(id))
            .collect();
        prop_assert_eq!(&taken, &expected);
        model.retain(|&id, _| !expected.contains(&key_of(id)));
        check_whole(&table, &model, hashes);
    }

    #[test]
    fn freeing_in_steps_keeps_the_rest_in_reach(ops in ops(), hashes in hashes()) {
        let (mut table, mut model) = (Table::new(), HashMap::new());
        for &op in &ops {
            apply(&mut table, &mut model, op, hashes, plain, |item, marked| item.0.1 = marked);
        }
        while !table.free_step(5) {
            model.retain(|&id, _| table.find(hashes.of(&key_of(id)), &key_of(id)).is_some());
            check_whole(&table, &model, hashes);
        }
        prop_assert_eq!(table.memory_bytes(), 0);
    }
}

fn filled(count: u32) -> Table<Plain> {
    let (mut table, hasher) = (Table::new(), hasher());
    for id in 0..count {
        let hash = hasher.hash(&key_of(id));
        table.insert_new(hash, plain(id, id.is_multiple_of(10)), false, &hasher);
    }
    table
}

#[test]
fn is_small() {
    assert!(size_of::<Table<EntryBox>>() <= 48);
    assert_eq!(Table::<EntryBox>::new().memory_bytes(), 0);
}

/// Memory per item is the same at every size, unlike in a table that doubles.
#[test]
fn weighs_the_same_at_every_size() {
    let sizes: &[u32] = if cfg!(miri) { &[300] } else { &[1000, 1500, 2000, 3000, 5000, 7000] };
    let more: &[u32] =
        if cfg!(miri) { &[] } else { &[20_000, 100_000, 150_000, 300_000, 1_000_000] };
    for &count in sizes.iter().chain(more) {
        let per_item = filled(count).memory_bytes() as f64 / f64::from(count);
        assert!((12.2..13.6).contains(&per_item), "{per_item} bytes at {count}");
    }
}

#[test]
fn gives_memory_back() {
    let (mut table, hasher) = (filled(3000), hasher());
    for id in 0..2900 {
        let key = key_of(id);
        let pos = table.find(hasher.hash(&key), &key).unwrap();
        table.remove(pos);
    }
    assert!(table.memory_bytes() < 100 * (SHRINK_BYTES + 7), "{}", table.memory_bytes());
}

/// Items of full and of sparse buckets are about equally likely to be picked.
#[test]
fn random_picks_are_fair() {
    let table = filled(500);
    let draws = if cfg!(miri) { 50u64 } else { 500_000 };
    for marked in [false, true] {
        let mut counts: HashMap<&[u8], u64> = HashMap::new();
        for draw in 0..draws {
            let r = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let item = if marked { table.random_marked(r) } else { table.random(r) }.unwrap();
            assert!(item.1 || !marked);
            *counts.entry(&item.0).or_default() += 1;
        }
        if cfg!(miri) {
            continue;
        }
        let items = if marked { 50 } else { 500 };
        assert_eq!(counts.len() as u64, items);
        let fair = draws / items;
        for (key, count) in counts {
            let name = String::from_utf8_lossy(key).into_owned();
            // If one in ten is marked, some picks fall back on the search, which prefers gaps.
            let limits = if marked { fair / 2..fair * 2 } else { fair * 4 / 5..fair * 6 / 5 };
            assert!(limits.contains(&count), "{name}: {count}, not {fair}");
        }
    }
    assert!(Table::<Plain>::new().random(1).is_none());
    assert!(filled(1).random_marked(1).is_some());
}

/// An item whose change panics stays in the table, with the right mark.
#[test]
fn a_panic_while_changing_leaves_the_table_whole() {
    let (mut table, hasher) = (filled(20), hasher());
    let pos = table.find(hasher.hash(b"k3"), b"k3").unwrap();
    let marked_before = table.marked_len();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        table.modify(pos, |item| {
            *item = plain(3, true);
            panic!("as planned");
        })
    }));
    assert!(outcome.is_err());
    assert_eq!(table.marked_len(), marked_before + 1);
    assert_eq!(table.get(pos), &(b"k3".to_vec(), true));
}

#[test]
#[should_panic(expected = "stale position")]
fn a_stale_position_is_noticed() {
    let (mut table, hasher) = (filled(1), hasher());
    let pos = table.find(hasher.hash(b"k0"), b"k0").unwrap();
    table.remove(pos);
    table.get(pos);
}

/// Half full or crowded, prefetching only reads valid memory; miri would notice otherwise.
#[test]
fn prefetching_any_hash_is_harmless() {
    for table in [Table::new(), filled(1), filled(100)] {
        for id in 0..50 {
            table.prefetch_bucket(hasher().hash(&key_of(id)));
            table.prefetch_item(hasher().hash(&key_of(id)), 0);
        }
    }
}

#[test]
fn order_covers_each_bucket_with_one_range() {
    assert_eq!(order(0), 0);
    assert_eq!(order(1), 1 << (ORDER_BITS - 1));
    assert_eq!(order(u64::MAX), (1 << ORDER_BITS) - 1);
    assert_eq!(order(order(0x1_2345_6789)), 0x1_2345_6789);
}
