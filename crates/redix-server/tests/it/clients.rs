//! Many clients, and misbehaving clients.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use redix_resp::Value;
use redix_resp::request::encode_command;
use redix_testkit::{Client, Server};

use crate::{connect, eventually, start};

/// Connections of the test with many of them, if the system allows it.
const MANY: usize = 10_000;
/// File descriptors that the test itself needs besides.
const OTHER_FILES: usize = 200;
/// The most memory of an idle connection, in bytes.
const IDLE_BYTES_MAX: i64 = 3 * 1024;
/// The most resident memory of an idle connection, in bytes: an allocator returns pages late, so
/// the buffers of all connections may still be resident.
const RESIDENT_BYTES_MAX: u64 = 24 * 1024;

fn info(client: &mut Client, name: &str) -> i64 {
    let text = client.cmd(&["INFO", "everything"]).unwrap().pretty();
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {name}")).parse().unwrap()
}

#[test]
fn ten_thousand_idle_connections_are_cheap() {
    let limit = redix_server::sys::raise_file_limit((MANY + OTHER_FILES) as u64).unwrap() as usize;
    let count = MANY.min(limit - OTHER_FILES);
    if count < MANY {
        eprintln!("the limit of open files is {limit}: testing with {count} connections");
    }
    let server = start(&["--maxclients", &(MANY + 10).to_string(), "--tcp-backlog", "4096"]);
    let before_kb = server.rss_kb().unwrap();
    let mut client = connect(&server);
    let before = info(&mut client, "used_memory");
    let mut streams: Vec<TcpStream> =
        (0..count).map(|_| TcpStream::connect(server.addr()).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(b"PING\r\n").unwrap();
    }
    let mut reply = [0; 7];
    for stream in &mut streams {
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"+PONG\r\n");
    }
    assert_eq!(info(&mut client, "connected_clients"), count as i64 + 1);
    let mut held = 0;
    eventually("idle connections give their buffers back", || {
        held = (info(&mut client, "used_memory") - before) / count as i64;
        held < IDLE_BYTES_MAX
    });
    let resident = server.rss_kb().unwrap().saturating_sub(before_kb) * 1024 / count as u64;
    eprintln!("{count} idle connections: {held} bytes held, {resident} resident, each");
    assert!(resident < RESIDENT_BYTES_MAX, "{resident} resident bytes for each connection");
    drop(streams);
    eventually("all are gone", || info(&mut client, "connected_clients") == 1);
}

/// Requests far more than the socket holds, without reading, until the server closes.
fn ask_without_reading(server: &Server) -> TcpStream {
    let mut client = connect(server);
    assert_eq!(client.cmd(&["SET", "k", &"x".repeat(100_000)]).unwrap().pretty(), "+OK");
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let batch = b"GET k\r\n".repeat(10_000);
    for _ in 0..200 {
        if let Err(error) = stream.write_all(&batch) {
            let closed = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            assert!(closed, "{error}");
            return stream;
        }
    }
    panic!("14 MB of requests were taken from a client that reads nothing");
}

/// Sends a whole pipeline before reading, and returns up to `expected` bytes of replies.
fn write_then_read(stream: &mut (impl Read + Write), pipeline: &[u8], expected: usize) -> Vec<u8> {
    stream.write_all(pipeline).expect("the server goes on reading");
    let mut replies = vec![0; expected];
    stream.read_exact(&mut replies).expect("every reply comes");
    replies
}

/// Pipelines that exceed socket buffers and those of one turn, with their replies.
fn check_write_before_read(stream: &mut (impl Read + Write)) {
    let large = vec![b'x'; 32 << 20];
    let (mut set, mut get_and_set) = (Vec::new(), b"GET large\r\n".to_vec());
    encode_command(&mut set, &[b"SET".as_slice(), b"large", &large]);
    encode_command(&mut get_and_set, &[b"SET".as_slice(), b"other", &large]);
    assert_eq!(write_then_read(stream, &set, 5), b"+OK\r\n");
    let frame = format!("${}\r\n", large.len());
    let replies = write_then_read(stream, &get_and_set, frame.len() + large.len() + 2 + 5);
    assert!(replies.starts_with(frame.as_bytes()) && replies.ends_with(b"x\r\n+OK\r\n"));

    let counts = 300_000;
    let expected: String = (1..=counts).map(|n| format!(":{n}\r\n")).collect();
    let replies = write_then_read(stream, &b"INCR n\r\n".repeat(counts), expected.len());
    assert_eq!(replies, expected.as_bytes());

    // The same after a blocked command.
    let mut blocked = b"WAIT 1 200\r\n".to_vec();
    blocked.extend(b"PING\r\n".repeat(counts));
    let replies = write_then_read(stream, &blocked, 4 + 7 * counts);
    assert!(replies.starts_with(b":0\r\n+PONG") && replies.ends_with(b"+PONG\r\n"));

    // And after a paused one.
    let paused = b"CLIENT PAUSE 200 WRITE\r\n".to_vec();
    let held = [paused, b"SET a 1\r\n".repeat(counts)].concat();
    assert!(write_then_read(stream, &held, 5 + 5 * counts).ends_with(b"+OK\r\n"));
}

