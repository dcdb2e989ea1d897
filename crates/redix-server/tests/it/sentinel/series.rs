//! Failovers in a row under writes: how long they take, and that nothing confirmed is lost.
//!
//! With `REDIX_FAILOVERS_BESIDE=redis7` the servers take turns with another kind, in a group of its
//! own that is set up alike, and have to be as fast.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redix_resp::Value;
use redix_testkit::{Client, Peer};

use super::group::{Group, Setup, text};
use crate::eventually;

/// Failovers in a test run; the long check has more (`REDIX_FAILOVERS`).
const FAILOVERS: u64 = 2;
const WRITERS: usize = 4;
/// Writes that a writer has confirmed before the primary is killed.
const CONFIRMED_MIN: i64 = 50;
/// How long a writer waits for both replicas.
const WAIT_MS: &str = "500";
/// How much slower than the other kind of servers a failover may be.
const SLOWER_MAX: f64 = 1.5;

/// Kills the primary again and again.
fn in_a_row(servers: Peer, sentinels: Peer) {
    let failovers = std::env::var("REDIX_FAILOVERS").map_or(FAILOVERS, |n| n.parse().unwrap());
    let beside = std::env::var("REDIX_FAILOVERS_BESIDE").ok();
    let beside = beside.map(|name| Peer::from_name(&name).expect("a server"));
    let mut series: Vec<Series> = [Some(servers), beside]
        .into_iter()
        .flatten()
        .map(|kind| Series::start(kind, sentinels))
        .collect();
    for _ in 0..failovers {
        for one in &mut series {
            one.fail_over();
        }
    }
    for one in &mut series {
        one.report();
    }
    if let [ours, theirs] = &series[..] {
        let limit = |time: Duration| time.mul_f64(SLOWER_MAX);
        assert!(ours.median() <= limit(theirs.median()), "the median is too long");
        assert!(ours.longest() <= limit(theirs.longest()), "one took too long");
    }
}
for_sentinels!(in_a_row);

/// The failovers of one group.
struct Series {
    kind: Peer,
    group: Group,
    primary: usize,
    times: Vec<Duration>,
    confirmed: usize,
}

impl Series {
    fn start(kind: Peer, sentinels: Peer) -> Self {
        let group = Group::start(kind, sentinels, &Setup::default());
        Self { kind, group, primary: 0, times: Vec::new(), confirmed: 0 }
    }

    /// One failover: from the end of the primary until a client writes to the new one.
    fn fail_over(&mut self) {
        let (round, old) = (self.times.len(), self.primary);
        let addr = self.group.servers[old].addr();
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| Writer::start(addr, format!("{round}:{writer}"))).collect();
        let key = |writer: usize| format!("SCARD {round}:{writer}");
        eventually("all write", || {
            (0..WRITERS).all(|writer| match self.group.must(old, &key(writer)) {
                Value::Int(members) => members >= CONFIRMED_MIN,
                other => panic!("SCARD answers {}", other.pretty()),
            })
        });
        self.group.servers[old].kill9().unwrap();
        let killed = Instant::now();
        self.primary = self.first_write(addr.port());
        self.times.push(killed.elapsed());
        for writer in writers {
            let (key, confirmed) = writer.end();
            let Value::Array(members) = self.group.must(self.primary, &format!("SMEMBERS {key}"))
            else {
                panic!("SMEMBERS answers an array")
            };
            let members: BTreeSet<String> = members.iter().map(text).collect();
            let lost: Vec<_> = confirmed.iter().filter(|n| !members.contains(*n)).collect();
            assert!(lost.is_empty(), "{}: lost of {key}: {lost:?}", self.kind.name());
            self.confirmed += confirmed.len();
        }
        assert_eq!(self.group.wait_for_another(old), self.primary);
        self.group.servers[old].restart().unwrap();
        self.group.wait_until_replicating(self.primary);
        self.group.wait_until_known(self.primary);
    }

    /// Writes to whom the Sentinels name until it succeeds.
    fn first_write(&self, old: u16) -> usize {
        let mut written = None;
        eventually("a client writes again", || {
            let (_, port) = self.group.address(0);
            if port == old {
                return false;
            }
            let addr = SocketAddr::from(([127, 0, 0, 1], port));
            // It may still be a replica, or close the connection when it becomes the primary.
            let reply = Client::connect(addr).and_then(|mut client| client.cmd(&["INCR", "probe"]));
            written = matches!(reply, Ok(Value::Int(_))).then_some(port);
            written.is_some()
        });
        self.group.at_port(written.expect("it was found"))
    }

    fn sorted(&self) -> Vec<Duration> {
        let mut times = self.times.clone();
        times.sort_unstable();
        times
    }

    fn median(&self) -> Duration {
        let times = self.sorted();
        (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2
    }

    fn longest(&self) -> Duration {
        *self.sorted().last().expect("there was a failover")
    }

    /// Prints a line that the long check shows.
    fn report(&self) {
        let times: Vec<u128> = self.times.iter().map(Duration::as_millis).collect();
        eprintln!(
            "failovers of {}: median {} ms, all {times:?}, {} confirmed writes, none lost",
            self.kind.name(),
            self.median().as_millis(),
            self.confirmed,
        );
    }
}

/// A client that adds numbers to a set and has both replicas confirm each, until its primary ends.
struct Writer(JoinHandle<(String, Vec<String>)>);

impl Writer {
    fn start(addr: SocketAddr, key: String) -> Self {
        Self(std::thread::spawn(move || {
            let mut client = Client::connect(addr).unwrap();
            let mut confirmed = Vec::new();
            for number in 0.. {
                let number = number.to_string();
                let Ok(Value::Int(1)) = client.cmd(&["SADD", &key, &number]) else { break };
                let Ok(Value::Int(replicas)) = client.cmd(&["WAIT", "2", WAIT_MS]) else { break };
                // One of the two is promoted, whichever it is.
                if replicas == 2 {
                    confirmed.push(number);
                }
            }
            (key, confirmed)
        }))
    }

    /// Its key, and the numbers that both replicas have confirmed.
    fn end(self) -> (String, Vec<String>) {
        self.0.join().unwrap()
    }
}
