//! Replies that are not those of a handler.

use redix_resp::reply::Reply;

use super::{Flow, Runner};
use crate::command::args::Args;
use crate::command::context::watches;
use crate::command::table::Command;
use crate::command::timing::count_calls;
use crate::env::Level;
use crate::registry::ClientShared;
use crate::session::{ReplyMode, Session};

impl Runner<'_> {
    /// Drops the reply that begins at `mark` if the client wants none, and appends the messages
    /// that follow it.
    #[inline(always)]
    pub(super) fn keep_to_reply_mode(
        &self,
        session: &mut Session,
        reply: &mut Reply,
        mark: usize,
        args: Args<'_>,
    ) {
        if session.replica.as_ref().is_some_and(|replica| replica.attached()) {
            if reply.len() > mark {
                self.silence_replica(session, reply, mark, args);
            }
        } else if session.reply_mode != ReplyMode::On
            && !matches!(session.reply_mode, ReplyMode::SkipNext)
        {
            reply.truncate(mark);
            reply.raw(&std::mem::take(&mut session.pushes));
        } else if !session.pushes.is_empty() {
            reply.raw(&std::mem::take(&mut session.pushes));
        }
    }

    /// Replies to WATCH beside a script that runs for too long, and has the next EXEC fail as if a
    /// key had changed: the script may have changed it.
    #[cold]
    pub(super) fn watch_in_vain(
        &self,
        session: &mut Session,
        shared: &ClientShared,
        reply: &mut Reply,
        command: Command,
    ) -> Flow {
        watches(session, shared).flag.set();
        count_calls(self.stats, &self.config, command, 1, 0);
        reply.ok();
        Flow::Next
    }

    /// A replica may receive nothing but the stream: one whose command would be replied to is
    /// closed.
    #[cold]
    fn silence_replica(
        &self,
        session: &mut Session,
        reply: &mut Reply,
        mark: usize,
        args: Args<'_>,
    ) {
        let said = reply.as_bytes()[mark..].trim_ascii_end();
        let quoted = if said.starts_with(b"-") { said } else { b"a reply" };
        let commands = &self.engine.commands;
        let found = commands.find(args.get(0)).map(|found| {
            let sub = args.try_get(1).and_then(|name| commands.find_subcommand(found, name));
            commands.full_name(sub.unwrap_or(found))
        });
        let name = found.unwrap_or_else(|| args.get(0).escape_ascii().to_string());
        let warn = |text: &str| self.engine.env.log(Level::Warning, text);
        let quoted = String::from_utf8_lossy(quoted);
        if said.starts_with(b"-") {
            self.stats.cell.unexpected_error_replies.bump();
            warn(&format!(
                "== CRITICAL == This primary is sending an error to its replica: '{quoted}' after \
                 processing the command '{name}'"
            ));
        }
        warn(&format!("Replica generated a reply to command '{name}', disconnecting it: {quoted}"));
        reply.truncate(mark);
        session.close_after_reply = true;
    }
}
