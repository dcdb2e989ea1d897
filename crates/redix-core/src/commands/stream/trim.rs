//! The words of XADD and XTRIM.

use redix_types::stream::{Cut, Refusal, Sequence, Stream, StreamId, Trim};

use super::idempotent::{ORIGIN_OF_GIVEN, ORIGIN_TWICE, Origin};
use super::{INVALID_ID, parse_id};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::error::ReplyError;
use crate::keyspace::Key;

/// The most entries that an approximate trim without LIMIT drops. Source: Valkey 9.1, `LIMIT` in
/// the documentation of XADD, and the bounds that it answers with in the replication stream.
const LIMIT_NODES: u64 = 100;
const LIMIT_MAX: u64 = 1_000_000;
const LIMIT_WITHOUT_NODES: u64 = 10_000;

/// The ID that XADD is given.
#[derive(Clone, Copy)]
pub(super) enum NewId {
    Next,
    NextOf(u64),
    Given(StreamId),
}

/// What the words of XADD and XTRIM up to the ID say.
pub(super) struct Words<'a> {
    /// The producer of the entry, and where its words begin.
    pub(super) origin: Option<(Origin<'a>, usize)>,
    pub(super) trim: Option<Trim>,
    /// Where the threshold stands.
    pub(super) threshold_at: usize,
    pub(super) no_stream: bool,
    pub(super) id: NewId,
    /// Where the ID stands; XTRIM has none.
    pub(super) id_at: usize,
}

const BOTH: ReplyError = ReplyError::Static(
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
);

impl<'a> Words<'a> {
    /// Reads the words from the third on: up to the ID, or all of them. Errors: the grammar's,
    /// numbers that are none.
    pub(super) fn parse(cx: &Ctx<'_, '_>, args: Args<'a>, adds: bool) -> Result<Self, ReplyError> {
        let mut words = Words {
            origin: None,
            trim: None,
            threshold_at: 0,
            no_stream: false,
            id: NewId::Next,
            id_at: args.len(),
        };
        let mut limit = None;
        let mut keep = None;
        let mut at = 2;
        while at < args.len() {
            let more = args.len() - 1 - at;
            if adds && args.get(at) == b"*" {
                words.id_at = at;
                break;
            } else if more > 0 && (args.is(at, "MAXLEN") || args.is(at, "MINID")) {
                at = words.take_threshold(args, at)?;
            } else if more > 0 && args.is(at, "LIMIT") {
                at += 1;
                let number = args.int(at)?;
                limit = Some(
                    u64::try_from(number)
                        .map_err(|_| ReplyError::Static("ERR The LIMIT argument must be >= 0."))?,
                );
            } else if adds && args.is(at, "NOMKSTREAM") {
                words.no_stream = true;
            } else if let Some(refusal) = parse_refusal(args.get(at)) {
                if keep.replace(refusal).is_some() {
                    return Err(ReplyError::Syntax);
                }
            } else if adds && let Some(origin) = Origin::parse(args, at)? {
                if words.origin.replace((origin, at)).is_some() {
                    return Err(ORIGIN_TWICE);
                }
                at += origin.words() - 1;
            } else if adds {
                words.id = parse_new_id(args.get(at))?;
                words.id_at = at;
                break;
            } else {
                return Err(ReplyError::Syntax);
            }
            at += 1;
        }
        // What a primary sends has got its ID there.
        let is_given = !matches!(words.id, NewId::Next) && !cx.from_primary();
        if words.origin.is_some() && is_given {
            return Err(ORIGIN_OF_GIVEN);
        }
        words.finish(cx, limit, keep)?;
        Ok(words)
    }

