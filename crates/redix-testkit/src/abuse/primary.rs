//! A faulty primary: its handshake, the data set that it sends, and its stream.
//!
//! **Property.** Until a complete data set has been received, a replica keeps its own, except where
//! it discards that beforehand (`repl-diskless-load flush-before-load`). It never holds a mixture,
//! and what it has written to disk can be loaded when it starts again.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redix_resp::{ReplyDecoder, Value, encode_command};

use super::noise::mutate;
use super::{Scene, check_planted, eventually, info, plant};
use crate::{Client, Rng};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const MARK: &[u8; 40] = b"a mark of forty bytes that ends the data";
/// How long it reads after everything was sent.
const SILENCE: Duration = Duration::from_millis(150);
/// The most growth of a replica's memory, in KiB.
const GROWN_KB_MAX: u64 = 192 * 1024;

/// What a round sends, in order.
struct Plan {
    what: &'static str,
    /// The index of the reply to be replaced, and its replacement.
    answer: Option<(usize, Vec<u8>)>,
    /// What follows the reply to PSYNC.
    transfer: Vec<u8>,
    /// Whether that is a complete data set.
    whole: bool,
    /// The announced offset.
    offset: &'static str,
    stream: Vec<u8>,
    /// Whether it closes the connection at the end; else it leaves that to the replica.
    closes: bool,
}

/// Faulty primaries, one after the other.
pub(super) fn fake_primary(scene: &mut Scene) -> Result<String> {
    let rdb = data_set(scene)?;
    let mut client = scene.connect()?;
    client.must(&["CONFIG", "SET", "repl-timeout", "3"])?;
    let before_kb = scene.server.rss_kb()?;
    let rounds = scene.scaled(30, 300);
    let mut whole = 0;
    for round in 0..rounds {
        let mode = *scene.rng.pick(&["disabled", "swapdb", "on-empty-db", "flush-before-load"]);
        let plan = Plan::draw(&mut scene.rng, &rdb);
        whole += usize::from(plan.whole);
        play_round(scene, &mut client, mode, &plan)
            .with_context(|| format!("round {round}, {mode}, {}", plan.what))?;
    }
    let grown_kb = scene.check_grown(before_kb, GROWN_KB_MAX)?;
    Ok(format!("{rounds} rounds, {whole} with a whole data set, {grown_kb} KiB more resident"))
}

/// Makes the server follow a faulty primary for a while, then checks its data set.
fn play_round(scene: &mut Scene, client: &mut Client, mode: &str, plan: &Plan) -> Result<()> {
    client.must(&["CONFIG", "SET", "repl-diskless-load", mode])?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    client.must(&["REPLICAOF", "127.0.0.1", &port])?;
    plan.play(accept(&listener)?)?;
    if plan.whole {
        see_theirs(client)?;
    }
    eventually("nobody is followed any more", || {
        let reply = client.cmd(&["REPLICAOF", "NO", "ONE"])?;
        // A partly loaded data set is discarded first.
        let loading = matches!(&reply, Value::Error(text) if text.starts_with(b"LOADING"));
        ensure!(loading || reply == Value::Simple(b"OK".to_vec()), "{}", reply.pretty());
        Ok(!loading)
    })?;
    drop(listener);
    scene.check_alive()?;
    if plan.whole {
        check_planted(client, "theirs")?;
    } else if mode != "flush-before-load" {
        return check_planted(client, "ours");
    }
    client.must(&["FLUSHALL"])?;
    plant(client, "ours")
}

/// An RDB file of another server, with other keys.
fn data_set(scene: &Scene) -> Result<Vec<u8>> {
    let donor = scene.launch.clone().start()?;
    let mut client = Client::connect(donor.addr())?;
    plant(&mut client, "theirs")?;
    client.must(&["SAVE"])?;
    Ok(std::fs::read(donor.dir().join("dump.rdb"))?)
}

/// Waits until the replica has the complete data set that was sent.
fn see_theirs(client: &mut Client) -> Result<()> {
    eventually("the data set is loaded", || {
        let reply = client.cmd(&["EXISTS", "theirs:0"])?;
        Ok(reply == Value::Int(1) && info(client, "loading")? == 0)
    })
}

