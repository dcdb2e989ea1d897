#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use super::*;
use crate::persist::payload::Payload;
use crate::repl::log::Log;

struct Fixed;

impl crate::env::Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

fn replica(addr: &str) -> Arc<Replica> {
    let client = ClientShared::new(1, addr.into(), "127.0.0.1:6379".into(), 3, 0, 0);
    Replica::new(Arc::new(client))
}

fn log() -> Log {
    let log = Log::new(&Fixed);
    log.start(1 << 20, &Fixed);
    log
}

fn filled(replica: &Replica, log: &Log) -> Vec<u8> {
    let mut out = Vec::new();
    while replica.fill(log, 4, &mut out).unwrap().bytes > 0 {}
    out
}

#[test]
fn a_file_is_followed_by_the_log_from_the_cut_on() {
    let (log, replica) = (log(), replica("127.0.0.1:5000"));
    log.append_raw(b"before");
    replica.wait_for_start(5);
    assert_eq!(replica.phase(), Phase::WaitStart);
    replica.begin(b"+FULLRESYNC x 6\r\n", log.reader(log.end()).unwrap(), None);
    assert_eq!(replica.cut_at(), Some(6));
    log.append_raw(b"after");
    assert_eq!(filled(&replica, &log), b"+FULLRESYNC x 6\r\n");
    replica.reassure();
    assert_eq!(filled(&replica, &log), b"\n");
    assert_eq!(replica.lag(log.end()), 5);
    replica.send_file(Box::new(Cursor::new(b"SNAPSHOT".to_vec())), 8);
    assert_eq!(replica.phase(), Phase::SendBulk);
    replica.reassure();
    assert_eq!(filled(&replica, &log), b"$8\r\nSNAPSHOTafter");
    assert_eq!((replica.phase(), replica.lag(log.end())), (Phase::Online, 0));
}

#[test]
fn a_file_that_ends_early_costs_the_connection() {
    let (log, replica) = (log(), replica("127.0.0.1:5000"));
    replica.begin(b"", log.reader(0).unwrap(), None);
    replica.send_file(Box::new(Cursor::new(b"SHORT".to_vec())), 8);
    let mut out = Vec::new();
    assert!(replica.fill(&log, 100, &mut out).is_ok());
    assert_eq!(replica.fill(&log, 100, &mut out), Err(Lost::FEED));
}

#[test]
fn after_a_stream_the_log_waits_for_an_acknowledgement() {
    let (log, replica) = (log(), replica("127.0.0.1:5000"));
    let payload = Payload::new(&Fixed);
    replica.begin(b"", log.reader(0).unwrap(), Some(payload.reader()));
    log.append_raw(b"later");
    payload.finish();
    let framed = filled(&replica, &log);
    assert!(framed.starts_with(b"$EOF:0707") && framed.ends_with(b"0707"));
    assert_eq!(replica.phase(), Phase::Online);
    assert_eq!(filled(&replica, &log), b"");
    replica.ack(0, 1);
    assert_eq!(filled(&replica, &log), b"later");
}

#[test]
fn before_it_has_acknowledged_a_replica_has_nothing() {
    let (log, replica) = (log(), replica("127.0.0.1:5000"));
    replica.begin(b"", log.reader(0).unwrap(), None);
    replica.send_file(Box::new(Cursor::new(b"SNAPSHOT".to_vec())), 8);
    filled(&replica, &log);
    assert_eq!(replica.phase(), Phase::Online);
    // It is still loading, so it lacks what was written before the stream began.
    assert!(!replica.has(0));
    replica.ack(0, 1);
    assert!(replica.has(0) && !replica.has(1));
}

#[test]
fn one_that_wants_the_snapshot_only_gets_no_more() {
    let (log, replica) = (log(), replica("127.0.0.1:5000"));
    replica.announce(|said| said.wanted.rdb_only = true);
    replica.begin(b"", log.reader(0).unwrap(), None);
    log.append_raw(b"later");
    replica.send_file(Box::new(Cursor::new(b"S".to_vec())), 1);
    assert_eq!(filled(&replica, &log), b"$1\r\nS");
    assert_eq!((replica.phase(), replica.lag(log.end())), (Phase::Served, 0));
}

