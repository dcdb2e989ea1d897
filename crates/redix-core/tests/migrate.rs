//! MIGRATE between two engines, with events during the migration.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io;

use redix_core::config::Config;
use redix_core::migration::{Migration, Outcome, Step, Wire};
use redix_core::repl::status::Target;
use redix_resp::{ReplyDecoder, Value};
use redix_testkit::engine::SimEngine;
use redix_testkit::script::ScriptTarget;

const MOVE: &str = "MIGRATE host 6379 k 0 1000";

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
    engine.pass_ms(0).unwrap();
    std::iter::from_fn(|| engine.take_reply(conn).unwrap()).map(|value| value.pretty()).collect()
}

/// What was logged since the last call.
fn logged(engine: &mut SimEngine) -> Vec<String> {
    let records = engine.take_log().unwrap();
    let text = |words: Vec<Vec<u8>>| {
        words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
    };
    records.into_iter().map(text).collect()
}

fn id(engine: &mut SimEngine, conn: u8) -> String {
    run(engine, conn, "CLIENT ID").replace("(integer) ", "")
}

/// A connection to an engine that executes at once what it is sent.
struct Line<'a> {
    to: &'a mut SimEngine,
    input: ReplyDecoder,
    replies: VecDeque<Vec<u8>>,
    /// The connection breaks after this many replies.
    left: usize,
}

impl<'a> Line<'a> {
    fn to(to: &'a mut SimEngine) -> Self {
        Self { to, input: ReplyDecoder::default(), replies: VecDeque::new(), left: usize::MAX }
    }
}

impl Wire for Line<'_> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.feed(bytes);
        while let Some(request) = self.input.next_reply().unwrap() {
            let Value::Array(words) = request else { panic!("a request is an array") };
            let words = words.into_iter().map(|word| match word {
                Value::Bulk(bytes) => bytes,
                other => panic!("{}", other.pretty()),
            });
            let reply = self.to.execute(9, &words.collect::<Vec<_>>()).unwrap();
            self.replies.push_back(reply.pretty().into_bytes());
        }
        Ok(())
    }

    fn line(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= 1;
        *out = self.replies.pop_front().expect("every request is answered");
        Ok(())
    }
}

fn now_ms(engine: &SimEngine) -> i64 {
    engine.engine().env.clock.unix_us() / 1000
}

/// The only queued migration.
fn begun(engine: &SimEngine) -> Migration {
    engine.engine().migrations.next().expect("something was begun")
}

fn finish(engine: &mut SimEngine, migration: Migration, outcome: &Outcome) {
    engine.engine().migrations.finish(&engine.engine().registry, migration, outcome);
    engine.pass_ms(0).unwrap();
}

/// Carries the queued migration out, except for its end.
fn converse(from: &SimEngine, to: &mut SimEngine) -> (Migration, Outcome) {
    let mut migration = begun(from);
    let outcome = migration.converse(&mut Line::to(to), None, now_ms(from));
    (migration, outcome)
}

fn carry_out(from: &mut SimEngine, to: &mut SimEngine) {
    let (migration, outcome) = converse(from, to);
    finish(from, migration, &outcome);
}

#[test]
fn what_the_target_takes_is_deleted_in_one_record() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "MSET a 1 b 2 c 3");
    run(&mut from, 1, "PEXPIRE b 5000");
    logged(&mut from);
    send(&mut from, 1, "MIGRATE host 6379  3 1000 KEYS a none b");
    assert!(replies(&mut from, 1).is_empty());
    assert_eq!(run(&mut from, 2, "DBSIZE"), "(integer) 3");
    carry_out(&mut from, &mut to);
    assert_eq!(replies(&mut from, 1), ["+OK"]);
    assert_eq!(run(&mut from, 2, "KEYS *"), "1) \"c\"");
    assert_eq!(logged(&mut from), ["DEL a b"]);
    run(&mut to, 1, "SELECT 3");
    assert_eq!(run(&mut to, 1, "GET a"), "\"1\"");
    assert_eq!(run(&mut to, 1, "PTTL b"), "(integer) 5000");
}

#[test]
fn a_copy_leaves_nothing_behind() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "RPUSH k a b");
    logged(&mut from);
    send(&mut from, 1, &format!("{MOVE} COPY"));
    carry_out(&mut from, &mut to);
    assert_eq!(replies(&mut from, 1), ["+OK"]);
    assert_eq!(run(&mut from, 1, "LLEN k"), "(integer) 2");
    assert_eq!(run(&mut to, 1, "LLEN k"), "(integer) 2");
    assert!(logged(&mut from).is_empty());
}

