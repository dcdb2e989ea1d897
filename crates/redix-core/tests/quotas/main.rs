//! Limits of databases: what is counted is what is there, and eviction keeps to its database.

#![allow(clippy::unwrap_used)]

mod model;

use redix_core::config::{Config, DbLimit, MaxmemoryPolicy};
use redix_core::engine::{Background, Engine};
use redix_core::keyspace::SHARDS;
use redix_resp::Value;
use redix_testkit::engine::SimEngine;
use redix_testkit::rng::Rng;
use redix_testkit::writes;

fn run(engine: &mut SimEngine, command: &str) -> Value {
    let words: Vec<&str> = command.split(' ').collect();
    engine.execute(1, &words).unwrap()
}

/// What the keys of a database take, counted anew.
fn bytes(engine: &Engine, db: u32) -> u64 {
    let mut bytes = 0;
    for index in 0..SHARDS {
        let shard = engine.keyspace.lock(index);
        let Some(part) = shard.db(db) else { continue };
        bytes += part.table.memory_bytes() as u64;
        part.table.scan(0, usize::MAX, |entry| bytes += entry.memory_usage() as u64);
    }
    bytes
}

fn check(engine: &SimEngine, what: &str) {
    let engine = engine.engine();
    let mut all = 0;
    for db in 0..engine.keyspace.databases() {
        let counted = engine.keyspace.ledger().bytes(db);
        assert_eq!(counted, bytes(engine, db), "database {db} {what}");
        all += counted;
    }
    assert_eq!(engine.keyspace.ledger().bytes_of_all(), all, "all databases {what}");
}

fn config(limits: &[(u32, u64, MaxmemoryPolicy)]) -> Config {
    let mut config = Config::default();
    for &(db, bytes, policy) in limits {
        config.db_maxmemory.set(DbLimit { db, bytes, policy: Some(policy) });
    }
    config
}

/// Commands that concern whole databases, or two of them.
fn move_about(engine: &mut SimEngine, rng: &mut Rng) {
    let db = |rng: &mut Rng| rng.below(4);
    let (a, b) = (db(rng), db(rng));
    let key = match engine.execute(1, &["RANDOMKEY"]).unwrap() {
        Value::Bulk(key) => String::from_utf8_lossy(&key).into_owned(),
        _ => "none".to_owned(),
    };
    match rng.below(12) {
        0 => drop(run(engine, &format!("SWAPDB {a} {b}"))),
        1 if rng.chance(30) => drop(run(engine, "FLUSHDB ASYNC")),
        2 => drop(engine.execute(1, &["MOVE", &key, &a.to_string()]).unwrap()),
        3 | 4 => {
            drop(engine.execute(1, &["COPY", &key, &key, "DB", &a.to_string()]).unwrap());
        }
        5 => drop(engine.execute(1, &["RENAME", &key, "renamed"]).unwrap()),
        6 => drop(engine.execute(1, &["PEXPIRE", &key, "20"]).unwrap()),
        7 => engine.pass_ms(30).unwrap(),
        8 => drop(run(engine, "FLUSHALL")),
        _ => drop(run(engine, &format!("SELECT {a}"))),
    }
}

fn counts_what_is_there(seed: u64, later: bool) {
    eprintln!("seed {seed}, later {later}");
    let mut rng = Rng::new(seed);
    let limits = [(1, u64::MAX, MaxmemoryPolicy::NoEviction)];
    let mut engine = SimEngine::new(if later { Config::default() } else { config(&limits) }, seed);
    let engine = engine.as_mut().unwrap();
    let mut background = Background::default();
    for round in 0..1500 {
        if round == 700 && later {
            let reply = engine.execute(1, &["CONFIG", "SET", "db-maxmemory", "1 1000gb"]).unwrap();
            assert_eq!(reply, Value::Simple(b"OK".to_vec()));
        }
        for words in writes::batch(&mut rng, 5) {
            engine.execute(1, &words).unwrap();
        }
        if rng.chance(30) {
            move_about(engine, &mut rng);
        }
        background.step(engine.engine());
        let counted = !later || round > 700;
        if counted && round % 20 == 0 && !engine.engine().keyspace.ledger().is_behind() {
            check(engine, &format!("in round {round} of seed {seed}"));
        }
    }
    while engine.engine().keyspace.ledger().is_behind() {
        background.step(engine.engine());
    }
    check(engine, &format!("at the end of seed {seed}"));
}

