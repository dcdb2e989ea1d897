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
    /// WAITAOF for the server's own file after that SET.
    WaitAof(u64),
    /// GET of this client's probe.
    Read(usize),
}

/// A WAIT that was replied to: `count` replicas are said to have applied the probe `value`.
pub(super) struct Waited {
    pub(super) value: u64,
    pub(super) count: i64,
}

/// What replies tell of probes.
#[derive(Default)]
pub(super) struct Told {
    pub(super) waited: Vec<Waited>,
    /// Clients and their probes that the server is known to have.
    pub(super) shown: Vec<Shown>,
}

/// A probe that a reply has acknowledged or shown.
pub(super) struct Shown {
    pub(super) client: usize,
    pub(super) value: u64,
    /// It was confirmed to be durable.
    pub(super) durable: bool,
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
    pub(super) fn act(
        &mut self,
        process: &mut Process,
        clients: usize,
        rng: &mut Rng,
    ) -> Option<usize> {
        let local = self.home.as_ref()?.local;
        let mut bytes = Vec::new();
        let mut push = |words: &Words| encode_command(&mut bytes, words);
        match rng.below(100) {
            0..76 => {
                let mut batch = writes::batch(rng, BATCH);
                if rng.chance(50) {
                    batch.push(writes::field_expiry(rng));
                }
                batch.iter().for_each(&mut push);
                self.expected.extend(batch.iter().map(|_| Expected::Anything));
            }
            76..80 => {
                let read = rng.below(clients);
                push(&writes::words(&["SELECT", &PROBES_DB.to_string()]));
                push(&vec![b"GET".to_vec(), probe_key(read)]);
                push(&writes::words(&["SELECT", "0"]));
                let replies = [Expected::Anything, Expected::Read(read), Expected::Anything];
                self.expected.extend(replies);
            }
            80..83 => {
                push(&writes::words(&[*rng.pick(&["BGSAVE", "SAVE", "BGREWRITEAOF"])]));
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
                let wait = if rng.chance(30) {
                    push(&writes::words(&["WAITAOF", "1", "0", &timeout_ms]));
                    Expected::WaitAof(self.probes)
                } else {
                    push(&writes::words(&["WAIT", &wanted, &timeout_ms]));
                    Expected::Wait(self.probes)
                };
                push(&writes::words(&["SELECT", "0"]));
                let probe = Expected::Probe(self.probes);
                self.expected.extend([Expected::Anything, probe, wait, Expected::Anything]);
            }
        }
        if !process.send(local, &bytes) {
            self.lose();
            return None;
        }
        Some(local.0)
    }

    /// Reads replies.
    pub(super) fn receive(&mut self, process: &mut Process) -> Result<Told, String> {
        let mut told = Told::default();
        let Some(home) = &self.home else { return Ok(told) };
        let Some(bytes) = process.take_replies(home.local) else {
            self.lose();
            return Ok(told);
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
                Expected::Probe(value) => {
                    self.confirmed = value;
                    told.shown.push(Shown { client: id, value, durable: false });
                }
                Expected::Read(client) => {
                    if let Value::Bulk(text) = reply {
                        let value = String::from_utf8(text).ok().and_then(|text| text.parse().ok());
                        let value = value.ok_or_else(|| garbled(&"a probe that is no number"))?;
                        told.shown.push(Shown { client, value, durable: false });
                    }
                }
                Expected::WaitAof(value) if value == self.confirmed => {
                    let Value::Array(counts) = reply else {
                        return Err(garbled(&format!("WAITAOF answered {}", reply.pretty())));
                    };
                    let durable = counts.first() == Some(&Value::Int(1));
                    told.shown.push(Shown { client: id, value, durable });
                }
                Expected::Wait(value) if value == self.confirmed => {
                    let Value::Int(count) = reply else {
                        return Err(garbled(&format!("WAIT answered {}", reply.pretty())));
                    };
                    told.waited.push(Waited { value, count });
                }
                Expected::Wait(_) | Expected::WaitAof(_) => {}
            }
        }
        Ok(told)
    }
}
