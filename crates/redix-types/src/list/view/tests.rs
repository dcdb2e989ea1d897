//! Lists in entries, through both forms, against a vector.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::NodeRef;
use super::*;
use crate::entry::Encoding;
use crate::value::IntBuf;

fn entry() -> EntryBox {
    EntryBox::new(b"key", Value::Packed(Compact::List, &listpack::EMPTY), None, 0)
}

fn texts(list: ListRef<'_>) -> Vec<Vec<u8>> {
    let mut buf = IntBuf::new();
    list.iter_all().map(|element| element.text(&mut buf).to_vec()).collect()
}

fn encoding(entry: &EntryBox) -> Encoding {
    entry.as_ref().encoding()
}

/// As Valkey 9.1.2 and Redis 8.2.3 do; `golden/list/encoding.txt` asks them.
#[test]
fn changes_its_form_at_the_limit_and_at_half_of_it() {
    let mut entry = entry();
    let fill = Fill::new(4);
    for text in [b"a", b"b", b"c", b"d"] {
        let mut list = ListEdit::of(&mut entry, fill);
        list.make_room(1, 1);
        list.push(End::Tail, text);
    }
    assert_eq!(encoding(&entry), Encoding::Listpack);
    ListEdit::of(&mut entry, fill).make_room(1, 1);
    assert_eq!(encoding(&entry), Encoding::Quicklist);
    let mut list = ListEdit::of(&mut entry, fill);
    list.pop(End::Head);
    list.settle();
    assert_eq!(encoding(&entry), Encoding::Quicklist);
    let mut list = ListEdit::of(&mut entry, fill);
    list.pop(End::Head);
    list.settle();
    assert_eq!(encoding(&entry), Encoding::Listpack);
    assert_eq!(texts(ListEdit::of(&mut entry, fill).as_ref()), [b"c", b"d"]);
}

/// The listpack of a list over 1 KB is on the heap, and moves back when it shrinks.
#[test]
fn a_long_listpack_is_edited_like_a_short_one() {
    let (mut entry, fill) = (entry(), Fill::new(-2));
    let mut model = Vec::new();
    for i in 0..60 {
        let text = vec![b'a' + i % 20; 50];
        let mut list = ListEdit::of(&mut entry, fill);
        list.make_room(text.len(), 1);
        list.push(End::Head, &text);
        model.insert(0, text);
    }
    assert_eq!(encoding(&entry), Encoding::Listpack);
    let mut list = ListEdit::of(&mut entry, fill);
    list.delete_range(5, 50);
    model.drain(5..55);
    assert_eq!(texts(list.as_ref()), model);
    assert_eq!(list.as_ref().len(), 10);
}

