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

/// Values and expiries.
type Model = HashMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn contents(hash: &Hash) -> Model {
    hash.iter().map(|(field, value, at)| (field.to_vec(), (value.to_vec(), at))).collect()
}

/// Lengths on both sides of the limit of elements in pages.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let len =
        prop_oneof![8 => 0usize..12, 2 => 100usize..140, 1 => 240usize..270, 1 => 300usize..900];
    (len, 0u8..6).prop_map(|(len, byte)| vec![byte; len])
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0i64..200, 1 => Just(i64::MAX)]
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, Vec<u8>, Lifetime),
    SetExpiry(Vec<u8>, Option<i64>),
    Remove(Vec<u8>),
    PopExpired(i64),
    Share,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let lifetime = prop_oneof![
        4 => Just(Lifetime::Endless),
        2 => Just(Lifetime::Keep),
        2 => time().prop_map(Lifetime::Until),
    ];
    let op = prop_oneof![
        8 => (text(), text(), lifetime).prop_map(|(name, value, life)| Op::Set(name, value, life)),
        2 => (text(), prop::option::of(time())).prop_map(|(field, at)| Op::SetExpiry(field, at)),
        4 => text().prop_map(Op::Remove),
        2 => time().prop_map(Op::PopExpired),
        1 => Just(Op::Share),
    ];
    prop::collection::vec(op, 1..OPS)
}

