//! Uniform sampling from a walk of known length.

/// Selection sampling: every choice of positions is equally likely. Source: Knuth, *The Art of
/// Computer Programming*, volume 2, section 3.4.2, algorithm S.
pub(super) struct Picks {
    wanted: usize,
    left: usize,
}

impl Picks {
    /// Chooses `wanted` of `total` positions, or all if there are no more.
    pub(super) fn new(wanted: usize, total: usize) -> Self {
        Picks { wanted: wanted.min(total), left: total }
    }

    /// Whether the next position is chosen.
    pub(super) fn next(&mut self, random: &mut dyn FnMut() -> u64) -> bool {
        let chosen = self.wanted > 0
            && (self.wanted == self.left || below(random(), self.left) < self.wanted);
        self.left -= 1;
        self.wanted -= usize::from(chosen);
        chosen
    }
}

/// A number below `end`, from a random number; 0 if `end` is 0.
pub(super) fn below(word: u64, end: usize) -> usize {
    ((u128::from(word) * end as u128) >> 64) as usize
}
