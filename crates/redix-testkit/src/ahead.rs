//! Read-ahead of a primary's stream without a thread: portions are read when the next one is asked
//! for.

use std::collections::VecDeque;
use std::io::{self, Read};

use redix_core::upstream::ahead::{Next, Portion, Portions, ReadAhead};

/// Reads ahead whenever the next portion is asked for.
pub struct Inline<R> {
    ahead: Option<ReadAhead>,
    source: R,
    /// Portions that are read at once.
    at_once: usize,
    ready: VecDeque<Portion>,
    spent: Vec<Portion>,
}

impl<R: Read> Inline<R> {
    /// Reads from `source`, `at_once` portions at a time, until it fails or would block.
    pub fn new(ahead: ReadAhead, source: R, at_once: usize) -> Self {
        let (ready, spent) = (VecDeque::new(), Vec::new());
        Self { ahead: Some(ahead), source, at_once, ready, spent }
    }

    /// Reads until some portions are ready; returns the error that ends reading.
    fn fill(&mut self) -> Option<io::Error> {
        let ahead = self.ahead.as_mut()?;
        while self.ready.len() < self.at_once {
            if let Err(error) = ahead.read(&mut self.source) {
                return Some(error);
            }
            self.ready.extend(ahead.take(|| self.spent.pop().unwrap_or_default()));
        }
        None
    }
}

impl<R: Read> Portions for Inline<R> {
    fn next(&mut self) -> Next {
        if self.ready.is_empty()
            && let Some(why) = self.fill()
            && self.ready.is_empty()
            && let Some(ahead) = self.ahead.take()
        {
            return Next::Ended(ahead.into_rest(), why);
        }
        self.ready.pop_front().map_or(Next::Nothing, Next::Portion)
    }

    fn give_back(&mut self, spent: Portion) {
        self.spent.push(spent);
    }

    fn waiting_bytes(&self) -> u64 {
        let unread = self.ahead.as_ref().map_or(0, ReadAhead::waiting_bytes);
        unread + self.ready.iter().map(Portion::len).sum::<u64>()
    }
}
