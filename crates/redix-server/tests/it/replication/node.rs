//! A server of a replication test, with ways to observe it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use redix_resp::Value;
use redix_testkit::quoting::quote_args;
use redix_testkit::writes::GROUPS;
use redix_testkit::{Client, Launch, Peer, Server};

use crate::{eventually, program};

/// Databases of every server here.
pub(super) const DATABASES: usize = 16;
/// Keys with a longer time to live outlast the test.
const LONG_MS: i64 = 600_000;

/// A server with a connection to it.
pub(super) struct Node {
    peer: Peer,
    pub(super) server: Server,
    pub(super) client: Client,
}

impl Node {
    /// Starts a server that synchronises without delay and has DEBUG enabled.
    pub(super) fn start(peer: Peer, args: &[&str]) -> Self {
        let launch = match peer {
            Peer::Redix => Launch::redix(program()),
            real => Launch::new(real).unwrap(),
        };
        let common = [["--enable-debug-command", "yes"], ["--repl-diskless-sync-delay", "0"]];
        let server = launch.args(&common.concat()).args(args).start().unwrap();
        let client = Client::connect(server.addr()).unwrap();
        Self { peer, server, client }
    }

    /// Sends a command that must not fail.
    pub(super) fn must(&mut self, line: &str) -> Value {
        let args: Vec<&str> = line.split(' ').collect();
        self.client.must(&args).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A reply as text.
    pub(super) fn ask(&mut self, line: &str) -> String {
        let args: Vec<&str> = line.split(' ').collect();
        self.client.cmd(&args).unwrap().pretty()
    }

    /// Makes it a replica of the server at an address.
    pub(super) fn follow(&mut self, primary: SocketAddr) {
        self.must(&format!("REPLICAOF {} {}", primary.ip(), primary.port()));
    }

    /// A field of INFO, if it is there.
    pub(super) fn info(&mut self, field: &str) -> Option<String> {
        let Value::Bulk(text) = self.must("INFO all") else { panic!("INFO answers a bulk string") };
        let text = String::from_utf8(text).unwrap();
        let value = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(':')?.to_owned());
        text.lines().find_map(value)
    }

    /// A number of INFO that has to be there.
    pub(super) fn number(&mut self, field: &str) -> u64 {
        let value = self.info(field).unwrap_or_else(|| panic!("no {field} in INFO"));
        value.parse().unwrap_or_else(|_| panic!("{field} is {value}"))
    }

    /// Waits until a field has a value.
    pub(super) fn wait_for(&mut self, field: &str, value: &str) {
        let mut seen = None;
        let port = self.server.port();
        eventually(&format!("{field} of {port} is {value}"), || {
            seen = self.info(field);
            seen.as_deref() == Some(value)
        });
    }

    /// Waits until its link to its primary is up.
    pub(super) fn wait_linked(&mut self) {
        self.wait_for("master_link_status", "up");
    }

    /// Waits until every key that is about to expire has expired.
    fn settle(&mut self) {
        for db in 0..DATABASES {
            self.must(&format!("SELECT {db}"));
            for key in self.keys() {
                // Asking for a key that has expired deletes it.
                eventually("a key expires", || {
                    let ttl_ms = self.client.must(&[&b"PTTL"[..], &key]).unwrap();
                    !matches!(ttl_ms, Value::Int(0..LONG_MS))
                });
            }
            // Expired keys are hidden at once and deleted some time later.
            eventually("expired keys are deleted", || {
                self.must("DBSIZE") == Value::Int(self.keys().len() as i64)
            });
        }
        self.must("SELECT 0");
    }

    fn keys(&mut self) -> Vec<Vec<u8>> {
        let Value::Array(keys) = self.must("KEYS *") else { panic!("KEYS answers an array") };
        let name = |key: Value| if let Value::Bulk(key) = key { key } else { panic!("a name") };
        keys.into_iter().map(name).collect()
    }

