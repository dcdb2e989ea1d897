//! A group of three servers and the three Sentinels that watch it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use redix_resp::Value;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Peer, Server};

use crate::{eventually, program};

const SERVERS: usize = 3;
const SENTINELS: usize = 3;
/// How many Sentinels have to find the primary unreachable.
pub(super) const QUORUM: usize = 2;
/// The name under which they watch the group.
pub(super) const NAME: &str = "mymaster";
/// How long the primary does not reply before a Sentinel takes it to be down. Longer than a busy
/// machine keeps a process waiting.
const DOWN_AFTER_MS: u64 = 1000;
/// A failover without success is tried again after twice this time.
const FAILOVER_TIMEOUT_MS: u64 = 3000;
/// Settings that only SENTINEL DEBUG changes, in milliseconds: often enough for a test to be short,
/// and no alarm about a machine that is slow. During a failover INFO is asked for once a second. It
/// has to be valid for longer, which is three of its periods, or five ping periods if the primary
/// is down; and it has to show a promotion before the others undo that, which is after four
/// publishing periods.
const TIMINGS_MS: [(&str, u64); 6] = [
    ("info-period", 500),
    ("ping-period", 400),
    ("ask-period", 100),
    ("publish-period", 500),
    ("tilt-trigger", 15_000),
    ("min-link-reconnect-period", 300),
];

/// How a group is set up. The default is what most tests want.
#[derive(Default)]
pub(super) struct Setup<'a> {
    /// The password of the servers.
    pub(super) password: Option<&'a str>,
    /// The name or address of the primary that Sentinels are told, instead of 127.0.0.1.
    pub(super) host: Option<&'a str>,
    /// Lines for the configuration files of each server.
    pub(super) servers: [&'a str; SERVERS],
    /// Lines for the beginning of the configuration files of the Sentinels.
    pub(super) sentinels: &'a str,
    /// Whether Sentinels keep their usual periods.
    pub(super) usual_periods: bool,
}

/// The servers, the first of which begins as the primary, and their Sentinels.
pub(super) struct Group {
    pub(super) servers: Vec<Server>,
    pub(super) sentinels: Vec<Server>,
    password: Option<String>,
    dir: TempDir,
}

impl Group {
    /// Starts all of them; returns when the Sentinels have found each other and the replicas.
    pub(super) fn start(servers: Peer, sentinels: Peer, setup: &Setup<'_>) -> Self {
        let mut group = Self::replicating(servers, setup);
        group.watch(sentinels, setup);
        group.wait_until_known(0);
        group
    }

    /// Starts the servers only.
    pub(super) fn replicating(kind: Peer, setup: &Setup<'_>) -> Self {
        let dir = TempDir::in_memory("sentinel").unwrap();
        let password = setup.password.map(str::to_owned);
        let mut servers = Vec::new();
        for (index, more) in setup.servers.iter().enumerate() {
            let mut lines = "repl-diskless-sync-delay 0\n".to_owned();
            if let Some(password) = &password {
                lines += &format!("requirepass {password}\nmasterauth {password}\n");
            }
            let config = write_config(dir.path(), &format!("server-{index}"), &(lines + more));
            let launch = match kind {
                Peer::Redix => Launch::redix(program()),
                real => Launch::new(real).unwrap(),
            };
            servers.push(launch.config(config).start().unwrap());
        }
        let group = Self { servers, sentinels: Vec::new(), password, dir };
        let host = setup.host.unwrap_or("127.0.0.1");
        let port = group.servers[0].port();
        for replica in 1..SERVERS {
            group.must(replica, &format!("REPLICAOF {host} {port}"));
        }
        group.wait_until_replicating(0);
        group
    }

    /// Starts the Sentinels.
    pub(super) fn watch(&mut self, kind: Peer, setup: &Setup<'_>) {
        let host = setup.host.unwrap_or("127.0.0.1");
        for index in 0..SENTINELS {
            let port = self.servers[0].port();
            let mut lines = format!(
                "{}\nsentinel monitor {NAME} {host} {port} {QUORUM}\n\
                 sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n\
                 sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MS}\n\
                 sentinel parallel-syncs {NAME} {SERVERS}\n",
                setup.sentinels
            );
            if let Some(password) = &self.password {
                lines += &format!("sentinel auth-pass {NAME} {password}\n");
            }
            let config = write_config(self.dir.path(), &format!("sentinel-{index}"), &lines);
            let launch = Launch::new(kind).unwrap().config(config).args(&["--sentinel"]);
            self.sentinels.push(launch.start().unwrap());
            let timings = if setup.usual_periods { &[][..] } else { &TIMINGS_MS };
            for (name, ms) in timings {
                self.ask_sentinel(index, &format!("SENTINEL DEBUG {name} {ms}"));
            }
        }
    }

    /// A connection to a server, authenticated, if the server accepts it.
    pub(super) fn connect(&self, server: usize) -> Option<Client> {
        let mut client = Client::connect(self.servers[server].addr()).ok()?;
        if let Some(password) = &self.password {
            client.must(&["AUTH", password]).ok()?;
        }
        Some(client)
    }

    /// The reply of a server to a command that must not fail. It is sent again while the server
    /// loads its data, and if the connection is closed, as Sentinels do when they change a role.
    pub(super) fn must(&self, server: usize, line: &str) -> Value {
        let args: Vec<&str> = line.split(' ').collect();
        let mut reply = None;
        eventually(&format!("server {server} replies to {line}"), || {
            reply = self.connect(server).and_then(|mut client| client.cmd(&args).ok());
            match &reply {
                None => false,
                Some(Value::Error(error)) => !error.starts_with(b"LOADING "),
                Some(_) => true,
            }
        });
        match reply {
            Some(Value::Error(error)) => panic!("{line}: {}", String::from_utf8_lossy(&error)),
            reply => reply.expect("there was a reply"),
        }
    }