/// Accepts the first connection.
fn accept(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                stream.set_write_timeout(Some(Duration::from_secs(5)))?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ensure!(Instant::now() < deadline, "the replica does not connect");
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Plan {
    fn draw(rng: &mut Rng, rdb: &[u8]) -> Self {
        let (transfer, stream) = (sized(rdb.len(), rdb), Vec::new());
        let closes = rng.chance(50);
        let offset = *rng.pick(&["0", "1000", "9223372036854775800"]);
        let (what, answer, whole) = ("", None, false);
        let mut plan = Self { what, answer, transfer, whole, offset, stream, closes };
        match rng.below(10) {
            0..3 => {
                plan.what = "an answer that is none";
                plan.answer = Some((rng.below(6), broken_answer(rng)));
            }
            3..8 => (plan.what, plan.transfer) = broken_transfer(rng, rdb),
            _ => {
                plan.what = "a stream that is none";
                plan.whole = true;
                plan.stream = broken_stream(rng);
                if rng.chance(30) {
                    plan.transfer = marked(rdb, MARK);
                }
            }
        }
        plan
    }

    /// Plays the primary on a connection, until it ends.
    fn play(&self, mut stream: TcpStream) -> Result<()> {
        if self.shake_hands(&mut stream)? {
            // The replica may have closed the connection before.
            let sent = stream.write_all(&self.transfer);
            sent.and_then(|()| stream.write_all(&self.stream)).ok();
        }
        if self.closes && !self.whole {
            return Ok(());
        }
        stream.set_read_timeout(Some(SILENCE))?;
        let mut rest = [0; 4096];
        let until = Instant::now() + 2 * SILENCE;
        while Instant::now() < until && stream.read(&mut rest).is_ok_and(|count| count > 0) {}
        Ok(())
    }

    /// Replies until PSYNC was replied to; false if the replica has disconnected.
    fn shake_hands(&self, stream: &mut TcpStream) -> Result<bool> {
        let mut decoder = ReplyDecoder::default();
        let mut buffer = [0; 4096];
        let mut asked = 0;
        loop {
            let Some(question) = decoder.next_reply()? else {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => decoder.feed(&buffer[..count]),
                    // It waits for more than was replied, or has disconnected.
                    _ if self.answer.is_some() => return Ok(false),
                    Ok(0) => bail!("the replica has closed after {asked} answers"),
                    other => bail!("the replica: {other:?}"),
                }
                continue;
            };
            let Value::Array(words) = question else { bail!("the replica: {}", question.pretty()) };
            let name = words.first().map(Value::pretty).unwrap_or_default().to_uppercase();
            let psync = name.contains("PSYNC");
            let replaced = self.answer.as_ref().filter(|(place, _)| *place == asked || psync);
            let honest = match &*name {
                "\"PING\"" => "+PONG\r\n".into(),
                _ if psync => format!("+FULLRESYNC {ID} {}\r\n", self.offset),
                _ => "+OK\r\n".into(),
            };
            let answer = replaced.map_or(honest.as_bytes(), |(_, bytes)| bytes);
            if stream.write_all(answer).is_err() {
                return Ok(false);
            }
            if replaced.is_some() || psync {
                return Ok(replaced.is_none());
            }
            asked += 1;
        }
    }
}

fn sized(len: usize, body: &[u8]) -> Vec<u8> {
    [format!("${len}\r\n").as_bytes(), body].concat()
}

fn marked(body: &[u8], mark: &[u8]) -> Vec<u8> {
    [b"$EOF:", &MARK[..], b"\r\n", body, mark].concat()
}

fn broken_answer(rng: &mut Rng) -> Vec<u8> {
    let lines: &[&[u8]] = &[
        b"\r\n\r\n\n\n",
        b"*5\r\n$1\r\na\r\n",
        b"$5\r\nhello\r\n",
        b"-\r\n",
        b"-ERR no\r\n",
        b"-NOAUTH who are you\r\n",
        b"-LOADING wait\r\n",
        b"-NOMASTERLINK no\r\n",
        b"+\r\n",
        b"+FULLRESYNC\r\n",
        b"+FULLRESYNC \r\n",
        b"+FULLRESYNC x 1\r\n",
        b"+FULLRESYNC 0123456789abcdef0123456789abcdef01234567\r\n",
        b"+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 -7\r\n",
        b"+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 99999999999999999999\r\n",
        b"+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 18446744073709551615\r\n",
        b"+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 9223372036854775807\r\n$5\r\nhello",
        b"+CONTINUE\r\n",
        b"+CONTINUE 0123456789abcdef0123456789abcdef01234567\r\nSET ours:0 other\r\n",
        b"+CONTINUE short\r\n",
        b"\0\0\0\0\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"no end",
    ];
    match rng.below(4) {
        0 => (0..1 + rng.below(5000)).map(|_| rng.next_u64() as u8).collect(),
        1 => b"+".repeat(1 << 20),
        _ => rng.pick(lines).to_vec(),
    }
}

