//! The gates: the checks that a command has to pass before it runs.
//!
//! **Invariants.** Nothing here changes anything. A gate that closes may be noticed one group
//! later, unless it closes in the world; see [`Runner::is_calm`].

use super::Runner;
use crate::command::args::Args;
use crate::command::spec::{CommandSpec, Locks, flag};
use crate::command::table::Command;
use crate::error::ReplyError;
use crate::pause::Paused;
use crate::registry::{ClientShared, client_flag};
use crate::repl::failover::Stage;
use crate::scripting::script_flag;
use crate::session::Session;
use crate::sync::atomic::Ordering;

/// The verdict of the gates.
pub(super) enum Admitted {
    Run(Command),
    Queue(Command),
    Hold,
    /// WATCH beside a script that runs for too long: its keys can't be looked at.
    WatchInVain(Command),
}

impl Runner<'_> {
    /// Whether nothing holds back the commands of ordinary clients: whether each gate in
    /// [`Runner::admit_one`] that depends on the state of the server is open, but for that of
    /// memory, which a single command may use up; and whether keys whose time has come go when they
    /// are met.
    pub(super) fn is_calm(&self) -> bool {
        !self.beside_script
            && !self.engine.loading.load(Ordering::Relaxed)
            && !self.config.import_mode
            && !self.engine.repl.is_replica()
            && !self.engine.pause.any(self.keys.now_ms)
            && self.engine.admit_write(&self.config).is_ok()
            && self.engine.enough_replicas(&self.config).is_ok()
            && !self.engine.aof.holds_replies()
    }

    /// The gates: whether this client may run this command now.
    #[inline(always)]
    pub(super) fn admit(
        &self,
        session: &mut Session,
        shared: &ClientShared,
        args: Args<'_>,
        found: Option<Command>,
    ) -> Result<Admitted, ReplyError> {
        // Nearly all commands.
        if let Some(command) = found
            && self.calm
            && session.is_plain(self.engine.acl.version())
            && command.spec.has(flag::BRIEF)
            && command.spec.fits(args.len())
            && !(self.keys.shortage.is_any() && command.spec.has(flag::DENYOOM))
        {
            // Checks in debug builds that `is_calm` covers every gate.
            debug_assert!(
                matches!(self.admit_one(session, shared, args, found), Ok(Admitted::Run(_)))
                    || !self.is_calm(),
                "`is_calm` has to know every gate"
            );
            return Ok(Admitted::Run(command));
        }
        self.admit_one(session, shared, args, found)
    }

    /// Checks every gate for one command.
    #[inline(always)]
    fn admit_one(
        &self,
        session: &mut Session,
        shared: &ClientShared,
        args: Args<'_>,
        found: Option<Command>,
    ) -> Result<Admitted, ReplyError> {
        let needs_auth = found.is_none_or(|command| !command.spec.has(flag::NO_AUTH));
        if needs_auth && !self.is_let_in(session) {
            return Err(ReplyError::NoAuth);
        }
        let Some(command) = found else {
            return Err(ReplyError::unknown_command(args.get(0), args.iter_from(1)));
        };
        let command = self.resolve(command, args)?;
        let spec = command.spec;
        let flags = match spec.locks {
            Locks::Queue => effective_flags(spec, session),
            _ => self.own_flags(spec, args),
        };
        if !spec.fits(args.len()) {
            return Err(ReplyError::WrongArity(self.engine.commands.full_name(command).into()));
        }
        if spec.has(flag::PROTECTED) && !self.protected_allowed(command, shared) {
            return Err(protected_refusal(self.engine.commands.family(command).name));
        }
        if session.multi.is_some() && spec.has(flag::NO_MULTI) {
            return Err(not_in_multi(&self.engine.commands.full_name(command)));
        }
        if !session.user.is_unrestricted(self.engine.acl.version()) {
            self.admit_user(session, shared, command, args)?;
        }
        if self.engine.loading.load(Ordering::Relaxed) && flags & flag::LOADING == 0 {
            return Err(ReplyError::LOADING);
        }
        if flags & flag::DENYOOM != 0 && self.keys.shortage.is_any() {
            return Err(self.engine.refuse_growth(self.keys.shortage, session));
        }
        if flags & flag::WRITE != 0 || spec.has(flag::DENY_UNSAVED) {
            self.engine.admit_write(&self.config)?;
        }
        if flags & flag::WRITE != 0 {
            self.engine.enough_replicas(&self.config)?;
        }
        if self.engine.repl.is_replica() && !self.admit_on_replica(flags, shared)? {
            return Ok(Admitted::Hold);
        }
        if session.subscriptions.is_some()
            && shared.resp.load(Ordering::Relaxed) == 2
            && !spec.has(flag::SUBSCRIBED)
        {
            return Err(only_subscribed(&self.engine.commands.full_name(command)));
        }
        if self.beside_script
            && let Some(verdict) = self.admit_beside_script(command, args)?
        {
            return Ok(verdict);
        }
        if session.monitor || session.replica.as_ref().is_some_and(|replica| replica.attached()) {
            if flags & (flag::WRITE | flag::READONLY | flag::MAY_REPLICATE) != 0 {
                return Err(ReplyError::Static("ERR Replica can't interact with the keyspace"));
            }
        } else if self.paused(flags) {
            return Ok(Admitted::Hold);
        }
        if session.multi.is_some() && !spec.has(flag::RUNS_IN_MULTI) {
            return Ok(Admitted::Queue(command));
        }
        Ok(Admitted::Run(command))
    }

    /// What is refused beside a script that runs for too long, and what becomes of a command that
    /// is allowed there but needs keys.
    #[cold]
    fn admit_beside_script(
        &self,
        command: Command,
        args: Args<'_>,
    ) -> Result<Option<Admitted>, ReplyError> {
        let spec = command.spec;
        if !spec.has(flag::ALLOW_BUSY) {
            return Err(self.engine.scripting.busy_error());
        }
        Ok(match spec.locks_for(args) {
            Locks::Keys if spec.keys.is_empty() => None,
            Locks::Keys if spec.name == "watch" => Some(Admitted::WatchInVain(command)),
            _ => Some(Admitted::Hold),
        })
    }

    /// A command's flags, other than EXEC's.
    #[inline]
    pub(super) fn own_flags(&self, spec: &CommandSpec, args: Args<'_>) -> u32 {
        if spec.has(flag::RUNS_SCRIPTS) { self.flags_of_script(spec, args) } else { spec.flags }
    }

    /// The flags of a command that runs a script: what the script declares, if it does.
    fn flags_of_script(&self, spec: &CommandSpec, args: Args<'_>) -> u32 {
        let scripting = &self.engine.scripting;
        let declared = args.try_get(1).and_then(|text| match spec.name {
            "fcall" | "fcall_ro" => scripting.functions.flags_of(text),
            name => scripting.declared_flags(text, name.starts_with("evalsha")),
        });
        let Some(declared) = declared else { return spec.flags };
        let mut flags = spec.flags & !(flag::STALE | flag::MAY_REPLICATE);
        if declared & script_flag::NO_WRITES == 0 {
            flags |= flag::WRITE | flag::MAY_REPLICATE;
            if declared & script_flag::ALLOW_OOM == 0 {
                flags |= flag::DENYOOM;
            }
        }
        if declared & script_flag::ALLOW_STALE != 0 {
            flags |= flag::STALE;
        }
        flags
    }

    /// What a replica refuses: writes, commands that only its primary may send, and reads of stale
    /// data where those are not wanted. Returns false if the command must wait: during a failover
    /// the target would send clients back, and behind it CLIENT PAUSE may still be on.
    fn admit_on_replica(&self, flags: u32, shared: &ClientShared) -> Result<bool, ReplyError> {
        let reads_here = shared.has_flag(client_flag::READONLY);
        let is_data = flags & flag::WRITE != 0 || (flags & flag::READONLY != 0 && !reads_here);
        if is_data
            && shared.has_flag(client_flag::CAN_REDIRECT)
            && let Some(target) = self.engine.repl.upstream.target()
        {
            if self.engine.repl.failover.stage() == Stage::InProgress {
                return Ok(false);
            }
            return Err(ReplyError::redirect(&target.host, target.port));
        }
        if flags & flag::WRITE != 0 && self.config.replica_read_only {
            // A coordinated failover pauses the writes, makes this server a replica and closes its
            // clients' connections. A write that comes late sees no more of it than one that the
            // pause has held.
            if self.engine.pause.began_on_primary(self.keys.now_ms) {
                return Ok(false);
            }
            return Err(ReplyError::Static(
                "READONLY You can't write against a read only replica.",
            ));
        }
        if !self.config.replica_serve_stale_data
            && flags & flag::STALE == 0
            && !self.engine.repl.upstream.is_up()
        {
            return Err(ReplyError::Static(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ));
        }
        if flags & flag::NO_ASYNC_LOADING != 0 && self.engine.repl.upstream.async_loading() {
            return Err(ReplyError::LOADING);
        }
        Ok(true)
    }

    pub(super) fn paused(&self, flags: u32) -> bool {
        match self.engine.pause.at(self.keys.now_ms) {
            Paused::Nothing => false,
            Paused::All => true,
            Paused::Writes => flags & (flag::WRITE | flag::MAY_REPLICATE) != 0,
        }
    }

    /// The subcommand that the arguments name, if the command is a container.
    pub(super) fn resolve(&self, command: Command, args: Args<'_>) -> Result<Command, ReplyError> {
        if command.spec.subcommands.is_empty() || args.len() < 2 {
            return Ok(command);
        }
        let name = args.get(1);
        self.engine
            .commands
            .find_subcommand(command, name)
            .ok_or_else(|| ReplyError::unknown_subcommand(name, command.spec.name))
    }

    fn protected_allowed(&self, command: Command, shared: &ClientShared) -> bool {
        let name = self.engine.commands.family(command).name;
        self.config.protected_command_allowed(name, shared.is_local())
    }
}

/// A command's flags. EXEC also has those of its queued commands; the flags that permit something
/// it has only if all of them do.
pub(super) fn effective_flags(spec: &CommandSpec, session: &Session) -> u32 {
    let permissions = flag::STALE | flag::LOADING;
    match &session.multi {
        Some(multi) if spec.locks == Locks::Queue => {
            (spec.flags | multi.flags) & !(multi.lacking & permissions)
        }
        _ => spec.flags,
    }
}

/// Names the command, as Valkey 9.1 does.
pub(super) fn not_in_multi(name: &str) -> ReplyError {
    ReplyError::err(format!("Command '{name}' not allowed inside a transaction"))
}

/// The error for a RESP2 client with subscriptions, which could not tell a reply from a message.
#[cold]
fn only_subscribed(name: &str) -> ReplyError {
    ReplyError::err(format!(
        "Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context"
    ))
}

fn protected_refusal(name: &str) -> ReplyError {
    ReplyError::err(format!(
        "{} command not allowed. If the enable-{name}-command option is set to \"local\", you can \
         run it from a local connection, otherwise you need to set this option in the configuration \
         file, and then restart the server.",
        name.to_ascii_uppercase()
    ))
}
