//! The check of a call against the rights of a user, and what becomes of a denial: a log entry, a
//! count and an error.

use super::args::Args;
use super::context::ClientCx;
use super::line;
use super::spec::flag;
use super::table::Command;
use crate::acl::check::{Denial, Kind, Request};
use crate::acl::log::{Context, Entry, Reason};
use crate::acl::{Identity, User};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::ReplyError;
use crate::registry::ClientShared;
use crate::stats::ThreadStats;
use crate::sync::lock;

/// Bytes of a denied key or channel that the log keeps. Real servers keep all of it.
const OBJECT_BYTES_MAX: usize = 1024;

/// Where denials are recorded, and for whom.
pub struct Recorder<'a> {
    /// State shared by all threads.
    pub engine: &'a Engine,
    /// The configuration.
    pub config: &'a Config,
    /// Counters.
    pub stats: &'a ThreadStats,
    /// The connection.
    pub client: &'a ClientShared,
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// The command that the connection calls, and its arguments: what runs the checked one, if that
    /// is another.
    pub calling: (Command, Args<'a>),
}

/// A call, and the database that it runs in.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The command.
    pub command: Command,
    /// Its arguments.
    pub args: Args<'a>,
    /// The selected database.
    pub db: u32,
}

impl Call<'_> {
    fn request(&self, engine: &Engine) -> Request<'_> {
        let Self { command, args, db } = *self;
        Request { command, args, db, databases: engine.keyspace.databases() }
    }
}

/// Checks a call against the present rights of `identity`. Nothing is recorded. A user who has been
/// deleted may do nothing.
pub fn check(engine: &Engine, identity: &mut Identity, call: &Call<'_>) -> Result<(), Denial> {
    if identity.is_unrestricted(engine.acl.version()) {
        return Ok(());
    }
    match engine.acl.user_of(identity) {
        Some(user) => check_user(engine, user, call),
        None => Err(Denial { kind: Kind::Command, word: 0 }),
    }
}

/// Checks a call against the rights of a user.
pub fn check_user(engine: &Engine, user: &User, call: &Call<'_>) -> Result<(), Denial> {
    if user.is_unrestricted() { Ok(()) } else { user.check(&call.request(engine)) }
}

/// Whether the call may read keys that it does not name, if it is one that does.
#[inline]
pub fn reads_all_keys(engine: &Engine, identity: &mut Identity, call: &Call<'_>) -> bool {
    !call.command.spec.has(flag::READS_BY_PATTERN)
        || identity.is_unrestricted(engine.acl.version())
        || user_reads_all_keys(engine, identity, call)
}

#[cold]
fn user_reads_all_keys(engine: &Engine, identity: &mut Identity, call: &Call<'_>) -> bool {
    let user = engine.acl.user_of(identity);
    user.is_some_and(|user| user.reads_all_keys(&call.request(engine)))
}

/// The text of a denial, without a code. It names keys, channels and databases only where `names`
/// says so.
pub fn refusal(
    engine: &Engine,
    user: &[u8],
    call: &Call<'_>,
    denial: Denial,
    names: Names,
) -> Vec<u8> {
    let object = call.args.get(denial.word);
    let parts: &[&[u8]] = match (denial.kind, names) {
        (Kind::Command, _) => {
            let name = engine.commands.full_name(call.command);
            let parts = [
                b"User ",
                user,
                b" has no permissions to run the '",
                name.as_bytes(),
                b"' command",
            ];
            return parts.concat();
        }
        (Kind::Key, Names::Hidden) => &[b"No permissions to access a key"],
        (Kind::Channel, Names::Hidden) => &[b"No permissions to access a channel"],
        (Kind::Database, Names::Hidden) => &[b"No permissions to access database"],
        (Kind::Key, Names::Shown) => {
            &[b"User ", user, b" has no permissions to access the '", object, b"' key"]
        }
        (Kind::Channel, Names::Shown) => {
            &[b"User ", user, b" has no permissions to access the '", object, b"' channel"]
        }
        (Kind::Database, Names::Shown) => {
            &[b"User ", user, b" has no permissions to access database ", object]
        }
    };
    parts.concat()
}

