//! The link to a primary, without a socket: the test is the primary and the network.
#![allow(clippy::unwrap_used)]

mod ahead;
mod dual;
mod limits;
mod protect;
mod rig;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use redix_core::config::Config;
use redix_core::expire::Sweeper;
use redix_core::repl::failover::Plan;
use redix_core::repl::status::{Length, LinkState, Target};
use redix_resp::{Value, encode_command};
use rig::{ID, MARK, OTHER_ID, Rig, dump, text};

#[test]
fn a_data_set_comes_in_either_form_byte_by_byte() {
    let dump = dump(&[("k", "v"), ("l", "w")]);
    let mut rig = Rig::new(Config::default());
    rig.engine.stop_following();
    rig.set("old", "1");
    rig.engine.follow(Target { host: "primary".into(), port: 6379 });
    assert!(rig.agree().ends_with("PSYNC $1 ? $2 -1 "));
    rig.send(format!("+FULLRESYNC {ID} 1000\r\n\n"));
    assert_eq!(rig.state(), LinkState::Sync);
    rig.send(format!("${}\r\n", dump.len()));
    rig.send(&dump[..dump.len() - 1]);
    let bytes = dump.len() as u64;
    let transfer = rig.engine.repl.upstream.transfer().unwrap();
    assert_eq!((transfer.length, transfer.read_bytes), (Length::Bytes(bytes), bytes - 1));
    assert_eq!(rig.get("old"), text("1"), "the old data is served until the new one is whole");
    rig.send(&dump[dump.len() - 1..]);
    assert_eq!(rig.state(), LinkState::Connected);
    assert_eq!((rig.get("k"), rig.get("old")), (text("v"), Value::Null));
    assert_eq!(rig.sent(), "\n*3 $8 REPLCONF $3 ACK $4 1000 ");
    let len = rig.stream(&["SET", "k", "x"]);
    assert_eq!((rig.end(), rig.get("k")), (1000 + len, text("x")));

    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump, 5);
    assert_eq!((rig.get("l"), rig.end()), (text("w"), 5));
    assert_eq!(rig.engine.repl.log.history().id.as_str(), ID);
}

#[test]
fn a_data_set_is_loaded_as_it_comes() {
    use redix_core::config::DisklessLoad::{FlushBeforeLoad, OnEmptyDb, SwapDb};
    let big = "x".repeat(300_000);
    let dump = dump(&[("k", "v"), ("big", &big), ("l", "w")]);
    let stream = b"*3\r\n$3\r\nSET\r\n$1\r\nm\r\n$1\r\n1\r\n";
    let sized = format!("${}\r\n", dump.len()).into_bytes();
    let forms: [Vec<u8>; 2] = [
        [&sized, &dump[..], stream].concat(),
        [b"$EOF:", &MARK[..], b"\r\n", &dump, MARK, stream].concat(),
    ];
    for mode in [FlushBeforeLoad, OnEmptyDb, SwapDb] {
        for (form, read_max) in forms.iter().zip([1, 1000]).chain(forms.iter().zip([7000, 1])) {
            let mut rig = Rig::new(Config { repl_diskless_load: mode, ..Config::default() });
            rig.wire.pipe().read_max = read_max;
            rig.agree();
            rig.send(format!("+FULLRESYNC {ID} 10\r\n"));
            rig.send(form);
            rig.pass(Duration::from_millis(200));
            assert_eq!(rig.state(), LinkState::Connected, "{mode:?} {read_max}");
            assert_eq!((rig.get("k"), rig.get("m")), (text("v"), text("1")));
            assert_eq!((rig.get("big"), rig.end()), (text(&big), 10 + stream.len() as u64));
            assert!(rig.sim.disk().names().is_empty(), "no file is needed");
        }
    }
}

