//! READONLY and READWRITE: whether a client that can follow redirections wants to be sent to the
//! primary for its reads too.

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{CommandSpec, Group, acl, flag};
use crate::error::CommandResult;
use crate::registry::client_flag;

/// Commands: READONLY and READWRITE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("readonly", Group::Cluster, 1, readonly)
        .flags(FLAGS)
        .acl(acl::CONNECTION)
        .since("3.0.0")
        .doc("Lets the connection read from a replica instead of being redirected."),
    CommandSpec::client("readwrite", Group::Cluster, 1, readwrite)
        .flags(FLAGS)
        .acl(acl::CONNECTION)
        .since("3.0.0")
        .doc("Has the connection redirected to the primary again."),
];

const FLAGS: u32 = flag::FAST | flag::LOADING | flag::STALE;

/// `READONLY` -> OK.
fn readonly(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.shared.set_flag(client_flag::READONLY, true);
    cx.reply.ok();
    Ok(())
}

/// `READWRITE` -> OK.
fn readwrite(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.shared.set_flag(client_flag::READONLY, false);
    cx.reply.ok();
    Ok(())
}
