//! The session: protocol state of one connection that commands read and change.

mod secrets;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::acl::Identity;
use crate::command::args::OwnedArgs;
use crate::command::prepared::Prepared;
use crate::command::table::Command;
use crate::keyspace::shard::WatchFlag;
use crate::pubsub::Subscriptions;
use crate::repl::primary::Replica;
pub use secrets::Secrets;

/// Whether replies are sent. Source: CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Every reply.
    #[default]
    On,
    /// None.
    Off,
    /// None for the next command (the one after CLIENT REPLY SKIP).
    SkipNext,
    /// None for the command under way.
    Skip,
}

/// A command waiting for EXEC.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The command.
    pub command: Command,
    /// Its arguments.
    pub args: OwnedArgs,
}

/// An open transaction.
#[derive(Debug, Default)]
pub struct Multi {
    /// The commands queued so far.
    pub queue: Vec<Queued>,
    /// A command was refused while queueing: EXEC will abort.
    pub aborted: bool,
    /// Bytes that the queue takes.
    pub bytes: usize,
    /// The database that the last queued SELECT selects.
    pub db: Option<u32>,
    /// The flags that some queued command has.
    pub flags: u32,
    /// The flags that some queued command lacks.
    pub lacking: u32,
}

/// A watched key.
#[derive(Debug)]
pub struct Watched {
    /// Its database.
    pub db: u32,
    /// The key.
    pub key: Box<[u8]>,
    /// Whether it existed, and had not expired, when it was watched.
    pub was_alive: bool,
}

/// The keys that a session watches.
#[derive(Debug)]
pub struct Watches {
    /// Marked when one of the keys changes.
    pub flag: Arc<WatchFlag>,
    /// The keys, each once.
    pub keys: Vec<Watched>,
}

/// What only the connection itself knows of its CLIENT TRACKING; the mode is in the flags of its
/// record.
#[derive(Debug, Default)]
pub struct Tracks {
    /// CLIENT CACHING was used for the next command.
    pub caching: bool,
    /// The prefixes of broadcast mode.
    pub prefixes: BTreeSet<Box<[u8]>>,
}

/// The state of applying a primary's stream.
#[derive(Debug, Default)]
pub struct PrimaryLink {
    /// Bytes of a transaction that began in an earlier group: appended to the log when it ends.
    pub pending: Vec<u8>,
    /// The first parked command whose bytes are neither in the log nor pending.
    pub first: usize,
    /// How many of the parked commands form complete units.
    pub whole: usize,
    /// The commands of the current portion, if it was prepared; those before `prepared_begin` have
    /// been executed, the others are the parked ones.
    pub(crate) prepared: Vec<Prepared>,
    pub(crate) prepared_begin: usize,
    /// The commands come from a file: nothing is appended to the log.
    pub replays: bool,
    /// The primary has sent a GETACK.
    pub ack_wanted: bool,
    /// Why a command was not run at all.
    pub refusal: Option<Vec<u8>>,
    /// The command that could not be applied, and why; nothing is executed after it.
    pub failure: Option<String>,
}

/// The protocol state of one connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The selected database.
    pub db: u32,
    /// Under `appendfsync always`, the offset of the log that must be durable before its replies
    /// may be sent.
    pub reply_offset: u64,
    /// Whether it has authenticated, or was let in without.
    pub authenticated: bool,
    /// Who it is.
    pub user: Identity,
    /// Authenticated at some time, or was served without: the limits of strangers no longer apply.
    pub known: bool,
    /// The open transaction.
    pub multi: Option<Multi>,
    /// Watched keys.
    pub watches: Option<Watches>,
    /// Whether replies are sent.
    pub reply_mode: ReplyMode,
    /// Close once the replies so far are sent; nothing more is executed.
    pub close_after_reply: bool,
    /// `CLIENT NO-TOUCH on`.
    pub no_touch: bool,
    /// `CLIENT IMPORT-SOURCE on`.
    pub import_source: bool,
    /// The replication offset after its last write.
    pub write_offset: u64,
    /// Its subscriptions; `None`: it has none.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Its CLIENT TRACKING; `None`: it caches no keys.
    pub tracks: Option<Box<Tracks>>,
    /// Pushes that follow the reply to the current command, even if that is suppressed.
    pub pushes: Vec<u8>,
    /// Receives MONITOR lines.
    pub monitor: bool,
    /// Present in the one client that applies the stream of a primary.
    pub primary_link: Option<Box<PrimaryLink>>,
    /// Its replica record, once it has sent REPLCONF, PSYNC or SYNC.
    pub replica: Option<Arc<Replica>>,
    /// Commands called by transactions and scripts, less those queued or refused, since its
    /// commands were last counted.
    pub further_calls: i64,
    /// Commands called by scripts, for which the user owes, since they were last counted.
    pub owed_calls: i64,
    /// Indexes of arguments of the current command that MONITOR and SLOWLOG must not show.
    pub secrets: Secrets,
}

impl Session {
    /// Advances the reply mode for the next command. Returns the former one.
    #[inline]
    pub fn begin_reply(&mut self) -> ReplyMode {
        let before = self.reply_mode;
        self.reply_mode = match before {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            mode => mode,
        };
        before
    }

    /// Whether its commands run without further checks of its state, like those of most clients: it
    /// has every right as of this version of the users, is in no transaction, no replica, no
    /// monitor and has no subscriptions.
    #[inline]
    pub fn is_plain(&self, acl_version: u64) -> bool {
        self.user.is_unrestricted(acl_version)
            && !self.monitor
            && self.multi.is_none()
            && self.replica.is_none()
            && self.subscriptions.is_none()
    }

    /// Whether nothing follows its commands but their replies: those are wanted, no keys that it
    /// reads are to be noted, and it is not the link to a primary.
    #[inline]
    pub fn only_replies(&self) -> bool {
        self.reply_mode == ReplyMode::On
            && self.pushes.is_empty()
            && self.tracks.is_none()
            && self.primary_link.is_none()
    }

    /// Discards the transaction and the watched keys.
    pub fn discard(&mut self) {
        self.multi = None;
        self.watches = None;
    }

    /// Marks the open transaction, if any, as one that EXEC must abort.
    pub fn abort_transaction(&mut self) {
        if let Some(multi) = &mut self.multi {
            multi.aborted = true;
        }
    }

    /// Resets it to the state of a new connection, as RESET does; `authenticated`: whether new
    /// connections are. A reply that CLIENT REPLY SKIP suppresses stays suppressed.
    pub fn reset(&mut self, authenticated: bool) {
        let reply_mode = match self.reply_mode {
            ReplyMode::Skip => ReplyMode::Skip,
            _ => ReplyMode::On,
        };
        let Self { known, further_calls, owed_calls, .. } = *self;
        *self =
            Self { authenticated, known, reply_mode, further_calls, owed_calls, ..Self::default() };
    }
}