#[test]
fn a_data_set_that_cannot_be_loaded_costs_the_old_one_only_where_it_was_given_up() {
    use redix_core::config::DisklessLoad::{Disabled, FlushBeforeLoad, OnEmptyDb, SwapDb};
    let whole = dump(&[("k", "v"), ("l", "w")]);
    let mut wrong_sum = whole.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let bad_mark = [b"$EOF:", &MARK[..], b"\r\n", &whole, &[b'n'; 40]].concat();
    let short = [format!("${}\r\n", whole.len() + 5).into_bytes(), whole.clone()].concat();
    let cut = [b"$500\r\n", &whole[..whole.len() - 12]].concat();
    let sized = |dump: &[u8]| [format!("${}\r\n", dump.len()).as_bytes(), dump].concat();
    let marked = |dump: &[u8]| [b"$EOF:", &MARK[..], b"\r\n", dump, MARK].concat();
    let truncated = sized(&whole[..whole.len() - 9]);
    // A key, then an unknown part.
    let unknown = |part: &[u8]| {
        let end = b"\xff\0\0\0\0\0\0\0\0";
        [&b"REDIS0011\xfe\x00\x00\x01k\x01v"[..], part, end].concat()
    };
    let (a_type, a_library) = (unknown(b"\x64\x01q\x01\x01x"), unknown(b"\xf5\x01x"));
    let a_database = unknown(b"\xfe\x28");
    let cases = [
        sized(&wrong_sum),
        marked(&wrong_sum),
        bad_mark,
        [&short[..], b"xxxxx"].concat(),
        cut,
        truncated,
        sized(&a_type),
        marked(&a_type),
        sized(&a_library),
        sized(&a_database),
    ];
    for (number, case) in cases.iter().enumerate() {
        for mode in [Disabled, FlushBeforeLoad, OnEmptyDb, SwapDb] {
            let mut rig = Rig::new(Config { repl_diskless_load: mode, ..Config::default() });
            rig.engine.stop_following();
            rig.set("old", "1");
            rig.sim.execute(1, &["SAVE"]).unwrap();
            let saved = rig.sim.disk().content(Path::new("./dump.rdb"));
            rig.engine.follow(Target { host: "primary".into(), port: 6379 });
            rig.wire.pipe().read_max = 50;
            rig.agree();
            rig.send(format!("+FULLRESYNC {ID} 10\r\n"));
            rig.send(case);
            rig.pass(Duration::from_millis(200));
            rig.cut();
            assert_eq!(rig.state(), LinkState::Connect, "{mode:?} {number}");
            let old = if mode == FlushBeforeLoad { Value::Null } else { text("1") };
            assert_eq!((rig.get("old"), rig.get("k")), (old, Value::Null), "{mode:?} {number}");
            assert_eq!(rig.sim.disk().content(Path::new("./dump.rdb")), saved);
            assert_eq!(rig.sim.disk().names().len(), 1, "{mode:?} {number}");
            rig.pass(Duration::from_secs(1));
            rig.synchronise(&whole, 3);
            assert_eq!((rig.get("old"), rig.get("k")), (Value::Null, text("v")));
        }
    }
}

#[test]
fn the_old_data_set_is_served_until_a_new_one_begins() {
    use redix_core::config::DisklessLoad::FlushBeforeLoad;
    let whole = dump(&[("k", "v")]);
    let beginnings: [(&[u8], bool); 6] = [
        (b"$100\r\n", true),
        (b"$100\r\nREDIS001", true),
        (b"$9\r\nREDIX0011", true),
        (b"$100\r\nREDIS9999", true),
        (b"$4\r\nREDI", true),
        (b"$100\r\nREDIS0011", false),
    ];
    for (beginning, keeps) in beginnings {
        let what = String::from_utf8_lossy(beginning).into_owned();
        let mut rig = Rig::new(Config { repl_diskless_load: FlushBeforeLoad, ..Config::default() });
        rig.engine.stop_following();
        rig.set("old", "1");
        rig.engine.follow(Target { host: "primary".into(), port: 6379 });
        rig.wire.pipe().read_max = usize::MAX;
        rig.agree();
        rig.send(format!("+FULLRESYNC {ID} 10\r\n"));
        rig.send(beginning);
        if keeps {
            assert_eq!(rig.get("old"), text("1"), "{what}");
        } else {
            assert!(rig.get("old").pretty().contains("LOADING"), "{what}");
        }
        rig.cut();
        let old = if keeps { text("1") } else { Value::Null };
        assert_eq!(rig.get("old"), old, "{what}");
        rig.pass(Duration::from_secs(1));
        rig.synchronise(&whole, 3);
        assert_eq!((rig.get("old"), rig.get("k")), (Value::Null, text("v")), "{what}");
    }
}

#[test]
fn an_older_state_of_the_stream_is_served_while_a_newer_one_is_loaded() {
    use redix_core::config::DisklessLoad::SwapDb;
    let mut rig = Rig::new(Config { repl_diskless_load: SwapDb, ..Config::default() });
    rig.wire.pipe().read_max = usize::MAX;
    rig.synchronise(&dump(&[("k", "1")]), 10);
    rig.cut();
    rig.agree();
    let dump = dump(&[("k", "2")]);
    rig.send(format!("+FULLRESYNC {ID} 500\r\n${}\r\n", dump.len()));
    // Loading begins with the first key: an empty data set would be refused.
    let body = dump.len() - 9;
    rig.send(&dump[..body]);
    assert_eq!(rig.get("k"), text("1"));
    let info = rig.sim.execute(1, &["INFO", "persistence"]).unwrap().pretty();
    assert!(info.contains("async_loading:1") && info.contains("\\nloading:0"), "{info}");
    for words in [&["REPLICAOF", "NO", "ONE"][..], &["CONFIG", "SET", "appendonly", "no"]] {
        let refused = rig.sim.execute(1, words).unwrap().pretty();
        assert!(refused.contains("LOADING"), "{refused}");
    }
    rig.send(&dump[body..]);
    assert_eq!((rig.get("k"), rig.end()), (text("2"), 500));
    // It is no state of this stream: clients wait.
    rig.cut();
    rig.agree();
    rig.send(format!("+FULLRESYNC {OTHER_ID} 1\r\n${}\r\n", dump.len()));
    assert_eq!(rig.get("k"), text("2"));
    rig.send(&dump[..body]);
    assert!(rig.get("k").pretty().contains("LOADING"));
    rig.send(&dump[body..]);
    assert_eq!((rig.get("k"), rig.end()), (text("2"), 1));
}