#[test]
fn a_client_may_write_everything_before_it_reads() {
    let server = start(&["--unixsocket", "s", "--worker-threads", "1"]);
    let limit = Some(Duration::from_secs(30));
    let mut tcp = TcpStream::connect(server.addr()).unwrap();
    tcp.set_write_timeout(limit).unwrap();
    tcp.set_read_timeout(limit).unwrap();
    check_write_before_read(&mut tcp);
    let mut control = connect(&server);
    assert_eq!(control.cmd(&["FLUSHALL"]).unwrap().pretty(), "+OK");
    let mut unix = UnixStream::connect(server.dir().join("s")).unwrap();
    unix.set_write_timeout(limit).unwrap();
    unix.set_read_timeout(limit).unwrap();
    check_write_before_read(&mut unix);
}

#[test]
fn a_client_that_never_reads_costs_what_it_is_owed_and_no_time() {
    const OWED: usize = 400;
    let server = start(&["--worker-threads", "1"]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["SET", "k", &"x".repeat(100_000)]).unwrap().pretty(), "+OK");
    let before_kb = server.rss_kb().unwrap();
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(&b"GET k\r\n".repeat(OWED)).unwrap();
    eventually("all is executed", || info(&mut client, "keyspace_hits") >= OWED as i64);
    let grown_kb = server.rss_kb().unwrap().saturating_sub(before_kb) as usize;
    // Plus the buffer of one turn.
    let owed_kb = OWED * 100_000 / 1024;
    assert!(grown_kb < owed_kb * 5 / 4 + 16 * 1024, "{grown_kb} KiB for what is owed");
    // The server serves others, and spends no time on this one.
    let before = server.cpu_time().unwrap().total();
    let window = std::time::Instant::now();
    while window.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    }
    let used = server.cpu_time().unwrap().total() - before;
    assert!(used < Duration::from_millis(200), "{used:?} in half a second");
    let mut replies = vec![0; OWED * ("$100000\r\n".len() + 100_000 + 2)];
    stream.read_exact(&mut replies).unwrap();
    assert!(replies.ends_with(b"xx\r\n"));
    let owed = |client: &mut Client| info(client, "mem_clients_normal");
    eventually("the memory is given back", || owed(&mut client) < 4 << 20);
}

#[test]
fn a_client_that_reads_late_gets_every_reply() {
    let server = start(&[]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["SET", "k", &"x".repeat(1000)]).unwrap().pretty(), "+OK");
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    const COUNT: usize = 20_000;
    // The writer blocks when the server stops reading; the reader then unblocks it.
    let writer = std::thread::spawn(move || stream.write_all(&b"GET k\r\n".repeat(COUNT)).unwrap());
    let mut replies = vec![0; COUNT * "$1000\r\n".len() + COUNT * (1000 + 2)];
    reader.read_exact(&mut replies).unwrap();
    writer.join().unwrap();
    assert!(replies.ends_with(b"xx\r\n"));
}

#[test]
fn the_output_limit_closes_a_client_that_never_reads() {
    let server = start(&["--client-output-buffer-limit", "normal", "500000", "0", "0"]);
    let _stream = ask_without_reading(&server);
    let mut client = connect(&server);
    eventually("the client is closed", || {
        server.log().contains("closed for overcoming of output buffer limits")
    });
    assert_eq!(info(&mut client, "client_output_buffer_limit_disconnections"), 1);
}

