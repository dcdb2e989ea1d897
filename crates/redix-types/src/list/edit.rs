//! Edits of a list. Which node an element is added to, and when nodes are split and merged, follows
//! Redis, since clients can see it.

use super::node::{Node, Packed};
use super::{CHUNK, Chunk, End, List, Place, Slot};
use crate::listpack::{self, Element, Needle};
use crate::shared::Shared;
use crate::splice::Splice;

/// The side of an element on which another is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl List {
    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, text: &[u8]) {
        match self.end_place(end) {
            Some(place) if self.admits(place, text.len()) => self.push_into(place, end, text),
            place => self.push_node(place, end, text),
        }
    }

    #[cold]
    fn push_node(&mut self, last: Option<Place>, end: End, text: &[u8]) {
        let at = match end {
            End::Head => Place { chunk: 0, slot: 0 },
            End::Tail => self.place_behind(),
        };
        let node = self.node_of(text);
        if let Some(last) = last {
            self.edit(last, Node::tighten);
        }
        self.insert_node(at, node, 1);
    }

    /// Removes the element at an end; returns whether there was one.
    #[inline]
    pub fn pop(&mut self, end: End) -> bool {
        let Some(place) = self.end_place(end) else { return false };
        if self.count(place) == 1 {
            self.remove_node(place);
            return true;
        }
        self.edit_packed(place, -1, |packed| {
            let bytes = packed.bytes();
            let at = match end {
                End::Head => listpack::HEADER,
                End::Tail => listpack::prev(bytes, listpack::end(bytes)),
            };
            listpack::delete(packed, at, 1);
        });
        true
    }

    /// Replaces the element at `index`. Panics if there is none.
    pub fn set(&mut self, index: usize, text: &[u8]) {
        let (place, within) = self.locate(index).expect("an index of the list");
        let large = self.fill.is_large(text.len());
        match (&**self.node(place), large) {
            (Node::Packed(_), false) => self.edit_packed(place, 0, |packed| {
                let at = listpack::seek(packed.bytes(), within).expect("an index of the node");
                listpack::replace(packed, at, Element::of(text));
            }),
            (Node::Plain(_), true) => self.edit(place, |node| *node = Node::plain(text)),
            (Node::Plain(_), false) => {
                self.insert_within(place, within, Side::After, text);
                let (place, _) = self.locate(index).expect("the element is still there");
                self.remove_node(place);
            }
            (Node::Packed(_), true) => self.set_large(place, within, text),
        }
    }

    /// Replaces an element of a packed node by a large one, which splits the node.
    fn set_large(&mut self, place: Place, within: usize, text: &[u8]) {
        let behind = if within + 1 < self.count(place) {
            self.split_off(place, within + 1)
        } else {
            Place { slot: place.slot + 1, ..place }
        };
        let large = self.insert_node(behind, Node::plain(text), 1);
        let before = self.prev_place(large).expect("the node that held the element");
        if self.count(before) == 1 {
            self.remove_node(before);
            return;
        }
        self.delete_within(before, self.count(before) - 1, 1);
        let large = self.next_place(before).expect("the large element follows");
        self.merge_around(large);
    }

    /// Inserts an element beside the element at `index`. Panics if there is none.
    pub fn insert(&mut self, index: usize, side: Side, text: &[u8]) {
        let (place, within) = self.locate(index).expect("an index of the list");
        self.insert_within(place, within, side, text);
    }

    fn insert_within(&mut self, place: Place, within: usize, side: Side, text: &[u8]) {
        let index = within + usize::from(side == Side::After);
        if self.admits(place, text.len()) {
            self.insert_into(place, index, text);
            return;
        }
        // At an edge the neighbour may have room; otherwise a new node is inserted between.
        let edge = match side {
            Side::Before => index == 0,
            Side::After => index == self.count(place),
        };
        if edge {
            let (neighbour, end) = match side {
                Side::Before => (self.prev_place(place), End::Tail),
                Side::After => (self.next_place(place), End::Head),
            };
            match neighbour {
                Some(neighbour) if self.admits(neighbour, text.len()) => {
                    self.push_into(neighbour, end, text);
                }
                _ => {
                    let node = self.node_of(text);
                    let slot = place.slot + usize::from(side == Side::After);
                    self.insert_node(Place { slot, ..place }, node, 1);
                }
            }
            return;
        }
        let behind = self.split_off(place, index);
        if self.fill.is_large(text.len()) {
            self.insert_node(behind, Node::plain(text), 1);
            return;
        }
        let front = self.prev_place(behind).expect("what was split has two parts");
        match side {
            Side::Before => {
                self.push_into(front, End::Tail, text);
                self.merge_around(behind);
            }
            Side::After => {
                self.push_into(behind, End::Head, text);
                self.merge_around(front);
            }
        }
    }

    /// Removes up to `count` elements from index `start` on.
    pub fn delete_range(&mut self, start: usize, count: usize) {
        let mut left = count.min(self.len.saturating_sub(start));
        while left > 0 {
            let (place, within) = self.locate(start).expect("elements are left to be deleted");
            let gone = left.min(self.count(place) - within);
            self.delete_within(place, within, gone);
            left -= gone;
        }
    }

    /// Removes up to `limit` elements with this text, the nearest to `from` first. Returns how
    /// many.
    pub fn remove_matching(&mut self, text: &[u8], limit: usize, from: End) -> usize {
        let needle = Needle::new(text);
        let mut removed = 0;
        let mut at = self.end_place(from);
        // Empty nodes are removed afterwards: positions stay valid meanwhile.
        let mut empty = Vec::new();
        while let Some(place) = at
            && removed < limit
        {
            let count = self.count(place);
            let gone = self.remove_matching_within(place, &needle, limit - removed, from);
            removed += gone;
            if gone == count {
                empty.push(place);
            }
            at = match from {
                End::Head => self.next_place(place),
                End::Tail => self.prev_place(place),
            };
        }
        if from == End::Head {
            empty.reverse();
        }
        for place in empty {
            self.remove_node(place);
        }
        removed
    }

    /// Removes matching elements from one node; if it is plain, or if all match, only returns so:
    /// the caller removes the node.
    fn remove_matching_within(
        &mut self,
        place: Place,
        needle: &Needle<'_>,
        limit: usize,
        from: End,
    ) -> usize {
        let node = self.node(place);
        let bytes = match &**node {
            Node::Plain(text) => return usize::from(needle.is(Element::Str(text))),
            Node::Packed(_) => node.bytes(),
        };
        let offsets = matching_offsets(bytes, needle, limit, from);
        if offsets.is_empty() || offsets.len() == self.count(place) {
            return offsets.len();
        }
        self.edit_packed(place, -(offsets.len() as isize), |packed| {
            for &offset in &offsets {
                listpack::delete(packed, offset, 1);
            }
        });
        offsets.len()
    }

    fn delete_within(&mut self, place: Place, within: usize, count: usize) {
        if count == self.count(place) {
            self.remove_node(place);
            return;
        }
        self.edit_packed(place, -(count as isize), |packed| {
            let at = listpack::seek(packed.bytes(), within).expect("an index of the node");
            listpack::delete(packed, at, count);
        });
    }

    fn admits(&self, place: Place, len: usize) -> bool {
        match &**self.node(place) {
            Node::Packed(packed) => self.fill.admits(packed.bytes().len(), self.count(place), len),
            Node::Plain(_) => false,
        }
    }

    fn node_of(&self, text: &[u8]) -> Node {
        if self.fill.is_large(text.len()) {
            return Node::plain(text);
        }
        let mut listpack = listpack::EMPTY.to_vec();
        listpack::append(&mut listpack, Element::of(text));
        Node::packed(&listpack)
    }

    #[inline]
    fn push_into(&mut self, place: Place, end: End, text: &[u8]) {
        self.edit_packed(place, 1, |packed| match end {
            End::Head => listpack::prepend(packed, Element::of(text)),
            End::Tail => listpack::append(packed, Element::of(text)),
        });
    }

    fn insert_into(&mut self, place: Place, index: usize, text: &[u8]) {
        self.edit_packed(place, 1, |packed| {
            let at = listpack::seek(packed.bytes(), index).expect("an index of the node");
            listpack::insert(packed, at, &[Element::of(text)]);
        });
    }

    /// Moves the elements of a node from `index` on to a new node after it, and returns its
    /// position.
    fn split_off(&mut self, place: Place, index: usize) -> Place {
        let bytes = self.node(place).bytes();
        let at = listpack::seek(bytes, index).expect("an index of the node");
        let behind = self.count(place) - index;
        let mut moved = listpack::EMPTY.to_vec();
        listpack::extend(&mut moved, &bytes[at..listpack::end(bytes)], behind);
        let moved = Node::packed(&moved);
        self.edit_packed(place, -(behind as isize), |packed| {
            listpack::delete(packed, at, behind);
        });
        self.insert_node_after(place, moved, behind)
    }

    /// Merges a node with its neighbours, and those with theirs, where two fit into one.
    fn merge_around(&mut self, centre: Place) {
        let mut centre = centre;
        if let Some(prev) = self.prev_place(centre)
            && let Some(before) = self.prev_place(prev)
        {
            centre = self.merge_before(before, prev, centre);
        }
        if let Some(next) = self.next_place(centre)
            && let Some(after) = self.next_place(next)
        {
            self.merge(next, after);
        }
        if let Some(prev) = self.prev_place(centre)
            && self.merge(prev, centre)
        {
            centre = prev;
        }
        if let Some(next) = self.next_place(centre) {
            self.merge(centre, next);
        }
    }

    /// Merges two nodes before `centre`, and returns the new position of `centre`.
    fn merge_before(&mut self, a: Place, b: Place, centre: Place) -> Place {
        if self.merge(a, b) {
            self.next_place(a).expect("the node behind those that were merged")
        } else {
            centre
        }
    }

    /// Appends node `b` to the node `a` before it if they fit into one; returns whether they did.
    fn merge(&mut self, a: Place, b: Place) -> bool {
        let (Node::Packed(front), Node::Packed(back)) = (&**self.node(a), &**self.node(b)) else {
            return false;
        };
        let bytes = front.bytes().len() + back.bytes().len() - listpack::EMPTY.len();
        let (count, added) = (self.count(a), self.count(b));
        if self.fill.is_exceeded_by(bytes, count + added) {
            return false;
        }
        let back = self.node(b).clone();
        self.remove_node(b);
        self.edit_packed(a, added as isize, |packed| {
            let bytes = back.bytes();
            listpack::extend(packed, &bytes[listpack::HEADER..listpack::end(bytes)], added);
        });
        true
    }

    /// Calls `f` to change a node, after copying what is shared with a snapshot.
    fn edit(&mut self, place: Place, f: impl FnOnce(&mut Node)) {
        let slot = &mut self.chunks[place.chunk].slots.make_mut()[place.slot];
        let node = slot.node.make_mut();
        let before = node.buffer();
        f(node);
        self.buffers = self.buffers + node.buffer() - before;
    }

    /// Calls `f` to change the listpack of a packed node, which gains `change` elements.
    #[inline]
    fn edit_packed(&mut self, place: Place, change: isize, f: impl FnOnce(&mut Packed)) {
        let chunk = &mut self.chunks[place.chunk];
        let slot = &mut chunk.slots.make_mut()[place.slot];
        let node = slot.node.make_mut();
        let before = node.buffer();
        match node {
            Node::Packed(packed) => f(packed),
            Node::Plain(_) => unreachable!("a plain node has one element and takes no other"),
        }
        self.buffers = self.buffers + node.buffer() - before;
        slot.count = slot.count.strict_add_signed(change as i32);
        chunk.sum = chunk.sum.strict_add_signed(change);
        self.len = self.len.strict_add_signed(change);
    }

    fn insert_node_after(&mut self, place: Place, node: Node, count: usize) -> Place {
        self.insert_node(Place { slot: place.slot + 1, ..place }, node, count)
    }

    /// Inserts a node before the slot at `at`, and returns its position: a full chunk is split, or
    /// left as it is if the node is inserted at one of its ends.
    pub(super) fn insert_node(&mut self, at: Place, node: Node, count: usize) -> Place {
        self.buffers += node.buffer();
        self.nodes += 1;
        self.len += count;
        let count_in_slot = u32::try_from(count).expect("a node has at most 4 G elements");
        let slot = Slot { count: count_in_slot, node: Shared::new(node) };
        let Place { mut chunk, slot: mut index } = at;
        match self.chunks.get(chunk).map(|chunk| chunk.slots.len()) {
            Some(slots) if slots < CHUNK => {}
            Some(slots) if index > 0 && index < slots => {
                self.split_chunk(chunk);
                if index > CHUNK / 2 {
                    chunk += 1;
                    index -= CHUNK / 2;
                }
            }
            _ => {
                chunk += usize::from(index > 0);
                index = 0;
                self.chunks.insert(chunk, Chunk { sum: 0, slots: Shared::new(Vec::new()) });
            }
        }
        let place = Place { chunk, slot: index };
        let chunk = &mut self.chunks[chunk];
        chunk.sum += count;
        chunk.slots.make_mut().insert(index, slot);
        place
    }

    /// Moves the second half of a full chunk to a new one after it.
    fn split_chunk(&mut self, chunk: usize) {
        let slots = self.chunks[chunk].slots.make_mut().split_off(CHUNK / 2);
        let sum = slots.iter().map(|slot| slot.count as usize).sum();
        self.chunks[chunk].sum -= sum;
        self.chunks.insert(chunk + 1, Chunk { sum, slots: Shared::new(slots) });
    }

    fn remove_node(&mut self, place: Place) {
        let chunk = &mut self.chunks[place.chunk];
        let slot = chunk.slots.make_mut().remove(place.slot);
        let count = slot.count as usize;
        chunk.sum -= count;
        self.len -= count;
        self.nodes -= 1;
        self.buffers -= slot.node.buffer();
        if chunk.slots.is_empty() {
            self.chunks.remove(place.chunk);
        }
    }
}

/// Offsets of up to `limit` elements of a listpack with a text, the nearest to `from` first; sorted
/// descending, so that deleting one does not move the others.
pub(super) fn matching_offsets(
    bytes: &[u8],
    needle: &Needle<'_>,
    limit: usize,
    from: End,
) -> Vec<usize> {
    let matching = |&(_, element): &(usize, Element<'_>)| needle.is(element);
    let offset = |(offset, _): (usize, Element<'_>)| offset;
    let elements = listpack::iter(bytes);
    match from {
        End::Tail => elements.rev().filter(matching).map(offset).take(limit).collect(),
        End::Head => {
            let mut offsets: Vec<_> = elements.filter(matching).map(offset).take(limit).collect();
            offsets.reverse();
            offsets
        }
    }
}
