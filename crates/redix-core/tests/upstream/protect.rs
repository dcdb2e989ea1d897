//! A data set that would wipe out the replica's own is refused.

use std::path::Path;
use std::time::Duration;

use redix_core::config::{Config, DisklessLoad, ReplicaProtect};
use redix_core::repl::status::LinkState;
use redix_resp::Value;
use redix_testkit::engine::SimEngine;

use crate::rig::{ID, MARK, OTHER_ID, Rig, dump, text};

const LOADS: [DisklessLoad; 4] = [
    DisklessLoad::Disabled,
    DisklessLoad::OnEmptyDb,
    DisklessLoad::SwapDb,
    DisklessLoad::FlushBeforeLoad,
];
const STATE: &[&str] = &["master_link_refused", "master_link_refusals"];
const LIBRARY: &str = "#!lua name=l\nredis.register_function{function_name='f', \
                       callback=function() return 1 end, flags={'no-writes'}}";

/// The forms of a data set.
fn forms(dump: &[u8]) -> [Vec<u8>; 2] {
    let sized = [format!("${}\r\n", dump.len()).as_bytes(), dump].concat();
    [sized, [b"$EOF:", &MARK[..], b"\r\n", dump, MARK].concat()]
}

/// A replica that was in sync at offset 100 with one key, and whose link is made again.
fn back(config: Config) -> Rig {
    let mut rig = Rig::new(config);
    rig.synchronise(&dump(&[("k", "v")]), 100);
    rig.cut();
    assert!(rig.agree().ends_with(&format!("PSYNC $40 {ID} $3 101 ")));
    rig
}

fn library() -> Vec<u8> {
    let mut sim = SimEngine::new(Config::default(), 1).unwrap();
    assert_eq!(sim.execute(1, &["FUNCTION", "LOAD", LIBRARY]).unwrap(), text("l"));
    sim.execute(1, &["SAVE"]).unwrap();
    sim.disk().content(Path::new("./dump.rdb")).unwrap()
}

fn file(rig: &Rig) -> Option<Vec<u8>> {
    rig.sim.disk().content(Path::new("./dump.rdb"))
}

#[test]
fn an_empty_data_set_is_refused_however_it_is_loaded() {
    for empty in [dump(&[]), library()] {
        for load in LOADS {
            for form in forms(&empty) {
                let config = Config { repl_diskless_load: load, ..Config::default() };
                let mut rig = back(config);
                let before = file(&rig);
                rig.send(format!("+FULLRESYNC {OTHER_ID} 1\r\n"));
                for byte in &form {
                    // Clients are served from the old data set throughout.
                    assert_eq!(rig.get("k"), text("v"), "{load:?}");
                    if rig.wire.is_open {
                        rig.send([*byte]);
                    }
                }
                assert_eq!((rig.get("k"), rig.state()), (text("v"), LinkState::Connect));
                assert_eq!(rig.info(STATE), "empty_dataset 1");
                assert_eq!(file(&rig), before, "{load:?}");
                let history = rig.engine.repl.log.history();
                assert_eq!((history.id.as_str(), history.end), (ID, 100));
                // Real keys count, under an id that was not refused.
                rig.pass(Duration::from_secs(1));
                assert!(rig.agree().ends_with(&format!("PSYNC $40 {ID} $3 101 ")));
                rig.send(format!("+FULLRESYNC {ID} 1\r\n"));
                rig.send(&forms(&dump(&[("k", "w")]))[0]);
                assert_eq!((rig.get("k"), rig.end()), (text("w"), 1), "{load:?}");
                assert_eq!(rig.info(STATE), "none none");
            }
        }
    }
}

#[test]
fn what_was_refused_stays_refused_until_there_is_consent() {
    let mut rig = back(Config::default());
    let mut wait_s = 1;
    for times in 1..4 {
        // It has been written to meanwhile.
        rig.send(format!("+FULLRESYNC {OTHER_ID} {}\r\n", times * 1000));
        if times == 1 {
            rig.send(&forms(&dump(&[]))[0]);
        }
        assert!(!rig.wire.is_open, "refused at its id");
        assert_eq!(rig.info(STATE), format!("empty_dataset {times}"));
        rig.pass(Duration::from_millis(wait_s * 1000 - 1));
        assert!(!rig.wire.is_open, "each time with a longer delay");
        rig.pass(Duration::from_millis(1));
        rig.agree();
        wait_s *= 2;
    }
    rig.cut();
    let connects = rig.wire.connects;
    let again = rig.sim.execute(1, &["REPLICAOF", "primary", "6379"]).unwrap();
    assert_eq!(again.pretty(), "+OK Already connected to specified master");
    assert_eq!(rig.info(STATE), "none none");
    rig.agree();
    assert_eq!(rig.wire.connects, connects + 1, "at once");
    rig.send(format!("+FULLRESYNC {OTHER_ID} 5000\r\n"));
    rig.send(&forms(&dump(&[]))[0]);
    assert_eq!((rig.get("k"), rig.state()), (Value::Null, LinkState::Connected));
}

