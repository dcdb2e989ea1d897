//! Bytes that can be edited in place, wherever they lie.
//!
//! The compact forms of collections are edited through this, so that the same code works on the
//! bytes inside an entry, on the heap, and in a node of a list.

/// Bytes of a value that can be edited in place.
pub trait Splice {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The bytes, to overwrite some of them.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Replaces `remove` bytes at `at` by the pieces of `insert`, one behind the other. Panics if
    /// there are no such bytes.
    fn splice(&mut self, at: usize, remove: usize, insert: &[&[u8]]);
}

impl Splice for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn splice(&mut self, at: usize, remove: usize, insert: &[&[u8]]) {
        let added: usize = insert.iter().map(|piece| piece.len()).sum();
        let (len, tail) = (self.len(), at + remove);
        assert!(tail <= len, "bytes to replace must exist");
        if added > remove {
            self.resize(len + added - remove, 0);
        }
        self.copy_within(tail..len, at + added);
        self.truncate(len + added - remove);
        let mut to = at;
        for piece in insert {
            self[to..to + piece.len()].copy_from_slice(piece);
            to += piece.len();
        }
    }
}

#[cfg(test)]
mod tests;
