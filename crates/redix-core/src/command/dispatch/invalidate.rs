//! Telling clients that cache keys what a unit has changed.
//!
//! The client that has made the changes is told behind its reply, in its own output; all others
//! through the mailboxes of their workers. See [`crate::tracking`] for why no stale key stays in a
//! cache.

use std::collections::BTreeMap;

use redix_resp::reply::{Proto, Reply};

use super::Runner;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::plan::for_each_key;
use crate::command::spec::{access, flag};
use crate::effects::Change;
use crate::invalidation::Invalidated;
use crate::keyspace::SHARDS;
use crate::registry::{ClientShared, client_flag};
use crate::session::Session;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::tracking::Letter;

/// The most keys that are forgotten at once because of `tracking-table-max-keys`: they are told
/// about one by one.
const TRIM_MAX: usize = 1024;

/// Whose unit it is.
pub(super) enum Author<'s> {
    /// No client's.
    Nobody,
    /// That of a client of this worker, whose reply is written.
    Here(&'s ClientShared, &'s mut Session),
    /// No client's, but it runs before the command of this one, whose reply is still to come.
    Ahead(&'s ClientShared, &'s mut Session),
    /// That of a blocked client with this id, whose reply has been posted.
    Blocked(u64),
}

impl Author<'_> {
    /// The same for another unit.
    pub(super) fn again(&mut self) -> Author<'_> {
        match self {
            Author::Nobody => Author::Nobody,
            Author::Here(shared, session) => Author::Here(shared, session),
            Author::Ahead(shared, session) => Author::Ahead(shared, session),
            Author::Blocked(id) => Author::Blocked(*id),
        }
    }

    /// Whether it is the client with this id.
    fn is(&self, id: u64) -> bool {
        match self {
            Author::Nobody | Author::Ahead(..) => false,
            Author::Here(shared, _) => shared.id == id,
            Author::Blocked(blocked) => *blocked == id,
        }
    }
}

/// Whether a client is to be listed with the keys that it reads now.
pub(in crate::command) fn caches_reads(session: &Session, shared: &ClientShared) -> bool {
    let Some(tracks) = &session.tracks else { return false };
    if shared.has_flag(client_flag::TRACKING_BCAST) {
        return false;
    }
    match tracks.caching {
        true => !shared.has_flag(client_flag::TRACKING_OPTOUT),
        false => !shared.has_flag(client_flag::TRACKING_OPTIN),
    }
}

impl ClientCx<'_, '_> {
    /// Lists the client with the keys that the command has read, if it may cache them.
    #[cold]
    pub(super) fn note_reads(&mut self, args: Args<'_>) {
        let spec = self.command.spec;
        // Of a script the commands that it calls are what reads.
        if !spec.has(flag::READONLY)
            || spec.has(flag::RUNS_SCRIPTS)
            || !caches_reads(self.session, self.shared)
        {
            return;
        }
        let (id, plan, keys) = (self.shared.id, self.data.plan, &mut *self.data.keys);
        for_each_key(spec, args, |index, access| {
            if access & access::NOT_KEY == 0 {
                let key = plan.key(keys.keyspace, args, index);
                keys.note_cacher(key, id);
            }
        });
    }
}

