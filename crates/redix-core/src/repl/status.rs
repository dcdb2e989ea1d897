//! The primary and the link to it, as the rest of the engine sees them.
//!
//! REPLICAOF sets the target, in the world; the link ([`crate::upstream`]) follows it and writes
//! everything else; INFO, ROLE and the gates read.
//!
//! **Invariant.** The generation increases with every change of the target, so that the link can
//! check in the world whether its next action is still wanted.

use super::protection::Protection;
use crate::config::ByteString;
use crate::env::Wake;
use crate::registry::ClientShared;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use std::sync::OnceLock;

/// The address of the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name or address.
    pub host: ByteString,
    /// Its port.
    pub port: u16,
}

/// The state of the link, in the terms of ROLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// There is no primary.
    None,
    /// The next attempt to connect is due.
    Connect,
    /// Connecting.
    Connecting,
    /// Connected; handshake.
    Handshake,
    /// A full synchronisation is under way.
    Sync,
    /// The stream is followed.
    Connected,
}

impl LinkState {
    /// Its name in ROLE.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }

    fn of(number: u8) -> Self {
        [Self::None, Self::Connect, Self::Connecting, Self::Handshake, Self::Sync, Self::Connected]
            [usize::from(number)]
    }
}

/// The announced length of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Not announced yet.
    Awaited,
    /// Unknown to the primary: it ends with a mark.
    Marked,
    /// So many bytes.
    Bytes(u64),
}

/// A full synchronisation under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Its announced length.
    pub length: Length,
    /// Bytes received.
    pub read_bytes: u64,
    /// Unix time in milliseconds of the last of them.
    pub last_io_ms: i64,
}

/// The state of the link for other threads.
pub struct Status {
    target: Mutex<Option<Target>>,
    generation: AtomicU64,
    state: AtomicU8,
    /// Unix time in milliseconds of the last byte from the primary; meaningful while connected.
    last_io_ms: AtomicI64,
    /// Unix time in milliseconds since when the link is down; 0: it has not been up.
    down_since_ms: AtomicI64,
    transfer: Mutex<Option<Transfer>>,
    /// This server started as a replica and has had no other role.
    born_replica: AtomicBool,
    /// Bytes of the stream received but not applied.
    unapplied: AtomicU64,
    /// Bytes of the stream that are buffered beside a data set.
    buffered: AtomicU64,
    /// The most of them, in the last synchronisation of that kind.
    buffered_peak: AtomicU64,
    /// The database selected in the stream while no link knows it.
    stream_db: AtomicU32,
    /// The data set is being replaced beside the one that is served.
    async_loading: AtomicBool,
    /// Against data sets that would wipe this one out.
    pub protection: Protection,
    client: Mutex<Option<Arc<ClientShared>>>,
    thread: OnceLock<Box<dyn LinkThread>>,
}

/// The thread of the link, as others reach it.
pub trait LinkThread: Wake {
    /// Cuts the connection at once, whatever the thread is doing.
    fn cut(&self);
}

impl Default for Status {
    fn default() -> Self {
        Self {
            target: Mutex::new(None),
            generation: AtomicU64::new(0),
            state: AtomicU8::new(LinkState::None as u8),
            last_io_ms: AtomicI64::new(0),
            down_since_ms: AtomicI64::new(0),
            transfer: Mutex::new(None),
            born_replica: AtomicBool::new(false),
            unapplied: AtomicU64::new(0),
            buffered: AtomicU64::new(0),
            buffered_peak: AtomicU64::new(0),
            stream_db: AtomicU32::new(0),
            async_loading: AtomicBool::new(false),
            protection: Protection::default(),
            client: Mutex::new(None),
            thread: OnceLock::new(),
        }
    }
}

impl Status {
    /// Installs the thread of the link; once, before the role changes.
    pub fn set_thread(&self, thread: Box<dyn LinkThread>) {
        assert!(self.thread.set(thread).is_ok(), "there is one link");
    }

    /// The address of the primary.
    pub fn target(&self) -> Option<Target> {
        lock(&self.target).clone()
    }

    /// A number that increases with every change of the target.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The state of the link.
    pub fn state(&self) -> LinkState {
        LinkState::of(self.state.load(Ordering::Relaxed))
    }

