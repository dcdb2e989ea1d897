//! Byte sequences that no client library would send.

use crate::{connect, start};

/// Sends bytes to a new connection and returns everything that comes back until it is closed.
fn exchange_until_closed(server: &redix_testkit::Server, bytes: &[u8]) -> String {
    let mut client = connect(server);
    client.send_raw(bytes).unwrap();
    let reply = client.recv_raw(1 << 20).unwrap();
    assert!(client.is_closed_by_peer().unwrap());
    String::from_utf8(reply).unwrap()
}

#[test]
fn empty_and_negative_multibulks_are_passed_over() {
    let server = start(&[]);
    let mut client = connect(&server);
    client.send_raw(b"*0\r\n*-5\r\n\r\nPING\r\n").unwrap();
    assert_eq!(client.reply().unwrap().pretty(), "+PONG");
}

#[test]
fn a_bare_word_is_a_command() {
    let server = start(&[]);
    let mut client = connect(&server);
    client.send_raw(b"INFO\r\n").unwrap();
    assert!(client.reply().unwrap().pretty().contains("redis_version"));
}

#[test]
fn one_byte_per_packet_is_enough() {
    let server = start(&[]);
    let mut client = connect(&server);
    for byte in b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n" {
        client.send_raw(&[*byte]).unwrap();
    }
    assert_eq!(client.reply().unwrap().pretty(), "\"hi\"");
}

#[test]
fn a_protocol_error_closes_after_the_replies_before_it() {
    let server = start(&[]);
    let reply = exchange_until_closed(&server, b"PING\r\n*1\r\n$-7\r\nPING\r\nPING\r\n");
    assert_eq!(reply, "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
    let reply = exchange_until_closed(&server, b"PING\r\n*x\r\nPING\r\n");
    assert_eq!(reply, "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n");
}

#[test]
fn quit_is_the_last_command() {
    let server = start(&[]);
    let reply = exchange_until_closed(&server, b"PING\r\nQUIT\r\nPING\r\n");
    assert_eq!(reply, "+PONG\r\n+OK\r\n");
}

#[test]
fn what_was_asked_before_the_end_of_input_is_answered() {
    let server = start(&[]);
    let mut client = connect(&server);
    let value = "x".repeat(100_000);
    assert_eq!(client.cmd(&["SET", "k", &value]).unwrap().pretty(), "+OK");
    // More than the socket's buffers hold, so that the end is read before the replies are sent.
    client.send_raw(b"GET k\r\n".repeat(200).as_slice()).unwrap();
    client.finish_sending().unwrap();
    for _ in 0..200 {
        assert_eq!(client.reply().unwrap().pretty().len(), value.len() + 2);
    }
    assert!(client.is_closed_by_peer().unwrap());
}

#[test]
fn a_large_announcement_costs_nothing_until_it_is_kept() {
    let server = start(&[]);
    let before_kb = server.rss_kb().unwrap();
    let mut clients: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    for client in &mut clients {
        client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc").unwrap();
    }
    // The announcements have been read once each worker has replied to a later connection.
    for _ in 0..8 {
        assert_eq!(connect(&server).cmd(&["PING"]).unwrap().pretty(), "+PONG");
    }
    let grown_kb = server.rss_kb().unwrap().saturating_sub(before_kb);
    assert!(grown_kb < 64 * 1024, "{grown_kb} KiB for 20 announcements of 512 MB");
    drop(clients);
    assert_eq!(connect(&server).cmd(&["EXISTS", "k"]).unwrap().pretty(), "(integer) 0");
}

#[test]
fn half_commands_end_with_their_connection() {
    let server = start(&[]);
    let whole: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$3\r\nabc\r\n";
    for len in 1..whole.len() {
        connect(&server).send_raw(&whole[..len]).unwrap();
    }
    let mut client = connect(&server);
    crate::eventually("only one connection is left", || {
        let info = client.cmd(&["INFO", "clients"]).unwrap().pretty();
        info.contains("connected_clients:1\\r\\n")
    });
    assert_eq!(client.cmd(&["EXISTS", "h"]).unwrap().pretty(), "(integer) 0");
}
