//! WAIT and WAITAOF: block until replicas, or append-only files, have this connection's writes.

use crate::blocking::{Acknowledgement, FILE_IS_OFF};
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// Commands: WAIT and WAITAOF.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("wait", Group::Generic, 3, wait)
        .flags(flag::BLOCKING)
        .acl(acl::CONNECTION)
        .since("3.0.0")
        .doc("Waits until replicas have acknowledged what the connection has written.")
        .args(&[
            ArgSpec::new("numreplicas", ArgKind::Integer),
            ArgSpec::new("timeout", ArgKind::Integer),
        ])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    CommandSpec::client("waitaof", Group::Generic, 4, waitaof)
        .flags(flag::BLOCKING)
        .acl(acl::CONNECTION)
        .since("7.2.0")
        .doc(
            "Waits until what the connection has written is in the append-only files of this \
             server and of replicas, on disk.",
        )
        .args(&[
            ArgSpec::new("numlocal", ArgKind::Integer),
            ArgSpec::new("numreplicas", ArgKind::Integer),
            ArgSpec::new("timeout", ArgKind::Integer),
        ])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

const ON_REPLICA: ReplyError = ReplyError::Static(
    "ERR WAIT cannot be used with replica instances. Please also note that if a replica is \
     configured to be writable (which is not the default) writes to replicas are just local and \
     are not propagated.",
);
const FILE_ON_REPLICA: ReplyError = ReplyError::Static(
    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas \
     are just local and are not propagated.",
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
    wait_for(cx, replicas, None, deadline_ms)
}

/// `WAITAOF numlocal numreplicas timeout` -> array of two integers, as WAIT for append-only files:
/// how many of this server (0 or 1) and of replicas have the connection's last write on disk.
/// Errors: as WAIT, and this server's file is wanted and off.
fn waitaof(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let files = args.int(1)?;
    if !(0..=1).contains(&files) {
        return Err(ReplyError::Static("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = args.int(2).ok().filter(|count| *count >= 0);
    let replicas =
        replicas.ok_or(ReplyError::Static("ERR value is out of range, must be positive"))?;
    let deadline_ms = deadline_ms(args, 3, cx.now_ms())?;
    if cx.engine.repl.is_replica() {
        return Err(FILE_ON_REPLICA);
    }
    if files > 0 && !cx.config.appendonly {
        return Err(FILE_IS_OFF);
    }
    wait_for(cx, replicas, Some(files), deadline_ms)
}

fn wait_for(
    cx: &mut ClientCx<'_, '_>,
    replicas: i64,
    files: Option<i64>,
    deadline_ms: Option<i64>,
) -> CommandResult {
    let engine = cx.engine;
    let wanted = Acknowledgement { offset: cx.session.write_offset, replicas, files };
    let by = engine.acknowledged(&wanted);
    if wanted.is_met_by(by) || !cx.may_block() {
        wanted.reply(by, cx.reply);
        return Ok(());
    }
    let waiter = cx.block(
        deadline_ms,
        Box::new(move |engine, reply| wanted.reply(engine.acknowledged(&wanted), reply)),
    );
    if by.replicas < replicas {
        engine.repl.replicas.want_acks();
    }
    engine.blocking.offsets.wait(&waiter, wanted, |wanted| engine.acknowledged(wanted));
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