#[test]
fn the_stream_right_behind_the_mark_is_followed() {
    let mut rig = Rig::new(Config::default());
    rig.wire.pipe().read_max = usize::MAX;
    rig.agree();
    let mut bytes = format!("+FULLRESYNC {ID} 0\r\n$EOF:").into_bytes();
    bytes.extend([MARK, &b"\r\n"[..], &dump(&[]), MARK].concat());
    encode_command(&mut bytes, &["SELECT", "3"]);
    encode_command(&mut bytes, &["SET", "k", "v"]);
    rig.send(bytes);
    assert_eq!(rig.get("k"), Value::Null);
    rig.sim.execute(1, &["SELECT", "3"]).unwrap();
    assert_eq!((rig.get("k"), rig.end()), (text("v"), 23 + 27));
}

#[test]
fn a_cut_link_goes_on_where_it_was() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 100);
    let mut end = 100 + rig.stream(&["SELECT", "2"]);
    end += rig.stream(&["SET", "a", "1"]);
    // An incomplete command is not applied, and is requested again.
    rig.send("*3\r\n$3\r\nSET\r\n$1\r\nb");
    assert_eq!(rig.end(), end);
    rig.cut();
    assert_eq!(rig.wire.connects, 2, "a link that was up is made again at once");
    assert!(rig.agree().ends_with(&format!("PSYNC $40 {ID} $3 {} ", end + 1)));
    rig.send(format!("+CONTINUE {OTHER_ID}\r\n"));
    assert_eq!(rig.state(), LinkState::Connected);
    let history = rig.engine.repl.log.history();
    assert_eq!((history.id.as_str(), history.id2.as_str()), (OTHER_ID, ID));
    assert_eq!((history.id2_end, history.end), (end, end));
    rig.stream(&["SET", "b", "2"]);
    rig.sim.execute(1, &["SELECT", "2"]).unwrap();
    assert_eq!((rig.get("a"), rig.get("b")), (text("1"), text("2")), "the database is kept");
}

/// A primary that accepts the replica only to close the link again is retried with a delay.
#[test]
fn a_link_that_brings_nothing_is_made_again_each_second() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 100);
    let resume = |rig: &mut Rig| {
        rig.agree();
        rig.send("+CONTINUE\r\n*3\r\n$3\r\nSET\r\n");
        assert_eq!(rig.state(), LinkState::Connected);
        rig.cut();
    };
    rig.cut();
    assert_eq!(rig.wire.connects, 2, "it may have been chance");
    for connects in 2..5 {
        resume(&mut rig);
        assert_eq!(rig.wire.connects, connects);
        rig.pass(Duration::from_millis(999));
        assert_eq!(rig.wire.connects, connects);
        rig.pass(Duration::from_millis(1));
        assert_eq!(rig.wire.connects, connects + 1);
    }
    rig.agree();
    rig.send("+CONTINUE\r\n");
    rig.stream(&["SET", "a", "1"]);
    rig.cut();
    assert_eq!(rig.wire.connects, 6, "it has come further");
}

#[test]
fn a_transaction_enters_the_log_as_a_whole() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 0);
    rig.stream(&["MULTI"]);
    rig.stream(&["SET", "a", "1"]);
    rig.stream(&["SET", "b", "1"]);
    assert_eq!((rig.end(), rig.get("a")), (0, Value::Null));
    rig.cut();
    assert!(rig.agree().ends_with(&format!("PSYNC $40 {ID} $1 1 ")));
    rig.send("+CONTINUE\r\n");
    let reader = rig.engine.repl.log.reader(0).unwrap();
    let mut all = Vec::new();
    for words in [&["MULTI"][..], &["SET", "a", "2"], &["EXEC"], &["SET", "c", "3"]] {
        encode_command(&mut all, words);
        rig.stream(words);
    }
    assert_eq!((rig.end(), rig.get("a")), (all.len() as u64, text("2")));
    let mut logged = Vec::new();
    rig.engine.repl.log.read(&reader, usize::MAX, &mut logged).unwrap();
    assert_eq!(logged, all, "the log holds the primary's bytes");
}

#[test]
fn bytes_between_commands_count() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 0);
    rig.wire.pipe().read_max = usize::MAX;
    rig.send("\r\n*0\r\n*1\r\n$4\r\nPING\r\n\r\n");
    assert_eq!(rig.end(), 2 + 4 + 14);
    rig.stream(&["PING"]);
    assert_eq!(rig.end(), 2 + 4 + 14 + 2 + 14);
}

