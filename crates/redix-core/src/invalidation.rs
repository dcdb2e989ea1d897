//! What a client that caches keys is told: CLIENT TRACKING's messages.
//!
//! **Invariant.** The protocol decides the form when the message is delivered, by the worker that
//! owns the connection, so that HELLO and a message cannot cross.

use redix_resp::reply::{Proto, Reply};

/// The channel that RESP2 clients subscribe to for the invalidations of other connections. Source:
/// Redis' documentation of client-side caching.
const CHANNEL: &str = "__redis__:invalidate";

/// The content of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Invalidated {
    /// These keys have changed.
    Keys(Vec<Box<[u8]>>),
    /// All keys may have changed.
    Everything,
    /// The connection with this id, which was to receive the client's messages, does not exist.
    BrokenRedirect(u64),
}

impl Invalidated {
    /// Memory of the message in an output buffer, in bytes, about.
    pub fn bytes(&self) -> u64 {
        const FRAME: usize = 64;
        let keys = match self {
            Self::Keys(keys) => keys.iter().map(|key| key.len() + FRAME).sum(),
            Self::Everything | Self::BrokenRedirect(_) => 0,
        };
        (keys + FRAME) as u64
    }

    /// A message about one key.
    pub fn key(key: &[u8]) -> Self {
        Self::Keys(vec![key.into()])
    }

    /// Appends the message in the form for a connection: a push; under RESP2 a pub/sub message,
    /// only if it is `redirected` from another connection and this one `listens` (has
    /// subscriptions); otherwise nothing.
    pub fn write_to(&self, reply: &mut Reply, redirected: bool, listens: bool) {
        match (reply.proto, self) {
            (Proto::Resp3, Self::BrokenRedirect(id)) => {
                reply.push(2);
                reply.bulk_str("tracking-redir-broken");
                reply.int(*id as i64);
            }
            (Proto::Resp3, _) => {
                reply.push(2);
                reply.bulk_str("invalidate");
                self.write_keys(reply);
            }
            (Proto::Resp2, _) if redirected && listens => {
                reply.push(3);
                reply.bulk_str("message");
                reply.bulk_str(CHANNEL);
                self.write_keys(reply);
            }
            (Proto::Resp2, _) => {}
        }
    }

    fn write_keys(&self, reply: &mut Reply) {
        match self {
            Self::Keys(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            Self::Everything | Self::BrokenRedirect(_) => reply.null(),
        }
    }
}

#[cfg(test)]
mod tests;
