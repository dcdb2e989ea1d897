//! Client-side caching: CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO.
//!
//! The mode is in the flags of the client's record, where the threads that change keys see it; see
//! [`crate::tracking`].

use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::command::line::redirection;
use crate::error::{CommandResult, ReplyError};
use crate::registry::client_flag::{
    TRACKING, TRACKING_ALL, TRACKING_BCAST, TRACKING_BROKEN, TRACKING_NOLOOP, TRACKING_OPTIN,
    TRACKING_OPTOUT,
};
use crate::registry::{ClientShared, list};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// The help for CLIENT TRACKING.
pub(super) const HELP: &str = "Be told when keys change that this client has read. Options: \
                               REDIRECT <id>, BCAST, PREFIX <prefix>, OPTIN, OPTOUT, NOLOOP.";

/// `CLIENT CACHING YES|NO` -> OK: in the mode OPTIN the keys of the next command are tracked, in
/// OPTOUT they are not. Errors: another mode, or no tracking.
pub(super) fn caching(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let shared = cx.shared;
    let Some(tracks) = &mut cx.session.tracks else {
        return Err(ReplyError::Static(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        ));
    };
    if args.is(2, "YES") {
        if !shared.has_flag(TRACKING_OPTIN) {
            return Err(ReplyError::Static(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if args.is(2, "NO") {
        if !shared.has_flag(TRACKING_OPTOUT) {
            return Err(ReplyError::Static(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(ReplyError::Syntax);
    }
    tracks.caching = true;
    done(cx.reply)
}

/// `CLIENT GETREDIR` -> integer: the id of the connection that receives the invalidations, 0: this
/// one, -1: no tracking.
pub(super) fn getredir(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.data.reply.int(redirection(cx.shared));
    Ok(())
}

/// `CLIENT TRACKINGINFO` -> map of `flags` (set), `redirect` (integer) and `prefixes` (array).
pub(super) fn trackinginfo(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let (shared, reply) = (cx.shared, &mut *cx.data.reply);
    let caching = cx.session.tracks.as_ref().is_some_and(|tracks| tracks.caching);
    let mut flags = vec![if shared.has_flag(TRACKING) { "on" } else { "off" }];
    let modes = [
        (TRACKING_BCAST, "bcast", None),
        (TRACKING_OPTIN, "optin", Some("caching-yes")),
        (TRACKING_OPTOUT, "optout", Some("caching-no")),
        (TRACKING_NOLOOP, "noloop", None),
        (TRACKING_BROKEN, "broken_redirect", None),
    ];
    for (flag, name, if_caching) in modes {
        if shared.has_flag(flag) {
            flags.push(name);
            flags.extend(if_caching.filter(|_| caching));
        }
    }
    reply.map(3);
    reply.bulk_str("flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk_str(flag));
    reply.bulk_str("redirect");
    reply.int(redirection(shared));
    reply.bulk_str("prefixes");
    let prefixes = cx.session.tracks.as_ref().map(|tracks| &tracks.prefixes);
    reply.array(prefixes.map_or(0, BTreeSet::len));
    prefixes.into_iter().flatten().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

/// The arguments of CLIENT TRACKING.
#[derive(Default)]
struct Wanted<'a> {
    /// Flags of the client.
    flags: u32,
    prefixes: Vec<&'a [u8]>,
    redirect: Option<u64>,
}

impl Wanted<'_> {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]` ->
/// OK. Errors: options that exclude each other or need `OFF` first, overlapping prefixes, an
/// unknown id.
pub(super) fn tracking(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let wanted = parse(cx, args)?;
    if args.is(2, "OFF") {
        stop(cx);
        return done(cx.reply);
    }
    if !args.is(2, "ON") {
        return Err(ReplyError::Syntax);
    }
    check_modes(cx, &wanted)?;
    if wanted.has(TRACKING_BCAST) {
        check_prefixes(cx, &wanted.prefixes)?;
    }
    start(cx, &wanted);
    done(cx.reply)
}

fn parse<'a>(cx: &ClientCx<'_, '_>, args: Args<'a>) -> Result<Wanted<'a>, ReplyError> {
    let mut wanted = Wanted::default();
    let mut options = args.options(3);
    while options.more() {
        if let Some(id) = options.eat_value("REDIRECT") {
            if wanted.redirect.is_some() {
                return Err(ReplyError::Static(
                    "ERR A client can only redirect to a single other client",
                ));
            }
            let id = redix_types::num::parse_i64(id).ok_or(ReplyError::NotInteger)?;
            let known = u64::try_from(id).ok().and_then(|id| cx.engine.registry.get(id));
            let Some(known) = known else {
                let text = "ERR The client ID you want redirect to does not exist";
                return Err(ReplyError::Static(text));
            };
            wanted.redirect = Some(known.id);
        } else if let Some(prefix) = options.eat_value("PREFIX") {
            wanted.prefixes.push(prefix);
        } else if options.eat("BCAST") {
            wanted.flags |= TRACKING_BCAST;
        } else if options.eat("OPTIN") {
            wanted.flags |= TRACKING_OPTIN;
        } else if options.eat("OPTOUT") {
            wanted.flags |= TRACKING_OPTOUT;
        } else if options.eat("NOLOOP") {
            wanted.flags |= TRACKING_NOLOOP;
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    Ok(wanted)
}

/// Whether the options fit each other and the mode that the client is in.
fn check_modes(cx: &ClientCx<'_, '_>, wanted: &Wanted<'_>) -> CommandResult {
    let (optin, optout) = (wanted.has(TRACKING_OPTIN), wanted.has(TRACKING_OPTOUT));
    let bcast = wanted.has(TRACKING_BCAST);
    let text = if !bcast && !wanted.prefixes.is_empty() {
        "ERR PREFIX option requires BCAST mode to be enabled"
    } else if cx.shared.has_flag(TRACKING) && cx.shared.has_flag(TRACKING_BCAST) != bcast {
        "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
         re-enabling it with a different mode."
    } else if bcast && (optin || optout) {
        "ERR OPTIN and OPTOUT are not compatible with BCAST"
    } else if optin && optout {
        "ERR You can't specify both OPTIN mode and OPTOUT mode"
    } else if (optin && cx.shared.has_flag(TRACKING_OPTOUT))
        || (optout && cx.shared.has_flag(TRACKING_OPTIN))
    {
        "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
         re-enabling it with a different mode."
    } else {
        return Ok(());
    };
    Err(ReplyError::Static(text))
}

/// Refuses prefixes of which one begins with another of the client's.
fn check_prefixes(cx: &ClientCx<'_, '_>, prefixes: &[&[u8]]) -> CommandResult {
    let none = BTreeSet::new();
    let existing = cx.session.tracks.as_ref().map_or(&none, |tracks| &tracks.prefixes);
    let Some((prefix, other)) = first_overlap(existing, prefixes) else { return Ok(()) };
    let (what, other) = match other {
        Other::Existing(other) => (&b"' overlaps with an existing prefix '"[..], other),
        Other::Provided(other) => (&b"' overlaps with another provided prefix '"[..], other),
    };
    let end = b"'. Prefixes for a single client must not overlap.";
    Err(ReplyError::of_parts(&[b"ERR Prefix '", prefix, what, other, end]))
}

/// What a prefix overlaps with.
#[derive(Debug, PartialEq, Eq)]
enum Other<'p> {
    Existing(&'p [u8]),
    Provided(&'p [u8]),
}

fn overlap(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The first of `prefixes` that overlaps with one of the client's or with a later one, and with
/// which. Not by comparing all with all: a command may have a million of them.
fn first_overlap<'p>(
    existing: &'p BTreeSet<Box<[u8]>>,
    prefixes: &[&'p [u8]],
) -> Option<(&'p [u8], Other<'p>)> {
    let first = first_provided_overlap(prefixes);
    let end = first.map_or(prefixes.len(), |first| first + 1);
    for prefix in &prefixes[..end] {
        if let Some(other) = existing_overlap(existing, prefix) {
            return Some((prefix, Other::Existing(other)));
        }
    }
    let first = first?;
    let later = prefixes[first + 1..].iter().find(|other| overlap(prefixes[first], other))?;
    Some((prefixes[first], Other::Provided(later)))
}

/// The first of the existing prefixes, in order, that overlaps with one.
fn existing_overlap<'p>(existing: &'p BTreeSet<Box<[u8]>>, prefix: &[u8]) -> Option<&'p [u8]> {
    // Only the empty one, which is added where none is given, may overlap with others.
    let all = existing.first().filter(|first| first.is_empty());
    let before = || existing.range::<[u8], _>((Unbounded, Included(prefix))).next_back();
    let after = || existing.range::<[u8], _>((Included(prefix), Unbounded)).next();
    let found = all
        .or_else(|| before().filter(|other| prefix.starts_with(other)))
        .or_else(|| after().filter(|other| other.starts_with(prefix)));
    found.map(|other| &**other)
}

/// The index of the first prefix that overlaps with another one.
fn first_provided_overlap(prefixes: &[&[u8]]) -> Option<usize> {
    let mut order: Vec<usize> = (0..prefixes.len()).collect();
    order.sort_unstable_by_key(|index| (prefixes[*index], *index));
    // Sorted, those that begin with a prefix follow it at once.
    let mut shortest = *order.first()?;
    let mut first = None;
    for &index in &order[1..] {
        if prefixes[index].starts_with(prefixes[shortest]) {
            let found = index.min(shortest);
            first = Some(first.map_or(found, |first: usize| first.min(found)));
        } else {
            shortest = index;
        }
    }
    first
}

fn start(cx: &mut ClientCx<'_, '_>, wanted: &Wanted<'_>) {
    let (shared, engine) = (cx.shared, cx.data.engine);
    if cx.session.tracks.is_none() {
        engine.tracking.begin();
    }
    shared.redirect.store(wanted.redirect.unwrap_or(0), Ordering::Relaxed);
    // In this order: a client that tracks already is seen to do so all the time.
    let flags = wanted.flags | TRACKING;
    shared.set_flag(flags, true);
    shared.set_flag(TRACKING_ALL & !flags, false);
    let tracks = cx.session.tracks.get_or_insert_default();
    if wanted.has(TRACKING_BCAST) {
        let every: &[&[u8]] = &[b""];
        let prefixes = if wanted.prefixes.is_empty() { every } else { &wanted.prefixes };
        for &prefix in prefixes {
            engine.tracking.join(shared, prefix, engine.keyspace.cached());
            if tracks.prefixes.insert(prefix.into()) {
                let bytes = 2 * prefix.len() + list::ITEM_BYTES;
                shared.list_bytes[list::PREFIXES].fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }
}

/// Ends the client's tracking, if it tracks.
pub(in crate::commands::connection) fn stop(cx: &mut ClientCx<'_, '_>) {
    if let Some(tracks) = cx.session.tracks.take() {
        let prefixes = tracks.prefixes.iter().map(|prefix| &**prefix);
        let shared: &Arc<ClientShared> = cx.shared;
        shared.list_bytes[list::PREFIXES].store(0, Ordering::Relaxed);
        cx.data.engine.tracking.end(shared, prefixes, cx.data.engine.keyspace.cached());
    }
}

#[cfg(test)]
mod tests;
