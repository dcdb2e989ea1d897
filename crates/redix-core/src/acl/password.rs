//! The passwords of a user.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::RuleError;

/// A SHA-256 digest.
type Hash = [u8; 32];

/// The passwords that a user may give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passwords {
    any: bool,
    hashes: Vec<Hash>,
}

impl Passwords {
    /// Whether any password is accepted (`nopass`).
    pub fn is_any(&self) -> bool {
        self.any
    }

    /// Accepts any password.
    pub(super) fn accept_any(&mut self) {
        *self = Self { any: true, hashes: Vec::new() };
    }

    /// Accepts none.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Accepts this password alone, or any if it is empty.
    pub(super) fn require(&mut self, password: &[u8]) {
        self.clear();
        if password.is_empty() {
            self.any = true;
        } else {
            self.add(digest(password));
        }
    }

    pub(super) fn add(&mut self, hash: Hash) {
        if !self.hashes.contains(&hash) {
            self.hashes.push(hash);
        }
        self.any = false;
    }

    pub(super) fn remove(&mut self, hash: &Hash) -> Result<(), RuleError> {
        let at = self.hashes.iter().position(|known| known == hash);
        self.hashes.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    /// Whether `password` is accepted. Takes the same time for each of the digests, whichever fits.
    pub fn accepts(&self, password: &[u8]) -> bool {
        let given = digest(password);
        let fits =
            |hash: &Hash| hash.iter().zip(&given).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0;
        self.hashes.iter().fold(false, |any, hash| any | fits(hash)) | self.any
    }

    /// The digests in hexadecimal digits.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.hashes.iter().map(|hash| {
            hash.iter().fold(String::with_capacity(64), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a string takes everything");
                text
            })
        })
    }
}

/// The digest of a password.
pub(super) fn digest(password: &[u8]) -> Hash {
    Sha256::digest(password).into()
}

/// Reads a digest of 64 lower-case hexadecimal digits.
pub(super) fn parse(text: &[u8]) -> Result<Hash, RuleError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() {
        return Err(RuleError::BadHash);
    }
    for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or(RuleError::BadHash)?;
        *byte = high << 4 | low;
    }
    Ok(hash)
}
