//! Idempotent XADD: XCFGSET and XIDMPRECORD, what XADD asks, and how replicas are told.
//!
//! A replica of today knows no identifiers of producers, and would refuse commands about them. So
//! the log has, behind the XADD with the ID of the entry, an XACK for a group whose name says what
//! to record ([`Told`]). No server has such a group: a real one replies 0 to XACK and does nothing,
//! but hands the record on to replicas of its own. `docs/decisions/014-idempotent-xadd.md` has the
//! reasons.
//!
//! Source: the documentation of Redis 8.6 and its tests.

use std::borrow::Cow;

use redix_types::stream::{Idempotence, Stream, StreamId, Told, Window};

use super::{bury, docs, edit, parse_id, read};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::config::Config;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Missing;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "xcfgset",
        Group::Stream,
        -2,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        xcfgset,
    )
    .flags(flag::FAST)
    .acl(acl::STREAM)
    .log_as(LogAs::Effect)
    .docs(docs::XCFGSET),
    CommandSpec::write(
        "xidmprecord",
        Group::Stream,
        5,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        xidmprecord,
    )
    .flags(flag::DENYOOM | flag::FAST)
    .acl(acl::STREAM)
    .log_as(LogAs::Effect)
    .docs(docs::XIDMPRECORD),
];

/// What XADD is told about the producer of an entry.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// The producer and its identifier of the entry.
    Named(&'a [u8], &'a [u8]),
    /// The producer, whose entries are the same if their fields and values are.
    Auto(&'a [u8]),
}

impl<'a> Origin<'a> {
    /// Reads IDMP or IDMPAUTO at word `at`, if one stands there with what must follow. Errors: an
    /// empty name.
    pub(super) fn parse(args: Args<'a>, at: usize) -> Result<Option<Self>, ReplyError> {
        let more = args.len() - 1 - at;
        if more > 1 && args.is(at, "IDMP") {
            if args.get(at + 1).is_empty() {
                return Err(ReplyError::Static("ERR IDMP requires a non-empty producer ID"));
            }
            if args.get(at + 2).is_empty() {
                return Err(ReplyError::Static("ERR IDMP requires a non-empty idempotent ID"));
            }
            return Ok(Some(Origin::Named(args.get(at + 1), args.get(at + 2))));
        }
        if more > 0 && args.is(at, "IDMPAUTO") {
            if args.get(at + 1).is_empty() {
                return Err(ReplyError::Static("ERR IDMPAUTO requires a non-empty producer ID"));
            }
            return Ok(Some(Origin::Auto(args.get(at + 1))));
        }
        Ok(None)
    }

    /// Number of words.
    pub(super) fn words(self) -> usize {
        match self {
            Origin::Named(..) => 3,
            Origin::Auto(_) => 2,
        }
    }

    /// The producer and the identifier of an entry with these fields and values.
    pub(super) fn of(self, pairs: impl Iterator<Item = &'a [u8]>) -> (&'a [u8], Cow<'a, [u8]>) {
        match self {
            Origin::Named(producer, iid) => (producer, Cow::Borrowed(iid)),
            Origin::Auto(producer) => (producer, Cow::Owned(digest(pairs))),
        }
    }
}

pub(super) const ORIGIN_TWICE: ReplyError =
    ReplyError::Static("ERR IDMP/IDMPAUTO specified multiple times");
pub(super) const ORIGIN_OF_GIVEN: ReplyError =
    ReplyError::Static("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs");

/// Stands for fields and values, in whatever order the fields come.
fn digest<'a>(mut pairs: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut sorted = Vec::new();
    while let (Some(field), Some(value)) = (pairs.next(), pairs.next()) {
        sorted.push((field, value));
    }
    sorted.sort_unstable();
    let mut bytes = Vec::new();
    for (field, value) in sorted {
        for part in [field, value] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    redix_types::sha1::sha1(&bytes).to_vec()
}

/// The window of a stream that meets its first producer.
pub(super) fn first_window(config: &Config) -> Window {
    Window { duration_s: config.stream_idmp_duration, max: config.stream_idmp_maxsize }
}

/// What a stream knows of producers. With the first one it gets this window.
pub(super) fn known(stream: &mut Stream, first: Window) -> &mut Idempotence {
    if stream.idempotence().is_none() {
        drop(stream.set_window(first));
    }
    stream.begin_idempotence()
}

