//! Lists too large for one listpack: nodes in an order that counts.
//!
//! ```text
//! List ── chunks of up to 128 slots, and how many elements each has
//!              └─ slot: elements in the node, counted reference ── node ── buffer
//! ```
//!
//! A node is a listpack of up to the size or the count that `list-max-listpack-size` says, or one
//! element too large for that (a *plain* node). Where nodes begin and end, are split and merged,
//! follows Redis' quicklist: OBJECT ENCODING depends on it (a list of one small node is a listpack
//! again), and so do the bytes of DUMP. What differs is how a node is found: by sums instead of a
//! walk, and that a push to the front moves the six bytes of a header instead of the whole node.
//!
//! `clone` is a snapshot: it counts the chunks, one in 128 nodes. The first write to a node
//! afterwards copies its chunk (128 counts) and the node. One level, an array of nodes, was
//! rejected: a snapshot would have to touch every node.
//!
//! **Invariants** (checked by `List::check` in the tests):
//! * L1: no chunk and no node is empty; a chunk has at most [`CHUNK`] slots.
//! * L2: a slot's count is that of its node, a chunk's sum that of its slots, `len` that of all.
//! * L3: `buffers` is the sum of the buffers of the nodes, `nodes` their number.
//!
//! Cost: an element is found in O(chunks + 128 + elements of a node); pushes and pops are O(1).
//! Source of the rules: `quicklist.c` of Valkey 9.1.

use std::collections::VecDeque;
use std::fmt;

use crate::block::size_class;
use crate::listpack::{self, Element};
use crate::shared::Shared;

mod edit;
mod fill;
mod node;
#[cfg(test)]
mod tests;
mod view;

pub use edit::Side;
pub use fill::Fill;
use node::Node;
pub use view::{ListEdit, ListRef};

/// Slots of a chunk.
const CHUNK: usize = 128;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Head,
    Tail,
}

/// A list of nodes. `clone` shares all of them until one side writes.
#[derive(Clone)]
pub struct List {
    chunks: VecDeque<Chunk>,
    len: usize,
    nodes: usize,
    buffers: usize,
    fill: Fill,
}

#[derive(Clone)]
struct Chunk {
    sum: usize,
    slots: Shared<Vec<Slot>>,
}

#[derive(Clone)]
struct Slot {
    count: u32,
    node: Shared<Node>,
}

/// The position of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    chunk: usize,
    slot: usize,
}

/// The content of a node, as files contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRef<'a> {
    /// A listpack.
    Packed(&'a [u8]),
    /// One element.
    Plain(&'a [u8]),
}

impl List {
    /// An empty list, whose nodes are filled according to `fill`.
    pub fn new(fill: Fill) -> List {
        List { chunks: VecDeque::new(), len: 0, nodes: 0, buffers: 0, fill }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes
    }

    /// The size limits of nodes.
    pub fn fill(&self) -> Fill {
        self.fill
    }

    /// Bytes of memory of the list by the allocator's classes, O(1). Spare capacity of chunks is
    /// not counted.
    pub fn memory(&self) -> usize {
        let per_node = size_class(Shared::<Node>::allocation()) + size_of::<Slot>();
        let per_chunk = size_class(Shared::<Vec<Slot>>::allocation());
        let order = size_class(self.chunks.capacity() * size_of::<Chunk>());
        self.buffers + self.nodes * per_node + self.chunks.len() * per_chunk + order
    }

    /// Number of allocations to free.
    pub fn weight(&self) -> usize {
        2 * self.nodes + 2 * self.chunks.len()
    }

    /// Frees about `budget` allocations, from the tail; returns whether all are freed. The rest
    /// must not be used otherwise.
    pub fn free_step(&mut self, budget: usize) -> bool {
        let mut spent = 0;
        while spent < budget {
            let Some(chunk) = self.chunks.back_mut() else { break };
            let slots = chunk.slots.get_mut();
            // Shared pieces are freed by their last owner.
            if slots.is_none_or(|slots| slots.pop().is_none()) {
                self.chunks.pop_back();
            }
            spent += 2;
        }
        self.chunks.is_empty()
    }

    /// Appends a listpack as a node of its own; an empty one is skipped. The bytes have been
    /// validated.
    pub fn append_listpack(&mut self, listpack: &[u8]) {
        let count = listpack::len(listpack);
        if count > 0 {
            self.insert_node(self.place_behind(), Node::packed(listpack), count);
        }
    }

    /// Appends an element as a plain node.
    pub fn append_plain(&mut self, text: &[u8]) {
        self.insert_node(self.place_behind(), Node::plain(text), 1);
    }

    /// The listpack of the only node, if there is exactly one and it is packed.
    pub fn only_listpack(&self) -> Option<&[u8]> {
        match self.nodes().next() {
            Some(NodeRef::Packed(bytes)) if self.nodes == 1 => Some(bytes),
            _ => None,
        }
    }

    /// The nodes from head to tail.
    pub fn nodes(&self) -> impl Iterator<Item = NodeRef<'_>> {
        self.chunks.iter().flat_map(|chunk| chunk.slots.iter()).map(|slot| match &*slot.node {
            Node::Packed(_) => NodeRef::Packed(slot.node.bytes()),
            Node::Plain(text) => NodeRef::Plain(text),
        })
    }

    /// The element at `index`, counted from the head.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        let (place, within) = self.locate(index)?;
        match &**self.node(place) {
            Node::Packed(_) => listpack::get(self.node(place).bytes(), within),
            Node::Plain(text) => Some(Element::Str(text)),
        }
    }

    /// The element at an end.
    pub fn peek(&self, end: End) -> Option<Element<'_>> {
        let node = self.node(self.end_place(end)?);
        let bytes = match &**node {
            Node::Packed(_) => node.bytes(),
            Node::Plain(text) => return Some(Element::Str(text)),
        };
        let at = match end {
            End::Head => listpack::HEADER,
            End::Tail => listpack::prev(bytes, listpack::end(bytes)),
        };
        Some(listpack::read(bytes, at).0)
    }

    fn node(&self, place: Place) -> &Shared<Node> {
        &self.chunks[place.chunk].slots[place.slot].node
    }

    fn count(&self, place: Place) -> usize {
        self.chunks[place.chunk].slots[place.slot].count as usize
    }

    /// The node that holds the element at `index`, and the element's index in it.
    fn locate(&self, index: usize) -> Option<(Place, usize)> {
        if index >= self.len {
            return None;
        }
        let mut chunk;
        let mut rest;
        if index < self.len / 2 {
            (chunk, rest) = (0, index);
            while rest >= self.chunks[chunk].sum {
                rest -= self.chunks[chunk].sum;
                chunk += 1;
            }
        } else {
            // `begin` is the index of the chunk's first element, from the last chunk down.
            chunk = self.chunks.len() - 1;
            let mut begin = self.len - self.chunks[chunk].sum;
            while index < begin {
                chunk -= 1;
                begin -= self.chunks[chunk].sum;
            }
            rest = index - begin;
        }
        for (slot, Slot { count, .. }) in self.chunks[chunk].slots.iter().enumerate() {
            let count = *count as usize;
            if rest < count {
                return Some((Place { chunk, slot }, rest));
            }
            rest -= count;
        }
        unreachable!("L2: a chunk's sum is that of its slots")
    }

    fn end_place(&self, end: End) -> Option<Place> {
        let chunk = match end {
            End::Head => 0,
            End::Tail => self.chunks.len().checked_sub(1)?,
        };
        let slots = &self.chunks.get(chunk)?.slots;
        let slot = match end {
            End::Head => 0,
            End::Tail => slots.len() - 1,
        };
        Some(Place { chunk, slot })
    }

    /// The insertion position after the last node.
    fn place_behind(&self) -> Place {
        match self.end_place(End::Tail) {
            Some(last) => Place { slot: last.slot + 1, ..last },
            None => Place { chunk: 0, slot: 0 },
        }
    }

    fn next_place(&self, place: Place) -> Option<Place> {
        if place.slot + 1 < self.chunks[place.chunk].slots.len() {
            Some(Place { slot: place.slot + 1, ..place })
        } else {
            let chunk = place.chunk + 1;
            (chunk < self.chunks.len()).then_some(Place { chunk, slot: 0 })
        }
    }

    fn prev_place(&self, place: Place) -> Option<Place> {
        if place.slot > 0 {
            Some(Place { slot: place.slot - 1, ..place })
        } else {
            let chunk = place.chunk.checked_sub(1)?;
            Some(Place { chunk, slot: self.chunks[chunk].slots.len() - 1 })
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("len", &self.len).field("nodes", &self.nodes).finish()
    }
}

