//! Bytes that can be edited in place, whoever owns them.
//!
//! Packed values (listpacks, intsets) are edited by the same code whether they are in a vector, in
//! a node of a list or inside an entry; only the allocation differs.

impl<S: Splice> Splice for &mut S {
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        (**self).bytes_mut()
    }

    fn splice(&mut self, at: usize, remove: usize, insert: &[&[u8]]) {
        (**self).splice(at, remove, insert);
    }
}

#[cfg(test)]
mod tests;

/// Bytes that can be edited in place: a vector, a list node, or the compact value inside an entry.
pub trait Splice {
    /// The bytes as they are.
    fn bytes(&self) -> &[u8];

    /// The bytes, for changes that keep their number.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Replaces the `remove` bytes at `at` by the concatenated pieces of `insert`. Panics if `at +
    /// remove` is past the end.
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
        let old = self.len();
        let added = total(insert);
        let tail = at + remove..old;
        assert!(tail.start <= old, "the bytes to remove lie within the value");
        if added > remove {
            self.resize(old + added - remove, 0);
        }
        self.copy_within(tail, at + added);
        self.truncate(old + added - remove);
        put(&mut self[at..], insert);
    }
}

/// Total length of the pieces.
pub fn total(pieces: &[&[u8]]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}

/// Writes the concatenated pieces to the start of `to`.
pub fn put(to: &mut [u8], pieces: &[&[u8]]) {
    let mut rest = to;
    for piece in pieces {
        let (here, after) = rest.split_at_mut(piece.len());
        here.copy_from_slice(piece);
        rest = after;
    }
}