#[test]
fn what_was_applied_is_acknowledged_each_second_and_on_demand() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 7);
    assert!(rig.sent().ends_with("*3 $8 REPLCONF $3 ACK $1 7 "));
    let len = rig.stream(&["REPLCONF", "GETACK", "*"]);
    assert_eq!(rig.sent(), format!("*3 $8 REPLCONF $3 ACK $2 {} ", 7 + len));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.sent(), format!("*3 $8 REPLCONF $3 ACK $2 {} ", 7 + len));
}

#[test]
fn what_cannot_be_applied_is_fetched_anew() {
    let mut rig = Rig::new(Config::default());
    for round in 0_u32..3 {
        rig.synchronise(&dump(&[("k", "v")]), 0);
        rig.stream(&["SET", "k", "w"]);
        let end = rig.end();
        rig.wire.pipe().read_max = usize::MAX;
        let mut bytes = Vec::new();
        for words in [&["MULTI"][..], &["INCR", "k"], &["SET", "l", "1"], &["EXEC"]] {
            encode_command(&mut bytes, words);
        }
        encode_command(&mut bytes, &["SET", "l", "2"]);
        rig.send(bytes);
        assert_eq!(rig.state(), LinkState::Connect);
        assert!(!rig.engine.repl.log.active(), "the stream of this data set is not the primary's");
        assert_eq!((rig.end(), rig.get("l")), (end, text("1")), "nothing behind it is applied");
        rig.pass(Duration::from_millis((1000 << round) - 1));
        assert!(!rig.wire.is_open, "each round waits longer");
        rig.pass(Duration::from_millis(1));
        rig.wire.pipe().read_max = 1;
        assert_eq!(rig.state(), LinkState::Handshake);
    }
    assert!(rig.agree().ends_with("PSYNC $1 ? $2 -1 "));
}

#[test]
fn a_hostile_primary_costs_a_connection() {
    let garbage: Vec<u8> = dump(&[("k", "v")]).iter().map(|byte| byte ^ 0x55).collect();
    let header = |body: &str| format!("+FULLRESYNC {ID} 1\r\n{body}").into_bytes();
    let cases: Vec<Vec<u8>> = vec![
        b"-ERR no\r\n-ERR nor this\r\n".to_vec(),
        b"-LOADING later\r\n".to_vec(),
        b"+CONTINUE\r\n".to_vec(),
        format!("+CONTINUE {}\r\n", &ID[1..]).into_bytes(),
        b"+FULLRESYNC\r\n".to_vec(),
        format!("+FULLRESYNC {ID} 99999999999999999999\r\n").into_bytes(),
        format!("+FULLRESYNC {ID} 18446744073709551615\r\n").into_bytes(),
        format!("+FULLRESYNC {ID}x 1\r\n").into_bytes(),
        vec![b'x'; 10_000],
        header("$99999999999999999999\r\n"),
        header("$-1\r\n"),
        header("$EOF:short\r\n"),
        header("*3\r\n"),
        header("-ERR the snapshot failed\r\n"),
        header(&"$".repeat(10_000)),
        [header(&format!("${}\r\n", garbage.len())), garbage].concat(),
        [header("$9\r\n"), b"REDIS0011".to_vec()].concat(),
    ];
    for case in cases {
        let mut rig = Rig::new(Config::default());
        rig.engine.stop_following();
        rig.set("old", "1");
        rig.engine.follow(Target { host: "primary".into(), port: 6379 });
        rig.wire.pipe().read_max = usize::MAX;
        rig.agree();
        let case_text = case.escape_ascii().to_string();
        rig.send(case);
        assert_eq!(rig.state(), LinkState::Connect, "{case_text}");
        assert!(!rig.wire.is_open, "{case_text}");
        assert!(rig.engine.repl.upstream.transfer().is_none());
        rig.pass(Duration::from_secs(1));
        assert!(rig.agree().ends_with("PSYNC $1 ? $2 -1 "), "{case_text}");
        rig.synchronise_from_header();
        assert_eq!(rig.get("k"), text("v"), "{case_text}");
    }
}