#[test]
fn what_the_target_refuses_stays() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "MSET a 1 b 2 c 3");
    run(&mut to, 1, "SET b other");
    send(&mut from, 1, "MIGRATE host 6379  0 1000 KEYS a b c");
    carry_out(&mut from, &mut to);
    let refused =
        "-ERR Target instance replied with error: BUSYKEY Target key name already exists.";
    assert_eq!(replies(&mut from, 1), [refused]);
    assert_eq!(run(&mut from, 1, "KEYS *"), "1) \"b\"");
    send(&mut from, 1, "MIGRATE host 6379 b 0 1000 REPLACE");
    carry_out(&mut from, &mut to);
    assert_eq!(replies(&mut from, 1), ["+OK"]);
    assert_eq!(run(&mut to, 1, "GET b"), "\"2\"");
    // A key that is named twice is captured once.
    run(&mut from, 1, "SET d 1");
    logged(&mut from);
    send(&mut from, 1, "MIGRATE host 6379  0 1000 KEYS d d");
    carry_out(&mut from, &mut to);
    assert_eq!(replies(&mut from, 1), [refused]);
    assert_eq!(logged(&mut from), ["DEL d"]);
}

#[test]
fn a_target_that_lets_nobody_in_or_has_no_such_database_takes_nothing() {
    for command in ["MIGRATE host 6379 k 99 1000", &format!("{MOVE} AUTH2 nobody x")] {
        let (mut from, mut to) = (engine(), engine());
        run(&mut from, 1, "SET k v");
        send(&mut from, 1, command);
        carry_out(&mut from, &mut to);
        let reply = replies(&mut from, 1);
        assert!(reply[0].starts_with("-ERR Target instance replied with error: "), "{reply:?}");
        // Without SELECT it is in another database.
        assert_eq!(run(&mut to, 1, "EXISTS k"), "(integer) 1");
        assert_eq!(run(&mut from, 1, "EXISTS k"), "(integer) 1");
    }
}

#[test]
fn a_connection_that_breaks_leaves_what_was_not_confirmed() {
    for (left, kept, again) in [(0, 2, true), (1, 2, true), (2, 1, false)] {
        let (mut from, mut to) = (engine(), engine());
        run(&mut from, 1, "MSET a 1 b 2");
        send(&mut from, 1, "MIGRATE host 6379  0 1000 KEYS a b");
        let mut migration = begun(&from);
        let mut line = Line { left, ..Line::to(&mut to) };
        let outcome = migration.converse(&mut line, None, now_ms(&from));
        assert_eq!(outcome.worth_another_try(), again, "after {left} replies");
        assert_eq!(outcome.leaves_selected(0), None);
        finish(&mut from, migration, &outcome);
        let text = "-IOERR error or timeout reading to target instance";
        assert_eq!(replies(&mut from, 1), [text]);
        assert_eq!(run(&mut from, 1, "DBSIZE"), format!("(integer) {kept}"), "after {left}");
    }
}

#[test]
fn a_database_that_is_known_to_be_selected_is_not_selected_again() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "MSET a 1 b 2");
    run(&mut to, 9, "SELECT 7");
    for (key, selected, expected) in [("a", Some(0), "7"), ("b", None, "0")] {
        send(&mut from, 1, &format!("MIGRATE host 6379 {key} 0 1000"));
        let mut migration = begun(&from);
        let outcome = migration.converse(&mut Line::to(&mut to), selected, now_ms(&from));
        assert_eq!(outcome.leaves_selected(0), Some(Some(0)));
        finish(&mut from, migration, &outcome);
        run(&mut to, 1, &format!("SELECT {expected}"));
        assert_eq!(run(&mut to, 1, &format!("EXISTS {key}")), "(integer) 1");
    }
}

#[test]
fn a_key_that_was_changed_meanwhile_stays() {
    for change in
        ["APPEND k x", "SET k v", "PEXPIRE k 9000", "RENAME other k", "SWAPDB 0 1", "RESTORE k 0"]
    {
        let (mut from, mut to) = (engine(), engine());
        run(&mut from, 1, "MSET k v other w");
        send(&mut from, 1, MOVE);
        let (migration, outcome) = converse(&from, &mut to);
        if change.starts_with("RESTORE") {
            let Value::Bulk(payload) = to.execute(1, &["DUMP", "k"]).unwrap() else {
                panic!("bulk")
            };
            from.execute(2, &[&b"RESTORE"[..], b"k", b"0", &payload, b"REPLACE"]).unwrap();
        } else {
            assert!(!run(&mut from, 2, change).starts_with('-'), "{change}");
        }
        if change.starts_with("SWAPDB") {
            // Another key of that name.
            run(&mut from, 2, "SET k another");
        }
        let (before, digest) = (logged(&mut from), run(&mut from, 2, "DEBUG DIGEST"));
        assert!(!before.is_empty());
        finish(&mut from, migration, &outcome);
        let reply = replies(&mut from, 1);
        assert!(reply[0].starts_with("-IOERR the key was changed"), "{change}: {reply:?}");
        assert_eq!(run(&mut from, 2, "DEBUG DIGEST"), digest, "{change}");
        assert!(logged(&mut from).is_empty(), "{change}");
        assert_eq!(run(&mut to, 1, "GET k"), "\"v\"");
    }
}

