//! The table against a map, through random histories of growth and shrinkage.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::block::tests::live;

const OPS: usize = if cfg!(miri) { 60 } else { 3000 };
const CASES: u32 = if cfg!(miri) { 2 } else { 24 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

fn hasher() -> KeyHasher {
    KeyHasher::new(*b"0123456789abcdef")
}

/// A number and a value of any length; the number stands for the hash.
#[derive(Clone)]
struct Numbered;

impl Element for Numbered {
    const PAGE: usize = 768;

    fn key(stored: Stored<'_>) -> &[u8] {
        &stored.bytes()[..4]
    }
}

type Model = HashMap<u32, Vec<u8>>;

fn find(table: &Paged<Numbered>, id: u32) -> Option<(Pos, Vec<u8>)> {
    let key = id.to_le_bytes();
    let (pos, element) = table.find(hasher().hash(&key), &key)?;
    assert_eq!(table.get(pos), element);
    Some((pos, element.bytes()[4..].to_vec()))
}

fn insert(table: &mut Paged<Numbered>, model: &mut Model, id: u32, value: &[u8]) {
    let key = id.to_le_bytes();
    let parts = [&key[..], value];
    let found = find(table, id);
    assert_eq!(found.is_some(), model.contains_key(&id));
    match found {
        Some((pos, _)) => table.replace(pos, New::of(&parts), &hasher()),
        None => table.insert_new(hasher().hash(&key), New::of(&parts), &hasher()),
    }
    model.insert(id, value.to_vec());
}

fn remove(table: &mut Paged<Numbered>, model: &mut Model, id: u32) {
    let found = find(table, id);
    assert_eq!(found.as_ref().map(|(_, value)| value), model.get(&id));
    if let Some((pos, _)) = found {
        table.remove(pos, &hasher());
        model.remove(&id);
    }
}

/// G1 to G3, and that the table equals the model.
fn check(table: &Paged<Numbered>, model: &Model) {
    let mut bytes = [0; SHARES];
    let mut outside = 0;
    for (number, page) in table.store.iter() {
        let (share, at) = (number % SHARES, number / SHARES);
        assert!(at < table.pages[share] as usize && page.n() > 0, "G1");
        for (tag, element) in packed::iter(page) {
            let hash = hasher().hash(Numbered::key(element));
            assert_eq!((share_of(hash), tag_of(hash)), (share, tag), "G2");
            assert_eq!(page_of(hash, table.pages[share]), at, "G2");
            bytes[share] += element.weight();
        }
        outside += (0..page.links()).map(|at| page.link(at).unwrap().size()).sum::<usize>();
    }
    assert_eq!((table.len, table.bytes, table.outside), (model.len(), bytes, outside), "G3");
    let held: Model = table
        .iter()
        .map(|element| {
            let (key, value) = element.bytes().split_at(4);
            (u32::from_le_bytes(key.try_into().unwrap()), value.to_vec())
        })
        .collect();
    assert_eq!(&held, model);
}

#[derive(Clone, Debug)]
enum Op {
    Insert { id: u32, len: usize },
    Remove { id: u32 },
    Edit { id: u32 },
    Share,
    Unshare { at: usize },
}

/// Histories drift between growing and shrinking, so that both cross many splits and merges.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let len = prop_oneof![12 => 0usize..30, 2 => 30usize..=250, 1 => 251usize..700];
    let step = (0u32..200, any::<u32>(), len);
    (prop::collection::vec(step, OPS), 20u32..1500).prop_map(|(steps, ids)| {
        let phase = steps.len() / 4;
        let op_of = |(number, (choice, id, len)): (usize, (u32, u32, usize))| {
            let id = id % ids;
            let growing = (number / phase).is_multiple_of(2);
            match choice {
                0 => Op::Share,
                1 => Op::Unshare { at: id as usize },
                2..20 => Op::Edit { id },
                20..160 if growing => Op::Insert { id, len },
                160.. if !growing => Op::Insert { id, len },
                _ => Op::Remove { id },
            }
        };
        steps.into_iter().enumerate().map(op_of).collect()
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_table_is_a_map_and_its_clones_stay(ops in ops()) {
        let start = live();
        let (mut table, mut model) = (Paged::new(), Model::new());
        let mut shares: Vec<(Paged<Numbered>, Model)> = Vec::new();
        for op in ops {
            match op {
                Op::Insert { id, len } => {
                    insert(&mut table, &mut model, id, &vec![id as u8; len]);
                }
                Op::Remove { id } => remove(&mut table, &mut model, id),
                Op::Edit { id } => {
                    if let Some((pos, value)) = find(&table, id)
                        && table.edit_inline(pos, |bytes| bytes[4..].fill(7)).is_some()
                    {
                        model.insert(id, vec![7; value.len()]);
                    }
                }
                Op::Share => shares.push((table.clone(), model.clone())),
                Op::Unshare { at } if !shares.is_empty() => {
                    let (mut table, model) = shares.swap_remove(at % shares.len());
                    check(&table, &model);
                    while at.is_multiple_of(2) && !table.free_step(5) {}
                }
                Op::Unshare { .. } => {}
            }
        }
        check(&table, &model);
        for (table, model) in &shares {
            check(table, model);
        }
        drop((table, shares));
        prop_assert_eq!(live(), start);
    }

    /// An element that exists from the first to the last call is reported, whatever else changes.
    #[test]
    fn a_scan_reports_all_that_stay(
        stay in 0u32..800,
        counts in prop::collection::vec(1usize..60, 1..20),
        swings in prop::collection::vec((any::<bool>(), 0u32..1500), 1..20),
    ) {
        let (mut table, mut model) = (Paged::new(), Model::new());
        for id in 0..stay {
            insert(&mut table, &mut model, id, b"stays");
        }
        let mut seen = HashSet::new();
        let (mut cursor, mut calls) = (0, 0);
        loop {
            cursor = table.scan(cursor, counts[calls % counts.len()], |element| {
                seen.insert(u32::from_le_bytes(element.bytes()[..4].try_into().unwrap()));
            });
            if cursor == 0 {
                break;
            }
            let (grow, many) = swings[calls % swings.len()];
            for id in 10_000..10_000 + many {
                if grow {
                    insert(&mut table, &mut model, id, b"comes and goes");
                } else {
                    remove(&mut table, &mut model, id);
                }
            }
            calls += 1;
        }
        prop_assert!((0..stay).all(|id| seen.contains(&id)));
        prop_assert!(seen.iter().all(|id| *id < stay || *id >= 10_000));
    }
}

#[test]
fn a_scan_of_a_table_at_rest_reports_each_element_once() {
    let (mut table, mut model) = (Paged::new(), Model::new());
    for id in 0..5000 {
        insert(&mut table, &mut model, id, b"value");
        if id % 617 != 0 {
            continue;
        }
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            cursor = table.scan(cursor, 10, |element| seen.push(element.bytes()[..4].to_vec()));
            assert!(cursor < 1 << 34);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), model.len());
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), model.len());
    }
}

