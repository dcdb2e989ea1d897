//! Blocked clients: replies, pipelining and other clients.

#![allow(clippy::unwrap_used)]

use redix_core::config::Config;
use redix_resp::Value;
use redix_testkit::engine::SimEngine;

fn engine() -> SimEngine {
    SimEngine::new(Config::default(), 1).unwrap()
}

fn run(engine: &mut SimEngine, conn: u8, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    engine.execute(conn, &words).unwrap().pretty()
}

fn send(engine: &mut SimEngine, conn: u8, command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    engine.send(conn, &words).unwrap();
}

/// What a connection has received by now.
fn replies(engine: &mut SimEngine, conn: u8) -> Vec<String> {
    std::iter::from_fn(|| engine.take_reply(conn).unwrap()).map(|value| value.pretty()).collect()
}

fn id(engine: &mut SimEngine, conn: u8) -> String {
    run(engine, conn, "CLIENT ID").replace("(integer) ", "")
}

fn info(engine: &mut SimEngine, field: &str) -> i64 {
    let text = run(engine, 9, "INFO everything");
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {field}")).parse().unwrap()
}

/// A connection's line in CLIENT LIST.
fn line(engine: &mut SimEngine, id: &str) -> String {
    run(engine, 9, &format!("CLIENT LIST ID {id}"))
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let mut engine = engine();
    send(&mut engine, 1, "WAIT 1 100");
    send(&mut engine, 2, "WAIT 1 50");
    engine.pass_ms(49).unwrap();
    assert!(replies(&mut engine, 2).is_empty());
    engine.pass_ms(1).unwrap();
    assert_eq!(replies(&mut engine, 2), ["(integer) 0"]);
    assert!(replies(&mut engine, 1).is_empty());
    engine.pass_ms(50).unwrap();
    assert_eq!(replies(&mut engine, 1), ["(integer) 0"]);
}

#[test]
fn what_is_sent_behind_waits_too() {
    let mut engine = engine();
    send(&mut engine, 1, "SET k v");
    send(&mut engine, 1, "WAIT 1 100");
    send(&mut engine, 1, "GET k");
    send(&mut engine, 1, "WAIT 1 100");
    send(&mut engine, 1, "PING");
    assert_eq!(replies(&mut engine, 1), ["+OK"]);
    engine.pass_ms(100).unwrap();
    assert_eq!(replies(&mut engine, 1), ["(integer) 0", "\"v\""]);
    engine.pass_ms(100).unwrap();
    assert_eq!(replies(&mut engine, 1), ["(integer) 0", "+PONG"]);
}

#[test]
fn a_blocked_client_shows_and_is_counted() {
    let mut engine = engine();
    let (first, second) = (id(&mut engine, 1), id(&mut engine, 2));
    send(&mut engine, 1, "WAIT 1 0");
    send(&mut engine, 2, "WAIT 1 1000");
    assert!(line(&mut engine, &first).contains(" flags=b "), "{}", line(&mut engine, &first));
    assert!(line(&mut engine, &first).contains(" cmd=wait "));
    assert_eq!(info(&mut engine, "blocked_clients"), 2);
    assert_eq!(info(&mut engine, "clients_in_timeout_table"), 1);
    engine.pass_ms(1000).unwrap();
    assert_eq!(info(&mut engine, "blocked_clients"), 1);
    assert_eq!(info(&mut engine, "clients_in_timeout_table"), 0);
    assert!(line(&mut engine, &second).contains(" flags=N "));
    engine.close(1);
    assert_eq!(info(&mut engine, "blocked_clients"), 0);
}

#[test]
fn a_blocked_command_is_counted_and_logged_when_it_ends() {
    let mut engine = engine();
    assert_eq!(run(&mut engine, 9, "CONFIG SET slowlog-log-slower-than 0"), "+OK");
    let calls = |engine: &mut SimEngine| {
        let text = run(engine, 9, "INFO commandstats");
        let logged = run(engine, 9, "SLOWLOG GET -1").matches("\"WAIT\"").count();
        (text.contains("cmdstat_wait:calls=1,"), logged)
    };
    send(&mut engine, 1, "WAIT 1 100");
    assert_eq!(calls(&mut engine), (false, 0));
    engine.pass_ms(100).unwrap();
    assert_eq!(calls(&mut engine), (true, 1));
}