#[test]
fn of_several_keys_those_that_were_changed_stay() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "MSET a 1 b 2 c 3");
    send(&mut from, 1, "MIGRATE host 6379  0 1000 KEYS a b c");
    let (migration, outcome) = converse(&from, &mut to);
    run(&mut from, 2, "INCR b");
    logged(&mut from);
    finish(&mut from, migration, &outcome);
    assert!(replies(&mut from, 1)[0].starts_with("-IOERR the key was changed"));
    assert_eq!(logged(&mut from), ["DEL a c"]);
    assert_eq!(run(&mut from, 1, "GET b"), "\"3\"");
    assert_eq!(run(&mut to, 1, "GET b"), "\"2\"");
}

#[test]
fn reading_a_key_meanwhile_changes_nothing() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "RPUSH k a");
    send(&mut from, 1, MOVE);
    let (migration, outcome) = converse(&from, &mut to);
    for command in ["LRANGE k 0 -1", "TOUCH k", "OBJECT ENCODING k", "LREM k 0 none", "PERSIST k"] {
        run(&mut from, 2, command);
    }
    finish(&mut from, migration, &outcome);
    assert_eq!(replies(&mut from, 1), ["+OK"]);
    assert_eq!(run(&mut from, 1, "EXISTS k"), "(integer) 0");
}

#[test]
fn a_key_that_is_gone_meanwhile_needs_not_be_deleted() {
    for gone in ["DEL k", "FLUSHALL", "PEXPIRE k 1"] {
        let (mut from, mut to) = (engine(), engine());
        run(&mut from, 1, "SET k v");
        send(&mut from, 1, MOVE);
        let (migration, outcome) = converse(&from, &mut to);
        run(&mut from, 2, gone);
        from.pass_ms(10).unwrap();
        logged(&mut from);
        finish(&mut from, migration, &outcome);
        assert_eq!(replies(&mut from, 1), ["+OK"], "{gone}");
        assert!(!logged(&mut from).contains(&"DEL k".to_owned()), "{gone}");
        assert_eq!(run(&mut from, 1, "EXISTS k"), "(integer) 0");
    }
}

#[test]
fn what_expires_before_it_is_sent_is_not_sent() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "SET k v PX 5");
    send(&mut from, 1, MOVE);
    from.pass_ms(10).unwrap();
    carry_out(&mut from, &mut to);
    assert_eq!(replies(&mut from, 1), ["+OK"]);
    assert_eq!(run(&mut to, 1, "EXISTS k"), "(integer) 0");
}

#[test]
fn a_large_value_is_sent_as_it_was() {
    let (mut from, mut to) = (engine(), engine());
    let members: Vec<String> = (0..5000).map(|member| format!("m{member}")).collect();
    let words: Vec<&str> =
        ["SADD", "k"].into_iter().chain(members.iter().map(|m| &m[..])).collect();
    from.execute(1, &words).unwrap();
    let digest = run(&mut from, 1, "DEBUG DIGEST-VALUE k");
    send(&mut from, 1, MOVE);
    run(&mut from, 2, "SREM k m1 m2 m3");
    run(&mut from, 2, "SADD k new");
    carry_out(&mut from, &mut to);
    assert_eq!(run(&mut to, 1, "DEBUG DIGEST-VALUE k"), digest);
    assert!(replies(&mut from, 1)[0].starts_with("-IOERR the key was changed"));
    assert_eq!(run(&mut from, 1, "SCARD k"), "(integer) 4998");
}

#[test]
fn nothing_but_its_end_unblocks_the_client() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "SET k v");
    let client = id(&mut from, 1);
    send(&mut from, 1, MOVE);
    for how in ["", " ERROR"] {
        let unblock = format!("CLIENT UNBLOCK {client}{how}");
        assert_eq!(run(&mut from, 2, &unblock), "(integer) 0");
    }
    assert!(run(&mut from, 2, &format!("CLIENT LIST ID {client}")).contains(" flags=b "));
    assert!(replies(&mut from, 1).is_empty());
    carry_out(&mut from, &mut to);
    assert_eq!(replies(&mut from, 1), ["+OK"]);
    assert!(run(&mut from, 2, &format!("CLIENT LIST ID {client}")).contains(" flags=N "));
}

