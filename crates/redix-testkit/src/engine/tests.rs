#![allow(clippy::unwrap_used)]

use super::*;

fn log_of(engine: &mut SimEngine) -> Vec<String> {
    let log = engine.take_log().unwrap();
    log.iter().map(|command| crate::quoting::quote_args(command)).collect()
}

#[test]
fn replies_and_records_what_was_logged() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    assert_eq!(engine.execute(1, &["SET", "k", "v"]).unwrap(), Value::Simple(b"OK".to_vec()));
    engine.execute(2, &["SELECT", "3"]).unwrap();
    engine.execute(2, &["SET", "k", "v"]).unwrap();
    assert_eq!(log_of(&mut engine), ["SET k v", "SELECT 3", "SET k v"]);
    assert!(log_of(&mut engine).is_empty());
}

#[test]
fn time_passes_only_when_told() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    engine.execute(1, &["SET", "k", "v", "PX", "100"]).unwrap();
    assert_eq!(engine.expire_at_ms(b"k"), Some(EPOCH_MS + 100));
    engine.clock().advance_ms(99);
    assert_eq!(engine.execute(1, &["GET", "k"]).unwrap(), Value::Bulk(b"v".to_vec()));
    engine.clock().advance_ms(1);
    assert_eq!(engine.execute(1, &["GET", "k"]).unwrap(), Value::Null);
    assert_eq!(log_of(&mut engine), ["SET k v PXAT 1700000000100", "UNLINK k"]);
}

#[test]
fn a_write_that_meets_an_expired_key_is_one_transaction() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    engine.execute(1, &["SET", "k", "v", "PX", "1"]).unwrap();
    engine.take_log();
    engine.clock().advance_ms(2);
    engine.execute(1, &["APPEND", "k", "x"]).unwrap();
    assert_eq!(log_of(&mut engine), ["MULTI", "UNLINK k", "APPEND k x", "EXEC"]);
}
