//! Client-side caching: what clients are told, in which order, and that no cache stays stale.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redix_resp::Value;
use redix_testkit::peer::Peer;
use redix_testkit::{Client, Launch, Server};

use crate::{connect, eventually, start};

const DEADLINE: Duration = Duration::from_secs(20);

fn caching(server: &Server, options: &[&str]) -> Client {
    let mut client = connect(server);
    client.hello(3).unwrap();
    client.must(&[&["CLIENT", "TRACKING", "ON"], options].concat()).unwrap();
    client
}

fn info(client: &mut Client, name: &str) -> i64 {
    let text = client.cmd(&["INFO", "everything"]).unwrap().pretty();
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {name}")).parse().unwrap()
}

/// The keys of an invalidation; `None`: all.
fn invalidated(push: &Value) -> Option<Vec<Vec<u8>>> {
    let Value::Push(parts) = push else { panic!("no push: {}", push.pretty()) };
    assert_eq!(parts[0], Value::Bulk(b"invalidate".to_vec()), "{}", push.pretty());
    let Value::Array(keys) = &parts[1] else { return None };
    let bytes = |key: &Value| match key {
        Value::Bulk(key) => key.clone(),
        other => panic!("a key is a string: {}", other.pretty()),
    };
    Some(keys.iter().map(bytes).collect())
}

/// The next invalidation.
fn told(client: &mut Client) -> Option<Vec<Vec<u8>>> {
    invalidated(&client.push(DEADLINE).unwrap().expect("an invalidation"))
}

fn key(name: &str) -> Option<Vec<Vec<u8>>> {
    Some(vec![name.into()])
}

/// Connections of one server, and all that they receive, in order.
struct Dialogue {
    clients: Vec<Client>,
    heard: Vec<String>,
}

impl Dialogue {
    /// Sends lines in one write and notes everything received up to the reply to a last ECHO.
    fn say(&mut self, who: usize, lines: &[&str]) {
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.clients[who].send_raw(text.as_bytes()).unwrap();
        self.listen(who, lines.len());
    }

    /// Notes what a connection has received, up to the `replies`-th reply and the reply to an ECHO.
    fn listen(&mut self, who: usize, replies: usize) {
        for _ in 0..replies {
            self.hear(who);
        }
        self.clients[who].send_raw(b"PING end\r\n").unwrap();
        while !self.hear(who).contains("end") {}
    }

    /// Notes up to one reply.
    fn hear(&mut self, who: usize) -> String {
        loop {
            let value = self.clients[who].receive().unwrap();
            let text = format!("{who}: {}", value.pretty());
            self.heard.push(text.clone());
            if !matches!(value, Value::Push(_)) {
                return text;
            }
        }
    }
}

/// What three connections hear of each other's changes, the third one without RESP3.
fn dialogue(server: &Server) -> Vec<String> {
    let clients = (0..3).map(|_| connect(server)).collect();
    let mut talk = Dialogue { clients, heard: Vec::new() };
    for who in [0, 1] {
        talk.clients[who].hello(3).unwrap();
    }
    let Value::Int(listener) = talk.clients[2].must(&["CLIENT", "ID"]).unwrap() else { panic!() };
    talk.say(0, &["CLIENT TRACKING ON"]);
    talk.say(0, &["GET k", "SET k 1", "SET k 2", "GET k", "INCR k", "PING"]);
    talk.say(0, &["GET k", "MULTI", "INCR k", "GET k", "INCR k", "EXEC", "PING"]);
    talk.say(0, &["MGET a b c", "MSET c 1 b 2 a 3", "FLUSHALL", "GET a"]);
    talk.say(1, &["SET a 1", "MSET a 2 b 2"]);
    talk.listen(0, 0);
    talk.say(0, &["EXISTS a b", "OBJECT ENCODING a", "STRLEN a", "LPUSH l a", "LRANGE l 0 -1"]);
    talk.say(1, &["RENAME l m", "DEL a", "SET a 1"]);
    talk.listen(0, 0);
    talk.say(0, &["GET a"]);
    talk.clients[0].send_raw(b"CLIENT REPLY SKIP\r\nSET a 1\r\n").unwrap();
    talk.listen(0, 0);
    talk.say(0, &["CLIENT TRACKING OFF", "CLIENT TRACKING ON NOLOOP", "GET a", "SET a 1"]);
    talk.say(0, &["GET a", "MULTI", "SET a 2", "DEL b", "EXEC", "FLUSHDB", "PING"]);
    // A stream read that has to wait, and a move that others complete.
    talk.say(0, &["CLIENT TRACKING OFF", "CLIENT TRACKING ON", "LRANGE to 0 -1"]);
    talk.clients[0].send_raw(b"XREAD BLOCK 0 STREAMS s1 s2 $ $\r\n").unwrap();
    talk.await_blocked();
    talk.say(1, &["XADD s2 1-1 f v"]);
    talk.listen(0, 1);
    talk.say(1, &["XADD s1 1-1 f v", "XADD s2 1-2 f v"]);
    talk.listen(0, 0);
    talk.clients[0].send_raw(b"BLMOVE from to LEFT LEFT 0\r\n").unwrap();
    talk.await_blocked();
    talk.say(1, &["RPUSH from a"]);
    talk.listen(0, 1);
    // Through another connection, which has subscribed to something.
    let begun = talk.heard.len();
    let redirect = format!("CLIENT TRACKING ON REDIRECT {listener}");
    talk.say(0, &["CLIENT TRACKING OFF", &redirect, "GET k", "SET k 1"]);
    talk.clients[2].must(&["SUBSCRIBE", "something"]).unwrap();
    talk.say(0, &["GET k", "SET k 2", "MGET k l m", "MSET m 1 k 2"]);
    talk.listen(2, 0);
    talk.clients[2].must(&["QUIT"]).unwrap();
    talk.say(1, &["SET l 1"]);
    talk.listen(0, 0);
    talk.say(0, &["CLIENT TRACKINGINFO", "CLIENT GETREDIR"]);
    let mut heard = talk.heard;
    for line in &mut heard[begun..] {
        *line = line.replace(&format!("(integer) {listener}"), "(integer) ID");
    }
    heard
}

