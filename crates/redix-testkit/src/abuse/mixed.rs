//! Clients of every kind at once, which come, send, stop reading, close one side or both, and are
//! killed. What they leave behind is compared with what was there before they came.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use redix_resp::{ReplyDecoder, Value};

use super::{Scene, eventually, info};
use crate::{Client, Rng};

/// The Unix socket, in the server's directory.
pub(super) const SOCKET: &str = "mixed.sock";
const THREADS: usize = 4;
/// Connections that each thread keeps between its steps.
const KEPT_MAX: usize = 24;
/// The most memory that may be in use afterwards beyond what was before, in bytes: pools of buffers
/// and the statistics of commands.
const LEFT_BYTES_MAX: u64 = 4 << 20;
const VALUE: &[u8] = b"the value of mixed clients";
const LARGE_LEN: usize = 300_000;

/// See the module's documentation.
pub(super) fn mixed(scene: &mut Scene) -> Result<String> {
    let mut client = scene.connect()?;
    client.must(&["SET", "mixed", std::str::from_utf8(VALUE)?])?;
    client.must(&["SET", "large", &"l".repeat(LARGE_LEN)])?;
    // One round first, so that what is made once is there.
    crowd(scene, Duration::from_millis(500))?;
    settle(scene)?;
    let (files, memory) = (open_files(scene)?, info(&mut client, "used_memory")?);
    let steps = crowd(scene, scene.window())?;
    settle(scene)?;
    eventually("all descriptors are closed", || Ok(open_files(scene)? <= files))?;
    let mut left = 0;
    eventually("the memory of connections is freed", || {
        left = info(&mut client, "used_memory")?.saturating_sub(memory);
        Ok(left <= LEFT_BYTES_MAX)
    })?;
    let text = client.must(&["INFO", "server"])?;
    let Value::Bulk(text) = text else { bail!("INFO is no text") };
    let text = String::from_utf8(text)?;
    let backend = text.lines().find_map(|line| line.strip_prefix("io_backend:")).unwrap_or("?");
    Ok(format!("{backend}: {steps} steps, {files} descriptors before and after, {left} bytes more"))
}

fn settle(scene: &Scene) -> Result<()> {
    // The two of the scene, and the one of this unit.
    scene.wait_for_clients(3)
}

fn open_files(scene: &Scene) -> Result<usize> {
    let path = format!("/proc/{}/fd", scene.server.pid());
    // Short-lived clients of the scene have one now and then: the least of a few looks counts.
    let mut least = usize::MAX;
    for _ in 0..20 {
        least = least.min(std::fs::read_dir(&path).context("no list of descriptors")?.count());
        std::thread::sleep(Duration::from_millis(3));
    }
    Ok(least)
}

/// Runs the clients; returns how many steps they have made.
fn crowd(scene: &mut Scene, window: Duration) -> Result<usize> {
    let until = Instant::now() + window;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let mut guest = Guest {
                addr: scene.server.addr(),
                path: scene.server.dir().join(SOCKET),
                rng: Rng::new(scene.rng.next_u64()),
                patience: scene.patience().max(Duration::from_secs(20)),
                kept: Vec::new(),
            };
            std::thread::spawn(move || guest.visit(until))
        })
        .collect();
    let mut steps = 0;
    for thread in threads {
        steps += thread.join().map_err(|_| anyhow!("a client panicked"))??;
    }
    Ok(steps)
}

/// A connection of either family.
enum Line {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Line {
    fn shutdown(&self, how: Shutdown) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }

    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// One thread's clients.
struct Guest {
    addr: SocketAddr,
    path: PathBuf,
    rng: Rng,
    patience: Duration,
    kept: Vec<Line>,
}

impl Guest {
    fn visit(&mut self, until: Instant) -> Result<usize> {
        let mut steps = 0;
        while Instant::now() < until {
            self.step()?;
            steps += 1;
        }
        Ok(steps)
    }

    fn step(&mut self) -> Result<()> {
        let Some(mut line) = self.line()? else { return Ok(()) };
        match self.rng.below(12) {
            0..5 => self.pipeline(&mut line)?,
            5 => self.many_at_once()?,
            6 => return self.half_close(line),
            7 => {
                // Replies that nobody reads, and a connection that is reset because of it.
                line.send(&b"GET large\r\n".repeat(1 + self.rng.below(40)))?;
                return Ok(());
            }
            8 => {
                line.send(b"*2\r\n$3\r\nSET\r\n$100000\r\nhalf a com")?;
                return Ok(line.shutdown(Shutdown::Write).or_else(closed_by_peer)?);
            }
            9 => self.large(&mut line)?,
            10 => return self.killed(line),
            _ => return Ok(()),
        }
        if self.kept.len() < KEPT_MAX {
            self.kept.push(line);
        }
        Ok(())
    }