    /// Reads MAXLEN or MINID at word `at`; where its threshold stands.
    fn take_threshold(&mut self, args: Args<'_>, at: usize) -> Result<usize, ReplyError> {
        if self.trim.is_some() {
            return Err(BOTH);
        }
        let mut threshold_at = at + 1;
        let sign = args.get(threshold_at);
        let has_sign = at + 2 < args.len() && (sign == b"~" || sign == b"=");
        threshold_at += usize::from(has_sign);
        let cut = if args.is(at, "MAXLEN") {
            let len = args.int(threshold_at)?;
            let len = u64::try_from(len)
                .map_err(|_| ReplyError::Static("ERR The MAXLEN argument must be >= 0."))?;
            Cut::Len(len)
        } else {
            Cut::From(parse_id(args.get(threshold_at))?)
        };
        let approximate = has_sign && sign == b"~";
        self.trim = Some(Trim { cut, approximate, limit: 0, keep: Refusal::None });
        self.threshold_at = threshold_at;
        Ok(threshold_at)
    }

    /// Fits LIMIT and the rest to the threshold.
    fn finish(
        &mut self,
        cx: &Ctx<'_, '_>,
        limit: Option<u64>,
        keep: Option<Refusal>,
    ) -> Result<(), ReplyError> {
        let Some(trim) = &mut self.trim else {
            let limited = limit.is_some_and(|limit| limit > 0);
            return if limited {
                Err(ReplyError::Static(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ))
            } else {
                Ok(())
            };
        };
        trim.keep = keep.unwrap_or(Refusal::None);
        // What a primary sends was limited there.
        if cx.from_primary() {
            return Ok(());
        }
        match limit {
            Some(_) if !trim.approximate => {
                return Err(ReplyError::Static(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            Some(limit) => trim.limit = limit,
            None if trim.approximate => {
                trim.limit = match cx.config.stream_node_max_entries.saturating_mul(LIMIT_NODES) {
                    0 => LIMIT_WITHOUT_NODES,
                    limit => limit.min(LIMIT_MAX),
                };
            }
            None => {}
        }
        Ok(())
    }
}

fn parse_new_id(word: &[u8]) -> Result<NewId, ReplyError> {
    match StreamId::parse(word) {
        Some((ms, Sequence::Given(seq))) => Ok(NewId::Given(StreamId { ms, seq })),
        Some((ms, Sequence::Missing)) => Ok(NewId::Given(StreamId { ms, seq: 0 })),
        Some((ms, Sequence::Next)) => Ok(NewId::NextOf(ms)),
        None => Err(INVALID_ID),
    }
}

/// KEEPREF, DELREF or ACKED.
pub(super) fn parse_refusal(word: &[u8]) -> Option<Refusal> {
    let words = [
        (&b"KEEPREF"[..], Refusal::None),
        (b"DELREF", Refusal::Forgotten),
        (b"ACKED", Refusal::Referenced),
    ];
    let found = words.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, refusal)| *refusal)
}

/// The words of the command under way as they are logged: with the ID that the entry got, without
/// the producer, and with what an approximate trim came to as its threshold.
pub(super) fn log_as_done(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    words: &Words<'_>,
    new_id: Option<StreamId>,
    key: Key<'_>,
) {
    let is_approximate = words.trim.is_some_and(|trim| trim.approximate);
    if !cx.keys.effects.recording() || !is_approximate && new_id.is_none() {
        return;
    }
    let id = new_id.unwrap_or_default().text();
    let threshold: Vec<u8> = match (words.trim, super::view(cx, key)) {
        (Some(Trim { cut, .. }), Some(stream)) => threshold_of(cut, stream),
        _ => Vec::new(),
    };
    let mut record: Vec<&[u8]> = args.iter_from(0).collect();
    if is_approximate {
        record[words.threshold_at - 1] = b"=";
        record[words.threshold_at] = &threshold;
    }
    if new_id.is_some() {
        record[words.id_at] = id.as_bytes();
    }
    if let Some((origin, at)) = words.origin {
        record.drain(at..at + origin.words());
    }
    cx.keys.effects.log(cx.keys.db, &record);
}

fn threshold_of(cut: Cut, stream: &Stream) -> Vec<u8> {
    match cut {
        Cut::Len(_) => stream.len().to_string().into_bytes(),
        Cut::From(_) => stream.oldest_id().unwrap_or(StreamId::MAX).text().as_bytes().to_vec(),
    }
}
