//! AUTH and HELLO: authentication and protocol negotiation.
//!
//! A failed authentication is logged as a denial; see [`crate::acl`]. With `auth-fail-delay-ms` the
//! client is blocked until its reply is due, so that a connection cannot try passwords faster. In a
//! transaction nothing can block: there the first failure closes the connection, and those after it
//! are not looked at.

use redix_resp::reply::{Proto, Reply};
use redix_types::num::parse_i64;

use super::{BAD_NAME, is_plain_word, set_proto};
use crate::acl::log::Context;
use crate::acl::{DEFAULT_USER, Identity};
use crate::command::args::Args;
use crate::command::context::{Caller, ClientCx};
use crate::command::dispatch::fail;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::command::timing::call_stats;
use crate::config::REDIS_VERSION;
use crate::engine::Engine;
use crate::error::{CommandResult, ReplyError};
use crate::sync::lock;

/// Commands: AUTH and HELLO.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("auth", Group::Connection, -2, auth)
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY,
        )
        .acl(acl::CONNECTION)
        .complexity("O(N) where N is the number of passwords defined for the user")
        .doc("Lets a client in that knows the password.")
        .history(&[("6.0.0", "Takes a user name too.")])
        .args(&[
            ArgSpec::new("username", ArgKind::String).since("6.0.0").optional(),
            ArgSpec::new("password", ArgKind::String),
        ]),
    CommandSpec::client("hello", Group::Connection, -1, hello)
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY,
        )
        .acl(acl::CONNECTION)
        .since("6.0.0")
        .doc("Chooses a protocol, and says what the server is.")
        .history(&[
            ("8.1.0", "Shows the availability zone, where one is configured."),
            ("6.2.0", "Without arguments it only reports."),
        ])
        .args(HELLO_ARGS),
];

const HELLO_ARGS: &[ArgSpec] = &[ArgSpec::new(
    "arguments",
    ArgKind::Block(&[
        ArgSpec::new("protover", ArgKind::Integer),
        ArgSpec::new(
            "auth",
            ArgKind::Block(&[
                ArgSpec::new("username", ArgKind::String),
                ArgSpec::new("password", ArgKind::String),
            ]),
        )
        .token("AUTH")
        .optional(),
        ArgSpec::new("clientname", ArgKind::String).token("SETNAME").optional(),
    ]),
)
.optional()];

const NO_PASSWORD: ReplyError = ReplyError::Static(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure \
     your configuration is correct?",
);
const WRONG_PASS: ReplyError =
    ReplyError::Static("WRONGPASS invalid username-password pair or user is disabled.");
const HELLO_NO_AUTH: ReplyError = ReplyError::Static(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> \
     AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
     version at the same time",
);

/// `AUTH [username] password` -> OK. Errors: WRONGPASS; no password is configured and no user was
/// named.
fn auth(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.session.secrets.add(1..args.len());
    let login = match args.len() {
        2 if cx.engine.acl.default_takes_any_password() => return Err(NO_PASSWORD),
        2 => authenticate(cx, args, DEFAULT_USER, args.get(1))?,
        3 => authenticate(cx, args, args.get(1), args.get(2))?,
        _ => return Err(ReplyError::Syntax),
    };
    if login == Login::Done {
        cx.reply.ok();
    }
    Ok(())
}

/// The outcome of an authentication that gives no error now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// The client is who it says.
    Done,
    /// The client is blocked until it gets the error.
    Delayed,
}

fn authenticate(
    cx: &mut ClientCx<'_, '_>,
    args: Args<'_>,
    name: &[u8],
    password: &[u8],
) -> Result<Login, ReplyError> {
    let delay_ms = i64::from(cx.config.auth_fail_delay_ms);
    if delay_ms > 0 && cx.session.close_after_reply {
        return Err(WRONG_PASS);
    }
    let found = cx.engine.acl.get(name);
    let Some(user) = found.filter(|user| user.is_on && user.password.accepts(password)) else {
        let context = if cx.caller == Caller::Exec { Context::Multi } else { Context::TopLevel };
        cx.recorder(args).note_login(name, context);
        return match delay_ms {
            0 => Err(WRONG_PASS),
            _ if cx.may_block() => Ok(delay_error(cx, delay_ms)),
            _ => {
                cx.close_after_reply();
                Err(WRONG_PASS)
            }
        };
    };
    cx.session.authenticated = true;
    cx.session.known = true;
    cx.session.user = Identity::of(&user.name);
    lock(&cx.shared.texts).user = name.to_vec();
    cx.audit_login();
    Ok(Login::Done)
}