#[test]
fn what_is_counted_is_what_is_there_whatever_happens() {
    for seed in 1..5 {
        counts_what_is_there(seed, false);
    }
}

#[test]
fn counting_may_begin_later() {
    for seed in 5..8 {
        counts_what_is_there(seed, true);
    }
}

#[test]
fn eviction_keeps_to_its_database() {
    for policy in [
        MaxmemoryPolicy::AllkeysLru,
        MaxmemoryPolicy::AllkeysRandom,
        MaxmemoryPolicy::AllkeysLfu,
        MaxmemoryPolicy::VolatileTtl,
    ] {
        let limit = 200_000;
        let mut engine = SimEngine::new(config(&[(2, limit, policy)]), 3).unwrap();
        for at in 0..500 {
            run(&mut engine, &format!("SET other{at} {} EX 100", "v".repeat(at)));
        }
        run(&mut engine, "SELECT 2");
        for at in 0..3000 {
            let value = "v".repeat(at % 900);
            let reply = run(&mut engine, &format!("SET k{at} {value} EX 100"));
            assert_eq!(reply, Value::Simple(b"OK".to_vec()), "{policy:?}");
            let used = engine.engine().keyspace.ledger().bytes(2);
            assert!(used < limit + 2000, "{policy:?}: {used}");
        }
        assert!(engine.engine().eviction.db_counts(2).evicted > 1000);
        check(&engine, "after evictions");
        run(&mut engine, "SELECT 0");
        assert_eq!(run(&mut engine, "DBSIZE"), Value::Int(500), "{policy:?}");
    }
}

const OOM: &str = "OOM command not allowed when used memory of the database > 'db-maxmemory'.";

fn is_oom(reply: &Value) -> bool {
    matches!(reply, Value::Error(text) if text == OOM.as_bytes())
}

#[test]
fn a_full_database_refuses_what_may_add_data() {
    let limit = (1, 100_000, MaxmemoryPolicy::NoEviction);
    let mut engine = SimEngine::new(config(&[limit]), 3).unwrap();
    run(&mut engine, "SELECT 1");
    let fill = |engine: &mut SimEngine| {
        (0..2000).find(|at| is_oom(&run(engine, &format!("SET k{at} {}", "v".repeat(200)))))
    };
    let filled = fill(&mut engine);
    assert!(filled.is_some_and(|at| (250..460).contains(&at)), "{filled:?}");
    // What adds nothing is allowed, and other databases are not concerned.
    assert_eq!(run(&mut engine, "STRLEN k1"), Value::Int(200));
    run(&mut engine, "SELECT 0");
    run(&mut engine, &format!("SET k {}", "v".repeat(10_000)));
    assert_eq!(run(&mut engine, "EXISTS k"), Value::Int(1));
    // Nor can they fill it.
    assert!(is_oom(&run(&mut engine, "MOVE k 1")));
    assert!(is_oom(&run(&mut engine, "COPY k copy DB 1")));
    // A queued command is checked in the database that it will run in.
    run(&mut engine, "MULTI");
    run(&mut engine, "SELECT 1");
    assert!(is_oom(&run(&mut engine, "SET a b")));
    assert!(
        matches!(run(&mut engine, "EXEC"), Value::Error(text) if text.starts_with(b"EXECABORT"))
    );
    run(&mut engine, "SELECT 1");
    assert!(
        is_oom(&run(&mut engine, "EVAL return(redis.call('set','a','b')) 0")) || {
            // The error of a script names the script.
            let reply = run(&mut engine, "EVAL return(redis.call('set','a','b')) 0");
            matches!(reply, Value::Error(text) if text.starts_with(b"OOM"))
        }
    );
    run(&mut engine, "DEL k1 k2 k3");
    assert_eq!(run(&mut engine, "SET k1 v"), Value::Simple(b"OK".to_vec()));
}

