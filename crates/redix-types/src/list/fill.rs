//! How full a node may be: the directive `list-max-listpack-size`.

/// What `list-max-listpack-size` says: -1 to -5 for 4, 8, 16, 32 and 64 KB, otherwise a number of
/// elements, and 8 KB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    bytes_max: u32,
    /// `u32::MAX` where only bytes count.
    count_max: u32,
    /// Elements of so many bytes and more get a node of their own; 0: of more than `bytes_max`.
    plain_from: u32,
}

/// Most bytes of a node that is limited by its number of elements, and of an element in it.
const COUNTED_BYTES_MAX: u32 = 8192;

/// Most elements that can be asked for.
const COUNT_MAX: i64 = i16::MAX as i64;

/// What a push adds at most to an element's length, by Redis' reckoning.
const OVERHEAD: usize = 8;

impl Fill {
    /// From the value of the directive. What is beyond its ends means the ends.
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

    /// The same, but that elements of `bytes` bytes and more get a node of their own; 0 changes
    /// nothing. Source: DEBUG QUICKLIST-PACKED-THRESHOLD.
    pub fn with_plain_from(self, bytes: u32) -> Fill {
        Fill { plain_from: bytes, ..self }
    }

    /// The same as before, but for which elements get a node of their own.
    pub(super) fn with_plain_as(self, other: Fill) -> Fill {
        Fill { plain_from: other.plain_from, ..self }
    }

    fn bytes_max(self) -> usize {
        self.bytes_max as usize
    }

    fn count_max(self) -> usize {
        self.count_max as usize
    }

    /// Whether bytes are what limits a node.
    fn is_by_bytes(self) -> bool {
        self.count_max == u32::MAX
    }

    /// Whether a listpack of so many bytes and elements is too large.
    #[inline]
    pub fn is_exceeded_by(self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes_max() || count > self.count_max()
    }

    /// Whether a list in one node of so many bytes and elements should be a mere listpack again,
    /// after it has shrunk. Half of what makes it a list, so that it does not change each time.
    pub fn is_half_met_by(self, bytes: usize, count: usize) -> bool {
        if self.is_by_bytes() {
            bytes <= self.bytes_max() / 2
        } else {
            count <= self.count_max() / 2
        }
    }

    /// Whether a list in one node of so many bytes and elements, just loaded, is a mere listpack.
    pub fn is_met_by(self, bytes: usize, count: usize) -> bool {
        if self.is_by_bytes() { bytes <= self.bytes_max() } else { count <= self.count_max() }
    }

    /// Whether an element of that length gets a node of its own.
    #[inline]
    pub(super) fn is_large(self, len: usize) -> bool {
        if self.plain_from == 0 { len > self.bytes_max() } else { len >= self.plain_from as usize }
    }

    /// Whether a node of so many bytes and elements takes another element of `len` bytes.
    #[inline]
    pub(super) fn admits(self, bytes: usize, count: usize, len: usize) -> bool {
        !self.is_large(len) && !self.is_exceeded_by(bytes + len + OVERHEAD, count + 1)
    }
}
