//! The registry: connections as other threads see them.
//!
//! Each connection has a shared record: CLIENT LIST reads it, CLIENT KILL marks it and removes it
//! at once, and its worker tests the mark before each command.
//!
//! **Invariants.** The fields of a record are written by the connection's own worker only (except
//! the kill mark, the flags of a changed watched key and of a broken redirection, and the waiter);
//! readers may see them slightly stale, never torn.

use std::collections::BTreeMap;

use crate::acl::DEFAULT_USER;
use crate::blocking::Waiter;
use crate::mailbox::{Mail, Mailbox, WaitEnd};
use crate::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use crate::sync::{Arc, Mutex, lock};

/// Bits of [`ClientShared::flags`], with the letters of CLIENT LIST.
pub mod client_flag {
    /// `O`: in MONITOR mode.
    pub const MONITOR: u32 = 1;
    /// `x`: inside MULTI.
    pub const MULTI: u32 = 1 << 1;
    /// `d`: a watched key has changed.
    pub const DIRTY: u32 = 1 << 2;
    /// `c`: is closed after its reply.
    pub const CLOSING: u32 = 1 << 3;
    /// `U`: over a Unix socket.
    pub const UNIX: u32 = 1 << 4;
    /// `e`: not evicted.
    pub const NO_EVICT: u32 = 1 << 5;
    /// `T`: CLIENT NO-TOUCH.
    pub const NO_TOUCH: u32 = 1 << 6;
    /// `b`: paused.
    pub const HELD: u32 = 1 << 7;
    /// CLIENT CAPA redirect.
    pub const CAN_REDIRECT: u32 = 1 << 8;
    /// `b`: blocked.
    pub const BLOCKED: u32 = 1 << 9;
    /// `P`: has subscriptions.
    pub const PUBSUB: u32 = 1 << 10;
    /// `S`: a replica.
    pub const REPLICA: u32 = 1 << 11;
    /// `M`: the link to the primary.
    pub const PRIMARY: u32 = 1 << 12;
    /// `r`: READONLY.
    pub const READONLY: u32 = 1 << 13;
    /// `I`: the source of an import.
    pub const IMPORT_SOURCE: u32 = 1 << 14;
    /// `t`: CLIENT TRACKING; the others of it are set only together with this.
    pub const TRACKING: u32 = 1 << 15;
    /// `R`: the connection that was to receive its invalidations is gone.
    pub const TRACKING_BROKEN: u32 = 1 << 16;
    /// `B`: tracks prefixes.
    pub const TRACKING_BCAST: u32 = 1 << 17;
    /// Tracks keys only after CLIENT CACHING YES.
    pub const TRACKING_OPTIN: u32 = 1 << 18;
    /// Tracks no keys after CLIENT CACHING NO.
    pub const TRACKING_OPTOUT: u32 = 1 << 19;
    /// Is not told of its own changes.
    pub const TRACKING_NOLOOP: u32 = 1 << 20;
    /// All flags of CLIENT TRACKING.
    pub const TRACKING_ALL: u32 = TRACKING
        | TRACKING_BROKEN
        | TRACKING_BCAST
        | TRACKING_OPTIN
        | TRACKING_OPTOUT
        | TRACKING_NOLOOP;

    /// The letters, in the order in which CLIENT LIST shows them.
    pub const LETTERS: &[(u32, char)] = &[
        (REPLICA, 'S'),
        (MONITOR, 'O'),
        (PRIMARY, 'M'),
        (PUBSUB, 'P'),
        (MULTI, 'x'),
        (HELD | BLOCKED, 'b'),
        (TRACKING, 't'),
        (TRACKING_BROKEN, 'R'),
        (TRACKING_BCAST, 'B'),
        (DIRTY, 'd'),
        (CLOSING, 'c'),
        (UNIX, 'U'),
        (READONLY, 'r'),
        (NO_EVICT, 'e'),
        (NO_TOUCH, 'T'),
        (IMPORT_SOURCE, 'I'),
    ];
}

/// Text attributes of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTexts {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// The user's name, authenticated or not.
    pub user: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: Vec<u8>,
}

