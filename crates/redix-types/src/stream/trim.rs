//! Trimming: dropping the oldest entries.

use super::{Node, Order, Stream, StreamId};
use crate::value::HeapValue;

/// What is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// At most so many entries.
    Len(u64),
    /// Those from this ID on.
    From(StreamId),
}

/// How to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    pub cut: Cut,
    /// Only whole nodes go.
    pub approximate: bool,
    /// At most so many entries go, counted by nodes; 0: no limit.
    pub limit: u64,
    /// Which entries stay for the sake of groups.
    pub keep: Refusal,
}

/// What trimming does about entries that groups refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// They go; what is pending of them stays pending.
    None,
    /// They go, and are no longer pending.
    Forgotten,
    /// They stay, if a group has yet to read or to acknowledge them.
    Referenced,
}

impl Stream {
    /// Drops the oldest entries. How many went, and what is left to be freed.
    pub fn trim(&mut self, trim: Trim) -> (u64, Option<HeapValue>) {
        let mut dropped = Order::default();
        let mut deleted = 0;
        match trim.keep {
            Refusal::None => {
                while self.drop_first_node(trim, deleted) {
                    let (master, node) = self.nodes.pop_first().expect("it was just looked at");
                    self.len -= u64::from(node.live);
                    self.blocks -= node.block.size();
                    deleted += u64::from(node.live);
                    dropped.insert(master, node);
                }
                if !trim.approximate {
                    deleted += self.trim_first_node(trim);
                }
            }
            Refusal::Forgotten | Refusal::Referenced => deleted = self.trim_by_reference(trim),
        }
        if deleted > 0 {
            self.find_first();
        }
        let garbage = Stream { nodes: dropped, ..Stream::default() };
        let is_garbage = !garbage.nodes.is_empty();
        (deleted, is_garbage.then(|| HeapValue::Stream(Box::new(garbage))))
    }

    /// Whether the first node goes as a whole.
    fn drop_first_node(&self, trim: Trim, deleted: u64) -> bool {
        let Some((master, node)) = self.nodes.first() else { return false };
        let live = u64::from(node.live);
        if trim.limit > 0 && deleted + live > trim.limit {
            return false;
        }
        match trim.cut {
            Cut::Len(len) => self.len > len && self.len - live >= len,
            Cut::From(first) => {
                let last = node.entries(*master).last_id();
                *master < first && last.is_none_or(|last| last < first)
            }
        }
    }

    /// Marks entries of the first node as deleted; how many.
    fn trim_first_node(&mut self, trim: Trim) -> u64 {
        let Some((master, node)) = self.nodes.first() else { return 0 };
        let master = *master;
        let excess = match trim.cut {
            Cut::Len(len) => self.len.saturating_sub(len),
            Cut::From(_) => u64::MAX,
        };
        let goes = |id: StreamId| match trim.cut {
            Cut::Len(_) => true,
            Cut::From(first) => id < first,
        };
        let entries = node.entries(master).take_while(|entry| goes(entry.id));
        let excess = usize::try_from(excess).unwrap_or(usize::MAX);
        let offsets: Vec<usize> = entries.take(excess).map(|entry| entry.offset()).collect();
        if !offsets.is_empty() {
            self.nodes.get_mut(&master).expect("it was just looked at").erase(&offsets);
            self.len -= offsets.len() as u64;
        }
        offsets.len() as u64
    }

    /// Drops entries one by one, as they are referred to by groups. Source: Redis 8.2, which does
    /// not trim so approximately, and which goes on to the next node only if the length would have
    /// allowed to drop the whole one.
    fn trim_by_reference(&mut self, trim: Trim) -> u64 {
        if trim.approximate {
            return 0;
        }
        let lies_before = |master: &StreamId| match trim.cut {
            Cut::Len(_) => true,
            Cut::From(first) => *master < first,
        };
        let nodes = self.nodes.iter().take_while(|(master, _)| lies_before(master));
        let nodes: Vec<(StreamId, u64)> =
            nodes.map(|(master, node)| (*master, u64::from(node.live))).collect();
        let mut deleted = 0;
        for (master, live) in nodes {
            let goes_on = match trim.cut {
                Cut::Len(len) => self.len.saturating_sub(live) >= len,
                Cut::From(_) => true,
            };
            deleted += self.trim_node_by_reference(master, trim);
            if !goes_on {
                break;
            }
        }
        deleted
    }

    fn trim_node_by_reference(&mut self, master: StreamId, trim: Trim) -> u64 {
        let node: &Node = self.nodes.get(&master).expect("it was just looked at");
        let ids: Vec<StreamId> = node.entries(master).map(|entry| entry.id).collect();
        let mut deleted = 0;
        for id in ids {
            let goes = match trim.cut {
                Cut::Len(len) => self.len > len,
                Cut::From(first) => id < first,
            };
            if !goes {
                break;
            }
            if trim.keep == Refusal::Referenced && self.is_referenced(id) {
                continue;
            }
            if trim.keep == Refusal::Forgotten {
                self.forget(id);
            }
            deleted += u64::from(self.erase(id));
        }
        deleted
    }
}