    /// A value as text, independent of order.
    fn value(&mut self, key: &[u8], kind: &str) -> String {
        let (name, range) = match kind {
            "+string" => ("GET", &[][..]),
            "+list" => ("LRANGE", &[&b"0"[..], b"-1"][..]),
            "+set" => ("SMEMBERS", &[][..]),
            "+zset" => ("ZRANGE", &[&b"0"[..], b"-1", b"WITHSCORES"][..]),
            "+hash" => ("HGETALL", &[][..]),
            "+stream" => return self.stream(key),
            other => panic!("no type {other}"),
        };
        let args = [&[name.as_bytes(), key], range].concat();
        let value = match (self.client.must(&args).unwrap(), kind) {
            (Value::Array(mut members), "+set") => {
                members.sort_unstable_by_key(Value::pretty);
                Value::Array(members)
            }
            (Value::Array(flat), "+hash") => {
                let mut pairs: Vec<_> = flat.chunks(2).map(<[Value]>::to_vec).collect();
                pairs.sort_unstable_by_key(|pair| pair[0].pretty());
                Value::Array(pairs.concat())
            }
            (Value::Array(mut flat), "+zset") => {
                // Redis 7.0 formats some scores differently.
                for score in flat.iter_mut().skip(1).step_by(2) {
                    let number: f64 = score.pretty().trim_matches('"').parse().unwrap();
                    *score = Value::Bulk(number.to_string().into_bytes());
                }
                Value::Array(flat)
            }
            (value, _) => value,
        };
        value.pretty()
    }

    /// The entries of a stream, and what is pending for its groups with the number of deliveries.
    fn stream(&mut self, key: &[u8]) -> String {
        let mut text = self.client.must(&[&b"XRANGE"[..], key, b"-", b"+"]).unwrap().pretty();
        for group in GROUPS {
            let pending = [&b"XPENDING"[..], key, group.as_bytes(), b"-", b"+", b"10000"];
            // There may be no such group.
            let Value::Array(pending) = self.client.cmd(&pending).unwrap() else { continue };
            for one in pending {
                let Value::Array(parts) = one else { panic!("a pending entry") };
                text += &[0, 1, 3].map(|part| parts[part].pretty()).join(" ");
            }
        }
        text
    }

    /// Type, value and expiry of every key, by database and name.
    pub(super) fn content(&mut self) -> BTreeMap<(usize, Vec<u8>), [String; 3]> {
        let mut content = BTreeMap::new();
        for db in 0..DATABASES {
            self.must(&format!("SELECT {db}"));
            for key in self.keys() {
                let [kind, expires] = [&b"TYPE"[..], b"PEXPIRETIME"]
                    .map(|name| self.client.must(&[name, &key]).unwrap().pretty());
                let value = self.value(&key, &kind);
                content.insert((db, key), [kind, value, expires]);
            }
        }
        self.must("SELECT 0");
        content
    }
}

/// Waits until a replica (or its replica) has applied everything, and checks that its data equals
/// its primary's, by reading and by DEBUG DIGEST. Nobody may write meanwhile.
pub(super) fn assert_same(primary: &mut Node, replica: &mut Node) {
    primary.settle();
    replica.wait_linked();
    eventually("the replica has applied all", || {
        primary.number("master_repl_offset") == replica.number("master_repl_offset")
    });
    assert_eq!(primary.info("master_replid"), replica.info("master_replid"));
    let (expected, found) = (primary.content(), replica.content());
    let differ = |key: &&(usize, Vec<u8>)| expected.get(*key) != found.get(*key);
    let names = expected.keys().chain(found.keys());
    let different: Vec<String> = names
        .filter(differ)
        .map(|key| {
            let name = quote_args(&[&key.1]);
            format!("{} {name}: {:.200?} {:.200?}", key.0, expected.get(key), found.get(key))
        })
        .collect();
    assert!(different.is_empty(), "primary and replica differ in\n{}", different.join("\n"));
    // So its digests differ too.
    if [&primary, &replica].iter().all(|node| node.peer != Peer::Redis7)
        && primary.must("DEBUG DIGEST") != replica.must("DEBUG DIGEST")
    {
        let keys = unlike(primary, &expected, replica).join("\n");
        panic!("equal to read, but with unlike digests: {keys}");
    }
}

/// Keys whose DEBUG DIGEST-VALUE differs, with their content on the primary.
fn unlike(
    primary: &mut Node,
    content: &BTreeMap<(usize, Vec<u8>), [String; 3]>,
    replica: &mut Node,
) -> Vec<String> {
    let mut unlike = Vec::new();
    for ((db, key), value) in content {
        let digests = [&mut *primary, &mut *replica].map(|node| {
            node.must(&format!("SELECT {db}"));
            node.client.must(&[&b"DEBUG"[..], b"DIGEST-VALUE", key]).unwrap().pretty()
        });
        if digests[0] != digests[1] {
            unlike.push(format!("{db} {}: {value:.300?}", quote_args(&[key])));
        }
    }
    unlike
}
