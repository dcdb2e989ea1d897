//! Arguments that must not be shown.

use std::ops::Range;

use smallvec::SmallVec;

/// Ranges whose memory is kept for the next command.
const KEPT: usize = 2;

/// Indexes of arguments of the current command that MONITOR and SLOWLOG must not show, as disjoint
/// ranges in ascending order. A command may have a million of them.
#[derive(Debug, Default)]
pub struct Secrets(SmallVec<[Range<usize>; KEPT]>);

impl Secrets {
    /// Adds arguments, which lie behind those added before.
    pub fn add(&mut self, args: Range<usize>) {
        match self.0.last_mut() {
            Some(last) if last.end >= args.start => last.end = last.end.max(args.end),
            _ => self.0.push(args),
        }
    }

    /// Whether this argument is one of them.
    pub fn contains(&self, index: usize) -> bool {
        let next = self.0.partition_point(|range| range.end <= index);
        self.0.get(next).is_some_and(|range| range.contains(&index))
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets them, at the end of the command.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_and_joined() {
        let mut secrets = Secrets::default();
        [1..1, 1..2, 2..4, 6..8, 20..30].into_iter().for_each(|range| secrets.add(range));
        let found: Vec<usize> = (0..40).filter(|index| secrets.contains(*index)).collect();
        let expected: Vec<usize> = (1..4).chain(6..8).chain(20..30).collect();
        assert_eq!((found, secrets.0.len()), (expected, 3));
        secrets.clear();
        assert!(secrets.is_empty() && !secrets.contains(1));
    }
}
