//! The types of parameters that are not a number or a string.

use super::kinds::Words;

/// Declares an enum whose variants are keywords in the file. The error message lists them in this
/// order; a variant is written as its first keyword.
macro_rules! words {
    ($( $(#[$meta:meta])* $name:ident {
        $( $variant:ident = $($word:literal)|+ ),+ $(,)?
    } )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $variant ),+ }

        impl Words for $name {
            const WORDS: &'static [(&'static str, Self)] =
                &[$( $( ($word, Self::$variant) ),+ ),+];
        }
    )+ };
}

words! {
    /// How much is written to the log.
    LogLevel {
        Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning",
        Nothing = "nothing",
    }

    /// Which keys may be evicted, and by what order, when `maxmemory` is reached.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random", VolatileTtl = "volatile-ttl",
        AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu", AllkeysRandom = "allkeys-random",
        NoEviction = "noeviction",
    }

    /// The facility that syslog lines carry.
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3",
        Local4 = "local4", Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }

    /// Which supervisor is told that the server is ready.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }

    /// How workers read and write sockets.
    IoBackend { Auto = "auto", Epoll = "epoll", Uring = "uring" }

    /// Who may use a guarded feature.
    Guard { No = "no", Yes = "yes", Local = "local" }

    /// How the kernel's out-of-memory score is adjusted.
    OomScoreAdj { No = "no", Relative = "yes" | "relative", Absolute = "absolute" }

    /// When the append-only file is synced.
    AppendFsync { EverySec = "everysec", Always = "always", No = "no" }

    /// How a replica loads the stream of a full synchronisation.
    DisklessLoad {
        Disabled = "disabled", OnEmptyDb = "on-empty-db", SwapDb = "swapdb",
        FlushBeforeLoad = "flush-before-load",
    }

    /// Which data sets of its primary a replica refuses.
    ReplicaProtect { Yes = "yes", Strict = "strict", No = "no" }

    /// Channel permissions of a new user.
    PubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }

    /// Whether the payload of RESTORE and of a snapshot is checked in depth.
    SanitizePayload { No = "no", Yes = "yes", Clients = "clients" }

    /// Whether TLS clients must present a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }

    /// Which field of a client's certificate names its user.
    TlsAuthClientsUser { CommonName = "CN", Uri = "URI", Off = "off" }

    /// What a cluster node calls itself towards clients.
    EndpointType { Ip = "ip", Hostname = "hostname", Unknown = "unknown-endpoint" }

    /// What happens when the cluster's file cannot be written.
    ClusterSave { Sync = "sync", BestEffort = "best-effort" }

    /// What a replica does when a command of its primary fails.
    PropagationError { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }

    /// How strictly the version in an RDB file is taken.
    RdbVersionCheck { Strict = "strict", Relaxed = "relaxed" }

    /// The version of the RDB files written.
    WriteVersion { V10 = "10", V11 = "11", V12 = "12", V80 = "80" }

    /// The form of a log line.
    LogFormat { Legacy = "legacy", Logfmt = "logfmt", Json = "json" }

    /// The form of the time in a log line.
    LogTimestamp { Legacy = "legacy", Iso8601 = "iso8601", Milliseconds = "milliseconds" }
}

impl MaxmemoryPolicy {
    /// Whether keys carry access frequencies rather than access times.
    #[must_use]
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether keys go by access times.
    #[must_use]
    pub fn is_lru(self) -> bool {
        matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }

    /// Whether only keys with an expiry may be evicted.
    #[must_use]
    pub fn is_volatile(self) -> bool {
        let ageing = matches!(self, Self::VolatileLru | Self::VolatileLfu);
        ageing || matches!(self, Self::VolatileRandom | Self::VolatileTtl)
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(_, policy)| *policy == self);
        known.map_or("", |(name, _)| *name)
    }

    /// Whether any of the keys may be evicted as well as another.
    #[must_use]
    pub fn is_random(self) -> bool {
        matches!(self, Self::VolatileRandom | Self::AllkeysRandom)
    }
}

/// The output buffer limit of a client class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Closed at once beyond this many bytes; 0: no limit.
    pub hard_bytes: u64,
    /// Closed when beyond this many bytes for `soft_seconds` without a break; 0: no limit.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u32,
}

impl OutputLimit {
    /// Pending output of up to this size is always allowed: the real servers do not count their
    /// fixed buffer.
    pub const SMALL_BYTES: u64 = 16 * 1024;

    /// The most bytes of pending output; 0: no limit.
    pub fn most_bytes(&self) -> u64 {
        if self.hard_bytes == 0 { 0 } else { self.hard_bytes.max(Self::SMALL_BYTES) }
    }

    /// The limit for so many times as many bytes.
    #[must_use]
    pub fn times(self, factor: u64) -> Self {
        Self {
            hard_bytes: self.hard_bytes.saturating_mul(factor),
            soft_bytes: self.soft_bytes.saturating_mul(factor),
            ..self
        }
    }
}

/// The output limits of each class of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients, MONITOR included.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients with at least one subscription.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The limits that Redis and Valkey start with.
    pub const DEFAULT: Self = Self {
        normal: OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
        replica: OutputLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 },
        pubsub: OutputLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_seconds: 60 },
    };
}

/// A size in bytes, or a share of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesOrPercent {
    /// So many bytes.
    Bytes(u64),
    /// 1..=100 per cent of `maxmemory`.
    Percent(u8),
}

/// How SIGTERM or SIGINT shuts the server down. All false is the default: save if there are save
/// points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOn {
    /// Save even without save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas that lag.
    pub now: bool,
    /// Exit even when saving fails.
    pub force: bool,
    /// Refuse where data could be lost.
    pub safe: bool,
    /// Hand over to a replica first, in a cluster.
    pub failover: bool,
}

/// The bits of `notify-keyspace-events`.
pub mod notify {
    /// `K`: events named by key.
    pub const KEYSPACE: u32 = 1 << 0;
    /// `E`: events named by event.
    pub const KEYEVENT: u32 = 1 << 1;
    /// `g`: commands of no type.
    pub const GENERIC: u32 = 1 << 2;
    /// `$`: strings.
    pub const STRING: u32 = 1 << 3;
    /// `l`: lists.
    pub const LIST: u32 = 1 << 4;
    /// `s`: sets.
    pub const SET: u32 = 1 << 5;
    /// `h`: hashes.
    pub const HASH: u32 = 1 << 6;
    /// `z`: sorted sets.
    pub const ZSET: u32 = 1 << 7;
    /// `x`: a key expired.
    pub const EXPIRED: u32 = 1 << 8;
    /// `e`: a key was evicted.
    pub const EVICTED: u32 = 1 << 9;
    /// `t`: streams.
    pub const STREAM: u32 = 1 << 10;
    /// `m`: a read missed.
    pub const MISS: u32 = 1 << 11;
    /// `d`: module types.
    pub const MODULE: u32 = 1 << 13;
    /// `n`: a key was created.
    pub const NEW: u32 = 1 << 14;
    /// `A`: every class but [`MISS`] and [`NEW`].
    pub const ALL: u32 =
        GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;

    /// The letters of the classes, in the order in which they are written.
    pub(in crate::config) const LETTERS: &[(char, u32)] = &[
        ('g', GENERIC),
        ('$', STRING),
        ('l', LIST),
        ('s', SET),
        ('h', HASH),
        ('z', ZSET),
        ('x', EXPIRED),
        ('e', EVICTED),
        ('t', STREAM),
        ('d', MODULE),
        ('n', NEW),
        ('K', KEYSPACE),
        ('E', KEYEVENT),
        ('m', MISS),
    ];
}
