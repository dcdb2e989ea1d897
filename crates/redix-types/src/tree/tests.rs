//! The invariants of a tree, for the model tests of sorted sets.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

/// A key in the order.
type Key = (f64, Vec<u8>);

fn less(a: &Key, b: &Key) -> bool {
    a.0 < b.0 || (a.0 == b.0 && a.1 < b.1)
}

/// Checks a subtree: the leaves and nodes visited, and its keys in order.
fn check_node(tree: &Tree, number: u32, parent: u32, seen: &mut Seen, keys: &mut Vec<Key>) {
    let node = tree.node(number);
    assert!(seen.nodes.insert(number), "a node has one parent");
    assert_eq!(node.parent, parent);
    assert!(node.len() >= 1 && node.len() < CHILDREN_MAX);
    for at in 0..node.len() {
        let child = node.child(at);
        let first = keys.len();
        if node.level == 1 {
            assert!(seen.leaves.insert(child), "a leaf has one parent");
            assert_eq!(*tree.above.get(child), number);
            let leaf = tree.leaf(child);
            assert!(leaf.n() > 0 || tree.len == 0, "empty leaves go");
            assert!(leaf::weight(leaf) <= leaf::WEIGHT_MAX);
            for at in 0..leaf.n() {
                let key = (leaf::score(leaf, at), leaf::member(leaf, at).to_vec());
                assert!(keys.last().is_none_or(|last| less(last, &key)), "keys ascend");
                keys.push(key);
            }
        } else {
            assert_eq!(tree.node(child).level, node.level - 1);
            check_node(tree, child, number, seen, keys);
        }
        assert_eq!(node.before(at + 1) - node.before(at), (keys.len() - first) as u64);
        if at > 0 {
            let (score, text) = node.separator(at);
            let lead = (score, text.to_vec());
            assert!(!less(&lead, &keys[first - 1]), "keys on the left are not above a separator");
            assert!(!less(&keys[first], &lead), "keys on the right are not below");
        }
    }
}

#[derive(Default)]
struct Seen {
    nodes: BTreeSet<u32>,
    leaves: BTreeSet<u32>,
}

/// All invariants of a tree.
pub(crate) fn check(tree: &Tree) {
    let (mut seen, mut keys) = (Seen::default(), Vec::new());
    check_node(tree, tree.root, NONE, &mut seen, &mut keys);
    assert_eq!(keys.len() as u64, tree.len);
    let root = tree.node(tree.root);
    assert!(root.level == 1 || root.len() > 1, "the root has several children, or leaves");

    assert_eq!(tree.leaf_count, seen.leaves.len());
    let stored: BTreeSet<u32> = tree.leaves.iter().map(|(number, _)| number as u32).collect();
    assert_eq!(stored, seen.leaves, "what is stored is in the tree");
    let end = tree.leaves.end() as u32;
    assert_eq!(tree.above.len(), end as usize);
    let all: BTreeSet<u32> = (0..end).collect();
    let free: BTreeSet<u32> =
        tree.free.iter().map(|free| free.0).filter(|&number| number < end).collect();
    assert_eq!(free, all.difference(&seen.leaves).copied().collect(), "other numbers are free");
    assert!(free.iter().all(|&number| *tree.above.get(number) == NONE));
    let nodes: BTreeSet<u32> = (0..tree.nodes.len() as u32).collect();
    let unused: BTreeSet<u32> = nodes.difference(&seen.nodes).copied().collect();
    assert_eq!(tree.free_nodes.iter().copied().collect::<BTreeSet<u32>>(), unused);

    let outside: usize = keys.iter().map(|(_, member)| leaf::outside(member.len())).sum();
    let inner: usize = seen.nodes.iter().map(|&number| tree.node(number).memory()).sum();
    assert_eq!(tree.bytes, outside + inner);
}
