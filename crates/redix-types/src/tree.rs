//! A counted B+tree over numbered leaves, ordered by score, then by the bytes of the member.
//!
//! Leaves (see [`leaf`]) are blocks in a [`Store`] and hold the elements: they are what a snapshot
//! needs. Inner nodes hold numbers, counts and separators. All are known by number: nobody holds a
//! pointer into the tree, so a clone shares everything and copies what is written to, one node, one
//! leaf at a time.
//!
//! **Places.** An element is a [`Place`]: its leaf, and where it is in it. From a leaf the tree is
//! climbed by parents without comparing a key: a rank is the sum of the counts on the left on the
//! way up, the next leaf is the next child of the nearest node that has one, and an element that
//! has been found is removed without descending.
//!
//! **Moves.** When elements move to a leaf of another number, a [`Move`] is returned to the caller,
//! who has an index from members to leaf numbers.
//!
//! **Invariants.** Only the last leaf of an empty tree is empty; an inner node has a child. The
//! number of a leaf that is gone is null in the store and in the heap of free ones, lowest first;
//! where there are too many of these, [`Tree::renumber_last`] gives the last leaf the lowest, so
//! that the store shrinks with the set. The root has more than one child, or leaves below it. Keys
//! never contain NaN.
//!
//! Costs: everything is logarithmic in the number of elements, a step to the next leaf is constant
//! on average.

mod chunks;
pub(crate) mod leaf;
mod node;
#[cfg(test)]
pub(crate) mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::block::{Block, size_class};
use crate::shared::Shared;
use crate::store::Store;
use chunks::Chunks;
use node::{CHILDREN_MAX, NONE, Node, Separator};

/// Free numbers kept per leaf in use.
const FREE_MAX: usize = 3;

/// Free numbers kept at least.
const FREE_MIN: usize = 16;

/// A cut through the order: what is before it, and the rest.
///
/// Cuts by member require all scores to be equal, as the commands on lexicographical ranges do;
/// otherwise their position is unspecified.
#[derive(Clone, Copy, Debug)]
pub enum Cut<'a> {
    /// Before a key, whether it exists or not.
    Key(f64, &'a [u8]),
    /// Before all elements of a score.
    Score(f64),
    /// After all elements of a score.
    AfterScore(f64),
    /// Before a member.
    Member(&'a [u8]),
    /// After a member.
    AfterMember(&'a [u8]),
}

impl Cut<'_> {
    /// Whether the cut is after an element.
    #[inline(always)]
    pub fn is_behind<'m>(self, score: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match self {
            Cut::Key(at, key) => score < at || (score == at && member() < key),
            Cut::Score(at) => score < at,
            Cut::AfterScore(at) => score <= at,
            Cut::Member(key) => member() < key,
            Cut::AfterMember(key) => member() <= key,
        }
    }
}

/// The position of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) leaf: u32,
    pub(crate) at: usize,
}

/// Elements `first..last` of leaf `to` were in leaf `from` before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

#[derive(Clone)]
pub(crate) struct Tree {
    leaves: Store,
    nodes: Chunks<Option<Shared<Node>>>,
    root: u32,
    /// The parent of each leaf, by number; [`NONE`] for free numbers.
    above: Chunks<u32>,
    /// Free leaf numbers. Those beyond the length of the store are implicit.
    free: BinaryHeap<Reverse<u32>>,
    free_nodes: Vec<u32>,
    leaf_count: usize,
    len: u64,
    /// Bytes of inner nodes and of long members, by the allocator's classes.
    bytes: usize,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let mut tree = Tree {
            leaves: Store::new(),
            nodes: Chunks::new(),
            root: 0,
            above: Chunks::new(),
            free: BinaryHeap::new(),
            free_nodes: Vec::new(),
            leaf_count: 0,
            len: 0,
            bytes: 0,
        };
        let leaf = tree.add_leaf(Block::new(0), 0);
        let mut root = Node::new(1, NONE);
        root.insert(0, leaf, 0, (f64::NEG_INFINITY, Box::default()));
        tree.root = tree.add_node(root);
        tree
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of memory, by the allocator's classes.
    pub(crate) fn memory(&self) -> usize {
        let lists =
            size_class(self.free.capacity() * 4) + size_class(self.free_nodes.capacity() * 4);
        self.bytes + self.leaves.memory() + self.nodes.memory() + self.above.memory() + lists
    }