#[test]
fn unblock_answers_in_place_of_whoever_was_awaited() {
    let mut engine = engine();
    let waiting = id(&mut engine, 1);
    assert_eq!(run(&mut engine, 2, &format!("CLIENT UNBLOCK {waiting}")), "(integer) 0");
    for (how, expected) in [
        ("", "(integer) 0"),
        (" TIMEOUT", "(integer) 0"),
        (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        send(&mut engine, 1, "WAIT 1 0");
        assert_eq!(info(&mut engine, "blocked_clients"), 1);
        let unblock = format!("CLIENT UNBLOCK {waiting}{how}");
        assert_eq!(run(&mut engine, 2, &unblock), "(integer) 1");
        assert_eq!(info(&mut engine, "blocked_clients"), 0);
        assert_eq!(run(&mut engine, 2, &unblock), "(integer) 0");
        assert_eq!(replies(&mut engine, 1), [expected]);
        assert_eq!(run(&mut engine, 1, "PING"), "+PONG");
    }
    let stats = run(&mut engine, 2, "INFO commandstats");
    let wait = stats.split("cmdstat_wait:").nth(1).unwrap().lines().next().unwrap();
    assert!(wait.starts_with("calls=3,"), "{wait}");
    assert!(wait.contains(",rejected_calls=1,failed_calls=0"), "{wait}");
}

#[test]
fn a_killed_or_closed_client_is_not_served() {
    let mut engine = engine();
    for close in [false, true] {
        let victim = id(&mut engine, 1);
        send(&mut engine, 1, "WAIT 1 100");
        let shared = engine.engine().registry.get(victim.parse().unwrap()).unwrap();
        let waiter = shared.waiter.lock().clone().unwrap();
        if close {
            engine.close(1);
        } else {
            assert_eq!(run(&mut engine, 2, &format!("CLIENT KILL ID {victim}")), "(integer) 1");
        }
        assert!(!waiter.serve(|_| panic!("nothing may be taken for it")));
        engine.pass_ms(100).unwrap();
        engine.close(1);
    }
    assert_eq!(run(&mut engine, 1, "PING"), "+PONG");
}

#[test]
fn a_changed_role_ends_every_wait() {
    let mut engine = engine();
    send(&mut engine, 1, "WAIT 1 0");
    send(&mut engine, 2, "WAIT 1 100");
    assert_eq!(run(&mut engine, 3, "REPLICAOF 127.0.0.1 1"), "+OK");
    let error = "-UNBLOCKED force unblock from blocking operation, instance state changed (master \
                 -> replica?)";
    for conn in [1, 2] {
        assert_eq!(replies(&mut engine, conn), [error]);
    }
    engine.pass_ms(100).unwrap();
    assert!(replies(&mut engine, 2).is_empty(), "its deadline is gone with its wait");
}

#[test]
fn nothing_waits_inside_a_transaction() {
    let mut engine = engine();
    assert_eq!(run(&mut engine, 1, "MULTI"), "+OK");
    assert_eq!(run(&mut engine, 1, "WAIT 1 0"), "+QUEUED");
    send(&mut engine, 1, "EXEC");
    assert_eq!(engine.take_reply(1).unwrap(), Some(Value::Array(vec![Value::Int(0)])));
}

#[test]
fn a_silenced_client_stays_silent() {
    let mut engine = engine();
    send(&mut engine, 1, "CLIENT REPLY SKIP");
    send(&mut engine, 1, "WAIT 1 100");
    engine.pass_ms(100).unwrap();
    assert_eq!(run(&mut engine, 1, "PING"), "+PONG");
}

#[test]
fn a_pause_neither_prolongs_nor_ends_a_wait() {
    let mut engine = engine();
    send(&mut engine, 1, "WAIT 1 100");
    send(&mut engine, 2, "CLIENT PAUSE 1000");
    engine.pass_ms(99).unwrap();
    assert!(replies(&mut engine, 1).is_empty());
    engine.pass_ms(1).unwrap();
    assert_eq!(replies(&mut engine, 1), ["(integer) 0"]);
}

/// A stream with an entry that a consumer has just got.
fn delivered(engine: &mut SimEngine) {
    run(engine, 9, "XADD s 1-1 f v");
    run(engine, 9, "XGROUP CREATE s g 0");
    run(engine, 9, "XREADGROUP GROUP g a STREAMS s >");
}

#[test]
fn a_reader_gets_an_entry_that_comes_of_age() {
    let mut engine = engine();
    delivered(&mut engine);
    send(&mut engine, 1, "XREADGROUP GROUP g b BLOCK 0 CLAIM 1000 STREAMS s >");
    send(&mut engine, 2, "XREADGROUP GROUP g c BLOCK 350 CLAIM 1000 STREAMS s >");
    engine.pass_ms(300).unwrap();
    assert!(replies(&mut engine, 2).is_empty());
    engine.pass_ms(50).unwrap();
    assert_eq!(replies(&mut engine, 2), ["(null array)"]);
    for _ in 0..6 {
        engine.pass_ms(100).unwrap();
        assert!(replies(&mut engine, 1).is_empty());
    }
    engine.pass_ms(150).unwrap();
    let got = replies(&mut engine, 1).join("\n");
    assert!(got.contains("1-1") && got.ends_with("(integer) 1"), "{got}");
    assert_eq!(info(&mut engine, "blocked_clients"), 0);
}

/// Each reader of a stream waits for its own age.
#[test]
fn readers_of_a_stream_wait_for_ages_of_their_own() {
    let mut engine = engine();
    delivered(&mut engine);
    send(&mut engine, 1, "XREADGROUP GROUP g b BLOCK 0 CLAIM 1000 STREAMS s >");
    send(&mut engine, 2, "XREADGROUP GROUP g c BLOCK 0 CLAIM 300 STREAMS s >");
    for _ in 0..5 {
        engine.pass_ms(100).unwrap();
    }
    assert_eq!(replies(&mut engine, 2).len(), 1);
    for _ in 0..7 {
        engine.pass_ms(100).unwrap();
        assert!(replies(&mut engine, 1).is_empty(), "it is younger since");
    }
    for _ in 0..5 {
        engine.pass_ms(100).unwrap();
    }
    assert_eq!(replies(&mut engine, 1).len(), 1);
}

#[test]
fn a_pause_of_writes_holds_back_what_comes_of_age() {
    let mut engine = engine();
    delivered(&mut engine);
    send(&mut engine, 1, "XREADGROUP GROUP g b BLOCK 0 CLAIM 200 STREAMS s >");
    send(&mut engine, 2, "CLIENT PAUSE 1000 WRITE");
    for _ in 0..9 {
        engine.pass_ms(100).unwrap();
        assert!(replies(&mut engine, 1).is_empty());
    }
    engine.pass_ms(100).unwrap();
    engine.pass_ms(100).unwrap();
    assert_eq!(replies(&mut engine, 1).len(), 1);
}

/// One that is blocked may be gone, or unblocked, when it would be looked at.
#[test]
fn a_wait_that_is_over_is_not_looked_at() {
    let mut engine = engine();
    delivered(&mut engine);
    let blocked = id(&mut engine, 1);
    send(&mut engine, 1, "XREADGROUP GROUP g b BLOCK 0 CLAIM 150 STREAMS s >");
    send(&mut engine, 2, "XREADGROUP GROUP g c BLOCK 0 CLAIM 150 STREAMS s >");
    run(&mut engine, 9, &format!("CLIENT UNBLOCK {blocked}"));
    engine.close(2);
    assert_eq!(replies(&mut engine, 1), ["(null array)"]);
    send(&mut engine, 1, "WAIT 1 1000");
    for _ in 0..4 {
        engine.pass_ms(100).unwrap();
    }
    assert!(replies(&mut engine, 1).is_empty());
    assert!(run(&mut engine, 9, "XPENDING s g - + 1").contains("\"a\""));
}
