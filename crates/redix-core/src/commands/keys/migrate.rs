//! MIGRATE: sends keys to another server.
//!
//! The handler captures the keys and blocks the client; the rest is in [`crate::migration`].
//!
//! Source: the replies of Valkey 9.1.2, Redis 8.2.3 and 7.0.15.

use redix_types::num;

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{
    ArgKind, ArgSpec, Begin, CommandSpec, Find, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::effects::Request;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::shard::WatchFlag;
use crate::migration::{Item, Login, Migration, Order, Origin, Target, encoder};
use crate::session::Secrets;
use crate::sync::Arc;

const ACCESS: u32 = access::RW | access::ACCESS | access::DELETE;
/// The argument that is the only key, empty where KEYS names the keys.
const KEY: usize = 3;
const FIRST_OPTION: usize = 6;
/// The timeout used in place of one that is not positive.
const TIMEOUT_MS: u64 = 1000;

/// Command: MIGRATE.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::client("migrate", Group::Generic, -6, migrate)
    .keys(
        const {
            &[
                KeySpec::one(KEY as u32, ACCESS),
                KeySpec {
                    access: ACCESS | access::INCOMPLETE,
                    begin: Begin::Keyword("KEYS", -2),
                    find: Find::Range { last: -1, step: 1, limit: 0 },
                    notes: None,
                },
            ]
        },
    )
    .get_keys(keys)
    .flags(flag::WRITE | flag::MOVABLEKEYS)
    .log_as(LogAs::Effect)
    .acl(acl::KEYSPACE | acl::DANGEROUS)
    .since("2.6.0")
    .complexity("That of DUMP and DEL here and of RESTORE there; O(N) bytes go over the network.")
    .doc("Moves keys to another server.")
    .history(&[
        ("3.0.0", "Options COPY and REPLACE."),
        ("3.0.6", "Option KEYS."),
        ("4.0.7", "Option AUTH."),
        ("6.0.0", "Option AUTH2."),
    ])
    .args(&[
        ArgSpec::new("host", ArgKind::String),
        ArgSpec::new("port", ArgKind::Integer),
        ArgSpec::new(
            "key-selector",
            ArgKind::OneOf(&[ArgSpec::key("key"), ArgSpec::word("empty-string", "")]),
        ),
        ArgSpec::new("destination-db", ArgKind::Integer),
        ArgSpec::new("timeout", ArgKind::Integer),
        ArgSpec::word("copy", "COPY").optional().since("3.0.0"),
        ArgSpec::word("replace", "REPLACE").optional().since("3.0.0"),
        ArgSpec::new(
            "authentication",
            ArgKind::OneOf(&[
                ArgSpec::new("auth", ArgKind::String)
                    .token("AUTH")
                    .display("password")
                    .since("4.0.7"),
                ArgSpec::new(
                    "auth2",
                    ArgKind::Block(&[
                        ArgSpec::new("username", ArgKind::String),
                        ArgSpec::new("password", ArgKind::String),
                    ]),
                )
                .token("AUTH2")
                .since("6.0.0"),
            ]),
        )
        .optional(),
        ArgSpec::new("keys", ArgKind::Key(1))
            .token("KEYS")
            .display("key")
            .optional()
            .multiple()
            .since("3.0.6"),
    ])
    .tips(&["nondeterministic_output"])];

/// Finds the keys for COMMAND GETKEYS; the arguments have not been checked. KEYS without keys names
/// none.
fn keys(args: Args<'_>, keys: &mut Vec<(usize, u32)>) -> bool {
    let mut index = FIRST_OPTION;
    while index + 1 < args.len() {
        if args.is(index, "KEYS") {
            keys.extend((index + 1..args.len()).map(|word| (word, ACCESS)));
            return args.get(KEY).is_empty();
        }
        index += match () {
            () if args.is(index, "AUTH") => 2,
            () if args.is(index, "AUTH2") => 3,
            () => 1,
        };
    }
    if args.len() > KEY {
        keys.push((KEY, ACCESS));
    }
    args.len() > KEY
}