/// The record of one connection.
#[derive(Debug)]
pub struct ClientShared {
    /// The id, unique for the life of the process.
    pub id: u64,
    /// The peer's address as shown (`127.0.0.1:1234`, `[::1]:1234`, `/path:0`).
    pub addr: String,
    /// The local address.
    pub laddr: String,
    /// The socket's file descriptor, as shown.
    pub fd: i32,
    /// Unix time in milliseconds of the accept.
    pub created_ms: i64,
    /// The worker that owns the connection.
    pub worker: usize,
    /// Its slot in the worker.
    pub token: AtomicUsize,
    /// Text attributes.
    pub texts: Mutex<ClientTexts>,
    /// Bits of [`client_flag`]; shared with the flag of a changed watched key.
    pub flags: Arc<AtomicU32>,
    /// The selected database.
    pub db: AtomicU32,
    /// The connection that receives its invalidations; 0: itself.
    pub redirect: AtomicU64,
    /// The protocol version, 2 or 3.
    pub resp: AtomicU8,
    /// The id of the last command in the command table; `u16::MAX`: none.
    pub last_command: AtomicU16,
    /// Unix time in milliseconds of the last interaction.
    pub last_active_ms: AtomicI64,
    /// Commands queued by MULTI; -1 outside.
    pub multi: AtomicI64,
    /// Keys watched.
    pub watched: AtomicU32,
    /// Numbers of subscribed channels, patterns and shard channels.
    pub subscriptions: [AtomicU32; 3],
    /// Bytes in the query buffer, without `argv_bytes`.
    pub query_bytes: AtomicUsize,
    /// Bytes of arguments of an incomplete command.
    pub argv_bytes: AtomicUsize,
    /// Bytes free in the query buffer.
    pub query_free: AtomicUsize,
    /// Bytes of queued commands.
    pub multi_bytes: AtomicUsize,
    /// Bytes of pending output.
    pub output_bytes: AtomicUsize,
    /// Capacity of the output buffers in bytes.
    pub output_capacity: AtomicUsize,
    /// The peak of pending output at the end of a turn since the buffer was last shrunk.
    pub output_peak: AtomicUsize,
    /// Bytes received.
    pub net_in: AtomicU64,
    /// Bytes sent.
    pub net_out: AtomicU64,
    /// Commands executed.
    pub commands: AtomicU64,
    /// Killed: must be closed before it executes anything more.
    pub killed: AtomicBool,
    /// Its wait, from when it blocks until its worker has replied.
    pub waiter: Mutex<Option<Arc<Waiter>>>,
    /// The keys that it waits for, or has waited for last.
    pub awaited: Mutex<Vec<AwaitedKey>>,
    /// Bytes of lists: of watched keys, of subscriptions, of tracked prefixes.
    pub list_bytes: [AtomicUsize; 3],
    /// The part of the memory of all clients that is counted for it; [`GONE`] once it is removed.
    counted: AtomicUsize,
    /// Its memory when it was evicted, until it is closed.
    closing_bytes: AtomicUsize,
}

/// Indices of [`ClientShared::list_bytes`].
pub mod list {
    /// Watched keys.
    pub const WATCHED: usize = 0;
    /// Subscriptions.
    pub const SUBSCRIPTIONS: usize = 1;
    /// Tracked prefixes.
    pub const PREFIXES: usize = 2;
    /// Bytes that an item of a list takes beside its name, about: of the list itself, and of the
    /// table by which the item is found.
    pub const ITEM_BYTES: usize = 112;
}

/// Bytes of what the worker keeps of a connection, beside its buffers, at most.
pub const WORKER_PART: usize = 1024;

/// Nothing more is counted.
const GONE: usize = usize::MAX;

/// A key that a blocked client waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwaitedKey {
    /// Its database.
    pub db: u32,
    /// Its name.
    pub key: Box<[u8]>,
    /// Whether the wait ends when there is no such key any more.
    pub until_gone: bool,
}