fn broken_transfer(rng: &mut Rng, rdb: &[u8]) -> (&'static str, Vec<u8>) {
    let cut = rng.below(rdb.len());
    let flipped = || {
        let mut rdb = rdb.to_vec();
        rdb[cut] ^= 0x41;
        rdb
    };
    match rng.below(16) {
        0 => ("a data set that is cut", sized(rdb.len(), &rdb[..cut])),
        1 => ("a data set announced as shorter", sized(cut, rdb)),
        2 => ("a data set announced as longer", sized(rdb.len() + 1 + cut, rdb)),
        3 => ("a data set with more behind it", sized(rdb.len() + 3, &[rdb, b"abc"].concat())),
        4 | 5 => ("a data set with another byte in it", sized(rdb.len(), &flipped())),
        6 => {
            let mut bytes = rdb.to_vec();
            mutate(rng, &mut bytes);
            if bytes == rdb {
                bytes[cut] ^= 1;
            }
            ("a data set with mutations", sized(bytes.len(), &bytes))
        }
        7 => ("a marked data set with another byte in it", marked(&flipped(), MARK)),
        8 => ("a marked data set without an end", marked(rdb, &MARK[..20])),
        9 => ("a marked data set with a wrong end", marked(rdb, &[b'x'; 40])),
        10 => ("a marked data set that is cut", marked(&rdb[..cut], MARK)),
        11 => ("no data set", sized(0, b"")),
        12 => {
            let bytes: Vec<u8> = (0..100_000).map(|_| rng.next_u64() as u8).collect();
            ("random bytes", sized(bytes.len(), &bytes))
        }
        13 => {
            let bytes: Vec<u8> = (0..3000).map(|_| rng.next_u64() as u8).collect();
            let bytes = [&b"REDIS0011"[..], &bytes].concat();
            ("random bytes behind a good beginning", sized(bytes.len(), &bytes))
        }
        14 => ("a length of 8 EiB", sized(i64::MAX as usize, rdb)),
        _ => {
            let heads = ["$-1", "$99999999999999999999", "$x", "$EOF:short", "$", "-ERR no", "\0"];
            let head = *rng.pick(&heads);
            ("a length that is none", [head.as_bytes(), b"\r\n", rdb].concat())
        }
    }
}

fn broken_stream(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..rng.below(50) {
        encode_command(&mut bytes, &["SET", &format!("stream:{index}"), "value"]);
    }
    let ends: &[&[u8]] = &[
        b"*1\r\n$536870913\r\n",
        b"*1000000000\r\n",
        b"*3\r\n$3\r\nSET\r\n$8\r\nstream:x\r\n$536870912\r\nabc",
        b"*-9999999999999999999\r\n",
        b"*2\r\n$3\r\nSET\r\n$1\r\nk\r\n",
        b"*1\r\n$6\r\nNOSUCH\r\n",
        b"*2\r\n$6\r\nSELECT\r\n$4\r\n9999\r\n",
        b"*1\r\n$5\r\nMULTI\r\n*1\r\n$6\r\nNOSUCH\r\n*1\r\n$4\r\nEXEC\r\n",
        b"*1\r\n$4\r\nEXEC\r\n",
        b"*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n",
        b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\nx\r\n",
        b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n",
        b"*2\r\n$4\r\nINCR\r\n$8\r\nstream:0\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"SET stream:y 'unbalanced\r\n",
    ];
    match rng.below(4) {
        0 => bytes.extend((0..20_000).map(|_| rng.next_u64() as u8)),
        1 => mutate(rng, &mut bytes),
        2 => bytes.extend(b"x".repeat(1 << 20)),
        _ => {
            let end = *rng.pick(ends);
            bytes.extend_from_slice(end);
        }
    }
    bytes
}
