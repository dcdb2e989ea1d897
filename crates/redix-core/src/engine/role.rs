//! Changes of role: primary or replica.

use super::Engine;
use crate::command::spec::flag;
use crate::env::Level;
use crate::error::ReplyError;
use crate::mailbox::WaitEnd;
use crate::registry::{ClientShared, client_flag};
use crate::repl::failover::Stage;
use crate::repl::status::Target;
use crate::sync::atomic::Ordering;

/// The error for blocked clients when this server becomes a replica.
const STATE_CHANGED: ReplyError = ReplyError::Static(
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
);

impl Engine {
    /// Makes this server a replica of `target`; in the world. Its data stays until the primary has
    /// sent another data set; if the log is part of the primary's stream, a partial
    /// resynchronisation suffices.
    pub fn follow(&self, target: Target) {
        let repl = &self.repl;
        if !repl.is_replica() {
            // During a failover blocked clients are dismissed once the other server is the primary.
            if self.repl.failover.stage() == Stage::None {
                self.dismiss_blocked(&target);
            }
            repl.upstream.set_stream_db(repl.log.db().unwrap_or(0));
            if repl.log.active() {
                let text = "Before turning into a replica, using my own primary parameters to \
                            synthesize a cached primary: I may be able to synchronize with the \
                            new primary with just a partial transfer.";
                self.env.log(Level::Notice, text);
            }
        }
        // This server's replicas stay connected: the primary may continue the stream that they
        // have.
        self.drop_link();
        let mut config = (*self.config()).clone();
        config.replicaof = Some((target.host.clone(), target.port));
        self.set_config(config);
        repl.writable_expiry.clear();
        repl.upstream.set_target(Some(target));
        self.set_role(true);
        repl.upstream.wake();
    }

    /// Makes this server a primary that continues its former primary's stream under a new id; in
    /// the world. False if it is a primary already.
    pub fn stop_following(&self) -> bool {
        let repl = &self.repl;
        if !repl.is_replica() {
            return false;
        }
        self.drop_link();
        // They learn the new replication id when they reconnect.
        self.drop_replicas();
        let mut config = (*self.config()).clone();
        config.replicaof = None;
        self.set_config(config);
        // The list of its own keys goes with the next step of the sweep.
        repl.upstream.set_target(None);
        repl.upstream.set_born_replica(false);
        if repl.log.active() {
            repl.log.take_over(&*self.env.entropy);
            let history = repl.log.history();
            let text = format!(
                "Setting secondary replication ID to {}, valid up to offset: {}. New replication \
                 ID is {}",
                history.id2.as_str(),
                history.second_offset(),
                history.id.as_str()
            );
            self.env.log(Level::Notice, &text);
        }
        self.set_role(false);
        repl.upstream.wake();
        true
    }

    /// Ends the waits of blocked clients, now that `primary` is the primary: what they wait for may
    /// come from it, and it does not know of them. Those that follow redirections are sent there,
    /// unless they wait for something that they may read here; others are closed, as by real
    /// servers, and look for the primary themselves.
    pub(super) fn dismiss_blocked(&self, primary: &Target) {
        for client in self.registry.all() {
            let end = if !client.has_flag(client_flag::CAN_REDIRECT) {
                WaitEnd::Dismissed(STATE_CHANGED)
            } else if self.runs(&client, flag::READONLY) && client.has_flag(client_flag::READONLY) {
                continue;
            } else if self.runs(&client, flag::READONLY | flag::WRITE) {
                WaitEnd::Failed(ReplyError::redirect(&primary.host, primary.port))
            } else {
                WaitEnd::Dismissed(STATE_CHANGED)
            };
            client.end_wait(end);
        }
    }

    /// Whether the command that a client runs has one of these flags.
    fn runs(&self, client: &ClientShared, flags: u32) -> bool {
        let id = client.last_command.load(Ordering::Relaxed);
        self.commands.all().get(usize::from(id)).is_some_and(|command| command.spec.has(flags))
    }

    fn set_role(&self, replica: bool) {
        self.repl.set_replica(replica);
        self.env.log.show_role(replica);
        if let Some(applier) = self.applier.get() {
            applier.apply_role(&self.config());
        }
    }

    /// Closes the link: nothing more of the present primary is applied.
    fn drop_link(&self) {
        if let Some(client) = self.repl.upstream.client() {
            client.killed.store(true, Ordering::Release);
            self.registry.remove(client.id);
        }
    }
}
