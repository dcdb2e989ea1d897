//! Many clients, and clients that behave badly.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use redix_testkit::{Client, Server};

use crate::{connect, eventually, start};

/// Connections of the test with many of them, if the system allows so many.
const MANY: usize = 10_000;
/// Descriptors that the test itself needs besides.
const OTHER_FILES: usize = 200;
/// Bytes of resident memory that an idle connection may cost.
const IDLE_BYTES_MAX: u64 = 10 * 1024;

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
    let mut client = connect(&server);
    assert_eq!(info(&mut client, "connected_clients"), count as i64 + 1);
    eventually("idle connections give their buffers back", || {
        let grown_kb = server.rss_kb().unwrap().saturating_sub(before_kb);
        grown_kb * 1024 / (count as u64) < IDLE_BYTES_MAX
    });
    drop(streams);
    eventually("all are gone", || info(&mut client, "connected_clients") == 1);
}

/// Asks for far more than the socket takes, without reading any of it, until the server closes or
/// stops reading.
fn ask_without_reading(server: &Server) -> TcpStream {
    let mut client = connect(server);
    assert_eq!(client.cmd(&["SET", "k", &"x".repeat(100_000)]).unwrap().pretty(), "+OK");
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let batch = b"GET k\r\n".repeat(10_000);
    for _ in 0..200 {
        if let Err(error) = stream.write_all(&batch) {
            let full = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            let closed = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            assert!(full || closed, "{error}");
            return stream;
        }
    }
    panic!("14 MB of requests were taken from a client that reads nothing");
}

#[test]
fn a_client_that_never_reads_costs_little_memory_and_no_time() {
    let server = start(&[]);
    let before_kb = server.rss_kb().unwrap();
    let stream = ask_without_reading(&server);
    let grown_kb = server.rss_kb().unwrap().saturating_sub(before_kb);
    assert!(grown_kb < 32 * 1024, "{grown_kb} KiB for a client that reads nothing");
    // The server serves others, and this one needs none of its time.
    let mut client = connect(&server);
    let before = server.cpu_time().unwrap().total();
    let window = std::time::Instant::now();
    while window.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    }
    let used = server.cpu_time().unwrap().total() - before;
    assert!(used < Duration::from_millis(200), "{used:?} in half a second");
    drop(stream);
}

#[test]
fn a_client_that_reads_late_gets_every_reply() {
    let server = start(&[]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["SET", "k", &"x".repeat(1000)]).unwrap().pretty(), "+OK");
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    const COUNT: usize = 20_000;
    // The writer blocks as soon as the server stops reading; the reader then sets it free.
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
    // It may be closed while this is under way.
    stream.write_all(&vec![b'x'; 4 << 20]).ok();
    eventually("the client is closed", || {
        server.log().contains("Closing client that reached max query buffer length")
    });
    assert_eq!(info(&mut connect(&server), "client_query_buffer_limit_disconnections"), 1);
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
    let mut first = connect(&server);
    // The kit's probe may still count for a moment.
    let mut second = None;
    eventually("two clients are in", || {
        let mut client = connect(&server);
        let is_in = client.cmd(&["PING"]).is_ok_and(|reply| reply.pretty() == "+PONG");
        second = Some(client);
        is_in && first.cmd(&["PING"]).is_ok_and(|reply| reply.pretty() == "+PONG")
    });
    let mut third = connect(&server);
    assert_eq!(third.recv_raw(100).unwrap(), b"-ERR max number of clients reached\r\n");
    drop(second);
    assert!(info(&mut first, "rejected_connections") >= 1);
    eventually("the place is free again", || {
        connect(&server).cmd(&["PING"]).is_ok_and(|reply| reply.pretty() == "+PONG")
    });
}
