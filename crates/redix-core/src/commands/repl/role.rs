//! ROLE.

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{CommandSpec, Group, acl, flag};
use crate::error::CommandResult;
use crate::repl::primary::Phase;

/// Command: ROLE.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::client("role", Group::Server, 1, role)
    .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::SENTINEL)
    .acl(acl::ADMIN | acl::DANGEROUS)
    .since("2.8.12")
    .doc("Returns whether this server is a primary or a replica, of whom, and how far it is.")];

/// `ROLE` -> of a primary: `master`, its offset, and for each online replica its address, port and
/// acknowledged offset; of a replica: `slave`, its primary's address and port, the state of the
/// link, and the applied offset, -1 while it is not connected.
fn role(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let repl = &cx.engine.repl;
    let word = repl.role().word();
    if let Some(target) = repl.upstream.target() {
        cx.reply.array(5);
        cx.reply.bulk_str(word);
        cx.reply.bulk(&target.host);
        cx.reply.int(i64::from(target.port));
        cx.reply.bulk_str(repl.upstream.state().word());
        let applied = if repl.upstream.is_up() { repl.log.end() as i64 } else { -1 };
        cx.reply.int(applied);
        return Ok(());
    }
    cx.reply.array(3);
    cx.reply.bulk_str(word);
    cx.reply.int(repl.log.end() as i64);
    let mut replicas = repl.replicas.all();
    replicas.retain(|replica| replica.phase() == Phase::Online);
    cx.reply.array(replicas.len());
    for replica in replicas {
        let (ip, port) = replica.address();
        cx.reply.array(3);
        cx.reply.bulk_str(&ip);
        cx.reply.bulk_int(i64::from(port));
        cx.reply.bulk_int(replica.acked() as i64);
    }
    Ok(())
}