/// What XCFGSET is told.
fn parse_window(args: Args<'_>, before: Window) -> Result<Window, ReplyError> {
    let number = |word: &[u8], max: u32, refusal: ReplyError| {
        let number = redix_types::num::parse_i64(word).ok_or(ReplyError::NotInteger)?;
        u32::try_from(number).ok().filter(|number| (1..=max).contains(number)).ok_or(refusal)
    };
    let mut window = before;
    let mut words = args.options(2);
    if !words.more() {
        return Err(ReplyError::Static("ERR At least one parameter must be specified"));
    }
    while words.more() {
        if let Some(word) = words.eat_value("IDMP-DURATION") {
            window.duration_s = number(word, Window::MAX.duration_s, DURATION_BOUNDS)?;
        } else if let Some(word) = words.eat_value("IDMP-MAXSIZE") {
            window.max = number(word, Window::MAX.max, MAX_BOUNDS)?;
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    Ok(window)
}

const DURATION_BOUNDS: ReplyError =
    ReplyError::Static("ERR IDMP-DURATION must be between 1 and 86400 seconds");
const MAX_BOUNDS: ReplyError =
    ReplyError::Static("ERR IDMP-MAXSIZE must be between 1 and 10000 entries");

/// `XCFGSET key [IDMP-DURATION s] [IDMP-MAXSIZE count]` -> OK. How long, and how many of each
/// producer, identifiers are known; a change forgets all. Errors: the grammar's, no such key,
/// WRONGTYPE. Logged as XACK of a group that cannot be.
fn xcfgset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    parse_window(args, Window::default())?;
    let key = cx.key(args, 1);
    let stream = read(cx, key)?.ok_or(ReplyError::NoSuchKey)?;
    let before = stream.idempotence().map(Idempotence::window);
    let window = parse_window(args, before.unwrap_or(first_window(cx.config)))?;
    if before != Some(window) {
        let forgotten = edit(cx, key, Missing::Skip, |stream| (stream.set_window(window), 1))?;
        bury(cx, forgotten.flatten());
        log(cx, key, &Told::Window(window), StreamId::MIN);
    }
    cx.reply.ok();
    Ok(())
}

/// `XIDMPRECORD key producer iid id` -> OK: the entry counts as added by the producer under the
/// identifier. Errors: no such key, WRONGTYPE, an empty name, an ID that is none, no such entry,
/// another one of that identifier. Logged as XACK of a group that cannot be.
fn xidmprecord(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, producer, iid, now_ms) = (cx.key(args, 1), args.get(2), args.get(3), cx.now_ms());
    let stream = read(cx, key)?.ok_or(ReplyError::NoSuchKey)?;
    if producer.is_empty() {
        return Err(ReplyError::Static("ERR XIDMPRECORD requires a non-empty producer ID"));
    }
    if iid.is_empty() {
        return Err(ReplyError::Static("ERR XIDMPRECORD requires a non-empty idempotent ID"));
    }
    let id = parse_id(args.get(4))?;
    if !stream.contains(id) {
        return Err(ReplyError::Static("ERR no such entry in the stream"));
    }
    match stream.idempotence().and_then(|known| known.find(producer, iid, now_ms)) {
        Some(known) if known != id => {
            return Err(ReplyError::Static("ERR idempotent ID is already mapped to another entry"));
        }
        Some(_) => {}
        None => {
            record(cx, key, (producer, iid), id)?;
        }
    }
    cx.reply.ok();
    Ok(())
}

/// Records who has added an entry.
fn record(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    (producer, iid): (&[u8], &[u8]),
    id: StreamId,
) -> Result<(), ReplyError> {
    let (now_ms, first) = (cx.now_ms(), first_window(cx.config));
    let is_first = edit(cx, key, Missing::Skip, |stream| {
        let is_first = stream.idempotence().is_none();
        known(stream, first).record(producer, iid, id, now_ms);
        (is_first, 1)
    })?;
    log_entry(cx, key, (producer, iid), id, is_first == Some(true));
    Ok(())
}

/// Logs who has added an entry, and the window if it is the first one of the stream: a replica may
/// have another one.
pub(super) fn log_entry(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    (producer, iid): (&[u8], &[u8]),
    id: StreamId,
    is_first: bool,
) {
    let window = first_window(cx.config);
    if is_first && window != Window::default() {
        log(cx, key, &Told::Window(window), StreamId::MIN);
    }
    log(cx, key, &Told::Entry(producer, iid), id);
}

/// Logs what cannot be said to a replica of today.
fn log(cx: &mut Ctx<'_, '_>, key: Key<'_>, told: &Told<'_>, id: StreamId) {
    if cx.keys.effects.recording() {
        let (group, id) = (told.group(), id.text());
        let words: [&[u8]; 4] = [b"XACK", key.bytes, &group, id.as_bytes()];
        cx.keys.effects.log(cx.keys.db, &words);
    }
}

#[cfg(test)]
mod tests;
