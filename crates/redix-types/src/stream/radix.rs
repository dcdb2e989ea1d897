//! How many nodes a radix tree of node IDs would have.
//!
//! XINFO STREAM of the real servers tells how large the tree is in which they keep the nodes of a
//! stream. A path without branches is one node there, and every key ends in a node of its own.

/// Beyond this many keys the number is estimated from the first ones.
const COUNTED_MAX: u64 = 10_000;

/// Nodes of the tree of `count` keys, which ascend.
pub(super) fn nodes(keys: impl Iterator<Item = [u8; 16]>, count: u64) -> u64 {
    let keys: Vec<[u8; 16]> = keys.take(COUNTED_MAX as usize).collect();
    if keys.is_empty() {
        return 1;
    }
    let counted = nodes_below(&keys, 0);
    if count > COUNTED_MAX { counted * count / COUNTED_MAX } else { counted }
}

/// Nodes of the tree of what follows the first `depth` bytes, which all keys share.
fn nodes_below(keys: &[[u8; 16]], depth: usize) -> u64 {
    let (first, last) = (&keys[0][depth..], &keys[keys.len() - 1][depth..]);
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let path = u64::from(shared > 0);
    if shared == first.len() {
        return path + 1;
    }
    let branch = depth + shared;
    let children = keys.chunk_by(|a, b| a[branch] == b[branch]);
    path + 1 + children.map(|child| nodes_below(child, branch + 1)).sum::<u64>()
}
