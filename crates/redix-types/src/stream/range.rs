//! Entries between two IDs, from either end.

use super::node::{Entries, Entry};
use super::order::{Iter, IterBack};
use super::{Node, Stream, StreamId};

impl Stream {
    /// Entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let from = self.nodes.iter_back_from(&start).next().map(|(master, _)| *master);
        let nodes = self.nodes.iter_from(&from.unwrap_or(start));
        Range { nodes, entries: None, start, end }
    }

    /// Entries from `end` down to `start`, both included.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack { nodes: self.nodes.iter_back_from(&end), entries: None, start, end }
    }
}

/// Entries in ascending order.
#[derive(Clone)]
pub struct Range<'a> {
    nodes: Iter<'a, StreamId, Node>,
    entries: Option<Entries<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entries) = &mut self.entries {
                for entry in entries {
                    if entry.id > self.end {
                        return None;
                    }
                    if entry.id >= self.start {
                        return Some(entry);
                    }
                }
            }
            let (master, node) = self.nodes.next()?;
            if *master > self.end {
                return None;
            }
            self.entries = Some(node.entries(*master));
        }
    }
}

/// Entries in descending order.
#[derive(Clone)]
pub struct RangeBack<'a> {
    nodes: IterBack<'a, StreamId, Node>,
    entries: Option<Entries<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entries) = &mut self.entries {
                while let Some(entry) = entries.next_back() {
                    if entry.id < self.start {
                        return None;
                    }
                    if entry.id <= self.end {
                        return Some(entry);
                    }
                }
            }
            let (master, node) = self.nodes.next()?;
            self.entries = Some(node.entries(*master));
        }
    }
}
