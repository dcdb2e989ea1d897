//! A replica under test; the test is its primary and the network.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redix_core::config::Config;
use redix_core::engine::{Engine, Rest};
use redix_core::repl::status::{LinkState, Target};
use redix_core::upstream::ahead::{Portions, ReadAhead};
use redix_core::upstream::{Transport, Upstream};
use redix_resp::{Value, encode_command};
use redix_testkit::ahead::Inline;
use redix_testkit::engine::SimEngine;

pub(crate) const ID: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const OTHER_ID: &str = "fedcba9876543210fedcba9876543210fedcba98";
pub(crate) const MARK: &[u8; 40] = b"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";

/// The bytes from the primary.
pub(crate) struct Pipe {
    /// Bytes that the replica has not read yet.
    pub(crate) coming: VecDeque<u8>,
    /// The most bytes of one read.
    pub(crate) read_max: usize,
    /// The primary has closed the connection.
    pub(crate) is_ended: bool,
}

/// Whether the network reads ahead when requested.
#[derive(Clone, Copy)]
pub(crate) enum Reads {
    AtOnce,
    Ahead,
    /// Every second request.
    Either,
}

/// The network, whose other end is the test.
pub(crate) struct Wire {
    pub(crate) pipe: Rc<RefCell<Pipe>>,
    /// The number of requests to read ahead.
    pub(crate) asked: usize,
    pub(crate) reads: Reads,
    /// What the replica has sent.
    pub(crate) sent: Vec<u8>,
    pub(crate) is_open: bool,
    pub(crate) connects: usize,
    pub(crate) refuses: bool,
    /// Writing fails.
    pub(crate) breaks: bool,
    /// A second connection.
    pub(crate) beside: Option<Box<Wire>>,
}

impl Wire {
    fn new(beside: Option<Box<Self>>) -> Self {
        Self {
            pipe: Rc::new(RefCell::new(Pipe {
                coming: VecDeque::new(),
                read_max: 1,
                is_ended: false,
            })),
            asked: 0,
            reads: Reads::Either,
            sent: Vec::new(),
            is_open: false,
            connects: 0,
            refuses: false,
            breaks: false,
            beside,
        }
    }

    fn has_coming(&self) -> bool {
        self.is_open && !self.pipe().coming.is_empty()
    }

    pub(crate) fn pipe(&self) -> RefMut<'_, Pipe> {
        self.pipe.borrow_mut()
    }
}

/// The end that is read from.
pub(crate) struct Reading(Rc<RefCell<Pipe>>);

