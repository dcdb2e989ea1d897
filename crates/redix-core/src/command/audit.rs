//! The audit log: one JSON object a line for what concerns the security of the server.
//!
//! Recorded are authentications, denied calls, and the commands that administrators use: those of
//! the category `admin`, and those that empty the server. A denied call is shown by its name and
//! what was denied alone: its handler, which knows what is secret in it, did not run.
//!
//! **Invariants.** No record shows a secret: what MONITOR redacts is redacted. A record is one
//! line of at most some 40 KiB, and its strings give back the bytes that they stand for: see
//! [`text_of`].

use std::fmt::Write as _;

use serde::Serialize;

use crate::acl::log::{Context, Reason};
use crate::command::args::Args;
use crate::command::context::{Caller, ClientCx};
use crate::command::rights::Recorder;
use crate::command::spec::{CommandSpec, flag};
use crate::command::table::Command;
use crate::commandlog::shortened;
use crate::config::{ByteString, Config, find};
use crate::engine::Engine;
use crate::error::ReplyError;
use crate::keyspace::access::Shortage;
use crate::moment::rfc3339_ms;
use crate::registry::ClientShared;
use crate::sync::atomic::Ordering;
use crate::sync::lock;

/// Bytes of a name that a record shows.
const NAME_BYTES_MAX: usize = 1024;
/// The time between two records of refusals by one quota, in milliseconds.
const REFUSALS_EVERY_MS: i64 = 1000;

/// One record.
#[derive(Debug, Serialize)]
struct Record<'a> {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'static str>,
    /// The name of what was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    /// The arguments of a command that was executed, its name first.
    #[serde(skip_serializing_if = "Option::is_none")]
    argv: Option<Vec<String>>,
    /// The error that it replied.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    user: String,
    client: Who<'a>,
}

/// The connection of a record.
#[derive(Debug, Serialize)]
struct Who<'a> {
    id: u64,
    addr: &'a str,
    laddr: &'a str,
    name: String,
    lib: String,
    db: u32,
}

impl<'a> Who<'a> {
    fn of(client: &'a ClientShared) -> Self {
        let texts = lock(&client.texts).clone();
        Self {
            id: client.id,
            addr: &client.addr,
            laddr: &client.laddr,
            name: name_text(&texts.name),
            lib: name_text(&texts.lib_name),
            db: client.db.load(Ordering::Relaxed),
        }
    }
}

/// Bytes as text: UTF-8 as it is, but for a backslash, which is doubled, and other bytes as `\xHH`.
pub fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                char => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a string takes everything");
        }
    }
    text
}

fn name_text(bytes: &[u8]) -> String {
    text_of(&bytes[..bytes.len().min(NAME_BYTES_MAX)])
}

/// Whether calls of a command are recorded. Those that replicas send all the time are not.
#[inline]
pub fn concerns(spec: &CommandSpec) -> bool {
    (spec.has(flag::ADMIN) && spec.name != "replconf")
        || matches!(spec.name, "flushall" | "flushdb")
}

fn write(engine: &Engine, file: &ByteString, record: &Record<'_>) {
    let mut line = serde_json::to_vec(record).expect("a record has nothing that JSON has not");
    line.push(b'\n');
    engine.env.audit.write(file, line);
}

/// Whether an argument of a call is a secret. MONITOR also redacts names and rules of users, as the
/// real servers do; of these only the passwords and their digests are secret, and what may have
/// been meant to be one.
fn is_secret(cx: &ClientCx<'_, '_>, name: &str, args: Args<'_>, index: usize) -> bool {
    match name {
        "acl|setuser" => index > 2 && may_hold_password(args.get(index)),
        "acl|deluser" | "acl|getuser" => false,
        // The call that is tried.
        "acl|dryrun" => index > 3,
        // It may be meant for another server.
        "config|set" if index > 2 && index % 2 == 1 && find(args.get(index - 1)).is_none() => true,
        _ => cx.session.secrets.contains(index),
    }
}

/// Whether a rule of a user, which may be mistyped, has a password or its digest. Patterns,
/// commands and categories have none.
fn may_hold_password(rule: &[u8]) -> bool {
    let is_other = matches!(rule.first(), Some(b'~' | b'%' | b'&' | b'+' | b'-' | b'@'));
    !is_other && rule.iter().any(|byte| b"><#!".contains(byte))
}

/// Records that a client's certificate has made it a user, or names nobody who may be one.
pub(crate) fn audit_certificate(
    engine: &Engine,
    config: &Config,
    client: &ClientShared,
    user: &[u8],
    outcome: Outcome,
) {
    let file = &config.audit_log_file;
    if file.is_empty() {
        return;
    }
    let record = Record {
        time: rfc3339_ms(engine.env.clock.unix_us() / 1000),
        event: if outcome == Outcome::Accepted { "auth" } else { "auth-failed" },
        reason: Some(Reason::Certificate.word()),
        context: Some(Context::TopLevel.word()),
        object: None,
        command: None,
        argv: None,
        error: None,
        user: name_text(user),
        client: Who::of(client),
    };
    write(engine, file, &record);
}

