//! Applying the stream of the primary.
//!
//! The link reads, and its worker executes what was read. Where that does not keep up, the
//! transport is asked to read ahead ([`super::ahead`]) until nothing is available.

use std::io;

use super::ahead::{Next, ReadAhead};
use super::{Broken, Phase, SECOND_NS, Transport, Upstream, handshake, is_transient};
use crate::client::Client;
use crate::engine::Rest;
use crate::env::Level;
use crate::registry::{ClientShared, client_flag};
use crate::repl::status::LinkState;
use crate::session::PrimaryLink;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// Reads from the transport, or portions, per step.
const READS_PER_STEP: usize = 16;

impl Upstream {
    /// Creates a client that applies the stream from now on, starting with what was read already.
    pub(super) fn begin_stream(&mut self, transport: &dyn Transport, now_ns: u64) {
        let engine = &self.engine;
        let id = engine.registry.next_id();
        let (addr, laddr) = transport.names();
        let now_ms = self.now_ms();
        let shared =
            ClientShared::new(id, addr, laddr, transport.fd(), now_ms, engine.link_thread());
        shared.set_flag(client_flag::PRIMARY, true);
        // It is not subject to any user's permissions.
        lock(&shared.texts).user = b"(superuser)".to_vec();
        let db = engine.repl.upstream.stream_db();
        shared.db.store(db, Ordering::Relaxed);
        let shared = Arc::new(shared);
        let mut client = Client::new(Arc::clone(&shared), true);
        client.session.db = db;
        client.session.primary_link = Some(Box::default());
        client.input.keep_blanks();
        client.input.push(&std::mem::take(&mut self.inbox));
        let token = self.worker.insert(client);
        self.worker.mark_ready(token);
        self.phase = Phase::Stream(token);
        let status = self.status();
        status.set_transfer(None);
        status.set_client(Some(shared));
        status.note_read(now_ms);
        status.set_unapplied(0);
        status.set_state(LinkState::Connected);
        self.heard_ns = now_ns;
        self.up_since_ns = now_ns;
        let end = self.engine.repl.log.end();
        self.up_from = match self.up_from {
            (from, times) if from == end => (end, times.saturating_add(1)),
            _ => (end, 1),
        };
        self.acknowledge(now_ns);
    }

    fn acknowledge(&mut self, now_ns: u64) {
        self.next_ack_ns = now_ns + SECOND_NS;
        if self.engine.spare.is_due(&mut self.purged) {
            self.engine.env.host.purge_memory();
        }
        if self.is_nameless {
            return;
        }
        let durable = self.engine.aof.durable_end().map(|end| end.to_string());
        let end = self.engine.repl.log.end().to_string();
        let mut words = vec!["REPLCONF", "ACK", &end];
        if let Some(durable) = &durable {
            words.extend(["FACK", durable]);
        }
        handshake::command(&mut self.outbox, &words);
    }

    pub(super) fn follow_stream(
        &mut self,
        transport: &mut dyn Transport,
        token: usize,
        now_ns: u64,
    ) -> Result<Rest, Broken> {
        let (mut drained, mut read) = (false, 0);
        for _ in 0..READS_PER_STEP {
            self.resume_after_pause(token);
            let count = match self.ahead {
                None => self.read_stream(transport, token, now_ns)?,
                Some(_) => self.take_portion(token, now_ns)?,
            };
            drained = count == 0;
            read += count;
            // It has no requests for the process: no command of a primary does.
            drop(self.worker.run());
            self.engine.feed_replicas();
            self.engine.aof.nudge(self.engine.repl.log.end());
            self.check_applied(token)?;
            if drained {
                break;
            }
        }
        if !drained {
            self.begin_reading_ahead(transport, token, read);
        }
        let waiting = self.ahead.as_ref().map_or(0, |ahead| ahead.waiting_bytes());
        let Some(client) = self.worker.client(token) else {
            return Err(Broken::new("The client of the PRIMARY is gone."));
        };
        let buffered = self.buffered.bytes();
        let unapplied = client.input.pending_bytes() as u64 + waiting + buffered;
        let killed = client.shared.killed.load(Ordering::Acquire);
        if now_ns >= self.next_ack_ns {
            client.input.fit();
            client.publish(&self.engine.registry);
        }
        let asked = link_of(client).is_some_and(|link| std::mem::take(&mut link.ack_wanted));
        self.status().set_unapplied(unapplied);
        if killed {
            return Err(Broken::new("Connection with primary lost: it was killed."));
        }
        if asked || now_ns >= self.next_ack_ns {
            self.acknowledge(now_ns);
        }
        if !drained || self.worker.has_ready() {
            return Ok(Rest::None);
        }
        let config = self.engine.config();
        let rest = self.wait_for_primary(&config, now_ns, || {
            "PRIMARY timeout: no data nor PING received...".into()
        })?;
        Ok(match rest {
            Rest::Until(due_ns) => Rest::Until(due_ns.min(self.next_ack_ns)),
            Rest::None => Rest::None,
        })
    }

