//! WAIT: blocks until replicas have acknowledged this connection's writes.

use crate::blocking::Acknowledgement;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// Command: WAIT.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::client("wait", Group::Generic, 3, wait)
    .flags(flag::BLOCKING)
    .acl(acl::CONNECTION)
    .since("3.0.0")
    .doc("Waits until replicas have acknowledged what the connection has written.")
    .args(&[
        ArgSpec::new("numreplicas", ArgKind::Integer),
        ArgSpec::new("timeout", ArgKind::Integer),
    ])
    .tips(&["request_policy:all_shards", "response_policy:agg_min"])];

const ON_REPLICA: ReplyError = ReplyError::Static(
    "ERR WAIT cannot be used with replica instances. Please also note that if a replica is \
     configured to be writable (which is not the default) writes to replicas are just local and \
     are not propagated.",
);

/// `WAIT numreplicas timeout` -> integer, the number of replicas that have acknowledged the
/// connection's last write: once they are enough, or after `timeout` milliseconds (0: no timeout).
/// Where the caller may not block, at once. Errors: not numbers, a negative or too long timeout, a
/// replica.
fn wait(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    if cx.engine.repl.is_replica() {
        return Err(ON_REPLICA);
    }
    let replicas = args.int(1)?;
    let deadline_ms = deadline_ms(args, 2, cx.now_ms())?;
    let (engine, offset) = (cx.engine, cx.session.write_offset);
    let acknowledged = |offset| engine.repl.acknowledged(offset);
    let count = acknowledged(offset);
    if count >= replicas || !cx.may_block() {
        cx.reply.int(count);
        return Ok(());
    }
    let waiter = cx.block(
        deadline_ms,
        Box::new(move |engine, reply| reply.int(engine.repl.acknowledged(offset))),
    );
    engine.repl.replicas.want_acks();
    engine.blocking.offsets.wait(&waiter, Acknowledgement { offset, replicas }, acknowledged);
    Ok(())
}

/// The deadline in Unix milliseconds for the timeout in argument `index`; `None` for 0, no timeout.
fn deadline_ms(args: Args<'_>, index: usize, now_ms: i64) -> Result<Option<i64>, ReplyError> {
    let timeout_ms = args
        .int(index)
        .map_err(|_| ReplyError::Static("ERR timeout is not an integer or out of range"))?;
    match timeout_ms {
        0 => Ok(None),
        1.. => now_ms
            .checked_add(timeout_ms)
            .map(Some)
            .ok_or(ReplyError::Static("ERR timeout is out of range")),
        _ => Err(ReplyError::Static("ERR timeout is negative")),
    }
}
