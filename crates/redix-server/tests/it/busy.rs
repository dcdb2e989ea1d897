//! Scripts that run for too long, over the network and across threads.

use std::time::{Duration, Instant};

use redix_testkit::{Client, Server};

use crate::{connect, eventually, start};

const BUSY: &str =
    "-BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const KILLED: &str = "-ERR Script killed by user with SCRIPT KILL. script: on @user_script:1.";
const ENDLESS: [&str; 3] = ["EVAL", "while true do end", "0"];

/// A server of so many workers on which a script may run for 20 ms.
fn impatient(workers: usize, args: &[&str]) -> Server {
    let own = ["--worker-threads", &workers.to_string(), "--busy-reply-threshold", "20"];
    start(&[&own, args].concat())
}

fn said(client: &mut Client, command: &[&str]) -> String {
    client.cmd(command).unwrap().pretty()
}

fn eventually_busy(client: &mut Client) {
    eventually("the server is busy", || said(client, &["PING"]) == BUSY);
}

fn eventually_free(client: &mut Client) {
    eventually("the server is free", || said(client, &["PING"]) == "+PONG");
}

#[test]
fn every_worker_says_so_and_a_kill_ends_the_script() {
    let server = impatient(3, &[]);
    let mut clients: Vec<Client> = (0..6).map(|_| connect(&server)).collect();
    let mut longest = Duration::ZERO;
    for round in 0..20 {
        let runs = round % clients.len();
        let began = Instant::now();
        clients[runs].send(&ENDLESS).unwrap();
        for other in (0..clients.len()).filter(|other| *other != runs) {
            eventually_busy(&mut clients[other]);
        }
        longest = longest.max(began.elapsed());
        let killer = (runs + 1) % clients.len();
        assert_eq!(said(&mut clients[killer], &["SCRIPT", "KILL"]), "+OK");
        assert_eq!(clients[runs].reply().unwrap().pretty(), KILLED);
        let killed = said(&mut clients[killer], &["SCRIPT", "KILL"]);
        assert_eq!(killed, "-NOTBUSY No scripts in execution right now.");
        for client in &mut clients {
            assert_eq!(said(client, &["PING"]), "+PONG");
        }
    }
    println!("busy on every worker after at most {longest:?}");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}

#[test]
fn what_is_sent_meanwhile_is_answered_and_what_followed_runs() {
    for workers in [1, 2] {
        let server = impatient(workers, &[]);
        let (mut runs, mut other, mut watches) =
            (connect(&server), connect(&server), connect(&server));
        let mut begun = connect(&server);
        assert_eq!(said(&mut begun, &["MULTI"]), "+OK");
        assert_eq!(said(&mut begun, &["SET", "x", "1"]), "+QUEUED");
        let behind = b"EVAL 'while true do end' 0\r\nSET k v\r\nGET k\r\n";
        runs.send_raw(&[&b"SET early 1\r\n"[..], behind].concat()).unwrap();
        eventually_busy(&mut other);
        let mut late = connect(&server);
        assert_eq!(said(&mut late, &["GET", "k"]), BUSY, "a connection made since");
        let needs_world = ["CONFIG", "SET", "maxmemory", "0"];
        assert_eq!(said(&mut late, &needs_world), BUSY);
        assert_eq!(said(&mut watches, &["WATCH", "k"]), "+OK");
        let abort = format!("-EXECABORT Transaction discarded because of: {}", &BUSY[1..]);
        assert_eq!(said(&mut begun, &["EXEC"]), abort);
        assert_eq!(said(&mut other, &["MULTI"]), "+OK");
        assert_eq!(said(&mut other, &["SET", "x", "1"]), BUSY);
        assert_eq!(said(&mut other, &["DISCARD"]), "+OK");
        assert_eq!(said(&mut other, &["SHUTDOWN"]), BUSY);
        other.send_raw(b"CLIENT REPLY SKIP\r\nGET k\r\nSELECT 0\r\n").unwrap();
        assert_eq!(other.reply().unwrap().pretty(), "+OK");
        assert_eq!(said(&mut other, &["SCRIPT", "KILL"]), "+OK");
        for expected in ["+OK", KILLED, "+OK", "\"v\""] {
            assert_eq!(runs.reply().unwrap().pretty(), expected);
        }
        assert_eq!(said(&mut watches, &["MULTI"]), "+OK");
        assert_eq!(said(&mut watches, &["EXEC"]), "(null array)", "the script may have changed it");
        assert_eq!(said(&mut other, &["EXISTS", "x", "k", "early"]), "(integer) 2");
    }
}

