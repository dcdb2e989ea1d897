//! Sets against `BTreeSet` models, through all forms, and the forms against those of real servers.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::entry::EntryBox;
use crate::splice::Splice;

const OPS: usize = if cfg!(miri) { 60 } else { 1500 };
const CASES: u32 = if cfg!(miri) { 2 } else { 48 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

fn hasher() -> KeyHasher {
    KeyHasher::new(*b"0123456789abcdef")
}

/// A reproducible sequence of random numbers.
fn words(seed: u64) -> impl FnMut() -> u64 {
    let mut word = seed;
    move || {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 27
    }
}

fn members(set: SetRef<'_>) -> BTreeSet<Vec<u8>> {
    let mut members = BTreeSet::new();
    set.for_each(|member| {
        assert!(members.insert(text(member)), "a member twice");
    });
    members
}

fn text(member: Element<'_>) -> Vec<u8> {
    member.text(&mut IntBuf::new()).to_vec()
}

/// The limits hold for a set that was only changed under them.
fn check(set: SetRef<'_>, limits: Limits) {
    match set {
        SetRef::Intset(set) => {
            assert!(set.iter().is_sorted());
            assert!(set.len() <= limits.ints);
        }
        SetRef::Listpack(bytes) => {
            assert!(listpack::validate(bytes, listpack::Depth::Elements));
            assert!(set.len() <= limits.entries);
        }
        SetRef::Table(_) => {}
    }
}

/// A new set as SADD makes it.
fn made_of(members: &[&str], limits: Limits) -> SetBuf {
    let first = Element::of(members[0].as_bytes());
    let mut set = SetBuf::new(Form::of_new(first, members.len(), limits));
    add_all(&mut set, members, limits);
    set
}

/// SADD to an existing set.
fn add_all(set: &mut SetBuf, members: &[&str], limits: Limits) {
    let hasher = hasher();
    let mut edit = Edit::new(set, limits, &hasher);
    edit.announce(members.len());
    for member in members {
        edit.add(Element::of(member.as_bytes()));
    }
}

// OBJECT ENCODING of Valkey 9.1.2 and Redis 8.2.3 after the same SADDs under the same limits.
#[test]
fn forms_are_those_of_the_real_servers() {
    let check = |ints, entries, value, steps: &[&str], expect: Form| {
        let limits = Limits { ints, entries, value };
        let mut steps = steps.iter().map(|step| step.split(' ').collect::<Vec<_>>());
        let mut set = made_of(&steps.next().unwrap(), limits);
        let rest: Vec<_> = steps.collect();
        rest.iter().for_each(|step| add_all(&mut set, step, limits));
        assert_eq!(set.view().form(), expect, "{limits:?} {rest:?}");
    };
    use Form::{Intset, Listpack, Table};
    check(3, 2, 64, &["1 2 3"], Intset);
    check(3, 2, 64, &["1 2 3", "4"], Table);
    check(3, 2, 64, &["1 1 1 1"], Table);
    check(3, 2, 64, &["1", "1 1 1"], Intset);
    check(3, 2, 64, &["1", "1 1 1 1"], Table);
    check(3, 2, 64, &["1 x"], Listpack);
    check(3, 2, 64, &["1 x x x x"], Table);
    check(3, 2, 64, &["1", "x x x"], Listpack);
    check(3, 2, 64, &["x x x"], Table);
    check(3, 2, 64, &["x x", "y"], Listpack);
    check(3, 2, 64, &["x x", "y", "z"], Table);
    check(3, 2, 64, &["x", "x x x"], Table);
    check(3, 2, 64, &["1 2", "x"], Table);
    check(2, 128, 64, &["1 2 3"], Listpack);
    check(2, 128, 64, &["1", "2", "3"], Table);
    check(0, 128, 64, &["1"], Listpack);
    check(512, 0, 64, &["1", "x"], Table);
    check(512, 0, 64, &["x"], Table);
    check(512, 128, 2, &["123", "x"], Table);
    check(512, 128, 2, &["x", "123"], Table);
    check(512, 128, 2, &["12", "xx"], Listpack);
    check(512, 128, 2, &["-1 12", "x"], Listpack);
    check(512, 128, 2, &["-12 1", "x"], Table);
    check(512, 128, 2, &["xxx"], Table);
}

#[test]
fn an_integer_is_found_whatever_form_it_lies_in() {
    let hasher = hasher();
    for form in [Form::Intset, Form::Listpack, Form::Table] {
        let mut set = SetBuf::new(form);
        let mut edit = Edit::new(&mut set, Limits::default(), &hasher);
        assert!(edit.add(Element::of(b"12")));
        assert!(!edit.add(Element::Int(12)));
        edit.view().for_each(|member| assert_eq!(member, Element::Int(12)));
        edit.view().for_each_text(&mut |text| assert_eq!(text, b"12"));
        assert_eq!(edit.view().random(1), Some(Element::Int(12)));
        edit.view().sample(1, &mut words(1), &mut |member| assert_eq!(member, Element::Int(12)));
        assert!(edit.view().contains(Element::of(b"12"), &hasher));
        assert!(!edit.view().contains(Element::of(b"012"), &hasher));
        assert!(!edit.view().contains(Element::of(b"13"), &hasher));
        assert!(!edit.remove(Element::of(b"+12")));
        assert!(edit.remove(Element::Int(12)));
        assert!(set.view().is_empty());
        assert_eq!(set.view().form(), form);
        assert!(set.view().random(1).is_none());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add(Vec<u8>),
    Announce(usize),
    Remove(Vec<u8>),
    Take { count: usize, seed: u64 },
    Share,
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-30i64..600).prop_map(|int| int.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        2 => (0u32..300).prop_map(|id| format!("m{id}").into_bytes()),
        1 => (0usize..400).prop_map(|len| vec![b'x'; len]),
    ]
}

/// Mostly integers for a while, so that histories pass through all forms.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let int = (-30i64..200).prop_map(|int| Op::Add(int.to_string().into_bytes()));
    let early = prop::collection::vec(int, 0..150);
    let op = prop_oneof![
        60 => member().prop_map(Op::Add),
        50 => member().prop_map(Op::Remove),
        1 => (0usize..300).prop_map(Op::Announce),
        2 => (0usize..400, any::<u64>()).prop_map(|(count, seed)| Op::Take { count, seed }),
        1 => Just(Op::Share),
    ];
    (early, prop::collection::vec(op, 0..OPS)).prop_map(|(early, late)| [early, late].concat())
}

fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![
        Just(Limits::default()),
        (0usize..40, 0usize..40, 1usize..20).prop_map(|(ints, entries, value)| Limits {
            ints,
            entries,
            value
        }),
    ]
}

/// A history beside a model of it.
fn run<H: Home>(mut set: H, ops: &[Op], limits: Limits, share: impl Fn(&H) -> H) {
    let hasher = hasher();
    let mut model: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut snapshots = Vec::new();
    for op in ops {
        let mut edit = Edit::new(&mut set, limits, &hasher);
        match op {
            Op::Add(member) => {
                assert_eq!(edit.add(Element::of(member)), model.insert(member.clone()));
                assert!(edit.view().contains(Element::of(member), &hasher));
            }
            Op::Announce(count) => edit.announce(*count),
            Op::Remove(member) => {
                assert_eq!(edit.remove(Element::of(member)), model.remove(member));
                assert!(!edit.view().contains(Element::of(member), &hasher));
            }
            Op::Take { count, seed } => {
                let mut taken = BTreeSet::new();
                edit.take(*count, &mut words(*seed), &mut |member| {
                    assert!(taken.insert(text(member)));
                });
                assert_eq!(taken.len(), (*count).min(model.len()));
                assert!(taken.is_subset(&model));
                model = &model - &taken;
            }
            Op::Share => snapshots.push((share(&set), model.clone())),
        }
        check(set.view(), limits);
        assert_eq!(set.view().len(), model.len());
    }
    assert_eq!(members(set.view()), model);
    for (set, model) in &snapshots {
        assert_eq!(&members(set.view()), model);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn it_is_a_set_in_every_form(ops in ops(), limits in limits()) {
        run(SetBuf::new(Form::Intset), &ops, limits, SetBuf::clone);
    }

    #[test]
    fn it_is_a_set_inside_an_entry(ops in ops(), limits in limits()) {
        let empty = SetBuf::new(Form::Intset).into();
        let entry = EntryBox::new(b"key", empty, None, 0);
        run(entry, &ops, limits, |entry| {
            EntryBox::new(b"copy", entry.as_ref().to_value(), Some(1), 0)
        });
    }

    #[test]
    fn a_sample_has_different_members(len in 0usize..900, count in 0usize..1000, seed: u64) {
        let hasher = hasher();
        for form in [Form::Intset, Form::Listpack, Form::Table] {
            let mut set = SetBuf::new(form);
            let limits = Limits { ints: 1000, entries: 1000, value: 64 };
            let mut edit = Edit::new(&mut set, limits, &hasher);
            (0..len).for_each(|int| assert!(edit.add(Element::Int(int as i64))));
            let mut seen = BTreeSet::new();
            set.view().sample(count, &mut words(seed), &mut |member| {
                assert!(seen.insert(text(member)));
            });
            prop_assert_eq!(seen.len(), count.min(len));
            prop_assert!(seen.is_subset(&members(set.view())));
        }
    }
}

#[test]
fn samples_are_fair() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
    let hasher = hasher();
    let mut random = words(1);
    for (form, len, count) in [
        (Form::Intset, 10, 3),
        (Form::Listpack, 10, 3),
        (Form::Table, 10, 5),
        (Form::Table, 400, 30),
        (Form::Table, 10, 1),
    ] {
        let mut set = SetBuf::new(form);
        let mut edit = Edit::new(&mut set, Limits::default(), &hasher);
        (0..len).for_each(|int| assert!(edit.add(Element::Int(int))));
        let mut times: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let mut note = |member: Element<'_>| *times.entry(text(member)).or_default() += 1;
        for _ in 0..ROUNDS {
            if count == 1 {
                note(set.view().random(random()).unwrap());
            } else {
                set.view().sample(count, &mut random, &mut note);
            }
        }
        if cfg!(miri) {
            continue;
        }
        let expect = (ROUNDS * count) as f64 / len as f64;
        assert_eq!(times.len(), len as usize);
        for (member, times) in times {
            let off = (times as f64 - expect).abs() / expect;
            assert!(off < 0.15, "{form:?}: {times} of {expect}: {member:?}");
        }
    }
}

