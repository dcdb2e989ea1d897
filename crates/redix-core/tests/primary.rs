//! Synchronisation by a primary: which snapshot a replica joins, when snapshots begin, what is
//! sent.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use redix_core::config::Config;
use redix_core::engine::{Background, Engine, Rest, Synced, Wish};
use redix_core::registry::ClientShared;
use redix_core::repl::primary::{Phase, Replica};
use redix_testkit::engine::{SimClock, SimDisk, sim_env};

/// A primary whose background work is run by hand.
struct Primary {
    engine: Engine,
    background: Background,
    clock: Arc<SimClock>,
    disk: SimDisk,
}

impl Primary {
    fn new(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        configure(&mut config);
        let clock = Arc::new(SimClock::default());
        let disk = SimDisk::default();
        let engine = Engine::new(sim_env(&clock, &disk, 7), config, 1).unwrap();
        Self { engine, background: Background::default(), clock, disk }
    }

    fn through_files() -> Self {
        Self::new(|config| config.repl_diskless_sync = false)
    }

    fn through_sockets(delay_s: u32, enough: u32) -> Self {
        Self::new(|config| {
            config.repl_diskless_sync_delay = delay_s;
            config.repl_diskless_sync_max_replicas = enough;
        })
    }

    /// A replica that can read a stream of unknown length.
    fn replica(&self) -> Arc<Replica> {
        let id = self.engine.registry.next_id();
        let addr = format!("127.0.0.1:{}", 50_000 + id);
        let client = ClientShared::new(id, addr, "127.0.0.1:6379".into(), 3, 0, 0);
        let replica = Replica::new(Arc::new(client));
        replica.announce(|said| (said.eof, said.psync2) = (true, true));
        replica
    }

    fn sync(&self, replica: &Arc<Replica>, wish: Wish<'_>) -> Synced {
        let _world = self.engine.keyspace.gates().world();
        self.engine.synchronise(replica, wish, false)
    }

    /// Runs background work until none is due.
    fn settle(&mut self) {
        while self.background.step(&self.engine) == Rest::None {}
    }

    /// Advances time, running what becomes due.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds * 10 {
            self.clock.advance_ms(100);
            self.settle();
        }
    }

    fn sent(&self, replica: &Arc<Replica>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut idle = 0;
        while idle < 2 {
            let count = self.engine.fill_replica(replica, 1000, &mut out).unwrap();
            idle = if count == 0 { idle + 1 } else { 0 };
        }
        out
    }

    /// Whether a snapshot file was written.
    fn saved(&self) -> bool {
        self.disk.content(Path::new("./dump.rdb")).is_some()
    }

    fn append(&self, bytes: &[u8]) {
        self.engine.repl.log.append_raw(bytes);
    }
}

fn begins_with(sent: &[u8], words: &str) -> bool {
    sent.starts_with(words.as_bytes())
}

#[test]
fn a_newcomer_joins_a_snapshot_that_goes_to_a_file() {
    let mut primary = Primary::through_files();
    let (first, second) = (primary.replica(), primary.replica());
    assert_eq!(primary.sync(&first, Wish::Everything), Synced::Begun);
    primary.append(b"after the cut");
    assert_eq!(primary.sync(&second, Wish::Everything), Synced::Waiting);
    assert_eq!((first.phase(), second.phase()), (Phase::WaitEnd, Phase::WaitEnd));
    primary.settle();
    let (one, other) = (primary.sent(&first), primary.sent(&second));
    assert!(begins_with(&one, "+FULLRESYNC "));
    assert!(one.ends_with(b"after the cut"));
    assert_eq!(one, other);
    assert_eq!(first.phase(), Phase::Online);
}

#[test]
fn one_that_can_do_less_waits_for_a_snapshot_of_its_own() {
    let mut primary = Primary::through_files();
    let (first, second) = (primary.replica(), primary.replica());
    second.announce(|said| said.eof = false);
    primary.sync(&first, Wish::Everything);
    primary.sync(&second, Wish::Everything);
    assert_eq!(second.phase(), Phase::WaitStart);
    primary.settle();
    assert_eq!(second.phase(), Phase::WaitStart);
    primary.pass(1);
    assert!(primary.sent(&second).windows(4).any(|part| part == b"\r\n$1"));
    assert_eq!(second.phase(), Phase::Online);
}

#[test]
fn nobody_joins_a_snapshot_that_is_nobodys() {
    let mut primary = Primary::through_files();
    let replica = primary.replica();
    {
        let _world = primary.engine.keyspace.gates().world();
        primary.engine.begin_snapshot().unwrap();
    }
    assert_eq!(primary.sync(&replica, Wish::Everything), Synced::Waiting);
    assert_eq!(replica.phase(), Phase::WaitStart);
    primary.pass(1);
    assert!(begins_with(&primary.sent(&replica), "\n+FULLRESYNC "));
}