    /// Whether the stream is followed: `master_link_status:up`. False once the connection was
    /// killed, even before the link notices.
    pub fn is_up(&self) -> bool {
        self.state() == LinkState::Connected
            && lock(&self.client)
                .as_ref()
                .is_none_or(|client| !client.killed.load(Ordering::Acquire))
    }

    /// The full synchronisation under way.
    pub fn transfer(&self) -> Option<Transfer> {
        *lock(&self.transfer)
    }

    /// Whether the data set is being replaced beside the one that is served.
    #[inline]
    pub fn async_loading(&self) -> bool {
        self.async_loading.load(Ordering::Relaxed)
    }

    /// Seconds since the last byte from the primary; -1 while the link is down.
    pub fn last_io_seconds_ago(&self, now_ms: i64) -> i64 {
        if !self.is_up() {
            return -1;
        }
        (now_ms - self.last_io_ms.load(Ordering::Relaxed)).max(0) / 1000
    }

    /// Seconds since the link went down; -1 if it has not been up.
    pub fn down_seconds(&self, now_ms: i64) -> i64 {
        match self.down_since_ms.load(Ordering::Relaxed) {
            0 => -1,
            since_ms => (now_ms - since_ms).max(0) / 1000,
        }
    }

    /// Whether this server started as a replica and has had no other role.
    pub fn born_replica(&self) -> bool {
        self.born_replica.load(Ordering::Relaxed)
    }

    /// Bytes of the stream that were received but not applied.
    pub fn unapplied_bytes(&self) -> u64 {
        self.unapplied.load(Ordering::Relaxed)
    }

    /// Bytes of the stream that are buffered beside a data set, and the most of them in the last
    /// synchronisation over two connections.
    pub fn buffered_bytes(&self) -> (u64, u64) {
        (self.buffered.load(Ordering::Relaxed), self.buffered_peak.load(Ordering::Relaxed))
    }

    /// The database selected in the stream after the last byte applied; in the world.
    pub fn stream_db(&self) -> u32 {
        match &*lock(&self.client) {
            Some(client) => client.db.load(Ordering::Relaxed),
            None => self.stream_db.load(Ordering::Relaxed),
        }
    }

    /// The connection to the primary, while its stream is followed.
    pub fn client(&self) -> Option<Arc<ClientShared>> {
        lock(&self.client).clone()
    }

    /// Wakes the link's thread.
    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.wake();
        }
    }

    /// Cuts the connection to the primary at once, even in the world.
    pub fn cut(&self) {
        if let Some(thread) = self.thread.get() {
            thread.cut();
        }
    }

    /// Sets another primary, or none; in the world. That is consent to its data set.
    pub(crate) fn set_target(&self, target: Option<Target>) {
        let state = if target.is_some() { LinkState::Connect } else { LinkState::None };
        *lock(&self.target) = target;
        self.generation.fetch_add(1, Ordering::Release);
        self.down_since_ms.store(0, Ordering::Relaxed);
        self.protection.consent();
        self.set_state(state);
        self.set_transfer(None);
    }

    pub(crate) fn set_state(&self, state: LinkState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(crate) fn set_down(&self, now_ms: i64) {
        self.down_since_ms.store(now_ms.max(1), Ordering::Relaxed);
    }

    pub(crate) fn set_transfer(&self, transfer: Option<Transfer>) {
        *lock(&self.transfer) = transfer;
    }

    pub(crate) fn note_read(&self, now_ms: i64) {
        self.last_io_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn set_unapplied(&self, bytes: u64) {
        self.unapplied.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_buffered(&self, bytes: u64) {
        self.buffered.store(bytes, Ordering::Relaxed);
        self.buffered_peak.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn reset_buffered(&self) {
        self.buffered.store(0, Ordering::Relaxed);
        self.buffered_peak.store(0, Ordering::Relaxed);
    }

    pub(crate) fn set_born_replica(&self, is: bool) {
        self.born_replica.store(is, Ordering::Relaxed);
    }

    pub(crate) fn set_async_loading(&self, on: bool) {
        self.async_loading.store(on, Ordering::Relaxed);
    }

    pub(crate) fn set_stream_db(&self, db: u32) {
        self.stream_db.store(db, Ordering::Relaxed);
    }

    /// Publishes the client that applies the stream; `None` keeps its database.
    pub(crate) fn set_client(&self, client: Option<Arc<ClientShared>>) {
        let mut place = lock(&self.client);
        if let Some(old) = &*place {
            self.stream_db.store(old.db.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        *place = client;
    }
}