    pub(crate) fn leaf_count(&self) -> usize {
        self.leaf_count
    }

    /// The leaf of that number, if it is in use.
    #[inline]
    pub(crate) fn find_leaf(&self, leaf: u32) -> Option<&Block> {
        self.leaves.get(leaf as usize)
    }

    /// The leaf of a number in use.
    #[inline]
    pub(crate) fn leaf(&self, leaf: u32) -> &Block {
        self.find_leaf(leaf).expect("a leaf of this number")
    }

    /// The score and the member at a place.
    #[inline]
    pub(crate) fn get(&self, place: Place) -> (f64, &[u8]) {
        let leaf = self.leaf(place.leaf);
        (leaf::score(leaf, place.at), leaf::member(leaf, place.at))
    }

    /// The position at which an element at the cut would be inserted.
    fn slot(&self, cut: Cut<'_>) -> Place {
        let mut node = self.node(self.root);
        loop {
            let child = node.child(node.child_for(cut));
            if node.level == 1 {
                return Place { leaf: child, at: leaf::position(self.leaf(child), cut) };
            }
            node = self.node(child);
        }
    }

    /// Number of elements before a cut.
    pub(crate) fn count_before(&self, cut: Cut<'_>) -> u64 {
        let mut node = self.node(self.root);
        let mut count = 0;
        loop {
            let at = node.child_for(cut);
            count += node.before(at);
            if node.level == 1 {
                return count + leaf::position(self.leaf(node.child(at)), cut) as u64;
            }
            node = self.node(node.child(at));
        }
    }

    /// The element of a rank; `None` from the length on.
    pub(crate) fn at_rank(&self, rank: u64) -> Option<Place> {
        if rank >= self.len {
            return None;
        }
        let mut node = self.node(self.root);
        let mut rank = rank;
        loop {
            let (at, rest) = node.child_at(rank);
            rank = rest;
            if node.level == 1 {
                return Some(Place { leaf: node.child(at), at: rank as usize });
            }
            node = self.node(node.child(at));
        }
    }

    /// Number of elements before this position.
    pub(crate) fn rank(&self, place: Place) -> u64 {
        let mut rank = place.at as u64;
        let (mut child, mut number) = (place.leaf, *self.above.get(place.leaf));
        while number != NONE {
            let node = self.node(number);
            rank += node.before(node.index_of(child));
            (child, number) = (number, node.parent);
        }
        rank
    }

    /// The first leaf.
    pub(crate) fn first_leaf(&self) -> u32 {
        let root = self.node(self.root);
        self.edge_leaf(root.child(0), root.level, |_| 0)
    }

    /// The next leaf in order.
    pub(crate) fn next_leaf(&self, leaf: u32) -> Option<u32> {
        let (mut child, mut number) = (leaf, *self.above.get(leaf));
        while number != NONE {
            let node = self.node(number);
            if let Some(&next) = node.children().get(node.index_of(child) + 1) {
                return Some(self.edge_leaf(next, node.level, |_| 0));
            }
            (child, number) = (number, node.parent);
        }
        None
    }

    /// The previous leaf in order.
    pub(crate) fn previous_leaf(&self, leaf: u32) -> Option<u32> {
        let (mut child, mut number) = (leaf, *self.above.get(leaf));
        while number != NONE {
            let node = self.node(number);
            if let Some(at) = node.index_of(child).checked_sub(1) {
                return Some(self.edge_leaf(node.child(at), node.level, |node| node.len() - 1));
            }
            (child, number) = (number, node.parent);
        }
        None
    }

