//! FAILOVER: a primary changes places with one of its replicas.

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::config::ByteString;
use crate::error::{CommandResult, ReplyError};
use crate::repl::failover::{Plan, Stage};
use crate::repl::primary::Phase;
use crate::repl::status::Target;

/// Command: FAILOVER.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::client("failover", Group::Server, -1, failover)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::STALE)
        .world()
        .since("6.2.0")
        .doc("Makes one of its replicas the primary in the server's place.")
        .args(&[
            ArgSpec::new(
                "target",
                ArgKind::Block(&[
                    ArgSpec::new("host", ArgKind::String),
                    ArgSpec::new("port", ArgKind::Integer),
                    ArgSpec::word("force", "FORCE").optional(),
                ]),
            )
            .token("TO")
            .optional(),
            ArgSpec::word("abort", "ABORT").optional(),
            ArgSpec::new("milliseconds", ArgKind::Integer).token("TIMEOUT").optional(),
        ])];

/// The arguments of FAILOVER.
#[derive(Default)]
struct Options {
    target: Option<(ByteString, i64)>,
    timeout_ms: Option<i64>,
    force: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, ReplyError> {
        let (mut this, mut at) = (Self::default(), 1);
        while at < args.len() {
            if args.is(at, "timeout") && at + 1 < args.len() && this.timeout_ms.is_none() {
                let timeout_ms = args.int(at + 1)?;
                if timeout_ms <= 0 {
                    let text = "ERR FAILOVER timeout must be greater than 0";
                    return Err(ReplyError::Static(text));
                }
                this.timeout_ms = Some(timeout_ms);
                at += 2;
            } else if args.is(at, "to") && at + 2 < args.len() && this.target.is_none() {
                let host = ByteString::from(args.get(at + 1));
                this.target = Some((host, args.int(at + 2)?));
                at += 3;
            } else if args.is(at, "force") && !this.force {
                this.force = true;
                at += 1;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(this)
    }
}

/// `FAILOVER [TO host port [FORCE]] [TIMEOUT milliseconds]` -> OK: begun; the rest happens in the
/// background. `FAILOVER ABORT` -> OK. Errors: syntax; ABORT without a failover, or another one in
/// progress; this is a replica; no replicas; the target is no replica or not online; FORCE without
/// a target and a timeout.
fn failover(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let engine = cx.engine;
    let under_way = engine.repl.failover.stage() != Stage::None;
    if args.len() == 2 && args.is(1, "abort") {
        if !under_way {
            return Err(ReplyError::Static("ERR No failover in progress."));
        }
        engine.abort_failover("Failover manually aborted");
        return done(cx.reply);
    }
    let options = Options::parse(args)?;
    if under_way {
        return Err(ReplyError::Static("ERR FAILOVER already in progress."));
    }
    let plan = plan(cx, options)?;
    engine.begin_failover(plan);
    done(cx.reply)
}

/// The failover to begin. Errors: why it cannot.
fn plan(cx: &ClientCx<'_, '_>, options: Options) -> Result<Plan, ReplyError> {
    let repl = &cx.engine.repl;
    if repl.is_replica() {
        let text = "ERR FAILOVER is not valid when server is a replica.";
        return Err(ReplyError::Static(text));
    }
    if repl.replicas.count() == 0 {
        return Err(ReplyError::Static("ERR FAILOVER requires connected replicas."));
    }
    if options.force && (options.timeout_ms.is_none() || options.target.is_none()) {
        let text = "ERR FAILOVER with force option requires both a timeout and target HOST and IP.";
        return Err(ReplyError::Static(text));
    }
    let target = options.target.map(|target| find(cx, target)).transpose()?;
    let deadline_ms = options.timeout_ms.map(|ms| cx.now_ms().saturating_add(ms));
    Ok(Plan { target, deadline_ms, force: options.force, asked: false })
}

/// The replica with this address, if it is online.
fn find(cx: &ClientCx<'_, '_>, (host, port): (ByteString, i64)) -> Result<Target, ReplyError> {
    let all = cx.engine.repl.replicas.all();
    let target = u16::try_from(port).ok().map(|port| Target { host, port });
    let found = target.and_then(|target| {
        let replica = all.iter().find(|replica| replica.is_at(&target))?;
        Some((target, replica.phase()))
    });
    match found {
        None => Err(ReplyError::Static("ERR FAILOVER target HOST and PORT is not a replica.")),
        Some((target, Phase::Online)) => Ok(target),
        Some(_) => Err(ReplyError::Static("ERR FAILOVER target replica is not online.")),
    }
}
