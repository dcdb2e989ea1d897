//! What strangers may send to a TLS port costs them their connection, and others nothing.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustls::ClientConnection;

use super::Secure;
use super::client::TlsClient;
use crate::{connect, eventually};

fn socket(secure: &Secure) -> TcpStream {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, secure.port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// The first bytes that a client sends.
fn hello(secure: &Secure) -> Vec<u8> {
    let config = secure.authority.client_config(Some("client"));
    let mut client = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Whether the server closes a connection; what it says before is discarded.
fn is_closed(socket: &mut TcpStream) -> bool {
    let mut bytes = [0; 1024];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn clients(secure: &Secure) -> usize {
    let list = connect(&secure.server).must(&["CLIENT", "LIST"]).unwrap().pretty();
    list.matches("laddr=").count()
}

/// An address of this machine that is not the loopback one: where it would send from. Nothing is
/// sent.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    let addr = socket.local_addr().ok()?.ip();
    (!addr.is_loopback() && !addr.is_unspecified()).then_some(addr)
}

/// Whoever is not on this machine is told why, over TLS, and nothing of it is executed.
#[test]
fn protected_mode_refuses_others_after_their_handshake() {
    let Some(outer) = outer_address() else {
        eprintln!("skipped: this machine has the loopback address alone");
        return;
    };
    let secure = Secure::start(&["--bind", "127.0.0.1", &outer.to_string()]);
    let config = secure.authority.client_config(Some("client"));
    let stranger = || TlsClient::connect_to(SocketAddr::from((outer, secure.port)), &config);
    let mut refused = stranger().unwrap();
    // With the last bytes of the handshake.
    refused.send(&["SET", "k", "v"]).unwrap();
    let reply = refused.reply().unwrap().pretty();
    assert!(reply.starts_with("-DENIED Running in protected mode"), "{reply}");
    assert!(refused.reply().is_err(), "it is closed");
    let mut local = secure.client();
    assert_eq!(local.ask("EXISTS k"), "(integer) 0");
    let stats = local.ask("INFO stats");
    assert!(stats.contains("rejected_connections:1"), "{stats}");
    local.ask("CONFIG SET protected-mode no");
    assert_eq!(stranger().unwrap().ask("PING"), "+PONG");
    local.ask("CONFIG SET protected-mode yes requirepass secret");
    assert!(stranger().unwrap().ask("PING").starts_with("-NOAUTH"));
}

#[test]
fn garbage_is_closed_at_once() {
    let secure = Secure::start(&[]);
    let mut wrong_version = hello(&secure);
    wrong_version[0] = 23;
    let mut too_long = hello(&secure);
    too_long[3..5].copy_from_slice(&[0xff, 0xff]);
    let mut broken = hello(&secure);
    broken[9..].fill(0xaa);
    let lines: [&[u8]; 5] =
        [b"PING\r\n", b"GET / HTTP/1.1\r\n\r\n", &wrong_version, &too_long, &broken];
    for bytes in lines {
        let mut socket = socket(&secure);
        socket.write_all(bytes).unwrap();
        assert!(is_closed(&mut socket), "{}", bytes.escape_ascii());
    }
    eventually("only the one that asks is left", || clients(&secure) == 1);
    assert!(secure.server.log().contains("Error accepting a client connection"));
    assert_eq!(secure.client().ask("PING"), "+PONG");
}

#[test]
fn plain_commands_get_no_reply_at_a_tls_port() {
    let secure = Secure::start(&[]);
    let mut socket = socket(&secure);
    socket.write_all(b"PING\r\n").unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).ok();
    assert_eq!(bytes, b"");
}

#[test]
fn an_endless_handshake_is_cut_off() {
    let secure = Secure::start(&[]);
    let mut socket = socket(&secure);
    // Records of a handshake message that claims to be as long as it may be.
    let mut sent = 0;
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.extend([1, 0, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    while socket.write_all(&record).is_ok() && sent < 1 << 20 {
        sent += record.len();
        record[5..].fill(0);
    }
    assert!(is_closed(&mut socket));
}

#[test]
fn a_handshake_byte_by_byte_is_served() {
    let secure = Secure::start(&[]);
    let config = secure.authority.client_config(Some("client"));
    let mut client = TlsClient::connect(secure.port, &config).unwrap();
    while client.stream.conn.is_handshaking() {
        let mut bytes = Vec::new();
        while client.stream.conn.wants_write() {
            client.stream.conn.write_tls(&mut bytes).unwrap();
        }
        for byte in bytes {
            client.stream.sock.write_all(&[byte]).unwrap();
        }
        if client.stream.conn.is_handshaking() {
            client.stream.conn.read_tls(&mut client.stream.sock).unwrap();
            client.stream.conn.process_new_packets().unwrap();
        }
    }
    assert_eq!(client.ask("PING"), "+PONG");
}

#[test]
fn half_handshakes_cost_little_and_others_are_served() {
    const STRANGERS: usize = 300;
    let secure = Secure::start(&["--worker-threads", "1"]);
    let hello = hello(&secure);
    let mut served = secure.client();
    served.ask("PING");
    let before_kb = secure.server.rss_kb().unwrap();
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let mut socket = socket(&secure);
        // Some stop in the middle of their first message, some after the server's answer.
        let end = if number % 2 == 0 { hello.len() / 2 } else { hello.len() };
        socket.write_all(&hello[..end]).unwrap();
        strangers.push(socket);
    }
    eventually("all are there", || clients(&secure) >= STRANGERS);
    for _ in 0..100 {
        assert_eq!(served.ask("PING"), "+PONG");
    }
    let grown_kb = secure.server.rss_kb().unwrap().saturating_sub(before_kb);
    assert!(grown_kb < 64 * STRANGERS as u64, "{grown_kb} KiB for {STRANGERS}");
    drop(strangers);
    eventually("all are gone", || clients(&secure) == 2);
}

#[test]
fn a_connection_that_ends_within_a_record_executes_nothing_of_it() {
    let secure = Secure::start(&[]);
    let mut client = secure.client();
    client.ask("SET k v");
    // A whole command, and one that is cut off by the end of the connection.
    let mut bytes = Vec::new();
    for words in ["INCR whole\r\n", "INCR cut\r\n"] {
        std::io::Write::write_all(&mut client.stream.conn.writer(), words.as_bytes()).unwrap();
        while client.stream.conn.wants_write() {
            client.stream.conn.write_tls(&mut bytes).unwrap();
        }
    }
    bytes.truncate(bytes.len() - 1);
    client.stream.sock.write_all(&bytes).unwrap();
    drop(client);
    let mut plain = connect(&secure.server);
    eventually("the first is executed", || {
        plain.must(&["EXISTS", "whole"]).unwrap().pretty() == "(integer) 1"
    });
    eventually("it is gone", || clients(&secure) == 2);
    assert_eq!(plain.must(&["EXISTS", "cut"]).unwrap().pretty(), "(integer) 0");
}

#[test]
fn changed_bytes_end_a_session() {
    let secure = Secure::start(&[]);
    let mut client = secure.client();
    client.ask("PING");
    std::io::Write::write_all(&mut client.stream.conn.writer(), b"INCR k\r\n").unwrap();
    let mut bytes = Vec::new();
    client.stream.conn.write_tls(&mut bytes).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    client.stream.sock.write_all(&bytes).unwrap();
    assert!(client.reply().is_err());
    let mut plain = connect(&secure.server);
    assert_eq!(plain.must(&["EXISTS", "k"]).unwrap().pretty(), "(integer) 0");
}

#[test]
fn renegotiation_is_refused() {
    let secure = Secure::start(&["--tls-protocols", "TLSv1.2", "--tls-auth-clients", "no"]);
    let child = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{}", secure.port), "-tls1_2"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(std::env::var("CI").is_err(), "openssl is not installed");
        return;
    };
    // A line `R` makes it ask for a new handshake.
    child.stdin.as_mut().unwrap().write_all(b"R\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("RENEGOTIATING"), "{text}");
    assert!(text.contains("no renegotiation") || text.contains("alert"), "{text}");
    assert_eq!(
        TlsClient::connect(secure.port, &secure.authority.client_config(None)).unwrap().ask("PING"),
        "+PONG"
    );
}

#[test]
fn a_slow_handshake_ends_in_time() {
    let secure = Secure::start(&[]);
    let (mut silent, mut slow) = (socket(&secure), socket(&secure));
    slow.write_all(&hello(&secure)[..20]).unwrap();
    let mut client =
        TlsClient::connect(secure.port, &secure.authority.client_config(Some("client")));
    let client = client.as_mut().unwrap();
    assert_eq!(client.ask("CONFIG SET client-handshake-timeout-ms 1"), "+OK");
    assert!(is_closed(&mut silent) && is_closed(&mut slow));
    assert_eq!(client.ask("PING"), "+PONG");
    assert!(client.ask("INFO stats").contains("client_handshake_timeouts:2"));
}