    /// The first or last leaf below the child of a node of some level.
    fn edge_leaf(&self, mut child: u32, level: u32, edge: impl Fn(&Node) -> usize) -> u32 {
        for _ in 1..level {
            let node = self.node(child);
            child = node.child(edge(node));
        }
        child
    }
}

/// Inserting.
impl Tree {
    /// Inserts a member that does not exist. Returns the leaf that it is in, and, if that had to be
    /// split, the elements that moved to another, the new one possibly among them.
    pub(crate) fn insert(&mut self, score: f64, member: &[u8], tag: u8) -> (u32, Option<Move>) {
        let Place { leaf, at } = self.slot(Cut::Key(score, member));
        self.edit_leaf(leaf, |block| leaf::insert(block, at, tag, score, member));
        self.bytes += leaf::outside(member.len());
        self.len += 1;
        self.count_up(leaf, 1);
        let block = self.leaf(leaf);
        if leaf::weight(block) <= leaf::WEIGHT_MAX {
            return (leaf, None);
        }
        let n = block.n();
        // Ascending and descending input fills leaves instead of halving them.
        let cut = if at + 1 == n && self.next_leaf(leaf).is_none() {
            n - 1
        } else if at == 0 && self.previous_leaf(leaf).is_none() {
            1
        } else {
            n / 2
        };
        (leaf, Some(self.split_leaf(leaf, cut)))
    }

    /// Changes the score of an element if its position stays the same; returns whether it did.
    pub(crate) fn change_score(&mut self, place: Place, score: f64) -> bool {
        let leaf = self.leaf(place.leaf);
        // At the edges of a leaf the separators would have to be compared too.
        let inside = place.at > 0
            && place.at + 1 < leaf.n()
            && leaf::score(leaf, place.at - 1) < score
            && score < leaf::score(leaf, place.at + 1);
        if inside {
            self.edit_leaf(place.leaf, |leaf| leaf::set_score(leaf, place.at, score));
        }
        inside
    }

    fn split_leaf(&mut self, leaf: u32, cut: usize) -> Move {
        let right = self.edit_leaf(leaf, |block| leaf::split(block, cut));
        let last = self.get(Place { leaf, at: cut - 1 });
        let separator = separator(last, (leaf::score(&right, 0), leaf::member(&right, 0)));
        let moved = right.n();
        let parent = *self.above.get(leaf);
        let new = self.add_leaf(right, parent);
        let at = self.node(parent).index_of(leaf);
        self.node_mut(parent).count(at, -(moved as i64));
        self.insert_child(parent, at + 1, new, moved as u64, separator);
        Move { from: leaf, to: new, first: 0, last: moved }
    }

    /// Adds a child to a node, splitting full nodes up to the root.
    fn insert_child(&mut self, node: u32, at: usize, child: u32, count: u64, lead: Separator) {
        let (mut node, mut at, mut child, mut count, mut lead) = (node, at, child, count, lead);
        loop {
            self.reshape(node, |node| node.insert(at, child, count, lead));
            let len = self.node(node).len();
            if len < CHILDREN_MAX {
                return;
            }
            let half = if at + 1 == len { len - 2 } else { len / 2 };
            let (right, separator) = self.reshape(node, |node| node.split_off(half));
            if self.node(node).parent == NONE {
                self.raise_root();
            }
            let parent = self.node(node).parent;
            (count, lead) = (right.total(), separator);
            child = self.add_node(right);
            self.node_mut(child).parent = parent;
            self.adopt(child, 0);
            at = self.node(parent).index_of(node);
            self.node_mut(parent).count(at, -(count as i64));
            (node, at) = (parent, at + 1);
        }
    }

    /// Puts a new root above the present one.
    fn raise_root(&mut self) {
        let mut root = Node::new(self.node(self.root).level + 1, NONE);
        root.insert(0, self.root, self.len, (f64::NEG_INFINITY, Box::default()));
        let old = self.root;
        self.root = self.add_node(root);
        self.node_mut(old).parent = self.root;
    }
}