impl Dialogue {
    fn await_blocked(&mut self) {
        let other = &mut self.clients[1];
        eventually("it blocks", || info(other, "blocked_clients") == 1);
    }
}

#[test]
fn messages_and_replies_come_in_the_order_of_the_real_server() {
    let one = dialogue(&start(&["--worker-threads", "1"]));
    let two = dialogue(&start(&["--worker-threads", "2"]));
    assert_eq!(one, two);
    assert!(one.iter().filter(|line| line.contains("invalidate")).count() > 15, "{one:#?}");
    if Peer::Valkey.available_or_skip() {
        let theirs = dialogue(&Launch::new(Peer::Valkey).unwrap().start().unwrap());
        assert_eq!(one, theirs);
    }
}

#[test]
fn the_table_is_kept_within_its_limit() {
    let server = start(&["--worker-threads", "2"]);
    let mut client = caching(&server, &[]);
    let mut admin = connect(&server);
    for number in 0..300 {
        client.must(&["GET", &format!("k{number}")]).unwrap();
    }
    assert_eq!(info(&mut admin, "tracking_total_keys"), 300);
    admin.must(&["CONFIG", "SET", "tracking-table-max-keys", "10"]).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 290 {
        assert!(seen.insert(told(&mut client)), "each is told once");
    }
    assert_eq!(info(&mut admin, "tracking_total_keys"), 10);
    client.must(&["MGET", "x", "y", "z"]).unwrap();
    for _ in 0..3 {
        told(&mut client);
    }
    assert_eq!(info(&mut admin, "tracking_total_keys"), 10);
}

#[test]
fn clients_that_leave_leave_nothing() {
    let server = start(&["--worker-threads", "2"]);
    let mut admin = connect(&server);
    let mut reader = caching(&server, &[]);
    reader.must(&["MGET", "a", "b"]).unwrap();
    let mut closed = caching(&server, &["BCAST", "PREFIX", "a", "PREFIX", "b"]);
    let mut reset = caching(&server, &["BCAST", "PREFIX", "b"]);
    assert_eq!(info(&mut admin, "tracking_clients"), 3);
    assert_eq!(info(&mut admin, "tracking_total_prefixes"), 2);
    assert_eq!(info(&mut admin, "tracking_total_items"), 2);
    closed.cmd(&["QUIT"]).unwrap();
    eventually("it has gone", || info(&mut admin, "tracking_clients") == 2);
    assert_eq!(info(&mut admin, "tracking_total_prefixes"), 1);
    reset.must(&["RESET"]).unwrap();
    assert_eq!(info(&mut admin, "tracking_total_prefixes"), 0);
    assert_eq!(info(&mut admin, "tracking_clients"), 1);
    let Value::Int(id) = reader.must(&["CLIENT", "ID"]).unwrap() else { panic!() };
    admin.must(&["CLIENT", "KILL", "ID", &id.to_string()]).unwrap();
    eventually("none is left", || info(&mut admin, "tracking_clients") == 0);
    eventually("nothing is listed", || info(&mut admin, "tracking_total_keys") == 0);
}