/// Whether a refusal names what was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// It does.
    Shown,
    /// It does not.
    Hidden,
}

impl Recorder<'_> {
    /// Logs and counts a denied call.
    pub fn note(&self, user: &[u8], call: &Call<'_>, denial: Denial, context: Context) {
        let name = self.engine.commands.full_name(call.command);
        let (reason, counter, object) = match denial.kind {
            Kind::Command => {
                (Reason::Command, &self.stats.cell.acl_denied_command, name.as_bytes())
            }
            Kind::Key => (Reason::Key, &self.stats.cell.acl_denied_key, call.args.get(denial.word)),
            Kind::Channel => {
                (Reason::Channel, &self.stats.cell.acl_denied_channel, call.args.get(denial.word))
            }
            Kind::Database => {
                let object = match denial.word {
                    0 => name.as_bytes(),
                    word => call.args.get(word),
                };
                (Reason::Database, &self.stats.cell.acl_denied_database, object)
            }
        };
        counter.bump();
        self.audit_denial(reason, context, (&name, object), user);
        self.log(reason, context, object, user);
    }

    /// Logs and counts a failed authentication as `user` by the command under way.
    pub fn note_login(&self, user: &[u8], context: Context) {
        self.stats.cell.acl_denied_auth.bump();
        let (command, args) = self.calling;
        let name = self.engine.commands.full_name(command);
        self.audit_denial(Reason::Auth, context, (&name, b""), user);
        self.log(Reason::Auth, context, args.get(0), user);
    }

    fn log(&self, reason: Reason, context: Context, object: &[u8], user: &[u8]) {
        let (command, args) = self.calling;
        let client = line::describe_calling(self.client, self.engine, self.now_ms, command, args);
        let entry = Entry {
            count: 1,
            reason,
            context,
            object: object[..object.len().min(OBJECT_BYTES_MAX)].to_vec(),
            user: user.to_vec(),
            client,
            id: 0,
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
        };
        lock(&self.engine.acl.log).note(entry, self.config.acllog_max_len);
    }

    /// Logs and counts a denied call, and makes the error to reply.
    pub fn refuse(
        &self,
        user: &[u8],
        call: &Call<'_>,
        denial: Denial,
        context: Context,
    ) -> ReplyError {
        self.note(user, call, denial, context);
        let text = refusal(self.engine, user, call, denial, Names::Hidden);
        ReplyError::of_parts(&[b"NOPERM ", &text])
    }
}

impl ClientCx<'_, '_> {
    /// Records denials of the client that runs the command.
    pub fn recorder<'r>(&'r self, args: Args<'r>) -> Recorder<'r> {
        Recorder {
            engine: self.data.engine,
            config: self.data.config,
            stats: self.data.stats,
            client: self.shared,
            now_ms: self.data.now_ms(),
            calling: (self.data.command, args),
        }
    }

    /// Checks a command of the transaction that EXEC runs. The error is the one to reply.
    pub(super) fn check_queued(
        &mut self,
        command: Command,
        args: Args<'_>,
    ) -> Result<(), ReplyError> {
        if self.from_primary() {
            return Ok(());
        }
        let call = Call { command, args, db: self.session.db };
        let denial = match check(self.data.engine, &mut self.session.user, &call) {
            Ok(()) => return Ok(()),
            Err(denial) => denial,
        };
        self.recorder(args).note(self.session.user.name(), &call, denial, Context::Multi);
        let reason = match denial.kind {
            Kind::Command => "no permission to execute the command or subcommand",
            Kind::Key => "no permission to touch the specified keys",
            Kind::Channel => "no permission to access one of the channels used as arguments",
            Kind::Database => "no permission",
        };
        Err(ReplyError::Text(
            format!(
                "NOPERM ACLs rules changed between the moment the transaction was accumulated and \
                 the EXEC call. This command is no longer allowed for the following reason: {reason}"
            )
            .into_bytes(),
        ))
    }
}
