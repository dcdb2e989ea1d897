//! XNACK: giving entries back that a consumer cannot process.
//!
//! Source: the documentation of Redis 8.8 and its tests.

use redix_types::stream::{COUNT_MAX, Pending, StreamId};

use super::{Claim, docs, edit, log_claim, no_group, parse_id, read};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Missing;

/// The command of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::write(
    "xnack",
    Group::Stream,
    -7,
    const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
    xnack,
)
.flags(flag::FAST)
.acl(acl::STREAM)
.log_as(LogAs::Effect)
.docs(docs::XNACK)];

/// What becomes of the number of deliveries.
#[derive(Clone, Copy)]
enum Mode {
    /// The last one does not count.
    Silent,
    /// It stays.
    Fail,
    /// Nobody can process the entry.
    Fatal,
}

struct Options {
    mode: Mode,
    ids: Vec<StreamId>,
    /// The number of deliveries, whatever the mode says.
    count: Option<u64>,
    /// Entries that are not pending become so.
    force: bool,
}

impl Options {
    /// Reads the words from the mode on. Errors: the grammar's.
    fn parse(args: Args<'_>) -> Result<Self, ReplyError> {
        let mut words = args.options(3);
        let mode = if words.eat("SILENT") {
            Mode::Silent
        } else if words.eat("FAIL") {
            Mode::Fail
        } else if words.eat("FATAL") {
            Mode::Fatal
        } else {
            return Err(ReplyError::Static("ERR mode must be SILENT, FAIL, or FATAL"));
        };
        let (mut ids, mut count, mut force) = (None, None, false);
        while words.more() {
            if words.eat("FORCE") {
                force = true;
            } else if let Some(word) = words.eat_value("RETRYCOUNT") {
                let number = redix_types::num::parse_i64(word).ok_or(ReplyError::NotInteger)?;
                let number = u64::try_from(number).map_err(|_| INVALID_COUNT)?;
                count = Some(number);
            } else if ids.is_none()
                && let Some(word) = words.eat_value("IDS")
            {
                let number = redix_types::num::parse_i64(word).filter(|number| *number > 0);
                let number = number.and_then(|number| usize::try_from(number).ok());
                let number =
                    number.ok_or(ReplyError::Static("ERR numids must be a positive integer"))?;
                if words.left() < number {
                    return Err(ReplyError::Static("ERR number of IDs doesn't match numids"));
                }
                let named = (0..number).filter_map(|_| words.take());
                ids = Some(named.map(parse_id).collect::<Result<Vec<_>, _>>()?);
            } else {
                let word = args.get(words.position());
                return Err(ReplyError::quoting("Unrecognized XNACK option '", word, "'"));
            }
        }
        let ids = ids.ok_or(ReplyError::Static("ERR expected IDS keyword"))?;
        Ok(Options { mode, ids, count, force })
    }

    /// The number of deliveries of an entry that had `count`.
    fn count_after(&self, count: u64) -> u64 {
        self.count.unwrap_or(match self.mode {
            Mode::Silent => count.saturating_sub(1),
            Mode::Fail => count,
            Mode::Fatal => COUNT_MAX,
        })
    }
}

const INVALID_COUNT: ReplyError =
    ReplyError::Static("ERR Invalid RETRYCOUNT option argument for XNACK");

/// What was done to an entry: None if it is no longer pending, since it was deleted.
type Step = (StreamId, Option<Pending>);

/// `XNACK key group SILENT | FAIL | FATAL IDS count id … [RETRYCOUNT count] [FORCE]` -> how many
/// entries were given back. They belong to no consumer, and may be claimed at once. One that was
/// deleted from the stream is no longer pending. Errors: the grammar's, NOGROUP, WRONGTYPE. Logged
/// as XCLAIM for a consumer with the empty name, XACK for what was deleted.
fn xnack(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args, 1), args.get(2));
    if read(cx, key)?.is_none_or(|stream| stream.group(name).is_none()) {
        return Err(no_group(key, name, ""));
    }
    let options = Options::parse(args)?;
    let outcome = edit(cx, key, Missing::Skip, |stream| {
        let mut steps: Vec<Step> = Vec::with_capacity(options.ids.len());
        for &id in &options.ids {
            let is_there = stream.contains(id);
            let group = stream.group_mut(name).expect("the group was just seen");
            let old = group.pending().get(&id).map(|old| old.count);
            if is_there && (old.is_some() || options.force) {
                let count = options.count_after(old.unwrap_or(0));
                steps.push((id, Some(group.release(id, count))));
            } else if old.is_some() {
                group.acknowledge(id);
                steps.push((id, None));
            }
        }
        let changes = steps.len() as u64;
        let last_id = stream.group(name).expect("the group was just seen").last_id;
        ((steps, last_id), changes)
    })?;
    let (steps, last_id) = outcome.unwrap_or_default();
    cx.reply.int(steps.len() as i64);
    if !cx.keys.effects.recording() {
        return Ok(());
    }
    for (id, released) in steps {
        let text = id.text();
        match released {
            Some(Pending { delivered_ms, count, .. }) => {
                let id = text.as_bytes();
                let claim = Claim { id, consumer: b"", delivered_ms, count, last_id };
                log_claim(cx, key, name, &claim);
            }
            None => {
                let words: [&[u8]; 4] = [b"XACK", key.bytes, name, text.as_bytes()];
                cx.keys.effects.log(cx.keys.db, &words);
            }
        }
    }
    Ok(())
}