impl io::Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        let count = pipe.coming.len().min(pipe.read_max).min(out.len());
        if count == 0 && !pipe.is_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (place, byte) in out.iter_mut().zip(pipe.coming.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Transport for Wire {
    fn beside(&mut self) -> Option<&mut dyn Transport> {
        let beside = self.beside.as_deref_mut()?;
        Some(beside)
    }

    fn connect(&mut self, host: &str, port: u16, from: &str) -> io::Result<()> {
        assert_eq!((host, port, from), ("primary", 6379, ""));
        self.connects += 1;
        if self.refuses {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.is_open = true;
        self.pipe().is_ended = false;
        self.pipe().coming.clear();
        self.sent.clear();
        Ok(())
    }
    fn connected(&mut self) -> io::Result<bool> {
        Ok(self.is_open)
    }
    fn names(&self) -> (String, String) {
        ("10.0.0.1:6379".into(), "10.0.0.2:5000".into())
    }
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        assert!(self.is_open, "the connection is closed");
        Reading(Rc::clone(&self.pipe)).read(out)
    }
    fn read_ahead(
        &mut self,
        _: usize,
        ahead: Box<ReadAhead>,
    ) -> Result<Box<dyn Portions>, Box<ReadAhead>> {
        self.asked += 1;
        match self.reads {
            Reads::AtOnce => return Err(ahead),
            Reads::Either if self.asked.is_multiple_of(2) => return Err(ahead),
            Reads::Either | Reads::Ahead => {}
        }
        Ok(Box::new(Inline::new(*ahead, Reading(Rc::clone(&self.pipe)), 1 + self.asked % 3)))
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(self.is_open, "the connection is closed");
        if self.breaks {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // One byte per call, so that every write is partial.
        self.sent.push(bytes[0]);
        Ok(1)
    }
    fn close(&mut self) {
        self.is_open = false;
    }
}

/// A replica and the wire to its primary.
pub(crate) struct Rig {
    pub(crate) sim: SimEngine,
    pub(crate) engine: Arc<Engine>,
    pub(crate) upstream: Upstream,
    pub(crate) wire: Wire,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let sim = SimEngine::new(config, 7).unwrap();
        let engine = sim.share();
        // There is no stream to resume.
        engine.repl.log.stop(&*engine.env.entropy);
        let upstream = Upstream::new(sim.share());
        let wire = Wire::new(Some(Box::new(Wire::new(None))));
        let rig = Self { sim, engine, upstream, wire };
        rig.engine.follow(Target { host: "primary".into(), port: 6379 });
        rig
    }

    /// Runs until the replica waits; if it waits for its own next attempt, no further.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            let rest = self.upstream.step(&mut self.wire);
            let busy = rest == Rest::None
                || self.wire.has_coming()
                || self.wire.beside.as_ref().is_some_and(|beside| beside.has_coming());
            quiet = if busy { 0 } else { quiet + 1 };
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.sim.clock().advance_ms(time.as_millis() as i64);
        self.settle();
    }

    /// Sends bytes from the primary.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.pipe().coming.extend(bytes.as_ref());
        self.settle();
    }

    /// Sends a command of the stream; returns its length.
    pub(crate) fn stream(&mut self, words: &[&str]) -> u64 {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words);
        self.send(&bytes);
        bytes.len() as u64
    }

    pub(crate) fn cut(&mut self) {
        self.wire.pipe().is_ended = true;
        self.settle();
    }

    /// What the replica has sent since the last call, as text.
    pub(crate) fn sent(&mut self) -> String {
        let sent = std::mem::take(&mut self.wire.sent);
        String::from_utf8(sent).unwrap().replace("\r\n", " ")
    }

    /// The handshake up to PSYNC, which is returned.
    pub(crate) fn agree(&mut self) -> String {
        self.settle();
        assert_eq!(self.sent(), "*1 $4 PING ");
        self.send("+PONG\r\n");
        assert!(self.sent().contains("listening-port"));
        self.send("+OK\r\n+OK\r\n-ERR unknown option\r\n");
        self.sent()
    }

    /// A full synchronisation with the file `dump`; the stream continues from `end`.
    pub(crate) fn synchronise(&mut self, dump: &[u8], end: u64) {
        self.agree();
        self.send(format!("\n+FULLRESYNC {ID} {end}\r\n\n\n$EOF:"));
        self.send([MARK, &b"\r\n"[..], dump, MARK].concat());
        assert_eq!(self.state(), LinkState::Connected);
    }

    /// The connection of a data set that has one of its own.
    pub(crate) fn beside(&mut self) -> &mut Wire {
        self.wire.beside.as_deref_mut().unwrap()
    }

    /// Sends bytes over it.
    pub(crate) fn send_beside(&mut self, bytes: impl AsRef<[u8]>) {
        self.beside().pipe().coming.extend(bytes.as_ref());
        self.settle();
    }

    /// What the replica has sent over it since the last call, as text.
    pub(crate) fn sent_beside(&mut self) -> String {
        let sent = std::mem::take(&mut self.beside().sent);
        String::from_utf8(sent).unwrap().replace("\r\n", " ")
    }

    /// The same, after PSYNC.
    pub(crate) fn synchronise_from_header(&mut self) {
        let dump = dump(&[("k", "v")]);
        self.send(format!("+FULLRESYNC {ID} 3\r\n${}\r\n", dump.len()));
        self.send(dump);
    }

    /// Fields of INFO's section Replication, joined by blanks.
    pub(crate) fn info(&mut self, names: &[&str]) -> String {
        let Value::Bulk(text) = self.sim.execute(1, &["INFO", "replication"]).unwrap() else {
            panic!("INFO is a text");
        };
        let text = String::from_utf8(text).unwrap();
        let field = |name| {
            let find = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned());
            text.lines().find_map(find).unwrap_or_else(|| "none".into())
        };
        names.iter().map(|name| field(*name)).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn state(&self) -> LinkState {
        self.engine.repl.upstream.state()
    }

    pub(crate) fn end(&self) -> u64 {
        self.engine.repl.log.end()
    }

    pub(crate) fn get(&mut self, key: &str) -> Value {
        self.sim.execute(1, &["GET", key]).unwrap()
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) -> Value {
        self.sim.execute(1, &["SET", key, value]).unwrap()
    }
}

pub(crate) fn text(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

/// A snapshot file with these keys.
pub(crate) fn dump(keys: &[(&str, &str)]) -> Vec<u8> {
    let mut sim = SimEngine::new(Config::default(), 1).unwrap();
    for (key, value) in keys {
        sim.execute(1, &["SET", key, value]).unwrap();
    }
    sim.execute(1, &["SAVE"]).unwrap();
    sim.disk().content(Path::new("./dump.rdb")).unwrap()
}
