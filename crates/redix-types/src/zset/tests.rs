//! Sorted sets against a model that is a map from members to scores, sorted when asked.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::value::{Encoding, IntBuf, Value};
use crate::{EntryBox, listpack, tree};

const OPS: u64 = if cfg!(miri) { 150 } else { 12_000 };
const CASES: u32 = if cfg!(miri) { 2 } else { 32 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

fn hasher() -> KeyHasher {
    KeyHasher::new(*b"0123456789abcdef")
}

/// A stream of numbers from one seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 29
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

type Model = BTreeMap<Vec<u8>, f64>;

/// The members in the order of the set.
fn sorted(model: &Model) -> Vec<(&[u8], f64)> {
    let mut members: Vec<_> = model.iter().map(|(member, &score)| (&member[..], score)).collect();
    members.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then(a.0.cmp(b.0)));
    members
}

/// All invariants, and that the set equals the model, in both directions.
fn check(zset: &Zset, model: &Model) {
    tree::tests::check(&zset.tree);
    let expected = sorted(model);
    assert_eq!(zset.len(), model.len());
    assert_eq!(zset.index.len(), model.len());
    assert!(zset.iter().eq(expected.iter().copied()));
    assert!(zset.iter_back_from(0).eq(expected.iter().rev().copied()));
    for (rank, &(member, score)) in expected.iter().enumerate() {
        assert_eq!(zset.rank(&hasher(), member), Some((rank, score)));
    }
}

/// Distributions of scores: they determine ties and the direction of growth.
#[derive(Clone, Copy, Debug)]
enum Scores {
    Same,
    Few,
    Random,
    Ascending,
    Descending,
}

impl Scores {
    fn next(self, random: &mut Random, step: u64) -> f64 {
        match self {
            Scores::Same => 0.0,
            Scores::Few => random.below(5) as f64 - 2.0,
            Scores::Random => match random.below(50) {
                0 => f64::INFINITY,
                1 => f64::NEG_INFINITY,
                2 => -0.0,
                _ => (random.next() as i64) as f64 / 3.0,
            },
            Scores::Ascending => step as f64,
            Scores::Descending => -(step as f64),
        }
    }
}

fn scores() -> impl Strategy<Value = Scores> {
    prop::sample::select(vec![
        Scores::Same,
        Scores::Few,
        Scores::Random,
        Scores::Ascending,
        Scores::Descending,
    ])
}

/// Members of many lengths: a few empty, or long enough to be stored outside their leaf.
fn member_of(id: u64) -> Vec<u8> {
    match id % 97 {
        0 => Vec::new(),
        1..4 => [&vec![b'x'; 250 + id as usize % 400][..], &id.to_be_bytes()].concat(),
        4..40 => format!("m{id}").into_bytes(),
        _ => format!("member:{:08}:{id}", id % 7).into_bytes(),
    }
}

/// One random operation on both.
fn step(zset: &mut Zset, model: &mut Model, random: &mut Random, score: f64, grow: bool, ids: u64) {
    let hasher = hasher();
    let member = member_of(random.below(ids));
    let insert = random.below(10) < if grow { 8 } else { 2 };
    if insert {
        let expected = match model.get(&member) {
            None => Change::Added,
            Some(&old) if old == score => Change::Nothing,
            Some(_) => Change::Updated,
        };
        assert_eq!(zset.insert(&hasher, &member, score), expected);
        if expected != Change::Nothing {
            model.insert(member, score);
        }
        return;
    }
    match random.below(4) {
        0 if !model.is_empty() => {
            let rank = random.below(model.len() as u64) as usize;
            let expected = model_at(model, rank);
            let removed = zset.remove_at(&hasher, rank, |member, score| (member.to_vec(), score));
            assert_eq!(removed, Some(expected.clone()));
            model.remove(&expected.0);
        }
        1 => {
            let rank = if random.below(2) == 0 { 0 } else { model.len().saturating_sub(1) };
            let removed = zset.remove_at(&hasher, rank, |member, _| member.to_vec());
            assert_eq!(removed.is_some(), !model.is_empty());
            if let Some(member) = removed {
                assert!(model.remove(&member).is_some());
            }
        }
        _ => assert_eq!(zset.remove(&hasher, &member), model.remove(&member)),
    }
    let member = member_of(random.below(ids));
    assert_eq!(zset.score(&hasher, &member), model.get(&member).copied());
}

fn model_at(model: &Model, rank: usize) -> (Vec<u8>, f64) {
    let mut members: Vec<_> = model.iter().collect();
    members.select_nth_unstable_by(rank, |a, b| a.1.partial_cmp(b.1).unwrap().then(a.0.cmp(b.0)));
    (members[rank].0.clone(), *members[rank].1)
}