#[test]
fn a_field_that_expires_unseen_is_told() {
    let server = start(&["--worker-threads", "2"]);
    let (mut reader, mut writer) = (caching(&server, &[]), connect(&server));
    writer.must(&["HSET", "h", "gone", "1", "stays", "1"]).unwrap();
    writer.must(&["HPEXPIRE", "h", "300", "FIELDS", "1", "gone"]).unwrap();
    reader.must(&["HGETALL", "h"]).unwrap();
    assert_eq!(told(&mut reader), key("h"));
    let left = Value::Array(vec![Value::Bulk(b"stays".to_vec())]);
    assert_eq!(reader.must(&["HKEYS", "h"]).unwrap(), left);
}

#[test]
fn a_replica_tells_what_its_primary_changes() {
    let primary = start(&["--worker-threads", "2", "--repl-diskless-sync-delay", "0"]);
    let port = primary.addr().port().to_string();
    let replica = start(&["--worker-threads", "2", "--replicaof", &format!("127.0.0.1 {port}")]);
    let (mut writer, mut admin) = (connect(&primary), connect(&replica));
    let is_there = |admin: &mut Client, name: &str| {
        admin.cmd(&["EXISTS", name]).is_ok_and(|reply| reply == Value::Int(1))
    };
    writer.must(&["SET", "k", "1"]).unwrap();
    eventually("it follows", || is_there(&mut admin, "k"));
    let mut reader = caching(&replica, &[]);
    let mut prefixed = caching(&replica, &["BCAST", "PREFIX", "p"]);
    reader.must(&["MGET", "k", "gone"]).unwrap();
    writer.must(&["INCR", "k"]).unwrap();
    assert_eq!(told(&mut reader), key("k"));
    writer.must(&["SET", "gone", "1", "PX", "20"]).unwrap();
    assert_eq!(told(&mut reader), key("gone"));
    reader.must(&["GET", "gone"]).unwrap();
    assert_eq!(told(&mut reader), key("gone"), "the primary has deleted it");
    writer.must(&["MSET", "p1", "1", "q", "1", "p2", "2"]).unwrap();
    assert_eq!(told(&mut prefixed), Some(vec![b"p1".to_vec(), b"p2".to_vec()]));
    reader.must(&["GET", "k"]).unwrap();
    writer.must(&["FLUSHALL"]).unwrap();
    assert_eq!(told(&mut reader), None);
    assert_eq!(told(&mut prefixed), None);
    // A full synchronisation replaces everything.
    writer.must(&["SET", "late", "1"]).unwrap();
    eventually("it follows", || is_there(&mut admin, "late"));
    assert_eq!(reader.must(&["GET", "late"]).unwrap(), Value::Bulk(b"1".to_vec()));
    let other = start(&["--repl-diskless-sync-delay", "0"]);
    let to = other.addr().port().to_string();
    admin.must(&["REPLICAOF", "127.0.0.1", &to]).unwrap();
    assert_eq!(told(&mut reader), None);
}

const KEYS: u64 = 24;

/// A cheap pseudorandom generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % end
    }

    fn key(&mut self) -> String {
        format!("k{}", self.below(KEYS))
    }
}

/// A connection that caches what it reads, and believes its cache.
struct Cache {
    client: Client,
    values: HashMap<String, Value>,
    optin: bool,
    messages: u64,
}

impl Cache {
    fn note(&mut self, push: &Value) {
        self.messages += 1;
        match invalidated(push) {
            None => self.values.clear(),
            Some(keys) => {
                for key in keys {
                    self.values.remove(&String::from_utf8(key).unwrap());
                }
            }
        }
    }

    /// The next reply; what comes before it is noted in its place.
    fn reply(&mut self) -> Value {
        loop {
            match self.client.receive().unwrap() {
                push @ Value::Push(_) => self.note(&push),
                Value::Error(text) => panic!("{}", String::from_utf8_lossy(&text)),
                reply => return reply,
            }
        }
    }

    fn read(&mut self, key: &str) {
        if self.optin {
            self.client.send(&["CLIENT", "CACHING", "YES"]).unwrap();
            self.reply();
        }
        self.client.send(&["GET", key]).unwrap();
        let value = self.reply();
        self.values.insert(key.to_owned(), value);
    }

    /// A transaction that reads two keys, pipelined with reads of others.
    fn read_many(&mut self, keys: &[String; 4]) {
        let [a, b, c, d] = keys;
        self.client.send(&["MULTI"]).unwrap();
        self.client.send(&["GET", a]).unwrap();
        self.client.send(&["GET", b]).unwrap();
        self.client.send(&["EXEC"]).unwrap();
        self.client.send(&["MGET", c, d]).unwrap();
        for _ in 0..3 {
            self.reply();
        }
        for pair in [[a, b], [c, d]] {
            let Value::Array(values) = self.reply() else { panic!("two values") };
            for (key, value) in pair.into_iter().zip(values) {
                if !self.optin {
                    self.values.insert(key.clone(), value);
                }
            }
        }
    }

