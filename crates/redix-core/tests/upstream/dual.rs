//! A data set over a connection of its own, beside the stream.

use std::time::Duration;

use redix_core::config::{Config, DisklessLoad};
use redix_core::repl::status::LinkState;
use redix_resp::Value;

use crate::rig::{ID, MARK, Rig, dump, text};

const STATE: &[&str] = &[
    "master_sync_in_progress",
    "master_link_status",
    "replicas_repl_buffer_size",
    "replicas_repl_buffer_peak",
];
const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\nm\r\n$1\r\n1\r\n";

fn config(load: DisklessLoad) -> Config {
    Config {
        dual_channel_replication_enabled: true,
        repl_diskless_load: load,
        port: 6380,
        ..Config::default()
    }
}

/// A replica with one key, whose primary sends the data set beside the stream.
fn paired(config: Config) -> Rig {
    let mut rig = Rig::new(config);
    rig.engine.stop_following();
    rig.set("old", "1");
    rig.engine.follow(redix_core::repl::status::Target { host: "primary".into(), port: 6379 });
    rig.settle();
    rig.sent();
    rig.send("+PONG\r\n");
    assert!(rig.sent().contains("$4 capa $6 psync2 $4 capa $12 dual-channel "));
    rig.send("+OK\r\n+OK\r\n+OK\r\n");
    assert!(rig.sent().ends_with("PSYNC $1 ? $2 -1 "));
    rig.send("+DUALCHANNELSYNC\r\n");
    assert_eq!(
        rig.sent_beside(),
        "*11 $8 REPLCONF $4 capa $3 eof $8 rdb-only $1 1 $11 rdb-channel $1 1 $14 listening-port \
         $4 6380 $7 version $5 9.0.0 "
    );
    rig
}

/// It is told the place of the data set, offset 7, and follows the stream from there.
fn placed(config: Config) -> Rig {
    let mut rig = paired(config);
    rig.send_beside("+OK\r\n");
    assert_eq!(rig.sent_beside(), "SYNC ");
    assert_eq!(rig.state(), LinkState::Handshake, "the primary has not begun yet");
    rig.send_beside("\n\n");
    rig.send_beside(format!("$ENDOFF:7 {ID} -1 42\r\n"));
    assert_eq!(rig.sent(), "*3 $8 REPLCONF $17 set-rdb-client-id $2 42 ");
    rig.send("+OK\r\n");
    assert_eq!(rig.sent(), format!("*3 $5 PSYNC $40 {ID} $1 8 "));
    rig.send(format!("+CONTINUE {ID}\r\n"));
    assert_eq!(rig.state(), LinkState::Sync);
    rig
}

fn marked(dump: &[u8]) -> Vec<u8> {
    [b"$EOF:", &MARK[..], b"\r\n", dump, MARK].concat()
}

#[test]
fn the_stream_is_applied_behind_the_data_set() {
    use DisklessLoad::{Disabled, FlushBeforeLoad, SwapDb};
    for load in [Disabled, FlushBeforeLoad, SwapDb] {
        let mut rig = placed(config(load));
        rig.send(SET);
        let len = SET.len() as u64;
        assert_eq!(rig.info(STATE), format!("1 down {len} {len}"));
        let data = marked(&dump(&[("k", "v"), ("m", "0")]));
        rig.send_beside(&data[..data.len() - 1]);
        rig.send(SET);
        assert_eq!(rig.state(), LinkState::Sync);
        rig.send_beside(&data[data.len() - 1..]);
        assert_eq!(rig.info(STATE), format!("0 up 0 {}", 2 * len), "{load:?}");
        assert!(!rig.beside().is_open && rig.wire.is_open);
        assert_eq!(
            (rig.get("k"), rig.get("m"), rig.get("old")),
            (text("v"), text("1"), Value::Null)
        );
        assert_eq!(rig.end(), 7 + 2 * len);
        assert_eq!(rig.engine.repl.log.history().id.as_str(), ID);
        rig.sent();
        rig.pass(Duration::from_secs(1));
        assert_eq!(rig.sent(), format!("*3 $8 REPLCONF $3 ACK $2 {} ", 7 + 2 * len));
        let more = rig.stream(&["SET", "m", "2"]);
        assert_eq!((rig.get("m"), rig.end()), (text("2"), 7 + 2 * len + more));
    }
}

/// Until the stream is certain to follow, nothing of the data set is read.
#[test]
fn the_data_set_waits_for_the_stream() {
    for refusal in
        ["+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 9", "-ERR no", "+DUALCHANNELSYNC"]
    {
        let mut rig = paired(config(DisklessLoad::FlushBeforeLoad));
        rig.send_beside("+OK\r\n");
        rig.beside().pipe().coming.extend(format!("$ENDOFF:7 {ID} -1 42\r\n").bytes());
        rig.beside().pipe().coming.extend(marked(&dump(&[("k", "v")])));
        for _ in 0..1000 {
            rig.upstream.step(&mut rig.wire);
        }
        assert!(!rig.beside().pipe().coming.is_empty());
        assert_eq!(rig.get("old"), text("1"));
        rig.wire.pipe().coming.extend(format!("+OK\r\n{refusal}\r\n").bytes());
        for _ in 0..1000 {
            rig.upstream.step(&mut rig.wire);
        }
        assert_eq!(rig.state(), LinkState::Connect, "{refusal}");
        assert!(!rig.beside().is_open && !rig.wire.is_open);
        assert_eq!(rig.get("old"), text("1"));
    }
}