#[test]
fn a_stream_waits_for_the_delay_and_serves_all_that_came() {
    let mut primary = Primary::through_sockets(2, 0);
    let (first, second, late) = (primary.replica(), primary.replica(), primary.replica());
    assert_eq!(primary.sync(&first, Wish::Everything), Synced::Waiting);
    primary.pass(1);
    assert_eq!(primary.sync(&second, Wish::Everything), Synced::Waiting);
    assert_eq!(first.phase(), Phase::WaitStart);
    primary.clock.advance_ms(1000);
    // It has begun, but no replica has read from it.
    primary.background.step(&primary.engine);
    assert_eq!((first.phase(), second.phase()), (Phase::WaitEnd, Phase::WaitEnd));
    primary.sync(&late, Wish::Everything);
    assert_eq!(late.phase(), Phase::WaitStart);
    primary.settle();
    for replica in [&first, &second] {
        let sent = primary.sent(replica);
        assert!(sent.windows(7).any(|part| part == b"\r\n$EOF:"));
        assert_eq!(replica.phase(), Phase::Online);
    }
}

#[test]
fn enough_replicas_end_the_delay() {
    let mut primary = Primary::through_sockets(1000, 2);
    let (first, second) = (primary.replica(), primary.replica());
    primary.sync(&first, Wish::Everything);
    primary.pass(1);
    assert_eq!(first.phase(), Phase::WaitStart);
    primary.sync(&second, Wish::Everything);
    primary.pass(1);
    assert_eq!((first.phase(), second.phase()), (Phase::WaitEnd, Phase::WaitEnd));
}

#[test]
fn who_knows_the_stream_goes_on_where_it_stopped() {
    let mut primary = Primary::through_files();
    let replica = primary.replica();
    primary.sync(&replica, Wish::Everything);
    primary.settle();
    primary.append(b"0123456789");
    let id = primary.engine.repl.log.history().id;
    type Case<'a> = (&'a [u8], i64, Option<&'a [u8]>);
    let shouted = id.as_str().to_ascii_uppercase();
    let cases: [Case<'_>; 7] = [
        (id.as_str().as_bytes(), 4, Some(b"3456789")),
        (shouted.as_bytes(), 4, Some(b"3456789")),
        (id.as_str().as_bytes(), 11, Some(b"")),
        (id.as_str().as_bytes(), 12, None),
        (id.as_str().as_bytes(), 0, None),
        (id.as_str().as_bytes(), i64::MIN, None),
        (b"another", 4, None),
    ];
    for (asked, next, expected) in cases {
        let replica = primary.replica();
        let synced = primary.sync(&replica, Wish::From { id: asked, next });
        match expected {
            Some(rest) => {
                assert_eq!(synced, Synced::Partly);
                let words = [b"+CONTINUE ", id.as_str().as_bytes(), b"\r\n"].concat();
                assert_eq!(primary.sent(&replica), [&words, rest].concat());
            }
            None => assert_ne!(synced, Synced::Partly, "{next:?}"),
        }
        primary.settle();
    }
}

/// The log may retain more for another replica than the limit of one that comes back.
#[test]
fn who_would_be_over_its_limit_at_once_starts_anew() {
    const KB: u64 = 1 << 10;
    let sync = |limit: u64, behind: u64| {
        let mut primary = Primary::new(|config| {
            config.repl_diskless_sync = false;
            config.repl_backlog_size = 16 * KB;
            config.client_output_buffer_limit.replica.hard_bytes = limit;
        });
        let slow = primary.replica();
        primary.sync(&slow, Wish::Everything);
        primary.settle();
        let log = &primary.engine.repl.log;
        (0..100).for_each(|_| primary.append(&[b'x'; KB as usize]));
        assert_eq!(log.backlog().unwrap().len, 100 * KB);
        let (id, next) = (log.history().id, (log.end() - behind + 1) as i64);
        primary.sync(&primary.replica(), Wish::From { id: id.as_str().as_bytes(), next })
    };
    assert_eq!(sync(50 * KB, 50 * KB), Synced::Partly);
    assert_ne!(sync(50 * KB, 50 * KB + 1), Synced::Partly);
    assert_eq!(sync(0, 100 * KB), Synced::Partly, "there is no limit");
    assert_eq!(sync(1, 16 * KB), Synced::Partly, "the backlog is there to be used");
    assert_ne!(sync(1, 16 * KB + 1), Synced::Partly);
}

