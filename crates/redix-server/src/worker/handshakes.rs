//! The TLS handshakes of a worker's connections: a bounded part of each turn.
//!
//! Signing takes as long as hundreds of commands. A connection whose handshake has something to
//! read is listed, and a turn makes steps, in the order of the list, until their time is used up;
//! the others wait for the next turn, which begins at once.
//!
//! **Invariants.** A turn makes at least one step where one is listed, so that every handshake gets
//! on. A connection is listed once.

use std::collections::{HashSet, VecDeque};

use redix_core::env::Level;
use redix_core::worker::Worker;

use super::connections::Connections;
use crate::log;

/// The time for handshakes in a turn, in nanoseconds; the last step may exceed it.
const TURN_NS: u64 = 300_000;
/// The time between two warnings about failed handshakes, in nanoseconds.
const WARN_NS: u64 = 1_000_000_000;

/// The connections whose handshake has something to read.
#[derive(Default)]
pub(super) struct Handshakes {
    waiting: VecDeque<usize>,
    listed: HashSet<usize>,
    /// When the next failure may be logged as a warning.
    warn_from_ns: u64,
}

impl Handshakes {
    /// Lists a connection.
    pub(super) fn list(&mut self, token: usize) {
        if self.listed.insert(token) {
            self.waiting.push_back(token);
        }
    }

    fn next(&mut self) -> Option<usize> {
        let token = self.waiting.pop_front()?;
        self.listed.remove(&token);
        Some(token)
    }
}

impl Connections {
    /// Whether a handshake waits for the next turn.
    pub(super) fn has_handshakes(&self) -> bool {
        !self.handshakes.waiting.is_empty()
    }

    /// Goes on with handshakes until the time for them is used up.
    pub(super) fn shake_hands(&mut self, worker: &mut Worker) {
        if !self.has_handshakes() {
            return;
        }
        let limit = worker.config().client_query_buffer_limit;
        let until_ns = self.engine.env.clock.mono_ns() + TURN_NS;
        while let Some(token) = self.handshakes.next() {
            // A slot may have another connection by now.
            if let Some(Some(conn)) = self.conns.get_mut(token)
                && let Some(tls) = conn.tls()
            {
                tls.grant();
                self.read(worker, token, limit);
                self.note_handshake(worker, token);
            }
            if self.engine.env.clock.mono_ns() >= until_ns {
                break;
            }
        }
        self.close_marked(worker);
    }

    /// Makes a client who it is by its certificate, once its handshake has ended, or logs why it
    /// has failed.
    fn note_handshake(&mut self, worker: &mut Worker, token: usize) {
        let Some(Some(conn)) = self.conns.get_mut(token) else { return };
        let refusal = conn.refusal;
        let Some(tls) = conn.tls() else { return };
        if let Some(reason) = tls.take_failure() {
            self.log_failure(worker, token, &reason);
            return;
        }
        if !tls.take_completed() {
            return;
        }
        let names = tls.user_names(worker.config().tls_auth_clients_user);
        worker.authenticate_by_certificate(token, &names);
        if let Some(words) = refusal
            && let Some(client) = worker.client(token)
        {
            self.engine.stats.thread(self.index).cell.rejected_connections.bump();
            client.push(words.as_bytes());
            client.session.close_after_reply = true;
            self.touched.push(token);
        }
    }

    fn log_failure(&mut self, worker: &mut Worker, token: usize, reason: &str) {
        let Some(client) = worker.client(token) else { return };
        let (addr, laddr) = (&client.shared.addr, &client.shared.laddr);
        let text =
            format!("Error accepting a client connection: {reason} (addr={addr} laddr={laddr})");
        let now_ns = self.engine.env.clock.mono_ns();
        // Anybody can cause them: the log is not filled with them.
        if now_ns >= self.handshakes.warn_from_ns {
            self.handshakes.warn_from_ns = now_ns + WARN_NS;
            log::warning(&text);
        } else if log::enabled(Level::Verbose) {
            log::verbose(&text);
        }
    }
}