#[test]
fn no_command_stops_a_stream() {
    let rig = Rig::new(Config::default());
    let commands = &rig.engine.commands;
    let names: Vec<String> =
        commands.all().iter().map(|command| commands.full_name(*command)).collect();
    let arguments: [&[&str]; 6] =
        [&[], &["?", "-1"], &["no"], &["k"], &["k", "1"], &["k", "0", "1"]];
    for (name, arguments) in names.iter().flat_map(|name| arguments.map(|args| (name, args))) {
        let words: Vec<&str> = name.split('|').chain(arguments.iter().copied()).collect();
        let mut rig = Rig::new(Config::default());
        rig.wire.pipe().read_max = usize::MAX;
        rig.synchronise(&dump(&[("k", "v")]), 0);
        rig.stream(&words);
        rig.stream(&["SET", "l", "1"]);
        rig.pass(Duration::from_secs(1));
        let applied = rig.sim.execute(1, &["EXISTS", "l"]).unwrap() == Value::Int(1);
        // A partial or a full resynchronisation.
        let goes_on = match rig.state() {
            LinkState::Connected => applied || words == ["multi"],
            LinkState::Handshake => !applied,
            _ => false,
        };
        assert!(goes_on, "{words:?}: {:?}, {applied}", rig.state());
    }
}

#[test]
fn a_file_that_nobody_wants_is_removed_once_it_is_loaded() {
    let config = |save: &[(u64, u64)]| Config {
        rdb_del_sync_files: true,
        save: save.to_vec(),
        ..Config::default()
    };
    let mut rig = Rig::new(config(&[]));
    rig.synchronise(&dump(&[("k", "v")]), 0);
    assert_eq!((rig.get("k"), rig.sim.disk().names().len()), (text("v"), 0));
    let mut rig = Rig::new(config(&[(60, 1)]));
    rig.synchronise(&dump(&[("k", "v")]), 0);
    assert_eq!(rig.sim.disk().names().len(), 1);
}

#[test]
fn an_absurd_length_is_believed_only_as_the_bytes_come() {
    let mut rig = Rig::new(Config::default());
    rig.agree();
    rig.send(format!("+FULLRESYNC {ID} 1\r\n$9223372036854775807\r\n"));
    // It announces a value of 256 MB.
    rig.send(b"REDIS0011\0\x01k\x80\x10\0\0\0");
    rig.send(vec![b'x'; 1000]);
    assert_eq!(rig.state(), LinkState::Sync);
    rig.cut();
    assert_eq!(rig.state(), LinkState::Connect);
    let left = rig.sim.disk().names();
    assert!(left.is_empty(), "{left:?}");
}

/// The values are those of Valkey 9.1.2 and Redis 7.0.15 with the same primary.
#[test]
fn info_shows_how_far_a_synchronisation_is() {
    let fields = [
        "master_sync_in_progress",
        "master_sync_total_bytes",
        "master_sync_read_bytes",
        "master_sync_left_bytes",
        "master_sync_perc",
        "master_sync_last_io_seconds_ago",
    ];
    let mut rig = Rig::new(Config::default());
    rig.agree();
    assert_eq!(rig.info(&fields), "0 none none none none none");
    rig.send(format!("+FULLRESYNC {ID} 100\r\n"));
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.info(&fields), "1 -1 0 -1 -0.00 2");
    rig.send("$1000\r\nREDIS0011");
    assert_eq!(rig.info(&fields), "1 1000 9 991 0.90 0");
    let mut rig = Rig::new(Config::default());
    rig.agree();
    rig.send(format!("+FULLRESYNC {ID} 100\r\n$EOF:"));
    rig.send([MARK, &b"\r\nREDIS0011"[..]].concat());
    assert_eq!(rig.info(&fields), "1 0 9 -9 0.00 0");
}

#[test]
fn info_shows_when_the_primary_was_last_heard() {
    let fields = ["master_link_status", "master_last_io_seconds_ago"];
    let mut rig = Rig::new(Config::default());
    assert_eq!(rig.info(&fields), "down -1");
    rig.synchronise(&dump(&[]), 7);
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.info(&fields), "up 3", "it only acknowledged");
    rig.stream(&["PING"]);
    assert_eq!(rig.info(&fields), "up 0");
}

#[test]
fn a_replica_that_knows_no_stream_says_so_by_its_offset() {
    let fields = ["slave_repl_offset", "slave_read_repl_offset"];
    let replicaof = Some(("primary".into(), 6379));
    let mut rig = Rig::new(Config { replicaof, ..Config::default() });
    assert_eq!(rig.info(&fields), "1 1");
    rig.synchronise(&dump(&[]), 7);
    assert_eq!(rig.info(&fields), "7 7");
    // A former primary continues from its offset.
    let mut rig = Rig::new(Config::default());
    let end = rig.end();
    assert_eq!(rig.info(&fields), format!("{end} {end}"));
}

#[test]
fn the_link_is_a_client_of_no_user() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 7);
    let list = rig.sim.execute(1, &["CLIENT", "LIST", "TYPE", "master"]).unwrap().pretty();
    assert!(list.contains(" user=(superuser) "), "{list}");
    // A newline while it was loading, and REPLCONF ACK 7.
    assert!(list.contains(" tot-net-out=35 "), "{list}");
}

