//! One connection's socket: non-blocking reads into the client's input, writes from its output.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token, event::Source};
use redix_core::client::Client;

use crate::tls::stream::TlsStream;

/// A stream socket of either family.
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

impl Stream {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
            Self::Tls(stream) => stream.socket_mut(),
        }
    }

    /// The socket's file descriptor.
    pub fn fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.socket().as_raw_fd(),
        }
    }
}

/// The outcome of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Nothing more is available; this many bytes were read.
    Drained(usize),
    /// The offered space was filled: more may be available.
    Filled(usize),
    /// The peer has closed its sending side.
    Ended,
    /// A handshake is under way, and its next step waits to be granted. Nothing was read.
    Handshake,
    /// The connection has failed.
    Broken,
}

impl ReadOutcome {
    /// What a read into so many bytes has led to.
    pub fn of(result: io::Result<usize>, offered: usize) -> Self {
        match result {
            Ok(0) => Self::Ended,
            Ok(count) if count == offered => Self::Filled(count),
            Ok(count) => Self::Drained(count),
            // It is to be tried again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Self::Filled(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Drained(0),
            Err(_) => Self::Broken,
        }
    }

    /// Bytes that were read.
    pub fn count(self) -> usize {
        match self {
            Self::Drained(count) | Self::Filled(count) => count,
            Self::Ended | Self::Handshake | Self::Broken => 0,
        }
    }
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Everything was sent: this many bytes.
    All(usize),
    /// The socket accepted a part: this many bytes.
    Part(usize),
    /// The connection has failed.
    Broken,
}

/// A connection's socket and its state in the event loop.
pub struct Conn {
    stream: Stream,
    /// Reading is suspended until the client's commands have been executed.
    pub suspended: bool,
    /// Its output waits for a sync of the append-only file.
    pub held: bool,
    /// The sync that its output last waited for, as [`redix_core::aof::Aof::note_held`] counts.
    pub held_for: u64,
    /// Its output is part of the batch that is about to be sent.
    pub queued: bool,
    /// The socket was full and has not become writable since.
    pub blocked: bool,
    /// Execution is suspended until the output of the turn has been offered to the socket.
    pub stalled: bool,
    /// The kernel has reported the end of input: it is to be read to its end.
    pub closing_seen: bool,
    /// The end of input was read; earlier requests are still replied to.
    pub ended: bool,
    /// What the peer is told after its handshake, before it is closed.
    pub refusal: Option<&'static str>,
    /// Unix time in milliseconds since which the output has exceeded its soft limit.
    pub over_soft_since_ms: Option<i64>,
    /// Unix time in milliseconds since which the peak of its output has been tracked.
    pub peak_since_ms: i64,
}

impl Conn {
    /// Takes over a non-blocking socket.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            suspended: false,
            held: false,
            held_for: 0,
            queued: false,
            blocked: false,
            stalled: false,
            closing_seen: false,
            ended: false,
            refusal: None,
            over_soft_since_ms: None,
            peak_since_ms: 0,
        }
    }

    /// Registers the socket with a poll.
    pub fn register(&mut self, registry: &Registry, token: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(self.stream.source(), Token(token), interest)
    }

    /// Sets TCP_NODELAY. A failure means that the connection has failed, which is noticed later.
    pub fn set_nodelay(&self, on: bool) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_nodelay(on).ok(),
            Stream::Tls(stream) => stream.socket().set_nodelay(on).ok(),
            Stream::Unix(_) => None,
        };
    }

    /// Deregisters the socket.
    pub fn deregister(&mut self, registry: &Registry) {
        // Ignored: closing it deregisters it too.
        registry.deregister(self.stream.source()).ok();
    }

    /// Whether bytes go through its socket as they are.
    pub fn is_plain(&self) -> bool {
        !matches!(&self.stream, Stream::Tls(_))
    }

    /// Its socket's file descriptor.
    pub fn fd(&self) -> RawFd {
        self.stream.fd()
    }

    /// Its TLS session, if it has one.
    pub fn tls(&mut self) -> Option<&mut TlsStream> {
        match &mut self.stream {
            Stream::Tls(stream) => Some(stream),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    /// Whether its TLS handshake is under way.
    pub fn is_handshaking(&self) -> bool {
        matches!(&self.stream, Stream::Tls(stream) if stream.is_handshaking())
    }

    /// Whether output that the client no longer has waits for the socket.
    pub fn has_output(&self) -> bool {
        matches!(&self.stream, Stream::Tls(stream) if stream.has_output())
    }

    /// Reads once.
    pub fn read(&mut self, client: &mut Client) -> ReadOutcome {
        match &mut self.stream {
            Stream::Tcp(stream) => read_from(stream, client),
            Stream::Unix(stream) => read_from(stream, client),
            Stream::Tls(stream) => stream.read(client),
        }
    }

    /// Sends pending output. What the socket does not accept is set aside, so that more replies can
    /// be written.
    pub fn flush(&mut self, client: &mut Client) -> WriteOutcome {
        match &mut self.stream {
            Stream::Tcp(stream) => flush_to(stream, client),
            Stream::Unix(stream) => flush_to(stream, client),
            Stream::Tls(stream) => stream.flush(client),
        }
    }

    /// Goes on with pending output after a send of its first piece has led to this.
    pub fn flush_after(&mut self, client: &mut Client, result: io::Result<usize>) -> WriteOutcome {
        match result {
            Ok(count) => {
                client.note_sent(count);
                self.flush(client).after(count)
            }
            // Or it was not tried.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.flush(client),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                client.set_unsent_aside();
                WriteOutcome::Part(0)
            }
            Err(_) => WriteOutcome::Broken,
        }
    }
}

impl WriteOutcome {
    fn after(self, sent: usize) -> Self {
        match self {
            Self::All(count) => Self::All(count + sent),
            Self::Part(count) => Self::Part(count + sent),
            Self::Broken => Self::Broken,
        }
    }
}

fn read_from(stream: &mut impl Read, client: &mut Client) -> ReadOutcome {
    let space = client.input.space();
    let offered = space.len();
    let outcome = ReadOutcome::of(stream.read(space), offered);
    client.input.received(outcome.count());
    outcome
}

fn flush_to(stream: &mut impl Write, client: &mut Client) -> WriteOutcome {
    let mut total = 0;
    while !client.unsent().is_empty() {
        match stream.write(client.unsent()) {
            Ok(0) => return WriteOutcome::Broken,
            Ok(count) => {
                client.note_sent(count);
                total += count;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                client.set_unsent_aside();
                return WriteOutcome::Part(total);
            }
            Err(_) => return WriteOutcome::Broken,
        }
    }
    WriteOutcome::All(total)
}
