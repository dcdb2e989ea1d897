//! A full synchronisation over two connections (`dual-channel-replication-enabled`): the data set
//! comes over one of its own, and the stream behind it, over the main one, is buffered until the
//! data set is loaded.
//!
//! ```text
//! main:      PSYNC -> +DUALCHANNELSYNC ......... set-rdb-client-id, PSYNC -> +CONTINUE, stream
//! data set:        REPLCONF, SYNC -> $ENDOFF:... ................................ $EOF:..., RDB
//! ```
//!
//! `replica-full-sync-buffer-limit`, or else the hard output limit of replicas
//! (`client-output-buffer-limit`), bounds the buffer. Once it is full, nothing is read over the
//! main connection, and what follows stays with the primary.
//!
//! **Invariants.** The data set is read only once the primary has agreed to send the stream behind
//! it. The loss of either connection ends both, and what was received is discarded; but a data set
//! that was received completely is loaded, and followed by what was buffered: the stream can be
//! resumed from there.
//!
//! Source: Valkey's replication protocol, as observed between two servers of version 9.1.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::handshake::{Answer, command, introduce_beside, psync_answer, take_line};
use super::transfer::{Progress, Receiving, Stage};
use super::{Broken, Phase, Target, Transport, Upstream};
use crate::config::Config;
use crate::engine::Rest;
use crate::repl::log::ReplId;

type Outcome = Result<Progress, Broken>;

/// Capacity of a chunk of the buffer.
const CHUNK_BYTES: usize = 64 * 1024;
/// Reads per step over the main connection.
const READS_PER_STEP: usize = 16;

/// The connection of the data set: what an [`Upstream`] has for one connection.
pub(super) struct Beside {
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    heard_ns: u64,
    /// The database selected in the stream where the data set was cut, if known.
    pub(super) db: Option<u32>,
}

/// How far both connections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pairing {
    /// That of the data set is being made.
    Connecting,
    /// It has introduced itself; so many replies are pending.
    Introduced(usize),
    /// It has asked for the data set.
    Asked,
    /// The data set is about to come, for the client of this id at the primary.
    Placed(u64),
    /// The main connection has said which data set it belongs to.
    Named,
    /// The main connection has asked for the stream.
    Resuming,
}

/// The place of a data set in the stream.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    id: ReplId,
    end: u64,
    db: Option<u32>,
    client: u64,
}

/// The stream that arrives beside a data set.
#[derive(Default)]
pub(super) struct Buffered {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that were taken.
    taken: usize,
    bytes: u64,
    /// The limit was reached, which has been logged.
    was_full: bool,
    /// The main connection is lost, which has been logged.
    lost: bool,
}

impl Buffered {
    /// Bytes to be taken.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn put(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_BYTES) {
                self.chunks.push_back(Vec::with_capacity(CHUNK_BYTES));
            }
            let Some(chunk) = self.chunks.back_mut() else { return };
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - chunk.len()));
            chunk.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Moves the first bytes to `out`; returns how many.
    pub(super) fn take(&mut self, out: &mut [u8]) -> usize {
        let mut count = 0;
        while count < out.len()
            && let Some(chunk) = self.chunks.front()
        {
            let now = (chunk.len() - self.taken).min(out.len() - count);
            out[count..count + now].copy_from_slice(&chunk[self.taken..self.taken + now]);
            count += now;
            self.taken += now;
            if self.taken == chunk.len() {
                self.chunks.pop_front();
                self.taken = 0;
            }
        }
        self.bytes -= count as u64;
        count
    }
}

