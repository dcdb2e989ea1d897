//! Reading ahead has no visible effect but speed.

use redix_core::config::{Config, Guard};
use redix_resp::{Value, encode_command};
use redix_testkit::rng::Rng;

use crate::rig::{Reads, Rig, dump};

const SEEDS: u64 = 200;
const COMMANDS: usize = 300;

/// A stream of valid commands, and some that a primary does not send.
fn stream(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut in_multi = false;
    for _ in 0..COMMANDS {
        let key = format!("key:{}", rng.below(30));
        let value = match rng.below(12) {
            0 => rng.printable(5000),
            1..4 => rng.below(1000).to_string().into_bytes(),
            _ => {
                let len = rng.below(100);
                rng.printable(len)
            }
        };
        let (key, number) = (key.as_bytes(), rng.below(1000).to_string());
        let words: Vec<&[u8]> = match rng.below(40) {
            0 => vec![b"SELECT", [&b"0"[..], b"1", b"5"][rng.below(3)]],
            1 if !in_multi => vec![b"MULTI"],
            1..4 if in_multi => vec![b"EXEC"],
            2 => vec![b"PING"],
            3 => vec![b"REPLCONF", b"GETACK", b"*"],
            4 => vec![b"MSET", key, &value, b"other", b"1"],
            5..8 => vec![b"DEL", key],
            8 => vec![b"DEL", b"key:1", b"key:2", b"key:3"],
            9 => vec![b"SET", key, &value, b"PXAT", b"99999999999999"],
            10 => vec![b"SETRANGE", key, number.as_bytes(), b"range"],
            11..15 => vec![b"APPEND", key, b"more"],
            15 => vec![b"FLUSHDB"],
            16 => {
                bytes.extend_from_slice([&b"\r\n"[..], b"*0\r\n", b"\n"][rng.below(3)]);
                continue;
            }
            17 => {
                bytes.extend_from_slice(b"SET inline 'a word'\r\n");
                continue;
            }
            18 => vec![b"PEXPIREAT", key, b"99999999999999"],
            19..22 => vec![b"SET", b"count", number.as_bytes()],
            22 => vec![b"INCRBY", b"count", number.as_bytes()],
            _ => vec![b"SET", key, &value],
        };
        in_multi = (in_multi || words[0] == b"MULTI") && words[0] != b"EXEC";
        encode_command(&mut bytes, &words);
    }
    match rng.below(6) {
        // A command that cannot be applied, with more after it.
        0 => bytes.extend_from_slice(b"SET a x\r\nINCR a\r\nSET a y\r\n"),
        1 => bytes.extend_from_slice(b"SET a x\r\n*1\r\n!\r\nSET a y\r\n"),
        // An incomplete command.
        2 => bytes.extend_from_slice(b"SET a x\r\n*3\r\n$3\r\nSET\r\n$1"),
        _ => {}
    }
    bytes
}

/// Everything visible of a replica that has received these bytes.
fn outcome(bytes: &[u8], reads: Reads, read_max: usize) -> Vec<(String, Value)> {
    let mut rig = Rig::new(Config { enable_debug_command: Guard::Yes, ..Config::default() });
    rig.synchronise(&dump(&[("key:1", "1"), ("key:2", "x")]), 0);
    rig.wire.reads = reads;
    rig.wire.pipe().read_max = read_max;
    let reader = rig.engine.repl.log.reader(0).unwrap();
    rig.send(bytes);
    let mut log = Vec::new();
    while rig.engine.repl.log.read(&reader, usize::MAX, &mut log).unwrap() != 0 {}
    let mut seen = vec![("log".to_owned(), Value::Bulk(log))];
    seen.push(("state".to_owned(), Value::Simple(format!("{:?}", rig.state()).into())));
    let fields = ["rdb_changes_since_last_save", "slave_read_repl_offset", "slave_repl_offset"];
    for section in ["persistence", "replication", "commandstats", "errorstats"] {
        let Value::Bulk(text) = rig.sim.execute(1, &["INFO", section]).unwrap() else {
            panic!("INFO is text");
        };
        for line in String::from_utf8(text).unwrap().lines() {
            // Its duration is between those.
            let ends = (line.split(",usec").next(), line.split(",rejected").nth(1));
            let line = &format!("{} {}", ends.0.unwrap_or(line), ends.1.unwrap_or(""));
            let asked = line.starts_with("cmdstat_info") || line.starts_with("cmdstat_debug");
            let wanted = line.starts_with("cmdstat_") || line.starts_with("errorstat_");
            if !asked && wanted || fields.iter().any(|field| line.starts_with(field)) {
                seen.push((line.to_owned(), Value::Null));
            }
        }
    }
    seen.push(("digest".to_owned(), rig.sim.execute(1, &["DEBUG", "DIGEST"]).unwrap()));
    seen
}

#[test]
fn what_is_read_ahead_is_applied_as_if_it_had_been_read_then() {
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let bytes = stream(&mut rng);
        let read_max = [1, 7, 100, 3000, usize::MAX][rng.below(5)];
        let at_once = outcome(&bytes, Reads::AtOnce, usize::MAX);
        for reads in [Reads::Ahead, Reads::Either] {
            assert_eq!(
                outcome(&bytes, reads, read_max),
                at_once,
                "seed {seed}, reads of {read_max}"
            );
        }
    }
}
