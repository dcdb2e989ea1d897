//! Requests that are split, ordered and delimited as no client library would.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use anyhow::{Result, ensure};
use redix_resp::{ReplyDecoder, encode_command};

use super::Scene;

/// Sends bytes, then closes its sending side; returns everything received until the server closed.
pub(super) fn exchange(mut stream: TcpStream, bytes: &[u8]) -> Result<Vec<u8>> {
    // Ignored: the connection may be closed meanwhile.
    stream.write_all(bytes).ok();
    stream.shutdown(Shutdown::Write).ok();
    let mut answered = Vec::new();
    match stream.read_to_end(&mut answered) {
        Ok(_) => {}
        // A close with unread input arrives as a reset.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    Ok(answered)
}

/// Decodes everything that was received as replies; fails if it is anything else.
pub(super) fn replies(answered: &[u8]) -> Result<usize> {
    let mut decoder = ReplyDecoder::default();
    decoder.feed(answered);
    let mut count = 0;
    while decoder.next_reply()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// `*0` and `*-5`, many of them and between commands.
pub(super) fn empty_arrays(scene: &mut Scene) -> Result<String> {
    let count = scene.scaled(20_000, 1_000_000);
    let mut bytes = Vec::new();
    for _ in 0..count {
        let empty = *scene.rng.pick(&["*0\r\n", "*-5\r\n", "*-1\r\n", "\r\n"]);
        bytes.extend_from_slice(empty.as_bytes());
    }
    bytes.extend_from_slice(b"PING\r\n");
    let answered = exchange(scene.raw()?, &bytes)?;
    ensure!(answered == b"+PONG\r\n", "answered {} bytes", answered.len());
    let mut mixed = Vec::new();
    for _ in 0..count / 100 {
        mixed.extend_from_slice(b"*0\r\nPING\r\n*-5\r\n*1\r\n$4\r\nPING\r\n");
    }
    let answered = exchange(scene.raw()?, &mixed)?;
    ensure!(answered == b"+PONG\r\n".repeat(count / 50), "answered {} bytes", answered.len());
    Ok(format!("{count} arrays without a command"))
}

/// Inline commands without any protocol.
pub(super) fn bare_words(scene: &mut Scene) -> Result<String> {
    let count = scene.scaled(20, 1000);
    for _ in 0..count {
        let answered = exchange(scene.raw()?, b"INFO\r\n")?;
        ensure!(answered.starts_with(b"$") && replies(&answered)? == 1, "INFO was not answered");
    }
    let words = b"info\nPing\r\n   PING   \r\n\tPING\r\nECHO 'a b'\r\nECHO \"\\x41\\n\"\nPING";
    let answered = exchange(scene.raw()?, words)?;
    // An unterminated line is no command.
    ensure!(replies(&answered)? == 6, "{}", answered.escape_ascii());
    Ok(format!("{count} times INFO"))
}

/// A session whose replies do not depend on how it is split.
fn session(scene: &mut Scene) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_command(&mut bytes, &["SELECT", "3"]);
    encode_command(&mut bytes, &["FLUSHDB"]);
    let keys: Vec<String> = (0..20).map(|index| format!("k{index}")).collect();
    let rng = &mut scene.rng;
    for _ in 0..100 {
        let key = rng.pick(&keys).as_bytes();
        let len = rng.below(80);
        let value = rng.printable(len);
        match rng.below(12) {
            0..3 => encode_command(&mut bytes, &[b"SET", key, &value]),
            3 => encode_command(&mut bytes, &[b"APPEND", key, &value]),
            4..6 => encode_command(&mut bytes, &[b"GET", key]),
            6 => encode_command(&mut bytes, &[b"INCR", key]),
            7 => bytes.extend_from_slice(b"*0\r\n*-3\r\n\r\nECHO  \"a \\\"quoted\\\" word\" \r\n"),
            8 => bytes.extend_from_slice(b"MULTI\r\n*1\r\n$4\r\nPING\r\nNOSUCH\r\nEXEC\r\n"),
            9 => encode_command(&mut bytes, &["NOSUCH", "with", "words"]),
            10 => encode_command(&mut bytes, &[b"ECHO", &[0, 13, 10, 255][..]]),
            _ => encode_command(&mut bytes, &["HELLO", *rng.pick(&["2", "9"])]),
        }
    }
    bytes
}

/// One byte per packet, for a long mixed session.
pub(super) fn byte_by_byte(scene: &mut Scene) -> Result<String> {
    let mut sent = 0;
    for _ in 0..scene.scaled(1, 20) {
        let bytes = session(scene);
        let mut slow = scene.raw()?;
        let late = std::thread::spawn({
            let (bytes, mut slow) = (bytes.clone(), slow.try_clone()?);
            move || -> std::io::Result<()> {
                for byte in bytes {
                    slow.write_all(&[byte])?;
                }
                slow.shutdown(Shutdown::Write)
            }
        });
        let mut answered = Vec::new();
        slow.read_to_end(&mut answered)?;
        late.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        let at_once = exchange(scene.raw()?, &bytes)?;
        let same = without_ids(&at_once)? == without_ids(&answered)?;
        ensure!(same, "answered otherwise than at once: {}", answered.escape_ascii());
        sent += bytes.len();
    }
    Ok(format!("{sent} bytes in packets of one"))
}

/// The replies as text, without the connection id in HELLO.
fn without_ids(answered: &[u8]) -> Result<Vec<String>> {
    let mut decoder = ReplyDecoder::default();
    decoder.feed(answered);
    let mut texts = Vec::new();
    while let Some(reply) = decoder.next_reply()? {
        let text = reply.pretty();
        texts.push(if text.contains("\"proto\"") { "HELLO".into() } else { text });
    }
    Ok(texts)
}

/// Incomplete commands, after which the connection is closed, by either side.
pub(super) fn half_commands(scene: &mut Scene) -> Result<String> {
    let before_kb = scene.server.rss_kb()?;
    let count = scene.scaled(300, 10_000);
    let whole: &[&[u8]] = &[
        b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$3\r\nabc\r\n",
        b"*2\r\n$3\r\nDEL\r\n$4\r\nhalf\r\n",
        b"SET half 'a value'\r\n",
        b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100000\r\nxxxxxxxxxx",
    ];
    for _ in 0..count {
        let bytes = *scene.rng.pick(whole);
        let cut = 1 + scene.rng.below(bytes.len() - 1);
        // The last byte completes these commands.
        let mut stream = scene.raw()?;
        stream.write_all(&bytes[..cut])?;
        if scene.rng.chance(50) {
            ensure!(exchange(stream, b"")? == b"", "half a command was answered");
        }
    }
    scene.wait_for_clients(2)?;
    let reply = scene.connect()?.must(&["EXISTS", "half"])?;
    ensure!(reply.pretty() == "(integer) 0", "half a command was executed");
    let grown_kb = scene.check_grown(before_kb, 64 * 1024)?;
    Ok(format!("{count} closed in the middle, {grown_kb} KiB more resident"))
}

/// Inline commands that are long, have many arguments or quotes, or no end.
pub(super) fn inline(scene: &mut Scene) -> Result<String> {
    let before_kb = scene.server.rss_kb()?;
    let words = [&b"ECHO"[..], &b" a".repeat(30_000), b"\r\n"].concat();
    ensure!(exchange(scene.raw()?, &words)?.starts_with(b"-ERR wrong number"), "30,000 words");
    let quoted = [&b"ECHO \""[..], &b"\\x00".repeat(15_000), b"\"\r\n"].concat();
    ensure!(exchange(scene.raw()?, &quoted)?.starts_with(b"$15000\r\n"), "15,000 escapes");
    let unbalanced = [&b"ECHO "[..], &b"'\"".repeat(20_000), b"\r\n"].concat();
    let answered = exchange(scene.raw()?, &unbalanced)?;
    ensure!(answered.starts_with(b"-ERR Protocol error: unbalanced quotes"), "unbalanced quotes");
    let before = b"PING\r\n";
    for len in [70_000, 1 << 20, scene.scaled(4, 64) << 20] {
        let endless = [&before[..], &b"x".repeat(len)].concat();
        let answered = exchange(scene.raw()?, &endless)?;
        // The reply may be lost with the connection, which is reset while data is still being sent.
        let closed = answered.is_empty()
            || answered == b"+PONG\r\n"
            || answered.starts_with(b"+PONG\r\n-ERR Protocol error: too big inline request");
        ensure!(closed, "{}", answered.escape_ascii());
    }
    let count = scene.scaled(50, 2000);
    for _ in 0..count {
        let len = 1 + scene.rng.below(2000);
        let line: Vec<u8> =
            (0..len).map(|_| *scene.rng.pick(b"  \t'\"\\\\xn09af%*$\0\x80[]")).collect();
        replies(&exchange(scene.raw()?, &[&line[..], b"\r\nPING\r\n"].concat())?)?;
    }
    scene.wait_for_clients(2)?;
    let grown_kb = scene.check_grown(before_kb, 64 * 1024)?;
    Ok(format!("{count} lines besides, {grown_kb} KiB more resident"))
}