/// As Valkey 9.1.2 and Redis 7.0.15 do, whatever the primary replied.
#[test]
fn a_primary_without_psync_is_asked_for_sync() {
    for answer in ["-ERR unknown command 'PSYNC'\r\n", "-NOPERM no\r\n", "what?\r\n"] {
        let mut rig = Rig::new(Config::default());
        rig.agree();
        rig.send(answer);
        assert_eq!((rig.sent().as_str(), rig.state()), ("SYNC ", LinkState::Sync));
        let dump = dump(&[("k", "v")]);
        rig.send(format!("\n${}\r\n", dump.len()));
        rig.send(dump);
        assert_eq!((rig.state(), rig.get("k")), (LinkState::Connected, text("v")));
        let len = rig.stream(&["SET", "k", "w"]);
        assert_eq!((rig.get("k"), rig.end()), (text("w"), len));
        rig.pass(Duration::from_secs(3));
        assert_eq!(rig.sent(), "\n", "it would answer acknowledgements in its stream");
        // A newer primary replaces it.
        rig.cut();
        rig.wire.pipe().is_ended = false;
        assert!(rig.agree().contains("PSYNC $40 "));
        rig.synchronise_from_header();
        assert!(rig.sent().contains("ACK"));
    }
    let mut rig = Rig::new(Config::default());
    rig.agree();
    rig.send("-ERR unknown command\r\n");
    rig.send("-ERR nor this\r\n");
    assert_eq!(rig.state(), LinkState::Connect);
}

#[test]
fn silence_ends_the_connection_in_every_phase() {
    let config = || Config { repl_timeout: 5, ..Config::default() };
    let steps: [(&str, LinkState); 4] = [
        ("", LinkState::Handshake),
        ("+PONG\r\n", LinkState::Handshake),
        (
            "+OK\r\n+OK\r\n+OK\r\n+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 0\r\n",
            LinkState::Sync,
        ),
        ("$100\r\nREDIS", LinkState::Sync),
    ];
    for count in 1..=steps.len() {
        let mut rig = Rig::new(config());
        rig.settle();
        for (bytes, state) in &steps[..count] {
            rig.send(bytes);
            assert_eq!(rig.state(), *state);
        }
        rig.pass(Duration::from_millis(4999));
        assert!(rig.wire.is_open);
        rig.pass(Duration::from_millis(1));
        assert!(!rig.wire.is_open, "after {count} steps");
    }
    let mut rig = Rig::new(config());
    rig.synchronise(&dump(&[]), 0);
    rig.pass(Duration::from_millis(4999));
    rig.stream(&["PING"]);
    rig.pass(Duration::from_millis(4999));
    assert_eq!(rig.state(), LinkState::Connected);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.wire.connects, 2);
}

#[test]
fn a_refused_connection_is_tried_each_second() {
    let mut rig = Rig::new(Config::default());
    rig.wire.refuses = true;
    for tries in 1..5 {
        rig.settle();
        assert_eq!((rig.wire.connects, rig.state()), (tries, LinkState::Connect));
        rig.pass(Duration::from_millis(999));
        assert_eq!(rig.wire.connects, tries);
        rig.sim.clock().advance_ms(1);
    }
}

#[test]
fn the_primary_is_told_who_follows_it() {
    let config = Config {
        port: 7000,
        masteruser: "repl".into(),
        masterauth: "secret".into(),
        replica_announce_ip: "1.2.3.4".into(),
        ..Config::default()
    };
    let mut rig = Rig::new(config);
    rig.settle();
    rig.send("-NOAUTH Authentication required.\r\n");
    assert_eq!(
        rig.sent(),
        "*1 $4 PING *3 $4 AUTH $4 repl $6 secret *3 $8 REPLCONF $14 listening-port $4 7000 *3 $8 \
         REPLCONF $10 ip-address $7 1.2.3.4 *5 $8 REPLCONF $4 capa $3 eof $4 capa $6 psync2 *3 $8 \
         REPLCONF $7 version $5 9.0.0 "
    );
    rig.send("-WRONGPASS no\r\n");
    assert_eq!(rig.state(), LinkState::Connect);
}

#[test]
fn keys_go_when_the_primary_says_so() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 0);
    let past = "1600000000000";
    rig.stream(&["SET", "k", "1", "PXAT", past]);
    rig.stream(&["SET", "l", "1"]);
    rig.stream(&["PEXPIREAT", "l", past]);
    assert_eq!((rig.get("k"), rig.get("l")), (Value::Null, Value::Null), "they are hidden");
    assert_eq!(rig.sim.execute(1, &["DBSIZE"]).unwrap(), Value::Int(2));
    rig.stream(&["INCR", "k"]);
    rig.stream(&["PERSIST", "k"]);
    assert_eq!(rig.get("k"), text("2"), "to the primary it was still there");
    rig.stream(&["DEL", "l"]);
    assert_eq!(rig.sim.execute(1, &["DBSIZE"]).unwrap(), Value::Int(1));
}