    /// The reply of a Sentinel to a command that must not fail.
    pub(super) fn ask_sentinel(&self, sentinel: usize, line: &str) -> Value {
        let args: Vec<&str> = line.split(' ').collect();
        Client::connect(self.sentinels[sentinel].addr()).unwrap().must(&args).unwrap()
    }

    /// Has every Sentinel change a setting of the group.
    pub(super) fn set_on_sentinels(&self, setting: &str) {
        for sentinel in 0..SENTINELS {
            self.ask_sentinel(sentinel, &format!("SENTINEL SET {NAME} {setting}"));
        }
    }

    /// The fields of a server's INFO.
    pub(super) fn info(&self, server: usize) -> BTreeMap<String, String> {
        let text = text(&self.must(server, "INFO"));
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// What a Sentinel knows of the primary.
    pub(super) fn known_primary(&self, sentinel: usize) -> BTreeMap<String, String> {
        pairs(&self.ask_sentinel(sentinel, &format!("SENTINEL MASTER {NAME}")))
    }

    /// What a Sentinel knows of the replicas, by port.
    pub(super) fn known_replicas(
        &self,
        sentinel: usize,
    ) -> BTreeMap<u16, BTreeMap<String, String>> {
        let replicas = self.known(sentinel, "REPLICAS").into_iter();
        replicas.map(|fields| (fields["port"].parse().unwrap(), fields)).collect()
    }

    /// What a Sentinel knows of the instances of a kind.
    fn known(&self, sentinel: usize, kind: &str) -> Vec<BTreeMap<String, String>> {
        let reply = self.ask_sentinel(sentinel, &format!("SENTINEL {kind} {NAME}"));
        let Value::Array(instances) = reply else { panic!("SENTINEL {kind} answers an array") };
        instances.iter().map(pairs).collect()
    }

    /// The primary's host and port, as a Sentinel tells its clients.
    pub(super) fn address(&self, sentinel: usize) -> (String, u16) {
        let reply =
            self.ask_sentinel(sentinel, &format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}"));
        let Value::Array(parts) = reply else { panic!("no address: {}", reply.pretty()) };
        (text(&parts[0]), text(&parts[1]).parse().unwrap())
    }

    /// The server at a port.
    pub(super) fn at_port(&self, port: u16) -> usize {
        let found = self.servers.iter().position(|server| server.port() == port);
        found.unwrap_or_else(|| panic!("no server at port {port}"))
    }

    /// The indices of the servers other than one.
    pub(super) fn others(&self, than: usize) -> Vec<usize> {
        (0..SERVERS).filter(|server| *server != than).collect()
    }

    /// Waits until all others replicate from `primary`.
    pub(super) fn wait_until_replicating(&self, primary: usize) {
        let port = self.servers[primary].port().to_string();
        for replica in self.others(primary) {
            eventually(&format!("server {replica} replicates from {port}"), || {
                let info = self.info(replica);
                info["role"] == "slave"
                    && info["master_port"] == port
                    && info["master_link_status"] == "up"
            });
        }
        assert_eq!(self.info(primary)["role"], "master");
    }

    /// Waits until every Sentinel is connected with the primary, the replicas and the others, and
    /// has no failover under way.
    pub(super) fn wait_until_known(&self, primary: usize) {
        let port = self.servers[primary].port();
        for sentinel in 0..SENTINELS {
            eventually(&format!("sentinel {sentinel} knows all of primary {port}"), || {
                let fields = self.known_primary(sentinel);
                let replicas = self.known_replicas(sentinel);
                let others = self.known(sentinel, "SENTINELS");
                let usable = |fields: &BTreeMap<String, String>| {
                    fields["flags"] == "slave" && fields["master-link-status"] == "ok"
                };
                fields["port"] == port.to_string()
                    && fields["flags"] == "master"
                    && others.len() == SENTINELS - 1
                    && others.iter().all(|fields| !fields["flags"].contains("disconnected"))
                    && self
                        .others(primary)
                        .iter()
                        .all(|other| replicas.get(&self.servers[*other].port()).is_some_and(usable))
            });
        }
    }

    /// Waits until all Sentinels name another primary than `old`, and returns it.
    pub(super) fn wait_for_another(&self, old: usize) -> usize {
        let old = self.servers[old].port();
        eventually("all Sentinels name the same new primary", || {
            let named: Vec<u16> = (0..SENTINELS).map(|index| self.address(index).1).collect();
            named[0] != old && named.iter().all(|port| *port == named[0])
        });
        self.at_port(self.address(0).1)
    }

    /// The addresses of the Sentinels.
    pub(super) fn sentinel_addrs(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(Server::addr).collect()
    }
}

fn write_config(dir: &Path, name: &str, lines: &str) -> PathBuf {
    let path = dir.join(format!("{name}.conf"));
    fs::write(&path, format!("{lines}\n")).unwrap();
    path
}

/// A reply that is text.
pub(super) fn text(reply: &Value) -> String {
    match reply {
        Value::Bulk(text) | Value::Simple(text) => String::from_utf8(text.clone()).unwrap(),
        other => panic!("text was expected: {}", other.pretty()),
    }
}

/// A flat array of names and values.
fn pairs(reply: &Value) -> BTreeMap<String, String> {
    let Value::Array(flat) = reply else { panic!("an array was expected: {}", reply.pretty()) };
    flat.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}
