//! Data exchange with the real servers: files and DUMP payloads with every encoding of every type,
//! compared by DEBUG DIGEST.

mod fields;
mod functions;
mod migrate;
mod payloads;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use redix_resp::Value;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Peer, Server, encodings};

use super::program;

/// A server and a connection to it.
struct Node {
    peer: Peer,
    server: Server,
    client: Client,
}

impl Node {
    fn start(peer: Peer, args: &[&str]) -> Self {
        let launch = match peer {
            Peer::Redix => Launch::redix(program()),
            real => Launch::new(real).unwrap(),
        };
        let server = launch.args(&["--enable-debug-command", "yes"]).args(args).start().unwrap();
        let client = Client::connect(server.addr()).unwrap();
        Self { peer, server, client }
    }

    /// A server that has loaded a file.
    fn with_file(peer: Peer, file: &Path) -> Self {
        let dir = TempDir::new("interop").unwrap();
        fs::copy(file, dir.path().join("dump.rdb")).unwrap();
        // The directory is needed until it has started.
        Self::start(peer, &["--dir", dir.path().to_str().unwrap()])
    }

    /// A server with the data set of every encoding.
    fn filled(peer: Peer, args: &[&str]) -> Self {
        let mut node = Self::start(peer, args);
        if peer == Peer::Redis7 {
            // Otherwise it has no plain nodes for elements of this size.
            node.must(&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "8192b"]);
        }
        for (command, reply) in
            encodings::commands().iter().zip(node.client.pipeline(&encodings::commands()).unwrap())
        {
            let name = command[0].escape_ascii();
            assert!(!matches!(reply, Value::Error(_)), "{name}: {}", reply.pretty());
        }
        node
    }

    fn must<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Value {
        self.client.must(args).unwrap_or_else(|error| panic!("{}: {error}", self.peer.name()))
    }

    fn save(&mut self) -> std::path::PathBuf {
        self.must(&["SAVE"]);
        self.server.dir().join("dump.rdb")
    }

    fn digest(&mut self) -> Value {
        self.must(&["DEBUG", "DIGEST"])
    }

    /// A command's reply about one key, in the selected database.
    fn of_key(&mut self, command: &[&str], key: &[u8]) -> String {
        let args: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).chain([key]).collect();
        self.client.cmd(&args).unwrap().pretty()
    }

    /// A sorted set with its scores in binary.
    fn scores(&mut self, key: &[u8]) -> String {
        let reply = self.must(&[&b"ZRANGE"[..], key, b"0", b"-1", b"WITHSCORES"]);
        let Value::Array(flat) = reply else { panic!("an array") };
        let text = |value: &Value| value.pretty().replace('"', "");
        let score = |value: &Value| text(value).parse::<f64>().unwrap().to_bits();
        flat.chunks(2).map(|pair| format!("{} {:x},", text(&pair[0]), score(&pair[1]))).collect()
    }

    /// What is known of a stream besides its entries, but for times: its past, the groups and what
    /// is pending for them.
    fn stream(&mut self, key: &[u8]) -> String {
        let mut text = self.of_key(&["XINFO", "STREAM"], key);
        for group in encodings::GROUPS {
            let group = group.as_bytes();
            match self.client.cmd(&[&b"XPENDING"[..], key, group]).unwrap() {
                Value::Error(_) => continue,
                summary => text += &summary.pretty(),
            }
            let all = [&b"XPENDING"[..], key, group, b"-", b"+", b"10000"];
            if let Value::Array(pending) = self.client.cmd(&all).unwrap() {
                for one in pending {
                    let Value::Array(parts) = one else { panic!("a pending entry") };
                    text += &[0, 1, 3].map(|part| parts[part].pretty()).join(" ");
                }
            }
        }
        text
    }

    /// What is said about every key: content, expiry and, if they are to be compared, encodings.
    fn describe(&mut self, by: By) -> Vec<String> {
        let mut lines = Vec::new();
        for (db, keys) in keys() {
            self.must(&["SELECT", &db.to_string()]);
            for key in keys {
                let name = key.escape_ascii();
                let value = match by {
                    By::Content if key.starts_with(b"zset:scores") => self.scores(&key),
                    _ if key.starts_with(b"stream:") => {
                        self.of_key(&["DEBUG", "DIGEST-VALUE"], &key) + &self.stream(&key)
                    }
                    _ => self.of_key(&["DEBUG", "DIGEST-VALUE"], &key),
                };
                let expires = self.of_key(&["PEXPIRETIME"], &key);
                let encoding = match by {
                    // Redis 7.0 has another limit of embedded strings.
                    By::Encoding if !key.starts_with(b"string:") => {
                        self.of_key(&["OBJECT", "ENCODING"], &key)
                    }
                    _ => String::new(),
                };
                lines.push(format!("{db} {name} {value} {expires} {encoding}"));
            }
        }
        lines
    }
}

