//! Commands that act on other connections: killed, paused, silenced, configured.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use redix_resp::Value;
use redix_testkit::Client;

use crate::{connect, eventually, start};

const TWO_WORKERS: &[&str] = &["--worker-threads", "2"];

fn id(client: &mut Client) -> String {
    let Value::Int(id) = client.must(&["CLIENT", "ID"]).unwrap() else { panic!("no id") };
    id.to_string()
}

/// A field of the line about a client.
fn field(asking: &mut Client, id: &str, name: &str) -> Option<String> {
    let list = asking.must(&["CLIENT", "LIST", "ID", id]).unwrap();
    let Value::Bulk(line) = list else { panic!("no text") };
    let line = String::from_utf8(line).unwrap();
    let mut fields = line.split([' ', '\n']).filter_map(|field| field.split_once('='));
    fields.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
}

#[test]
fn a_killed_client_is_gone_at_once_and_executes_nothing_more() {
    let server = start(TWO_WORKERS);
    let mut killer = connect(&server);
    for _ in 0..20 {
        let mut victim = connect(&server);
        let victim_id = id(&mut victim);
        let killed = killer.must(&["CLIENT", "KILL", "ID", &victim_id]).unwrap();
        assert_eq!(killed, Value::Int(1));
        assert_eq!(field(&mut killer, &victim_id, "id"), None, "still listed");
        victim.cmd(&["SET", "by-the-dead", "1"]).unwrap_err();
    }
    assert_eq!(killer.must(&["EXISTS", "by-the-dead"]).unwrap(), Value::Int(0));
}

#[test]
fn a_client_that_kills_itself_is_answered_first() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    let own_id = id(&mut client);
    let spared = client.must(&["CLIENT", "KILL", "ID", &own_id]).unwrap();
    assert_eq!(spared, Value::Int(0));
    let killed = client.must(&["CLIENT", "KILL", "ID", &own_id, "SKIPME", "no"]).unwrap();
    assert_eq!(killed, Value::Int(1));
    assert!(client.is_closed_by_peer().unwrap());
}

#[test]
fn a_pause_holds_writes_back_until_it_is_ended() {
    let server = start(TWO_WORKERS);
    let (mut pauser, mut writer) = (connect(&server), connect(&server));
    let writer_id = id(&mut writer);
    pauser.must(&["CLIENT", "PAUSE", "1000000", "WRITE"]).unwrap();
    assert_eq!(writer.must(&["EXISTS", "k"]).unwrap(), Value::Int(0), "reads go on");
    writer.send(&["SET", "k", "v"]).unwrap();
    eventually("the writer is held back", || {
        field(&mut pauser, &writer_id, "flags").as_deref() == Some("b")
    });
    assert_eq!(pauser.must(&["EXISTS", "k"]).unwrap(), Value::Int(0));
    pauser.must(&["CLIENT", "UNPAUSE"]).unwrap();
    assert_eq!(writer.reply().unwrap(), Value::Simple(b"OK".to_vec()));
    assert_eq!(field(&mut pauser, &writer_id, "flags").as_deref(), Some("N"));
}

#[test]
fn a_pause_ends_by_itself() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    let began = Instant::now();
    client.must(&["CLIENT", "PAUSE", "150"]).unwrap();
    client.must(&["PING"]).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(140), "not held back");
}

