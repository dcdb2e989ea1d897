//! Entries against a plain struct, through random changes.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::packed::PACKED_BACK;
use super::*;
use crate::splice::Splice;

const CASES: u32 = if cfg!(miri) { 8 } else { 150 };

/// What an entry should hold.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    key: Vec<u8>,
    value: ModelValue,
    expire_at_ms: Option<i64>,
    lru: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum ModelValue {
    Int(i64),
    Bytes(Vec<u8>),
    Heap(Vec<u8>),
}

impl ModelValue {
    fn to_value(&self) -> Value<'_> {
        match self {
            ModelValue::Int(value) => Value::Int(*value),
            ModelValue::Bytes(bytes) => Value::Str(bytes),
            ModelValue::Heap(bytes) => Value::Heap(HeapValue::Str(Arc::new(bytes.clone()))),
        }
    }

    fn text(&self) -> Vec<u8> {
        match self {
            ModelValue::Int(value) => value.to_string().into_bytes(),
            ModelValue::Bytes(bytes) | ModelValue::Heap(bytes) => bytes.clone(),
        }
    }

    fn is_heap(&self) -> bool {
        match self {
            ModelValue::Int(_) => false,
            ModelValue::Bytes(bytes) => bytes.len() > INLINE_MAX,
            ModelValue::Heap(_) => true,
        }
    }

    fn encoding(&self) -> Encoding {
        match self {
            ModelValue::Int(_) => Encoding::Int,
            ModelValue::Bytes(bytes) if bytes.len() <= 44 => Encoding::Embstr,
            _ => Encoding::Raw,
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Expire(Option<i64>),
    Replace(ModelValue),
    Lru(u32),
    Flip(usize),
    Append(u8),
    Reencode,
    ThereAndBack,
}

/// Lengths around the limits of widths and forms.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0usize..90,
        2 => 250usize..262,
        1 => INLINE_MAX - 4..INLINE_MAX + 5,
        1 => 65_530usize..65_545,
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (length(), any::<u8>()).prop_map(|(len, seed)| {
        (0..len).map(|index| seed.wrapping_add((index % 251) as u8)).collect()
    })
}

fn value() -> impl Strategy<Value = ModelValue> {
    prop_oneof![
        any::<i64>().prop_map(ModelValue::Int),
        bytes().prop_map(ModelValue::Bytes),
        bytes().prop_map(ModelValue::Heap),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    (bytes(), value(), any::<Option<i64>>(), 0u32..1 << 24)
        .prop_map(|(key, value, expire_at_ms, lru)| Model { key, value, expire_at_ms, lru })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<Option<i64>>().prop_map(Change::Expire),
        value().prop_map(Change::Replace),
        any::<u32>().prop_map(Change::Lru),
        any::<usize>().prop_map(Change::Flip),
        any::<u8>().prop_map(Change::Append),
        Just(Change::Reencode),
        Just(Change::ThereAndBack),
    ]
}

fn build(model: &Model) -> EntryBox {
    let Model { key, value, expire_at_ms, lru } = model;
    EntryBox::new(key, value.to_value(), *expire_at_ms, *lru)
}

fn check(entry: &EntryBox, model: &Model, encoding: Encoding) {
    let entry = entry.as_ref();
    assert_eq!(entry.key(), model.key);
    assert_eq!(entry.kind(), Kind::String);
    assert_eq!(entry.encoding(), encoding);
    assert_eq!(entry.expire_at_ms(), model.expire_at_ms);
    assert_eq!(entry.has_expiry(), model.expire_at_ms.is_some());
    assert_eq!(entry.lru(), model.lru);
    assert_eq!(entry.value().string_bytes(&mut IntBuf::new()), model.value.text());
    assert_eq!(entry.value().string_len(), model.value.text().len());
    assert_eq!(entry.heap().is_some(), model.value.is_heap());
    assert_eq!(matches!(entry.value(), ValueRef::Int(_)), encoding == Encoding::Int);
}

fn apply(entry: EntryBox, model: &mut Model, encoding: &mut Encoding, change: Change) -> EntryBox {
    let mut entry = entry;
    match change {
        Change::Expire(at_ms) => {
            entry.set_expire_at_ms(at_ms);
            model.expire_at_ms = at_ms;
        }
        Change::Replace(value) => {
            *encoding = value.encoding();
            drop(entry.replace_value(value.to_value()));
            model.value = value;
        }
        Change::Lru(lru) => {
            entry.set_lru(lru);
            model.lru = lru & 0x00ff_ffff;
        }
        Change::Flip(at) => {
            let inline = entry.inline_bytes_mut();
            let expected = match &mut model.value {
                ModelValue::Bytes(bytes) if bytes.len() <= INLINE_MAX => Some(bytes),
                _ => None,
            };
            assert_eq!(inline.is_some(), expected.is_some());
            if let (Some(inline), Some(expected)) = (inline, expected)
                && !expected.is_empty()
            {
                let at = at % expected.len();
                inline[at] ^= 0x55;
                expected[at] ^= 0x55;
            }
        }
        Change::Append(byte) => {
            let heap = entry.heap_mut();
            assert_eq!(heap.is_some(), model.value.is_heap());
            if let Some(HeapValue::Str(bytes)) = heap {
                Arc::make_mut(bytes).push(byte);
                let (ModelValue::Heap(expected) | ModelValue::Bytes(expected)) = &mut model.value
                else {
                    unreachable!("an integer is not on the heap");
                };
                expected.push(byte);
            }
        }
        Change::Reencode if *encoding != Encoding::Int => {
            *encoding = Encoding::Raw;
            entry.set_encoding(Encoding::Raw);
        }
        Change::Reencode => {}
        Change::ThereAndBack => {
            let raw = entry.into_raw();
            // SAFETY: the pointer was just given up.
            entry = unsafe { EntryBox::from_raw(raw) };
        }
    }
    entry
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    })]

    #[test]
    fn changes_agree_with_the_model(
        start in model(),
        changes in prop::collection::vec(change(), 0..24),
    ) {
        let mut model = start;
        let mut encoding = model.value.encoding();
        let mut entry = build(&model);
        check(&entry, &model, encoding);
        for change in changes {
            entry = apply(entry, &mut model, &mut encoding, change);
            check(&entry, &model, encoding);
        }
    }
}