/// Ranges by rank, score and member, with random ends.
fn check_ranges(zset: &Zset, model: &Model, random: &mut Random, scores: Scores) {
    let expected = sorted(model);
    for _ in 0..20 {
        let (score, member) = (scores.next(random, random.0 % OPS), member_of(random.below(3000)));
        let count = |cut: Cut<'_>| {
            let behind = |&&(member, score): &&(&[u8], f64)| cut.is_behind(score, || member);
            expected.iter().filter(behind).count()
        };
        for cut in [Cut::Score(score), Cut::AfterScore(score), Cut::Key(score, &member)] {
            assert_eq!(zset.count_before(cut), count(cut), "{cut:?}");
        }
        if matches!(scores, Scores::Same) {
            for cut in [Cut::Member(&member), Cut::AfterMember(&member)] {
                assert_eq!(zset.count_before(cut), count(cut), "{cut:?}");
            }
        }
        let rank = random.below(expected.len() as u64 + 3) as usize;
        let from = expected.get(rank..).unwrap_or(&[]);
        assert!(zset.iter_from(rank).eq(from.iter().copied()));
        assert_eq!(zset.iter_from(rank).len(), from.len());
        let back = &expected[..expected.len().saturating_sub(rank)];
        assert!(zset.iter_back_from(rank).eq(back.iter().rev().copied()));
        assert_eq!(zset.at(rank), expected.get(rank).copied());
        let picked = zset.random(random.next());
        assert_eq!(picked.is_some(), !model.is_empty());
        assert!(picked.is_none_or(|(member, score)| model[member] == score));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn is_the_model(seed in any::<u64>(), scores in scores(), ids in 20u64..6000) {
        let mut random = Random(seed);
        let (mut zset, mut model) = (Zset::new(), Model::new());
        let mut shared: Vec<(Zset, Model)> = Vec::new();
        for number in 0..OPS {
            let grow = (number / (OPS / 4)).is_multiple_of(2);
            let score = scores.next(&mut random, number);
            step(&mut zset, &mut model, &mut random, score, grow, ids);
            if number % (OPS / 16) == 0 {
                check(&zset, &model);
                check_ranges(&zset, &model, &mut random, scores);
                if random.below(2) == 0 {
                    shared.push((zset.clone(), model.clone()));
                }
            }
        }
        check(&zset, &model);
        for (zset, model) in &shared {
            check(zset, model);
        }
        // A clone can be written to as well.
        if let Some((mut zset, mut model)) = shared.pop() {
            for number in 0..OPS / 8 {
                let score = scores.next(&mut random, number);
                step(&mut zset, &mut model, &mut random, score, false, ids);
            }
            check(&zset, &model);
        }
        while let Some(member) = zset.remove_at(&hasher(), 0, |member, _| member.to_vec()) {
            prop_assert!(model.remove(&member).is_some());
        }
        check(&zset, &model);
    }

    /// SCAN's guarantee while members are added, removed and moved between leaves.
    #[test]
    fn a_scan_misses_nothing_that_stays(seed in any::<u64>(), grow in any::<bool>()) {
        let hasher = hasher();
        let (mut random, mut zset) = (Random(seed), Zset::new());
        let stays: BTreeSet<Vec<u8>> =
            (0..1 + random.below(300)).map(|id| format!("stays:{id}").into_bytes()).collect();
        for member in &stays {
            zset.insert(&hasher, member, random.below(1000) as f64);
        }
        for _ in 0..if grow { 0 } else { 4000 } {
            zset.insert(&hasher, &member_of(random.below(3000)), random.below(1000) as f64);
        }
        let (mut cursor, mut seen, mut steps) = (0, BTreeSet::new(), 0);
        loop {
            cursor = zset.scan(&hasher, cursor, 10, |member, _| { seen.insert(member.to_vec()); });
            steps += 1;
            prop_assert!(steps < 5000, "a scan ends");
            if cursor == 0 {
                break;
            }
            for _ in 0..30 {
                let member = member_of(random.below(3000));
                if grow {
                    zset.insert(&hasher, &member, random.below(1000) as f64);
                } else {
                    zset.remove(&hasher, &member);
                }
            }
            let moving = stays.iter().nth(random.below(stays.len() as u64) as usize).unwrap();
            zset.insert(&hasher, moving, random.below(1000) as f64);
        }
        prop_assert!(stays.is_subset(&seen));
    }
}

#[test]
fn a_scan_of_an_unchanged_set_visits_each_member_once() {
    let hasher = hasher();
    let mut zset = Zset::new();
    for id in 0..20_000u64 {
        zset.insert(&hasher, format!("{id}").as_bytes(), (id % 100) as f64);
    }
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        cursor = zset.scan(&hasher, cursor, 100, |member, _| seen.push(member.to_vec()));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 20_000);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 20_000);
}