/// Blocks the client until its error is due.
fn delay_error(cx: &mut ClientCx<'_, '_>, delay_ms: i64) -> Login {
    let (worker, command) = (cx.shared.worker, cx.command);
    let until_ms = cx.now_ms().saturating_add(delay_ms);
    let reply_error = move |engine: &Engine, reply: &mut Reply| {
        let stats = engine.stats.thread(worker);
        call_stats(stats, command).failed.bump();
        fail(engine, stats, reply, &WRONG_PASS);
    };
    cx.block(Some(until_ms), Box::new(reply_error));
    Login::Delayed
}

/// The arguments of HELLO.
#[derive(Default)]
struct Hello<'a> {
    proto: Option<Proto>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

/// `HELLO [2|3 [AUTH username password] [SETNAME name]]` -> map of facts about the server. Errors:
/// NOPROTO, WRONGPASS, NOAUTH. On an error nothing changes, except that a successful AUTH stays.
fn hello(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let wish = parse_hello(cx, args)?;
    if let Some((user, password)) = wish.login
        && authenticate(cx, args, user, password)? == Login::Delayed
    {
        return Ok(());
    }
    if !cx.session.authenticated && !cx.engine.acl.default_is_open() {
        return Err(HELLO_NO_AUTH);
    }
    if let Some(name) = wish.name {
        lock(&cx.shared.texts).name = name.to_vec();
    }
    if let Some(proto) = wish.proto {
        set_proto(cx, proto);
    }
    describe_server(cx);
    Ok(())
}

fn parse_hello<'a>(cx: &mut ClientCx<'_, '_>, args: Args<'a>) -> Result<Hello<'a>, ReplyError> {
    let mut wish = Hello::default();
    if args.len() >= 2 {
        let version = parse_i64(args.get(1));
        wish.proto = Some(match version {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(ReplyError::Static("NOPROTO unsupported protocol version")),
            None => {
                let text = "ERR Protocol version is not an integer or out of range";
                return Err(ReplyError::Static(text));
            }
        });
    }
    let mut options = args.options(2);
    while options.more() {
        let at = options.position();
        if options.left() >= 3 && options.eat("AUTH") {
            cx.session.secrets.add(at + 1..at + 3);
            wish.login = options.take().zip(options.take());
        } else if let Some(name) = options.eat_value("SETNAME") {
            if !is_plain_word(name) {
                return Err(BAD_NAME);
            }
            wish.name = Some(name);
        } else {
            let word = args.get(at);
            return Err(ReplyError::quoting("Syntax error in HELLO option '", word, "'"));
        }
    }
    Ok(wish)
}

/// Clients enable features by the server's name and version: those are of the Redis whose commands
/// are all here, as in INFO.
fn describe_server(cx: &mut ClientCx<'_, '_>) {
    let zone = &cx.config.availability_zone;
    let role = cx.engine.repl.role();
    let reply = &mut *cx.data.reply;
    reply.map(if zone.is_empty() { 7 } else { 8 });
    reply.bulk_str("server");
    reply.bulk_str("redis");
    reply.bulk_str("version");
    reply.bulk_str(REDIS_VERSION);
    reply.bulk_str("proto");
    reply.int(if reply.proto == Proto::Resp3 { 3 } else { 2 });
    reply.bulk_str("id");
    reply.int(cx.shared.id as i64);
    reply.bulk_str("mode");
    reply.bulk_str("standalone");
    reply.bulk_str("role");
    reply.bulk_str(role.younger_word());
    reply.bulk_str("modules");
    reply.array(0);
    if !zone.is_empty() {
        reply.bulk_str("availability_zone");
        reply.bulk(zone);
    }
}
