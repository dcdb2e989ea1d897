//! Writing to the connections of a worker, once a turn and connection: clients' replies, within
//! their limits, and what replicas are fed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redix_core::client::{Client, READ_MAX, TURN_OUTPUT_MAX};
use redix_core::config::{Config, OutputLimit};
use redix_core::engine::Engine;
use redix_core::repl::primary::Replica;
use redix_core::worker::Worker;

use super::connections::{Connections, describe};
use super::receiving::{BATCH_MIN, must_wait};
use crate::conn::{Conn, WriteOutcome};
use crate::log;
use crate::ring::Send;

/// The output limit of a client that has never authenticated, in bytes. With the limit of its
/// commands ([`redix_resp::request::UNAUTHENTICATED_COMMAND_LEN_MAX`]) and the room for a read, its
/// buffers stay below 64 KiB.
const UNAUTHENTICATED_OUTPUT_MAX: u64 = 8 * 1024;
/// Bytes moved from a replica's feed into its output at a time.
const FEED_BYTES: usize = 256 * 1024;
/// Bytes sent to one replica in a turn before others have their turn.
const FEED_TURN_BYTES: usize = 256 * 1024;

impl Connections {
    /// Flushes in reverse order, as real servers do: clients that a command has served get their
    /// replies before the one that sent it, which is often what wakes whoever waits for them all.
    pub(super) fn flush_all(&mut self, worker: &mut Worker) {
        let config = Arc::clone(worker.config());
        let mut together = Vec::new();
        for token in std::mem::take(&mut self.touched).into_iter().rev() {
            let fate = match self.due(worker, token, &config) {
                Due::Nothing => Fate::Stay,
                Due::Close => Fate::Close,
                Due::Together => {
                    together.push(token);
                    Fate::Stay
                }
                Due::Output => {
                    self.send_together(worker, &mut together, &config);
                    self.flush(worker, token, &config)
                }
                Due::Feed(replica) => {
                    self.send_together(worker, &mut together, &config);
                    self.flush_replica(worker, token, &replica, &config)
                }
            };
            // At once: it may be listed twice, and its closing must be counted once.
            if fate == Fate::Close {
                self.close(worker, token);
            }
        }
        self.send_together(worker, &mut together, &config);
        worker.note_sent();
        self.engine.evict_clients(self.index);
    }

    /// What is to be sent to a connection.
    // HOT PATH: once per turn and connection with output.
    #[inline]
    fn due(&mut self, worker: &mut Worker, token: usize, config: &Config) -> Due {
        let Some(Some(conn)) = self.conns.get_mut(token) else { return Due::Nothing };
        let Some(client) = worker.client(token) else {
            self.put_off.push(token);
            return Due::Nothing;
        };
        if client.shared.killed.load(Ordering::Acquire) {
            return Due::Close;
        }
        if let Some(replica) = client.session.replica.clone()
            && replica.attached()
        {
            // Its input had ended before it asked to be synchronised: it will acknowledge nothing.
            return if conn.ended { Due::Close } else { Due::Feed(replica) };
        }
        if exceeds_limit(&self.engine, config, client) {
            self.note_over_limit(worker, token);
            return Due::Close;
        }
        conn.stalled |= client.reply.len() > TURN_OUTPUT_MAX;
        if is_held(&self.engine, self.index, client, conn) {
            self.awaiting_sync.push(token);
            return Due::Nothing;
        }
        // Before it is sent: a client that has its replies must not be seen with pending output.
        client.shared.output_bytes.store(0, Ordering::Relaxed);
        if self.ring.is_none() || !conn.is_plain() || client.unsent().is_empty() {
            return Due::Output;
        }
        if std::mem::replace(&mut conn.queued, true) { Due::Nothing } else { Due::Together }
    }