impl Runner<'_> {
    /// Tells the clients concerned what the unit has changed.
    #[cold]
    #[inline(never)]
    pub(super) fn invalidate(&mut self, mut author: Author<'_>) {
        let (changes, flushed) = self.keys.effects.take_changes();
        for change in &changes {
            self.tell_cachers(&change.key, &change.cachers, &mut author);
        }
        if self.keys.keyspace.cached().broadcasting() {
            self.broadcast(&changes, &mut author);
        }
        if flushed && self.engine.tracking.clients() > 0 {
            let what = Arc::new(Invalidated::Everything);
            for client in self.engine.registry.all() {
                self.tell(&client, &what, &mut author);
            }
        }
    }

    /// Tells the clients that have read a key, in the default mode.
    fn tell_cachers(&mut self, key: &[u8], cachers: &[u64], author: &mut Author<'_>) {
        if cachers.is_empty() {
            return;
        }
        let what = Arc::new(Invalidated::key(key));
        for id in cachers {
            let Some(client) = self.engine.registry.get(*id) else { continue };
            let own = author.is(*id) && client.has_flag(client_flag::TRACKING_NOLOOP);
            if !own && !client.has_flag(client_flag::TRACKING_BCAST) {
                self.tell(&client, &what, author);
            }
        }
    }

    /// Tells the clients in broadcast mode, once for each of the prefixes.
    fn broadcast(&mut self, changes: &[Change], author: &mut Author<'_>) {
        // The author knows what it has changed last.
        let by_author: BTreeMap<&[u8], bool> =
            changes.iter().map(|change| (&*change.key, change.by_author)).collect();
        for (keys, audience) in self.engine.tracking.audiences(by_author.keys().copied()) {
            let owned = |keys: &mut dyn Iterator<Item = &&[u8]>| {
                Arc::new(Invalidated::Keys(keys.map(|key| (*key).into()).collect()))
            };
            let all = owned(&mut keys.iter());
            for client in audience {
                if !author.is(client.id) || !client.has_flag(client_flag::TRACKING_NOLOOP) {
                    self.tell(&client, &all, author);
                } else if keys.iter().any(|key| !by_author[key]) {
                    let others = owned(&mut keys.iter().filter(|key| !by_author[**key]));
                    self.tell(&client, &others, author);
                }
            }
        }
    }

    /// Tells one client, or the connection that receives its messages.
    fn tell(
        &mut self,
        client: &Arc<ClientShared>,
        what: &Arc<Invalidated>,
        author: &mut Author<'_>,
    ) {
        let registry = &self.engine.registry;
        let Some(letter) = Letter::to(registry, client, what) else { return };
        match author {
            Author::Here(shared, session) | Author::Ahead(shared, session)
                if shared.id == letter.recipient.id =>
            {
                let is_resp3 = shared.resp.load(Ordering::Relaxed) == 3;
                let mut out = Reply::new(if is_resp3 { Proto::Resp3 } else { Proto::Resp2 });
                letter.what.write_to(&mut out, letter.redirected, session.subscriptions.is_some());
                session.pushes.extend_from_slice(out.as_bytes());
            }
            _ => {
                let worker = letter.recipient.worker;
                let Some(mailbox) = registry.mailbox(worker) else { return };
                // Evictions must not cause others by what they tell.
                let excused = match author {
                    Author::Nobody | Author::Ahead(..) if self.config.maxmemory != 0 => {
                        self.engine.eviction.tell(letter.what.bytes())
                    }
                    _ => 0,
                };
                mailbox.post_quietly(letter.excused_mail(excused));
                self.to_wake.add(worker, mailbox);
            }
        }
    }

    /// Forgets some keys that clients may have cached, as if they had changed, as long as there are
    /// more of them than `tracking-table-max-keys`; after each group, and now and then. No lock may
    /// be held.
    #[cold]
    pub fn trim_cached(&mut self) {
        self.keys.cached_grew = false;
        let (keyspace, most) = (self.keys.keyspace, self.config.tracking_table_max_keys);
        let totals = keyspace.cached();
        let is_over = || most != 0 && totals.keys() as u64 > most;
        let mut shard = self.keys.random() as usize % SHARDS;
        let (mut trimmed, mut barren) = (0, 0);
        while is_over() && trimmed < TRIM_MAX && barren < SHARDS {
            // Not in the condition, where the lock would be held while the clients are told.
            let taken = keyspace.lock(shard).take_any_cached(totals);
            if let Some((key, cachers)) = taken {
                self.tell_cachers(&key, &cachers, &mut Author::Nobody);
                (trimmed, barren) = (trimmed + 1, 0);
            } else {
                barren += 1;
            }
            shard = (shard + 1) % SHARDS;
        }
    }

    /// Forgets the keys that clients may have cached once no client caches any more. No lock may be
    /// held.
    pub fn forget_cached(&mut self) {
        let keyspace = self.keys.keyspace;
        for shard in 0..SHARDS {
            let mut shard = keyspace.lock(shard);
            // Under the lock: a client is counted before it is listed.
            if self.engine.tracking.clients() == 0 {
                shard.forget_cached(keyspace.cached());
            }
        }
    }
}
