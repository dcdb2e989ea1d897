//! What a command is: one record beside its handler.
//!
//! From this record alone come name lookup, arity, the lock plan, GETKEYS, ACL categories, the
//! gates, the replicated form, COMMAND and COMMAND DOCS, and the statistics. Facts (arity, flags,
//! key specifications, arguments) are those of Valkey 8 and Redis 7.2.

use super::args::Args;
use super::context::{ClientCx, Ctx};
use crate::error::CommandResult;

/// Runs a command whose locks are held.
pub type DataHandler = fn(&mut Ctx<'_, '_>, Args<'_>) -> CommandResult;

/// Runs a command about the connection.
pub type ClientHandler = fn(&mut ClientCx<'_, '_>, Args<'_>) -> CommandResult;

/// The function that runs a command, by the context that it gets.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// Gets keys and reply only.
    Data(DataHandler),
    /// Gets the connection too.
    Client(ClientHandler),
}

/// Command flags, in the terms of `COMMAND INFO`.
pub mod flag {
    macro_rules! flags {
        ($($bit:literal $name:ident $word:literal $doc:literal,)+) => {
            $(#[doc = $doc] pub const $name: u32 = 1 << $bit;)+
            /// Every flag with its name in `COMMAND INFO`, in the order in which it is listed
            /// there.
            pub const WORDS: &[(u32, &str)] = &[$(($name, $word),)+];
        };
    }
    flags! {
        0 WRITE "write" "Changes data.",
        1 READONLY "readonly" "Reads data.",
        2 DENYOOM "denyoom" "Refused when memory is used up.",
        3 ADMIN "admin" "Administrative.",
        4 PUBSUB "pubsub" "Publishes or subscribes.",
        5 NOSCRIPT "noscript" "Not from scripts.",
        6 BLOCKING "blocking" "May block.",
        7 LOADING "loading" "Allowed while the data set is loading.",
        8 STALE "stale" "Allowed on a replica with stale data.",
        9 SKIP_MONITOR "skip_monitor" "Not shown to MONITOR.",
        10 SKIP_SLOWLOG "skip_commandlog" "Not written to the slow log.",
        11 ASKING "asking" "Behaves as if ASKING had been sent.",
        12 FAST "fast" "Takes constant or logarithmic time.",
        13 NO_AUTH "no_auth" "Needs no authentication.",
        14 MAY_REPLICATE "" "May leave a record without writing data.",
        15 NO_MANDATORY_KEYS "no_mandatory_keys" "Its keys are optional.",
        16 NO_ASYNC_LOADING "no_async_loading" "Refused while loading beside serving.",
        17 NO_MULTI "no_multi" "Not inside MULTI.",
        18 MOVABLEKEYS "movablekeys" "Its keys cannot be told from first, last and step.",
        19 ALLOW_BUSY "allow_busy" "Allowed while a script is running for too long.",
        20 PROTECTED "" "Switched off unless configured.",
        21 SENTINEL "" "Sentinels answer it too.",
        22 TOUCHES_ARBITRARY_KEYS "" "Touches keys that it does not name.",
        23 RUNS_IN_MULTI "" "Runs at once inside MULTI instead of being queued.",
        24 BRIEF "" "Short work where arguments, reply and what it frees are.",
        25 SYSCMD "" "Servers send it to each other.",
        26 DENY_UNSAVED "" "Refused, as writes are, where saving has failed.",
        27 SUBSCRIBED "" "Allowed to a RESP2 client that has subscriptions.",
        28 RUNS_SCRIPTS "" "Runs a script, whose flags may say more than these.",
        29 READS_BY_PATTERN "" "May read keys that a pattern in its arguments names.",
    }
}

/// ACL categories, in the terms of `ACL CAT`.
pub mod acl {
    macro_rules! categories {
        ($($bit:literal $name:ident $word:literal,)+) => {
            $(#[doc = concat!("`@", $word, "`")] pub const $name: u32 = 1 << $bit;)+
            /// Every category with its name, in the order of `ACL CAT`.
            pub const WORDS: &[(u32, &str)] = &[$(($name, $word),)+];
        };
    }
    categories! {
        0 KEYSPACE "keyspace",
        1 READ "read",
        2 WRITE "write",
        3 SET "set",
        4 SORTEDSET "sortedset",
        5 LIST "list",
        6 HASH "hash",
        7 STRING "string",
        8 BITMAP "bitmap",
        9 HYPERLOGLOG "hyperloglog",
        10 GEO "geo",
        11 STREAM "stream",
        12 PUBSUB "pubsub",
        13 ADMIN "admin",
        14 FAST "fast",
        15 SLOW "slow",
        16 BLOCKING "blocking",
        17 DANGEROUS "dangerous",
        18 CONNECTION "connection",
        19 TRANSACTION "transaction",
        20 SCRIPTING "scripting",
    }
}

/// What a command does with the keys of one key specification, in the terms of `COMMAND INFO`.
pub mod access {
    macro_rules! accesses {
        ($($bit:literal $name:ident $word:literal,)+) => {
            $(#[doc = concat!("`", $word, "`")] pub const $name: u32 = 1 << $bit;)+
            /// Every flag with its name, in the order in which `COMMAND INFO` lists them.
            pub const WORDS: &[(u32, &str)] = &[$(($name, $word),)+];
        };
    }
    accesses! {
        0 RO "RO",
        1 RW "RW",
        2 OW "OW",
        3 RM "RM",
        4 ACCESS "access",
        5 UPDATE "update",
        6 INSERT "insert",
        7 DELETE "delete",
        8 NOT_KEY "not_key",
        9 INCOMPLETE "incomplete",
        10 VARIABLE_FLAGS "variable_flags",
    }
}

/// Where the keys of one key specification begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this argument index.
    Index(u32),
    /// After this token, searched from an index on (negative: from the end, backwards).
    Keyword(&'static str, i32),
    /// Unknown: it cannot be stated.
    Unknown,
}

/// How the keys of one key specification are found from where they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` (relative to the beginning; negative: from the end of the arguments), every
    /// `step`-th; `limit` divides what is left where `last` is -1.
    Range {
        /// The last key.
        last: i32,
        /// The distance between keys.
        step: u32,
        /// 0 and 1: all; 2: the first half; and so on.
        limit: u32,
    },
    /// As many as the argument at `keynum` states, from `first` on, every `step`-th.
    KeyNum {
        /// Where the number stands, relative to the beginning.
        keynum: u32,
        /// Where the first key stands, relative to the beginning.
        first: u32,
        /// The distance between keys.
        step: u32,
    },
    /// Unknown: it cannot be stated.
    Unknown,
}

/// One key specification. Source: the "key specifications" in the documentation of COMMAND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// What the command does with these keys: bits of [`access`].
    pub access: u32,
    /// Where they begin.
    pub begin: Begin,
    /// How they are found from there.
    pub find: Find,
    /// A note in our words, shown in `COMMAND INFO`.
    pub notes: Option<&'static str>,
}

impl KeySpec {
    /// One key at argument `index`.
    pub const fn one(index: u32, access: u32) -> Self {
        Self::range(index, 0, 1, access)
    }

    /// Keys from argument `index` to `last`, every `step`-th.
    pub const fn range(index: u32, last: i32, step: u32, access: u32) -> Self {
        Self {
            access,
            begin: Begin::Index(index),
            find: Find::Range { last, step, limit: 0 },
            notes: None,
        }
    }

    /// Adds a note.
    pub const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }
}

/// Which of a command's arguments are channels, for access control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// None that is restricted.
    None,
    /// The first, to publish to.
    Published,
    /// All, to subscribe to.
    Subscribed,
    /// All, patterns to subscribe to.
    SubscribedPatterns,
}