/// What can be compared between two servers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Redis 7.0 formats some scores differently, and so has another digest.
    Content,
    Digest,
    /// Valkey converts encodings at the same sizes as Redix.
    Encoding,
}

impl By {
    fn with(peer: Peer) -> Self {
        match peer {
            Peer::Redis7 => By::Content,
            Peer::Redis8 => By::Digest,
            Peer::Redix | Peer::Valkey => By::Encoding,
        }
    }
}

/// The names of all keys of the data set, by database.
fn keys() -> [(u32, BTreeSet<Vec<u8>>); 2] {
    let mut keys = [(0, BTreeSet::new()), (5, BTreeSet::new())];
    let mut current = 0;
    for command in encodings::commands() {
        match &command[0][..] {
            b"SELECT" => current = usize::from(command[1] != b"0"),
            _ => drop(keys[current].1.insert(encodings::key_of(&command).to_vec())),
        }
    }
    keys
}

fn assert_same(one: &mut Node, other: &mut Node, by: By) {
    let (expected, found) = (one.describe(by), other.describe(by));
    let different: Vec<_> =
        expected.iter().zip(&found).filter(|(one, other)| one != other).collect();
    let names = (one.peer.name(), other.peer.name());
    assert!(different.is_empty(), "{names:?} differ: {different:#?}");
    if by != By::Content {
        assert_eq!(one.digest(), other.digest(), "{names:?}");
    }
}

fn real_servers() -> Vec<Peer> {
    let mut peers = vec![Peer::Redis7, Peer::Redis8, Peer::Valkey];
    peers.retain(|peer| peer.available_or_skip());
    peers
}

#[test]
fn commands_build_the_same_values() {
    let mut redix = Node::filled(Peer::Redix, &[]);
    for peer in real_servers() {
        assert_same(&mut Node::filled(peer, &[]), &mut redix, By::with(peer));
    }
}

#[test]
fn files_of_real_servers_are_loaded() {
    for peer in real_servers() {
        for compress in ["0", "1"] {
            let mut real = Node::filled(peer, &["--list-compress-depth", compress]);
            let mut redix = Node::with_file(Peer::Redix, &real.save());
            // A large value may be small after it was loaded.
            real.must(&["DEBUG", "RELOAD"]);
            assert_same(&mut real, &mut redix, By::with(peer));
        }
    }
}

#[test]
fn files_are_loaded_by_real_servers() {
    for (version, compression) in [("11", "yes"), ("10", "yes"), ("11", "no"), ("10", "no")] {
        let args = ["--rdb-version", version, "--rdbcompression", compression];
        let mut redix = Node::filled(Peer::Redix, &args);
        let file = redix.save();
        redix.must(&["DEBUG", "RELOAD"]);
        for peer in [vec![Peer::Redix], real_servers()].concat() {
            if peer != Peer::Redis7 || version == "10" {
                let mut loaded = Node::with_file(peer, &file);
                assert_same(&mut redix, &mut loaded, By::with(peer));
            }
        }
    }
}

/// Restores on `to` what `from` dumps, key by key.
fn assert_travels(from: &mut Node, to: &mut Node) {
    let route = format!("{} to {}", from.peer.name(), to.peer.name());
    for (db, keys) in keys() {
        from.must(&["SELECT", &db.to_string()]);
        for key in keys {
            let name = key.escape_ascii();
            let Value::Bulk(payload) = from.must(&[&b"DUMP"[..], &key]) else { panic!("bulk") };
            let restored = to.client.cmd(&[&b"RESTORE"[..], b"copy", b"0", &payload, b"REPLACE"]);
            assert_eq!(restored.unwrap().pretty(), "+OK", "{route}: {name}");
            from.must(&[&b"PERSIST"[..], &key]);
            let (expected, found) = if key.starts_with(b"zset:scores") {
                (from.scores(&key), to.scores(b"copy"))
            } else if key.starts_with(b"stream:") {
                (from.stream(&key), to.stream(b"copy"))
            } else {
                let digest = ["DEBUG", "DIGEST-VALUE"];
                (from.of_key(&digest, &key), to.of_key(&digest, b"copy"))
            };
            assert_eq!(expected, found, "{route}: {name}");
        }
    }
}

#[test]
fn payloads_travel_both_ways() {
    let mut redix = Node::filled(Peer::Redix, &[]);
    let mut target = Node::start(Peer::Redix, &[]);
    for peer in real_servers() {
        assert_travels(&mut Node::filled(peer, &[]), &mut target);
        let version = if peer == Peer::Redis7 { "10" } else { "11" };
        redix.must(&["CONFIG", "SET", "rdb-version", version]);
        assert_travels(&mut redix, &mut Node::start(peer, &["--sanitize-dump-payload", "yes"]));
    }
}