    /// Sends the pending output of plain connections, with one system call for the first piece of
    /// each. The list is emptied.
    // HOT PATH: once per turn.
    fn send_together(&mut self, worker: &mut Worker, listed: &mut Vec<usize>, config: &Config) {
        let mut sends = Vec::with_capacity(listed.len());
        for token in listed.drain(..) {
            // Those that were closed meanwhile are gone.
            if let Some(Some(conn)) = self.conns.get_mut(token)
                && std::mem::take(&mut conn.queued)
                && let Some(client) = worker.peek(token)
            {
                sends.push(Send::new(token, conn.fd(), client.unsent()));
            }
        }
        match &mut self.ring {
            Some(ring) if sends.len() >= BATCH_MIN => ring.send(&mut sends),
            // Each is flushed below.
            _ => {}
        }
        let done: Vec<_> = sends.into_iter().map(|send| (send.tag, send.outcome)).collect();
        for (token, result) in done {
            let (Some(Some(conn)), Some(client)) =
                (self.conns.get_mut(token), worker.client(token))
            else {
                continue;
            };
            let outcome = conn.flush_after(client, result);
            if self.note_flushed(worker, token, outcome, config) == Fate::Close {
                self.close(worker, token);
            }
        }
    }

    /// Sends pending output.
    fn flush(&mut self, worker: &mut Worker, token: usize, config: &Config) -> Fate {
        let (Some(Some(conn)), Some(client)) = (self.conns.get_mut(token), worker.client(token))
        else {
            return Fate::Stay;
        };
        let outcome = conn.flush(client);
        self.note_flushed(worker, token, outcome, config)
    }

    /// Goes on after pending output was sent: resumes a connection that was suspended because of
    /// it.
    #[inline]
    fn note_flushed(
        &mut self,
        worker: &mut Worker,
        token: usize,
        outcome: WriteOutcome,
        config: &Config,
    ) -> Fate {
        let (Some(Some(conn)), Some(client)) = (self.conns.get_mut(token), worker.client(token))
        else {
            return Fate::Stay;
        };
        let count = match outcome {
            WriteOutcome::Broken => return Fate::Close,
            WriteOutcome::Part(count) => count,
            WriteOutcome::All(count) => {
                // Unparsed commands may follow the ones that were suspended.
                let done = conn.ended && client.input.parked() == 0 && !conn.stalled;
                if client.closing() || done {
                    return Fate::Close;
                }
                count
            }
        };
        if conn.suspended && !must_wait(client) {
            conn.suspended = false;
            self.readable.push(token);
        }
        let (go_on, limit) = (std::mem::take(&mut conn.stalled), output_limit(config, client));
        let unsent = client.unsent_bytes();
        if unsent > 0 {
            client.publish(&self.engine.registry);
        }
        let shared = &client.shared;
        if count > 0 {
            let total = shared.net_out.load(Ordering::Relaxed) + count as u64;
            shared.net_out.store(total, Ordering::Relaxed);
            let cell = &self.engine.stats.thread(self.index).cell;
            cell.net_output_bytes.add(count as u64);
            cell.writes.bump();
        }
        if go_on {
            worker.mark_ready(token);
        }
        if unsent > 0 && self.is_over_limit(worker, token, unsent as u64, limit) {
            return Fate::Close;
        }
        Fate::Stay
    }

    /// Sends a replica's feed, as far as its socket accepts it, up to a limit per turn, for
    /// fairness. The rest of the feed counts as its output.
    // HOT PATH: once per turn and replica with pending data.
    fn flush_replica(
        &mut self,
        worker: &mut Worker,
        token: usize,
        replica: &Arc<Replica>,
        config: &Config,
    ) -> Fate {
        let (Some(Some(conn)), Some(client)) = (self.conns.get_mut(token), worker.client(token))
        else {
            return Fate::Stay;
        };
        let mut total = 0;
        // Before the buffer grows: other threads look at the memory in use.
        let room = client.output_capacity().max(FEED_BYTES + READ_MAX);
        self.engine.repl.replicas.note_buffer(replica, room);
        while !conn.blocked {
            let room = FEED_BYTES.saturating_sub(client.unsent_bytes());
            if self.engine.fill_replica(replica, room, client.reply.bytes_mut()).is_err() {
                return Fate::Close;
            }
            if client.unsent_bytes() == 0 && !conn.has_output() {
                break;
            }
            match conn.flush(client) {
                WriteOutcome::Broken => return Fate::Close,
                WriteOutcome::Part(count) => {
                    conn.blocked = true;
                    total += count;
                }
                WriteOutcome::All(count) => total += count,
            }
            if client.closing() {
                return Fate::Close;
            }
            if total >= FEED_TURN_BYTES {
                self.touched.push(token);
                break;
            }
        }
        if client.closing() {
            return Fate::Close;
        }
        if conn.suspended && !must_wait(client) {
            conn.suspended = false;
            self.readable.push(token);
        }
        if replica.is_served() && client.unsent_bytes() == 0 && !conn.has_output() {
            return Fate::Close;
        }
        let owed = replica.owed(&self.engine.repl.log, config, client.unsent_bytes() as u64);
        replica.note_sending(conn.blocked && total == 0, || self.engine.env.clock.unix_us() / 1000);
        client.shared.output_bytes.store(owed.memory as usize, Ordering::Relaxed);
        let room = client.output_capacity();
        client.shared.output_capacity.store(room, Ordering::Relaxed);
        self.engine.repl.replicas.note_buffer(replica, room);
        if total > 0 {
            let sent = client.shared.net_out.load(Ordering::Relaxed) + total as u64;
            client.shared.net_out.store(sent, Ordering::Relaxed);
            let cell = &self.engine.stats.thread(self.index).cell;
            cell.net_repl_output_bytes.add(total as u64);
            cell.writes.bump();
        }
        if owed.counted > 0 && self.is_over_limit(worker, token, owed.counted, owed.limit) {
            return Fate::Close;
        }
        Fate::Stay
    }