/// An iterator over elements towards one end.
#[derive(Clone)]
pub struct Iter<'a> {
    towards: End,
    /// The list and the current node; `None` for a listpack.
    place: Option<(&'a List, Place)>,
    /// The remaining elements of that node, or of the listpack.
    rest: Rest<'a>,
}

#[derive(Clone)]
enum Rest<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Iter<'a> {
    fn of_list(list: &'a List, index: usize, towards: End) -> Self {
        let mut iter = Iter { towards, place: None, rest: Rest::Plain(None) };
        if let Some((place, within)) = list.locate(index) {
            iter.enter(list, place, Some(within));
        }
        iter
    }

    fn of_listpack(bytes: &'a [u8], index: usize, towards: End) -> Self {
        let rest = match listpack::seek(bytes, index) {
            Some(at) if at < listpack::end(bytes) => within(bytes, Some(index), towards),
            _ => Rest::Plain(None),
        };
        Iter { towards, place: None, rest }
    }

    /// Enters a node at the element `index`, or at its first element in the direction of iteration.
    fn enter(&mut self, list: &'a List, place: Place, index: Option<usize>) {
        self.place = Some((list, place));
        let node = list.node(place);
        self.rest = match &**node {
            Node::Plain(text) => Rest::Plain(Some(text)),
            Node::Packed(_) => within(node.bytes(), index, self.towards),
        };
    }
}

/// The elements of a listpack from `index` on, or all.
fn within(bytes: &[u8], index: Option<usize>, towards: End) -> Rest<'_> {
    let (first, end) = (listpack::HEADER, listpack::end(bytes));
    let at = |index| listpack::seek(bytes, index).expect("an index within the node");
    let (from, to) = match (index, towards) {
        (None, _) => (first, end),
        (Some(index), End::Tail) => (at(index), end),
        (Some(index), End::Head) => (first, at(index + 1)),
    };
    Rest::Packed(listpack::iter_between(bytes, from, to))
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let found = match (&mut self.rest, self.towards) {
                (Rest::Packed(rest), End::Tail) => rest.next().map(|(_, element)| element),
                (Rest::Packed(rest), End::Head) => rest.next_back().map(|(_, element)| element),
                (Rest::Plain(text), _) => text.take().map(Element::Str),
            };
            if found.is_some() {
                return found;
            }
            let (list, place) = self.place.take()?;
            let place = match self.towards {
                End::Tail => list.next_place(place),
                End::Head => list.prev_place(place),
            };
            self.enter(list, place?, None);
        }
    }
}