#[test]
fn a_script_that_has_written_is_ended_only_with_the_server() {
    let mut server = impatient(2, &["--appendonly", "no"]);
    let (mut runs, mut other) = (connect(&server), connect(&server));
    runs.send(&["EVAL", "redis.call('set','k','v') while true do end", "0"]).unwrap();
    eventually_busy(&mut other);
    let refused = said(&mut other, &["SCRIPT", "KILL"]);
    assert!(
        refused.starts_with("-UNKILLABLE Sorry the script already executed write"),
        "{refused}"
    );
    assert_eq!(said(&mut other, &["SHUTDOWN", "SAVE"]), BUSY);
    other.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert!(server.wait_for_exit().unwrap().success());
}

#[test]
fn the_thread_of_a_script_ends_the_server() {
    let mut server = impatient(1, &[]);
    let (mut runs, mut other) = (connect(&server), connect(&server));
    runs.send(&ENDLESS).unwrap();
    eventually_busy(&mut other);
    other.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert!(other.is_closed_by_peer().unwrap());
    assert!(Client::connect(server.addr()).is_err(), "nobody listens");
    assert!(server.wait_for_exit().unwrap().success());
}

#[test]
fn a_client_that_leaves_does_not_end_its_script() {
    for workers in [1, 2] {
        let server = impatient(workers, &[]);
        let (mut runs, mut other) = (connect(&server), connect(&server));
        let long = "for i = 1, 3 * 10 ^ 7 do end redis.call('set', KEYS[1], 'done')";
        runs.send(&["EVAL", long, "1", "k"]).unwrap();
        eventually_busy(&mut other);
        drop(runs);
        eventually_free(&mut other);
        assert_eq!(said(&mut other, &["GET", "k"]), "\"done\"");
        eventually("its connection is closed", || {
            said(&mut other, &["CLIENT", "LIST"]).matches("id=").count() == 1
        });
    }
}

#[test]
fn a_transaction_with_a_script_goes_on_after_the_kill() {
    let server = impatient(1, &[]);
    let (mut runs, mut other) = (connect(&server), connect(&server));
    let queued: &[&[&str]] = &[&["MULTI"], &["SET", "k", "v"], &ENDLESS, &["GET", "k"], &["EXEC"]];
    queued.iter().for_each(|command| runs.send(command).unwrap());
    eventually_busy(&mut other);
    assert_eq!(said(&mut other, &["SCRIPT", "KILL"]), "+OK");
    for expected in ["+OK", "+QUEUED", "+QUEUED", "+QUEUED"] {
        assert_eq!(runs.reply().unwrap().pretty(), expected);
    }
    let result = runs.reply().unwrap().pretty();
    assert_eq!(result, format!("1) +OK\n2) {KILLED}\n3) \"v\""));
}

#[test]
fn messages_that_a_script_publishes_reach_its_own_connection() {
    let server = impatient(1, &[]);
    let (mut runs, mut other) = (connect(&server), connect(&server));
    runs.hello(3).unwrap();
    runs.send(&["SUBSCRIBE", "c"]).unwrap();
    assert!(runs.push(Duration::from_secs(20)).unwrap().is_some());
    let script = "redis.call('publish', 'c', 'm') for i = 1, 3 * 10 ^ 7 do end return 1";
    runs.send(&["EVAL", script, "0"]).unwrap();
    eventually_busy(&mut other);
    assert_eq!(runs.reply().unwrap().pretty(), "(integer) 1");
    let message = runs.push(Duration::from_secs(20)).unwrap().expect("the message");
    assert!(message.pretty().contains("\"m\""), "{}", message.pretty());
}