#[test]
fn without_its_client_it_is_not_begun() {
    let mut from = engine();
    run(&mut from, 1, "SET k v");
    let client = id(&mut from, 1);
    send(&mut from, 1, MOVE);
    run(&mut from, 2, &format!("CLIENT KILL ID {client}"));
    send(&mut from, 3, MOVE);
    from.close(3);
    assert!(from.engine().migrations.next().is_none());
    assert_eq!(run(&mut from, 2, "EXISTS k"), "(integer) 1");
}

#[test]
fn without_its_client_it_comes_to_its_end() {
    for kill in [true, false] {
        let (mut from, mut to) = (engine(), engine());
        run(&mut from, 1, "SET k v");
        let client = id(&mut from, 1);
        logged(&mut from);
        send(&mut from, 1, MOVE);
        let (migration, outcome) = converse(&from, &mut to);
        if kill {
            run(&mut from, 2, &format!("CLIENT KILL ID {client}"));
        }
        from.close(1);
        // The client in its slot gets no reply.
        assert_eq!(run(&mut from, 3, "PING"), "+PONG");
        finish(&mut from, migration, &outcome);
        assert!(replies(&mut from, 3).is_empty());
        assert_eq!(logged(&mut from), ["DEL k"]);
        assert_eq!(run(&mut from, 2, "EXISTS k"), "(integer) 0");
    }
}

#[test]
fn a_replica_does_not_delete_what_was_its_own() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "SET k v");
    send(&mut from, 1, MOVE);
    let (migration, outcome) = converse(&from, &mut to);
    {
        let engine = from.share();
        let _world = engine.keyspace.gates().world();
        engine.follow(Target { host: "host".into(), port: 1 });
    }
    let dismissed = "-UNBLOCKED force unblock from blocking operation, instance state changed \
                     (master -> replica?)";
    assert_eq!(replies(&mut from, 1), [dismissed]);
    finish(&mut from, migration, &outcome);
    assert_eq!(run(&mut from, 2, "EXISTS k"), "(integer) 1");
    assert!(replies(&mut from, 1).is_empty());
}

#[test]
fn a_pause_holds_the_end_back() {
    let (mut from, mut to) = (engine(), engine());
    run(&mut from, 1, "SET k v");
    send(&mut from, 1, MOVE);
    let (migration, outcome) = converse(&from, &mut to);
    run(&mut from, 2, "CLIENT PAUSE 100 WRITE");
    logged(&mut from);
    finish(&mut from, migration, &outcome);
    assert!(replies(&mut from, 1).is_empty());
    assert_eq!(run(&mut from, 2, "EXISTS k"), "(integer) 1");
    assert!(logged(&mut from).is_empty());
    // A paused client makes time pass until the pause is over.
    assert_eq!(run(&mut from, 3, "SET other v"), "+OK");
    assert_eq!(replies(&mut from, 1), ["+OK"]);
    assert_eq!(run(&mut from, 2, "EXISTS k"), "(integer) 0");
}

#[test]
fn a_transaction_does_not_wait_for_a_target() {
    let mut from = engine();
    run(&mut from, 1, "SET k v");
    for command in ["MULTI", "SET z 1", MOVE, "MIGRATE host 6379 none 0 1000"] {
        run(&mut from, 1, command);
    }
    let reply = run(&mut from, 1, "EXEC");
    let lines: Vec<&str> = reply.lines().collect();
    assert_eq!(lines[0], "1) +OK");
    assert!(lines[1].starts_with("2) -ERR MIGRATE inside a transaction"), "{reply}");
    assert_eq!(lines[2], "3) +NOKEY");
    assert!(from.engine().migrations.next().is_none());
    assert_eq!(run(&mut from, 1, "EXISTS k z"), "(integer) 2");
}

#[test]
fn a_failure_is_counted_as_the_command_s_own() {
    let mut from = engine();
    run(&mut from, 1, "CONFIG SET slowlog-log-slower-than 0");
    run(&mut from, 1, "SET k v");
    send(&mut from, 1, &format!("{MOVE} AUTH2 user secret"));
    let migration = begun(&from);
    finish(&mut from, migration, &Outcome::failed(Step::Connecting));
    assert_eq!(replies(&mut from, 1), ["-IOERR error or timeout connecting to the client"]);
    let stats = run(&mut from, 1, "INFO commandstats");
    let line = stats.split("\\r\\n").find(|line| line.starts_with("cmdstat_migrate")).unwrap();
    assert!(
        line.contains("calls=1,") && line.ends_with("rejected_calls=0,failed_calls=1"),
        "{line}"
    );
    assert!(run(&mut from, 1, "INFO errorstats").contains("errorstat_IOERR:count=1"));
    // Secrets are known until the command has ended.
    let log = run(&mut from, 1, "SLOWLOG GET -1");
    assert!(log.contains("\"AUTH2\"") && !log.contains("secret"), "{log}");
    assert_eq!(log.matches("(redacted)").count(), 2);
}
