//! Random bytes, mutated command streams, and replication commands from clients that are no
//! replicas.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redix_resp::encode_command;

use super::wire::exchange;
use super::{Scene, eventually, info};
use crate::Rng;

/// The most bytes that one connection sends, so that its replies fit into the sockets.
const STREAM_BYTES_MAX: usize = 16 * 1024;
/// The most growth of resident memory, in KiB.
const GROWN_KB_MAX: u64 = 128 * 1024;

fn window(scene: &Scene) -> Duration {
    Duration::from_secs(scene.scaled(1, 10) as u64)
}

/// Random bytes.
pub(super) fn random_bytes(scene: &mut Scene) -> Result<String> {
    const LIKELY: &[u8] = b"\r\n\r\n\r\n**$$+-:0123456789 \"'\0";
    let before_kb = scene.server.rss_kb()?;
    let (began, mut count, mut sent) = (Instant::now(), 0, 0);
    while began.elapsed() < window(scene) {
        let len = 1 + scene.rng.below(STREAM_BYTES_MAX);
        let likely = scene.rng.below(101);
        let bytes: Vec<u8> = (0..len)
            .map(|_| match scene.rng.chance(likely) {
                true => *scene.rng.pick(LIKELY),
                false => scene.rng.next_u64() as u8,
            })
            .collect();
        exchange(scene.raw()?, &bytes).with_context(|| bytes.escape_ascii().to_string())?;
        count += 1;
        sent += len;
    }
    scene.wait_for_clients(2)?;
    let grown_kb = scene.check_grown(before_kb, GROWN_KB_MAX)?;
    Ok(format!("{count} connections, {} KiB sent, {grown_kb} KiB more resident", sent / 1024))
}

/// Valid commands, none of which a mutation can turn into one that deletes the planted keys.
fn stream(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < STREAM_BYTES_MAX / 2 && !rng.chance(3) {
        let key = format!("k{}", rng.below(50));
        let len = rng.below(100);
        let value = String::from_utf8_lossy(&rng.printable(len)).into_owned();
        let small = rng.below(1000).to_string();
        let words: &[&str] = match rng.below(18) {
            0..3 => &["SET", &key, &value, "EX", "1000"],
            3 => &["GET", &key],
            4 => &["INCRBY", &key, &small],
            5 => &["APPEND", &key, &value],
            6 => &["GETRANGE", &key, "-5", &small],
            7 => &["MGET", &key, "k1", "k2"],
            8 => &["MSET", &key, &value, "k1", &small],
            9 => &["SCAN", &small, "MATCH", &key, "COUNT", "10"],
            10 => &["PEXPIRE", &key, &small],
            11 => &["OBJECT", "ENCODING", &key],
            12 => &["MULTI"],
            13 => &["EXEC"],
            14 => &["WATCH", &key],
            15 => &["HELLO", "3", "SETNAME", "noise"],
            16 => &["COMMAND", "INFO", "get"],
            _ => &["SELECT", "2"],
        };
        if rng.chance(10) {
            bytes.extend_from_slice(words.join(" ").as_bytes());
            bytes.extend_from_slice(b"\r\n");
        } else {
            encode_command(&mut bytes, words);
        }
    }
    bytes
}

/// Mutates some bytes: replaces, removes, inserts or repeats them.
pub(super) fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..1 + rng.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len());
        let end = (at + 1 + rng.below(20)).min(bytes.len());
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = *rng.pick(b"\r\n*$0-9: \0\xff"),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let numbers = [&b"0"[..], b"-1", b"9223372036854775807", b"536870912", b"1e9"];
                let number = rng.pick(&numbers).iter().copied();
                bytes.splice(at..at, number);
            }
            _ => bytes.truncate(at),
        }
    }
}

/// Streams of commands with mutations.
pub(super) fn mutated_streams(scene: &mut Scene) -> Result<String> {
    let before_kb = scene.server.rss_kb()?;
    let (began, mut count, mut sent) = (Instant::now(), 0, 0);
    while began.elapsed() < window(scene) {
        let mut bytes = stream(&mut scene.rng);
        mutate(&mut scene.rng, &mut bytes);
        exchange(scene.raw()?, &bytes).with_context(|| bytes.escape_ascii().to_string())?;
        count += 1;
        sent += bytes.len();
    }
    scene.wait_for_clients(2)?;
    let grown_kb = scene.check_grown(before_kb, GROWN_KB_MAX)?;
    Ok(format!("{count} connections, {} KiB sent, {grown_kb} KiB more resident", sent / 1024))
}

/// PSYNC, REPLCONF and related commands, in any order and with any arguments.
pub(super) fn replication_words(scene: &mut Scene) -> Result<String> {
    scene.connect()?.must(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"])?;
    let before_kb = scene.server.rss_kb()?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < window(scene) {
        let mut bytes = Vec::new();
        for _ in 0..1 + scene.rng.below(8) {
            let words = words_of_replication(&mut scene.rng);
            encode_command(&mut bytes, &words);
        }
        if scene.rng.chance(10) {
            mutate(&mut scene.rng, &mut bytes);
        }
        let mut stream = scene.raw()?;
        // A connection that has become a replica is fed until it is closed.
        stream.write_all(&bytes)?;
        if scene.rng.chance(20) {
            exchange(stream, b"").with_context(|| bytes.escape_ascii().to_string())?;
        }
        count += 1;
    }
    let mut client = scene.connect()?;
    eventually("nobody is left as a replica", || Ok(info(&mut client, "connected_slaves")? == 0))?;
    scene.wait_for_clients(2)?;
    let grown_kb = scene.check_grown(before_kb, GROWN_KB_MAX)?;
    let full = info(&mut client, "sync_full")?;
    Ok(format!("{count} connections, {full} full synchronisations, {grown_kb} KiB more resident"))
}

fn words_of_replication(rng: &mut Rng) -> Vec<Vec<u8>> {
    let id = String::from_utf8_lossy(&rng.printable(40)).into_owned();
    let long = "x".repeat(rng.below(5000));
    let number = match rng.below(8) {
        0 => "-1".into(),
        1 => "0".into(),
        2 => "9223372036854775807".into(),
        3 => "18446744073709551616".into(),
        4 => "x".into(),
        _ => rng.between(-5, 100_000).to_string(),
    };
    let words: &[&str] = match rng.below(24) {
        0..3 => &["PSYNC", "?", "-1"],
        3 => &["PSYNC", &id, &number],
        4 => &["PSYNC", &long, &number],
        5 => &["PSYNC", "?"],
        6 => &["SYNC"],
        7 => &["SYNC", &number],
        8 => &["REPLCONF", "ACK", &number],
        9 => &["REPLCONF", "ACK", &number, "FACK", &number],
        10 => &["REPLCONF", "GETACK", "*"],
        11 => &["REPLCONF", "listening-port", &number],
        12 => &["REPLCONF", "ip-address", &long],
        13 => &["REPLCONF", "capa", &long, "capa", "eof", "capa", "psync2"],
        14 => &["REPLCONF", "rdb-only", &number],
        15 => &["REPLCONF", "rdb-filter-only", &long],
        16 => &["REPLCONF", "version", &number],
        17 => &["REPLCONF", &long],
        18 => &["REPLCONF"],
        19 => &["WAIT", &number, "1"],
        20 => &["ROLE"],
        21 => &["MULTI"],
        22 => &["EXEC"],
        _ => &["PING"],
    };
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