#[test]
fn a_writable_replica_deletes_what_its_own_clients_wrote() {
    let mut rig = Rig::new(Config { replica_read_only: false, ..Config::default() });
    rig.synchronise(&dump(&[]), 0);
    rig.stream(&["SET", "theirs", "1", "PXAT", "1600000000000"]);
    rig.sim.execute(1, &["SET", "mine", "1", "PX", "1000"]).unwrap();
    rig.sim.execute(1, &["MULTI"]).unwrap();
    rig.sim.execute(1, &["SET", "also", "1", "PX", "1000"]).unwrap();
    rig.sim.execute(1, &["EXEC"]).unwrap();
    rig.sim.execute(1, &["SET", "kept", "1", "PX", "1000"]).unwrap();
    rig.sim.execute(1, &["PERSIST", "kept"]).unwrap();
    let mut sweeper = Sweeper::new(&rig.engine, 0);
    sweeper.step(&rig.engine);
    assert_eq!(rig.sim.execute(1, &["DBSIZE"]).unwrap(), Value::Int(4));
    assert_eq!(rig.engine.repl.writable_expiry.count(), 2);
    rig.sim.clock().advance_ms(1001);
    sweeper.step(&rig.engine);
    sweeper.step(&rig.engine);
    assert_eq!(rig.sim.execute(1, &["DBSIZE"]).unwrap(), Value::Int(2));
    assert_eq!(rig.engine.repl.writable_expiry.count(), 0);
    assert_eq!(rig.sim.execute(1, &["INCR", "theirs"]).unwrap(), Value::Int(1), "it was gone");
}

#[test]
fn a_replica_that_takes_over_keeps_the_history() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 50);
    rig.stream(&["SET", "a", "1"]);
    rig.stream(&["MULTI"]);
    rig.stream(&["SET", "b", "1"]);
    let end = rig.end();
    let role = Value::Array(vec![
        text("slave"),
        text("primary"),
        Value::Int(6379),
        text("connected"),
        Value::Int(end as i64),
    ]);
    assert_eq!(rig.sim.execute(1, &["ROLE"]).unwrap(), role);
    assert_eq!(
        rig.set("c", "1"),
        Value::Error(b"READONLY You can't write against a read only replica.".to_vec())
    );
    rig.sim.execute(1, &["REPLICAOF", "NO", "ONE"]).unwrap();
    let history = rig.engine.repl.log.history();
    assert_eq!((history.id2.as_str(), history.id2_end, history.end), (ID, end, end));
    rig.wire.pipe().coming.extend(b"*1\r\n$4\r\nEXEC\r\n");
    rig.settle();
    assert_eq!((rig.state(), rig.wire.is_open), (LinkState::None, false));
    assert_eq!(rig.get("b"), Value::Null, "nothing more of the primary is applied");
    assert!(rig.sim.execute(1, &["ROLE"]).unwrap().pretty().contains("master"));
    rig.set("c", "1");
    let mut expected = Vec::new();
    encode_command(&mut expected, &["SELECT", "0"]);
    encode_command(&mut expected, &["SET", "c", "1"]);
    assert_eq!(rig.end(), end + expected.len() as u64);
    // Back again: the log since then is part of the history that is asked for.
    rig.engine.follow(Target { host: "primary".into(), port: 6379 });
    let id = rig.engine.repl.log.history().id;
    let asked = format!("PSYNC $40 {} $3 {} ", id.as_str(), rig.end() + 1);
    assert!(rig.agree().ends_with(&asked));
}

#[test]
fn a_killed_link_is_made_again() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&dump(&[]), 0);
    let line = rig.sim.execute(1, &["CLIENT", "LIST", "TYPE", "master"]).unwrap().pretty();
    assert!(line.contains("addr=10.0.0.1:6379") && line.contains("flags=M"), "{line}");
    assert!(rig.engine.repl.upstream.is_up());
    assert_eq!(rig.sim.execute(1, &["CLIENT", "KILL", "TYPE", "master"]).unwrap(), Value::Int(1));
    // It is visible at once, whenever the link notices.
    assert!(!rig.engine.repl.upstream.is_up());
    rig.wire.pipe().coming.extend(b"*1\r\n$8\r\nFLUSHALL\r\n");
    rig.settle();
    assert_eq!((rig.wire.connects, rig.end()), (2, 0));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a thread that waits for a lock knows no clock")]
fn a_server_that_stands_still_does_not_connect() {
    let mut rig = Rig::new(Config::default());
    let engine = Arc::clone(&rig.engine);
    let (stands_still, told) = mpsc::channel();
    let stepped = AtomicBool::new(false);
    thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let world = engine.keyspace.gates().world();
            stands_still.send(()).unwrap();
            let started = Instant::now();
            while !stepped.load(Ordering::Acquire) && started.elapsed().as_millis() < 50 {
                thread::yield_now();
            }
            let state = engine.repl.upstream.state();
            drop(world);
            state
        });
        told.recv().unwrap();
        rig.upstream.step(&mut rig.wire);
        stepped.store(true, Ordering::Release);
        assert_eq!(seen.join().unwrap(), LinkState::Connect);
    });
    assert_eq!(rig.state(), LinkState::Connecting);
}

