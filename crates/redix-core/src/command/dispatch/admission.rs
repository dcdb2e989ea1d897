//! The gate of access control.

use super::Runner;
use crate::acl::log::Context;
use crate::command::args::{Args, parse_db};
use crate::command::rights::{Call, Recorder, check};
use crate::command::table::Command;
use crate::error::ReplyError;
use crate::registry::ClientShared;
use crate::session::Session;

impl<'k> Runner<'k> {
    /// Whether the session has authenticated, or need not.
    #[inline]
    pub(super) fn is_let_in(&self, session: &Session) -> bool {
        session.authenticated || self.engine.acl.default_is_open()
    }

    /// Notes the database that a queued command leads to, if it is a SELECT that names one.
    pub(super) fn follow_queued_select(
        &self,
        session: &mut Session,
        command: Command,
        args: Args<'_>,
    ) {
        if command.spec.name != "select" {
            return;
        }
        let databases = self.engine.keyspace.databases();
        if let (Some(multi), Ok(db)) = (&mut session.multi, parse_db(args.get(1), databases)) {
            multi.db = Some(db);
        }
    }

    /// Checks the rights of a session that is not known to have all of them, as of now.
    #[cold]
    pub(super) fn admit_user(
        &self,
        session: &mut Session,
        shared: &ClientShared,
        command: Command,
        args: Args<'_>,
    ) -> Result<(), ReplyError> {
        let acl = &self.engine.acl;
        // A command to be queued runs where a SELECT before it leads.
        let db = session.multi.as_ref().and_then(|multi| multi.db).unwrap_or(session.db);
        let call = Call { command, args, db };
        let is_let_in = self.is_let_in(session);
        // It may have come when it still had to authenticate.
        session.known |= is_let_in;
        let user = acl.user_of(&mut session.user);
        let is_limited = user.is_some_and(|user| !user.quota.is_none());
        if user.is_some_and(|user| user.is_unrestricted()) {
            // Commands that need no authentication are allowed to others too.
            if is_let_in && !is_limited {
                session.user.set_unrestricted();
            }
            return Ok(());
        }
        check(self.engine, &mut session.user, &call).map_err(|denial| {
            let context = if session.multi.is_some() { Context::Multi } else { Context::TopLevel };
            let recorder = self.recorder(shared, (command, args));
            recorder.refuse(session.user.name(), &call, denial, context)
        })
    }

    /// Records that a gate has refused a command, if that was because of a quota.
    #[cold]
    pub(super) fn audit_refusal(
        &self,
        session: &Session,
        shared: &ClientShared,
        (command, args): (Command, Args<'_>),
        error: &ReplyError,
    ) {
        // A command to be queued runs where a SELECT before it leads.
        let db = session.multi.as_ref().and_then(|multi| multi.db).unwrap_or(session.db);
        let context = if session.multi.is_some() { Context::Multi } else { Context::TopLevel };
        let recorder = self.recorder(shared, (command, args));
        recorder.audit_quota(error, context, command, session.user.name(), db);
    }

    /// Records denials of a client that calls a command.
    pub(super) fn recorder<'r>(
        &'r self,
        client: &'r ClientShared,
        calling: (Command, Args<'r>),
    ) -> Recorder<'r> {
        Recorder {
            engine: self.engine,
            config: &self.config,
            stats: self.stats,
            client,
            now_ms: self.keys.now_ms,
            calling,
        }
    }
}