impl ClientShared {
    /// The record of a new connection of worker `worker`.
    pub fn new(id: u64, addr: String, laddr: String, fd: i32, now_ms: i64, worker: usize) -> Self {
        Self {
            id,
            addr,
            laddr,
            fd,
            created_ms: now_ms,
            worker,
            token: AtomicUsize::new(0),
            texts: Mutex::new(ClientTexts {
                user: DEFAULT_USER.to_vec(),
                ..ClientTexts::default()
            }),
            flags: Arc::default(),
            db: AtomicU32::new(0),
            redirect: AtomicU64::new(0),
            resp: AtomicU8::new(2),
            last_command: AtomicU16::new(u16::MAX),
            last_active_ms: AtomicI64::new(now_ms),
            multi: AtomicI64::new(-1),
            watched: AtomicU32::new(0),
            subscriptions: Default::default(),
            query_bytes: AtomicUsize::new(0),
            argv_bytes: AtomicUsize::new(0),
            query_free: AtomicUsize::new(0),
            multi_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            output_capacity: AtomicUsize::new(0),
            output_peak: AtomicUsize::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            waiter: Mutex::new(None),
            awaited: Mutex::new(Vec::new()),
            list_bytes: Default::default(),
            counted: AtomicUsize::new(0),
            closing_bytes: AtomicUsize::new(0),
        }
    }

    /// Memory of the connection: its record, names, buffers, queued commands, and the lists of what
    /// it watches, listens to and tracks.
    pub fn memory_bytes(&self) -> usize {
        let inputs = [&self.query_bytes, &self.argv_bytes, &self.query_free];
        let others = [&self.output_capacity, &self.multi_bytes];
        let sizes = inputs.into_iter().chain(others).chain(&self.list_bytes);
        let sizes: usize = sizes.map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        let texts = lock(&self.texts);
        let names =
            texts.name.len() + texts.lib_name.len() + texts.lib_ver.len() + texts.user.len();
        let record = WORKER_PART + size_of::<Self>() + self.addr.len() + self.laddr.len();
        sizes + names + record
    }

    /// Whether its memory counts for `maxmemory-clients`: it is no replica and not the link to the
    /// primary.
    pub fn is_ordinary(&self) -> bool {
        !self.has_flag(client_flag::REPLICA | client_flag::PRIMARY)
    }

    /// Whether it may be closed for its memory.
    pub fn may_be_evicted(&self) -> bool {
        self.is_ordinary()
            && !self.has_flag(client_flag::NO_EVICT)
            && !self.killed.load(Ordering::Acquire)
    }

    /// Memory of its query buffer, and of the arguments of an incomplete command.
    pub fn input_memory(&self) -> usize {
        let parts = [&self.query_bytes, &self.argv_bytes, &self.query_free];
        parts.into_iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }

    /// Bytes of pending output.
    pub fn output_memory(&self) -> usize {
        self.output_bytes.load(Ordering::Relaxed)
    }

