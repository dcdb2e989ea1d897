//! The size limits of nodes: the directive `list-max-listpack-size`.

/// The value of `list-max-listpack-size`: -1 to -5 for 4, 8, 16, 32 and 64 KB, otherwise a number
/// of elements, and 8 KB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    bytes_max: u32,
    /// `u32::MAX` if only bytes count.
    count_max: u32,
    /// Elements of at least this many bytes get a node of their own; 0: those larger than
    /// `bytes_max`.
    plain_from: u32,
}

/// Byte limit of a node that is limited by its number of elements, and of an element in it.
const COUNTED_BYTES_MAX: u32 = 8192;

/// Largest configurable number of elements.
const COUNT_MAX: i64 = i16::MAX as i64;

/// The overhead per element in Redis' size check.
const OVERHEAD: usize = 8;

impl Fill {
    /// From the value of the directive, clamped to its range.
    pub fn new(directive: i64) -> Fill {
        match directive {
            0.. => {
                let count_max = directive.clamp(1, COUNT_MAX) as u32;
                Fill { bytes_max: COUNTED_BYTES_MAX, count_max, plain_from: 0 }
            }
            step => Fill { bytes_max: 2048 << -step.max(-5), count_max: u32::MAX, plain_from: 0 },
        }
    }

    /// The value of the directive.
    pub fn directive(self) -> i64 {
        match self.count_max {
            u32::MAX => 11 - i64::from(self.bytes_max.ilog2()),
            count => i64::from(count),
        }
    }

    /// With another threshold of bytes for elements with a node of their own; 0 changes nothing.
    /// Source: DEBUG QUICKLIST-PACKED-THRESHOLD.
    pub fn with_plain_from(self, bytes: u32) -> Fill {
        Fill { plain_from: bytes, ..self }
    }

    /// With the threshold of `other` for elements with a node of their own.
    pub(super) fn with_plain_as(self, other: Fill) -> Fill {
        Fill { plain_from: other.plain_from, ..self }
    }

    fn bytes_max(self) -> usize {
        self.bytes_max as usize
    }

    fn count_max(self) -> usize {
        self.count_max as usize
    }

    /// Whether a node is limited by bytes.
    fn is_by_bytes(self) -> bool {
        self.count_max == u32::MAX
    }

    /// Whether a listpack of this size exceeds the limit.
    #[inline]
    pub fn is_exceeded_by(self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes_max() || count > self.count_max()
    }

    /// Whether a list of one node of this size, which has shrunk, becomes a listpack again. Half of
    /// the limit, so that it does not convert back and forth.
    pub fn is_half_met_by(self, bytes: usize, count: usize) -> bool {
        if self.is_by_bytes() {
            bytes <= self.bytes_max() / 2
        } else {
            count <= self.count_max() / 2
        }
    }

    /// Whether a list of one node of this size, just loaded, is a listpack.
    pub fn is_met_by(self, bytes: usize, count: usize) -> bool {
        if self.is_by_bytes() { bytes <= self.bytes_max() } else { count <= self.count_max() }
    }

    /// Whether an element of this length gets a node of its own.
    #[inline]
    pub(super) fn is_large(self, len: usize) -> bool {
        if self.plain_from == 0 { len > self.bytes_max() } else { len >= self.plain_from as usize }
    }

    /// Whether a node of this size has room for another element of `len` bytes.
    #[inline]
    pub(super) fn admits(self, bytes: usize, count: usize, len: usize) -> bool {
        !self.is_large(len) && !self.is_exceeded_by(bytes + len + OVERHEAD, count + 1)
    }
}