/// A list keeps the limit in force when it became one.
#[test]
fn a_list_goes_on_as_it_was_begun() {
    let (mut entry, old, new) = (entry(), Fill::new(-1), Fill::new(-2));
    let large = vec![b'x'; 5000];
    let mut list = ListEdit::of(&mut entry, old);
    list.make_room(large.len(), 1);
    list.push(End::Tail, &large);
    let mut list = ListEdit::of(&mut entry, new);
    list.push(End::Tail, &large);
    list.push(End::Tail, b"small");
    let mut list = ListEdit::of(&mut entry, new.with_plain_from(3));
    list.push(End::Tail, b"small");
    list.push(End::Tail, b"s");
    let Some(HeapValue::List(list)) = entry.as_ref().heap() else { panic!("it has nodes") };
    let plain = |node| matches!(node, NodeRef::Plain(_));
    assert_eq!(list.nodes().map(plain).collect::<Vec<_>>(), [true, true, false, true, false]);
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<Vec<u8>>),
    Pop(bool),
    Set(usize, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    Delete(usize, usize),
    Remove(usize, usize, bool),
    Walk(usize, bool),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..20u8).prop_map(|n| n.to_string().into_bytes()),
        3 => (0..300usize).prop_map(|len| vec![b'x'; len]),
        1 => (0..9000usize).prop_map(|len| vec![b'y'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<usize>;
    prop_oneof![
        3 => (any::<bool>(), prop::collection::vec(text(), 1..10))
            .prop_map(|(end, texts)| Op::Push(end, texts)),
        2 => any::<bool>().prop_map(Op::Pop),
        1 => (index(), text()).prop_map(|(i, t)| Op::Set(i, t)),
        1 => (index(), any::<bool>(), text()).prop_map(|(i, s, t)| Op::Insert(i, s, t)),
        1 => (index(), 0..15usize).prop_map(|(i, n)| Op::Delete(i, n)),
        1 => (index(), 1..4usize, any::<bool>()).prop_map(|(i, n, e)| Op::Remove(i, n, e)),
        1 => (index(), any::<bool>()).prop_map(|(i, e)| Op::Walk(i, e)),
    ]
}

fn end(tail: bool) -> End {
    if tail { End::Tail } else { End::Head }
}

fn apply(list: &mut ListEdit<'_>, model: &mut Vec<Vec<u8>>, op: Op) {
    let len = model.len();
    match op {
        Op::Push(tail, texts) => {
            list.make_room(texts.iter().map(Vec::len).sum(), texts.len());
            for text in texts {
                list.push(end(tail), &text);
                model.insert(if tail { model.len() } else { 0 }, text);
            }
        }
        _ if len == 0 => {}
        Op::Pop(tail) => {
            let popped = model.remove(if tail { len - 1 } else { 0 });
            let mut buf = IntBuf::new();
            assert_eq!(list.as_ref().peek(end(tail)).unwrap().text(&mut buf), popped);
            list.pop(end(tail));
        }
        Op::Set(at, text) => {
            list.make_room(text.len(), 1);
            list.set(at % len, &text);
            model[at % len] = text;
        }
        Op::Insert(at, after, text) => {
            list.make_room(text.len(), 1);
            list.insert(at % len, if after { Side::After } else { Side::Before }, &text);
            model.insert(at % len + usize::from(after), text);
        }
        Op::Delete(at, count) => {
            list.delete_range(at % len, count);
            model.drain(at % len..len.min(at % len + count));
        }
        Op::Remove(at, limit, tail) => {
            let text = model[at % len].clone();
            let removed = list.remove_matching(&text, limit, end(tail));
            let mut places: Vec<_> = (0..len).filter(|&i| model[i] == text).collect();
            if tail {
                places.reverse();
            }
            places.truncate(limit);
            places.sort_unstable();
            assert_eq!(removed, places.len());
            for place in places.into_iter().rev() {
                model.remove(place);
            }
        }
        Op::Walk(at, tail) => {
            let at = at % len;
            let mut expect: Vec<_> = if tail { &model[at..] } else { &model[..=at] }.to_vec();
            if !tail {
                expect.reverse();
            }
            let mut buf = IntBuf::new();
            let walk = list.as_ref().iter(at, end(tail));
            assert_eq!(walk.map(|e| e.text(&mut buf).to_vec()).collect::<Vec<_>>(), expect);
            assert_eq!(
                list.as_ref().position(&model[at]),
                model.iter().position(|t| *t == model[at])
            );
        }
    }
    list.settle();
}

fn config() -> ProptestConfig {
    let cases = if cfg!(miri) { 1 } else { 200 };
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_forms_equal_a_vector(
        fills in prop::collection::vec(prop_oneof![Just(-1i64), Just(-2), Just(2), Just(8)], 60),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let (mut entry, mut model) = (entry(), Vec::new());
        for (op, fill) in ops.into_iter().zip(fills) {
            let mut list = ListEdit::of(&mut entry, Fill::new(fill));
            apply(&mut list, &mut model, op);
            prop_assert_eq!(list.as_ref().len(), model.len());
        }
        prop_assert_eq!(entry.as_ref().key(), b"key");
        prop_assert_eq!(texts(ListEdit::of(&mut entry, Fill::new(-2)).as_ref()), model);
    }
}