/// Which databases a command has to do with, for access control.
#[derive(Debug, Clone, Copy)]
pub enum Databases {
    /// The selected one, if it has to do with data at all.
    Selected,
    /// Those that its arguments name.
    Named(NamedDatabases),
    /// The selected one and those that its arguments name.
    SelectedAndNamed(NamedDatabases),
    /// All.
    All,
}

/// Finds databases in arguments, of so many that there are: pushes (argument index, database)
/// pairs. `false` if the arguments are invalid.
pub type NamedDatabases = fn(Args<'_>, u32, &mut Vec<(usize, u32)>) -> bool;

/// Which locks the dispatcher takes before the handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// The shards of the declared keys; none without keys.
    Keys,
    /// The handler visits shards one at a time; inside MULTI this is the world.
    Walk,
    /// The world: nothing else runs.
    World,
    /// Those of the commands queued in the session's transaction, and of its watched keys.
    Queue,
}

/// How a write appears in the replication log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAs {
    /// It writes nothing.
    Nothing,
    /// As received, if it changed anything.
    Verbatim,
    /// In the form that the handler states.
    Effect,
}

/// The kind of an argument, in the terms of `COMMAND DOCS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// Any string.
    String,
    /// A whole number.
    Integer,
    /// A whole number that the real server's tables attribute to the key specification with this
    /// index.
    KeyInteger(u32),
    /// A number.
    Double,
    /// A key, of the key specification with this index.
    Key(u32),
    /// A glob-style pattern.
    Pattern,
    /// A pattern that names keys, of the key specification with this index.
    KeyPattern(u32),
    /// A Unix time.
    UnixTime,
    /// Only its token.
    PureToken,
    /// One of the nested arguments.
    OneOf(&'static [ArgSpec]),
    /// All of the nested arguments.
    Block(&'static [ArgSpec]),
}

/// One argument in `COMMAND DOCS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgSpec {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ArgKind,
    /// The token before it, if any.
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be given several times.
    pub multiple: bool,
    /// Its token is repeated with each of them.
    pub multiple_token: bool,
    /// Since which version.
    pub since: Option<&'static str>,
    /// Deprecated since which version.
    pub deprecated_since: Option<&'static str>,
    /// A summary in our words.
    pub summary: Option<&'static str>,
    /// The name shown for it, where it differs.
    pub display: Option<&'static str>,
}