/// Applies an operation to both; they must agree about its outcome.
fn apply(hash: &mut Hash, model: &mut Model, op: Op) {
    match op {
        Op::Set(field, value, lifetime) => {
            let new = hash.set(&field, &value, lifetime, &hasher());
            let old = model.get(&field).and_then(|(_, at)| *at);
            let at = lifetime.after(old);
            assert_eq!(hash.get(&field, &hasher()), Some((&value[..], at)));
            assert_eq!(new, model.insert(field, (value, at)).is_none());
        }
        Op::SetExpiry(field, at) => {
            let there = model.get_mut(&field).map(|entry| entry.1 = at).is_some();
            assert_eq!(hash.set_expiry(&field, at, &hasher()), there);
        }
        Op::Remove(field) => {
            let there = model.remove(&field).is_some();
            assert_eq!(hash.remove(&field, &hasher()), there);
            assert_eq!(hash.get(&field, &hasher()), None);
        }
        Op::PopExpired(now) => {
            let first = model.values().filter_map(|(_, at)| *at).min();
            let popped = hash.pop_expired(now, &hasher());
            assert_eq!(popped.is_some(), first.is_some_and(|at| at <= now));
            if let Some(field) = popped {
                assert_eq!(model.remove(&field).unwrap().1, first);
            }
        }
        Op::Share => {}
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_hash_is_a_map_and_its_clones_stay(ops in ops()) {
        let start = live();
        let (mut hash, mut model) = (Hash::new(), Model::new());
        let mut shares = Vec::new();
        for op in ops {
            if matches!(op, Op::Share) {
                shares.push((hash.clone(), model.clone()));
            }
            apply(&mut hash, &mut model, op);
            prop_assert_eq!(hash.len(), model.len());
            let expiries = || model.values().filter_map(|(_, at)| *at);
            prop_assert_eq!(hash.first_expiry(), expiries().min());
            prop_assert_eq!(hash.expiring(), expiries().count());
            prop_assert_eq!(hash.expired_by(100), expiries().filter(|at| *at <= 100).count());
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
        let model: Model = model.into_iter().map(|(field, value)| (field, (value, None))).collect();
        prop_assert_eq!(contents(&Hash::from_listpack(&lp, &hasher())), model);
    }
}

#[test]
fn scans_and_draws_show_fields_with_their_values() {
    let (mut hash, mut model) = (Hash::new(), Model::new());
    for id in 0..1000u32 {
        let (field, value) = (id.to_le_bytes().to_vec(), vec![id as u8; id as usize % 300]);
        hash.set(&field, &value, Lifetime::Endless, &hasher());
        model.insert(field, (value, None));
    }
    let (mut cursor, mut seen) = (0, Model::new());
    loop {
        cursor = hash.scan(cursor, 10, |parts| {
            seen.insert(parts.field.to_vec(), (parts.value.to_vec(), None));
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, model);
    for word in 0..1000 {
        let parts = hash.random(word).unwrap();
        assert_eq!(model[parts.field].0, parts.value);
    }
}

/// 16-byte fields with values of 11 bytes: the memory of a large hash.
#[test]
fn memory_follows_the_fields() {
    let mut hash = Hash::new();
    let count: u32 = if cfg!(miri) { 300 } else { 50_000 };
    for id in 0..count {
        hash.set(
            format!("field:{id:010}").as_bytes(),
            b"value:00000",
            Lifetime::Endless,
            &hasher(),
        );
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
    hash.set(b"field", &[b'x'; 900], Lifetime::Endless, &hasher());
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

    /// Fields that expire at this time or before are hidden.
    const HORIZON_MS: i64 = 100;

    type Texts = HashMap<Vec<u8>, Vec<u8>>;

    fn contents_of(hash: HashRef<'_>) -> Texts {
        let mut texts = Texts::new();
        hash.for_each(|(field, value)| {
            let twice = texts.insert(text_of(field), text_of(value));
            assert!(twice.is_none());
        });
        texts
    }

    fn is_visible(at: Option<i64>) -> bool {
        at.is_none_or(|at| at > HORIZON_MS)
    }

    fn visible(model: &Model) -> Texts {
        let seen = model.iter().filter(|(_, (_, at))| is_visible(*at));
        seen.map(|(field, (value, _))| (field.clone(), value.clone())).collect()
    }

    fn before(model: &Model, field: &[u8]) -> Before {
        match model.get(field) {
            None => Before::Missing,
            Some((_, at)) if is_visible(*at) => Before::Present,
            Some(_) => Before::Expired,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(Vec<u8>, Vec<u8>, Lifetime),
        SetExpiry(Vec<u8>, Option<i64>),
        Remove(Vec<u8>),
        PopHidden,
    }

    /// Steps of which some, or none, deal with expiries: a hash that ever had one stays large.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let time = prop_oneof![Just(50i64), Just(100), Just(101), Just(150)];
        let plain = || {
            prop_oneof![
                6 => (short(), short()).prop_map(|(f, v)| Step::Set(f, v, Lifetime::Endless)),
                3 => short().prop_map(Step::Remove),
                1 => Just(Step::PopHidden),
            ]
        };
        let life = prop_oneof![Just(Lifetime::Keep), time.clone().prop_map(Lifetime::Until)];
        let expiring = prop_oneof![
            4 => plain(),
            3 => (short(), short(), life).prop_map(|(f, v, life)| Step::Set(f, v, life)),
            2 => (short(), prop::option::of(time)).prop_map(|(f, at)| Step::SetExpiry(f, at)),
        ];
        prop_oneof![prop::collection::vec(plain(), 1..40), prop::collection::vec(expiring, 1..40),]
    }

    /// Applies a step to both, which must agree; returns whether it makes the hash large.
    fn take(edit: &mut HashEdit<'_>, model: &mut Model, step: Step) -> bool {
        match step {
            Step::Set(field, value, lifetime) => {
                let was = before(model, &field);
                assert_eq!(edit.set(&field, &value, lifetime), was);
                let old = model.get(&field).and_then(|(_, at)| at.filter(|at| *at > HORIZON_MS));
                let at = lifetime.after(old);
                let is_long = field.len().max(value.len()) > LIMITS.value;
                model.insert(field, (value, at));
                is_long || at.is_some() || model.len() > LIMITS.entries
            }
            Step::SetExpiry(field, at) => {
                let there = before(model, &field) == Before::Present;
                assert_eq!(edit.set_expiry(&field, at), there);
                if there && let Some(entry) = model.get_mut(&field) {
                    entry.1 = at;
                }
                there && at.is_some()
            }
            Step::Remove(field) => {
                let there = before(model, &field) == Before::Present;
                assert_eq!(edit.remove(&field), there);
                if there {
                    model.remove(&field);
                }
                false
            }
            Step::PopHidden => {
                let popped = edit.pop_hidden();
                let first = model.values().filter_map(|(_, at)| *at).min();
                assert_eq!(popped.is_some(), !is_visible(first));
                if let Some(field) = popped {
                    assert_eq!(model.remove(&field).unwrap().1, first);
                }
                false
            }
        }
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
        fn an_entry_is_a_map(steps in steps(), word in any::<u64>()) {
            let mut entry = EntryBox::new(b"key", EMPTY, None, 0);
            let (mut model, mut large) = (Model::new(), false);
            let hasher = hasher();
            for step in steps {
                let mut edit = HashEdit::new(&mut entry, LIMITS, &hasher, HORIZON_MS);
                large |= take(&mut edit, &mut model, step);
                let (hash, seen) = (edit.as_ref(), visible(&model));
                prop_assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(hash.visible_len(), seen.len());
                prop_assert_eq!(hash.hides_fields(), seen.len() != model.len());
                prop_assert_eq!(contents_of(hash), seen.clone());
                for (field, (value, at)) in &model {
                    let got = hash.get_expiring(field, &hasher);
                    let expected = is_visible(*at).then(|| (value.clone(), *at));
                    prop_assert_eq!(got.map(|(value, at)| (text_of(value), at)), expected);
                }
                let random = hash.random(word);
                prop_assert_eq!(random.is_some(), !seen.is_empty());
                if let Some((field, value)) = random {
                    prop_assert_eq!(&seen[&text_of(field)], &text_of(value));
                }
                let mut scanned = Texts::new();
                let mut cursor = 0;
                loop {
                    cursor = hash.scan(cursor, 3, |(field, value)| {
                        scanned.insert(text_of(field), text_of(value));
                    });
                    if cursor == 0 {
                        break;
                    }
                }
                prop_assert_eq!(&scanned, &seen);
                let expected = if large { Encoding::Hashtable } else { Encoding::Listpack };
                prop_assert_eq!(entry.as_ref().encoding(), expected);
                prop_assert_eq!(entry.as_ref().kind(), Kind::Hash);
                let expiring = model.values().any(|(_, at)| at.is_some());
                prop_assert_eq!(entry.as_ref().has_expiring_fields(), expiring);
            }
        }
    }

    #[test]
    fn many_fields_at_once_make_a_hash_large() {
        let hasher = hasher();
        let mut entry = EntryBox::new(b"key", EMPTY, None, 0);
        let mut edit = HashEdit::new(&mut entry, LIMITS, &hasher, i64::MIN);
        edit.expect(LIMITS.entries);
        assert!(matches!(edit.as_ref(), HashRef::Packed(_)));
        edit.expect(LIMITS.entries + 1);
        assert!(matches!(edit.as_ref(), HashRef::Large(..)));
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
            let model: HashMap<_, _> = pairs.iter().cloned().collect();
            let is_hash = model.len() == pairs.len() && !pairs.is_empty();
            let announced = announced.max(pairs.len() as u64);
            let value = built(&pairs, announced);
            prop_assert_eq!(value.is_some(), is_hash);
            if let Some(value) = value {
                let is_long = pairs.iter().any(|(_, value)| value.len() > LIMITS.value);
                let is_large = is_long || announced > LIMITS.entries as u64;
                prop_assert_eq!(matches!(value, HeapValue::Hash(_)), is_large);
                let mut read = HashMap::new();
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
