//! Leaves: packed pages whose column is the score, in order of score and member.

use super::Cut;
use crate::block::{Block, HEAD, size_class};
use crate::packed::{self, New};

/// Bytes of content, header included, above which a leaf is split.
pub(super) const WEIGHT_MAX: usize = 1024;

/// Bytes of a score.
const SCORE: usize = size_of::<f64>();

#[inline(always)]
pub(crate) fn score(leaf: &Block, at: usize) -> f64 {
    f64::from_le_bytes(packed::column::<SCORE>(leaf, at))
}

pub(super) fn set_score(leaf: &mut Block, at: usize, score: f64) {
    packed::set_column::<SCORE>(leaf, at, score.to_le_bytes());
}

#[inline(always)]
pub(crate) fn member(leaf: &Block, at: usize) -> &[u8] {
    packed::get(leaf, at).bytes()
}

/// The first position after a cut.
#[inline]
pub(super) fn position(leaf: &Block, cut: Cut<'_>) -> usize {
    let (mut low, mut size) = (0, leaf.n());
    while size > 0 {
        let middle = low + size / 2;
        if cut.is_behind(score(leaf, middle), || member(leaf, middle)) {
            size -= size / 2 + 1;
            low = middle + 1;
        } else {
            size /= 2;
        }
    }
    low
}

pub(super) fn insert(leaf: &mut Block, at: usize, tag: u8, score: f64, member: &[u8]) {
    let score = score.to_le_bytes();
    if member.len() <= packed::INLINE_MAX {
        packed::insert(leaf, at, tag, score, New::Inline(&[member]));
    } else {
        packed::insert(leaf, at, tag, score, New::Outside(Block::from_parts(&[member])));
    }
}

pub(super) fn remove(leaf: &mut Block, at: usize) {
    packed::remove::<SCORE>(leaf, at);
}

/// Splits off the elements from `at` on.
pub(super) fn split(leaf: &mut Block, at: usize) -> Block {
    let (left, right) = packed::split_at::<SCORE>(leaf, at);
    *leaf = left;
    right
}

pub(super) fn append(leaf: &mut Block, right: &Block) {
    packed::append_all::<SCORE>(leaf, right);
}

#[inline]
pub(super) fn weight(leaf: &Block) -> usize {
    packed::weight::<SCORE>(leaf)
}

/// Memory of a member that is stored outside its leaf, in bytes.
pub(super) fn outside(member_len: usize) -> usize {
    if member_len <= packed::INLINE_MAX { 0 } else { size_class(HEAD + member_len) }
}
