//! Oversized requests: announcements, pipelines, transactions, patterns.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use redix_resp::{ReplyDecoder, Value, encode_command};

use super::{Scene, info};

/// The most memory of a connection for data that it announced and did not send, in KiB.
const ANNOUNCED_KB_MAX: u64 = 96;

/// Announced lengths of 512 MB whose data never arrives, from many connections at once.
pub(super) fn announcements(scene: &mut Scene) -> Result<String> {
    let before_kb = scene.server.rss_kb()?;
    let count = scene.scaled(50, 1000);
    let heads: &[&[u8]] = &[
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n",
        b"*3\r\n$3\r\nSET\r\n$536870912\r\n",
        b"*1\r\n$536870912\r\n",
        b"*1048576\r\n$4\r\nMSET\r\n",
        b"*2147483647\r\n$4\r\nMSET\r\n$1\r\nk\r\n$536870912\r\n",
    ];
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = scene.raw()?;
        let head = *scene.rng.pick(heads);
        stream.write_all(head)?;
        let some = scene.rng.below(4000);
        stream.write_all(&b"x".repeat(some))?;
        streams.push(stream);
    }
    for last in [false, true] {
        // Everything sent before has been read once this many commands have been replied to.
        for _ in 0..16 {
            scene.connect()?.must(&["PING"])?;
        }
        if !last {
            // One byte of the body, for which the server might reserve more memory.
            streams.iter_mut().try_for_each(|stream| stream.write_all(b"x"))?;
        }
    }
    let grown_kb = scene.check_grown(before_kb, count as u64 * ANNOUNCED_KB_MAX)?;
    drop(streams);
    scene.wait_for_clients(2)?;
    Ok(format!("{count} announced, {grown_kb} KiB more resident"))
}

/// Writes everything at once while reading the replies, which it returns.
fn pipeline(mut stream: TcpStream, bytes: Vec<u8>, count: usize) -> Result<Vec<Value>> {
    let mut writing = stream.try_clone()?;
    let writer = std::thread::spawn(move || writing.write_all(&bytes));
    let mut decoder = ReplyDecoder::default();
    let (mut replies, mut buffer) = (Vec::with_capacity(count), vec![0; 64 * 1024]);
    while replies.len() < count {
        match decoder.next_reply()? {
            Some(reply) => replies.push(reply),
            None => {
                let len = stream.read(&mut buffer).context("the pipeline's replies")?;
                ensure!(len > 0, "closed after {} of {count} replies", replies.len());
                decoder.feed(&buffer[..len]);
            }
        }
    }
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    Ok(replies)
}

/// 100,000 commands in one write, from several clients at once.
pub(super) fn pipelines(scene: &mut Scene) -> Result<String> {
    let count = scene.scaled(10_000, 100_000);
    let clients = scene.scaled(2, 8);
    let before_kb = scene.server.rss_kb()?;
    let started = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let mut bytes = Vec::new();
            let key = format!("counter:{client}");
            (0..count).for_each(|_| encode_command(&mut bytes, &["INCR", &key]));
            let stream = scene.raw()?;
            Ok(std::thread::spawn(move || pipeline(stream, bytes, count)))
        })
        .collect::<Result<_>>()?;
    for thread in threads {
        let replies = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        let in_order = (1..).zip(&replies).all(|(n, reply)| *reply == Value::Int(n));
        ensure!(in_order, "replies are missing or out of order");
    }
    let seconds = started.elapsed().as_secs_f64();
    let grown_kb = scene.check_grown(before_kb, clients as u64 * 32 * 1024)?;
    Ok(format!("{clients} x {count} in {seconds:.2} s, {grown_kb} KiB more resident"))
}

/// MULTI with 100,000 queued commands: executed, discarded, refused, and left behind.
pub(super) fn transactions(scene: &mut Scene) -> Result<String> {
    let count = scene.scaled(5000, 100_000);
    let before_kb = scene.server.rss_kb()?;
    for ending in ["EXEC", "DISCARD", "NOSUCH", ""] {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &["MULTI"]);
        for index in 0..count {
            encode_command(&mut bytes, &["SET", &format!("queued:{index}"), "value"]);
        }
        let mut expected = count + 1;
        if !ending.is_empty() {
            encode_command(&mut bytes, &[ending]);
            expected += 1;
        }
        if ending == "NOSUCH" {
            encode_command(&mut bytes, &["EXEC"]);
            expected += 1;
        }
        let last = pipeline(scene.raw()?, bytes, expected)?.pop().context("no reply")?;
        let right = match (ending, &last) {
            ("EXEC", Value::Array(all)) => all.len() == count,
            ("DISCARD", Value::Simple(text)) => text == b"OK",
            ("NOSUCH", Value::Error(text)) => text.starts_with(b"EXECABORT"),
            (_, Value::Simple(text)) => text == b"QUEUED",
            _ => false,
        };
        ensure!(right, "{ending} was answered {:.100}", last.pretty());
    }
    scene.wait_for_clients(2)?;
    let mut client = scene.connect()?;
    ensure!(info(&mut client, "total_commands_processed")? > count as u64, "nothing was executed");
    // 100 bytes per queued command, several times over, as the allocator returns memory late.
    let limit_kb = 32 * 1024 + count as u64;
    let grown_kb = scene.check_grown(before_kb, limit_kb)?;
    Ok(format!("{count} queued 4 times, {grown_kb} KiB more resident"))
}

/// Patterns with exponential naive matching, and long ones.
pub(super) fn patterns(scene: &mut Scene) -> Result<String> {
    let mut client = scene.connect()?;
    client.set_timeout(scene.patience());
    client.must(&["SELECT", "4"])?;
    for len in [30, 300, 3000] {
        client.must(&["SET", &"a".repeat(len), "1"])?;
    }
    let stars = scene.scaled(50, 1000);
    let long = scene.scaled(100_000, 1_000_000);
    let patterns: Vec<Vec<u8>> = vec![
        [b"*a".repeat(stars), b"b".to_vec()].concat(),
        [b"a*".repeat(stars), b"b".to_vec()].concat(),
        [b"*?".repeat(stars), b"b".to_vec()].concat(),
        b"*".repeat(long),
        b"[".repeat(long),
        [b"[".to_vec(), b"a-".repeat(long / 2)].concat(),
        [b"[^".to_vec(), b"]-[".repeat(long / 3)].concat(),
        b"\\".repeat(long),
        b"?".repeat(long),
        b"*[^b]".repeat(stars),
        vec![0xff; long],
    ];
    let mut slowest = std::time::Duration::ZERO;
    for pattern in &patterns {
        for words in [
            vec![&b"KEYS"[..], pattern],
            vec![b"SCAN", b"0", b"MATCH", pattern, b"COUNT", b"1000000"],
            vec![b"CONFIG", b"GET", pattern],
        ] {
            let asked = Instant::now();
            client.must(&words)?;
            slowest = slowest.max(asked.elapsed());
        }
    }
    let count = scene.scaled(100, 3000);
    for _ in 0..count {
        let len = 1 + scene.rng.below(200);
        let pattern: Vec<u8> = (0..len).map(|_| *scene.rng.pick(b"**??[]^-\\ab\0\xff")).collect();
        client.must(&[&b"KEYS"[..], &pattern])?;
        client.cmd(&[&b"SCAN"[..], &pattern, b"COUNT", &pattern])?;
        client.must(&[&b"SCAN"[..], b"18446744073709551615", b"MATCH", &pattern])?;
    }
    let slowest = slowest.as_millis();
    Ok(format!("{} patterns and {count} random ones, at most {slowest} ms", patterns.len()))
}
