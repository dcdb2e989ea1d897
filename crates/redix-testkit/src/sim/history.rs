//! The observed states of the servers' streams, and their consistency.

use std::collections::BTreeMap;

use redix_core::repl::log::ReplId;

use super::process::Process;

/// One in this many observations of an unchanged server is a full one.
const UNCHANGED_EVERY: u64 = 8;

/// A position in a stream: the index of its id, and an offset.
type Place = (usize, u64);

#[derive(Clone, Copy, Default)]
struct Last {
    place: Option<Place>,
    digest: u64,
}

/// All observations so far.
pub(super) struct History {
    names: Vec<ReplId>,
    /// The digest that a server had at a position, and which one was seen there first.
    held: BTreeMap<Place, (u64, usize)>,
    last: Vec<Last>,
    unchanged: u64,
    /// Positions at which a second server was observed.
    pub(super) compared: u64,
}

impl History {
    /// An empty history of `nodes` servers.
    pub(super) fn new(nodes: usize) -> Self {
        let last = vec![Last::default(); nodes];
        Self { names: Vec::new(), held: BTreeMap::new(), last, unchanged: 0, compared: 0 }
    }

    /// Forgets the position of a server that has crashed.
    pub(super) fn forget(&mut self, node: usize) {
        self.last[node] = Last::default();
    }

    /// Observes a server. The error is an inconsistency.
    pub(super) fn observe(&mut self, node: usize, process: &Process) -> Result<(), String> {
        let Some(history) = process.history() else {
            self.last[node].place = None;
            return Ok(());
        };
        let place = (self.index_of(history.id), history.end);
        let name = history.id.as_str();
        let last = self.last[node];
        if let Some((id, end)) = last.place
            && id == place.0
            && end > place.1
        {
            return Err(format!("node {node}: {name} went back from {end} to {}", place.1));
        }
        if last.place == Some(place) {
            self.unchanged += 1;
            if self.unchanged.is_multiple_of(UNCHANGED_EVERY) && process.digest() != last.digest {
                return Err(format!("node {node}: data changed at {name}:{}", place.1));
            }
            return Ok(());
        }
        let digest = process.digest();
        self.last[node] = Last { place: Some(place), digest };
        let (first, by) = *self.held.entry(place).or_insert((digest, node));
        self.compared += u64::from(by != node);
        if first != digest {
            return Err(format!("nodes {by} and {node} differ at {name}:{}", place.1));
        }
        Ok(())
    }

    fn index_of(&mut self, id: ReplId) -> usize {
        let found = self.names.iter().position(|name| *name == id);
        found.unwrap_or_else(|| {
            self.names.push(id);
            self.names.len() - 1
        })
    }
}