#[test]
fn one_command_does_not_exceed_a_limit_by_what_it_was_not_sent() {
    let limit = (0, 1_000_000, MaxmemoryPolicy::AllkeysLru);
    let mut engine = SimEngine::new(config(&[limit]), 3).unwrap();
    for command in
        ["SETRANGE k 500000000 x", "SETBIT k 4000000000 1", "BITFIELD k SET u8 4000000000 1"]
    {
        assert!(is_oom(&run(&mut engine, command)), "{command}");
    }
    run(&mut engine, "SETRANGE k 300000 x");
    // Nor do many of a transaction, or of a script.
    run(&mut engine, "MULTI");
    for at in 0..20 {
        run(&mut engine, &format!("COPY k copy{at}"));
    }
    let Value::Array(replies) = run(&mut engine, "EXEC") else { panic!("no array") };
    assert_eq!(replies.iter().filter(|reply| is_oom(reply)).count(), 18);
    run(&mut engine, "FLUSHALL");
    run(&mut engine, "SETRANGE k 300000 x");
    let script = "for(i)=1,20(do)redis.call('copy','k','c'..i)(end)";
    let script = script.replace("(i)", " i").replace("(do)", " do ").replace("(end)", " end");
    let reply = engine.execute(1, &["EVAL", &script, "0"]).unwrap();
    assert!(matches!(&reply, Value::Error(text) if text.starts_with(b"OOM")), "{reply:?}");
    assert!(engine.engine().keyspace.ledger().bytes(0) < 1_062_500);
}

#[test]
fn databases_that_there_are_not_have_no_limits() {
    let config = config(&[(16, 1, MaxmemoryPolicy::NoEviction)]);
    assert!(SimEngine::new(config, 1).is_err());
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    let reply = engine.execute(1, &["CONFIG", "SET", "db-maxmemory", "16 1mb"]).unwrap();
    let Value::Error(text) = reply else { panic!("{reply:?}") };
    assert!(String::from_utf8(text).unwrap().ends_with("there is no database 16"));
}

/// Sends as many PINGs.
fn pings(engine: &mut SimEngine, conn: u8, count: usize) {
    for _ in 0..count {
        engine.send(conn, &["PING"]).unwrap();
    }
}

/// Takes the replies that have come.
fn replies(engine: &mut SimEngine, conn: u8) -> usize {
    std::iter::from_fn(|| engine.take_reply(conn).unwrap()).count()
}

fn login(engine: &mut SimEngine, conn: u8, name: &str) {
    let reply = engine.execute(conn, &["AUTH", name, "pw"]).unwrap();
    assert_eq!(reply, Value::Simple(b"OK".to_vec()));
}

#[test]
fn commands_beyond_a_rate_wait_and_others_do_not() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    engine.pass_ms(10_000).unwrap();
    run(&mut engine, "ACL SETUSER alice on >pw ~* +@all %rate=100");
    login(&mut engine, 2, "alice");
    login(&mut engine, 3, "alice");
    pings(&mut engine, 2, 30);
    assert_eq!(replies(&mut engine, 2), 10);
    // Another connection of the user waits behind it.
    pings(&mut engine, 3, 1);
    assert_eq!(replies(&mut engine, 3), 0);
    assert_eq!(run(&mut engine, "PING"), Value::Simple(b"PONG".to_vec()));
    engine.pass_ms(15).unwrap();
    assert_eq!((replies(&mut engine, 2), replies(&mut engine, 3)), (1, 0));
    engine.pass_ms(6).unwrap();
    assert_eq!(replies(&mut engine, 3), 1);
    let mut later = 0;
    for _ in 0..40 {
        engine.pass_ms(10).unwrap();
        later += replies(&mut engine, 2);
    }
    assert_eq!(later, 19);
    run(&mut engine, "ACL SETUSER alice %rate=0");
    pings(&mut engine, 2, 50);
    assert_eq!(replies(&mut engine, 2), 50);
}

