//! A node of a list: a listpack with spare room before and after, or one large element.

use std::ops::Range;

use crate::block::size_class;
use crate::splice::{Splice, put, total};

/// A node.
#[derive(Clone)]
pub(super) enum Node {
    Packed(Packed),
    Plain(Box<[u8]>),
}

/// A buffer doubles up to this size, beyond it takes the allocator's next class.
const DOUBLING_MAX: usize = 8192;

/// Smallest buffer of a node.
const BUFFER_MIN: usize = 32;

impl Node {
    pub(super) fn plain(text: &[u8]) -> Node {
        Node::Plain(text.into())
    }

    pub(super) fn packed(listpack: &[u8]) -> Node {
        Node::Packed(Packed::new(listpack))
    }

    /// Bytes of the listpack or of the element.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Node::Packed(packed) => packed.bytes(),
            Node::Plain(text) => text,
        }
    }

    /// Bytes of the buffer, by the allocator's classes.
    #[inline]
    pub(super) fn buffer(&self) -> usize {
        match self {
            Node::Packed(packed) => packed.buffer.len(),
            Node::Plain(text) => size_class(text.len()),
        }
    }

    /// Shrinks the buffer of a node that is no longer at an end of its list.
    pub(super) fn tighten(&mut self) {
        if let Node::Packed(packed) = self
            && size_class(packed.len()) < packed.buffer.len() / 8 * 7
        {
            let gap = packed.at.start;
            packed
                .relocate(size_class(packed.len()), if gap > 0 { Room::Front } else { Room::Back });
        }
    }
}

/// A listpack inside a buffer of an allocator class. LPUSH and LPOP move its header only.
#[derive(Clone)]
pub(super) struct Packed {
    buffer: Box<[u8]>,
    at: Range<usize>,
}

/// Where a buffer has spare room.
#[derive(Clone, Copy)]
enum Room {
    Front,
    Back,
    Both,
}

impl Packed {
    fn new(listpack: &[u8]) -> Packed {
        let mut packed = Packed { buffer: Box::default(), at: 0..0 };
        packed.relocate_from(listpack, size_class(listpack.len()).max(BUFFER_MIN), Room::Back);
        packed
    }

    fn len(&self) -> usize {
        self.at.len()
    }

    fn relocate(&mut self, size: usize, room: Room) {
        let old = std::mem::take(&mut self.buffer);
        let at = self.at.clone();
        self.relocate_from(&old[at], size, room);
    }

    /// A new buffer of `size` bytes with the listpack in it.
    fn relocate_from(&mut self, listpack: &[u8], size: usize, room: Room) {
        let mut buffer = vec![0; size].into_boxed_slice();
        self.at = place(size, listpack.len(), room);
        buffer[self.at.clone()].copy_from_slice(listpack);
        self.buffer = buffer;
    }

    /// Inserts a gap of `by` bytes after the first `front` bytes, moving the smaller part.
    #[inline]
    fn widen(&mut self, front: usize, by: usize) {
        let towards_front = front <= self.len() - front;
        let room = if towards_front { self.at.start } else { self.buffer.len() - self.at.end };
        if room < by {
            self.make_room(by, if towards_front { Room::Front } else { Room::Back });
        }
        let start = self.at.start;
        if towards_front {
            self.buffer.copy_within(start..start + front, start - by);
            self.at.start -= by;
        } else {
            self.buffer.copy_within(start + front..self.at.end, start + front + by);
            self.at.end += by;
        }
    }

    /// Makes sure that the buffer has `by` free bytes on the wanted side: by moving the content if
    /// much of the buffer is free, otherwise by a larger buffer.
    fn make_room(&mut self, by: usize, wanted: Room) {
        let len = self.len();
        let size = grown(len + by);
        let free = self.buffer.len() - len;
        if free >= by && (free >= len / 16 || size <= self.buffer.len()) {
            // Half on each side, so that alternating pushes do not move everything each time.
            let room = if free / 2 >= by { Room::Both } else { wanted };
            let to = place(self.buffer.len(), len, room);
            self.buffer.copy_within(self.at.clone(), to.start);
            self.at = to;
        } else {
            self.relocate(size, wanted);
        }
    }

    /// Removes `by` bytes after the first `front` bytes, moving the smaller part.
    fn narrow(&mut self, front: usize, by: usize) {
        let from = self.at.start;
        let behind = from + front + by;
        if front < self.at.end - behind {
            self.buffer.copy_within(from..from + front, from + by);
            self.at.start += by;
        } else {
            self.buffer.copy_within(behind..self.at.end, behind - by);
            self.at.end -= by;
        }
    }

    /// Shrinks a buffer of which three quarters are free.
    fn shrink(&mut self) {
        let len = self.len();
        if self.buffer.len() > 4 * len.max(BUFFER_MIN) {
            let room = if self.at.start > 0 { Room::Front } else { Room::Back };
            self.relocate(2 * size_class(len).max(BUFFER_MIN), room);
        }
    }
}

/// The size of a buffer that must hold `needed` bytes.
fn grown(needed: usize) -> usize {
    if needed <= DOUBLING_MAX {
        needed.max(BUFFER_MIN).next_power_of_two()
    } else {
        size_class(needed)
    }
}

fn place(size: usize, len: usize, room: Room) -> Range<usize> {
    let start = match room {
        Room::Front => size - len,
        Room::Back => 0,
        Room::Both => (size - len) / 2,
    };
    start..start + len
}

impl Splice for Packed {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.at.clone()]
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.at.clone()]
    }

    #[inline]
    fn splice(&mut self, at: usize, remove: usize, insert: &[&[u8]]) {
        assert!(at + remove <= self.len(), "the bytes to remove lie within the value");
        let added = total(insert);
        if added > remove {
            self.widen(at + remove, added - remove);
        } else if added < remove {
            self.narrow(at + added, remove - added);
        }
        put(&mut self.bytes_mut()[at..], insert);
        if added < remove {
            self.shrink();
        }
    }
}
