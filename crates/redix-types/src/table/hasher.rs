//! The keyed hash of keys.

use siphasher::sip::SipHasher13;

/// SipHash-1-3 under a 128-bit key: fast enough for short keys, and without the key nobody can
/// choose keys that collide, even though the order of SCAN shows bits of the hash.
#[derive(Clone)]
pub struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// A hasher under the given key, which should be random and secret.
    pub fn new(key: [u8; 16]) -> Self {
        KeyHasher(SipHasher13::new_with_key(&key))
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.0.hash(key)
    }
}
