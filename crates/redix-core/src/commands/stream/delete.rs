//! Deleting entries with regard to the groups that refer to them: XDELEX and XACKDEL.

use redix_types::stream::{Refusal, Stream, StreamId};

use super::parse_id;
use super::trim::parse_refusal;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::error::ReplyError;

/// Which entries to delete, and what of those that groups refer to.
pub(super) struct Wanted<'a> {
    pub(super) keep: Refusal,
    words: Vec<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// Reads `[KEEPREF | DELREF | ACKED] IDS count id …` from word `first` on. Errors: the
    /// grammar's.
    pub(super) fn parse(args: Args<'a>, first: usize) -> Result<Self, ReplyError> {
        let mut keep = None;
        let mut words = None;
        let mut options = args.options(first);
        while options.more() {
            let refusal = args.try_get(options.position()).and_then(parse_refusal);
            if let Some(refusal) = refusal {
                options.take();
                if keep.replace(refusal).is_some() {
                    return Err(ReplyError::Syntax);
                }
            } else if words.is_none() && options.eat("IDS") {
                let count = options.take().ok_or(ReplyError::Syntax)?;
                let count = redix_types::num::parse_i64(count).filter(|count| *count > 0);
                let count = count
                    .and_then(|count| usize::try_from(count).ok())
                    .ok_or(ReplyError::Static("ERR Number of IDs must be a positive integer"))?;
                if options.left() < count {
                    return Err(ReplyError::Static(
                        "ERR The `numids` parameter must match the number of arguments",
                    ));
                }
                words = Some((0..count).filter_map(|_| options.take()).collect());
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        let keep = keep.unwrap_or(Refusal::None);
        Ok(Wanted { keep, words: words.ok_or(ReplyError::Syntax)? })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The IDs. Errors: one is none.
    pub(super) fn ids(&self) -> Result<Vec<StreamId>, ReplyError> {
        self.words.iter().map(|word| parse_id(word)).collect()
    }
}

/// What became of an entry.
pub(super) struct Outcome {
    /// 1 if it was deleted, 2 if it is kept for the sake of a group, -1 if it was not there.
    pub(super) reply: i64,
    /// Whether the stream has changed.
    pub(super) changed: bool,
}

/// Deletes an entry unless a group refers to it and `keep` heeds that. Groups may refer to entries
/// that are gone.
pub(super) fn delete_by_reference(stream: &mut Stream, id: StreamId, keep: Refusal) -> Outcome {
    if keep == Refusal::Referenced && stream.is_referenced(id) {
        return Outcome { reply: 2, changed: false };
    }
    let is_forgotten = keep == Refusal::Forgotten && stream.forget(id);
    let is_deleted = stream.delete(id);
    Outcome { reply: if is_deleted { 1 } else { -1 }, changed: is_deleted || is_forgotten }
}

/// Replies what became of each entry.
pub(super) fn reply_outcomes(cx: &mut Ctx<'_, '_>, outcomes: &[i64]) {
    cx.reply.array(outcomes.len());
    outcomes.iter().for_each(|outcome| cx.reply.int(*outcome));
}