    /// Starts reading ahead, if the transport can and all that was read has been executed.
    fn begin_reading_ahead(&mut self, transport: &mut dyn Transport, token: usize, read: usize) {
        let Some(client) = self.worker.client(token) else { return };
        if self.ahead.is_some() || client.input.parked() > 0 || !self.buffered.is_empty() {
            return;
        }
        let input = std::mem::take(&mut client.input);
        let ahead = ReadAhead::new(Arc::clone(&self.engine), input);
        match transport.read_ahead(read, Box::new(ahead)) {
            Ok(portions) => self.ahead = Some(portions),
            Err(ahead) => client.input = ahead.into_rest().input,
        }
    }

    /// Takes the next portion of the stream; returns how many bytes were read for it: 0 if there is
    /// none, or the client has commands to execute first.
    fn take_portion(&mut self, token: usize, now_ns: u64) -> Result<usize, Broken> {
        let (Some(ahead), Some(client)) = (&mut self.ahead, self.worker.client(token)) else {
            return Ok(0);
        };
        if client.input.parked() > 0 {
            return Ok(0);
        }
        let (portion, ended) = match ahead.next() {
            Next::Nothing => return Ok(0),
            Next::Portion(portion) => (portion, None),
            Next::Ended(rest, why) => (rest, Some(why)),
        };
        let count = portion.received;
        let spent = client.begin_portion(portion);
        if ended.is_none() {
            ahead.give_back(spent);
        } else {
            self.ahead = None;
        }
        self.worker.mark_ready(token);
        if count != 0 {
            self.note_received(count, now_ns);
        }
        if let Some(why) = ended.filter(|why| !is_transient(why)) {
            return Err(lost(&why));
        }
        // At least 1: the end of a portion does not mean that nothing more is available.
        Ok(count.max(1))
    }

    /// Reads some of the stream into its client; returns how many bytes: 0 if nothing was
    /// available, or the client has commands to execute first.
    fn read_stream(
        &mut self,
        transport: &mut dyn Transport,
        token: usize,
        now_ns: u64,
    ) -> Result<usize, Broken> {
        let Some(client) = self.worker.client(token) else { return Ok(0) };
        if client.held {
            return Ok(0);
        }
        if !self.buffered.is_empty() {
            let count = self.buffered.take(client.input.space());
            client.input.received(count);
            self.worker.mark_ready(token);
            self.show_buffered();
            return Ok(count);
        }
        match transport.read(client.input.space()) {
            Ok(0) => Err(lost(&io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                client.input.received(count);
                let total = client.shared.net_in.load(Ordering::Relaxed) + count as u64;
                client.shared.net_in.store(total, Ordering::Relaxed);
                self.worker.mark_ready(token);
                self.note_received(count, now_ns);
                Ok(count)
            }
            Err(error) if is_transient(&error) => Ok(0),
            Err(error) => Err(lost(&error)),
        }
    }

    /// Resumes the client once a pause is over.
    fn resume_after_pause(&mut self, token: usize) {
        let now_ms = self.now_ms();
        let over = !self.engine.pause.any(now_ms);
        if let Some(client) = self.worker.client(token)
            && client.held
            && over
        {
            client.held = false;
            client.halted = false;
            client.shared.set_flag(client_flag::HELD, false);
            self.worker.mark_ready(token);
        }
    }

    /// Checks that everything so far could be applied. If not, the log's history ends.
    fn check_applied(&mut self, token: usize) -> Result<(), Broken> {
        let Some(client) = self.worker.client(token) else { return Ok(()) };
        let broken = client.closing();
        let Some(link) = link_of(client) else { return Ok(()) };
        let failure = match link.failure.take() {
            Some(failure) => failure,
            None if broken => "protocol error in the stream".into(),
            None => return Ok(()),
        };
        let offset = self.engine.repl.log.end();
        self.forget_history();
        let text = format!(
            "Can't apply the stream of the PRIMARY at offset {offset}: {failure}. A full \
             resynchronization follows."
        );
        self.engine.env.log(Level::Warning, &text);
        Err(Broken::futile("The stream of the PRIMARY can't be followed."))
    }
}

fn link_of(client: &mut Client) -> Option<&mut PrimaryLink> {
    client.session.primary_link.as_deref_mut()
}

fn lost(why: &io::Error) -> Broken {
    match why.kind() {
        io::ErrorKind::UnexpectedEof => Broken::new("Connection with primary lost."),
        _ => Broken::new(format!("Connection with primary lost: {why}")),
    }
}