    /// A kept connection, or a new one; none if the system has no port at the moment.
    fn line(&mut self) -> Result<Option<Line>> {
        if !self.kept.is_empty() && self.rng.chance(70) {
            let at = self.rng.below(self.kept.len());
            return Ok(Some(self.kept.swap_remove(at)));
        }
        open(self.addr, &self.path, self.rng.chance(30), self.patience)
    }

    fn pipeline(&mut self, line: &mut Line) -> Result<()> {
        let most = if self.rng.chance(20) { 300 } else { 4 };
        let count = 1 + self.rng.below(most);
        line.send(&b"GET mixed\r\n".repeat(count))?;
        expect(line, count, VALUE)
    }

    /// A request on each kept connection before any reply is read.
    fn many_at_once(&mut self) -> Result<()> {
        for line in &mut self.kept {
            line.send(b"GET mixed\r\n")?;
        }
        self.kept.iter_mut().try_for_each(|line| expect(line, 1, VALUE))
    }

    /// What was sent before the client's end is answered, and then the server closes, too.
    fn half_close(&mut self, mut line: Line) -> Result<()> {
        let count = 1 + self.rng.below(200);
        line.send(&b"GET mixed\r\n".repeat(count))?;
        line.shutdown(Shutdown::Write)?;
        expect(&mut line, count, VALUE)?;
        let rest = line.reader().read(&mut [0])?;
        ensure!(rest == 0, "more than the replies");
        Ok(())
    }

    /// A large value in both directions.
    fn large(&mut self, line: &mut Line) -> Result<()> {
        let text = vec![b'0' + u8::try_from(self.rng.below(10))?; LARGE_LEN];
        let mut bytes = format!("*2\r\n$4\r\nECHO\r\n${LARGE_LEN}\r\n").into_bytes();
        bytes.extend(&text);
        bytes.extend(b"\r\n");
        line.send(&bytes)?;
        expect(line, 1, &text)
    }

    /// Killed by another connection while it has requests on their way.
    fn killed(&mut self, mut line: Line) -> Result<()> {
        line.send(b"CLIENT ID\r\n")?;
        let Value::Int(id) = reply(&mut line, &mut ReplyDecoder::default())? else {
            bail!("CLIENT ID is no number")
        };
        line.send(&b"GET large\r\n".repeat(self.rng.below(20)))?;
        Client::connect(self.addr)?.must(&["CLIENT", "KILL", "ID", &id.to_string()])?;
        loop {
            match line.reader().read(&mut [0; 65536]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return closed_by_peer(error).map_err(Into::into),
            }
        }
    }
}

fn closed_by_peer(error: std::io::Error) -> std::io::Result<()> {
    use ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    match error.kind() {
        BrokenPipe | ConnectionReset | NotConnected => Ok(()),
        _ => Err(error),
    }
}

fn open(addr: SocketAddr, path: &Path, unix: bool, patience: Duration) -> Result<Option<Line>> {
    if unix {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(patience))?;
        return Ok(Some(Line::Unix(stream)));
    }
    match TcpStream::connect(addr) {
        Ok(stream) => {
            stream.set_read_timeout(Some(patience))?;
            stream.set_nodelay(true)?;
            Ok(Some(Line::Tcp(stream)))
        }
        // Ports of closed connections are blocked for a second.
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// So many replies, each of this text.
fn expect(line: &mut Line, count: usize, text: &[u8]) -> Result<()> {
    let mut decoder = ReplyDecoder::default();
    for _ in 0..count {
        match reply(line, &mut decoder)? {
            Value::Bulk(found) if found == text => {}
            other => bail!("a client was answered {:.100}", other.pretty()),
        }
    }
    Ok(())
}

fn reply(line: &mut Line, decoder: &mut ReplyDecoder) -> Result<Value> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(reply) = decoder.next_reply()? {
            return Ok(reply);
        }
        let count = line.reader().read(&mut buffer).context("a client's reply")?;
        ensure!(count > 0, "closed before the reply");
        decoder.feed(&buffer[..count]);
    }
}
