//! The map against one of the standard library, through splits, joins, sharing and freeing.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

impl<K: Ord + Clone, V: Clone> Order<K, V> {
    /// All invariants.
    pub(in crate::stream) fn check(&self) {
        let count = self.root.as_deref().map_or(0, |root| {
            let is_small = matches!(root, Node::Inner(children) if children.len() < 2);
            assert!(!is_small, "O2: an inner root with one child");
            check_node(root, None).0
        });
        assert_eq!(self.len, count, "O3");
    }
}

/// Items and depth.
fn check_node<K: Ord, V>(node: &Node<K, V>, from: Option<&K>) -> (usize, usize) {
    assert!((1..=WIDTH).contains(&node.len()), "O2: {} items", node.len());
    assert!(from.is_none_or(|from| from <= node.first_key()), "O1: what is beside a child");
    match node {
        Node::Leaf(items) => {
            assert!(items.is_sorted_by(|(a, _), (b, _)| a < b), "O1");
            (items.len(), 0)
        }
        Node::Inner(children) => {
            let below: Vec<_> = children.iter().map(|(key, c)| check_node(c, Some(key))).collect();
            assert!(below.iter().all(|(_, depth)| *depth == below[0].1), "O2: depths");
            for pair in children.windows(2) {
                assert!(last_key(&pair[0].1) < &pair[1].0, "O1");
            }
            (below.iter().map(|(count, _)| count).sum(), below[0].1 + 1)
        }
    }
}

fn last_key<K, V>(node: &Node<K, V>) -> &K {
    match node {
        Node::Leaf(items) => &items[items.len() - 1].0,
        Node::Inner(children) => last_key(&children[children.len() - 1].1),
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u16),
    Append,
    Remove(u16),
    RemoveFrom(u16, usize),
    PopFirst,
    Edit(u16),
    Snapshot,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..3000u16).prop_map(Op::Insert),
        6 => Just(Op::Append),
        3 => (0..3000u16).prop_map(Op::Remove),
        1 => (0..3000u16, 1..400usize).prop_map(|(from, count)| Op::RemoveFrom(from, count)),
        1 => Just(Op::PopFirst),
        2 => (0..3000u16).prop_map(Op::Edit),
        1 => Just(Op::Snapshot),
    ];
    prop::collection::vec(op, 1..1500)
}

fn pairs(order: &Order<u32, u32>) -> Vec<(u32, u32)> {
    order.iter().map(|(key, value)| (*key, *value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_a_map(ops in ops()) {
        let mut order = Order::default();
        let mut model = BTreeMap::new();
        let mut snapshots = Vec::new();
        for (step, op) in ops.into_iter().enumerate() {
            let value = step as u32;
            match op {
                Op::Insert(key) => {
                    let key = u32::from(key);
                    prop_assert_eq!(order.insert(key, value), model.insert(key, value));
                }
                Op::Append => {
                    let key = model.keys().next_back().map_or(0, |key| key + 1);
                    prop_assert_eq!(order.insert(key, value), model.insert(key, value));
                }
                Op::Remove(key) => {
                    let key = u32::from(key);
                    prop_assert_eq!(order.remove(&key), model.remove(&key));
                }
                Op::RemoveFrom(from, count) => {
                    let from = u32::from(from);
                    let keys: Vec<u32> = model.range(from..).take(count).map(|(k, _)| *k).collect();
                    for key in keys {
                        prop_assert_eq!(order.remove(&key), model.remove(&key));
                    }
                }
                Op::PopFirst => prop_assert_eq!(order.pop_first(), model.pop_first()),
                Op::Edit(key) => {
                    let key = u32::from(key);
                    let found = order.get_mut(&key).map(|found| *found = value);
                    prop_assert_eq!(found, model.get_mut(&key).map(|found| *found = value));
                    prop_assert_eq!(order.get(&key), model.get(&key));
                    let behind: Vec<_> = order.iter_from(&key).take(70).map(|(k, _)| *k).collect();
                    let same: Vec<_> = model.range(key..).take(70).map(|(k, _)| *k).collect();
                    prop_assert_eq!(behind, same);
                    let back: Vec<_> =
                        order.iter_back_from(&key).take(70).map(|(k, _)| *k).collect();
                    let same = model.range(..=key).rev().take(70);
                    let same: Vec<_> = same.map(|(k, _)| *k).collect();
                    prop_assert_eq!(back, same);
                }
                Op::Snapshot => snapshots.push((order.clone(), pairs(&order))),
            }
            prop_assert_eq!(order.first(), model.first_key_value());
            prop_assert_eq!(order.last(), model.last_key_value());
            if step % 16 == 0 {
                order.check();
            }
        }
        order.check();
        prop_assert_eq!(pairs(&order), model.into_iter().collect::<Vec<_>>());
        for (snapshot, was) in &snapshots {
            snapshot.check();
            prop_assert_eq!(&pairs(snapshot), was);
        }
    }
}

#[test]
fn what_is_appended_leaves_full_nodes() {
    let mut order = Order::default();
    for key in 0..64 * 64 {
        order.insert(key, ());
    }
    let Some(Node::Inner(leaves)) = order.root.as_deref() else { panic!("two levels") };
    assert!(leaves.iter().all(|(_, leaf)| leaf.len() == WIDTH));
}

#[test]
fn freeing_goes_in_steps_and_into_values() {
    let mut order = Order::default();
    (0..1000).for_each(|key| drop(order.insert(key, vec![0; 3])));
    let mut free = |value: &mut Vec<i32>, _: usize| {
        value.pop();
        value.is_empty()
    };
    let mut steps = 0;
    while !order.free_step(100, &mut free) {
        steps += 1;
    }
    assert!((28..=32).contains(&steps), "{steps} steps");
    assert!(order.is_empty());
}