#[test]
fn transactions_count_by_their_commands_and_scripts_are_owed_for() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    engine.pass_ms(10_000).unwrap();
    run(&mut engine, "ACL SETUSER alice on >pw ~* +@all %rate=1000");
    login(&mut engine, 2, "alice");
    for _ in 0..10 {
        engine.send(2, &["MULTI"]).unwrap();
        (0..8).for_each(|_| engine.send(2, &["INCR", "n"]).unwrap());
        engine.send(2, &["EXEC"]).unwrap();
    }
    assert_eq!(replies(&mut engine, 2), 100);
    pings(&mut engine, 2, 1);
    assert_eq!(replies(&mut engine, 2), 0);
    engine.pass_ms(1000).unwrap();
    assert_eq!(replies(&mut engine, 2), 1);
    let script = "for i = 1, 500 do redis.call('incr', 'n') end";
    engine.send(2, &["EVAL", script, "0"]).unwrap();
    assert_eq!(replies(&mut engine, 2), 1);
    pings(&mut engine, 2, 1);
    engine.pass_ms(390).unwrap();
    assert_eq!(replies(&mut engine, 2), 0);
    engine.pass_ms(20).unwrap();
    assert_eq!(replies(&mut engine, 2), 1);
}

#[test]
fn what_is_refused_or_given_up_counts_too() {
    for command in ["nonsense", "GET", "SET k v"] {
        let mut engine = SimEngine::new(Config::default(), 1).unwrap();
        engine.pass_ms(10_000).unwrap();
        run(&mut engine, "ACL SETUSER alice on >pw +@all -set %rate=100");
        login(&mut engine, 2, "alice");
        let words: Vec<&str> = command.split(' ').collect();
        (0..30).for_each(|_| engine.send(2, &words).unwrap());
        assert_eq!(replies(&mut engine, 2), 10, "{command}");
    }
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    engine.pass_ms(10_000).unwrap();
    run(&mut engine, "ACL SETUSER alice on >pw ~* +@all %rate=100");
    login(&mut engine, 2, "alice");
    engine.send(2, &["MULTI"]).unwrap();
    (0..30).for_each(|_| engine.send(2, &["INCR", "n"]).unwrap());
    engine.send(2, &["DISCARD"]).unwrap();
    assert_eq!(replies(&mut engine, 2), 10);
}

#[test]
fn blocked_commands_count_and_their_timeouts_come() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    engine.pass_ms(10_000).unwrap();
    run(&mut engine, "ACL SETUSER alice on >pw ~* +@all %rate=100");
    login(&mut engine, 2, "alice");
    let mut came = 0;
    (0..60).for_each(|_| engine.send(2, &["BLPOP", "none", "0.001"]).unwrap());
    for _ in 0..100 {
        engine.pass_ms(1).unwrap();
        came += replies(&mut engine, 2);
    }
    // A full bucket and a tenth of a second.
    assert!((10..=20).contains(&came), "{came}");
    for _ in 0..600 {
        engine.pass_ms(1).unwrap();
        came += replies(&mut engine, 2);
    }
    assert_eq!(came, 60);
}

#[test]
fn a_new_rate_frees_those_who_wait() {
    for rate in [0, 1_000_000] {
        let mut engine = SimEngine::new(Config::default(), 1).unwrap();
        engine.pass_ms(10_000).unwrap();
        run(&mut engine, "ACL SETUSER alice on >pw ~* +@all %rate=100");
        login(&mut engine, 2, "alice");
        login(&mut engine, 3, "alice");
        let script = "for i = 1, 5000 do redis.call('incr', 'n') end";
        engine.send(2, &["EVAL", script, "0"]).unwrap();
        assert_eq!(replies(&mut engine, 2), 1);
        pings(&mut engine, 2, 1);
        engine.pass_ms(3000).unwrap();
        assert_eq!(replies(&mut engine, 2), 0, "it owes for 50 s");
        run(&mut engine, &format!("ACL SETUSER alice %rate={rate}"));
        pings(&mut engine, 3, 1);
        assert_eq!(replies(&mut engine, 3), 1);
        engine.pass_ms(1001).unwrap();
        assert_eq!(replies(&mut engine, 2), 1);
    }
}