impl ArgSpec {
    /// An argument that must be given once.
    pub const fn new(name: &'static str, kind: ArgKind) -> Self {
        Self {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
            deprecated_since: None,
            summary: None,
            display: None,
        }
    }
    /// A key of key specification 0.
    pub const fn key(name: &'static str) -> Self {
        Self::new(name, ArgKind::Key(0))
    }
    /// A token without a value.
    pub const fn word(name: &'static str, token: &'static str) -> Self {
        Self::new(name, ArgKind::PureToken).token(token)
    }
    /// Preceded by a token.
    pub const fn token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }
    /// May be left out.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
    /// May be given several times.
    pub const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }
    /// May be given several times, each with its token.
    pub const fn multiple_token(mut self) -> Self {
        self.multiple = true;
        self.multiple_token = true;
        self
    }
    /// Since a version.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }
    /// Deprecated since a version.
    pub const fn deprecated(mut self, version: &'static str) -> Self {
        self.deprecated_since = Some(version);
        self
    }
    /// With a summary.
    pub const fn summary(mut self, text: &'static str) -> Self {
        self.summary = Some(text);
        self
    }
    /// Shown under another name.
    pub const fn display(mut self, text: &'static str) -> Self {
        self.display = Some(text);
        self
    }
}

/// The group of a command, in the terms of `COMMAND DOCS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// `string`
    String,
    /// `generic`
    Generic,
    /// `connection`
    Connection,
    /// `transactions`
    Transactions,
    /// `server`
    Server,
    /// `scripting`
    Scripting,
    /// `cluster`
    Cluster,
    /// `pubsub`
    Pubsub,
    /// `list`
    List,
    /// `set`
    Set,
    /// `sorted-set`
    SortedSet,
    /// `hash`
    Hash,
    /// `bitmap`
    Bitmap,
    /// `hyperloglog`
    Hyperloglog,
    /// `geo`
    Geo,
    /// `stream`
    Stream,
}

impl Group {
    /// Its name in `COMMAND DOCS`.
    pub fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Generic => "generic",
            Self::Connection => "connection",
            Self::Transactions => "transactions",
            Self::Server => "server",
            Self::Scripting => "scripting",
            Self::Cluster => "cluster",
            Self::Pubsub => "pubsub",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Hash => "hash",
            Self::Bitmap => "bitmap",
            Self::Hyperloglog => "hyperloglog",
            Self::Geo => "geo",
            Self::Stream => "stream",
        }
    }
}

/// The entry of a command in COMMAND DOCS.
#[derive(Debug, Clone, Copy)]
pub struct Docs {
    /// The first version with it.
    pub since: &'static str,
    /// Its cost.
    pub complexity: &'static str,
    /// What it does, in our words.
    pub doc: &'static str,
    /// What changed in which version, in our words.
    pub history: &'static [(&'static str, &'static str)],
    /// Deprecated since this version, in favour of this.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Its arguments.
    pub args: &'static [ArgSpec],
    /// Tips to clients and proxies.
    pub tips: &'static [&'static str],
}