#[test]
fn the_output_limit_holds_for_one_that_reads_too() {
    let server = start(&["--client-output-buffer-limit", "normal", "100000", "0", "0"]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["SET", "k", &"x".repeat(90_000)]).unwrap().pretty(), "+OK");
    assert_eq!(client.cmd(&["STRLEN", "k"]).unwrap().pretty(), "(integer) 90000");
    client.cmd(&["GET", "k"]).unwrap();
    client.send_raw(b"GET k\r\nGET k\r\n").unwrap();
    assert!(client.is_closed_by_peer().unwrap(), "180000 bytes were owed at once");
    let mut client = connect(&server);
    assert_eq!(info(&mut client, "client_output_buffer_limit_disconnections"), 1);
    // The real servers do not limit what fits the fixed buffer.
    let small = ["CONFIG", "SET", "client-output-buffer-limit", "normal 10 0 0"];
    assert_eq!(client.cmd(&small).unwrap().pretty(), "+OK");
    assert_eq!(client.cmd(&["PING", &"x".repeat(1000)]).unwrap().pretty().len(), 1002);
}

#[test]
fn the_output_limit_ends_replies_that_repeat_themselves() {
    let server = start(&["--client-output-buffer-limit", "normal", "1000000", "0", "0"]);
    let mut client = connect(&server);
    for write in [&["HSET", "h", "a", "b"][..], &["SADD", "s", "a"], &["ZADD", "z", "1", "a"]] {
        assert_eq!(client.cmd(write).unwrap().pretty(), "(integer) 1");
    }
    let repeating = ["HRANDFIELD h", "SRANDMEMBER s", "ZRANDMEMBER z"];
    for command in repeating {
        let mut asking = connect(&server);
        asking.send_raw(format!("{command} -999999999\r\n").as_bytes()).unwrap();
        assert!(asking.is_closed_by_peer().unwrap(), "{command}: billions of bytes");
    }
    assert_eq!(info(&mut client, "client_output_buffer_limit_disconnections"), 3);
    // Neither do they go on where the client has a limit of its own only once it listens.
    let mut asking = connect(&server);
    asking.send_raw(b"ZRANDMEMBER z -999999999\r\nSUBSCRIBE ch\r\n").unwrap();
    assert!(asking.is_closed_by_peer().unwrap());
    let unlimited = ["CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0"];
    assert_eq!(client.cmd(&unlimited).unwrap().pretty(), "+OK");
    for command in repeating {
        let words: Vec<&str> = command.split(' ').chain(["-999999999"]).collect();
        assert_eq!(client.cmd(&words).unwrap().pretty(), "-ERR value is out of range");
    }
}

#[test]
fn the_soft_limit_closes_after_its_time() {
    let server = start(&["--client-output-buffer-limit", "normal", "0", "500000", "1"]);
    let _stream = ask_without_reading(&server);
    eventually("the client is closed", || {
        server.log().contains("closed for overcoming of output buffer limits")
    });
}

#[test]
fn the_query_limit_closes_a_client_that_sends_too_much() {
    let server = start(&["--client-query-buffer-limit", "1mb"]);
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(b"*2\r\n$3\r\nGET\r\n$20000000\r\n").unwrap();
    // Ignored: the connection may be closed meanwhile.
    stream.write_all(&vec![b'x'; 4 << 20]).ok();
    eventually("the client is closed", || {
        server.log().contains("Closing client that reached max query buffer length")
    });
    assert_eq!(info(&mut connect(&server), "client_query_buffer_limit_disconnections"), 1);
}

/// Bytes in the query buffer of the client called `name`, and its capacity.
fn query_buffer(client: &mut Client, name: &str) -> (usize, usize) {
    let list = client.cmd(&["CLIENT", "LIST"]).unwrap().pretty();
    let line = list.split("\\n").find(|line| line.contains(&format!("name={name} "))).unwrap();
    let field = |name: &str| -> usize {
        let value = line.split(' ').find_map(|field| field.strip_prefix(name)).unwrap();
        value.parse().unwrap()
    };
    (field("qbuf="), field("qbuf=") + field("qbuf-free="))
}