    /// Sets or clears bits of [`client_flag`].
    pub fn set_flag(&self, bits: u32, on: bool) {
        if on {
            self.flags.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Number of watched keys; 0 once one of them has changed, since EXEC will fail anyway.
    pub fn watched_keys(&self) -> u32 {
        if self.has_flag(client_flag::DIRTY) { 0 } else { self.watched.load(Ordering::Relaxed) }
    }

    /// The deadline of its wait, Unix time in milliseconds.
    pub fn waits_until_ms(&self) -> Option<i64> {
        let waiter = lock(&self.waiter);
        waiter.as_ref().filter(|waiter| !waiter.is_over())?.deadline_ms()
    }

    /// The keys that it waits for.
    pub fn awaited_keys(&self) -> Vec<AwaitedKey> {
        let waiter = lock(&self.waiter);
        let waits = waiter.as_ref().is_some_and(|waiter| !waiter.is_over());
        if waits { lock(&self.awaited).clone() } else { Vec::new() }
    }

    /// Ends its wait, if it is in one, without an answer: nobody serves it from here on.
    pub fn abandon_wait(&self) {
        if let Some(waiter) = lock(&self.waiter).take() {
            waiter.claim();
        }
    }

    /// Ends its wait; false if it is not blocked.
    pub(crate) fn end_wait(&self, end: WaitEnd) -> bool {
        lock(&self.waiter).as_ref().is_some_and(|waiter| waiter.end(end))
    }

    /// As `end_wait`, for a wait that CLIENT UNBLOCK may end.
    fn unblock(&self, end: WaitEnd) -> bool {
        let waiter = lock(&self.waiter);
        waiter.as_ref().is_some_and(|waiter| !waiter.is_firm() && waiter.end(end))
    }

    /// Whether the client came over a Unix socket or the loopback interface.
    pub fn is_local(&self) -> bool {
        self.has_flag(client_flag::UNIX)
            || self.addr.starts_with("127.")
            || self.addr.starts_with("[::1]")
    }

    /// Whether one of these bits is set.
    pub fn has_flag(&self, bits: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & bits != 0
    }
}

/// All connections and the mailboxes of their workers.
pub struct Registry {
    clients: Mutex<BTreeMap<u64, Arc<ClientShared>>>,
    monitors: Mutex<Vec<Arc<ClientShared>>>,
    monitor_count: AtomicUsize,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
    next_id: AtomicU64,
    count: AtomicUsize,
    /// Memory of ordinary clients together as last counted, while it is limited.
    memory: AtomicI64,
    /// Their limit in bytes; 0: none.
    memory_limit: AtomicU64,
    /// Memory of clients that were evicted and whose workers have not closed them yet.
    closing_bytes: AtomicU64,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            clients: Mutex::new(BTreeMap::new()),
            monitors: Mutex::new(Vec::new()),
            monitor_count: AtomicUsize::new(0),
            mailboxes: Mutex::new(Vec::new()),
            next_id: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            memory: AtomicI64::new(0),
            memory_limit: AtomicU64::new(0),
            closing_bytes: AtomicU64::new(0),
        }
    }
}

impl Registry {
    /// Registers a worker's mailbox; workers are numbered in the order of these calls.
    pub fn add_worker(&self, mailbox: Arc<Mailbox>) {
        lock(&self.mailboxes).push(mailbox);
    }

    /// The id of the next connection.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a connection.
    pub fn insert(&self, client: Arc<ClientShared>) {
        if lock(&self.clients).insert(client.id, client).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes a connection; harmless if it is gone already.
    pub fn remove(&self, id: u64) {
        // Not in the condition, where the lock would be held.
        let removed = lock(&self.clients).remove(&id);
        if let Some(client) = removed {
            self.count.fetch_sub(1, Ordering::Relaxed);
            let counted = client.counted.swap(GONE, Ordering::Relaxed);
            if counted != GONE {
                self.memory.fetch_sub(counted as i64, Ordering::Relaxed);
            }
        }
        self.remove_monitor(id);
    }

    /// Counts the memory of a client whose buffers have changed, if it is limited.
    #[inline]
    pub fn note_memory(&self, client: &ClientShared) {
        if self.limits_memory() {
            self.count_memory(client);
        }
    }

    fn count_memory(&self, client: &ClientShared) {
        let bytes = if client.is_ordinary() { client.memory_bytes() } else { 0 };
        let counted = &client.counted;
        let count = |old| (old != GONE).then_some(bytes);
        if let Ok(old) = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
            self.memory.fetch_add(bytes as i64 - old as i64, Ordering::Relaxed);
        }
    }

    /// Limits the memory of ordinary clients together to so many bytes; 0: not.
    pub fn limit_memory(&self, bytes: u64) {
        self.memory_limit.store(bytes, Ordering::Relaxed);
        self.all().iter().for_each(|client| self.note_memory(client));
    }

    /// Whether the memory of ordinary clients is limited, and counted.
    #[inline]
    pub fn limits_memory(&self) -> bool {
        self.memory_limit.load(Ordering::Relaxed) != 0
    }

    /// Whether the memory of ordinary clients together exceeds its limit.
    #[inline]
    pub fn exceeds_memory(&self) -> bool {
        let limit = self.memory_limit.load(Ordering::Relaxed);
        limit != 0 && self.memory.load(Ordering::Relaxed) > i64::try_from(limit).unwrap_or(i64::MAX)
    }