    /// Whether a connection must be closed because of its pending output.
    pub(super) fn is_over_limit(
        &mut self,
        worker: &mut Worker,
        token: usize,
        unsent: u64,
        limit: OutputLimit,
    ) -> bool {
        let (Some(Some(conn)), Some(client)) = (self.conns.get_mut(token), worker.client(token))
        else {
            return false;
        };
        let over_hard = (limit.hard_bytes != 0 && unsent > limit.hard_bytes)
            || (!client.session.known && unsent > UNAUTHENTICATED_OUTPUT_MAX);
        let over_soft = limit.soft_bytes != 0 && unsent > limit.soft_bytes;
        let mut too_long = false;
        if over_soft {
            let now_ms = self.engine.env.clock.unix_us() / 1000;
            let since_ms = *conn.over_soft_since_ms.get_or_insert(now_ms);
            too_long = now_ms - since_ms > i64::from(limit.soft_seconds) * 1000;
        } else {
            conn.over_soft_since_ms = None;
        }
        if !over_hard && !too_long {
            return false;
        }
        self.note_over_limit(worker, token);
        true
    }

    pub(super) fn note_over_limit(&mut self, worker: &mut Worker, token: usize) {
        self.engine.stats.thread(self.index).cell.output_limit_disconnections.bump();
        if let Some(client) = worker.client(token) {
            log::warning(&format!(
                "Client {} closed for overcoming of output buffer limits.",
                describe(&self.engine, &client.shared)
            ));
        }
    }
}

/// What is to be sent to a connection.
enum Due {
    Nothing,
    /// It is to be closed instead.
    Close,
    /// Its output, with that of others.
    Together,
    /// Its output, by itself.
    Output,
    /// The feed of this replica.
    Feed(Arc<Replica>),
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stay,
    Close,
}

/// Whether a client has more pending output than it may have, whether or not it would read it.
/// DEBUG counts each reply as a list node, which is more than an unauthenticated client may have
/// pending.
fn exceeds_limit(engine: &Engine, config: &Config, client: &Client) -> bool {
    let listed = engine.reply_buffers.listed.load(Ordering::Relaxed);
    let owed = client.unsent_bytes() as u64;
    let limit = output_limit(config, client);
    (listed && !client.session.known && owed > 0)
        || (limit.hard_bytes != 0 && owed > limit.most_bytes())
}

/// Whether the output has to wait for a sync of the append-only file.
#[inline]
fn is_held(engine: &Engine, index: usize, client: &mut Client, conn: &mut Conn) -> bool {
    let may_reply = |offset| engine.aof.may_reply(offset, index);
    let mut held = client.unsent_bytes() > 0 && !may_reply(client.session.reply_offset);
    let end = engine.repl.log.end();
    if held && client.session.reply_offset > end {
        // Of a former stream, before a primary's was adopted.
        client.session.reply_offset = end;
        held = !may_reply(end);
    }
    if held && !conn.held {
        conn.held_for = engine.aof.note_held(conn.held_for);
    }
    conn.held = held;
    held
}

/// The output limits of a client that is no replica.
pub(super) fn output_limit(config: &Config, client: &Client) -> OutputLimit {
    let limits = &config.client_output_buffer_limit;
    if client.session.subscriptions.is_some() { limits.pubsub } else { limits.normal }
}
