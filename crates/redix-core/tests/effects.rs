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

/// A command on a stream with some of these entries, its group and its producers.
fn stream_command(rng: &mut Rng, entries: &[String]) -> String {
    let (producer, consumer) = (pick(rng, &["p", "q"]), pick(rng, &["a", "b", "c"]));
    let recent = entries.len().saturating_sub(12);
    let mut entry = || match &entries[recent..] {
        [] => "1-1".to_owned(),
        some => some[rng.below(some.len())].clone(),
    };
    let (id, other) = (entry(), entry());
    let (number, few) = (rng.below(20), 1 + rng.below(4));
    let idle_ms = [0, 100, 1000][rng.below(3)];
    match rng.below(16) {
        0..3 => format!("XADD s IDMP {producer} i{number} * f {number}"),
        3 => format!("XADD s MAXLEN ~ 100 IDMPAUTO {producer} * f {few}"),
        4 => format!("XADD s MAXLEN 30 IDMP {producer} j{few} * f {number}"),
        5 => format!("XREADGROUP GROUP g {consumer} COUNT {few} STREAMS s >"),
        6 => format!("XREADGROUP GROUP g {consumer} COUNT {few} CLAIM {idle_ms} STREAMS s >"),
        7 => format!("XREADGROUP GROUP g {consumer} NOACK CLAIM {idle_ms} STREAMS s >"),
        8..10 => {
            let mode = pick(rng, &["SILENT", "FAIL", "FATAL"]);
            let more = pick(rng, &["", "", " FORCE", " RETRYCOUNT 7"]);
            format!("XNACK s g {mode} IDS 2 {id} {other}{more}")
        }
        10 => format!("XACK s g {id} {other}"),
        11 => format!("XDELEX s {} IDS 1 {id}", pick(rng, &["KEEPREF", "DELREF", "ACKED"])),
        12 => format!("XCLAIM s g {consumer} {idle_ms} {id} {other}"),
        13 => format!("XAUTOCLAIM s g {consumer} {idle_ms} 0 COUNT {few}"),
        14 => format!("XIDMPRECORD s {producer} i{number} {id}"),
        _ if number < 3 => format!("XCFGSET s IDMP-DURATION {few} IDMP-MAXSIZE {few}"),
        _ if number < 6 => format!("XGROUP DELCONSUMER s g {consumer}"),
        _ => "COPY s t REPLACE".to_owned(),
    }
}

/// Entries, what is pending, and what is known of producers, but for repetitions: they are not
/// logged.
fn stream_state(engine: &mut SimEngine) -> Vec<String> {
    let mut state = Vec::new();
    for key in ["s", "t"] {
        for command in ["XRANGE KEY - +", "XPENDING KEY g - + 1000", "XINFO STREAM KEY"] {
            let command = command.replace("KEY", key);
            let words: Vec<&str> = command.split(' ').collect();
            let text = engine.execute(1, &words).unwrap().pretty();
            let lines = text.lines().filter(|line| !line.contains("iids-duplicates"));
            state.push(lines.collect::<Vec<_>>().join("\n"));
        }
    }
    state
}

/// Whoever applies the log of a stream with producers, released entries and claims knows the same,
/// and so does whoever loads a file.
#[test]
fn the_log_rebuilds_streams() {
    for seed in SEEDS {
        eprintln!("seed {seed}");
        let mut rng = Rng::new(seed);
        let (mut primary, mut replica) = (engine(seed), engine(seed + 1000));
        for engine in [&mut primary, &mut replica] {
            engine.execute(1, &["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]).unwrap();
            engine.execute(1, &["HELLO", "3"]).unwrap();
        }
        primary.take_log();
        let mut entries = Vec::new();
        for _ in 0..COMMANDS {
            let command = stream_command(&mut rng, &entries);
            let words: Vec<&str> = command.split_whitespace().collect();
            let reply = primary.execute(1, &words).unwrap().pretty();
            if words[0] == "XADD" {
                entries.push(reply.trim_matches('"').to_owned());
            }
            for record in primary.take_log().unwrap() {
                replica.execute(1, &record).unwrap();
            }
            let ms = [0, 0, 0, 5, 300, 1100][rng.below(6)];
            let is_reloaded = rng.below(20) == 0;
            for engine in [&mut primary, &mut replica] {
                engine.pass_ms(ms).unwrap();
            }
            if is_reloaded {
                let reloaded = pick(&mut rng, &["primary", "replica"]);
                let engine = if reloaded == "primary" { &mut primary } else { &mut replica };
                let reply = engine.execute(1, &["DEBUG", "RELOAD"]).unwrap();
                assert_eq!(reply.pretty(), "+OK");
                primary.take_log();
            }
            let states = [&mut primary, &mut replica].map(stream_state);
            assert_eq!(states[0], states[1], "after {command}");
        }
        let [entries, pending, known, ..] = &stream_state(&mut primary)[..] else { unreachable!() };
        assert!(entries.len() > 100 && pending.len() > 100 && known.contains("iids-added"));
    }
}
