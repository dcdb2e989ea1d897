//! A simulated network: connections between numbered nodes, with delays, stalls and cuts.
//!
//! Each pair of nodes has a *route*. Bytes written to a connection become readable after the
//! route's delay, in order; a read returns a random number of those available, so that every
//! boundary occurs. A silent route delivers nothing while it lasts. A cut ends the connections of a
//! pair at once, and bytes under way are lost.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};

use crate::rng::Rng;

/// Capacity of one direction of a connection.
const PIPE_BYTES: usize = 64 * 1024;

/// The properties of the path from one node to another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Route {
    /// Minimum delay.
    pub(super) delay_us: u64,
    /// Maximum additional delay.
    pub(super) jitter_us: u64,
    /// Nothing is delivered.
    pub(super) silent: bool,
    /// Connections are refused.
    pub(super) severed: bool,
}

#[derive(Default)]
struct Pipe {
    chunks: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    last_due_us: u64,
    ended: bool,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The end that connected.
    Near = 0,
    /// The end that was connected to.
    Far = 1,
}

struct Link {
    nodes: [usize; 2],
    open_us: u64,
    accepted: bool,
    broken: bool,
    /// Indexed by the end that writes.
    pipes: [Pipe; 2],
}

/// All connections.
pub(super) struct Net {
    rng: Rng,
    pub(super) now_us: u64,
    next_id: u64,
    links: BTreeMap<u64, Link>,
    routes: BTreeMap<(usize, usize), Route>,
    /// Whether each node listens.
    up: Vec<bool>,
}

impl Net {
    /// A network of `nodes` nodes, none of which listens yet.
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            now_us: 0,
            next_id: 1,
            links: BTreeMap::new(),
            routes: BTreeMap::new(),
            up: vec![false; nodes],
        }
    }

    /// The route between two nodes, from the first to the second.
    pub(super) fn route(&mut self, from: usize, to: usize) -> &mut Route {
        self.routes.entry((from, to)).or_default()
    }

    /// Starts or stops listening. Stopping breaks the node's connections.
    pub(super) fn set_up(&mut self, node: usize, up: bool) {
        self.up[node] = up;
        if !up {
            self.break_where(|link| link.nodes.contains(&node));
        }
    }

    /// Breaks the connections between two nodes; bytes under way are lost.
    pub(super) fn cut(&mut self, a: usize, b: usize) {
        self.break_where(|link| link.nodes == [a, b] || link.nodes == [b, a]);
    }

    fn break_where(&mut self, which: impl Fn(&Link) -> bool) {
        self.links.values_mut().filter(|link| which(link)).for_each(|link| link.broken = true);
    }

    /// Begins a connection.
    pub(super) fn connect(&mut self, from: usize, to: usize) -> io::Result<u64> {
        if !self.up[to] || self.route(from, to).severed {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let delay_us = self.route(from, to).delay_us;
        let (id, open_us) = (self.next_id, self.now_us + delay_us);
        self.next_id += 1;
        let pipes = [Pipe::default(), Pipe::default()];
        let link = Link { nodes: [from, to], open_us, accepted: false, broken: false, pipes };
        self.links.insert(id, link);
        Ok(id)
    }

    /// Whether a connection is established.
    pub(super) fn connected(&self, id: u64) -> io::Result<bool> {
        match self.links.get(&id) {
            Some(link) if !link.broken => Ok(link.open_us <= self.now_us),
            _ => Err(ErrorKind::ConnectionReset.into()),
        }
    }

    /// Accepts a connection; returns it and the node that it comes from.
    pub(super) fn accept(&mut self, node: usize) -> Option<(u64, usize)> {
        let now_us = self.now_us;
        let is_new = |link: &Link| {
            link.nodes[1] == node && !link.accepted && !link.broken && link.open_us <= now_us
        };
        let (id, link) = self.links.iter_mut().find(|(_, link)| is_new(link))?;
        link.accepted = true;
        Some((*id, link.nodes[0]))
    }

    /// Reads some of what has arrived; 0 at the end.
    pub(super) fn read(&mut self, id: u64, end: End, out: &mut [u8]) -> io::Result<usize> {
        let now_us = self.now_us;
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.broken) else {
            return Err(ErrorKind::ConnectionReset.into());
        };
        let other = 1 - end as usize;
        let silent = self
            .routes
            .get(&(link.nodes[other], link.nodes[end as usize]))
            .is_some_and(|r| r.silent);
        let pipe = &mut link.pipes[other];
        let whole = self.rng.chance(60);
        let mut count = 0;
        while count < out.len()
            && !silent
            && let Some((due_us, chunk)) = pipe.chunks.front_mut()
            && *due_us <= now_us
        {
            let room = chunk.len().min(out.len() - count);
            let taken = if whole { room } else { 1 + self.rng.below(room) };
            out[count..count + taken].copy_from_slice(&chunk[..taken]);
            chunk.drain(..taken);
            count += taken;
            if !chunk.is_empty() {
                break;
            }
            pipe.chunks.pop_front();
        }
        pipe.bytes -= count;
        match count {
            0 if pipe.ended && pipe.chunks.is_empty() => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    /// Writes some bytes.
    pub(super) fn write(&mut self, id: u64, end: End, bytes: &[u8]) -> io::Result<usize> {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.broken) else {
            return Err(ErrorKind::ConnectionReset.into());
        };
        let pair = (link.nodes[end as usize], link.nodes[1 - end as usize]);
        let route = self.routes.get(&pair).copied().unwrap_or_default();
        let pipe = &mut link.pipes[end as usize];
        let count = bytes.len().min(PIPE_BYTES - pipe.bytes.min(PIPE_BYTES));
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let jitter_us = self.rng.below(route.jitter_us as usize + 1) as u64;
        // In order, whatever the delay of earlier bytes.
        pipe.last_due_us = pipe.last_due_us.max(self.now_us + route.delay_us + jitter_us);
        pipe.chunks.push_back((pipe.last_due_us, bytes[..count].to_vec()));
        pipe.bytes += count;
        Ok(count)
    }

    /// Closes one end: the other reads the bytes under way, then the end.
    pub(super) fn close(&mut self, id: u64, end: End) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.pipes[end as usize].ended = true;
        let both = link.pipes.iter().all(|pipe| pipe.ended);
        if both || link.broken {
            self.links.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