impl Docs {
    /// The first version with the command, its cost, and what it does.
    pub const fn new(since: &'static str, complexity: &'static str, doc: &'static str) -> Self {
        Self { since, complexity, doc, history: &[], deprecated: None, args: &[], tips: &[] }
    }
    /// What changed in which version.
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.history = history;
        self
    }
    /// Deprecated since a version, in favour of something.
    pub const fn deprecated(mut self, since: &'static str, instead: &'static str) -> Self {
        self.deprecated = Some((since, instead));
        self
    }
    /// The arguments.
    pub const fn args(mut self, args: &'static [ArgSpec]) -> Self {
        self.args = args;
        self
    }
    /// Tips to clients and proxies.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }
}

/// A command or subcommand.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// The lower-case name, of a subcommand without its container.
    pub name: &'static str,
    /// The group.
    pub group: Group,
    /// The number of arguments, the name (and container) included; negative: at least as many.
    pub arity: i16,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Explicit bits of [`acl`]; the implied ones follow from the flags.
    pub acl: u32,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Finds the keys for COMMAND GETKEYS where the key specifications cannot state them.
    pub get_keys: Option<GetKeys>,
    /// The actual access of a key flagged `VARIABLE_FLAGS`, given the arguments.
    pub key_access: Option<fn(Args<'_>) -> u32>,
    /// Its channels.
    pub channels: Channels,
    /// Its databases.
    pub databases: Databases,
    /// The argument that is the member or field looked up in its only key; 0 if there is none. Used
    /// to prefetch.
    pub member: u8,
    /// Which locks it needs, whatever its arguments.
    pub locks: Locks,
    /// Which locks it needs with these arguments, where that depends on them; never more than
    /// `locks`.
    pub locks_by: Option<fn(Args<'_>) -> Locks>,
    /// How a write is logged.
    pub log_as: LogAs,
    /// Its entry in COMMAND DOCS.
    pub docs: Docs,
    /// Its subcommands; the handler runs for arguments that name none of them.
    pub subcommands: &'static [CommandSpec],
    /// Runs it.
    pub handler: Handler,
}

/// Finds keys that key specifications cannot state: pushes (argument index, access) pairs. `false`
/// if the arguments are invalid.
pub type GetKeys = fn(Args<'_>, &mut Vec<(usize, u32)>) -> bool;

impl CommandSpec {
    /// Which locks it needs with these arguments.
    #[inline]
    pub fn locks_for(&self, args: Args<'_>) -> Locks {
        self.locks_by.map_or(self.locks, |locks_by| locks_by(args))
    }

    const fn new(name: &'static str, group: Group, arity: i16, handler: Handler) -> Self {
        Self {
            name,
            group,
            arity,
            flags: 0,
            acl: 0,
            keys: &[],
            get_keys: None,
            key_access: None,
            channels: Channels::None,
            databases: Databases::Selected,
            member: 0,
            locks: Locks::Keys,
            locks_by: None,
            log_as: LogAs::Nothing,
            docs: Docs::new("1.0.0", "O(1)", ""),
            subcommands: &[],
            handler,
        }
    }

    /// A command that reads keys.
    pub const fn read(
        name: &'static str,
        group: Group,
        arity: i16,
        keys: &'static [KeySpec],
        handler: DataHandler,
    ) -> Self {
        let mut spec = Self::new(name, group, arity, Handler::Data(handler));
        spec.keys = keys;
        spec.flags = flag::READONLY;
        spec
    }

    /// A command that writes keys, logged verbatim unless said otherwise.
    pub const fn write(
        name: &'static str,
        group: Group,
        arity: i16,
        keys: &'static [KeySpec],
        handler: DataHandler,
    ) -> Self {
        let mut spec = Self::new(name, group, arity, Handler::Data(handler));
        spec.keys = keys;
        spec.flags = flag::WRITE;
        spec.log_as = LogAs::Verbatim;
        spec
    }

    /// A command without keys.
    pub const fn plain(name: &'static str, group: Group, arity: i16, handler: DataHandler) -> Self {
        Self::new(name, group, arity, Handler::Data(handler))
    }

    /// A command about the connection, without keys.
    pub const fn client(
        name: &'static str,
        group: Group,
        arity: i16,
        handler: ClientHandler,
    ) -> Self {
        Self::new(name, group, arity, Handler::Client(handler))
    }

    /// Adds bits of [`flag`].
    pub const fn flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }
    /// Looks up the member or field that stands at this argument.
    pub const fn member(mut self, argument: u8) -> Self {
        self.member = argument;
        self
    }
    /// Adds explicit bits of [`acl`].
    pub const fn acl(mut self, categories: u32) -> Self {
        self.acl |= categories;
        self
    }
    /// Declares keys for a command made by [`CommandSpec::plain`].
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self
    }
    /// Sets the function that finds its keys.
    pub const fn get_keys(mut self, get_keys: GetKeys) -> Self {
        self.get_keys = Some(get_keys);
        self
    }
    /// Sets the function that gives the access of a key with `VARIABLE_FLAGS`.
    pub const fn key_access(mut self, key_access: fn(Args<'_>) -> u32) -> Self {
        self.key_access = Some(key_access);
        self
    }
    /// Says which arguments are channels.
    pub const fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }
    /// Says which databases it has to do with.
    pub const fn databases(mut self, databases: Databases) -> Self {
        self.databases = databases;
        self
    }
    /// Locks one shard at a time, as the handler asks.
    pub const fn walk(mut self) -> Self {
        self.locks = Locks::Walk;
        self
    }
    /// Needs the world.
    pub const fn world(mut self) -> Self {
        self.locks = Locks::World;
        self
    }
    /// Needs the world, or less with arguments for which `locks_by` says so.
    pub const fn world_unless(mut self, locks_by: fn(Args<'_>) -> Locks) -> Self {
        self.locks = Locks::World;
        self.locks_by = Some(locks_by);
        self
    }
    /// Needs the locks of the session's transaction.
    pub const fn queue(mut self) -> Self {
        self.locks = Locks::Queue;
        self
    }
    /// Logged in the form that the handler states.
    pub const fn log_as(mut self, log_as: LogAs) -> Self {
        self.log_as = log_as;
        self
    }
    /// Sets its entry in COMMAND DOCS.
    pub const fn docs(mut self, docs: Docs) -> Self {
        self.docs = docs;
        self
    }
    /// The first version with it.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.docs.since = version;
        self
    }
    /// Its cost.
    pub const fn complexity(mut self, text: &'static str) -> Self {
        self.docs.complexity = text;
        self
    }
    /// What it does.
    pub const fn doc(mut self, text: &'static str) -> Self {
        self.docs.doc = text;
        self
    }
    /// What changed in which version.
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.docs.history = history;
        self
    }
    /// Deprecated since a version, in favour of something.
    pub const fn deprecated(mut self, since: &'static str, instead: &'static str) -> Self {
        self.docs.deprecated = Some((since, instead));
        self
    }
    /// Its arguments.
    pub const fn args(mut self, args: &'static [ArgSpec]) -> Self {
        self.docs.args = args;
        self
    }
    /// Tips to clients and proxies.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.docs.tips = tips;
        self
    }
    /// Its subcommands.
    pub const fn subcommands(mut self, subcommands: &'static [CommandSpec]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether it has one of these flags.
    #[inline]
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Whether the arity accepts this number of arguments.
    #[inline]
    pub fn fits(&self, words: usize) -> bool {
        let words = words as i64;
        if self.arity >= 0 {
            words == i64::from(self.arity)
        } else {
            words >= -i64::from(self.arity)
        }
    }

    /// All ACL categories, those implied by flags included.
    pub fn categories(&self) -> u32 {
        let mut all = self.acl;
        let implied = [
            (flag::WRITE, acl::WRITE),
            (flag::ADMIN, acl::ADMIN | acl::DANGEROUS),
            (flag::PUBSUB, acl::PUBSUB),
            (flag::FAST, acl::FAST),
            (flag::BLOCKING, acl::BLOCKING),
        ];
        for (flag, categories) in implied {
            if self.has(flag) {
                all |= categories;
            }
        }
        if self.has(flag::READONLY) && all & acl::SCRIPTING == 0 {
            all |= acl::READ;
        }
        if all & acl::FAST == 0 {
            all |= acl::SLOW;
        }
        all
    }
}
