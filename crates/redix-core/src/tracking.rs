//! Clients that cache keys: CLIENT TRACKING across all threads.
//!
//! In the default mode a client is listed with each key that it reads, beside the shard's tables
//! ([`crate::keyspace::cached`]), and is told once when the key changes. In broadcast mode it is
//! told of every change of a key that begins with one of its prefixes; those are here.
//!
//! **Invariants.** A client that reads a key is listed, or its prefix is joined, before the shard's
//! lock is released, and a unit posts its messages after it has changed the key under that lock: a
//! message about a change follows the reply that it makes stale. A client's prefixes do not
//! overlap, so that a change reaches it once.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::invalidation::Invalidated;
use crate::keyspace::cached::CachedTotals;
use crate::mailbox::Mail;
use crate::registry::{ClientShared, Registry, client_flag};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// The clients of one prefix, by id.
type Audience = BTreeMap<u64, Arc<ClientShared>>;
type Prefixes = BTreeMap<Box<[u8]>, Audience>;

/// Keys, and the clients that are to be told of them.
pub type Broadcast<'k> = (Vec<&'k [u8]>, Vec<Arc<ClientShared>>);

/// The tracking clients of all threads.
#[derive(Default)]
pub struct Tracking {
    clients: AtomicUsize,
    prefixes: Mutex<Prefixes>,
}

impl Tracking {
    /// Counts a client that begins to track.
    pub fn begin(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the tracking of a client, which has these prefixes.
    pub fn end<'p>(
        &self,
        client: &ClientShared,
        prefixes: impl Iterator<Item = &'p [u8]>,
        totals: &CachedTotals,
    ) {
        client.set_flag(client_flag::TRACKING_ALL, false);
        let mut all = lock(&self.prefixes);
        for prefix in prefixes {
            let Some(audience) = all.get_mut(prefix) else { continue };
            audience.remove(&client.id);
            if audience.is_empty() {
                all.remove(prefix);
            }
        }
        totals.set_broadcasting(!all.is_empty());
        drop(all);
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Has a client be told of all changes of keys that begin with `prefix`.
    pub fn join(&self, client: &Arc<ClientShared>, prefix: &[u8], totals: &CachedTotals) {
        let mut all = lock(&self.prefixes);
        all.entry(prefix.into()).or_default().insert(client.id, Arc::clone(client));
        totals.set_broadcasting(true);
    }

    /// The number of clients that track.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// The number of distinct prefixes.
    pub fn prefixes(&self) -> usize {
        lock(&self.prefixes).len()
    }

    /// For each prefix of some of these keys: the keys that begin with it, and its clients.
    pub fn audiences<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Vec<Broadcast<'k>> {
        let all = lock(&self.prefixes);
        let mut found: BTreeMap<&[u8], (Vec<&[u8]>, &Audience)> = BTreeMap::new();
        for key in keys {
            each_prefix(&all, key, |prefix, audience| {
                found.entry(prefix).or_insert_with(|| (Vec::new(), audience)).0.push(key);
            });
        }
        let listed =
            |(keys, audience): (_, &Audience)| (keys, audience.values().cloned().collect());
        found.into_values().map(listed).collect()
    }

    /// Tells every client that tracks that all keys may have changed.
    pub fn tell_flushed(&self, registry: &Registry) {
        if self.clients() == 0 {
            return;
        }
        let what = Arc::new(Invalidated::Everything);
        for client in registry.all() {
            if let Some(letter) = Letter::to(registry, &client, &what) {
                registry.post(letter.recipient.worker, letter.mail());
            }
        }
    }
}

/// Calls `f` for each of the prefixes that `key` begins with.
fn each_prefix<'p>(all: &'p Prefixes, key: &[u8], mut f: impl FnMut(&'p [u8], &'p Audience)) {
    let mut most = key.len();
    // The greatest entry up to the key is its longest prefix, or shows by how much the others are
    // shorter: those in between do not agree with the key.
    while let Some((prefix, audience)) = greatest_up_to(all, &key[..most]) {
        let common = prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
        if common < prefix.len() {
            most = common;
            continue;
        }
        f(prefix, audience);
        let Some(shorter) = common.checked_sub(1) else { return };
        most = shorter;
    }
}

fn greatest_up_to<'p>(all: &'p Prefixes, key: &[u8]) -> Option<(&'p [u8], &'p Audience)> {
    let range = (Bound::Unbounded, Bound::Included(key));
    all.range::<[u8], _>(range).next_back().map(|(prefix, audience)| (&**prefix, audience))
}

/// A message and the connection that it goes to.
pub struct Letter {
    /// The connection.
    pub recipient: Arc<ClientShared>,
    /// Whether it receives the message for another.
    pub redirected: bool,
    /// The message.
    pub what: Arc<Invalidated>,
}

impl Letter {
    /// Addresses a message to a client; `None` if it does not track. Where the connection that was
    /// to receive it is gone, the client is told that instead, and marked.
    pub fn to(
        registry: &Registry,
        client: &Arc<ClientShared>,
        what: &Arc<Invalidated>,
    ) -> Option<Self> {
        if !client.has_flag(client_flag::TRACKING) {
            return None;
        }
        let own = |what| Self { recipient: Arc::clone(client), redirected: false, what };
        match client.redirect.load(Ordering::Relaxed) {
            0 => Some(own(Arc::clone(what))),
            id => match registry.get(id).filter(|other| !other.has_flag(client_flag::CLOSING)) {
                Some(recipient) => {
                    Some(Self { recipient, redirected: true, what: Arc::clone(what) })
                }
                None => {
                    client.set_flag(client_flag::TRACKING_BROKEN, true);
                    Some(own(Arc::new(Invalidated::BrokenRedirect(id))))
                }
            },
        }
    }

    /// The message as mail.
    pub fn mail(self) -> Mail {
        self.excused_mail(0)
    }

    /// The message as mail, of which so many bytes do not count for `maxmemory`.
    pub(crate) fn excused_mail(self, excused_bytes: u64) -> Mail {
        let token = self.recipient.token.load(Ordering::Relaxed);
        let Self { recipient, redirected, what } = self;
        Mail::Invalidate { client: recipient.id, token, redirected, what, excused_bytes }
    }
}

#[cfg(test)]
mod tests;