#[test]
fn replies_are_switched_off_and_on() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    let silent = [
        &["CLIENT", "REPLY", "SKIP"][..],
        &["ECHO", "skipped"],
        &["ECHO", "one"],
        &["CLIENT", "REPLY", "OFF"],
        &["ECHO", "off"],
        &["NOSUCH"],
        &["CLIENT", "REPLY", "SKIP"],
        &["CLIENT", "REPLY", "ON"],
        &["ECHO", "two"],
        &["CLIENT", "REPLY", "SKIP"],
        &["RESET"],
        &["ECHO", "three"],
        &["CLIENT", "REPLY", "OFF"],
        &["RESET"],
    ];
    silent.iter().for_each(|words| client.send(words).unwrap());
    assert_eq!(client.reply().unwrap(), Value::Bulk(b"one".to_vec()));
    assert_eq!(client.reply().unwrap(), Value::Simple(b"OK".to_vec()));
    assert_eq!(client.reply().unwrap(), Value::Bulk(b"two".to_vec()));
    assert_eq!(client.reply().unwrap(), Value::Bulk(b"three".to_vec()));
    assert_eq!(client.reply().unwrap(), Value::Simple(b"RESET".to_vec()));
}

#[test]
fn a_new_password_shuts_out_new_clients_only() {
    let server = start(TWO_WORKERS);
    let mut old = connect(&server);
    old.must(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    old.must(&["PING"]).unwrap();
    let mut new = connect(&server);
    let refused = |reply: Value| matches!(reply, Value::Error(text) if text.starts_with(b"NOAUTH"));
    assert!(refused(new.cmd(&["PING"]).unwrap()));
    assert!(refused(new.cmd(&["HELLO", "3"]).unwrap()));
    new.must(&["AUTH", "secret"]).unwrap();
    new.must(&["PING"]).unwrap();
    new.must(&["RESET"]).unwrap();
    assert!(refused(new.cmd(&["PING"]).unwrap()));
    new.must(&["HELLO", "3", "AUTH", "default", "secret"]).unwrap();
    new.must(&["PING"]).unwrap();
}

#[test]
fn secrets_are_shown_to_nobody() {
    let server = start(TWO_WORKERS);
    let (mut monitor, mut client) = (connect(&server), connect(&server));
    client.must(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]).unwrap();
    monitor.must(&["MONITOR"]).unwrap();
    client.must(&["AUTH", "default", "hidden1"]).unwrap();
    client.must(&["HELLO", "2", "AUTH", "default", "hidden2", "SETNAME", "shown"]).unwrap();
    client.must(&["CONFIG", "SET", "requirepass", "hidden3", "timeout", "0"]).unwrap();
    client.must(&["ECHO", "end"]).unwrap();
    let mut seen = String::new();
    while !seen.contains("end") {
        seen += &monitor.reply().unwrap().pretty();
    }
    seen += &client.must(&["SLOWLOG", "GET"]).unwrap().pretty();
    assert!(seen.contains("shown") && seen.contains("(redacted)"), "{seen}");
    assert!(!seen.contains("hidden"), "{seen}");
}

