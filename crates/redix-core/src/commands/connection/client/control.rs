//! CLIENT subcommands that act on connections: KILL, PAUSE, UNBLOCK, REPLY, NO-EVICT and the like.

use super::filter::Filter;
use super::on_or_off;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::error::{CommandResult, ReplyError};
use crate::mailbox::WaitEnd;
use crate::pause::{Paused, Purpose};
use crate::registry::{ClientShared, client_flag};
use crate::session::ReplyMode;
use crate::sync::Arc;

/// `CLIENT KILL addr` -> OK. Errors: no connection has that address. `CLIENT KILL filter value …`
/// -> integer, the number of connections closed; this one is exempt unless `SKIPME no`. Errors: an
/// unknown filter or value.
pub(super) fn kill(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let clients = cx.engine.registry.all();
    if args.len() == 3 {
        let addr = args.get(2);
        let found = clients.iter().find(|client| client.addr.as_bytes() == addr);
        kill_one(cx, found.ok_or(ReplyError::Static("ERR No such client"))?);
        return done(cx.reply);
    }
    let filter = Filter::parse(cx, args, 2)?;
    let skip_me = filter.skip_me.unwrap_or(true);
    let now_ms = cx.now_ms();
    let mut killed = 0;
    for client in &clients {
        if (skip_me && client.id == cx.shared.id) || !filter.matches(client, now_ms) {
            continue;
        }
        kill_one(cx, client);
        killed += 1;
    }
    cx.reply.int(killed);
    Ok(())
}

/// This connection is closed after its reply; others are closed at once.
fn kill_one(cx: &mut ClientCx<'_, '_>, client: &Arc<ClientShared>) {
    if client.id == cx.shared.id {
        cx.close_after_reply();
    } else {
        cx.engine.registry.kill(client);
        if client.has_flag(client_flag::PRIMARY) {
            // Its thread may have to wait until this transaction is over.
            cx.engine.repl.upstream.cut();
            cx.engine.repl.upstream.wake();
        }
    }
}

/// `CLIENT PAUSE milliseconds [WRITE|ALL]` -> OK. In the world, so that no command covered by the
/// pause is still being executed when it is replied to. Like Valkey it ignores the mode
/// if more follows it. Errors: the time is no number, negative or too long; another mode.
pub(super) fn pause(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let what = match args.try_get(3) {
        Some(_) if args.len() > 4 => Paused::All,
        None => Paused::All,
        Some(_) if args.is(3, "ALL") => Paused::All,
        Some(_) if args.is(3, "WRITE") => Paused::Writes,
        Some(_) => {
            return Err(ReplyError::Static("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
    };
    let duration_ms = args
        .int(2)
        .map_err(|_| ReplyError::Static("ERR timeout is not an integer or out of range"))?;
    if duration_ms < 0 {
        return Err(ReplyError::Static("ERR timeout is negative"));
    }
    let now_ms = cx.now_ms();
    let until_ms =
        now_ms.checked_add(duration_ms).ok_or(ReplyError::Static("ERR timeout is out of range"))?;
    cx.engine.pause.start_client(now_ms, until_ms, what, cx.engine.repl.is_replica());
    done(cx.reply)
}

/// `CLIENT UNPAUSE` -> OK. Ends the pause of CLIENT PAUSE, no other.
pub(super) fn unpause(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.engine.end_pause(Purpose::Client);
    done(cx.reply)
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]` -> integer, 1 if the client was blocked by a command. Like
/// Valkey it ignores the reason if more follows it. Errors: the id is no number; another
/// reason.
pub(super) fn unblock(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let reasoned = args.len() == 4;
    if reasoned && !args.is(3, "TIMEOUT") && !args.is(3, "ERROR") {
        let text = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
        return Err(ReplyError::Static(text));
    }
    let end = if reasoned && args.is(3, "ERROR") {
        let text = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
        WaitEnd::Failed(ReplyError::Static(text))
    } else {
        WaitEnd::TimedOut
    };
    let id = u64::try_from(args.int(2)?).ok();
    let was_blocked = id.is_some_and(|id| cx.engine.registry.unblock(id, end));
    cx.reply.int(i64::from(was_blocked));
    Ok(())
}

/// `CLIENT REPLY ON|OFF|SKIP` -> OK for ON; otherwise nothing.
pub(super) fn reply(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.is(2, "ON") {
        cx.session.reply_mode = ReplyMode::On;
        return done(cx.reply);
    }
    if args.is(2, "OFF") {
        cx.session.reply_mode = ReplyMode::Off;
    } else if !args.is(2, "SKIP") {
        return Err(ReplyError::Syntax);
    } else if cx.session.reply_mode != ReplyMode::Off {
        cx.session.reply_mode = ReplyMode::SkipNext;
    }
    Ok(())
}

/// `CLIENT NO-EVICT ON|OFF` -> OK.
pub(super) fn no_evict(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let on = on_or_off(args)?;
    cx.shared.set_flag(client_flag::NO_EVICT, on);
    done(cx.reply)
}

/// `CLIENT NO-TOUCH ON|OFF` -> OK.
pub(super) fn no_touch(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let on = on_or_off(args)?;
    cx.session.no_touch = on;
    cx.keys.touch = !on;
    cx.shared.set_flag(client_flag::NO_TOUCH, on);
    done(cx.reply)
}

/// `CLIENT IMPORT-SOURCE ON|OFF` -> OK. Errors: anything but OFF outside of import mode.
pub(super) fn import_source(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    if !cx.config.import_mode && !args.is(2, "OFF") {
        return Err(ReplyError::Static("ERR Server is not in import mode"));
    }
    let on = on_or_off(args)?;
    cx.session.import_source = on;
    cx.shared.set_flag(client_flag::IMPORT_SOURCE, on);
    done(cx.reply)
}
