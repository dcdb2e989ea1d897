//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE and SHUTDOWN.

use crate::command::args::Args;
use crate::command::context::{Caller, ClientCx, Ctx};
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::commands::connection::client;
use crate::effects::{Request, Shutdown};
use crate::env::Level;
use crate::error::{CommandResult, ReplyError};
use crate::sync::atomic::Ordering;

/// Commands: BGREWRITEAOF, BGSAVE, LASTSAVE, SAVE and SHUTDOWN.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("bgrewriteaof", Group::Server, 1, bgrewriteaof)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NOSCRIPT)
        .world()
        .doc("Makes the append-only file anew from the data set, while commands go on."),
    CommandSpec::client("bgsave", Group::Server, -1, bgsave)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NOSCRIPT)
        .world()
        .doc("Saves the data set to disk, as it is now, while commands go on.")
        .history(&[
            ("3.2.2", "`SCHEDULE`: if it cannot start now, it starts later."),
            ("8.1.0", "`CANCEL`: stops a save that is in progress or scheduled."),
        ])
        .args(
            const {
                &[ArgSpec::new(
                    "operation",
                    ArgKind::OneOf(
                        const {
                            &[
                                ArgSpec::word("schedule", "SCHEDULE").since("3.2.2"),
                                ArgSpec::word("cancel", "CANCEL").since("8.1.0"),
                            ]
                        },
                    ),
                )
                .optional()]
            },
        ),
    CommandSpec::plain("lastsave", Group::Server, 1, lastsave)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .doc("Returns when the data set was last saved, in seconds of Unix time.")
        .tips(&["nondeterministic_output"]),
    CommandSpec::client("save", Group::Server, 1, save)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NOSCRIPT | flag::NO_MULTI)
        .world()
        .complexity("O(N) where N is the number of keys of all databases")
        .doc(
            "Saves the data set to disk and answers when that is done; nothing else runs \
              meanwhile.",
        ),
    CommandSpec::client("shutdown", Group::Server, -1, shutdown)
        .flags(
            flag::ADMIN
                | flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::NO_MULTI
                | flag::SENTINEL
                | flag::ALLOW_BUSY,
        )
        .complexity(
            "O(N) where N is the number of keys of all databases if they are saved, O(1) otherwise",
        )
        .doc("Saves the data set as configured or as told, and ends the server.")
        .history(&[("7.0.0", "`NOW`, `FORCE` and `ABORT`.")])
        .args(SHUTDOWN_ARGS),
];

const SHUTDOWN_ARGS: &[ArgSpec] = &[ArgSpec::new(
    "abort-selector",
    ArgKind::OneOf(&[
        ArgSpec::new(
            "save-selector-block",
            ArgKind::Block(&[
                ArgSpec::new(
                    "save-selector",
                    ArgKind::OneOf(&[
                        ArgSpec::word("nosave", "NOSAVE"),
                        ArgSpec::word("save", "SAVE"),
                    ]),
                )
                .optional(),
                ArgSpec::word("now", "NOW").optional().since("7.0.0"),
                ArgSpec::word("force", "FORCE").optional().since("7.0.0"),
            ]),
        ),
        ArgSpec::word("abort", "ABORT").since("7.0.0"),
    ]),
)
.optional()];

const IN_PROGRESS: ReplyError = ReplyError::Static("ERR Background save already in progress");

/// `LASTSAVE` -> integer, Unix time in seconds.
fn lastsave(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.int(cx.engine.saves.last_save_s.load(Ordering::Relaxed));
    Ok(())
}

/// `SAVE` -> OK. Errors: a background save is under way; `ERR` if the file cannot be written (the
/// reason is logged).
fn save(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    if cx.engine.saves.running() {
        return Err(IN_PROGRESS);
    }
    cx.keys.held.release_in_world();
    cx.engine.save_now().map_err(|_| ReplyError::Static("ERR"))?;
    cx.reply.ok();
    Ok(())
}