impl Engine {
    /// The quota that an error names, as words and as what it limits, if the log is to tell of it
    /// now: a client that goes on without memory would fill it.
    fn quota_to_record(
        &self,
        error: &ReplyError,
        user: &[u8],
        db: u32,
        now_ms: i64,
    ) -> Option<(&'static str, String)> {
        // It is due at that time, or where the clock was set back.
        let next = |from_ms: i64| {
            let is_due = !(from_ms - REFUSALS_EVERY_MS..from_ms).contains(&now_ms);
            is_due.then_some(now_ms + REFUSALS_EVERY_MS)
        };
        if *error == ReplyError::OOM_DATABASE {
            self.eviction.put_record_off(db, next).then(|| ("db-maxmemory", db.to_string()))
        } else if *error == ReplyError::OOM_USER {
            let user = self.acl.get(user)?;
            user.usage.0.put_record_off(next).then(|| ("%mem", name_text(&user.name)))
        } else {
            None
        }
    }
}

/// What came of an authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client is that user.
    Accepted,
    /// It stays who it was.
    Refused,
}

impl Recorder<'_> {
    /// Records a denial. `name` is that of the denied command.
    pub(crate) fn audit_denial(
        &self,
        reason: Reason,
        context: Context,
        (name, object): (&str, &[u8]),
        user: &[u8],
    ) {
        let file = &self.config.audit_log_file;
        if file.is_empty() {
            return;
        }
        let is_login = reason == Reason::Auth;
        let record = Record {
            time: rfc3339_ms(self.now_ms),
            event: if is_login { "auth-failed" } else { "denied" },
            reason: (!is_login).then(|| reason.word()),
            context: Some(context.word()),
            object: (!is_login && reason != Reason::Command).then(|| name_text(object)),
            command: Some(name),
            argv: None,
            error: None,
            user: name_text(user),
            client: Who::of(self.client),
        };
        write(self.engine, file, &record);
    }

    /// Records that a command was refused, if `error` says that it was by a quota and the last such
    /// record is not too recent. `db`: the database whose limit that would be.
    #[cold]
    pub(crate) fn audit_quota(
        &self,
        error: &ReplyError,
        context: Context,
        command: Command,
        user: &[u8],
        db: u32,
    ) {
        let file = &self.config.audit_log_file;
        if file.is_empty() {
            return;
        }
        let quota = self.engine.quota_to_record(error, user, db, self.now_ms);
        let Some((reason, object)) = quota else { return };
        let name = self.engine.commands.full_name(command);
        let record = Record {
            time: rfc3339_ms(self.now_ms),
            event: "refused",
            reason: Some(reason),
            context: Some(context.word()),
            object: Some(object),
            command: Some(&name),
            argv: None,
            error: None,
            user: name_text(user),
            client: Who::of(self.client),
        };
        write(self.engine, file, &record);
    }
}

impl ClientCx<'_, '_> {
    /// Records that a command of this client failed, if that was because of a quota.
    pub(crate) fn audit_failure(&self, error: &ReplyError, context: Context, command: Command) {
        let db = self.keys.refused_in.unwrap_or(self.session.db);
        let recorder = self.recorder(Args::new(&[], &[]));
        recorder.audit_quota(error, context, command, self.session.user.name(), db);
    }

    /// The same for the command that this is the context of, which has found out by itself that the
    /// user has no room: that is counted too.
    #[cold]
    pub(super) fn note_own_failure(&self, error: &ReplyError) {
        if *error == ReplyError::OOM_USER {
            self.engine.note_refusal(Shortage::User, self.session);
        }
        self.audit_failure(error, self.audit_context(), self.command);
    }

    fn audit_context(&self) -> Context {
        match self.caller {
            Caller::Exec => Context::Multi,
            Caller::Script => Context::Lua,
            _ => Context::TopLevel,
        }
    }

    /// Records that the client has authenticated.
    pub(crate) fn audit_login(&self) {
        let file = &self.config.audit_log_file;
        if file.is_empty() {
            return;
        }
        let name = self.command_name();
        let record = Record {
            time: rfc3339_ms(self.now_ms()),
            event: "auth",
            reason: None,
            context: Some(self.audit_context().word()),
            object: None,
            command: Some(&name),
            argv: None,
            error: None,
            user: name_text(self.session.user.name()),
            client: Who::of(self.shared),
        };
        write(self.engine, file, &record);
    }

    /// Records a call that [`concerns`] the security of the server, with the error that it replies.
    /// What a file or a primary says is not recorded.
    #[cold]
    pub(crate) fn audit_call(&self, args: Args<'_>, error: Option<&ReplyError>) {
        // CONFIG SET may have ended the log or begun it: in either case it is recorded.
        let current = self.engine.config();
        let files = [&self.config.audit_log_file, &current.audit_log_file];
        let Some(file) = files.into_iter().find(|file| !file.is_empty()) else { return };
        if self.from_primary() {
            return;
        }
        let name = self.command_name();
        let is_secret = |index: usize| is_secret(self, &name, args, index);
        let argv = shortened(args, is_secret);
        // An error may quote any argument: its code never does.
        let quotes = !(0..args.len()).any(is_secret);
        let shown = |error: &ReplyError| {
            let text = error.text();
            let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
            name_text(if quotes { &text } else { code })
        };
        let record = Record {
            time: rfc3339_ms(self.now_ms()),
            event: "command",
            reason: None,
            context: Some(self.audit_context().word()),
            object: None,
            command: Some(&name),
            argv: Some(argv.iter().map(|argument| text_of(argument)).collect()),
            error: error.map(shown),
            user: name_text(self.session.user.name()),
            client: Who::of(self.shared),
        };
        write(self.engine, file, &record);
    }
}

#[cfg(test)]
mod tests;