#[test]
fn a_replica_goes_on_where_its_script_has_made_it_wait() {
    let primary = start(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.port().to_string();
    let replica = impatient(2, &["--replicaof", &format!("127.0.0.1 {port}")]);
    let (mut writes, mut runs, mut other) =
        (connect(&primary), connect(&replica), connect(&replica));
    assert_eq!(said(&mut writes, &["SET", "k", "0"]), "+OK");
    eventually("it follows", || said(&mut other, &["GET", "k"]) == "\"0\"");
    runs.send(&["EVAL_RO", "while true do end", "0"]).unwrap();
    eventually_busy(&mut other);
    for number in 1..=1000 {
        assert_eq!(said(&mut writes, &["SET", "k", &number.to_string()]), "+OK");
    }
    assert_eq!(said(&mut other, &["GET", "k"]), BUSY);
    assert_eq!(said(&mut other, &["SCRIPT", "KILL"]), "+OK");
    assert_eq!(runs.reply().unwrap().pretty(), KILLED);
    eventually("it has caught up", || said(&mut other, &["GET", "k"]) == "\"1000\"");
    let full = said(&mut writes, &["INFO", "stats"]);
    assert!(full.contains("sync_full:1"), "{full}");
}

#[test]
fn a_snapshot_outlives_a_script() {
    let server = impatient(2, &["--dbfilename", "busy.rdb"]);
    let (mut runs, mut other) = (connect(&server), connect(&server));
    for number in 0..2000 {
        assert_eq!(said(&mut other, &["SET", &number.to_string(), "value"]), "+OK");
    }
    assert!(said(&mut other, &["BGSAVE"]).starts_with("+Background saving started"));
    runs.send(&["EVAL", "while true do redis.call('get', 'x') end", "0"]).unwrap();
    eventually_busy(&mut other);
    assert_eq!(said(&mut other, &["SCRIPT", "KILL"]), "+OK");
    assert_eq!(runs.reply().unwrap().pretty(), KILLED);
    eventually("it was saved", || {
        let info = said(&mut other, &["INFO", "persistence"]);
        info.contains("rdb_bgsave_in_progress:0") && info.contains("rdb_last_bgsave_status:ok")
    });
}

#[test]
fn a_shutdown_that_meets_the_begin_of_a_script_ends_the_server() {
    for _ in 0..10 {
        let mut server = impatient(2, &[]);
        let (mut runs, mut ends) = (connect(&server), connect(&server));
        runs.send(&ENDLESS).unwrap();
        ends.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
        assert!(server.wait_for_exit().unwrap().success());
    }
}

#[test]
fn the_client_of_a_script_gets_its_replies_although_it_is_closed() {
    for workers in [1, 2] {
        let server = impatient(workers, &[]);
        let mut wrong = connect(&server);
        let long = "for i = 1, 3 * 10 ^ 7 do end return 'done'";
        let eval = format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{long}\r\n$1\r\n0\r\n", long.len());
        wrong.send_raw(format!("{eval}*abc\r\n").as_bytes()).unwrap();
        assert_eq!(wrong.reply().unwrap().pretty(), "\"done\"");
        let error = "-ERR Protocol error: invalid multibulk length";
        assert_eq!(wrong.reply().unwrap().pretty(), error);
        assert!(wrong.is_closed_by_peer().unwrap());

        let mut killed = connect(&server);
        let id = said(&mut killed, &["CLIENT", "ID"]).replace("(integer) ", "");
        assert_eq!(said(&mut killed, &["MULTI"]), "+OK");
        assert_eq!(said(&mut killed, &["EVAL", long, "0"]), "+QUEUED");
        let kill = ["CLIENT", "KILL", "ID", &id, "SKIPME", "no"];
        assert_eq!(said(&mut killed, &kill), "+QUEUED");
        assert_eq!(said(&mut killed, &["EXEC"]), "1) \"done\"\n2) (integer) 1");
        assert!(killed.is_closed_by_peer().unwrap());
    }
}

#[test]
fn what_was_asked_for_before_a_script_is_not_put_off() {
    let mut server = impatient(1, &["--enable-debug-command", "yes"]);
    let (mut sleeps, mut ends, mut runs) = (connect(&server), connect(&server), connect(&server));
    // What the others send meanwhile is read in one turn.
    sleeps.send(&["DEBUG", "SLEEP", "0.3"]).unwrap();
    ends.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    runs.send(&ENDLESS).unwrap();
    assert!(server.wait_for_exit().unwrap().success());
}