#[test]
fn the_former_name_is_good_up_to_where_it_was_given_up() {
    let mut primary = Primary::through_files();
    let replica = primary.replica();
    primary.sync(&replica, Wish::Everything);
    primary.settle();
    primary.append(b"0123");
    let log = &primary.engine.repl.log;
    let former = log.history().id;
    log.take_over(&*primary.engine.env.entropy);
    primary.append(b"4567");
    let id = former.as_str().as_bytes();
    assert_eq!(primary.sync(&primary.replica(), Wish::From { id, next: 5 }), Synced::Partly);
    assert_ne!(primary.sync(&primary.replica(), Wish::From { id, next: 6 }), Synced::Partly);
}

#[test]
fn older_replicas_get_an_older_file() {
    let version_sent = |said: u32| {
        let mut primary = Primary::through_files();
        let replica = primary.replica();
        replica.announce(|known| known.version = said);
        primary.sync(&replica, Wish::Everything);
        primary.settle();
        let sent = primary.sent(&replica);
        let at = sent.windows(5).position(|part| part == b"REDIS").unwrap();
        sent[at + 5..at + 9].to_vec()
    };
    assert_eq!(version_sent(0), b"0010");
    assert_eq!(version_sent(0x07_00_0f), b"0010");
    assert_eq!(version_sent(0x08_01_00), b"0011");
}

#[test]
fn the_stream_is_forgotten_when_nobody_has_come_back() {
    let mut primary = Primary::new(|config| {
        config.repl_diskless_sync = false;
        config.repl_backlog_ttl = 5;
    });
    let replica = primary.replica();
    primary.sync(&replica, Wish::Everything);
    primary.settle();
    let before = primary.engine.repl.log.history().id;
    primary.pass(8);
    assert!(primary.engine.repl.log.active());
    primary.engine.forget_replica(&replica);
    primary.pass(3);
    assert!(primary.engine.repl.log.active());
    primary.pass(5);
    assert!(!primary.engine.repl.log.active());
    assert_ne!(primary.engine.repl.log.history().id, before);
}

#[test]
fn the_silent_are_pinged_then_dropped() {
    let mut primary = Primary::new(|config| {
        config.repl_diskless_sync = false;
        config.repl_timeout = 5;
        config.repl_ping_replica_period = 2;
    });
    let (silent, talking) = (primary.replica(), primary.replica());
    for replica in [&silent, &talking] {
        primary.sync(replica, Wish::Everything);
        primary.settle();
        primary.sent(replica);
    }
    for _ in 0..7 {
        primary.pass(1);
        talking.ack(0, primary.engine.env.clock.unix_us() / 1000);
    }
    let pings = primary.sent(&talking);
    assert!(pings.starts_with(b"*1\r\n$4\r\nPING\r\n") && pings.len() >= 3 * 14);
    assert_eq!(primary.engine.repl.replicas.count(), 1);
    assert!(primary.engine.fill_replica(&silent, 10, &mut Vec::new()).is_err());
}

#[test]
fn a_file_that_nobody_waits_for_is_given_up_but_for_the_users() {
    for (save, given_up) in [(vec![], true), (vec![(3600, 1)], false)] {
        let mut primary = Primary::new(|config| {
            config.repl_diskless_sync = false;
            config.save = save;
        });
        let replica = primary.replica();
        assert_eq!(primary.sync(&replica, Wish::Everything), Synced::Begun);
        primary.engine.forget_replica(&replica);
        primary.settle();
        assert_eq!(primary.saved(), !given_up);
    }
}

/// The rest of a snapshot through the socket stays in memory for a replica that does not read; the
/// saver is free again.
#[test]
fn who_has_yet_to_read_has_no_say_in_later_snapshots() {
    let mut primary = Primary::new(|config| {
        config.repl_diskless_sync_delay = 0;
        config.save = Vec::new();
    });
    let (lazy, other) = (primary.replica(), primary.replica());
    assert_eq!(primary.sync(&lazy, Wish::Everything), Synced::Begun);
    primary.settle();
    assert_eq!(primary.sync(&other, Wish::Everything), Synced::Begun);
    assert!(primary.engine.abandon_snapshot());
    primary.settle();
    assert!(primary.engine.fill_replica(&other, 10, &mut Vec::new()).is_err());
    assert!(primary.sent(&lazy).windows(7).any(|part| part == b"\r\n$EOF:"), "only one failed");

    let lazy = primary.replica();
    assert_eq!(primary.sync(&lazy, Wish::Everything), Synced::Begun);
    primary.settle();
    {
        let _world = primary.engine.keyspace.gates().world();
        primary.engine.begin_snapshot().unwrap();
    }
    primary.engine.forget_replica(&lazy);
    primary.settle();
    assert!(primary.saved(), "the user's snapshot is written");
}