    /// Writes a key; under NOLOOP the cache has to know by itself.
    fn write(&mut self, key: &str) {
        self.client.send(&["SET", key, "mine"]).unwrap();
        self.reply();
        self.values.remove(key);
    }

    /// Whether every cached value is the present one; waits for messages where it is not.
    fn becomes_true(&mut self, truth: &mut Client) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        for number in 0..KEYS {
            let key = format!("k{number}");
            loop {
                self.client.send(&["PING"]).unwrap();
                self.reply();
                let present = truth.must(&["GET", &key]).unwrap();
                match self.values.get(&key) {
                    Some(cached) if *cached != present => {
                        if Instant::now() > deadline {
                            let (cached, present) = (cached.pretty(), present.pretty());
                            return Err(format!("{key} is {present}, cached is {cached}"));
                        }
                    }
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

/// One random write.
fn write(client: &mut Client, random: &mut Random, number: u64) {
    let (a, b, text) = (random.key(), random.key(), number.to_string());
    let words: Vec<&str> = match random.below(400) / 10 {
        33 if random.below(10) > 0 => vec!["INCR", "other"],
        0..12 => vec!["SET", &a, &text],
        12..18 => vec!["MSET", &a, &text, &b, &text],
        18..22 => vec!["SET", &a, &text, "PX", "3"],
        22..26 => vec!["DEL", &a, &b],
        26..29 => vec!["APPEND", &a, "x"],
        29..31 => vec!["COPY", &a, &b, "REPLACE"],
        31..33 => vec!["PEXPIRE", &a, "2"],
        33 => vec!["FLUSHDB", "ASYNC"],
        34..36 => vec!["GETDEL", &a],
        _ => {
            client.must(&["MULTI"]).unwrap();
            client.must(&["SET", &a, &text]).unwrap();
            client.must(&["APPEND", &b, &text]).unwrap();
            vec!["EXEC"]
        }
    };
    // COPY refuses a key and itself.
    client.cmd(&words).unwrap();
}

/// Reads into a cache at random until `stop`.
fn fill(cache: &mut Cache, random: &mut Random, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match random.below(12) {
            0..3 => {
                let keys = [(); 4].map(|()| random.key());
                cache.read_many(&keys);
            }
            3 => cache.write(&random.key()),
            _ => cache.read(&random.key()),
        }
    }
}

/// Caches in every mode against random writers. Whenever these have paused, the caches must be
/// true.
fn caches_become_true(workers: &str, seed: u64, limit: &str) {
    const MODES: [&[&str]; 6] =
        [&[], &["NOLOOP"], &["OPTIN"], &["OPTOUT"], &["BCAST"], &["BCAST", "PREFIX", "k"]];
    let args = ["--worker-threads", workers, "--tracking-table-max-keys", limit];
    let server = start(&args);
    let mut random = Random(seed);
    let mut truth = connect(&server);
    let mut caches = MODES.map(|mode| {
        let client = caching(&server, mode);
        Cache { client, values: HashMap::new(), optin: mode == ["OPTIN"], messages: 0 }
    });
    let mut cached = 0;
    for round in 0..12 {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for cache in &mut caches {
                let (mut random, stop) = (Random(random.below(u64::MAX)), &stop);
                scope.spawn(move || fill(cache, &mut random, stop));
            }
            let writers = [(); 3].map(|()| {
                let (mut client, mut random) = (connect(&server), Random(random.below(u64::MAX)));
                scope.spawn(move || {
                    (0..150).for_each(|number| write(&mut client, &mut random, number));
                })
            });
            let ended = writers.map(thread::ScopedJoinHandle::join);
            stop.store(true, Ordering::Relaxed);
            ended.into_iter().for_each(Result::unwrap);
        });
        for (mode, cache) in MODES.iter().zip(&mut caches) {
            cached += cache.values.len();
            if let Err(text) = cache.becomes_true(&mut truth) {
                panic!("seed {seed}, {workers} workers, round {round}, {mode:?}: {text}");
            }
        }
    }
    assert!(cached > 200, "seed {seed}: only {cached} values were cached");
    for (mode, cache) in MODES.iter().zip(&caches) {
        assert!(cache.messages > 50, "seed {seed}, {mode:?}: only {} messages", cache.messages);
    }
}

#[test]
fn no_cache_stays_stale_on_one_thread() {
    caches_become_true("1", 0x5eed, "1000000");
}

#[test]
fn no_cache_stays_stale_on_two_threads() {
    caches_become_true("2", 0xcafe, "1000000");
}

#[test]
fn no_cache_stays_stale_while_the_table_is_full() {
    caches_become_true("2", 0xf00d, "5");
}