#[test]
fn a_transaction_exceeds_the_limit_of_a_user_by_little() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    run(&mut engine, "ACL SETUSER alice on >pw ~* +@all db=1,2 %mem=200kb");
    login(&mut engine, 2, "alice");
    run(&mut engine, "SELECT 1");
    engine.execute(2, &["SELECT", "1"]).unwrap();
    engine.execute(2, &["MULTI"]).unwrap();
    for key in ["a", "b", "c"] {
        engine.execute(2, &["SETRANGE", key, "100000", "v"]).unwrap();
    }
    let Value::Array(replies) = engine.execute(2, &["EXEC"]).unwrap() else { panic!("no array") };
    assert_eq!(replies.iter().filter(|reply| matches!(reply, Value::Error(_))).count(), 1);
    assert!(engine.engine().keyspace.ledger().bytes(1) < 240 << 10);
    // Between its own databases it may move what it has.
    assert_eq!(engine.execute(2, &["MOVE", "a", "2"]).unwrap(), Value::Int(1));
}

#[test]
fn a_user_beyond_its_memory_adds_no_data_but_others_do() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    run(&mut engine, "ACL SETUSER alice on >pw ~* +@all db=1,2 %mem=200kb");
    login(&mut engine, 2, "alice");
    let is_oom = |reply: &Value| {
        let text = b"OOM command not allowed when used memory of the user > '%mem'.";
        matches!(reply, Value::Error(other) if other == text)
    };
    let (value, mut stored) = ("v".repeat(500), 0);
    for db in ["1", "2"] {
        engine.execute(2, &["SELECT", db]).unwrap();
        stored = 0;
        for at in 0..250 {
            let reply = engine.execute(2, &["SET", &format!("k{at}"), &value]).unwrap();
            assert!(db == "2" || !is_oom(&reply), "{at}");
            stored += usize::from(!is_oom(&reply));
        }
    }
    assert!(is_oom(&engine.execute(2, &["SET", "k", "v"]).unwrap()));
    assert!(is_oom(&engine.execute(2, &["SETRANGE", "k1", "400000", "v"]).unwrap()));
    let keys =
        engine.engine().keyspace.ledger().bytes(1) + engine.engine().keyspace.ledger().bytes(2);
    assert!((200 << 10..202 << 10).contains(&keys), "{keys}");
    // Others may still use the databases, and what they delete is room.
    run(&mut engine, "SELECT 1");
    assert_eq!(run(&mut engine, "SET other v"), Value::Simple(b"OK".to_vec()));
    run(&mut engine, "FLUSHDB");
    assert!(!is_oom(&engine.execute(2, &["SET", "k", "v"]).unwrap()));
    assert!(is_oom(&engine.execute(2, &["SETRANGE", "k", "400000", "v"]).unwrap()));
    let info = run(&mut engine, "INFO quotas").pretty();
    let refused = 250 - stored + 3;
    assert!(info.contains(&format!(",refused={refused},")), "{refused}: {info}");
    check(&engine, "of a user");
    run(&mut engine, "ACL DELUSER alice");
    assert!(!engine.engine().keyspace.ledger().is_on());
}

#[test]
fn limits_of_users_are_shown_and_come_back() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    run(&mut engine, "ACL SETUSER alice on nopass %mem=1mb %RATE=10 ~* +get");
    let list = format!("{:?}", String::from_utf8_lossy(&engine.engine().acl.file_text()));
    assert!(list.contains("user alice on nopass %mem=1048576 %rate=10 ~*"), "{list}");
    for rule in ["%rate=x", "%rate=", "%mem=", "%mem=1xb", "%rate=-1", "%rate=2000000000"] {
        let reply = engine.execute(1, &["ACL", "SETUSER", "alice", rule]).unwrap();
        assert!(matches!(reply, Value::Error(_)), "{rule}");
    }
    run(&mut engine, "ACL SETUSER alice %mem=0 %rate=0");
    let text = String::from_utf8(engine.engine().acl.file_text()).unwrap();
    assert!(!text.contains('%'), "{text}");
}
