//! Serving clients that are blocked on keys.
//!
//! A unit that has made keys ready serves the clients blocked on them, the longest waiting first,
//! right after its own effects are propagated and while its locks are still held. The command of a
//! blocked client runs again, for the ready key alone, as a unit of its own: it is logged and
//! propagated apart, as in the real servers.
//!
//! **Invariants.** A waiter is claimed before its command runs, so that an element that is popped
//! always reaches a client. Serving needs no lock that is not held: where a waiter needs other
//! keys, the command that may make its key ready runs in the world ([`Runner::lacks_locks`]).

use std::any::Any;

use super::invalidate::Author;
use super::{Handler, Runner, fail};
use crate::acl::log::Context;
use crate::command::blocked::{KeyWaiter, Look};
use crate::command::context::{Caller, Ctx};
use crate::command::plan::{Plan, shards_of};
use crate::command::rights::{Call, check};
use crate::command::spec::flag;
use crate::command::timing::call_stats;
use crate::error::ReplyError;
use crate::keyspace::waiters::Queue;
use crate::mailbox::WaitEnd;
use crate::registry::AwaitedKey;
use crate::sync::Arc;

impl Runner<'_> {
    /// Serves the clients blocked on keys that the unit has made ready, and on those that become
    /// ready thereby.
    #[cold]
    pub(super) fn serve_ready(&mut self) {
        while let Some((db, bytes)) = self.keys.next_ready() {
            let key = self.keys.key(&bytes);
            let Some(queue) = self.keys.held.shard(key.shard()).take_waiters(db, &bytes) else {
                continue;
            };
            let unserved = self.serve_queue(db, &bytes, queue);
            if !unserved.is_empty() {
                self.keys.held.shard(key.shard()).put_back_waiters(db, &bytes, unserved);
            }
        }
    }

    /// Serves the clients blocked on keys that have become ready for one of them by the passage of
    /// time: it looks for itself alone, so that many of them cost no more than each. Not while
    /// writes are paused.
    pub fn serve_matured(&mut self, keys: &[AwaitedKey], look: &Look) {
        if self.engine.repl.is_replica() || self.paused(flag::WRITE) {
            return;
        }
        for (AwaitedKey { db, key: bytes, .. }, word) in keys.iter().zip(look.words.clone()) {
            self.keys.held.release();
            let key = self.keys.key(bytes);
            self.keys.held.lock_plan(&shards_of(std::iter::once(key.hash)));
            let entry = self.keys.view_in(*db, key);
            if (look.is_ready)(entry, look.args.args(), word, self.keys.now_ms) {
                self.keys.ready.push_back((*db, bytes.clone()));
                self.serve_ready();
            }
        }
        self.keys.held.release();
    }

    /// Serves waiters of one key while it can serve them; returns the queue of the others.
    fn serve_queue(&mut self, db: u32, bytes: &[u8], queue: Queue) -> Queue {
        let mut unserved = Queue::new();
        for interest in queue {
            if interest.is_over() {
                continue;
            }
            let any: Arc<dyn Any + Send + Sync> = Arc::clone(&interest) as _;
            let waiter = any.downcast::<KeyWaiter>().expect("only such wait for keys");
            let key = self.keys.key(bytes);
            let entry = self.keys.view_in(db, key);
            if (waiter.is_ready)(entry, waiter.args.args(), waiter.word, self.keys.now_ms) {
                self.serve(db, &waiter);
            } else {
                unserved.push_back(interest);
            }
        }
        unserved
    }

    /// Runs the command of a blocked client for the key that is ready, as a unit of its own.
    fn serve(&mut self, db: u32, of: &KeyWaiter) {
        if let Err(error) = self.check_waiter(db, of) {
            of.waiter.end(WaitEnd::Refused(error));
            return;
        }
        self.keys.db = db;
        self.keys.touch = of.touch;
        self.keys.effects.begin(self.engine.repl.recording(), self.config.event_classes());
        let args = of.args.args();
        let plan = Plan::of(self.keys.keyspace, of.command.spec, args);
        let won = of.waiter.serve(|reply| {
            let mut cx = Ctx {
                engine: self.engine,
                config: &self.config,
                keys: &mut self.keys,
                plan: &plan,
                reply,
                requests: &mut self.requests,
                command: of.command,
                caller: Caller::Service { word: of.word },
                listens: false,
                wait: None,
                reads_all_keys: true,
                now_us: self.now_us,
                stats: self.stats,
            };
            let Handler::Data(run) = of.command.spec.handler else {
                unreachable!("commands about connections wait for no key");
            };
            if let Err(error) = run(&mut cx, args) {
                reply.clear();
                call_stats(self.stats, of.command).failed.bump();
                fail(self.engine, self.stats, reply, &error);
            }
        });
        if won {
            if of.caches_reads {
                // With the other keys it was listed when it blocked.
                let key = plan.key(self.keys.keyspace, args, of.word);
                self.keys.note_cacher(key, of.client);
            }
            let multi = !of.command.spec.has(flag::TOUCHES_ARBITRARY_KEYS);
            self.finish_unit(multi, Author::Blocked(of.client));
        }
    }

    /// Whether a blocked client still has the right to its command.
    fn check_waiter(&self, db: u32, of: &KeyWaiter) -> Result<(), ReplyError> {
        let mut user = of.user.clone();
        let call = Call { command: of.command, args: of.args.args(), db };
        check(self.engine, &mut user, &call).map_err(|denial| {
            match self.engine.registry.get(of.client) {
                Some(client) => self.recorder(&client, (call.command, call.args)).refuse(
                    user.name(),
                    &call,
                    denial,
                    Context::TopLevel,
                ),
                None => ReplyError::Static("NOPERM the client is gone"),
            }
        })
    }

    /// Whether the held shards have waiters that the unit might make ready but could not serve
    /// under the locks that it holds.
    #[inline]
    pub(super) fn lacks_locks(&self) -> bool {
        self.keys.held.has_waiters() && self.keys.held.waiters_need_other_keys()
    }
}
