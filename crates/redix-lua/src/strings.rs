//! The strings of an engine.
//!
//! Strings up to [`SHORT_MAX`] bytes are interned, so that equality and the lookup of a field
//! compare handles. Hashes are SipHash-1-3 under the engine's seed: a script cannot choose strings
//! that collide.

use std::cell::Cell;

use siphasher::sip::SipHasher13;

use crate::heap::{Budget, NoMemory};
use crate::slab::Slab;
use crate::value::Str;

/// Longer strings are not interned.
pub(crate) const SHORT_MAX: usize = 40;

/// What a string costs besides its bytes: slot, allocation, entry of the interner.
const OVERHEAD: usize = 88;

struct Text {
    bytes: Box<[u8]>,
    /// The upper half of the hash; of a long string 0 until it is asked for.
    hash: Cell<u32>,
}

pub(crate) struct Strings {
    texts: Slab<Text>,
    /// Open addressing over the short strings: index + 1 in the slab, 0 for empty.
    interned: Vec<(u32, Option<Str>)>,
    count: usize,
    hasher: SipHasher13,
}

impl Strings {
    pub(crate) fn new(seed: (u64, u64)) -> Self {
        Self {
            texts: Slab::new(),
            interned: vec![(0, None); 256],
            count: 0,
            hasher: SipHasher13::new_with_keys(seed.0, seed.1),
        }
    }

    #[inline]
    pub(crate) fn bytes(&self, s: Str) -> &[u8] {
        &self.texts.get(s.handle()).bytes
    }

    /// Equality of content.
    #[inline]
    pub(crate) fn equal(&self, a: Str, b: Str) -> bool {
        a == b || (a.is_long() && b.is_long() && self.bytes(a) == self.bytes(b))
    }

    /// A hash that equal strings share.
    #[inline]
    pub(crate) fn hash(&self, s: Str) -> u32 {
        if s.is_long() {
            return self.long_hash(s);
        }
        Self::short_hash(s)
    }

    /// The handle of a short string identifies it.
    #[inline]
    pub(crate) fn short_hash(s: Str) -> u32 {
        s.0.index.wrapping_mul(0x9E37_79B1).rotate_left(16)
    }

    fn long_hash(&self, s: Str) -> u32 {
        let text = self.texts.get(s.handle());
        if text.hash.get() == 0 {
            text.hash.set(self.hash_of(&text.bytes) | 1);
        }
        text.hash.get()
    }

    fn hash_of(&self, bytes: &[u8]) -> u32 {
        (self.hasher.hash(bytes) >> 32) as u32
    }

    pub(crate) fn new_str(&mut self, bytes: &[u8], budget: &mut Budget) -> Result<Str, NoMemory> {
        if bytes.len() > SHORT_MAX {
            budget.charge(bytes.len() + OVERHEAD)?;
            let mut copy = Vec::new();
            copy.try_reserve_exact(bytes.len()).map_err(|_| NoMemory)?;
            copy.extend_from_slice(bytes);
            return Ok(self.insert_long(copy));
        }
        let hash = self.hash_of(bytes);
        let mask = self.interned.len() - 1;
        let mut at = hash as usize & mask;
        while let (other, Some(s)) = self.interned[at] {
            if other == hash && self.bytes(s) == bytes {
                return Ok(s);
            }
            at = (at + 1) & mask;
        }
        budget.charge(bytes.len() + OVERHEAD)?;
        let handle = self.texts.insert(Text { bytes: bytes.into(), hash: Cell::new(hash) });
        let s = Str::short(handle);
        self.interned[at] = (hash, Some(s));
        self.count += 1;
        if self.count * 4 > self.interned.len() * 3 {
            self.rebuild(self.interned.len() * 2);
        }
        Ok(s)
    }

    /// As [`Self::new_str`], but takes the bytes of a long string without a copy.
    pub(crate) fn take_str(
        &mut self,
        bytes: Vec<u8>,
        budget: &mut Budget,
    ) -> Result<Str, NoMemory> {
        if bytes.len() <= SHORT_MAX {
            return self.new_str(&bytes, budget);
        }
        budget.charge(bytes.len() + OVERHEAD)?;
        Ok(self.insert_long(bytes))
    }

    fn insert_long(&mut self, bytes: Vec<u8>) -> Str {
        let text = Text { bytes: bytes.into_boxed_slice(), hash: Cell::new(0) };
        Str::long(self.texts.insert(text))
    }

    fn rebuild(&mut self, size: usize) {
        let mask = size - 1;
        let mut table = vec![(0, None); size];
        let mut count = 0;
        for (handle, text) in self.texts.iter() {
            if text.bytes.len() > SHORT_MAX {
                continue;
            }
            let hash = text.hash.get();
            let mut at = hash as usize & mask;
            while table[at].1.is_some() {
                at = (at + 1) & mask;
            }
            table[at] = (hash, Some(Str::short(handle)));
            count += 1;
        }
        self.interned = table;
        self.count = count;
    }

    #[inline]
    pub(crate) fn mark(&mut self, s: Str) {
        self.texts.mark(s.handle());
    }

    pub(crate) fn is_marked(&self, s: Str) -> bool {
        self.texts.is_marked(s.handle())
    }

    pub(crate) fn sweep(&mut self, budget: &mut Budget) {
        self.texts.sweep(|text| budget.release(text.bytes.len() + OVERHEAD));
        let live = self.texts.iter().filter(|(_, text)| text.bytes.len() <= SHORT_MAX).count();
        self.rebuild((live * 2).next_power_of_two().max(256));
    }
}