/// `BGSAVE [SCHEDULE|CANCEL]` -> status: started or scheduled. Inside a transaction it is
/// scheduled. Errors: syntax; a background save is under way; nothing to CANCEL.
fn bgsave(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let saves = &cx.engine.saves;
    match args.len() {
        1 => {}
        2 if args.is(1, "cancel") => return bgsave_cancel(cx),
        2 if args.is(1, "schedule") => {}
        _ => return Err(ReplyError::Syntax),
    }
    if cx.engine.rewriting_aof() {
        if args.len() == 1 {
            return Err(REWRITING);
        }
        saves.scheduled.store(true, Ordering::Relaxed);
        cx.reply.simple("Background saving scheduled");
        return Ok(());
    }
    if saves.running() {
        return Err(IN_PROGRESS);
    }
    if cx.caller == Caller::Exec {
        // Inside EXEC the snapshot would contain half a transaction.
        saves.scheduled.store(true, Ordering::Relaxed);
        cx.reply.simple("Background saving scheduled");
        return Ok(());
    }
    cx.keys.held.release_in_world();
    cx.engine.begin_snapshot().map_err(|_| IN_PROGRESS)?;
    cx.requests.push(Request::BgSave);
    cx.reply.simple("Background saving started");
    Ok(())
}

const REWRITING: ReplyError = ReplyError::Static(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in \
     order to schedule a BGSAVE whenever possible.",
);

/// `BGREWRITEAOF` -> status: started, or scheduled while another snapshot is under way or inside a
/// transaction. Error: a rewrite is under way.
fn bgrewriteaof(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let engine = cx.engine;
    if engine.rewriting_aof() && !engine.snapshot_is_cancelled() {
        return Err(ReplyError::Static(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    // Not counted: the user insists.
    engine.aof.status.failures.store(0, Ordering::Relaxed);
    if cx.caller == Caller::Exec || engine.saves.running() {
        engine.aof.status.scheduled.store(true, Ordering::Relaxed);
        cx.reply.simple("Background append only file rewriting scheduled");
        return Ok(());
    }
    cx.keys.held.release_in_world();
    engine.begin_rewrite().map_err(|error| ReplyError::err(error.to_string()))?;
    cx.requests.push(Request::BgSave);
    cx.reply.simple("Background append only file rewriting started");
    Ok(())
}

fn bgsave_cancel(cx: &mut ClientCx<'_, '_>) -> CommandResult {
    if !cx.engine.rewriting_aof() && cx.engine.abandon_snapshot() {
        cx.requests.push(Request::BgSave);
        cx.reply.simple("Background saving cancelled");
    } else if cx.engine.saves.scheduled.swap(false, Ordering::Relaxed) {
        cx.reply.simple("Scheduled background saving cancelled");
    } else {
        return Err(ReplyError::Static(
            "ERR Background saving is currently not in progress or scheduled",
        ));
    }
    Ok(())
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE]` -> nothing: the connection is closed; an error if saving
/// failed. `SHUTDOWN ABORT` -> OK: cancels a shutdown that waits for replicas. Error: there is
/// none.
fn shutdown(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    if cx.from_primary() {
        return Err(ReplyError::Static("ERR A master can't shut its replica down"));
    }
    let mut how = Shutdown::default();
    let mut abort = false;
    let mut options = args.options(1);
    while options.more() {
        if options.eat("nosave") && how.save != Some(true) {
            how.save = Some(false);
        } else if options.eat("save") && how.save != Some(false) {
            how.save = Some(true);
        } else if options.eat("now") {
            how.now = true;
        } else if options.eat("force") {
            how.force = true;
        } else if options.eat("abort") {
            abort = true;
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    if abort {
        if how != Shutdown::default() {
            return Err(ReplyError::Syntax);
        }
        if !cx.engine.give_up_shutdown() {
            return Err(ReplyError::Static("ERR No shutdown in progress."));
        }
        cx.engine.env.log(Level::Notice, "Shutdown manually aborted.");
        cx.reply.ok();
        return Ok(());
    }
    if how.save != Some(false) && cx.engine.scripting.busy().is_some() {
        return Err(cx.engine.scripting.busy_error());
    }
    if cx.may_block() && cx.engine.shutdown_waits(&how) {
        let client = client::describe(cx.shared, cx.engine, cx.now_ms());
        let text = format!("User requested shutdown... (user request from '{client}')");
        cx.engine.env.log(Level::Notice, &text);
        let waiter = cx.block(None, Box::new(|_, _| {}));
        cx.engine.begin_shutdown(how, Some(waiter));
        return Ok(());
    }
    cx.requests.push(Request::Shutdown(how));
    Ok(())
}