#[derive(Debug)]
struct MigrateOptions {
    copy: bool,
    replace: bool,
    login: Option<Login>,
    /// The argument that is the first key, and the number of keys.
    first: usize,
    count: usize,
}

impl MigrateOptions {
    /// `secrets` receives the arguments that must not be shown, even if others are invalid.
    fn parse(args: Args<'_>, secrets: &mut Secrets) -> Result<Self, ReplyError> {
        let mut parsed = Self { copy: false, replace: false, login: None, first: KEY, count: 1 };
        let mut options = args.options(FIRST_OPTION);
        while options.more() {
            if options.eat("COPY") {
                parsed.copy = true;
            } else if options.eat("REPLACE") {
                parsed.replace = true;
            } else if options.eat("AUTH") {
                secrets.add(options.position()..options.position() + 1);
                let password = options.take().ok_or(ReplyError::Syntax)?.to_vec();
                parsed.login = Some(Login { user: None, password });
            } else if options.eat("AUTH2") {
                if options.left() < 2 {
                    return Err(ReplyError::Syntax);
                }
                secrets.add(options.position()..options.position() + 2);
                let mut word = || options.take().map(<[u8]>::to_vec).ok_or(ReplyError::Syntax);
                parsed.login = Some(Login { user: Some(word()?), password: word()? });
            } else if options.eat("KEYS") {
                if !args.get(KEY).is_empty() {
                    return Err(ReplyError::Static(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the \
                         empty string",
                    ));
                }
                (parsed.first, parsed.count) = (options.position(), options.left());
                break;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(parsed)
    }
}

/// Parses a port as the real servers do: the number that the argument begins with, else 0.
fn port(word: &[u8]) -> i64 {
    let digits = word.iter().skip(usize::from(word.starts_with(b"-")));
    let len = digits.take_while(|byte| byte.is_ascii_digit()).count();
    let len = len + usize::from(word.starts_with(b"-"));
    num::parse_i64(&word[..len]).unwrap_or(0)
}

/// `MIGRATE host port key|"" destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user
/// password] [KEYS key …]` -> OK once the target has the keys and they are deleted here (COPY: they
/// stay); NOKEY if there are none. Errors: the options; IOERR where the connection fails or a step
/// takes longer than `timeout` milliseconds, or a key was changed meanwhile: the keys of which the
/// target has said that it took them are deleted, but for changed ones; what the target replies;
/// inside MULTI, where nothing can be waited for. Logged as one `DEL` of what was deleted; event
/// `del` for each.
fn migrate(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = MigrateOptions::parse(args, &mut cx.session.secrets)?;
    let timeout_ms = args.int(5)?;
    let db = args.int(4)?;
    let mut encoder = encoder(cx.config);
    let mut items = Vec::new();
    for index in options.first..options.first + options.count {
        let key = cx.key(args, index);
        let watch = (!options.copy).then(|| Arc::new(WatchFlag::unseen()));
        let Some(entry) = cx.keys.lookup_read(key) else { continue };
        items.push(Item::new(entry, &mut encoder, watch.clone()));
        if let Some(watch) = &watch {
            let db = cx.keys.db;
            cx.keys.held.shard(key.shard()).watch(db, key.bytes, watch);
        }
    }
    if items.is_empty() {
        cx.reply.simple("NOKEY");
        return Ok(());
    }
    if !cx.may_block() {
        return Err(ReplyError::Static(
            "ERR MIGRATE inside a transaction would have to wait for the target instance",
        ));
    }
    let order = Order {
        target: Target { host: args.get(1).to_vec(), port: port(args.get(2)) },
        db,
        timeout_ms: u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS),
        login: options.login,
        replace: options.replace,
    };
    let origin = Origin {
        worker: cx.shared.worker,
        db: cx.keys.db,
        was_replica: cx.engine.repl.is_replica(),
        command: cx.command,
    };
    let waiter = cx.block_firmly();
    cx.engine.migrations.begin(Migration::new(order, origin, items, encoder, waiter));
    cx.requests.push(Request::Migrate);
    Ok(())
}

#[cfg(test)]
mod tests;
