//! A bound for replies that repeat elements: HRANDFIELD, SRANDMEMBER and ZRANDMEMBER with a
//! negative count.
//!
//! The real servers go on until memory is exhausted, or until the client exceeds its output limit
//! and is closed. Here the limit ends the reply too, and where none is configured, there is one of
//! our own.
//!
//! **Invariant.** A reply that was cut short is never sent.

use redix_resp::reply::Reply;

use crate::command::context::{Caller, Ctx};
use crate::effects::Request;
use crate::error::ReplyError;

/// Most repetitions, and most bytes of them, where the client has no output limit.
const REPEATS_MAX: u64 = 1 << 24;
const BYTES_MAX: usize = 1 << 30;

/// The bound of one reply.
pub(super) struct Bound {
    start: usize,
    /// The client's output limit in bytes, if there is one.
    limit: Option<usize>,
}

impl Bound {
    /// The bound of a reply that begins now.
    pub(super) fn of(cx: &Ctx<'_, '_>) -> Self {
        let limits = &cx.config.client_output_buffer_limit;
        let limit = if cx.listens { limits.pubsub } else { limits.normal };
        let limit = usize::try_from(limit.most_bytes()).ok();
        let limit = limit.filter(|bytes| (1..=BYTES_MAX).contains(bytes));
        Self { start: cx.reply.len(), limit: limit.filter(|_| cx.caller != Caller::Log) }
    }

    /// Errors: `count` repetitions are too many.
    pub(super) fn check(&self, count: u64) -> Result<(), ReplyError> {
        if self.limit.is_none() && count > REPEATS_MAX { Err(too_many()) } else { Ok(()) }
    }

    /// Whether the reply may continue; if not, the client is closed. Errors: it has become too
    /// long.
    #[inline]
    pub(super) fn allows(
        &self,
        reply: &Reply,
        requests: &mut Vec<Request>,
    ) -> Result<bool, ReplyError> {
        if reply.len() - self.start > BYTES_MAX {
            return Err(too_many());
        }
        let over = self.limit.is_some_and(|limit| reply.len() > limit);
        if over {
            requests.push(Request::Overflow);
        }
        Ok(!over)
    }
}

fn too_many() -> ReplyError {
    ReplyError::Static("ERR value is out of range")
}
