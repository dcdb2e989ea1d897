//! Client-side caching, with the replies of a server where it is off. It cannot be switched on.

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::error::{CommandResult, ReplyError};

/// `CLIENT CACHING YES|NO` -> error: it belongs to tracking.
pub(super) fn caching(_: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::Static(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    ))
}

/// `CLIENT GETREDIR` -> integer, -1: no tracking.
pub(super) fn getredir(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.int(-1);
    Ok(())
}

/// `CLIENT TRACKINGINFO` -> map of `flags` (set), `redirect` (integer) and `prefixes` (array).
pub(super) fn trackinginfo(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.map(3);
    cx.reply.bulk_str("flags");
    cx.reply.set(1);
    cx.reply.bulk_str("off");
    cx.reply.bulk_str("redirect");
    cx.reply.int(-1);
    cx.reply.bulk_str("prefixes");
    cx.reply.array(0);
    Ok(())
}

#[derive(Default)]
struct Wanted {
    bcast: bool,
    optin: bool,
    optout: bool,
    prefixes: bool,
    redirect: bool,
}

/// `CLIENT TRACKING OFF [option …]` -> OK. `ON` is refused. Errors: those of the options.
pub(super) fn tracking(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let wanted = parse(cx, args)?;
    if args.is(2, "OFF") {
        return done(cx.reply);
    }
    if !args.is(2, "ON") {
        return Err(ReplyError::Syntax);
    }
    if wanted.bcast && (wanted.optin || wanted.optout) {
        return Err(ReplyError::Static("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if wanted.optin && wanted.optout {
        return Err(ReplyError::Static("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    if wanted.prefixes && !wanted.bcast {
        return Err(ReplyError::Static("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    Err(ReplyError::Static("ERR CLIENT TRACKING ON is not supported by this version of Redix"))
}

fn parse(cx: &ClientCx<'_, '_>, args: Args<'_>) -> Result<Wanted, ReplyError> {
    let mut wanted = Wanted::default();
    let mut options = args.options(3);
    while options.more() {
        if let Some(id) = options.eat_value("REDIRECT") {
            if std::mem::replace(&mut wanted.redirect, true) {
                return Err(ReplyError::Static(
                    "ERR A client can only redirect to a single other client",
                ));
            }
            let id = redix_types::num::parse_i64(id).ok_or(ReplyError::NotInteger)?;
            let known = u64::try_from(id).ok().and_then(|id| cx.engine.registry.get(id));
            if known.is_none() {
                let text = "ERR The client ID you want redirect to does not exist";
                return Err(ReplyError::Static(text));
            }
        } else if options.eat_value("PREFIX").is_some() {
            wanted.prefixes = true;
        } else if options.eat("BCAST") {
            wanted.bcast = true;
        } else if options.eat("OPTIN") {
            wanted.optin = true;
        } else if options.eat("OPTOUT") {
            wanted.optout = true;
        } else if !options.eat("NOLOOP") {
            return Err(ReplyError::Syntax);
        }
    }
    Ok(wanted)
}
