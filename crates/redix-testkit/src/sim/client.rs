//! Clients of the simulated servers: random writes, saves, and WAIT after a numbered write (a
//! probe).

use std::collections::VecDeque;

use redix_resp::{ReplyDecoder, Value, encode_command};

use super::process::{Local, Process};
use crate::rng::Rng;
use crate::writes::{self, Words};

/// The database of the probe keys; nothing else writes to it.
pub(super) const PROBES_DB: u32 = writes::DATABASES as u32;
/// Commands that are sent together.
const BATCH: usize = 4;

/// The command that a reply belongs to.
enum Expected {
    Anything,
    /// SET of the probe with this number.
    Probe(u64),
    /// WAIT after that SET.
    Wait(u64),
}

/// A WAIT that was replied to: `count` replicas are said to have applied the probe `value`.
pub(super) struct Waited {
    pub(super) value: u64,
    pub(super) count: i64,
}

/// A client's connection: the server, its incarnation, and the connection.
pub(super) struct Home {
    pub(super) node: usize,
    pub(super) life: u64,
    local: Local,
}

/// One client.
pub(super) struct Client {
    pub(super) id: usize,
    pub(super) home: Option<Home>,
    decoder: ReplyDecoder,
    expected: VecDeque<Expected>,
    probes: u64,
    confirmed: u64,
    /// Commands replied to without an error.
    pub(super) written: u64,
}

/// The key of a client's probe.
pub(super) fn probe_key(client: usize) -> Vec<u8> {
    format!("probe:{client}").into_bytes()
}

impl Client {
    /// A client that is not connected.
    pub(super) fn new(id: usize) -> Self {
        Self {
            id,
            home: None,
            decoder: ReplyDecoder::default(),
            expected: VecDeque::new(),
            probes: 0,
            confirmed: 0,
            written: 0,
        }
    }

    /// Connects to a server.
    pub(super) fn connect(&mut self, node: usize, life: u64, process: &mut Process, rng: &mut Rng) {
        let local = process.open(rng.below(process.workers()));
        self.home = Some(Home { node, life, local });
        self.decoder = ReplyDecoder::default();
        self.expected.clear();
    }

    /// Its server has crashed, with all pending replies.
    pub(super) fn lose(&mut self) {
        self.home = None;
        self.expected.clear();
    }

    /// The number of its last probe.
    pub(super) fn last_probe(&self) -> u64 {
        self.probes
    }

    /// Whether there are no pending replies.
    pub(super) fn idle(&self) -> bool {
        self.expected.is_empty()
    }

    /// Sends commands. Returns the worker that has to read them.
    pub(super) fn act(&mut self, process: &mut Process, rng: &mut Rng) -> Option<usize> {
        let local = self.home.as_ref()?.local;
        let mut bytes = Vec::new();
        let mut push = |words: &Words| encode_command(&mut bytes, words);
        match rng.below(100) {
            0..80 => {
                let mut batch = writes::batch(rng, BATCH);
                if rng.chance(50) {
                    batch.push(writes::field_expiry(rng));
                }
                batch.iter().for_each(&mut push);
                self.expected.extend(batch.iter().map(|_| Expected::Anything));
            }
            80..83 => {
                push(&writes::words(&[*rng.pick(&["BGSAVE", "SAVE", "BGSAVE"])]));
                self.expected.push_back(Expected::Anything);
            }
            _ => {
                self.probes += 1;
                let (key, value) = (probe_key(self.id), self.probes.to_string());
                push(&writes::words(&["SELECT", &PROBES_DB.to_string()]));
                push(&vec![b"SET".to_vec(), key, value.into_bytes()]);
                let wanted = (1 + rng.below(3)).to_string();
                let timeout_max_ms = *rng.pick(&[50, 50, 50, 2000]);
                let timeout_ms = (1 + rng.below(timeout_max_ms)).to_string();
                push(&writes::words(&["WAIT", &wanted, &timeout_ms]));
                push(&writes::words(&["SELECT", "0"]));
                self.expected.extend([
                    Expected::Anything,
                    Expected::Probe(self.probes),
                    Expected::Wait(self.probes),
                    Expected::Anything,
                ]);
            }
        }
        if !process.send(local, &bytes) {
            self.lose();
            return None;
        }
        Some(local.0)
    }

    /// Reads replies; returns those to WAIT.
    pub(super) fn receive(&mut self, process: &mut Process) -> Result<Vec<Waited>, String> {
        let mut waited = Vec::new();
        let Some(home) = &self.home else { return Ok(waited) };
        let Some(bytes) = process.take_replies(home.local) else {
            self.lose();
            return Ok(waited);
        };
        self.decoder.feed(&bytes);
        let id = self.id;
        let garbled = |error: &dyn std::fmt::Display| format!("client {id}: {error}");
        while let Some(reply) = self.decoder.next_reply().map_err(|error| garbled(&error))? {
            let Some(expected) = self.expected.pop_front() else {
                return Err(garbled(&format!("{} was not asked for", reply.pretty())));
            };
            if matches!(reply, Value::Error(_)) {
                continue;
            }
            self.written += 1;
            match expected {
                Expected::Anything => {}
                Expected::Probe(value) => self.confirmed = value,
                Expected::Wait(value) if value == self.confirmed => {
                    let Value::Int(count) = reply else {
                        return Err(garbled(&format!("WAIT answered {}", reply.pretty())));
                    };
                    waited.push(Waited { value, count });
                }
                Expected::Wait(_) => {}
            }
        }
        Ok(waited)
    }
}
