//! The closed loop: one thread, one epoll set, every connection with one batch in flight.
//!
//! It must cost less than the server it drives, so a batch is one `write` of ready bytes, one
//! `read` and one comparison with the expected bytes. Events are edge-triggered: a short read means
//! the socket is empty, and the next reply byte raises a new event.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::requests::Requests;

/// A server that answers nothing for so long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// When to stop.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// So many requests were answered; none is in flight then.
    Answered(usize),
    /// So much time has passed; batches stay in flight for the next run.
    Elapsed(Duration),
}

/// Connections to one server that send one stream of requests.
pub(crate) struct Load<'a> {
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
    requests: &'a mut Requests,
    depth: usize,
    /// Replies of which only the lines count.
    scratch: Vec<u8>,
    /// How long batches wait for their replies, in microseconds, if that is recorded.
    waits: Option<Histogram<u64>>,
}

/// Bytes read at once where only lines count.
const SCRATCH_BYTES: usize = 64 * 1024;

struct Conn {
    stream: TcpStream,
    /// The number of the first request of the batch in flight.
    first: usize,
    sent: usize,
    in_flight: bool,
    replies: Vec<u8>,
    /// Bytes, or lines where only those are known.
    received: usize,
    wants_write: bool,
    sent_at: Instant,
}

impl<'a> Load<'a> {
    /// Connects, and sends nothing yet.
    pub(crate) fn connect(
        addr: SocketAddr,
        connections: usize,
        depth: usize,
        requests: &'a mut Requests,
    ) -> Result<Load<'a>> {
        Self::connect_with(addr, connections, depth, requests, (b"", b""))
    }

    /// As [`Load::connect`], after each connection has sent a greeting and received these replies.
    pub(crate) fn connect_with(
        addr: SocketAddr,
        connections: usize,
        depth: usize,
        requests: &'a mut Requests,
        (greeting, expected): (&[u8], &[u8]),
    ) -> Result<Load<'a>> {
        ensure!(depth <= requests.count(), "the stream is shorter than a batch");
        let poll = Poll::new()?;
        let mut conns = Vec::with_capacity(connections);
        for index in 0..connections {
            let mut stream = std::net::TcpStream::connect(addr).context("connecting")?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(SILENCE_LIMIT))?;
            stream.write_all(greeting)?;
            let mut replies = vec![0; expected.len()];
            stream.read_exact(&mut replies).context("the replies to a greeting")?;
            ensure!(replies == expected, "{:?}", String::from_utf8_lossy(&replies));
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            let replies = vec![0; requests.reply_len() * depth];
            conns.push(Conn {
                stream,
                first: 0,
                sent: 0,
                in_flight: false,
                replies,
                received: 0,
                wants_write: false,
                sent_at: Instant::now(),
            });
        }
        let events = Events::with_capacity(connections);
        let (scratch, waits) = (vec![0; SCRATCH_BYTES], None);
        Ok(Load { poll, events, conns, requests, depth, scratch, waits })
    }

    /// From now on records how long batches wait for their replies.
    pub(crate) fn record_waits(&mut self) -> Result<()> {
        self.waits = Some(Histogram::new_with_bounds(1, 60_000_000, 3)?);
        Ok(())
    }

    /// How long batches have waited, in microseconds.
    pub(crate) fn waits(&self) -> Option<&Histogram<u64>> {
        self.waits.as_ref()
    }

    /// Sends and receives; the number of requests answered.
    pub(crate) fn run(&mut self, until: Until) -> Result<usize> {
        let started = Instant::now();
        let batches = match until {
            Until::Answered(count) => count / self.depth,
            Until::Elapsed(_) => usize::MAX,
        };
        let mut sent = self.conns.iter().filter(|conn| conn.in_flight).count();
        for index in 0..self.conns.len() {
            if !self.conns[index].in_flight && sent < batches {
                self.send_batch(index)?;
                sent += 1;
            }
        }
        let mut answered = 0;
        let mut last_answer = started;
        while answered < batches {
            match self.poll.poll(&mut self.events, Some(Duration::from_millis(100))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            let now = Instant::now();
            let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for index in ready {
                if self.advance(index)? {
                    self.note_wait(index)?;
                    answered += 1;
                    last_answer = now;
                    if sent < batches {
                        self.send_batch(index)?;
                        sent += 1;
                    }
                }
            }
            if now - last_answer > SILENCE_LIMIT {
                bail!("no reply for {SILENCE_LIMIT:?}");
            }
            if let Until::Elapsed(limit) = until
                && now - started >= limit
            {
                break;
            }
        }
        Ok(answered * self.depth)
    }

    fn send_batch(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        conn.first = self.requests.take(self.depth);
        conn.sent = 0;
        conn.received = 0;
        conn.in_flight = true;
        if self.waits.is_some() {
            conn.sent_at = Instant::now();
        }
        self.flush(index)
    }

    fn note_wait(&mut self, index: usize) -> Result<()> {
        if let Some(waits) = &mut self.waits {
            let waited = u64::try_from(self.conns[index].sent_at.elapsed().as_micros())?;
            waits.record(waited.max(1))?;
        }
        Ok(())
    }

    fn flush(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        let bytes = self.requests.bytes(conn.first, self.depth);
        while conn.sent < bytes.len() {
            match conn.stream.write(&bytes[conn.sent..]) {
                Ok(len) => conn.sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("sending requests"),
            }
        }
        let wants_write = conn.sent < bytes.len();
        if wants_write != conn.wants_write {
            conn.wants_write = wants_write;
            let both = Interest::READABLE | Interest::WRITABLE;
            let interest = if wants_write { both } else { Interest::READABLE };
            self.poll.registry().reregister(&mut conn.stream, Token(index), interest)?;
        }
        Ok(())
    }

    /// Goes on with a ready connection; whether its batch is now answered.
    fn advance(&mut self, index: usize) -> Result<bool> {
        if self.conns[index].wants_write {
            self.flush(index)?;
        }
        let conn = &mut self.conns[index];
        if !conn.in_flight {
            return Ok(false);
        }
        if let Some(lines) = self.requests.reply_lines() {
            return self.count_lines(index, lines * self.depth);
        }
        loop {
            let wanted = conn.replies.len() - conn.received;
            let len = match conn.stream.read(&mut conn.replies[conn.received..]) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("receiving replies"),
            };
            conn.received += len;
            if conn.replies[0] == b'-' {
                let shown = String::from_utf8_lossy(&conn.replies[..conn.received.min(200)]);
                bail!("the server answered {shown:?}");
            }
            if len == wanted {
                break;
            }
        }
        conn.in_flight = false;
        if !self.requests.replies_match(conn.first, self.depth, &conn.replies) {
            let shown = String::from_utf8_lossy(&conn.replies[..conn.replies.len().min(200)]);
            bail!("not the expected reply: {shown:?}");
        }
        Ok(true)
    }

    /// Reads what a connection has; whether it has all lines now.
    fn count_lines(&mut self, index: usize, wanted: usize) -> Result<bool> {
        let Self { conns, scratch, .. } = self;
        let conn = &mut conns[index];
        while conn.received < wanted {
            let len = match conn.stream.read(scratch) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("receiving replies"),
            };
            if conn.received == 0 && scratch[0] == b'-' {
                let shown = String::from_utf8_lossy(&scratch[..len.min(200)]);
                bail!("the server answered {shown:?}");
            }
            conn.received += memchr::memchr_iter(b'\n', &scratch[..len]).count();
        }
        if conn.received > wanted {
            bail!("{} lines of replies instead of {wanted}", conn.received);
        }
        conn.in_flight = false;
        Ok(true)
    }
}
