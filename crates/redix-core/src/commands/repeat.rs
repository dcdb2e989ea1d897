//! A bound for replies that repeat elements as often as they are asked to: HRANDFIELD, SRANDMEMBER
//! and ZRANDMEMBER with a negative count.
//!
//! The real servers go on until memory ends, or until the connection owes more than it may and is
//! closed. Here the latter ends the reply too, and where no limit is set, there is one of our own.
//!
//! **Invariant.** A reply that was ended early is not sent: it is longer than what a client of any
//! class may owe.

use redix_resp::reply::Reply;

use crate::config::Config;
use crate::error::ReplyError;

/// Most repetitions, and most bytes of them, where the output of clients has no limit.
const REPEATS_MAX: u64 = 1 << 24;
const BYTES_MAX: usize = 1 << 30;

/// How long a reply may become.
pub(super) struct Bound {
    start: usize,
    /// The most that a client may owe, if there is a limit.
    limit: Option<usize>,
}

impl Bound {
    /// The bound of a reply that begins now and repeats `count` times. Errors: too often.
    pub(super) fn of(config: &Config, reply: &Reply, count: u64) -> Result<Self, ReplyError> {
        let limits = &config.client_output_buffer_limit;
        let most = [limits.normal.most_bytes(), limits.pubsub.most_bytes()];
        // Zero stands for no limit.
        let limit = if most.contains(&0) { None } else { most.iter().max().copied() };
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        if limit.is_none_or(|limit| limit > BYTES_MAX) && count > REPEATS_MAX {
            return Err(too_many());
        }
        Ok(Self { start: reply.len(), limit })
    }

    /// Whether the reply is to go on. Errors: it has become too long.
    #[inline]
    pub(super) fn allows(&self, reply: &Reply) -> Result<bool, ReplyError> {
        if reply.len() - self.start > BYTES_MAX {
            return Err(too_many());
        }
        Ok(self.limit.is_none_or(|limit| reply.len() <= limit))
    }
}

fn too_many() -> ReplyError {
    ReplyError::Static("ERR value is out of range")
}
