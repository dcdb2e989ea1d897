//! Replicas in the primary's INFO and ROLE, and the commands of replicas.

#![allow(clippy::unwrap_used)]

use redix_core::config::{Config, Guard};
use redix_testkit::engine::{SimEngine, SimEntropy};

/// A primary with DEBUG enabled.
fn primary() -> SimEngine {
    let config = Config { enable_debug_command: Guard::Yes, ..Config::default() };
    SimEngine::new(config, 1).unwrap()
}

fn run(engine: &mut SimEngine, conn: u8, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    engine.execute(conn, &words).unwrap().pretty()
}

/// Requests a full synchronisation, which waits for `repl-diskless-sync-delay`.
fn attach(engine: &mut SimEngine, conn: u8) {
    run(engine, conn, "REPLCONF capa eof capa psync2");
    engine.send(conn, &["PSYNC", "?", "-1"]).unwrap();
}

#[test]
fn one_that_waits_for_its_snapshot_lags_behind_nothing() {
    let mut engine = primary();
    attach(&mut engine, 1);
    engine.pass_ms(3000).unwrap();
    let info = run(&mut engine, 2, "INFO replication");
    assert!(info.contains("state=wait_bgsave,offset=0,lag=0,type=replica"), "{info}");
}

#[test]
fn the_names_of_a_stream_are_given_up_on_request() {
    let mut engine = primary();
    engine.engine().repl.log.take_over(&SimEntropy::new(2));
    let before = engine.engine().repl.log.history();
    assert_ne!(before.second_offset(), -1);
    assert_eq!(run(&mut engine, 1, "DEBUG CHANGE-REPL-ID"), "+OK");
    let log = &engine.engine().repl.log;
    let after = log.history();
    assert_eq!((after.end, after.second_offset()), (before.end, -1));
    assert!(log.resume(after.id, after.end).is_ok());
    for id in [before.id, before.id2] {
        assert!(log.resume(id, before.id2_end).is_err());
    }
}

/// As in the real servers, only the first byte matters.
#[test]
fn who_names_no_stream_is_not_refused_one() {
    for (id, refused) in [("?", 0), ("?other", 0), ("other", 1)] {
        let mut engine = primary();
        engine.send(1, &["PSYNC", id, "-1"]).unwrap();
        let info = run(&mut engine, 2, "INFO stats");
        assert!(info.contains("sync_full:1"), "{info}");
        assert!(info.contains(&format!("sync_partial_err:{refused}")), "{info}");
    }
}