#[test]
fn only_a_client_with_something_pending_has_a_query_buffer() {
    let server = start(&["--hz", "100"]);
    let (mut client, mut other) = (connect(&server), connect(&server));
    assert_eq!(other.cmd(&["CLIENT", "SETNAME", "other"]).unwrap().pretty(), "+OK");
    assert_eq!(query_buffer(&mut client, "other"), (0, 0));
    other.send_raw(b"*1\r\n$4\r\nPI").unwrap();
    // Of the 10 bytes, 8 need not be parsed again.
    eventually("it has one", || query_buffer(&mut client, "other") == (2, 16376));
    other.send_raw(b"NG\r\n").unwrap();
    assert_eq!(other.reply().unwrap().pretty(), "+PONG");
    let (pending, whole) = query_buffer(&mut client, "other");
    assert_eq!(pending, 0);
    assert!((16384..32768).contains(&whole), "it may do so again: {whole}");
    eventually("it is freed", || query_buffer(&mut client, "other") == (0, 0));

    let value = "x".repeat(400_000);
    assert_eq!(other.cmd(&["SET", "k", &value]).unwrap().pretty(), "+OK");
    // The value keeps the buffer that it was received in.
    assert!(query_buffer(&mut client, "other").1 < 100_000);
    eventually("it has one for small commands", || {
        assert_eq!(other.cmd(&["PING"]).unwrap().pretty(), "+PONG");
        query_buffer(&mut client, "other").1 < 32768
    });
}

#[test]
fn an_announced_argument_that_does_not_come_holds_no_memory() {
    let server = start(&[]);
    let (mut client, mut slow) = (connect(&server), connect(&server));
    assert_eq!(slow.cmd(&["CLIENT", "SETNAME", "slow"]).unwrap().pretty(), "+OK");
    let header = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000000\r\n";
    slow.send_raw(header).unwrap();
    let buffer = |client: &mut Client| query_buffer(client, "slow");
    // The first byte makes the server reserve the rest.
    slow.send_raw(b"x").unwrap();
    eventually("there is room", || buffer(&mut client).1 >= 1_000_000);
    eventually("the room is given back", || buffer(&mut client).1 < 1000);
    slow.send_raw(&b"x".repeat(999_999)).unwrap();
    slow.send_raw(b"\r\n").unwrap();
    assert_eq!(slow.reply().unwrap().pretty(), "+OK");
    assert_eq!(client.cmd(&["STRLEN", "a"]).unwrap().pretty(), "(integer) 1000000");
}

#[test]
fn a_large_value_takes_its_own_memory_and_gives_it_back() {
    const LARGE: usize = 128 << 20;
    const KEYS: usize = 100;
    let server = start(&["--worker-threads", "2"]);
    let mut client = connect(&server);
    let mut request = Vec::new();
    encode_command(&mut request, &[b"SET".as_slice(), b"large", &vec![b'v'; LARGE]]);
    let before = info(&mut client, "used_memory") as usize;
    let before_kb = server.rss_kb().unwrap() as usize;
    client.send_raw(&request).unwrap();
    assert_eq!(client.reply().unwrap().pretty(), "+OK");
    let used = info(&mut client, "used_memory") as usize - before;
    assert!((LARGE..LARGE + (1 << 20)).contains(&used), "{used} bytes for {LARGE}");
    let grown_kb = server.rss_kb().unwrap() as usize - before_kb;
    assert!(grown_kb < LARGE / 1024 * 5 / 4, "{grown_kb} KiB resident for {LARGE} bytes");

    for key in 0..KEYS {
        request.clear();
        let key = format!("k{key}");
        encode_command(&mut request, &[b"SET".as_slice(), key.as_bytes(), &vec![b'v'; 1 << 20]]);
        client.send_raw(&request).unwrap();
        assert_eq!(client.reply().unwrap().pretty(), "+OK");
    }
    assert!(server.rss_kb().unwrap() as usize > before_kb + (LARGE + (KEYS << 20)) / 1024);
    assert_eq!(client.cmd(&["FLUSHALL"]).unwrap().pretty(), "+OK");
    eventually("an idle server gives memory back", || {
        (server.rss_kb().unwrap() as usize) < before_kb + 32 * 1024
    });
}

#[test]
fn a_reply_is_skipped_although_its_command_had_to_wait() {
    let server = start(&["--worker-threads", "1"]);
    let (mut client, mut other) = (connect(&server), connect(&server));
    assert_eq!(other.cmd(&["CLIENT", "PAUSE", "100000", "WRITE"]).unwrap().pretty(), "+OK");
    client.send_raw(b"PING\r\nCLIENT REPLY SKIP\r\nSET k v\r\nGET k\r\n").unwrap();
    assert_eq!(client.reply().unwrap().pretty(), "+PONG");
    eventually("it waits", || {
        let list = other.cmd(&["CLIENT", "LIST"]).unwrap().pretty();
        list.contains("flags=b")
    });
    assert_eq!(other.cmd(&["CLIENT", "UNPAUSE"]).unwrap().pretty(), "+OK");
    assert_eq!(client.reply().unwrap().pretty(), "\"v\"");
}

