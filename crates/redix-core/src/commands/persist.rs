//! Commands that save the data set and end the process.

use crate::command::args::Args;
use crate::command::dispatch::Ctx;
use crate::command::spec::{CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::sync::atomic::Ordering;

/// The family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::plain("lastsave", Group::Server, 1, lastsave)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .doc("Returns when the data set was last saved, in seconds of Unix time.")
        .tips(&["nondeterministic_output"]),
    CommandSpec::plain("save", Group::Server, 1, save)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NOSCRIPT | flag::NO_MULTI)
        .world()
        .complexity("O(N) where N is the number of keys of all databases")
        .doc(
            "Saves the data set to disk and answers when that is done; nothing else runs \
              meanwhile.",
        ),
];

const IN_PROGRESS: ReplyError = ReplyError::Static("ERR Background save already in progress");

/// `LASTSAVE` -> integer, Unix time in seconds.
fn lastsave(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.int(cx.engine.saves.last_save_s.load(Ordering::Relaxed));
    Ok(())
}

/// `SAVE` -> OK. Errors: a background save is under way; `ERR` if the file cannot be written, the
/// reason of which is in the log.
fn save(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    if cx.engine.saves.running() {
        return Err(IN_PROGRESS);
    }
    cx.keys.held.release_in_world();
    cx.engine.save_now().map_err(|_| ReplyError::Static("ERR"))?;
    cx.reply.ok();
    Ok(())
}
