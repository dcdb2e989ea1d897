//! Commands that are logged in another form: whoever applies the log has the same data.

#![allow(clippy::unwrap_used)]

use redix_core::config::{Config, Guard};
use redix_testkit::ScriptTarget;
use redix_testkit::engine::SimEngine;
use redix_testkit::rng::Rng;

const SEEDS: std::ops::Range<u64> = 0..20;
const COMMANDS: usize = 500;

fn engine(seed: u64) -> SimEngine {
    let config = Config { enable_debug_command: Guard::Yes, ..Config::default() };
    SimEngine::new(config, seed).unwrap()
}

fn pick<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.below(words.len())]
}

/// A command on a few lists and numbers.
fn command(rng: &mut Rng) -> String {
    let (list, other) = (pick(rng, &["l1", "l2"]), pick(rng, &["l1", "l2"]));
    let (from, to) = (pick(rng, &["LEFT", "RIGHT"]), pick(rng, &["LEFT", "RIGHT"]));
    let (key, number) = (pick(rng, &["k1", "k2"]), rng.below(20));
    match rng.below(6) {
        0 => format!("RPUSH {list} {number} x{number}"),
        1 => format!("LMOVEM {list} {other} {from} {to}"),
        2 => {
            let (what, how) = (pick(rng, &["COUNT", "EXACTLY"]), pick(rng, &["OBO", "BULK"]));
            let wait = pick(rng, &["", "0.001 "]);
            let name = if wait.is_empty() { "LMOVEM" } else { "BLMOVEM" };
            let count = 1 + number / 4;
            format!("{name} {list} {other} {from} {to} {wait}{what} {count} {how}")
        }
        3 => {
            let by = pick(rng, &["BYINT 3", "BYINT -2", "BYFLOAT 0.5", "BYFLOAT -1"]);
            let end = pick(rng, &["", " UBOUND 9", " LBOUND -9 SATURATE", " UBOUND 5 SATURATE"]);
            let time = pick(rng, &["", " EX 100", " PX 50000 ENX", " PERSIST", " PXAT 1"]);
            format!("INCREX {key} {by}{end}{time}")
        }
        4 => {
            let time = pick(rng, &["", " EX 100", " KEEPTTL", " GET", " PXAT 4102444800000"]);
            let digest = pick(rng, &["IFDEQ", "IFDNE"]);
            let condition = match rng.below(2) {
                0 => format!("IFNE {number}"),
                _ => format!("{digest} 9555e8555c62dcfd"),
            };
            format!("SET {key} {number} {condition}{time}")
        }
        _ => format!("PEXPIREAT {} 4102444800000", pick(rng, &["l1", "l2", "k1", "k2"])),
    }
}

#[test]
fn the_log_rebuilds_the_data() {
    for seed in SEEDS {
        eprintln!("seed {seed}");
        let mut rng = Rng::new(seed);
        let (mut primary, mut replica) = (engine(seed), engine(seed + 1000));
        let mut logged = 0;
        for _ in 0..COMMANDS {
            let command = command(&mut rng);
            let words: Vec<&str> = command.split_whitespace().collect();
            primary.execute(1, &words).unwrap();
            for record in primary.take_log().unwrap() {
                replica.execute(1, &record).unwrap();
                logged += 1;
            }
            let digests = [&mut primary, &mut replica]
                .map(|engine| engine.execute(1, &["DEBUG", "DIGEST"]).unwrap());
            assert_eq!(digests[0], digests[1], "after {command}");
        }
        assert!(logged > COMMANDS / 3, "{logged} records");
    }
}