#[test]
fn a_worker_polls_after_commands_unless_told_not_to() {
    let server = start(&["--worker-threads", "1"]);
    let mut client = connect(&server);
    client.must(&["PING"]).unwrap();
    assert!(info(&mut client, "eventloop_polls") > 0);
    client.must(&["CONFIG", "SET", "busy-poll-max-us", "0"]).unwrap();
    let polls = info(&mut client, "eventloop_polls");
    let sleeps = info(&mut client, "eventloop_sleeps");
    // Each reply is awaited: the worker has nothing else to do.
    eventually("it sleeps", || {
        client.must(&["PING"]).unwrap();
        info(&mut client, "eventloop_sleeps") > sleeps + 10
    });
    assert_eq!(info(&mut client, "eventloop_polls"), polls);
}

#[test]
fn turns_of_event_loops_are_measured() {
    let server = start(&["--hz", "100", "--worker-threads", "1"]);
    let mut client = connect(&server);
    let (before, mut asked) = (info(&mut client, "eventloop_cycles"), 0);
    eventually("turns without commands count", || {
        asked += 1;
        info(&mut client, "eventloop_cycles") > before + asked + 10
    });
    let mut debug = |name: &str| -> i64 {
        let text = client.cmd(&["INFO", "debug"]).unwrap().pretty();
        let field =
            text.split("\\r\\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        field.unwrap().parse().unwrap()
    };
    assert!(debug("eventloop_duration_cron_sum") > 0);
    assert!(debug("eventloop_duration_max") > 0);
    let mut other = connect(&server);
    eventually("commands of one turn are counted", || {
        other.send_raw(&b"PING\r\n".repeat(50)).unwrap();
        (0..50).for_each(|_| assert_eq!(other.reply().unwrap().pretty(), "+PONG"));
        debug("eventloop_cmd_per_cycle_max") == 50
    });
}

#[test]
fn idle_clients_are_closed_after_the_timeout() {
    let server = start(&["--timeout", "1"]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    assert!(client.is_closed_by_peer().unwrap());
}

#[test]
fn too_many_clients_are_told_so() {
    let server = start(&["--maxclients", "2"]);
    // Recent connections of the test tools may still count for a moment.
    let mut pair = None;
    eventually("two clients are in", || {
        pair = None;
        let mut clients = (connect(&server), connect(&server));
        let is_in = |client: &mut Client| {
            client.cmd(&["PING"]).is_ok_and(|reply| reply.pretty() == "+PONG")
        };
        let both = is_in(&mut clients.0) && is_in(&mut clients.1);
        pair = Some(clients);
        both
    });
    let (mut first, second) = pair.unwrap();
    let mut third = connect(&server);
    assert_eq!(third.recv_raw(100).unwrap(), b"-ERR max number of clients reached\r\n");
    drop(second);
    assert!(info(&mut first, "rejected_connections") >= 1);
    eventually("the place is free again", || {
        connect(&server).cmd(&["PING"]).is_ok_and(|reply| reply.pretty() == "+PONG")
    });
}

#[test]
fn commands_held_by_a_pause_run_when_it_ends() {
    let server = start(&["--worker-threads", "2"]);
    let mut control = connect(&server);
    let mut held = [connect(&server), connect(&server)];
    assert_eq!(control.cmd(&["CLIENT", "PAUSE", "300", "WRITE"]).unwrap().pretty(), "+OK");
    let began = std::time::Instant::now();
    for client in &mut held {
        assert_eq!(client.cmd(&["GET", "k"]).unwrap().pretty(), "(null)");
        client.send(&["SET", "k", "v"]).unwrap();
    }
    for client in &mut held {
        assert_eq!(client.reply().unwrap().pretty(), "+OK");
    }
    // The kernel's timers and the two clocks agree to within a few milliseconds.
    assert!(began.elapsed() >= Duration::from_millis(280), "{:?}", began.elapsed());

    assert_eq!(control.cmd(&["CLIENT", "PAUSE", "600000", "WRITE"]).unwrap().pretty(), "+OK");
    held.iter_mut().for_each(|client| client.send(&["SET", "k", "w"]).unwrap());
    assert_eq!(control.cmd(&["CLIENT", "UNPAUSE"]).unwrap().pretty(), "+OK");
    for client in &mut held {
        assert_eq!(client.reply().unwrap().pretty(), "+OK");
    }
}

#[test]
fn a_killed_client_executes_nothing_more() {
    let server = start(&[]);
    let mut victim = connect(&server);
    let id = victim.cmd(&["CLIENT", "ID"]).unwrap().pretty().replace("(integer) ", "");
    let mut killer = connect(&server);
    assert_eq!(killer.cmd(&["CLIENT", "KILL", "ID", &id]).unwrap().pretty(), "(integer) 1");
    // Whether the server or the kernel notices first, it gets no reply.
    victim.send(&["SET", "killed", "yes"]).ok();
    assert!(victim.reply().is_err());
    assert_eq!(killer.cmd(&["EXISTS", "killed"]).unwrap().pretty(), "(integer) 0");
}

#[test]
fn a_monitor_that_never_reads_is_closed_by_its_limit() {
    let server = start(&["--client-output-buffer-limit", "normal", "1000000", "0", "0"]);
    let mut monitor = connect(&server);
    assert_eq!(monitor.cmd(&["MONITOR"]).unwrap().pretty(), "+OK");
    let mut client = connect(&server);
    let value = "x".repeat(100_000);
    eventually("the monitor is closed", || {
        assert_eq!(client.cmd(&["SET", "k", &value]).unwrap().pretty(), "+OK");
        server.log().contains("closed for overcoming of output buffer limits")
    });
    assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
}

/// A number of INFO.
fn info_number(client: &mut Client, section: &str, field: &str) -> u64 {
    let Value::Bulk(text) = client.must(&["INFO", section]).unwrap() else { panic!("bulk") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).parse().unwrap()
}

fn list(client: &mut Client) -> String {
    let Value::Bulk(text) = client.must(&["CLIENT", "LIST"]).unwrap() else { panic!("bulk") };
    String::from_utf8(text).unwrap()
}

#[test]
fn peaks_are_known_although_nobody_looked() {
    const BIG: usize = 30_000_000;
    let server = start(&["--worker-threads", "2"]);
    let mut looker = connect(&server);
    let mut client = connect(&server);
    let value = vec![b'x'; BIG];
    client.must(&[b"SET".as_slice(), b"k", &value]).unwrap();
    client.must(&["DEL", "k"]).unwrap();
    // An incomplete command, which its worker checks often enough.
    let half = [format!("*2\r\n$4\r\nECHO\r\n${BIG}\r\n").as_bytes(), &value[..BIG / 2]].concat();
    client.send_raw(&half).unwrap();
    let waits = |line: &str| line.contains(" cmd=del ") && line.contains(" idle=3 ");
    eventually("it waits", || list(&mut looker).lines().any(waits));
    drop(client);
    eventually("it is gone", || list(&mut looker).lines().count() == 1);
    let input = info_number(&mut looker, "clients", "client_recent_max_input_buffer");
    assert!(input as usize >= BIG / 2, "{input}");
    let used = info_number(&mut looker, "memory", "used_memory") as usize;
    let peak = info_number(&mut looker, "memory", "used_memory_peak") as usize;
    assert!(used < BIG && peak >= BIG, "used {used}, at most {peak}");
    looker.must(&["CONFIG", "RESETSTAT"]).unwrap();
    assert_eq!(info_number(&mut looker, "memory", "used_memory_peak") as usize, peak);
}

/// Replies to commands sent one by one, as text; pushes in between are dropped.
fn answers(client: &mut Client, commands: &[&[&str]]) -> Vec<String> {
    let mut answers = Vec::new();
    for command in commands {
        let mut reply = client.cmd(command).unwrap().pretty();
        while reply.contains(" [0 127.0.0.1:") {
            reply = client.reply().unwrap().pretty();
        }
        answers.push(reply);
    }
    answers
}

#[test]
fn who_monitors_uses_no_keys_and_is_told_once() {
    let server = start(&[]);
    let mut monitor = connect(&server);
    let queued = answers(&mut monitor, &[&["MULTI"], &["MONITOR"], &["EXEC"]]);
    assert!(queued[2].contains("MONITOR isn't allowed for DENY BLOCKING client"), "{queued:?}");
    monitor.must(&["MONITOR"]).unwrap();
    // The second one gets no reply.
    monitor.send(&["MONITOR"]).unwrap();
    let refused = "-ERR Replica can't interact with the keyspace";
    let commands: [&[&str]; 9] = [
        &["PING"],
        &["GET", "k"],
        &["SET", "k", "v"],
        &["PUBLISH", "a", "b"],
        &["DBSIZE"],
        &["MULTI"],
        &["GET", "k"],
        &["DISCARD"],
        &["RESET"],
    ];
    let wanted = ["+PONG", refused, refused, refused, refused, "+OK", refused, "+OK", "+RESET"];
    assert_eq!(answers(&mut monitor, &commands), wanted);
    monitor.must(&["SET", "k", "v"]).unwrap();
}

#[test]
fn scripts_that_do_not_run_are_shown_to_monitors() {
    let server = start(&[]);
    let (mut monitor, mut other) = (connect(&server), connect(&server));
    monitor.must(&["MONITOR"]).unwrap();
    let commands: [&[&str]; 5] = [
        &["EVAL", "return (", "0"],
        &["EVAL", "return 1", "x"],
        &["EVALSHA", "x", "0"],
        &["EVAL", "#!perl\n", "0"],
        &["EVAL", "return redis.call('get', 'k')", "0"],
    ];
    answers(&mut other, &commands);
    let mut line = || {
        let Value::Simple(line) = monitor.reply().unwrap() else { panic!("status") };
        String::from_utf8(line).unwrap()
    };
    for command in commands {
        let (shown, first) = (line(), format!("\"{}\"", command[0]));
        assert!(shown.contains(&first), "{shown} for {command:?}");
    }
    assert!(line().ends_with("[0 lua] \"get\" \"k\""));
}

#[test]
fn a_refused_exec_is_shown_to_monitors() {
    let server = start(&[]);
    let (mut monitor, mut other) = (connect(&server), connect(&server));
    monitor.must(&["MONITOR"]).unwrap();
    let commands: [&[&str]; 5] = [&["MULTI"], &["NOSUCH"], &["EXEC", "x"], &["GET"], &["EXEC"]];
    let refused = &answers(&mut other, &commands)[2];
    assert!(refused.starts_with("-EXECABORT Transaction discarded because of: wrong number"));
    for shown in ["\"MULTI\"", "\"EXEC\" \"x\"", "\"EXEC\""] {
        let Value::Simple(line) = monitor.reply().unwrap() else { panic!("status") };
        let line = String::from_utf8(line).unwrap();
        assert!(line.ends_with(&format!("] {shown}")), "{line} for {shown}");
    }
}

#[test]
fn who_wants_no_replies_gets_no_lines_either() {
    let server = start(&["--worker-threads", "1"]);
    let (mut monitor, mut other) = (connect(&server), connect(&server));
    monitor.must(&["MONITOR"]).unwrap();
    monitor.send(&["CLIENT", "REPLY", "OFF"]).unwrap();
    eventually("it is silent", || {
        let Value::Bulk(text) = other.must(&["CLIENT", "LIST"]).unwrap() else { panic!("bulk") };
        String::from_utf8(text).unwrap().contains("cmd=client|reply")
    });
    other.must(&["ECHO", "hidden"]).unwrap();
    // The worker takes its mail before it reads on.
    other.must(&["TIME"]).unwrap();
    monitor.send(&["CLIENT", "REPLY", "ON"]).unwrap();
    assert_eq!(monitor.reply().unwrap().pretty(), "+OK");
    let Value::Simple(line) = monitor.reply().unwrap() else { panic!("status") };
    let line = String::from_utf8(line).unwrap();
    assert!(line.ends_with("\"CLIENT\" \"REPLY\" \"ON\""), "{line}");
}

#[test]
fn a_queued_look_at_oneself_is_part_of_exec() {
    let server = start(&[]);
    let mut client = connect(&server);
    for command in [&["MULTI"][..], &["CLIENT", "INFO"], &["CLIENT", "LIST"]] {
        client.must(command).unwrap();
    }
    let Value::Array(lines) = client.must(&["EXEC"]).unwrap() else { panic!("array") };
    for line in lines {
        assert!(line.pretty().contains(" cmd=exec "), "{}", line.pretty());
    }
}
