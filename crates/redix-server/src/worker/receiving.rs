//! Reading from the connections of a worker, once a turn and connection.

use std::sync::atomic::Ordering;

use redix_core::client::{Client, READ_MIN};
use redix_core::worker::Worker;

use super::connections::{Connections, describe};
use crate::conn::{Conn, ReadOutcome};
use crate::log;
use crate::ring::Receive;

/// Bytes of commands that may wait for a later turn.
const WAITING_INPUT_MAX: usize = 1024 * 1024;
/// Bytes of commands that may wait behind a paused one of a client that has never authenticated.
const UNAUTHENTICATED_WAITING_MAX: usize = 16 * 1024;
/// From so many connections on they are read from and written to together.
pub(super) const BATCH_MIN: usize = 2;

impl Connections {
    pub(super) fn read_all(&mut self, worker: &mut Worker) {
        let limit = worker.config().client_query_buffer_limit;
        let listed = std::mem::take(&mut self.readable);
        if self.ring.is_some() && listed.len() >= BATCH_MIN {
            self.read_together(worker, &listed, limit);
        } else {
            listed.into_iter().for_each(|token| self.read(worker, token, limit));
        }
        self.close_marked(worker);
        self.engine.evict_clients(self.index);
    }

    /// Reads once from a connection, unless it has to wait. `limit`: bytes of unexecuted input.
    // HOT PATH: once per turn and ready connection.
    #[inline]
    pub(super) fn read(&mut self, worker: &mut Worker, token: usize, limit: u64) {
        let Some(conn) = self.may_read(worker, token) else { return };
        let Some(client) = worker.reader(token) else { return };
        let outcome = conn.read(client);
        self.note_outcome(worker, token, outcome, limit);
    }

    /// The connection, if it is to be read from.
    #[inline]
    fn may_read(&mut self, worker: &mut Worker, token: usize) -> Option<&mut Conn> {
        let conn = self.conns.get_mut(token)?.as_mut()?;
        let Some(client) = worker.client(token) else {
            self.put_off.push(token);
            return None;
        };
        if conn.ended || client.closing() {
            return None;
        }
        if must_wait(client) {
            conn.suspended = true;
            return None;
        }
        Some(conn)
    }

    /// Reads once from each of these connections, with one system call for all plain sockets.
    // HOT PATH: once per turn.
    fn read_together(&mut self, worker: &mut Worker, listed: &[usize], limit: u64) {
        let mut plain = Vec::with_capacity(listed.len());
        for (place, &token) in listed.iter().enumerate() {
            match self.may_read(worker, token) {
                Some(conn) if conn.is_plain() => {
                    worker.reader(token);
                    plain.push((token, place));
                }
                Some(_) => self.read(worker, token, limit),
                None => {}
            }
        }
        // Ascending, so that all buffers can be borrowed at once. One may be listed twice.
        plain.sort_unstable();
        plain.dedup_by_key(|(token, _)| *token);
        let clients = worker.clients_at(plain.iter().map(|(token, _)| *token));
        let mut receives: Vec<Receive<'_>> = Vec::with_capacity(plain.len());
        for (at, client) in clients.enumerate() {
            let conn = self.conns.get(plain[at].0).and_then(Option::as_ref);
            if let (Some(client), Some(conn)) = (client, conn) {
                receives.push(Receive::new(at, conn.fd(), client.input.space()));
            }
        }
        let Some(ring) = &mut self.ring else { return };
        ring.receive(&mut receives);
        let done = receives.into_iter().map(|receive| {
            let (token, place) = plain[receive.tag];
            let offered = receive.offered();
            (place, token, ReadOutcome::of(receive.outcome, offered))
        });
        let mut done: Vec<_> = done.collect();
        // In the order in which they became ready, which is what clients see of it.
        done.sort_unstable_by_key(|(place, ..)| *place);
        for (_, token, outcome) in done {
            if let Some(client) = worker.client(token) {
                client.input.received(outcome.count());
            }
            self.note_outcome(worker, token, outcome, limit);
        }
    }

    /// Goes on after a read.
    #[inline]
    fn note_outcome(
        &mut self,
        worker: &mut Worker,
        token: usize,
        outcome: ReadOutcome,
        limit: u64,
    ) {
        let Some(Some(conn)) = self.conns.get_mut(token) else { return };
        let Some(client) = worker.client(token) else { return };
        let count = match outcome {
            ReadOutcome::Broken => {
                self.closed.push(token);
                return;
            }
            ReadOutcome::Ended => {
                // Earlier requests are still replied to, unless the client is blocked.
                conn.ended = true;
                let idle = !client.ready && client.input.parked() == 0;
                let replica = client.session.replica.as_ref();
                let fed = replica.is_some_and(|replica| replica.attached());
                let sent = client.unsent_bytes() == 0 && !conn.has_output();
                if fed || client.halted || (idle && sent) {
                    self.closed.push(token);
                } else {
                    worker.end_read(token);
                }
                return;
            }
            ReadOutcome::Handshake => {
                worker.end_read(token);
                self.handshakes.list(token);
                return;
            }
            ReadOutcome::Filled(count) => {
                self.readable.push(token);
                count
            }
            ReadOutcome::Drained(count) => {
                if conn.closing_seen {
                    self.readable.push(token);
                }
                count
            }
        };
        // Queued commands are unexecuted requests, like the content of the buffer.
        let queued = client.session.multi.as_ref().map_or(0, |multi| multi.bytes);
        if (client.input.pending_bytes() + queued) as u64 > limit {
            // It may be listed again in this turn, but is closed only once.
            conn.ended = true;
            self.engine.stats.thread(self.index).cell.query_limit_disconnections.bump();
            log::warning(&format!(
                "Closing client that reached max query buffer length: {}",
                describe(&self.engine, &client.shared)
            ));
            self.closed.push(token);
            return;
        }
        if count > 0 {
            self.note_read(worker, token, count);
        } else {
            worker.end_read(token);
        }
    }

    fn note_read(&mut self, worker: &mut Worker, token: usize, count: usize) {
        let cell = &self.engine.stats.thread(self.index).cell;
        cell.net_input_bytes.add(count as u64);
        cell.reads.bump();
        if let Some(client) = worker.client(token) {
            let shared = &client.shared;
            let total = shared.net_in.load(Ordering::Relaxed) + count as u64;
            shared.net_in.store(total, Ordering::Relaxed);
            // Less is executed in this turn, or counted at its end.
            let is_much = client.input.pending_bytes() > READ_MIN;
            if is_much && self.engine.registry.limits_memory() {
                client.publish(&self.engine.registry);
            }
        }
        worker.mark_ready(token);
    }
}

/// Whether reading from a connection is suspended: its input is executed in later turns anyway, or
/// it has not authenticated.
pub(super) fn must_wait(client: &Client) -> bool {
    let waiting = client.input.pending_bytes();
    if !client.session.known && client.halted {
        return waiting > UNAUTHENTICATED_WAITING_MAX;
    }
    client.input.parked() > 0 && !client.halted && waiting > WAITING_INPUT_MAX
}