impl Upstream {
    /// Begins to connect for the data set.
    pub(super) fn begin_pairing(
        &mut self,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<(), Broken> {
        self.notice("The PRIMARY sends the data set over a connection of its own.");
        let (Some(beside), Some(Target { host, port })) = (transport.beside(), &self.target) else {
            return Err(Broken::new("There can be no second connection to the PRIMARY."));
        };
        let from = &self.engine.config().bind_source_addr;
        let (Some(host), Some(from)) = (host.as_str(), from.as_str()) else {
            return Err(Broken::new("Unable to connect to PRIMARY: an address is not UTF-8"));
        };
        beside.connect(host, *port, from).map_err(|error| {
            Broken::new(format!("Unable to connect to PRIMARY for the data set: {error}"))
        })?;
        let mut receiving = Receiving::new(ReplId::NONE, 0);
        receiving.stage = Stage::Pairing(Pairing::Connecting);
        receiving.beside = Some(Box::new(Beside {
            inbox: Vec::new(),
            outbox: Vec::new(),
            heard_ns: now_ns,
            db: None,
        }));
        self.status().reset_buffered();
        self.phase = Phase::Sync(Box::new(receiving));
        Ok(())
    }

    /// Advances both connections.
    pub(super) fn receive_over_both(
        &mut self,
        receiving: &mut Receiving,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Progress, Broken> {
        match receiving.stage {
            Stage::Pairing(Pairing::Connecting | Pairing::Introduced(_) | Pairing::Asked) => {
                self.expect_silence(transport, now_ns)?;
                self.over_beside(receiving, transport, |link, receiving, beside| {
                    link.ask_for_data_set(receiving, beside, now_ns)
                })
            }
            Stage::Pairing(at) => self.ask_for_stream(receiving, at, transport, now_ns),
            Stage::Load(_) => {
                if !self.buffered.lost
                    && let Err(broken) = self.buffer_stream(transport, now_ns)
                {
                    self.buffered.lost = true;
                    self.notice(&format!("{} The data set is complete.", broken.text));
                }
                self.receive_data_set(receiving, transport, now_ns)
            }
            _ => {
                let more = self.buffer_stream(transport, now_ns)?;
                let progress =
                    self.over_beside(receiving, transport, |link, receiving, beside| {
                        link.receive_data_set(receiving, beside, now_ns)
                    })?;
                if let (Stage::Load(_), Some(beside)) = (&receiving.stage, transport.beside()) {
                    beside.close();
                }
                Ok(match progress {
                    Progress::More(_) if more => Progress::More(Rest::None),
                    progress => progress,
                })
            }
        }
    }

    /// Runs a step with the connection of the data set in place of the main one.
    fn over_beside(
        &mut self,
        receiving: &mut Receiving,
        transport: &mut dyn Transport,
        step: impl FnOnce(&mut Self, &mut Receiving, &mut dyn Transport) -> Outcome,
    ) -> Result<Progress, Broken> {
        let (Some(mut beside), Some(connection)) = (receiving.beside.take(), transport.beside())
        else {
            return Err(Broken::new("There is no second connection to the PRIMARY."));
        };
        self.exchange(&mut beside);
        receiving.beside = Some(beside);
        let outcome = step(self, receiving, connection).and_then(|progress| {
            self.send(connection)?;
            Ok(progress)
        });
        if let Some(beside) = &mut receiving.beside {
            self.exchange(beside);
        }
        outcome
    }

    fn exchange(&mut self, beside: &mut Beside) {
        std::mem::swap(&mut self.inbox, &mut beside.inbox);
        std::mem::swap(&mut self.outbox, &mut beside.outbox);
        std::mem::swap(&mut self.heard_ns, &mut beside.heard_ns);
    }

    /// Reads over the main connection, where nothing but keep-alives may come.
    fn expect_silence(&mut self, transport: &mut dyn Transport, now_ns: u64) -> Result<(), Broken> {
        self.fill_inbox(transport, now_ns)?;
        match self.next_line()? {
            Some(line) => Err(Broken::new(format!("Unexpected words: {line}"))),
            None => Ok(()),
        }
    }

    /// The next line received that is no keep-alive.
    pub(super) fn next_line(&mut self) -> Result<Option<String>, Broken> {
        while let Some(line) = take_line(&mut self.inbox)? {
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Advances the connection of the data set until its place in the stream is known.
    fn ask_for_data_set(
        &mut self,
        receiving: &mut Receiving,
        beside: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Progress, Broken> {
        let config = self.engine.config();
        let mut at = match receiving.stage {
            Stage::Pairing(Pairing::Connecting) => match beside.connected() {
                Ok(true) => Pairing::Introduced(introduce_beside(&config, &mut self.outbox)),
                Ok(false) => return self.wait_for_answer(&config, now_ns),
                Err(error) => {
                    let text = format!("Error condition on socket for SYNC: {error}");
                    return Err(Broken::new(text));
                }
            },
            Stage::Pairing(at) => at,
            _ => return Ok(Progress::More(Rest::None)),
        };
        let read = self.fill_inbox(beside, now_ns)?;
        while !matches!(at, Pairing::Placed(_))
            && let Some(line) = self.next_line()?
        {
            if line.starts_with('-') {
                let text = format!("The PRIMARY does not send the data set: {line}");
                return Err(Broken::new(text));
            }
            at = match at {
                Pairing::Introduced(due @ 2..) => Pairing::Introduced(due - 1),
                Pairing::Introduced(_) => {
                    self.outbox.extend_from_slice(b"SYNC\r\n");
                    Pairing::Asked
                }
                _ => self.take_place(receiving, &line)?,
            };
        }
        receiving.stage = Stage::Pairing(at);
        if read || matches!(at, Pairing::Placed(_)) {
            return Ok(Progress::More(Rest::None));
        }
        self.wait_for_answer(&config, now_ns)
    }

    fn take_place(&self, receiving: &mut Receiving, line: &str) -> Result<Pairing, Broken> {
        let databases = self.engine.keyspace.databases();
        let is_valid = |place: &Place| place.db.is_none_or(|db| db < databases);
        let Some(place) = parse_place(line).filter(is_valid) else {
            return Err(Broken::new(format!("The PRIMARY answered with a wrong place: {line}")));
        };
        self.accept(place.id, place.end)?;
        self.show_sync();
        (receiving.id, receiving.end) = (place.id, place.end);
        if let Some(beside) = &mut receiving.beside {
            beside.db = place.db;
        }
        Ok(Pairing::Placed(place.client))
    }

    fn wait_for_answer(&self, config: &Config, now_ns: u64) -> Result<Progress, Broken> {
        let rest = self.wait_for_primary(config, now_ns, || {
            "Timeout waiting for the PRIMARY to send the data set.".into()
        });
        rest.map(Progress::More)
    }

    /// Asks, over the main connection, for the stream behind the data set.
    fn ask_for_stream(
        &mut self,
        receiving: &mut Receiving,
        at: Pairing,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Progress, Broken> {
        if let Pairing::Placed(client) = at {
            command(&mut self.outbox, &["REPLCONF", "set-rdb-client-id", &client.to_string()]);
            self.heard_ns = now_ns;
            receiving.stage = Stage::Pairing(Pairing::Named);
            return Ok(Progress::More(Rest::None));
        }
        let config = self.engine.config();
        let read = self.fill_inbox(transport, now_ns)?;
        match self.next_line()? {
            None if read => return Ok(Progress::More(Rest::None)),
            None => return self.wait_for_answer(&config, now_ns),
            Some(line) if at == Pairing::Named && line.starts_with('+') => {
                let (id, next) = (receiving.id, (receiving.end + 1).to_string());
                command(&mut self.outbox, &["PSYNC", id.as_str(), &next]);
                receiving.stage = Stage::Pairing(Pairing::Resuming);
            }
            Some(line) if at == Pairing::Resuming => match psync_answer(&line, &config)? {
                Answer::Continue(id) if id.is_none_or(|id| id == receiving.id) => {
                    self.notice("The stream behind the data set is buffered meanwhile.");
                    receiving.stage = Stage::Header;
                }
                _ => return Err(refused(&line)),
            },
            Some(line) => return Err(refused(&line)),
        }
        Ok(Progress::More(Rest::None))
    }

    /// Reads the stream into the buffer; false if nothing is available, or the buffer is full.
    fn buffer_stream(
        &mut self,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<bool, Broken> {
        let config = self.engine.config();
        let max = match config.replica_full_sync_buffer_limit {
            0 => config.client_output_buffer_limit.replica.hard_bytes,
            max => max,
        };
        for _ in 0..READS_PER_STEP {
            let inbox = std::mem::take(&mut self.inbox);
            self.buffered.put(&inbox);
            self.show_buffered();
            let room = if max == 0 { u64::MAX } else { max.saturating_sub(self.buffered.bytes()) };
            if room == 0 {
                self.heard_ns = now_ns;
                self.note_full();
                return Ok(false);
            }
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            if !self.fill_inbox_within(transport, room, now_ns)? {
                self.wait_for_primary(&config, now_ns, || {
                    "PRIMARY timeout: no data nor PING received...".into()
                })?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn note_full(&mut self) {
        if !std::mem::replace(&mut self.buffered.was_full, true) {
            self.notice(&format!(
                "Replication buffer limit reached ({} bytes), stopping buffering. What follows \
                 stays with the PRIMARY.",
                self.buffered.bytes()
            ));
        }
    }

    /// Publishes how much is buffered.
    pub(super) fn show_buffered(&self) {
        self.status().set_buffered(self.buffered.bytes());
    }

    /// Discards what is buffered.
    pub(super) fn discard_buffered(&mut self) {
        self.buffered = Buffered::default();
        self.show_buffered();
    }
}

fn refused(line: &str) -> Broken {
    Broken::new(format!("The PRIMARY does not send the stream behind the data set: {line}"))
}

/// Parses `$ENDOFF:offset id database client`; the database is -1 where the stream selects one
/// next.
fn parse_place(line: &str) -> Option<Place> {
    let mut words = line.strip_prefix("$ENDOFF:")?.split(' ');
    let end = words.next()?.parse().ok().filter(|end| i64::try_from(*end).is_ok())?;
    let id = ReplId::parse(words.next()?.as_bytes())?;
    let db = words.next()?.parse::<i64>().ok()?;
    let client = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Place { id, end, db: u32::try_from(db).ok(), client })
}