#[test]
fn what_is_let_go_holds_nothing_back() {
    let (log, replica, replicas) = (log(), replica("127.0.0.1:5000"), Replicas::new(1));
    replicas.attach(&replica);
    replicas.attach(&replica);
    assert_eq!(replicas.count(), 1);
    log.set_backlog_bytes(0);
    replica.resume(b"+CONTINUE\r\n", log.reader(0).unwrap(), 1);
    log.append_raw(&[b'x'; 100_000]);
    assert_eq!(log.backlog().unwrap().start, 0);
    replicas.detach(&replica, 9);
    replicas.detach(&replica, 10);
    assert_eq!((replicas.count(), replicas.empty_since_ms()), (0, 9));
    assert_eq!(replica.fill(&log, 10, &mut Vec::new()), Err(Lost::FEED));
    log.append_raw(b"y");
    assert_ne!(log.backlog().unwrap().start, 0);
}

#[test]
fn those_online_and_heard_of_lately_are_good() {
    let (log, replicas) = (log(), Replicas::new(1));
    let (early, late) = (replica("127.0.0.1:5000"), replica("127.0.0.1:5001"));
    for (replica, now_ms) in [(&early, 1000), (&late, 9000)] {
        replicas.attach(replica);
        replica.resume(b"", log.reader(0).unwrap(), now_ms);
    }
    replicas.count_good(10_000, 9_000);
    assert_eq!(replicas.good(), 2);
    replicas.count_good(10_001, 9_000);
    assert_eq!(replicas.good(), 1);
    late.ack(5, 10_000);
    let acknowledged = |offset| replicas.acknowledged(offset, false);
    assert_eq!((acknowledged(5), acknowledged(6)), (1, 0));
    assert_eq!(replicas.acknowledged(5, true), 0);
    late.note_filed(4);
    assert_eq!((replicas.acknowledged(4, true), replicas.acknowledged(5, true)), (1, 0));
}

#[test]
fn a_replica_that_has_connected_again_is_counted_once() {
    let (log, replicas) = (log(), Replicas::new(1));
    let [old, new] = ["127.0.0.1:5000", "127.0.0.1:5001"].map(replica);
    for (replica, port, now_ms) in [(&old, 7000, 1000), (&new, 7000, 2000)] {
        replica.announce(|said| said.port = port);
        replicas.attach(replica);
        replica.resume(b"", log.reader(0).unwrap(), now_ms);
        replica.ack(5, now_ms + 500);
    }
    assert_eq!(replicas.acknowledged(5, false), 1);
    // Another server at that address, since both are heard of.
    old.ack(5, 2600);
    assert_eq!(replicas.acknowledged(5, false), 2);
    // Without a port nobody can be told apart.
    let [one, other] = ["127.0.0.1:5002", "127.0.0.1:5003"].map(replica);
    for replica in [&one, &other] {
        replicas.attach(replica);
        replica.resume(b"", log.reader(0).unwrap(), 3000);
        replica.ack(5, 3000);
    }
    assert_eq!(replicas.acknowledged(5, false), 4);
}

#[test]
fn names_are_what_was_said_or_seen() {
    let replica = replica("[::1]:5000");
    assert_eq!(replica.name(), "::1:<unknown-replica-port>");
    replica.announce(|said| said.port = 7000);
    assert_eq!(replica.name(), "::1:7000");
    replica.announce(|said| said.ip = "replica.example".into());
    assert_eq!(replica.address(), ("replica.example".into(), 7000));
}

#[test]
fn a_snapshot_has_the_version_that_its_reader_announced() {
    use WriteVersion::{V10, V11, V12, V80};
    // The version announced, the configured one, the one sent without expiring fields and with.
    let cases = [
        (0, V11, V10, V12),
        (0, V12, V10, V12),
        (0, V80, V10, V12),
        (0x07_00_0f, V11, V10, V12),
        (0x07_02_00, V10, V10, V80),
        (0x07_02_00, V11, V11, V80),
        (0x08_00_00, V80, V11, V80),
        (0x09_00_00, V10, V10, V80),
        (0x09_00_00, V11, V11, V80),
        (0x09_00_00, V12, V11, V80),
        (0x09_01_02, V80, V80, V80),
    ];
    for (version, configured, plain, expiring) in cases {
        let said = Announced { version, ..Announced::default() };
        assert_eq!(said.rdb_version(configured, false), plain, "{version:x} {configured:?}");
        assert_eq!(said.rdb_version(configured, true), expiring, "{version:x} {configured:?}");
    }
    let reads = |version, file| Announced { version, ..Announced::default() }.reads(file);
    assert!(reads(0, V10) && !reads(0, V11) && !reads(0, V12) && !reads(0, V80));
    assert!(reads(0x07_02_00, V11) && !reads(0x08_00_00, V80) && reads(0x09_00_00, V80));
}