/// Removing.
impl Tree {
    /// Removes the element at a position. If that merged its leaf with another, returns the
    /// elements that moved.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Move> {
        let Place { leaf, at } = place;
        let member_len = leaf::member(self.leaf(leaf), at).len();
        self.edit_leaf(leaf, |block| leaf::remove(block, at));
        self.bytes -= leaf::outside(member_len);
        self.len -= 1;
        self.count_up(leaf, -1);
        let block = self.leaf(leaf);
        let (n, weight) = (block.n(), leaf::weight(block));
        let parent = *self.above.get(leaf);
        if n == 0 {
            if self.leaf_count > 1 {
                let at = self.node(parent).index_of(leaf);
                self.free_leaf(leaf);
                self.remove_child(parent, at);
            }
            return None;
        }
        if weight >= leaf::WEIGHT_MAX / 3 {
            return None;
        }
        let node = self.node(parent);
        let (left, right) = neighbours(node, node.index_of(leaf))?;
        let (a, b) = (node.child(left), node.child(right));
        let both = leaf::weight(self.leaf(a)) + leaf::weight(self.leaf(b));
        (both <= leaf::WEIGHT_MAX / 4 * 3).then(|| self.merge_leaves(parent, left, a, b))
    }

    /// Moves all of leaf `b` to leaf `a`, its left sibling, which is child `at` of their parent.
    fn merge_leaves(&mut self, parent: u32, at: usize, a: u32, b: u32) -> Move {
        let right = self.free_leaf(b);
        let first = self.leaf(a).n();
        self.edit_leaf(a, |left| leaf::append(left, &right));
        self.node_mut(parent).count(at, right.n() as i64);
        self.remove_child(parent, at + 1);
        Move { from: b, to: a, first, last: first + right.n() }
    }

    /// Removes a child of a node; a node without children is removed too, and one with few is
    /// merged with a sibling.
    fn remove_child(&mut self, node: u32, at: usize) {
        let (mut node, mut at) = (node, at);
        loop {
            self.reshape(node, |node| node.remove(at));
            let (len, parent) = (self.node(node).len(), self.node(node).parent);
            if parent == NONE {
                self.lower_root();
                return;
            }
            let child = self.node(parent).index_of(node);
            if len == 0 {
                self.free_node(node);
                (node, at) = (parent, child);
                continue;
            }
            if len >= CHILDREN_MAX / 4 {
                return;
            }
            let Some((left, right)) = neighbours(self.node(parent), child) else { return };
            let (a, b) = (self.node(parent).child(left), self.node(parent).child(right));
            if self.node(a).len() + self.node(b).len() > CHILDREN_MAX / 8 * 7 {
                return;
            }
            self.merge_nodes(parent, left, a, b);
            if parent == self.root {
                self.lower_root();
            }
            return;
        }
    }

    /// Moves all children of node `b` to node `a`, its left sibling, child `at` of their parent.
    fn merge_nodes(&mut self, parent: u32, at: usize, a: u32, b: u32) {
        let (count, separator) = self.reshape(parent, |parent| parent.remove(at + 1));
        self.node_mut(parent).count(at, count as i64);
        let mut right = self.free_node(b);
        let first = self.node(a).len();
        self.reshape(a, |left| left.append(right.make_mut(), separator));
        self.adopt(a, first);
    }

    /// Removes roots with a single child node.
    fn lower_root(&mut self) {
        while let root = self.node(self.root)
            && root.level > 1
            && root.len() == 1
        {
            let below = root.child(0);
            self.free_node(self.root);
            self.root = below;
            self.node_mut(below).parent = NONE;
        }
    }

    /// If there are too many free numbers, gives the last leaf the lowest of them.
    pub(crate) fn renumber_last(&mut self) -> Option<Move> {
        let numbers = self.leaves.end();
        if numbers <= (1 + FREE_MAX) * self.leaf_count + FREE_MIN {
            return None;
        }
        let from = (numbers - 1) as u32;
        let parent = *self.above.get(from);
        let block = self.free_leaf(from);
        let last = block.n();
        let to = self.add_leaf(block, parent);
        let at = self.node(parent).index_of(from);
        self.node_mut(parent).renumber(at, to);
        Some(Move { from, to, first: 0, last })
    }

    /// Frees about `budget` leaves of an unused tree, then its inner nodes. True when none are
    /// left.
    pub(crate) fn free_step(&mut self, budget: usize) -> bool {
        self.leaves.free_step(budget) && self.nodes.free_last()
    }
}

