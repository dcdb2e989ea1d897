//! REPLICAOF and SLAVEOF: changes the role of this server.

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::commands::connection::client;
use crate::config::ByteString;
use crate::env::Level;
use crate::error::{CommandResult, ReplyError};
use crate::repl::failover::Stage;
use crate::repl::status::Target;
use crate::sync::atomic::Ordering;

/// Commands: REPLICAOF and SLAVEOF.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("replicaof", Group::Server, 3, replicaof)
        .flags(FLAGS)
        .world()
        .since("5.0.0")
        .doc("Makes the server a replica of another, or a primary again.")
        .args(ARGS),
    CommandSpec::client("slaveof", Group::Server, 3, replicaof)
        .flags(FLAGS)
        .world()
        .doc("Makes the server a replica of another, or a primary again.")
        .deprecated("5.0.0", "`REPLICAOF`")
        .args(ARGS),
];

const FLAGS: u32 = flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NOSCRIPT | flag::STALE;

const ARGS: &[ArgSpec] = &[ArgSpec::new(
    "args",
    ArgKind::OneOf(&[
        ArgSpec::new(
            "host-port",
            ArgKind::Block(&[
                ArgSpec::new("host", ArgKind::String),
                ArgSpec::new("port", ArgKind::Integer),
            ]),
        ),
        ArgSpec::new(
            "no-one",
            ArgKind::Block(&[ArgSpec::word("no", "NO"), ArgSpec::word("one", "ONE")]),
        ),
    ]),
)];

/// `REPLICAOF host port` or `REPLICAOF NO ONE` -> OK. Errors: an invalid port; a failover is in
/// progress; it comes from the primary's stream. The new link is established in the background.
/// Repeated for the present primary while the link is down, it is consent to whatever data set that
/// has.
fn replicaof(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let engine = cx.engine;
    // It would close the link that it is executed on, and be forwarded to this server's replicas.
    if cx.from_primary() {
        return Err(ReplyError::Static("ERR A master can't tell its replica whom to follow"));
    }
    if engine.repl.failover.stage() != Stage::None {
        return Err(ReplyError::Static("ERR REPLICAOF not allowed while failing over."));
    }
    if args.is(1, "no") && args.is(2, "one") {
        if engine.stop_following() {
            announce(cx, "PRIMARY MODE enabled", "user");
        }
        cx.reply.ok();
        return Ok(());
    }
    let port = args.int(2).ok().and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(ReplyError::Static("ERR Invalid master port"))?;
    let host = args.get(1).split(|byte| *byte == 0).next().unwrap_or_default();
    let host = ByteString::from(host);
    let present = engine.repl.upstream.target();
    if present.is_some_and(|old| old.port == port && old.host.eq_ignore_ascii_case(&host)) {
        consent(cx, &Target { host, port });
        cx.reply.simple("OK Already connected to specified master");
        return Ok(());
    }
    let text = format!("REPLICAOF {host}:{port} enabled");
    engine.follow(Target { host, port });
    announce(cx, &text, "user");
    cx.reply.ok();
    Ok(())
}

/// Accepts whatever data set the primary offers, unless the link is up. What was refused is asked
/// for again at once.
fn consent(cx: &ClientCx<'_, '_>, target: &Target) {
    let status = &cx.engine.repl.upstream;
    if status.is_up() {
        return;
    }
    let was_refused = status.protection.refused().is_some();
    status.protection.consent();
    if was_refused {
        status.set_target(Some(target.clone()));
        status.wake();
        let Target { host, port } = target;
        announce(cx, &format!("The data set of PRIMARY {host}:{port} is accepted"), "user");
    }
}

/// Logs the change of role, and on whose `kind` of request.
pub(super) fn announce(cx: &ClientCx<'_, '_>, what: &str, kind: &str) {
    // The log shows the client with this command, not with its previous one.
    cx.shared.last_command.store(cx.command.id, Ordering::Relaxed);
    let client = client::describe(cx.shared, cx.engine, cx.now_ms());
    cx.engine.env.log(Level::Notice, &format!("{what} ({kind} request from '{client}')"));
}
