//! Connections whose replies wait for a sync of the append-only file.
//!
//! They are looked at again once something has changed that may release them. A disk that is stuck
//! may leave thousands waiting, while the worker goes on serving others.

#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;

use redix_core::engine::Engine;

/// What decides whether replies may be sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Replies wait at all.
    pub(super) holds: bool,
    /// Offsets of the log: what is durable, and its end, which may be lower after another primary's
    /// stream was adopted.
    pub(super) durable: u64,
    pub(super) end: u64,
}

impl Extent {
    /// As of now.
    pub(super) fn of(engine: &Engine) -> Self {
        Self {
            holds: engine.aof.holds_replies(),
            durable: engine.aof.durable.load(Ordering::Acquire),
            end: engine.repl.log.end(),
        }
    }
}

/// The connections that wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    tokens: Vec<usize>,
    /// As of when they were last taken.
    extent: Extent,
}

impl Held {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Adds a connection.
    pub(super) fn push(&mut self, token: usize) {
        self.tokens.push(token);
    }

    /// Moves them behind `touched`, if they may have been released since that was last done.
    pub(super) fn take(&mut self, touched: &mut Vec<usize>, extent: Extent) {
        if !self.tokens.is_empty() && (!extent.holds || extent != self.extent) {
            self.extent = extent;
            touched.append(&mut self.tokens);
        }
    }
}
