//! The duration of SAVE.

#![allow(clippy::unwrap_used)]

use redix_core::config::Config;
use redix_core::env::Clock;
use redix_testkit::engine::SimEngine;

/// Simulated microseconds that a SAVE of 1000 keys takes.
fn save_us(rdb_key_save_delay: i32) -> i64 {
    let mut engine = SimEngine::new(Config { rdb_key_save_delay, ..Config::default() }, 1).unwrap();
    for key in 0..1000 {
        engine.execute(1, &["SET", &key.to_string(), "v"]).unwrap();
    }
    let clock = |engine: &SimEngine| -> i64 {
        let clock: &dyn Clock = &*engine.engine().env.clock;
        clock.unix_us()
    };
    let before = clock(&engine);
    assert_eq!(engine.execute(1, &["SAVE"]).unwrap().pretty(), "+OK");
    clock(&engine) - before
}

#[test]
fn the_delay_for_each_key_holds_for_save_too() {
    assert_eq!(save_us(0), 0);
    assert_eq!(save_us(300), 300_000);
    assert_eq!(save_us(-100), 10);
}