#[test]
fn zeros_of_both_signs_are_one_score() {
    let hasher = hasher();
    let mut zset = Zset::new();
    zset.insert(&hasher, b"b", -0.0);
    zset.insert(&hasher, b"a", 0.0);
    assert_eq!(zset.insert(&hasher, b"b", 0.0), Change::Nothing);
    assert!(zset.iter().map(|(member, _)| member).eq([b"a", b"b"]));
    assert!(zset.score(&hasher, b"b").unwrap().is_sign_negative());
    assert_eq!(zset.count_before(Cut::Score(0.0)), 0);
    assert_eq!(zset.count_before(Cut::AfterScore(-0.0)), 2);
}

/// The memory after most members were removed is that of a new set of the rest.
#[test]
fn memory_goes_with_the_members() {
    let hasher = hasher();
    let member = |id: u64| format!("member:{id:08}").into_bytes();
    let count = if cfg!(miri) { 2000u64 } else { 200_000 };
    for order in [|id: u64, _| id, |id: u64, n: u64| n - 1 - id, |id: u64, n: u64| id * 7919 % n] {
        let mut zset = Zset::new();
        for id in 0..count {
            zset.insert(&hasher, &member(order(id, count)), order(id, count) as f64);
        }
        let full = zset.memory() as f64 / count as f64;
        assert!(full < 48.0, "{full} bytes per member");
        for id in 0..count - count / 50 {
            zset.remove(&hasher, &member(id));
        }
        let left = zset.memory() as f64 / (count / 50) as f64;
        assert!(left < 75.0, "{left} bytes per member that is left");
        tree::tests::check(&zset.tree);
    }
}

#[test]
fn a_set_is_freed_in_slices() {
    let hasher = hasher();
    let mut zset = Zset::new();
    for id in 0..20_000u32 {
        zset.insert(&hasher, &id.to_be_bytes(), f64::from(id));
    }
    let kept = zset.clone();
    let weight = zset.weight();
    let mut slices = 1;
    while !zset.free_step(64) {
        slices += 1;
    }
    assert!(slices <= weight / 64 + 3, "{slices} slices for {weight} pieces");
    drop(zset);
    assert_eq!(kept.len(), 20_000);
    let mut zset = kept;
    let mut slices = 1;
    while !zset.free_step(64) {
        slices += 1;
    }
    assert!(slices > weight / 200, "{slices} slices for {weight} pieces");
}

/// An entry with a sorted set of one member.
fn entry(member: &[u8], score: f64, limits: Limits) -> EntryBox {
    let one = [(member, score)];
    let value = build(one.iter().copied(), limits, &hasher()).unwrap();
    EntryBox::new(b"key", Value::Heap(value), None, 0)
}