#[test]
fn the_buffer_is_bounded() {
    let mut limited = config(DisklessLoad::Disabled);
    limited.client_output_buffer_limit.replica.hard_bytes = 100;
    bounded(limited);
    let mut limited = config(DisklessLoad::Disabled);
    limited.replica_full_sync_buffer_limit = 100;
    bounded(limited);
}

/// The buffer is bounded by 100 bytes.
fn bounded(config: Config) {
    let mut rig = placed(config);
    let stream = SET.repeat(10) + "*3\r\n$3\r\nSET\r\n$1\r\nm\r\n$1\r\n9\r\n";
    rig.wire.pipe().coming.extend(stream.bytes());
    for _ in 0..10_000 {
        rig.upstream.step(&mut rig.wire);
    }
    assert_eq!(rig.info(STATE), "1 down 100 100");
    assert_eq!(rig.wire.pipe().coming.len(), stream.len() - 100);
    // A full buffer is no silence of the primary.
    for _ in 0..3 {
        rig.sim.clock().advance_ms(40_000);
        rig.beside().pipe().coming.extend(b"\n");
        rig.upstream.step(&mut rig.wire);
    }
    assert_eq!(rig.state(), LinkState::Sync);
    rig.send_beside(marked(&dump(&[("k", "v")])));
    assert_eq!(rig.info(STATE), "0 up 0 100");
    assert_eq!((rig.get("m"), rig.end()), (text("9"), 7 + stream.len() as u64));
}

/// The loss of either connection ends both.
#[test]
fn both_connections_are_needed() {
    let data = marked(&dump(&[("k", "v")]));
    for load in [DisklessLoad::Disabled, DisklessLoad::SwapDb] {
        for main in [false, true] {
            for received in [0, 60, data.len() - 1] {
                let mut rig = placed(config(load));
                rig.send(SET);
                rig.send_beside(&data[..received]);
                assert_eq!(rig.state(), LinkState::Sync);
                if main {
                    rig.cut();
                } else {
                    rig.beside().pipe().is_ended = true;
                    rig.settle();
                }
                assert_eq!(rig.state(), LinkState::Connect, "{load:?}, {main}, {received}");
                assert!(!rig.beside().is_open && !rig.wire.is_open);
                assert_eq!(rig.get("old"), text("1"));
                let len = SET.len();
                assert_eq!(rig.info(STATE), format!("0 down 0 {len}"));
                assert_eq!(rig.sim.disk().names(), Vec::<std::path::PathBuf>::new());
                rig.pass(Duration::from_secs(1));
                assert!(rig.wire.is_open, "it is tried again");
            }
        }
    }
}

/// What has been received completely is followed as far as it goes.
#[test]
fn a_complete_data_set_is_kept_without_the_stream() {
    let slow = Config { key_load_delay: 1000, ..config(DisklessLoad::Disabled) };
    let mut rig = placed(slow);
    rig.send(SET);
    rig.beside().pipe().coming.extend(marked(&dump(&[("k", "v"), ("l", "w")])));
    while rig.beside().is_open {
        rig.upstream.step(&mut rig.wire);
    }
    rig.wire.pipe().is_ended = true;
    for _ in 0..1000 {
        rig.sim.clock().advance_ms(1);
        rig.upstream.step(&mut rig.wire);
    }
    let end = 7 + SET.len() as u64;
    assert_eq!((rig.get("k"), rig.get("m"), rig.end()), (text("v"), text("1"), end));
    rig.wire.pipe().is_ended = false;
    rig.pass(Duration::from_secs(1));
    rig.sent();
    rig.send("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n");
    assert!(rig.sent().ends_with(&format!("PSYNC $40 {ID} $2 {} ", end + 1)));
}

#[test]
fn the_primary_may_refuse_or_be_silent() {
    let begin: [fn(&mut Rig); 4] = [
        |rig| rig.send_beside("-NOAUTH\r\n"),
        |rig| rig.send_beside("+OK\r\n-ERR no\r\n"),
        |rig| rig.send_beside(format!("+OK\r\n$ENDOFF:7 {ID} 99 42\r\n")),
        |rig| rig.pass(Duration::from_secs(61)),
    ];
    for begin in begin {
        let mut rig = paired(config(DisklessLoad::Disabled));
        begin(&mut rig);
        assert_eq!(rig.state(), LinkState::Connect);
        assert!(!rig.beside().is_open && !rig.wire.is_open);
        assert_eq!(rig.get("old"), text("1"));
    }
}

#[test]
fn it_is_offered_only_where_it_is_enabled() {
    let mut rig = Rig::new(Config::default());
    rig.settle();
    rig.send("+PONG\r\n");
    assert!(!rig.sent().contains("dual-channel"));
    rig.send("+OK\r\n+OK\r\n+OK\r\n");
    rig.sent();
    // Nor with a transport of one connection.
    let mut rig = Rig::new(config(DisklessLoad::Disabled));
    rig.wire.beside = None;
    rig.settle();
    rig.send("+PONG\r\n");
    assert!(!rig.sent().contains("dual-channel"));
}
