//! ACL LOG.

use redix_types::num::parse_i64;

use super::too_many;
use crate::acl::log::Entry;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::error::{CommandResult, ReplyError};
use crate::sync::lock;

/// Entries shown unless said otherwise.
const SHOWN: i64 = 10;

/// `ACL LOG [count | RESET]` -> array of maps, the newest entry first; OK to RESET.
pub(super) fn log(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let count = match args.len() {
        2 => SHOWN,
        3 if args.is(2, "RESET") => {
            lock(&cx.engine.acl.log).clear();
            return done(cx.reply);
        }
        3 => parse_i64(args.get(2)).ok_or(ReplyError::NotInteger)?,
        _ => return Err(too_many(args)),
    };
    let count = usize::try_from(count).unwrap_or(0);
    let entries: Vec<Entry> = lock(&cx.engine.acl.log).entries().take(count).cloned().collect();
    cx.reply.array(entries.len());
    for entry in &entries {
        show(cx, entry);
    }
    Ok(())
}

fn show(cx: &mut ClientCx<'_, '_>, entry: &Entry) {
    let age_ms = cx.now_ms().saturating_sub(entry.updated_ms).max(0);
    let reply = &mut *cx.data.reply;
    reply.map(10);
    reply.bulk_str("count");
    reply.int(entry.count as i64);
    reply.bulk_str("reason");
    reply.bulk_str(entry.reason.word());
    reply.bulk_str("context");
    reply.bulk_str(entry.context.word());
    reply.bulk_str("object");
    reply.bulk(&entry.object);
    reply.bulk_str("username");
    reply.bulk(&entry.user);
    reply.bulk_str("age-seconds");
    reply.double(age_ms as f64 / 1000.0);
    reply.bulk_str("client-info");
    reply.bulk_str(&entry.client);
    reply.bulk_str("entry-id");
    reply.int(entry.id as i64);
    reply.bulk_str("timestamp-created");
    reply.int(entry.created_ms);
    reply.bulk_str("timestamp-last-updated");
    reply.int(entry.updated_ms);
}
