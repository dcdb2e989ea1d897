//! Lists against a vector of texts, through growth, splits, merges, shrinking and snapshots.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque as Model;

use proptest::prelude::*;

use super::node::Node;
use super::*;
use crate::entry::IntBuf;

impl List {
    /// All invariants.
    fn check(&self) {
        let (mut len, mut nodes, mut buffers) = (0, 0, 0);
        for chunk in &self.chunks {
            assert!((1..=CHUNK).contains(&chunk.slots.len()), "L1: {} slots", chunk.slots.len());
            let mut sum = 0;
            for slot in chunk.slots.iter() {
                let count = match &*slot.node {
                    Node::Packed(_) => {
                        let bytes = slot.node.bytes();
                        assert!(listpack::validate(bytes, listpack::Depth::Elements));
                        listpack::len(bytes)
                    }
                    Node::Plain(_) => 1,
                };
                assert!(count > 0, "L1");
                assert_eq!(slot.count as usize, count, "L2");
                sum += count;
                buffers += slot.node.buffer();
            }
            nodes += chunk.slots.len();
            assert_eq!(chunk.sum, sum, "L2");
            len += sum;
        }
        assert_eq!((self.len, self.nodes, self.buffers), (len, nodes, buffers), "L2, L3");
    }

    fn shape(&self) -> Vec<usize> {
        self.chunks.iter().flat_map(|c| c.slots.iter()).map(|slot| slot.count as usize).collect()
    }
}

fn texts<'a>(elements: impl Iterator<Item = Element<'a>>) -> Vec<Vec<u8>> {
    let mut buf = IntBuf::new();
    elements.map(|element| element.text(&mut buf).to_vec()).collect()
}

fn list(fill: i64, elements: impl IntoIterator<Item = usize>) -> List {
    let mut list = List::new(Fill::new(fill));
    for len in elements {
        list.push(End::Tail, &vec![b'x'; len]);
    }
    list.check();
    list
}

/// Elements of each node as DUMP of Valkey 9.1.2 and Redis 8.2.3 shows them; so in the next tests.
#[test]
fn nodes_are_filled_as_the_directive_says() {
    assert_eq!(list(-1, [100; 80]).shape(), [39, 39, 2]);
    assert_eq!(list(-2, [100; 160]).shape(), [79, 79, 2]);
    assert_eq!(list(-9, [100; 700]).shape(), [636, 64]);
    assert_eq!(list(3, [1; 7]).shape(), [3, 3, 1]);
    assert_eq!(list(0, [1; 3]).shape(), [1, 1, 1]);
    assert_eq!(list(3, [4000; 3]).shape(), [2, 1], "and 8 KB");
}

#[test]
fn large_elements_are_nodes() {
    let list = list(-1, [1, 4096, 4097, 1, 5000]);
    assert_eq!(list.shape(), [1, 1, 1, 1, 1]);
    let plain = |node| matches!(node, NodeRef::Plain(_));
    assert_eq!(list.nodes().map(plain).collect::<Vec<_>>(), [false, false, true, false, true]);
}

#[test]
fn a_full_node_is_split_and_its_parts_are_merged() {
    let mut list = list(4, [1; 12]);
    list.insert(5, Side::Before, b"y");
    list.check();
    assert_eq!(list.shape(), [4, 2, 3, 4], "the new element is with those in front of it");
    list.insert(8, Side::After, b"z");
    list.check();
    assert_eq!(list.shape(), [4, 2, 4, 4], "the node behind had room");
}

#[test]
fn replacing_by_a_large_element_splits_and_merges() {
    let mut list = list(4, [1; 8]);
    list.set(2, &[b'y'; 9000]);
    list.check();
    assert_eq!(list.shape(), [2, 1, 1, 4]);
    list.set(2, b"small");
    list.check();
    assert_eq!(list.shape(), [2, 2, 4]);
    assert_eq!(list.len(), 8);
}

/// The same servers convert this list to a listpack again at 19 elements.
#[test]
fn a_single_node_is_found_for_the_way_back() {
    let half_met = |list: &List| {
        let bytes = list.only_listpack()?;
        Some(list.fill().is_half_met_by(bytes.len(), list.len()))
    };
    let mut list = list(-1, [100; 78]);
    assert_eq!(half_met(&list), None);
    list.delete_range(0, 58);
    assert_eq!((list.len(), half_met(&list)), (20, Some(false)));
    list.pop(End::Head);
    assert_eq!((list.len(), half_met(&list)), (19, Some(true)));
    assert_eq!(half_met(&self::list(-1, [5000])), None, "a plain node is no listpack");
}

/// A queue whose elements pass through one node: its buffer neither grows nor loses room.
#[test]
fn a_queue_keeps_its_buffer() {
    let mut list = list(-2, [16; 40]);
    let memory = list.memory();
    for _ in 0..10_000 {
        list.push(End::Tail, b"0123456789abcdef");
        assert!(list.pop(End::Head));
        assert!(list.memory() <= 2 * memory, "{} bytes", list.memory());
    }
    list.check();
}

#[test]
fn memory_returns_after_deletion() {
    let mut list = list(-2, [50; 100_000]);
    let full = list.memory();
    assert!(full < 100_000 * 54 * 102 / 100, "{full} bytes");
    list.delete_range(10, 99_980);
    list.check();
    assert!(list.memory() < 4000, "{} bytes", list.memory());
}

#[test]
fn is_freed_in_slices() {
    let mut big = list(1, [10; 1000]);
    let snapshot = big.clone();
    let steps = |list: &mut List| (1..).find(|_| list.free_step(100)).unwrap();
    assert!(steps(&mut big) <= 1, "what is shared is left to its last owner");
    let mut last = snapshot;
    last.check();
    let weight = last.weight();
    let took = steps(&mut last);
    assert!((weight / 200..=weight / 100 + 1).contains(&took), "{took} steps for {weight} pieces");
}

