//! A blocking client that returns replies undigested.
//!
//! **Invariants.** RESP3 pushes are never taken for replies: they are queued apart, in order. No
//! call waits longer than the read timeout. A failed call leaves the connection unusable, never out
//! of sync.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redix_resp::{ReplyDecoder, Value, encode_command};

const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// One connection.
pub struct Client {
    stream: TcpStream,
    decoder: ReplyDecoder,
    pushes: VecDeque<Value>,
    timeout: Duration,
}

impl Client {
    /// Connects; the connection speaks RESP2 until [`Client::hello`].
    pub fn connect(addr: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(addr).with_context(|| format!("connecting to {addr}"))?;
        stream.set_nodelay(true)?;
        let decoder = ReplyDecoder::default();
        Ok(Client { stream, decoder, pushes: VecDeque::new(), timeout: READ_TIMEOUT })
    }

    /// Sets the timeout of a reply.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Switches the protocol with HELLO and returns its reply.
    pub fn hello(&mut self, proto: u8) -> Result<Value> {
        let reply = self.cmd(&["HELLO", &proto.to_string()])?;
        ensure!(!matches!(reply, Value::Error(_)), "HELLO {proto}: {}", reply.pretty());
        Ok(reply)
    }

    /// Sends a command and waits for its reply. An error reply is a value, not a failure.
    pub fn cmd<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Result<Value> {
        self.send(args)?;
        self.reply()
    }

    /// As [`Client::cmd`], where an error reply is a failure.
    pub fn must<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Result<Value> {
        match self.cmd(args)? {
            Value::Error(text) => {
                let command = crate::quoting::quote_args(args);
                bail!("{command} was answered -{}", String::from_utf8_lossy(&text))
            }
            reply => Ok(reply),
        }
    }

    /// Sends commands in one write, then reads a reply for each.
    pub fn pipeline<T: AsRef<[u8]>>(&mut self, commands: &[Vec<T>]) -> Result<Vec<Value>> {
        let mut bytes = Vec::new();
        for args in commands {
            push_command(&mut bytes, args);
        }
        self.send_raw(&bytes)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    /// Sends a command; its reply is read later.
    pub fn send<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Result<()> {
        let mut bytes = Vec::new();
        push_command(&mut bytes, args);
        self.send_raw(&bytes)
    }

    /// Sends raw bytes.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("sending")
    }

    /// The next reply. Pushes that arrive first are queued for [`Client::push`].
    pub fn reply(&mut self) -> Result<Value> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.next_value(deadline)? {
                Some(push @ Value::Push(_)) => self.pushes.push_back(push),
                Some(reply) => return Ok(reply),
                None => bail!("no reply within {:?}", self.timeout),
            }
        }
    }

    /// The oldest push not yet taken; `None` if none comes in time.
    pub fn push(&mut self, timeout: Duration) -> Result<Option<Value>> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(Some(push));
        }
        match self.next_value(Instant::now() + timeout)? {
            None => Ok(None),
            Some(push @ Value::Push(_)) => Ok(Some(push)),
            Some(other) => bail!("a reply where a push was expected: {}", other.pretty()),
        }
    }

    /// The next reply or push: queued pushes come first.
    pub fn receive(&mut self) -> Result<Value> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(push);
        }
        let value = self.next_value(Instant::now() + self.timeout)?;
        value.with_context(|| format!("nothing within {:?}", self.timeout))
    }

    /// Up to `len` undecoded bytes: fewer if the server closes or falls silent for the timeout.
    pub fn recv_raw(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = self.decoder.take_rest();
        let deadline = Instant::now() + self.timeout;
        while bytes.len() < len {
            match self.read_some(deadline)? {
                Some(more) if !more.is_empty() => bytes.extend_from_slice(&more),
                _ => break,
            }
        }
        Ok(bytes)
    }

    /// Whether the server closes the connection within the timeout without sending more.
    pub fn is_closed_by_peer(&mut self) -> Result<bool> {
        let deadline = Instant::now() + self.timeout;
        Ok(self.decoder.pending() == 0 && self.read_some(deadline)?.is_some_and(|b| b.is_empty()))
    }

    /// Closes the sending side; replies still arrive.
    pub fn finish_sending(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).context("shutting down")
    }

    /// Its own address, as the server sees it.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    fn next_value(&mut self, deadline: Instant) -> Result<Option<Value>> {
        loop {
            if let Some(value) = self.decoder.next_reply()? {
                return Ok(Some(value));
            }
            match self.read_some(deadline)? {
                None => return Ok(None),
                Some(bytes) if bytes.is_empty() => bail!("the server closed the connection"),
                Some(bytes) => self.decoder.feed(&bytes),
            }
        }
    }

    /// Reads what is available; empty if the server closed, `None` after the deadline.
    fn read_some(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        let mut buf = vec![0; 64 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.stream.read(&mut buf) {
                Ok(len) => {
                    buf.truncate(len);
                    return Ok(Some(buf));
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        if Instant::now() >= deadline {
                            return Ok(None);
                        }
                    }
                    ErrorKind::Interrupted => {}
                    // A close with unread input arrives as a reset.
                    ErrorKind::ConnectionReset => return Ok(Some(Vec::new())),
                    _ => return Err(error).context("receiving"),
                },
            }
        }
    }
}

fn push_command<T: AsRef<[u8]>>(bytes: &mut Vec<u8>, args: &[T]) {
    encode_command(bytes, args);
}

#[cfg(test)]
mod tests;