/// Once the link has been in sync after it, a consent is used up.
#[test]
fn consent_holds_until_the_link_is_in_sync() {
    let mut rig = back(Config::default());
    rig.cut();
    rig.sim.execute(1, &["REPLICAOF", "primary", "6379"]).unwrap();
    rig.pass(Duration::from_secs(1));
    rig.agree();
    rig.send("+CONTINUE\r\n");
    assert_eq!(rig.state(), LinkState::Connected);
    rig.cut();
    // A second end at the same offset.
    rig.pass(Duration::from_secs(1));
    rig.agree();
    rig.send(format!("+FULLRESYNC {OTHER_ID} 5000\r\n"));
    rig.send(&forms(&dump(&[]))[0]);
    assert_eq!((rig.get("k"), rig.info(STATE)), (text("v"), "empty_dataset 1".into()));
    // Another address is consent, and so is the end of the role.
    rig.sim.execute(1, &["REPLICAOF", "NO", "ONE"]).unwrap();
    assert_eq!((rig.get("k"), rig.info(STATE)), (text("v"), "none none".into()));
    rig.sim.execute(1, &["REPLICAOF", "primary", "6379"]).unwrap();
    rig.agree();
    rig.send(format!("+FULLRESYNC {OTHER_ID} 5000\r\n"));
    rig.send(&forms(&dump(&[]))[0]);
    assert_eq!((rig.get("k"), rig.state()), (Value::Null, LinkState::Connected));
}

#[test]
fn nothing_is_refused_without_protection_or_without_data() {
    let config = Config { replica_protect: ReplicaProtect::No, ..Config::default() };
    let mut rig = back(config);
    rig.send(format!("+FULLRESYNC {OTHER_ID} 1\r\n"));
    rig.send(&forms(&dump(&[]))[0]);
    assert_eq!((rig.get("k"), rig.state()), (Value::Null, LinkState::Connected));
    // It holds nothing now.
    rig.sim.execute(1, &["CONFIG", "SET", "replica-protect", "strict"]).unwrap();
    rig.cut();
    rig.agree();
    rig.send(format!("+FULLRESYNC {ID} 0\r\n"));
    rig.send(&forms(&dump(&[]))[1]);
    assert_eq!((rig.end(), rig.state()), (0, LinkState::Connected));
}

#[test]
fn strict_refuses_less_history() {
    let config = Config { replica_protect: ReplicaProtect::Strict, ..Config::default() };
    let mut rig = back(config);
    rig.send(format!("+FULLRESYNC {OTHER_ID} 99\r\n"));
    assert_eq!((rig.get("k"), rig.state()), (text("v"), LinkState::Connect));
    assert_eq!(rig.info(STATE), "less_history 1");
    rig.pass(Duration::from_secs(1));
    rig.agree();
    rig.send(format!("+FULLRESYNC {OTHER_ID} 100\r\n"));
    assert_eq!(rig.info(STATE), "less_history 2", "it has grown since");
    rig.sim.execute(1, &["CONFIG", "SET", "replica-protect", "yes"]).unwrap();
    rig.pass(Duration::from_secs(2));
    rig.agree();
    rig.send(format!("+FULLRESYNC {OTHER_ID} 100\r\n"));
    rig.send(&forms(&dump(&[("k", "w")]))[1]);
    assert_eq!((rig.get("k"), rig.info(STATE)), (text("w"), "none none".into()));
}

#[test]
fn libraries_alone_are_data_too() {
    let mut rig = Rig::new(Config::default());
    rig.synchronise(&library(), 100);
    for (offered, state) in [(library(), "none none"), (dump(&[]), "empty_dataset 1")] {
        rig.stream(&["PING"]);
        rig.cut();
        rig.agree();
        rig.send(format!("+FULLRESYNC {OTHER_ID} 100\r\n"));
        rig.send(&forms(&offered)[0]);
        assert_eq!(rig.info(STATE), state);
    }
    assert_eq!(rig.sim.execute(1, &["FCALL", "f", "0"]).unwrap(), Value::Int(1));
}