/// In counted nodes of one, so that there are many chunks.
#[test]
fn elements_are_found_by_index_in_many_chunks() {
    let mut list = List::new(Fill::new(1));
    for i in 0..3000 {
        list.push(End::Tail, i.to_string().as_bytes());
    }
    for i in 0..3000 {
        assert_eq!(list.get(i), Some(Element::Int(i as i64)));
    }
    assert_eq!(list.get(3000), None);
    assert_eq!(ListRef::Large(&list).position(b"2999"), Some(2999));
    assert_eq!(ListRef::Large(&list).position(b"3000"), None);
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<u8>, usize),
    Pop(bool, usize),
    Set(usize, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    Delete(usize, usize),
    Remove(usize, usize, bool),
    Snapshot,
    Walk(usize),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i32>().prop_map(|n| (n % 50).to_string().into_bytes()),
        4 => (0..200usize, b'a'..b'e').prop_map(|(len, byte)| vec![byte; len]),
        2 => (0..10_000usize).prop_map(|len| vec![b'x'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<usize>;
    prop_oneof![
        6 => (any::<bool>(), text(), 1..60usize).prop_map(|(e, t, n)| Op::Push(e, t, n)),
        2 => (any::<bool>(), 1..40usize).prop_map(|(e, n)| Op::Pop(e, n)),
        3 => (index(), text()).prop_map(|(i, t)| Op::Set(i, t)),
        4 => (index(), any::<bool>(), text()).prop_map(|(i, s, t)| Op::Insert(i, s, t)),
        1 => (index(), 0..200usize).prop_map(|(i, n)| Op::Delete(i, n)),
        2 => (index(), 0..20usize, any::<bool>()).prop_map(|(i, n, e)| Op::Remove(i, n, e)),
        1 => Just(Op::Snapshot),
        1 => index().prop_map(Op::Walk),
    ]
}

fn end(tail: bool) -> End {
    if tail { End::Tail } else { End::Head }
}

/// Removes elements as LREM does.
fn remove(model: &mut Model<Vec<u8>>, text: &[u8], limit: usize, from: End) -> usize {
    let before = model.len();
    let mut kept = Model::new();
    while let Some(t) = if from == End::Head { model.pop_front() } else { model.pop_back() } {
        if t == text && before - model.len() - 1 - kept.len() < limit {
            continue;
        }
        if from == End::Head { kept.push_back(t) } else { kept.push_front(t) }
    }
    *model = kept;
    before - model.len()
}

fn apply(list: &mut List, model: &mut Model<Vec<u8>>, op: Op) {
    let len = model.len();
    match op {
        Op::Push(tail, text, times) => {
            for _ in 0..times {
                list.push(end(tail), &text);
                if tail { model.push_back(text.clone()) } else { model.push_front(text.clone()) }
            }
        }
        Op::Pop(tail, times) => {
            for _ in 0..times {
                let expect = if tail { model.pop_back() } else { model.pop_front() };
                assert_eq!(texts(list.peek(end(tail)).into_iter()).pop(), expect);
                assert_eq!(list.pop(end(tail)), expect.is_some());
            }
        }
        Op::Delete(at, count) => {
            let at = at % (len + 1);
            list.delete_range(at, count);
            model.drain(at..len.min(at + count));
        }
        _ if len == 0 => {}
        Op::Set(at, text) => {
            list.set(at % len, &text);
            model[at % len] = text;
        }
        Op::Insert(at, after, text) => {
            list.insert(at % len, if after { Side::After } else { Side::Before }, &text);
            model.insert(at % len + usize::from(after), text);
        }
        Op::Remove(at, limit, tail) => {
            let text = model[at % len].clone();
            let removed = list.remove_matching(&text, limit, end(tail));
            assert_eq!(removed, remove(model, &text, limit, end(tail)));
        }
        Op::Walk(at) => {
            let at = at % len;
            assert_eq!(
                texts(ListRef::Large(list).iter(at, End::Tail)),
                model.range(at..).cloned().collect::<Vec<_>>()
            );
            let backwards: Vec<_> = model.range(..=at).rev().cloned().collect();
            assert_eq!(texts(ListRef::Large(list).iter(at, End::Head)), backwards);
            assert_eq!(texts(list.get(at).into_iter()), [model[at].clone()]);
        }
        Op::Snapshot => {}
    }
}

const CASES: u32 = if cfg!(miri) { 1 } else { 150 };
const OPS: usize = if cfg!(miri) { 15 } else { 80 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn changes_equal_those_of_a_vector(
        fill in prop_oneof![Just(-1i64), Just(-2), Just(1), Just(2), Just(5), Just(128)],
        ops in prop::collection::vec(op(), 1..OPS),
    ) {
        let mut list = List::new(Fill::new(fill));
        let mut model = Model::new();
        let mut snapshots: Vec<(List, Model<Vec<u8>>)> = Vec::new();
        for op in ops {
            if let Op::Snapshot = op {
                snapshots.push((list.clone(), model.clone()));
                continue;
            }
            apply(&mut list, &mut model, op);
            list.check();
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert_eq!(texts(ListRef::Large(&list).iter_all()), Vec::from(model));
        // A snapshot is unchanged, and can be changed itself.
        for (snapshot, _) in &mut snapshots {
            snapshot.check();
        }
        for (mut snapshot, mut model) in snapshots {
            apply(&mut snapshot, &mut model, Op::Insert(7, true, b"new".to_vec()));
            snapshot.check();
            prop_assert_eq!(texts(ListRef::Large(&snapshot).iter_all()), Vec::from(model));
        }
        while !list.free_step(7) {}
    }
}
