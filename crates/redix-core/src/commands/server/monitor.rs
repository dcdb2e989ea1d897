//! MONITOR and TIME.

use crate::command::args::Args;
use crate::command::context::{ClientCx, Ctx};
use crate::command::spec::{CommandSpec, Group, flag};
use crate::error::{CommandResult, ReplyError};
use crate::registry::client_flag;
use crate::sync::Arc;

/// Commands: MONITOR and TIME.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("monitor", Group::Server, 1, monitor)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .complexity("")
        .doc("Shows every command that any client executes, from now on."),
    CommandSpec::plain("time", Group::Server, 1, time)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .since("2.6.0")
        .doc("Returns the server's time.")
        .tips(&["nondeterministic_output"]),
];

/// `TIME` -> array of two bulks: Unix time in seconds, and the microseconds of that second.
fn time(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.array(2);
    cx.reply.bulk_int(cx.now_us.div_euclid(1_000_000));
    cx.reply.bulk_int(cx.now_us.rem_euclid(1_000_000));
    Ok(())
}

/// `MONITOR` -> OK, then a status line for each command. Errors: inside MULTI. No reply to a
/// replica, nor to a client that monitors already.
fn monitor(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    if !cx.may_block() {
        return Err(ReplyError::Static("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // MONITOR lines would corrupt a replica's stream.
    let is_replica = cx.session.replica.as_ref().is_some_and(|replica| replica.attached());
    if is_replica || cx.session.monitor {
        return Ok(());
    }
    cx.session.monitor = true;
    cx.shared.set_flag(client_flag::MONITOR, true);
    cx.engine.registry.add_monitor(Arc::clone(cx.shared));
    cx.reply.ok();
    Ok(())
}
