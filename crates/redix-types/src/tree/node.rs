//! Inner nodes of the tree: the number of each child, the count of elements below it, and its
//! separator.
//!
//! A separator is a lower bound of its child that no key on its left exceeds: a score, and the
//! shortest prefix of the member that distinguishes it from the last key on its left, empty where
//! the scores differ. The separator of the first child is never read.
//!
//! The parts are in vectors of their own, because ranks sum all counts before a child and climbing
//! searches for a number among the children. They grow in small steps: a node of a sorted set of a
//! hundred elements has five children.

use super::Cut;
use crate::block::size_class as class;
use crate::shared::Shared;

/// Children at which a node is split.
pub(super) const CHILDREN_MAX: usize = 64;

/// Growth of the vectors.
const STEP: usize = 8;

/// No node: the parent of the root.
pub(super) const NONE: u32 = u32::MAX;

/// A separator: a score and a prefix of a member.
pub(super) type Separator = (f64, Box<[u8]>);

pub(super) struct Node {
    /// 1 where the children are leaves.
    pub(super) level: u32,
    /// [`NONE`] at the root.
    pub(super) parent: u32,
    scores: Vec<f64>,
    counts: Vec<u64>,
    children: Vec<u32>,
    /// Member parts of the separators: one for each child, or none at all while all are empty.
    texts: Vec<Box<[u8]>>,
}

impl Node {
    pub(super) fn new(level: u32, parent: u32) -> Node {
        let (scores, counts, children, texts) = (vec![], vec![], vec![], vec![]);
        Node { level, parent, scores, counts, children, texts }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    #[inline]
    pub(super) fn child(&self, at: usize) -> u32 {
        self.children[at]
    }

    #[inline]
    pub(super) fn children(&self) -> &[u32] {
        &self.children
    }

    /// The index of the child with this number.
    #[inline]
    pub(super) fn index_of(&self, child: u32) -> usize {
        let at = self.children.iter().position(|&number| number == child);
        at.expect("a child of its parent")
    }

    /// The child that contains a cut.
    #[inline]
    pub(super) fn child_for(&self, cut: Cut<'_>) -> usize {
        let (mut low, mut size) = (1, self.len() - 1);
        while size > 0 {
            let middle = low + size / 2;
            if cut.is_behind(self.scores[middle], || self.text(middle)) {
                size -= size / 2 + 1;
                low = middle + 1;
            } else {
                size /= 2;
            }
        }
        low - 1
    }

    /// The child that has the element of this rank, and the rank in it. A rank past the end gives
    /// the last child.
    #[inline]
    pub(super) fn child_at(&self, mut rank: u64) -> (usize, u64) {
        let last = self.len() - 1;
        for (at, &count) in self.counts[..last].iter().enumerate() {
            if rank < count {
                return (at, rank);
            }
            rank -= count;
        }
        (last, rank)
    }

    /// Elements below the children before `at`.
    #[inline]
    pub(super) fn before(&self, at: usize) -> u64 {
        self.counts[..at].iter().sum()
    }

    /// Elements below this node.
    pub(super) fn total(&self) -> u64 {
        self.before(self.len())
    }

    /// Changes the count of a child.
    #[inline]
    pub(super) fn count(&mut self, at: usize, change: i64) {
        self.counts[at] = self.counts[at].wrapping_add_signed(change);
    }

    pub(super) fn renumber(&mut self, at: usize, child: u32) {
        self.children[at] = child;
    }

    #[cfg(test)]
    pub(super) fn separator(&self, at: usize) -> (f64, &[u8]) {
        (self.scores[at], self.text(at))
    }

    fn text(&self, at: usize) -> &[u8] {
        self.texts.get(at).map_or(&[], |text| text)
    }

    pub(super) fn insert(&mut self, at: usize, child: u32, count: u64, (score, text): Separator) {
        reserve(&mut self.scores);
        self.scores.insert(at, score);
        reserve(&mut self.counts);
        self.counts.insert(at, count);
        reserve(&mut self.children);
        self.children.insert(at, child);
        if self.texts.is_empty() && text.is_empty() {
            return;
        }
        if self.texts.is_empty() {
            self.texts.resize_with(self.len() - 1, Box::default);
        }
        reserve(&mut self.texts);
        self.texts.insert(at, text);
    }

    pub(super) fn remove(&mut self, at: usize) -> (u64, Separator) {
        let text = if self.texts.is_empty() { Box::default() } else { self.texts.remove(at) };
        self.children.remove(at);
        let removed = (self.counts.remove(at), (self.scores.remove(at), text));
        if self.children.capacity() > self.len() + 3 * STEP {
            self.scores.shrink_to(self.len() + STEP);
            self.counts.shrink_to(self.len() + STEP);
            self.children.shrink_to(self.len() + STEP);
            self.texts.shrink_to(self.texts.len() + STEP);
        }
        removed
    }

    /// Splits off the children from `at` on, with the separator of the first.
    pub(super) fn split_off(&mut self, at: usize) -> (Node, Separator) {
        let mut right = Node::new(self.level, self.parent);
        right.scores = self.scores.split_off(at);
        right.counts = self.counts.split_off(at);
        right.children = self.children.split_off(at);
        self.scores.shrink_to(at + STEP);
        self.counts.shrink_to(at + STEP);
        self.children.shrink_to(at + STEP);
        let mut text = Box::default();
        if !self.texts.is_empty() {
            right.texts = self.texts.split_off(at);
            self.texts.shrink_to(at + STEP);
            text = std::mem::take(&mut right.texts[0]);
        }
        let separator = (right.scores[0], text);
        (right, separator)
    }

    /// Appends the children of the right sibling, whose separator is `separator`.
    pub(super) fn append(&mut self, right: &mut Node, (score, text): Separator) {
        right.scores[0] = score;
        let needs_texts = !self.texts.is_empty() || !right.texts.is_empty() || !text.is_empty();
        if needs_texts {
            self.texts.resize_with(self.len(), Box::default);
            right.texts.resize_with(right.len(), Box::default);
            right.texts[0] = text;
            self.texts.append(&mut right.texts);
        }
        self.scores.reserve_exact(right.len());
        self.counts.reserve_exact(right.len());
        self.children.reserve_exact(right.len());
        self.scores.append(&mut right.scores);
        self.counts.append(&mut right.counts);
        self.children.append(&mut right.children);
    }

    /// Bytes of memory, itself included, by the allocator's classes.
    pub(super) fn memory(&self) -> usize {
        let texts = self.texts.iter().map(|text| class(text.len())).sum::<usize>();
        class(Shared::<Node>::allocation())
            + class(self.scores.capacity() * 8)
            + class(self.counts.capacity() * 8)
            + class(self.children.capacity() * 4)
            + class(self.texts.capacity() * size_of::<Box<[u8]>>())
            + texts
    }
}

impl Clone for Node {
    /// A node of the same capacities, so that the memory count stays valid when a shared node is
    /// copied.
    fn clone(&self) -> Node {
        Node {
            level: self.level,
            parent: self.parent,
            scores: copy(&self.scores),
            counts: copy(&self.counts),
            children: copy(&self.children),
            texts: copy(&self.texts),
        }
    }
}

fn copy<T: Clone>(parts: &Vec<T>) -> Vec<T> {
    let mut copy = Vec::with_capacity(parts.capacity());
    copy.extend_from_slice(parts);
    copy
}

/// Reserves room for one more, without doubling.
fn reserve<T>(parts: &mut Vec<T>) {
    if parts.len() == parts.capacity() {
        parts.reserve_exact(STEP);
    }
}