fn check_entry(entry: &EntryBox, model: &Model, limits: Limits, was_large: bool) -> bool {
    let set = ZsetRef::of(entry.as_ref().value()).unwrap();
    let text = |(member, score): (listpack::Element<'_>, f64)| {
        (member.text(&mut IntBuf::new()).to_vec(), score)
    };
    let expected: Vec<_> =
        sorted(model).into_iter().map(|(member, score)| (member.to_vec(), score)).collect();
    assert_eq!(set.iter().map(text).collect::<Vec<_>>(), expected);
    assert_eq!(set.len(), expected.len());
    let len = expected.len();
    for (from, count) in [(0, len), (1, 3), (len / 2, len), (len, 1), (len + 5, 2), (2, 0)] {
        let range = expected.iter().skip(from).take(count).cloned();
        assert!(set.range(from, count).map(text).eq(range));
        let back = expected.iter().rev().skip(from).take(count).cloned();
        assert!(set.range_back(from, count).map(text).eq(back));
    }
    for (rank, (member, score)) in expected.iter().enumerate() {
        assert_eq!(set.rank(&hasher(), member), Some((rank, *score)));
        assert_eq!(set.score(&hasher(), member), Some(*score));
        assert_eq!(set.count_before(Cut::Key(*score, member)), rank);
    }
    let mut seen = BTreeSet::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(&hasher(), cursor, 10, |member, _| assert!(seen.insert(member.to_vec())));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), len);
    let large = matches!(set, ZsetRef::Large(_));
    assert_eq!(entry.as_ref().encoding().name(), if large { "skiplist" } else { "listpack" });
    if let ZsetRef::Small(lp) = set {
        assert!(listpack::validate(lp, listpack::Depth::Elements));
        let longest = model.keys().map(Vec::len).max().unwrap_or(0);
        assert!(!was_large && limits.allow(len, longest));
    }
    large
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_entry_is_the_model_in_both_forms(
        seed in any::<u64>(),
        scores in scores(),
        ids in 4u64..400,
        entries in 1usize..300,
    ) {
        let (mut random, limits) = (Random(seed), Limits { entries, value: 64 });
        let member = |random: &mut Random| match random.below(ids) {
            id if id % 3 == 0 => id.to_string().into_bytes(),
            50 => vec![b'l'; 65],
            id => member_of(id | 8),
        };
        let mut model = Model::from([(b"0".to_vec(), 0.5)]);
        let mut entry = entry(b"0", 0.5, limits);
        let hasher = hasher();
        let mut large = false;
        for number in 0..600 {
            let mut set = ZsetEdit::new(&mut entry, limits, &hasher);
            let (member, score) = (member(&mut random), scores.next(&mut random, number));
            match random.below(8) {
                0..4 => {
                    let old = model.get(&member).copied();
                    let keep = random.below(5) == 0;
                    let decide = |found| {
                        assert_eq!(found, old);
                        (!keep).then_some(score)
                    };
                    let expected = match old {
                        _ if keep => Change::Nothing,
                        None => Change::Added,
                        Some(old) if old == score => Change::Nothing,
                        Some(_) => Change::Updated,
                    };
                    prop_assert_eq!(set.update(&member, decide), expected);
                    if expected != Change::Nothing {
                        model.insert(member, score);
                    }
                }
                4..7 => prop_assert_eq!(set.remove(&member), model.remove(&member).is_some()),
                _ if model.is_empty() => {}
                _ => {
                    let rank = random.below(model.len() as u64) as usize;
                    let count = (random.below(4) as usize).min(model.len() - rank);
                    let gone: Vec<Vec<u8>> =
                        sorted(&model)[rank..rank + count].iter().map(|m| m.0.to_vec()).collect();
                    set.remove_range(rank, count);
                    for member in &gone {
                        model.remove(member);
                    }
                }
            }
            if number % 20 == 0 {
                large = check_entry(&entry, &model, limits, large);
            }
        }
        let limits = Limits { entries: model.len(), value: 1000 };
        if let Some(value) = build(sorted(&model).into_iter(), limits, &hasher) {
            entry.replace_value(Value::Heap(value));
            check_entry(&entry, &model, limits, false);
        }
    }
}

/// Scores in a listpack, as DUMP of Valkey 9.1.2 shows them.
#[test]
fn scores_are_written_as_on_the_servers() {
    let limits = Limits { entries: 128, value: 64 };
    for (score, element) in [
        (0.0, listpack::Element::Int(0)),
        (-0.0, listpack::Element::Int(0)),
        (1.0, listpack::Element::Int(1)),
        (-17.0, listpack::Element::Int(-17)),
        (1.5, listpack::Element::Str(b"1.5")),
        (1e17, listpack::Element::Int(100_000_000_000_000_000)),
        (4_611_686_018_427_387_904.0, listpack::Element::Int(4_611_686_018_427_387_904)),
        (4_611_686_018_427_388_928.0, listpack::Element::Int(4_611_686_018_427_389_000)),
        (1e19, listpack::Element::Str(b"1e+19")),
        (f64::INFINITY, listpack::Element::Str(b"inf")),
        (f64::NEG_INFINITY, listpack::Element::Str(b"-inf")),
        (0.1 + 0.2, listpack::Element::Str(b"0.30000000000000004")),
    ] {
        let entry = entry(b"m", score, limits);
        let Some(ZsetRef::Small(lp)) = ZsetRef::of(entry.as_ref().value()) else {
            panic!("a small set is compact")
        };
        assert_eq!(listpack::get(lp, 1), Some(element), "{score}");
        assert_eq!(ZsetRef::Small(lp).score(&hasher(), b"m"), Some(score));
    }
}

#[test]
fn an_announced_size_or_a_long_member_makes_a_set_large() {
    let (limits, hasher) = (Limits { entries: 2, value: 8 }, hasher());
    let is_large = |entry: &EntryBox| entry.as_ref().encoding() == Encoding::Skiplist;
    let mut announced = entry(b"a", 1.0, limits);
    ZsetEdit::new(&mut announced, limits, &hasher).reserve(2, 8);
    assert!(!is_large(&announced));
    ZsetEdit::new(&mut announced, limits, &hasher).reserve(3, 8);
    assert!(is_large(&announced));
    let mut announced = entry(b"a", 1.0, limits);
    ZsetEdit::new(&mut announced, limits, &hasher).reserve(1, 9);
    assert!(is_large(&announced));
    let mut long = entry(b"12345678", 1.0, limits);
    assert!(!is_large(&long));
    ZsetEdit::new(&mut long, limits, &hasher).update(b"123456789", |_| Some(1.0));
    assert!(is_large(&long));
    assert!(is_large(&entry(b"123456789", 1.0, limits)));
}