    /// Kills a client for its memory.
    pub fn evict(&self, client: &Arc<ClientShared>) {
        let bytes = client.memory_bytes();
        client.closing_bytes.store(bytes, Ordering::Relaxed);
        self.closing_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.kill(client);
    }

    /// Counts the memory of a client as freed, if it was evicted.
    pub fn note_closed(&self, client: &ClientShared) {
        let bytes = client.closing_bytes.swap(0, Ordering::Relaxed);
        if bytes != 0 {
            self.closing_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Memory of clients that were evicted and whose workers have not closed them yet.
    #[inline]
    pub fn closing_bytes(&self) -> u64 {
        self.closing_bytes.load(Ordering::Relaxed)
    }

    /// The number of connections.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All connections, by id.
    pub fn all(&self) -> Vec<Arc<ClientShared>> {
        lock(&self.clients).values().cloned().collect()
    }

    /// One connection.
    pub fn get(&self, id: u64) -> Option<Arc<ClientShared>> {
        lock(&self.clients).get(&id).cloned()
    }

    /// Marks a connection as killed, removes it at once and notifies its worker.
    pub fn kill(&self, client: &Arc<ClientShared>) {
        client.killed.store(true, Ordering::Release);
        client.abandon_wait();
        self.remove(client.id);
        let token = client.token.load(Ordering::Relaxed);
        self.post(client.worker, Mail::Kill { client: client.id, token });
    }

    /// Ends the wait of a blocked connection; false if there is no such connection, it is not
    /// blocked, or its wait cannot be ended by CLIENT UNBLOCK.
    pub fn unblock(&self, id: u64, end: WaitEnd) -> bool {
        self.get(id).is_some_and(|client| client.unblock(end))
    }

    /// A worker's mailbox.
    pub fn mailbox(&self, worker: usize) -> Option<Arc<Mailbox>> {
        lock(&self.mailboxes).get(worker).cloned()
    }

    /// Posts a message to a worker.
    pub fn post(&self, worker: usize, mail: Mail) {
        if let Some(mailbox) = self.mailbox(worker) {
            mailbox.post(mail);
        }
    }

    /// Wakes a worker.
    pub fn wake(&self, worker: usize) {
        let mailbox = lock(&self.mailboxes).get(worker).cloned();
        if let Some(mailbox) = mailbox {
            mailbox.wake();
        }
    }

    /// Posts a message to every worker.
    pub fn post_all(&self, mail: &Mail) {
        let mailboxes = lock(&self.mailboxes).clone();
        mailboxes.iter().for_each(|mailbox| mailbox.post(mail.clone()));
    }

    /// Starts sending MONITOR lines to a connection.
    pub fn add_monitor(&self, client: Arc<ClientShared>) {
        let mut monitors = lock(&self.monitors);
        if monitors.iter().all(|other| other.id != client.id) {
            monitors.push(client);
        }
        self.monitor_count.store(monitors.len(), Ordering::Relaxed);
    }

    /// Stops sending MONITOR lines to a connection.
    pub fn remove_monitor(&self, id: u64) {
        if !self.monitored() {
            return;
        }
        let mut monitors = lock(&self.monitors);
        monitors.retain(|other| other.id != id);
        self.monitor_count.store(monitors.len(), Ordering::Relaxed);
    }

    /// Whether any client is in MONITOR mode.
    #[inline]
    pub fn monitored(&self) -> bool {
        self.monitor_count.load(Ordering::Relaxed) != 0
    }

    /// Sends one line to every monitor. The lock orders the lines of all threads.
    pub fn feed_monitors(&self, line: Vec<u8>) {
        let bytes = Arc::new(line);
        let monitors = lock(&self.monitors);
        for client in monitors.iter() {
            let token = client.token.load(Ordering::Relaxed);
            let mail = Mail::Push { client: client.id, token, bytes: Arc::clone(&bytes) };
            self.post(client.worker, mail);
        }
    }
}