// OBJECT ENCODING of Valkey 9.1.2 and Redis 8.2.3 after SPOP with a count.
#[test]
fn taking_most_of_a_table_makes_the_rest_small() {
    let hasher = hasher();
    let check = |len: usize, count: usize, expect: Form| {
        let mut set = SetBuf::new(Form::Table);
        let mut edit = Edit::new(&mut set, Limits::default(), &hasher);
        (0..len).for_each(|int| assert!(edit.add(Element::Int(int as i64))));
        edit.take(count, &mut words(7), &mut |_| {});
        assert_eq!(set.view().len(), len - count);
        assert_eq!(set.view().form(), expect, "{count} of {len}");
    };
    check(100, 1, Form::Table);
    check(100, 75, Form::Table);
    check(100, 90, Form::Listpack);
    check(600, 490, Form::Table);
    check(600, 560, Form::Listpack);
    check(7000, 6872, Form::Listpack);
    check(7000, 6871, Form::Table);
}

#[test]
fn integers_alone_become_an_intset() {
    let hasher = hasher();
    let check = |form, ints, members: &[&str], expect| {
        let limits = Limits { ints, ..Limits::default() };
        let mut set = SetBuf::new(form);
        let mut edit = Edit::new(&mut set, limits, &hasher);
        members.iter().for_each(|member| assert!(edit.add(Element::of(member.as_bytes()))));
        let before = members_of(&edit);
        edit.become_intset();
        assert_eq!(members_of(&edit), before);
        assert_eq!(set.view().form(), expect, "{members:?}");
    };
    fn members_of(edit: &Edit<'_, SetBuf>) -> BTreeSet<Vec<u8>> {
        members(edit.view())
    }
    check(Form::Listpack, 3, &["9", "-1", "70000"], Form::Intset);
    check(Form::Table, 3, &["9", "-1", "70000"], Form::Intset);
    check(Form::Listpack, 2, &["9", "-1", "70000"], Form::Listpack);
    check(Form::Table, 2, &["9", "-1", "70000"], Form::Table);
    check(Form::Listpack, 3, &["9", "x"], Form::Listpack);
    check(Form::Table, 3, &["x", "9"], Form::Table);
}

#[test]
fn bytes_of_a_small_set_are_those_that_were_put() {
    let hasher = hasher();
    let mut set = SetBuf::new(Form::Intset);
    let mut edit = Edit::new(&mut set, Limits::default(), &hasher);
    for member in ["7", "5", "6", "s", "4"] {
        assert!(edit.add(Element::of(member.as_bytes())));
    }
    let mut expect = listpack::EMPTY.to_vec();
    for member in ["5", "6", "7", "s", "4"] {
        listpack::append(&mut expect, Element::of(member.as_bytes()));
    }
    assert_eq!(set.packed().bytes(), expect);
}