/// A primary that hands over to the replica at the other end, which may lag: it asks for the stream
/// from the end of its own.
fn handing_over() -> Rig {
    let mut rig = Rig::new(Config::default());
    rig.engine.stop_following();
    rig.settle();
    let log = &rig.engine.repl.log;
    log.start(1 << 20, &*rig.engine.env.entropy);
    rig.set("k", "v");
    rig.engine.begin_failover(Plan {
        target: Some(Target { host: "primary".into(), port: 6379 }),
        deadline_ms: Some(0),
        force: true,
        asked: false,
    });
    assert_eq!(rig.stage(), "waiting-for-sync master");
    assert!(rig.is_paused());
    rig.engine.advance_failover();
    assert_eq!(rig.stage(), "failover-in-progress slave");
    rig
}

impl Rig {
    fn stage(&mut self) -> String {
        self.info(&["master_failover_state", "role"])
    }

    fn is_paused(&self) -> bool {
        self.engine.pause.any(self.engine.env.clock.unix_us() / 1000)
    }

    /// The handshake, with PSYNC … FAILOVER.
    fn ask_to_take_over(&mut self) {
        let history = self.engine.repl.log.history();
        let next = (history.end + 1).to_string();
        let asked =
            format!("*4 $5 PSYNC $40 {} ${} {next} $8 FAILOVER ", history.id.as_str(), next.len());
        assert_eq!(self.agree(), asked);
        assert_eq!(self.stage(), "failover-in-progress slave");
    }
}

#[test]
fn a_failover_ends_when_its_target_sends_the_stream() {
    let mut rig = handing_over();
    let id = rig.engine.repl.log.history().id;
    rig.ask_to_take_over();
    rig.send(format!("+CONTINUE {OTHER_ID}\r\n"));
    assert_eq!(rig.stage(), "no-failover slave");
    assert!(!rig.is_paused());
    let history = rig.engine.repl.log.history();
    assert_eq!((history.id.as_str(), history.id2), (OTHER_ID, id));
    assert_eq!(rig.state(), LinkState::Connected);

    let mut rig = handing_over();
    rig.ask_to_take_over();
    rig.send(format!("+FULLRESYNC {OTHER_ID} 3\r\n"));
    assert_eq!((rig.stage(), rig.state()), ("no-failover slave".into(), LinkState::Sync));
    assert!(!rig.is_paused());
}

#[test]
fn a_failover_is_given_up_when_its_target_does_not_want_it() {
    let refuse = |rig: &mut Rig| rig.send("-ERR PSYNC FAILOVER replid must match my replid.\r\n");
    let load = |rig: &mut Rig| rig.send("-LOADING not yet\r\n");
    let hang_up = |rig: &mut Rig| rig.cut();
    let answers: [&dyn Fn(&mut Rig); 3] = [&refuse, &load, &hang_up];
    for answer in answers {
        let mut rig = handing_over();
        let before = rig.engine.repl.log.history();
        rig.ask_to_take_over();
        answer(&mut rig);
        assert_eq!(rig.stage(), "no-failover master");
        assert!(!rig.is_paused());
        let history = rig.engine.repl.log.history();
        assert_eq!((history.id2, history.id2_end), (before.id, before.end));
        assert!(!rig.wire.is_open);
        assert_eq!(rig.set("k", "w"), Value::Simple(b"OK".to_vec()));
    }
}

#[test]
fn a_failover_goes_on_until_its_target_can_be_asked() {
    let mut rig = handing_over();
    rig.wire.refuses = true;
    rig.settle();
    let tries = rig.wire.connects;
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.wire.connects, tries + 1, "it hurries");
    rig.wire.refuses = false;
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.sent(), "*1 $4 PING ");
    rig.cut();
    rig.pass(Duration::from_millis(100));
    rig.ask_to_take_over();
    // No reply.
    let config = rig.engine.config();
    rig.pass(Duration::from_secs(u64::from(config.repl_timeout)));
    rig.pass(Duration::from_millis(100));
    rig.ask_to_take_over();
    let world = rig.engine.keyspace.gates().world();
    rig.engine.abort_failover("Failover manually aborted");
    drop(world);
    rig.settle();
    assert_eq!(rig.stage(), "no-failover master");
    assert!(!rig.wire.is_open && !rig.is_paused());
}

#[test]
fn a_failover_is_given_up_when_its_target_cannot_be_written_to() {
    let mut rig = handing_over();
    rig.settle();
    rig.send("+PONG\r\n");
    rig.send("+OK\r\n+OK\r\n");
    rig.wire.breaks = true;
    rig.send("+OK\r\n");
    assert_eq!(rig.stage(), "no-failover master");
}
