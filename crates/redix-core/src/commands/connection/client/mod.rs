//! CLIENT: inspecting and controlling connections.
//!
//! [`identity`] is who a connection is, [`describe`] writes one line of CLIENT LIST, [`filter`] the
//! selection of connections, [`control`] what is done to them, [`tracking`] client-side
//! caching.

mod control;
mod filter;
mod identity;
mod tracking;

pub use crate::command::line::describe;
pub(super) use tracking::stop as stop_tracking;

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// Command: CLIENT and its subcommands.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::client("client", Group::Connection, -2, container)
        .since("2.4.0")
        .complexity("Depends on subcommand.")
        .doc("Groups the commands about connections.")
        .subcommands(SUBCOMMANDS)];

// tidy: table
const SUBCOMMANDS: &[CommandSpec] = &[
CommandSpec::client("caching", Group::Connection, 3, tracking::caching)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("6.0.0")
.doc("Says whether the keys of the next command are tracked.")
.args(&[ArgSpec::new("mode", ArgKind::OneOf(&[ArgSpec::word("yes", "YES"), ArgSpec::word("no", "NO")]))]),
CommandSpec::client("capa", Group::Connection, -3, identity::capa)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("8.0.0")
.doc("Tells the server what the client can do.")
.args(&[ArgSpec::new("capability", ArgKind::String).multiple()]),
CommandSpec::client("getname", Group::Connection, 2, identity::getname)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("2.6.9")
.doc("Returns the connection's name."),
CommandSpec::client("getredir", Group::Connection, 2, tracking::getredir)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("6.0.0")
.doc("Returns which client receives the invalidations of this one."),
CommandSpec::client("help", Group::Connection, 2, help)
.flags(flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("5.0.0")
.doc("Lists the subcommands."),
CommandSpec::client("id", Group::Connection, 2, identity::id)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("5.0.0")
.doc("Returns the connection's id."),
CommandSpec::client("import-source", Group::Connection, 3, control::import_source)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("8.1.0")
.doc("Marks the connection as the source of an import.")
.args(&[ArgSpec::new("enabled", ArgKind::OneOf(&[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF")]))]),
CommandSpec::client("info", Group::Connection, 2, identity::info)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("6.2.0")
.doc("Describes the connection.")
.tips(&["nondeterministic_output"]),
CommandSpec::client("kill", Group::Connection, -3, control::kill)
.flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("2.4.0")
.complexity("O(N) where N is the number of client connections")
.doc("Closes connections.")
.history(&[("2.8.12", "Filters in place of an address."), ("2.8.12", "The filter ID."), ("3.2.0", "The type master."), ("5.0.0", "The type replica, for slave."), ("6.2.0", "The filter LADDR."), ("8.0.0", "The filter MAXAGE."), ("8.0.0", "The type primary, for master."), ("8.1.0", "Several ids after ID."), ("9.0.0", "The filters NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA and IP, and NOT- before most.")])
.args(filter::KILL_ARGS),
CommandSpec::client("list", Group::Connection, -2, identity::list)
.flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("2.4.0")
.complexity("O(N) where N is the number of client connections")
.doc("Describes all connections, or some.")
.history(&[("2.8.12", "The field id."), ("5.0.0", "The filter TYPE."), ("6.0.0", "The field user."), ("6.2.0", "The fields argv-mem, tot-mem, laddr and redir, and the filter ID."), ("7.0.0", "The fields resp, multi-mem, rbs and rbp."), ("7.0.3", "The field ssub."), ("8.0.0", "The type primary, for master."), ("8.1.0", "The filters USER, ADDR, LADDR, SKIPME and MAXAGE."), ("9.0.0", "The filters NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA and IP, and NOT- before most.")])
.tips(&["nondeterministic_output"])
.args(filter::LIST_ARGS),
CommandSpec::client("no-evict", Group::Connection, 3, control::no_evict)
.flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("7.0.0")
.doc("Keeps the connection out of the eviction of clients.")
.args(&[ArgSpec::new("enabled", ArgKind::OneOf(&[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF")]))]),
CommandSpec::client("no-touch", Group::Connection, 3, control::no_touch)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("7.2.0")
.doc("Lets commands of the connection leave the age of keys alone.")
.args(&[ArgSpec::new("enabled", ArgKind::OneOf(&[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF")]))]),
CommandSpec::client("pause", Group::Connection, -3, control::pause)
.world()
.flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("3.0.0")
.doc("Holds commands back for a while.")
.history(&[("6.2.0", "The mode WRITE.")])
.args(&[ArgSpec::new("timeout", ArgKind::Integer), ArgSpec::new("mode", ArgKind::OneOf(&[ArgSpec::word("write", "WRITE"), ArgSpec::word("all", "ALL")])).since("6.2.0").optional()]),
CommandSpec::client("reply", Group::Connection, 3, control::reply)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::NO_MULTI | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("3.2.0")
.doc("Switches replies on and off.")
.args(&[ArgSpec::new("action", ArgKind::OneOf(&[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF"), ArgSpec::word("skip", "SKIP")]))]),
CommandSpec::client("setinfo", Group::Connection, 4, identity::setinfo)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("7.2.0")
.doc("Notes the name or version of the client's library.")
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
.args(&[ArgSpec::new("attr", ArgKind::OneOf(&[ArgSpec::new("libname", ArgKind::String).token("LIB-NAME"), ArgSpec::new("libver", ArgKind::String).token("LIB-VER")]))]),
CommandSpec::client("setname", Group::Connection, 3, identity::setname)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY)
.acl(acl::CONNECTION)
.since("2.6.9")
.doc("Gives the connection a name.")
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
.args(&[ArgSpec::new("connection-name", ArgKind::String)]),
CommandSpec::client("tracking", Group::Connection, -3, tracking::tracking)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("6.0.0")
.complexity("O(1). Some options may introduce additional complexity.")
.doc("Switches the tracking of keys for client-side caching.")
.args(&[ArgSpec::new("status", ArgKind::OneOf(&[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF")])), ArgSpec::new("client-id", ArgKind::Integer).token("REDIRECT").optional(), ArgSpec::new("prefix", ArgKind::String).token("PREFIX").optional().multiple_token(), ArgSpec::word("bcast", "BCAST").optional(), ArgSpec::word("optin", "OPTIN").optional(), ArgSpec::word("optout", "OPTOUT").optional(), ArgSpec::word("noloop", "NOLOOP").optional()]),
CommandSpec::client("trackinginfo", Group::Connection, 2, tracking::trackinginfo)
.flags(flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("6.2.0")
.doc("Describes the tracking of keys for this connection."),
CommandSpec::client("unblock", Group::Connection, -3, control::unblock)
.flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("5.0.0")
.complexity("O(log N) where N is the number of client connections")
.doc("Ends the waiting of a blocked client.")
.args(&[ArgSpec::new("client-id", ArgKind::Integer), ArgSpec::new("unblock-type", ArgKind::OneOf(&[ArgSpec::word("timeout", "TIMEOUT"), ArgSpec::word("error", "ERROR")])).optional()]),
CommandSpec::client("unpause", Group::Connection, 2, control::unpause)
.flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
.acl(acl::CONNECTION)
.since("6.2.0")
.complexity("O(N) Where N is the number of paused clients")
.doc("Lets commands run again that a pause held back.")];

/// Never called: the arity requires a subcommand, and unknown ones are refused by the dispatcher.
fn container(_: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("client".into()))
}

/// Parses `ON` or `OFF` at argument 2. Errors: anything else.
fn on_or_off(args: Args<'_>) -> Result<bool, ReplyError> {
    match () {
        () if args.is(2, "ON") => Ok(true),
        () if args.is(2, "OFF") => Ok(false),
        () => Err(ReplyError::Syntax),
    }
}

/// `CLIENT HELP` -> array of statuses.
fn help(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let filters = "Filters: ID <id> [<id> ...], TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB), USER, ADDR, \
                   LADDR, IP, NAME, LIB-NAME, LIB-VER, FLAGS, CAPA and DB, each also with NOT- \
                   (but for SKIPME), MAXAGE <s>, IDLE <s>, SKIPME (YES|NO).";
    crate::commands::server::help(
        cx,
        "CLIENT",
        &[
            ("CACHING (YES|NO)", "Whether the next command's keys are tracked."),
            ("CAPA <option> [<option> ...]", "What this client can do; known is REDIRECT."),
            ("GETNAME", "The name of this connection."),
            ("GETREDIR", "The client that gets this one's invalidations; -1 without tracking."),
            ("ID", "The id of this connection."),
            ("IMPORT-SOURCE (ON|OFF)", "Mark this connection as the source of an import."),
            ("INFO", "The line of CLIENT LIST about this connection."),
            ("KILL <ip:port>", "Close the connection from an address."),
            ("KILL <filter> <value> [<filter> <value> ...]", filters),
            ("LIST [<filter> <value> ...]", "A line about each connection; filters as for KILL."),
            ("NO-EVICT (ON|OFF)", "Keep this connection when clients are evicted."),
            ("NO-TOUCH (ON|OFF)", "Leave the age of keys alone."),
            ("PAUSE <milliseconds> [WRITE|ALL]", "Hold back commands, or just writing ones."),
            ("REPLY (ON|OFF|SKIP)", "Send replies, none, or not the next one."),
            ("SETINFO (LIB-NAME|LIB-VER) <value>", "Say which library this client uses."),
            ("SETNAME <name>", "Name this connection; an empty name takes it away."),
            ("TRACKING (ON|OFF) [<option> ...]", tracking::HELP),
            ("TRACKINGINFO", "The state of tracking for this connection."),
            ("UNBLOCK <id> [TIMEOUT|ERROR]", "End the wait of a blocked client."),
            ("UNPAUSE", "End a pause."),
        ],
    )
}
