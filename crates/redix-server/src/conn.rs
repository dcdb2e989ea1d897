//! One connection's socket: non-blocking reads into the client's input, writes from its output.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token, event::Source};
use redix_core::client::Client;

/// A stream socket of either family.
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(out),
            Self::Unix(stream) => stream.read(out),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    /// The socket's number.
    pub fn fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

/// What a read met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Nothing more at the moment; so many bytes came.
    Drained(usize),
    /// The offered space was filled: there may be more.
    Filled(usize),
    /// The peer has closed, or the connection broke.
    Closed,
}

/// What a write achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Everything was sent; so many bytes.
    All(usize),
    /// The socket took only some.
    Part(usize),
    /// The connection broke.
    Closed,
}

/// A connection's socket.
pub struct Conn {
    stream: Stream,
    sent: usize,
}

impl Conn {
    /// Takes over a non-blocking socket.
    pub fn new(stream: Stream) -> Self {
        Self { stream, sent: 0 }
    }

    /// Announces the socket to a poll.
    pub fn register(&mut self, registry: &Registry, token: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(self.stream.source(), Token(token), interest)
    }

    /// Takes the socket from the poll.
    pub fn deregister(&mut self, registry: &Registry) {
        // It is about to be closed, which deregisters it too.
        registry.deregister(self.stream.source()).ok();
    }

    /// Reads once.
    pub fn read(&mut self, client: &mut Client) -> ReadOutcome {
        let space = client.input.space();
        let offered = space.len();
        loop {
            return match self.stream.read(space) {
                Ok(0) => ReadOutcome::Closed,
                Ok(count) => {
                    client.input.received(count);
                    if count == offered {
                        ReadOutcome::Filled(count)
                    } else {
                        ReadOutcome::Drained(count)
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ReadOutcome::Drained(0),
                Err(_) => ReadOutcome::Closed,
            };
        }
    }

    /// Sends what the client's output holds.
    pub fn flush(&mut self, client: &mut Client) -> WriteOutcome {
        let mut total = 0;
        while self.sent < client.reply.len() {
            match self.stream.write(&client.reply.as_bytes()[self.sent..]) {
                Ok(0) => return WriteOutcome::Closed,
                Ok(count) => {
                    self.sent += count;
                    total += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return WriteOutcome::Part(total);
                }
                Err(_) => return WriteOutcome::Closed,
            }
        }
        self.sent = 0;
        client.reply.clear();
        WriteOutcome::All(total)
    }

    /// Bytes of the client's output not yet sent.
    pub fn unsent(&self, client: &Client) -> usize {
        client.reply.len() - self.sent
    }
}
