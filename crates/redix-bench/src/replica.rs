//! A passive replica: it synchronises, discards what it receives and acknowledges it.
//!
//! It costs the machine next to nothing and is the same for every server, so that the cost of a
//! replica to its primary can be compared.
//!
//! Source: Redis documentation, "Replication"; `PSYNC` and its two transfer forms (`$<length>` and
//! `$EOF:<mark>`).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redix_resp::encode_command;
use redix_testkit::Client;

const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// Polling interval for the end of the run.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const SYNC_LIMIT: Duration = Duration::from_secs(300);
const MARK_LEN: usize = 40;
const LINE_MAX: usize = 256;

/// A replica in a thread of its own, which ends when this is dropped.
pub(crate) struct Replica {
    ended: Arc<AtomicBool>,
    synced: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Replica {
    /// Attaches to a primary, without the delay that waits for further replicas.
    pub(crate) fn attach(primary: SocketAddr) -> Result<Replica> {
        let mut client = Client::connect(primary)?;
        client.must(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"])?;
        let (ended, synced) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let link = Link::connect(primary)?;
        let marks = (Arc::clone(&ended), Arc::clone(&synced));
        let thread = thread::spawn(move || link.run(&marks.0, &marks.1));
        Ok(Replica { ended, synced, thread: Some(thread) })
    }

    /// Whether it has received the data set. Fails if the link broke.
    pub(crate) fn is_synced(&self) -> Result<bool> {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        ensure!(!ended, "the replica's link broke");
        Ok(self.synced.load(Ordering::Acquire))
    }

    /// Waits until it has received the data set.
    pub(crate) fn wait_synced(&self) -> Result<()> {
        let started = Instant::now();
        while !self.is_synced()? {
            ensure!(started.elapsed() < SYNC_LIMIT, "no synchronisation in {SYNC_LIMIT:?}");
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(Err(error)) = self.thread.take().and_then(|thread| thread.join().ok()) {
            eprintln!("a replica's link broke: {error:#}");
        }
    }
}

struct Link {
    stream: TcpStream,
    buf: Vec<u8>,
    filled: usize,
    acked: Instant,
    /// Bytes of the stream received.
    offset: u64,
}

impl Link {
    fn connect(primary: SocketAddr) -> Result<Link> {
        let stream = TcpStream::connect(primary)?;
        stream.set_read_timeout(Some(LOOK_INTERVAL))?;
        Ok(Link { stream, buf: vec![0; 1 << 20], filled: 0, acked: Instant::now(), offset: 0 })
    }

    fn run(mut self, ended: &AtomicBool, synced: &AtomicBool) -> Result<()> {
        // One at a time: a primary refuses PSYNC while it has pending replies.
        for words in [&["listening-port", "1"][..], &["capa", "eof", "capa", "psync2"]] {
            self.send(&[&["REPLCONF"], words].concat())?;
            let line = self.line(ended)?;
            ensure!(line == "+OK", "REPLCONF: {line}");
        }
        self.send(&["PSYNC", "?", "-1"])?;
        let line = self.line(ended)?;
        let offset = line.strip_prefix("+FULLRESYNC ").and_then(|rest| rest.split(' ').nth(1));
        self.offset = offset.with_context(|| format!("PSYNC: {line}"))?.parse()?;
        let line = self.line(ended)?;
        let Some(form) = line.strip_prefix('$') else { bail!("instead of a transfer: {line}") };
        match form.strip_prefix("EOF:") {
            Some(mark) => self.skip_to_mark(mark.as_bytes(), ended)?,
            None => self.skip(form.parse()?, ended)?,
        }
        synced.store(true, Ordering::Release);
        while !ended.load(Ordering::Acquire) {
            self.offset += self.filled as u64;
            self.filled = 0;
            if self.acked.elapsed() >= ACK_INTERVAL {
                self.acked = Instant::now();
                self.send(&["REPLCONF", "ACK", &self.offset.to_string()])?;
            }
            self.receive()?;
        }
        Ok(())
    }

    fn send(&mut self, words: &[&str]) -> Result<()> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Receives some bytes, or none within a timeout.
    fn receive(&mut self) -> Result<()> {
        ensure!(self.filled < self.buf.len(), "a line without end");
        match self.stream.read(&mut self.buf[self.filled..]) {
            Ok(0) => bail!("the primary closed the connection"),
            Ok(count) => self.filled += count,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return Err(error.into()),
            },
        }
        Ok(())
    }

    /// The next line that is not empty: empty ones are keep-alives.
    fn line(&mut self, ended: &AtomicBool) -> Result<String> {
        loop {
            let end = self.buf[..self.filled].iter().position(|&byte| byte == b'\n');
            if let Some(end) = end {
                let line = String::from_utf8_lossy(&self.buf[..end]).trim_end().to_owned();
                self.consume(end + 1);
                if !line.is_empty() {
                    return Ok(line);
                }
                continue;
            }
            ensure!(self.filled < LINE_MAX, "a line without end");
            ensure!(!ended.load(Ordering::Acquire), "ended before it was synchronised");
            self.receive()?;
        }
    }

    fn consume(&mut self, count: usize) {
        self.buf.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    fn skip(&mut self, mut count: u64, ended: &AtomicBool) -> Result<()> {
        loop {
            let here = usize::try_from(count)?.min(self.filled);
            self.consume(here);
            count -= here as u64;
            if count == 0 {
                return Ok(());
            }
            ensure!(!ended.load(Ordering::Acquire), "ended before it was synchronised");
            self.receive()?;
        }
    }

    /// Skips what comes before the mark, and the mark.
    fn skip_to_mark(&mut self, mark: &[u8], ended: &AtomicBool) -> Result<()> {
        ensure!(mark.len() == MARK_LEN, "a mark of {} bytes", mark.len());
        loop {
            let seen = &self.buf[..self.filled];
            if let Some(at) = memchr::memmem::find(seen, mark) {
                self.consume(at + MARK_LEN);
                return Ok(());
            }
            // A part of the mark may have been received.
            self.consume(self.filled.saturating_sub(MARK_LEN - 1));
            ensure!(!ended.load(Ordering::Acquire), "ended before it was synchronised");
            self.receive()?;
        }
    }
}