/// Numbers, nodes and counts.
impl Tree {
    #[inline]
    fn node(&self, number: u32) -> &Node {
        self.nodes.get(number).as_deref().expect("a node of this number")
    }

    #[inline]
    fn node_mut(&mut self, number: u32) -> &mut Node {
        self.nodes.get_mut(number).as_mut().expect("a node of this number").make_mut()
    }

    /// Changes a node, accounting for its size.
    fn reshape<R>(&mut self, number: u32, change: impl FnOnce(&mut Node) -> R) -> R {
        let node = self.node_mut(number);
        let before = node.memory();
        let result = change(node);
        let after = node.memory();
        self.bytes = self.bytes - before + after;
        result
    }

    fn edit_leaf<R>(&mut self, leaf: u32, change: impl FnOnce(&mut Block) -> R) -> R {
        self.leaves.edit(leaf as usize, change)
    }

    /// Adds to the counts of a leaf's ancestors.
    fn count_up(&mut self, leaf: u32, change: i64) {
        let (mut child, mut number) = (leaf, *self.above.get(leaf));
        while number != NONE {
            let node = self.node_mut(number);
            node.count(node.index_of(child), change);
            (child, number) = (number, node.parent);
        }
    }

    /// Sets the parent of the children of a node from `first` on.
    fn adopt(&mut self, number: u32, first: usize) {
        let node = self.node(number);
        let level = node.level;
        for at in first..node.len() {
            let child = self.node(number).child(at);
            if level == 1 {
                *self.above.get_mut(child) = number;
            } else {
                self.node_mut(child).parent = number;
            }
        }
    }

    fn add_leaf(&mut self, block: Block, parent: u32) -> u32 {
        self.leaf_count += 1;
        match self.free.pop() {
            Some(Reverse(number)) if (number as usize) < self.leaves.end() => {
                self.leaves.put(number as usize, block);
                *self.above.get_mut(number) = parent;
                number
            }
            // All others are higher still.
            _ => {
                self.free.clear();
                let number = u32::try_from(self.leaves.end()).expect("fewer than 2^32 leaves");
                self.leaves.put(number as usize, block);
                self.above.push(parent);
                number
            }
        }
    }

    fn free_leaf(&mut self, leaf: u32) -> Block {
        let block = self.leaves.take(leaf as usize);
        self.leaf_count -= 1;
        *self.above.get_mut(leaf) = NONE;
        self.free.push(Reverse(leaf));
        self.above.truncate(self.leaves.end());
        block
    }

    fn add_node(&mut self, node: Node) -> u32 {
        self.bytes += node.memory();
        let node = Some(Shared::new(node));
        if let Some(number) = self.free_nodes.pop() {
            *self.nodes.get_mut(number) = node;
            return number;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    fn free_node(&mut self, number: u32) -> Shared<Node> {
        let node = self.nodes.get_mut(number).take().expect("a node of this number");
        self.bytes -= node.memory();
        self.free_nodes.push(number);
        node
    }
}

/// A child and one of its siblings, the left one first. `None` for an only child.
fn neighbours(node: &Node, at: usize) -> Option<(usize, usize)> {
    match (at + 1 < node.len(), at.checked_sub(1)) {
        (true, _) => Some((at, at + 1)),
        (false, Some(left)) => Some((left, at)),
        (false, None) => None,
    }
}

/// The separator between the last key on the left and the first on the right.
fn separator(left: (f64, &[u8]), right: (f64, &[u8])) -> Separator {
    if left.0 < right.0 {
        return (right.0, Box::default());
    }
    let common = left.1.iter().zip(right.1).take_while(|(a, b)| a == b).count();
    (right.0, right.1[..right.1.len().min(common + 1)].into())
}