/// The sizes behind the documented memory figures.
#[test]
fn takes_the_blocks_it_is_designed_for() {
    let block = |key: usize, value: Value<'_>, expire_at_ms| {
        EntryBox::new(&vec![b'k'; key], value, expire_at_ms, 0).as_ref().memory_usage()
    };
    assert_eq!(block(16, Value::Str(&[0; 8]), None), 32);
    assert_eq!(block(16, Value::Int(7), None), 32);
    assert_eq!(block(16, Value::Str(&[0; 64]), None), 96);
    assert_eq!(block(16, Value::Str(&[0; 64]), Some(1)), 96);
    assert_eq!(block(0, Value::Str(&[]), None), 16);
    let heap = block(16, Value::Str(&[0; 1000]), None);
    assert!((1000..1140).contains(&heap), "{heap}");
}

#[test]
fn stays_in_place_where_the_size_allows() {
    let key = b"0123456789abcdef";
    let value = [1u8; 64];
    let mut entry = EntryBox::new(key, Value::Str(&value), None, 0);
    let address = |entry: &EntryBox| std::ptr::from_ref(&entry.as_ref().key()[0]) as usize & !15;
    let before = address(&entry);
    entry.set_expire_at_ms(Some(5));
    drop(entry.replace_value(Value::Str(&value[..60])));
    entry.set_expire_at_ms(None);
    assert_eq!(address(&entry), before);
}

#[test]
fn a_shared_value_is_copied_before_it_changes() {
    let shared = Arc::new(vec![1; 1000]);
    let value = Value::Heap(HeapValue::Str(Arc::clone(&shared)));
    let mut entry = EntryBox::new(b"k", value, None, 0);
    let Some(HeapValue::Str(bytes)) = entry.heap_mut() else { panic!("it is on the heap") };
    Arc::make_mut(bytes).push(2);
    assert_eq!(shared.len(), 1000);
    assert_eq!(entry.as_ref().value().string_len(), 1001);
    drop(entry);
    assert_eq!(Arc::strong_count(&shared), 1);
}

/// Every compact form, with its encoding in an entry.
const COMPACT: [Compact; 5] =
    [Compact::List, Compact::SetOfInts, Compact::Set, Compact::Zset, Compact::Hash];

#[test]
fn a_compact_form_keeps_kind_and_encoding() {
    for compact in COMPACT {
        for len in [0, 7, PACKED_MAX, PACKED_MAX + 1] {
            let bytes = vec![b'x'; len];
            let entry = EntryBox::new(b"k", Value::Packed(compact, &bytes), None, 0);
            let view = entry.as_ref();
            assert_eq!((view.kind(), view.encoding()), (compact.kind(), compact.encoding()));
            assert_eq!(view.heap().is_some(), len > PACKED_MAX);
            assert!(matches!(view.value(), ValueRef::Packed(c, b) if c == compact && b == bytes));
        }
    }
}

#[test]
fn a_string_is_no_compact_form() {
    let mut entry = EntryBox::new(b"k", Value::Str(b"text"), None, 0);
    assert!(entry.packed_mut().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    })]

    /// Edits of a compact form, through growth to the heap and back, with changes of the expiry.
    #[test]
    fn compact_forms_are_edited_in_place(
        key in bytes(),
        compact in prop::sample::select(&COMPACT[..]),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..400, any::<u8>(),
             any::<Option<Option<i64>>>()),
            0..40,
        ),
    ) {
        let mut entry = EntryBox::new(&key, Value::Packed(compact, b""), None, 3);
        let (mut model, mut expiry) = (Vec::new(), None);
        for (at, remove, added, byte, expire) in edits {
            let at = at.index(model.len() + 1);
            let remove = remove.index(model.len() - at + 1);
            let (first, second) = (vec![byte; added / 2], vec![!byte; added - added / 2]);
            let mut packed = entry.packed_mut().unwrap();
            packed.splice(at, remove, &[&first, &second]);
            drop(Vec::splice(&mut model, at..at + remove, [first, second].concat()));
            prop_assert_eq!(packed.bytes(), &model[..]);
            if let Some(expire) = expire {
                entry.set_expire_at_ms(expire);
                expiry = expire;
            }
            let view = entry.as_ref();
            prop_assert_eq!(view.key(), &key[..]);
            prop_assert_eq!(view.expire_at_ms(), expiry);
            prop_assert_eq!((view.kind(), view.encoding()), (compact.kind(), compact.encoding()));
            prop_assert!(view.heap().is_some() || model.len() <= PACKED_MAX);
            prop_assert!(view.heap().is_none() || model.len() > PACKED_BACK);
        }
    }
}