#[test]
fn any_cursor_is_answered() {
    let (mut table, mut model) = (Paged::new(), Model::new());
    for id in 0..3000 {
        insert(&mut table, &mut model, id, b"value");
    }
    for cursor in [1, 77, u64::from(u32::MAX), 3 << 32, (4 << 32) - 1, 4 << 32, u64::MAX] {
        table.scan(cursor, 10, |_| {});
    }
    assert_eq!(table.scan(u64::MAX, 10, |_| panic!("nothing is there")), 0);
    assert_eq!(Paged::<Numbered>::new().scan(0, 10, |_| panic!("nothing is there")), 0);
}

/// Every element is drawn about equally often: chi-square against its 1 in 1000 quantile.
#[test]
fn random_elements_are_even() {
    for n in [1u32, 3, 40, 700] {
        let (mut table, mut model) = (Paged::new(), Model::new());
        for id in 0..n {
            insert(&mut table, &mut model, id, &vec![0; (id % 13) as usize]);
        }
        let draws = 200 * u64::from(n);
        let mut counts: HashMap<Vec<u8>, f64> = HashMap::new();
        for word in 0..draws {
            let element = table.random(mix(word)).unwrap();
            *counts.entry(element.bytes()[..4].to_vec()).or_default() += 1.0;
        }
        let chi: f64 = counts.values().map(|count| (count - 200.0).powi(2) / 200.0).sum();
        let missing = (n as usize - counts.len()) as f64 * 200.0;
        let free = f64::from(n - 1);
        let limit = free + 3.1 * (2.0 * free).sqrt() + 7.0;
        assert!(chi + missing <= limit, "{n} elements: {chi} + {missing} over {limit}");
    }
    assert!(Paged::<Numbered>::new().random(1).is_none());
}

/// 15-byte members: the memory of a large set, and that it is released.
#[test]
fn memory_follows_the_elements() {
    let mut table = Paged::<Member>::new();
    let member = |id: u32| format!("member:{id:08}");
    let count: u32 = if cfg!(miri) { 300 } else { 50_000 };
    for id in 0..count {
        let member = member(id);
        table.insert_new(
            hasher().hash(member.as_bytes()),
            New::of(&[member.as_bytes()]),
            &hasher(),
        );
    }
    let each = table.memory() as f64 / f64::from(count);
    assert!(each < 21.5, "{each} bytes a member");
    for id in 0..count {
        let member = member(id);
        let (pos, _) = table.find(hasher().hash(member.as_bytes()), member.as_bytes()).unwrap();
        table.remove(pos, &hasher());
        let left = (count - id - 1) as usize;
        assert!(table.memory() <= 32 * left + 2048, "{left} left: {}", table.memory());
    }
    assert_eq!(table.memory(), 0);
}
