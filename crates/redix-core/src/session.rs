//! The protocol state of one connection: what a command may know and change about its client.

use std::sync::Arc;

use crate::command::args::OwnedArgs;
use crate::command::prepared::Prepared;
use crate::command::table::Command;
use crate::keyspace::shard::WatchFlag;
use crate::pubsub::Subscriptions;
use crate::repl::primary::Replica;

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
    /// Its words.
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
    /// Whether it was there, and had not expired, when it was watched.
    pub was_alive: bool,
}

/// The keys that a session watches.
#[derive(Debug)]
pub struct Watches {
    /// Set by whoever changes one of the keys.
    pub flag: Arc<WatchFlag>,
    /// The keys, each once.
    pub keys: Vec<Watched>,
}

/// What applying the stream of a primary leaves behind for the link.
#[derive(Debug, Default)]
pub struct PrimaryLink {
    /// Bytes of a transaction that began in an earlier group: they enter the log when it ends.
    pub pending: Vec<u8>,
    /// The first parked command whose bytes are neither in the log nor pending.
    pub first: usize,
    /// How many of the parked commands make up whole units.
    pub whole: usize,
    /// The commands of the portion under way, if it came prepared; those before `prepared_begin`
    /// have been executed, the others are the parked ones.
    pub(crate) prepared: Vec<Prepared>,
    pub(crate) prepared_begin: usize,
    /// The primary wants to know how far its stream was applied.
    pub ack_wanted: bool,
    /// What could not be applied, and why; nothing is executed after it.
    pub failure: Option<String>,
}

/// The protocol state of one connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The selected database.
    pub db: u32,
    /// Whether commands other than AUTH and HELLO are allowed.
    pub authenticated: bool,
    /// Whether it has been authenticated at some time: what it is owed is limited as for anybody.
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
    /// Where the replication stream ended behind its last write.
    pub write_offset: u64,
    /// What it listens to; none: nothing.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Pushes that follow the reply to the command under way, whether or not that is sent.
    pub pushes: Vec<u8>,
    /// Receives MONITOR lines.
    pub monitor: bool,
    /// Present in the one client that applies the stream of a primary.
    pub primary_link: Option<Box<PrimaryLink>>,
    /// It has introduced itself as a replica.
    pub replica: Option<Arc<Replica>>,
    /// Words of the command under way that MONITOR and SLOWLOG must not show, by index.
    pub secrets: Vec<usize>,
}

impl Session {
    /// Whether its commands run when they come, like those of most clients: it is authenticated, in
    /// no transaction, no replica, no monitor and no subscriber.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.authenticated
            && !self.monitor
            && self.multi.is_none()
            && self.replica.is_none()
            && self.subscriptions.is_none()
    }

    /// Forgets the transaction and the watched keys.
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

    /// Back to the state of a new connection, as RESET does; `authenticated` says whether new
    /// connections are.
    pub fn reset(&mut self, authenticated: bool) {
        *self = Self { authenticated, known: self.known, ..Self::default() };
    }
}