#[test]
fn http_is_cut_off_before_its_body_runs() {
    let server = start(TWO_WORKERS);
    let mut control = connect(&server);
    let injected = "SET injected 1\r\n";
    for request in [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "post x\r\n",
        "HOST:\r\n",
        "*1\r\n$4\r\nPOST\r\n",
        "PING\r\nPOST x\r\n",
        "MULTI\r\nHost: x\r\n",
        "CLIENT REPLY OFF\r\nPOST x\r\n",
        "WAIT 1 10\r\nPOST x\r\n",
    ] {
        let mut browser = TcpStream::connect(server.addr()).unwrap();
        browser.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        browser.write_all(format!("{request}{injected}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A close with unread input arrives as a reset.
        let end = browser.read_to_end(&mut answer).map_err(|error| error.kind());
        assert!(matches!(end, Ok(_) | Err(ErrorKind::ConnectionReset)), "{request:?}: {end:?}");
        assert!(!answer.ends_with(b"+OK\r\n"), "{request:?}: {}", answer.escape_ascii());
        assert_eq!(control.must(&["EXISTS", "injected"]).unwrap(), Value::Int(0), "{request:?}");
    }
    assert_eq!(server.log().matches("Possible SECURITY ATTACK detected").count(), 1);
    // A similar command does not exist.
    for words in [&["POSTS"][..], &["Host:x", "y"], &["PUT", "/"]] {
        let refused = control.cmd(words).unwrap();
        assert!(matches!(&refused, Value::Error(text) if text.starts_with(b"ERR unknown command")));
    }
    control.must(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    let mut stranger = connect(&server);
    stranger.send_raw(b"POST x\r\nPING\r\n").unwrap();
    assert!(stranger.is_closed_by_peer().unwrap(), "before it could have authenticated");
}

#[test]
fn an_inline_command_may_be_longer_than_its_limit_where_it_ends() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    // The connection is closed by the read that exceeds the limit of 64 KB, wherever the kernel
    // splits.
    let value = "v".repeat(65_532);
    client.send_raw(format!("SET k {value}\r\n").as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap(), Value::Simple(b"OK".to_vec()));
    assert_eq!(client.must(&["GET", "k"]).unwrap(), Value::Bulk(value.into_bytes()));
    client.send_raw("v".repeat(65_537).as_bytes()).unwrap();
    let refused = client.recv_raw(100).unwrap();
    assert_eq!(refused, b"-ERR Protocol error: too big inline request\r\n");
}

#[test]
fn a_stranger_that_never_reads_is_closed() {
    let server = start(&[]);
    connect(&server).must(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    let mut stranger = TcpStream::connect(server.addr()).unwrap();
    stranger.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let batch = b"PING\r\n".repeat(10_000);
    // 2000 unread batches, 120 MB, fit no socket, nor do the replies to a tenth of them.
    let error = (0..2000).find_map(|_| stranger.write_all(&batch).err());
    let kind = error.map(|error| error.kind());
    let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kind.is_some_and(|kind| closed.contains(&kind)), "{kind:?}");
}

#[test]
fn with_the_memory_used_up_nothing_is_added_but_all_can_be_read_and_deleted() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    client.must(&["SET", "old", "1"]).unwrap();
    client.must(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let refused = client.cmd(&["SET", "new", "1"]).unwrap();
    let text = "OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(refused, Value::Error(text.into()));
    assert_eq!(client.must(&["GET", "old"]).unwrap(), Value::Bulk(b"1".to_vec()));
    assert_eq!(client.must(&["DEL", "old"]).unwrap(), Value::Int(1));
    client.must(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    client.must(&["SET", "new", "1"]).unwrap();
}

#[test]
fn buffers_of_replies_are_fitted_as_debug_says() {
    let server = start(&["--enable-debug-command", "yes"]);
    let (mut control, mut reader) = (connect(&server), connect(&server));
    let reader_id = id(&mut reader);
    let room = |control: &mut Client| -> usize {
        field(control, &reader_id, "rbs").unwrap().parse().unwrap()
    };
    control.must(&["SET", "k", &"x".repeat(30_000)]).unwrap();
    control.must(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "NEVER"]).unwrap();
    reader.must(&["GET", "k"]).unwrap();
    eventually("the reader is idle and was visited", || {
        field(&mut control, &reader_id, "qbuf-free").is_some_and(|bytes| bytes == "0")
    });
    assert!(room(&mut control) >= 30_000, "{}", room(&mut control));
    control.must(&["DEBUG", "REPLYBUFFER", "RESIZING", "0"]).unwrap();
    control.must(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "10"]).unwrap();
    eventually("the peak is forgotten", || {
        field(&mut control, &reader_id, "rbp").is_some_and(|peak| peak == "0")
    });
    assert!(room(&mut control) >= 30_000, "{}", room(&mut control));
    control.must(&["DEBUG", "REPLYBUFFER", "RESIZING", "1"]).unwrap();
    eventually("the buffer is given back", || room(&mut control) < 1000);
}

#[test]
fn replies_show_as_a_list_where_that_is_enforced() {
    let server = start(&["--enable-debug-command", "yes", "--requirepass", "secret"]);
    let (mut control, mut other) = (connect(&server), connect(&server));
    control.must(&["AUTH", "secret"]).unwrap();
    other.must(&["AUTH", "secret"]).unwrap();
    other.must(&["RESET"]).unwrap();
    control.must(&["DEBUG", "CLIENT-ENFORCE-REPLY-LIST", "1"]).unwrap();
    // Any reply now exceeds the limit of an unauthenticated client; one that has authenticated is
    // exempt.
    let refused = other.cmd(&["GET", "k"]).unwrap().pretty();
    assert_eq!(refused, "-NOAUTH Authentication required.");
    let mut stranger = connect(&server);
    stranger.send(&["GET", "k"]).unwrap();
    assert!(stranger.is_closed_by_peer().unwrap());
    control.must(&["DEBUG", "CLIENT-ENFORCE-REPLY-LIST", "0"]).unwrap();
    let mut stranger = connect(&server);
    assert_eq!(stranger.cmd(&["GET", "k"]).unwrap().pretty(), "-NOAUTH Authentication required.");
}

fn info(client: &mut Client, name: &str) -> String {
    let Value::Bulk(text) = client.must(&["INFO", "everything"]).unwrap() else { panic!("bulk") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {name}")).to_owned()
}

#[test]
fn a_replica_that_asks_for_data_is_closed() {
    let server = start(&["--repl-diskless-sync-delay", "0"]);
    let (mut control, mut replica) = (connect(&server), connect(&server));
    let begun = replica.cmd(&["PSYNC", "?", "-1"]).unwrap().pretty();
    assert!(begun.starts_with("+FULLRESYNC "), "{begun}");
    replica.send(&["GET", "k"]).unwrap();
    eventually("it is closed", || info(&mut control, "connected_slaves") == "0");
    let log = server.log();
    let critical = "== CRITICAL == This primary is sending an error to its replica: '-ERR Replica \
                    can't interact with the keyspace' after processing the command 'get'";
    assert!(log.contains(critical), "{log}");
    assert!(log.contains("Replica generated a reply to command 'get', disconnecting it"), "{log}");
    assert_eq!(info(&mut control, "unexpected_error_replies"), "1");
}

#[test]
fn a_snapshot_that_no_replica_waits_for_is_given_up() {
    let server = start(&["--repl-diskless-sync", "no", "--rdb-key-save-delay", "10000000"]);
    let mut control = connect(&server);
    for key in ["a", "b", "c"] {
        control.must(&["SET", key, "v"]).unwrap();
    }
    for save_points in ["", "900 1"] {
        control.must(&["CONFIG", "SET", "save", save_points]).unwrap();
        let mut replicas = [connect(&server), connect(&server)];
        for replica in &mut replicas {
            assert!(replica.cmd(&["PSYNC", "?", "-1"]).unwrap().pretty().starts_with("+FULL"));
        }
        let [first, second] = replicas;
        drop(first);
        eventually("one is gone", || info(&mut control, "connected_slaves") == "1");
        assert_eq!(info(&mut control, "rdb_bgsave_in_progress"), "1", "the other waits for it");
        drop(second);
        eventually("both are gone", || info(&mut control, "connected_slaves") == "0");
        if save_points.is_empty() {
            eventually("it is given up", || info(&mut control, "rdb_bgsave_in_progress") == "0");
        } else {
            assert_eq!(info(&mut control, "rdb_bgsave_in_progress"), "1");
        }
    }
}

/// It has made room for another one by then, and no list shows it.
#[test]
fn a_connection_that_is_seen_closed_is_not_counted_any_more() {
    let server = start(&["--worker-threads", "4"]);
    let mut control = connect(&server);
    for round in 0..300 {
        let mut other = connect(&server);
        assert_eq!(other.cmd(&["QUIT"]).unwrap().pretty(), "+OK");
        assert!(other.is_closed_by_peer().unwrap());
        let list = control.cmd(&["CLIENT", "LIST"]).unwrap().pretty();
        assert_eq!(list.matches(" laddr=").count(), 1, "round {round}: {list}");
    }
}
