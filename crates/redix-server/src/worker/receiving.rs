//! Reading from the connections of a worker, once a turn and connection.

use std::sync::atomic::Ordering;

use redix_core::client::Client;
use redix_core::worker::Worker;

use super::connections::{Connections, describe};
use crate::conn::ReadOutcome;
use crate::log;

/// Bytes of commands that may wait for a later turn.
const WAITING_INPUT_MAX: usize = 1024 * 1024;
/// Bytes of commands that may wait behind a paused one of a client that has never authenticated.
const UNAUTHENTICATED_WAITING_MAX: usize = 16 * 1024;

impl Connections {
    pub(super) fn read_all(&mut self, worker: &mut Worker) {
        let limit = worker.config().client_query_buffer_limit;
        for token in std::mem::take(&mut self.readable) {
            self.read(worker, token, limit);
        }
        self.close_marked(worker);
        self.engine.evict_clients(self.index);
    }

    /// Reads once from a connection, unless it has to wait. `limit`: bytes of unexecuted input.
    // HOT PATH: once per turn and ready connection.
    #[inline]
    pub(super) fn read(&mut self, worker: &mut Worker, token: usize, limit: u64) {
        let Some(Some(conn)) = self.conns.get_mut(token) else { return };
        let Some(client) = worker.client(token) else {
            self.put_off.push(token);
            return;
        };
        if conn.ended || client.closing() {
            return;
        }
        if must_wait(client) {
            conn.suspended = true;
            return;
        }
        let Some(client) = worker.reader(token) else { return };
        let count = match conn.read(client) {
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
            if self.engine.registry.limits_memory() {
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
