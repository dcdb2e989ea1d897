//! Too many connections, and connections that do nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Scene, eventually, info};

/// The most resident memory of an idle connection, before its buffers are released, in bytes.
const IDLE_BYTES_MAX: u64 = 24 * 1024;
/// The most processor time of idle connections, in percent of one processor.
const IDLE_PERCENT_MAX: f64 = 10.0;
/// The most memory of clients that do not read, beyond their pending output, in KiB.
const UNREAD_KB_MAX: u64 = 64 * 1024;
/// Replies of 100,000 bytes that such a client requests where no limit closes it.
const UNREAD_REPLIES: u64 = 200;

/// Ten thousand connections that have sent one command.
pub(super) fn idle(scene: &mut Scene) -> Result<String> {
    let count = scene.scaled(300, 10_000);
    let before_kb = scene.server.rss_kb()?;
    let mut streams = Vec::with_capacity(count);
    for open in 0..count {
        let stream = TcpStream::connect(scene.server.addr())
            .with_context(|| format!("after {open} connections"))?;
        stream.set_read_timeout(Some(scene.patience()))?;
        streams.push(stream);
    }
    for stream in &mut streams {
        stream.write_all(b"PING\r\n")?;
    }
    for stream in &mut streams {
        let mut reply = [0; 7];
        stream.read_exact(&mut reply)?;
        ensure!(&reply == b"+PONG\r\n", "PING was answered {}", reply.escape_ascii());
    }
    let mut client = scene.connect()?;
    let connected = info(&mut client, "connected_clients")?;
    ensure!(connected > count as u64, "{connected} connections of {count}");
    let grown_bytes = scene.check_grown(before_kb, u64::MAX)? * 1024 / count as u64;
    ensure!(
        scene.scale == super::Scale::Short || grown_bytes < IDLE_BYTES_MAX,
        "{grown_bytes} resident bytes each"
    );
    let (began, cpu) = (Instant::now(), scene.server.cpu_time()?.total());
    let window = Duration::from_secs(scene.scaled(1, 10) as u64);
    while began.elapsed() < window {
        std::thread::sleep(Duration::from_millis(10));
    }
    let used = scene.server.cpu_time()?.total() - cpu;
    let percent = 100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64();
    ensure!(percent < IDLE_PERCENT_MAX, "idle connections take {percent:.1} % of a processor");
    drop(streams);
    scene.wait_for_clients(2)?;
    Ok(format!("{count} connections, {grown_bytes} resident bytes each, {percent:.1} % of a CPU"))
}

/// Requests far more than a socket holds and reads nothing, until the server closes the connection.
fn ask_until_closed(addr: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    let batch = b"GET unread\r\n".repeat(10_000);
    for _ in 0..200 {
        if let Err(error) = stream.write_all(&batch) {
            let closed = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            ensure!(closed, "{error}");
            return Ok(stream);
        }
    }
    anyhow::bail!("24 MB of requests were taken from a client that reads nothing")
}

fn set_unread(scene: &Scene) -> Result<()> {
    scene.connect()?.must(&["SET", "unread", &"x".repeat(100_000)]).map(drop)
}

/// Clients that never read, under an output limit: they are closed.
pub(super) fn never_reads_limited(scene: &mut Scene) -> Result<String> {
    set_unread(scene)?;
    let before_kb = scene.server.rss_kb()?;
    let count = scene.scaled(2, 20) as u64;
    let mut client = scene.connect()?;
    let mut streams = Vec::new();
    for closed in 1..=count {
        streams.push(ask_until_closed(scene.server.addr())?);
        eventually("a client that never reads is closed", || {
            let name = "client_output_buffer_limit_disconnections";
            Ok(info(&mut client, name)? >= closed)
        })?;
    }
    let grown_kb = scene.check_grown(before_kb, UNREAD_KB_MAX)?;
    Ok(format!("{count} closed, {grown_kb} KiB more resident"))
}

/// Clients that never read, without a limit: they cost the memory of their pending output, and no
/// processor time.
pub(super) fn never_reads(scene: &mut Scene) -> Result<String> {
    set_unread(scene)?;
    let before_kb = scene.server.rss_kb()?;
    let count = scene.scaled(2, 20) as u64;
    let mut client = scene.connect()?;
    let mut streams = Vec::new();
    for asked in 1..=count {
        let mut stream = TcpStream::connect(scene.server.addr())?;
        stream.write_all(&b"GET unread\r\n".repeat(UNREAD_REPLIES as usize))?;
        eventually("all is executed", || {
            Ok(info(&mut client, "keyspace_hits")? >= asked * UNREAD_REPLIES)
        })?;
        streams.push(stream);
    }
    let owed_kb = count * UNREAD_REPLIES * 100_000 / 1024;
    let grown_kb = scene.check_grown(before_kb, owed_kb * 5 / 4 + UNREAD_KB_MAX)?;
    let (began, cpu) = (Instant::now(), scene.server.cpu_time()?.total());
    while began.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let used = scene.server.cpu_time()?.total() - cpu;
    ensure!(used < Duration::from_millis(400), "{used:?} of processor time in a second");
    drop((streams, client));
    scene.wait_for_clients(2)?;
    Ok(format!("{count} waiting, {grown_kb} KiB more resident, {used:?} of CPU in a second"))
}

/// Connections that are opened and closed as fast as possible.
pub(super) fn connections(scene: &mut Scene) -> Result<String> {
    let before_kb = scene.server.rss_kb()?;
    let (threads, window) = (4, Duration::from_secs(scene.scaled(1, 8) as u64));
    let began = Instant::now();
    let addr = scene.server.addr();
    let busy: Vec<_> = (0..threads)
        .map(|_| std::thread::spawn(move || come_and_go(addr, began, window)))
        .collect();
    let mut count = 0;
    for thread in busy {
        count += thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    scene.wait_for_clients(2)?;
    let grown_kb = scene.check_grown(before_kb, 64 * 1024)?;
    Ok(format!("{count} connections, {rate:.0} a second, {grown_kb} KiB more resident"))
}

fn come_and_go(addr: SocketAddr, began: Instant, window: Duration) -> Result<u64> {
    let mut count = 0;
    while began.elapsed() < window {
        count += 1;
        let mut stream = match TcpStream::connect(addr) {
            Ok(stream) => stream,
            // Ports of closed connections are blocked for a second.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match count % 4 {
            0 => {}
            1 => stream.write_all(b"*1\r\n$4\r\nPI")?,
            2 => stream.write_all(b"PING\r\nQUIT\r\n")?,
            _ => {
                stream.write_all(b"PING\r\n")?;
                let mut reply = [0; 7];
                stream.read_exact(&mut reply)?;
            }
        }
    }
    Ok(count)
}
