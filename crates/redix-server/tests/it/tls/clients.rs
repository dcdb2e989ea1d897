//! What clients do over TLS is what they do without it.

use std::process::Command;

use redix_resp::Value;
use redix_testkit::peer::Tool;
use rustls::HandshakeKind;

use super::Secure;
use super::client::TlsClient;
use crate::{connect, eventually};

#[test]
fn redis_cli_is_served() {
    let Some(cli) = Tool::RedisCli.path() else {
        assert!(std::env::var("CI").is_err(), "redis-cli is not installed");
        return;
    };
    let secure = Secure::start(&[]);
    let output = Command::new(cli)
        .args(["-p", &secure.port.to_string()])
        .args(secure.authority.cli_args())
        .args(["INFO", "server"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(&format!("listener1:name=tls,bind=127.0.0.1,port={}", secure.port)),
        "{text}"
    );
}

#[test]
fn values_of_any_size_pass_both_ways() {
    let secure = Secure::start(&[]);
    let mut client = secure.client();
    // Around the sizes of records, of what is read at a time and of what is kept encrypted.
    for size in [0, 1, 16_383, 16_384, 16_385, 32_768, 65_536, 70_000, 1 << 20, 9 << 20] {
        let value: String = (0..size).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        assert_eq!(client.cmd(&["SET", "k", &value]).unwrap(), Value::Simple(b"OK".to_vec()));
        assert_eq!(client.cmd(&["GET", "k"]).unwrap(), Value::Bulk(value.into_bytes()), "{size}");
    }
}

#[test]
fn a_pipeline_is_replied_to_whole() {
    let secure = Secure::start(&[]);
    let mut client = secure.client();
    for number in 0..20_000 {
        client.send(&["ECHO", &number.to_string()]).unwrap();
    }
    for number in 0..20_000 {
        assert_eq!(client.reply().unwrap(), Value::Bulk(number.to_string().into_bytes()));
    }
}

/// Its first command comes with the end of the handshake; what it was read into is lent.
#[test]
fn an_idle_connection_has_no_buffer_for_input() {
    let secure = Secure::start(&[]);
    let mut plain = connect(&secure.server);
    let mut client = secure.client();
    for command in ["CLIENT SETNAME idle", "SELECT 9", "GET k"] {
        client.ask(command);
        let list = plain.cmd(&["CLIENT", "LIST"]).unwrap().pretty();
        let line = list.split("\\n").find(|line| line.contains("name=idle")).unwrap();
        assert!(line.contains(" qbuf=0 qbuf-free=0 "), "after {command}: {line}");
    }
}

#[test]
fn half_closed_connections_get_their_replies() {
    let secure = Secure::start(&[]);
    let mut client = secure.client();
    let value = "v".repeat(3 << 20);
    client.cmd(&["SET", "k", &value]).unwrap();
    client.send(&["GET", "k"]).unwrap();
    client.send(&["GET", "k"]).unwrap();
    client.finish_sending();
    for _ in 0..2 {
        assert_eq!(client.reply().unwrap(), Value::Bulk(value.clone().into_bytes()));
    }
    assert!(client.reply().unwrap_err().to_string().contains("closed"));
}

#[test]
fn blocked_clients_messages_and_monitor_work() {
    let secure = Secure::start(&["--worker-threads", "2"]);
    let (mut blocked, mut subscriber, mut monitor) =
        (secure.client(), secure.client(), secure.client());
    blocked.send(&["BLPOP", "list", "0"]).unwrap();
    subscriber.ask("SUBSCRIBE news");
    monitor.ask("MONITOR");
    let mut plain = connect(&secure.server);
    eventually("it is blocked", || {
        plain.cmd(&["INFO", "clients"]).unwrap().pretty().contains("blocked_clients:1")
    });
    plain.must(&["RPUSH", "list", "x"]).unwrap();
    plain.must(&["PUBLISH", "news", "today"]).unwrap();
    assert!(blocked.reply().unwrap().pretty().contains("\"x\""));
    assert!(subscriber.reply().unwrap().pretty().contains("today"));
    let seen = (0..3).map(|_| monitor.reply().unwrap().pretty()).collect::<String>();
    assert!(seen.contains("RPUSH"), "{seen}");
}

#[test]
fn a_client_that_does_not_read_is_closed_at_its_limit() {
    let secure = Secure::start(&["--client-output-buffer-limit", "normal 4mb 0 0"]);
    let mut plain = connect(&secure.server);
    plain.must(&["SET", "k", &"v".repeat(1 << 20)]).unwrap();
    let mut lazy = secure.client();
    lazy.ask("PING");
    let addr = format!("addr={} ", lazy.addr());
    for _ in 0..64 {
        // The server may close it meanwhile.
        if lazy.send(&["GET", "k"]).is_err() {
            break;
        }
    }
    eventually("it is closed", || {
        !plain.cmd(&["CLIENT", "LIST"]).unwrap().pretty().contains(&addr)
    });
    let info = plain.cmd(&["INFO", "stats"]).unwrap().pretty();
    assert!(info.contains("client_output_buffer_limit_disconnections:1"), "{info}");
}

#[test]
fn a_slow_reader_gets_everything() {
    let secure = Secure::start(&[]);
    let mut client = secure.client();
    let value = "v".repeat(1 << 20);
    client.cmd(&["SET", "k", &value]).unwrap();
    for _ in 0..40 {
        client.send(&["GET", "k"]).unwrap();
    }
    let mut plain = connect(&secure.server);
    eventually("output waits", || {
        let list = plain.cmd(&["CLIENT", "LIST"]).unwrap().pretty();
        list.split("omem=").skip(1).any(|rest| !rest.starts_with("0 "))
    });
    for _ in 0..40 {
        assert_eq!(client.reply().unwrap(), Value::Bulk(value.clone().into_bytes()));
    }
}

#[test]
fn a_killed_client_is_told_goodbye() {
    let secure = Secure::start(&[]);
    let mut client = secure.client();
    client.ask("CLIENT SETNAME victim");
    let addr = client.addr();
    connect(&secure.server).must(&["CLIENT", "KILL", "ADDR", &addr]).unwrap();
    // With neither goodbye nor error this would be another failure than a clean end.
    assert!(client.reply().unwrap_err().to_string().contains("closed"));
}

#[test]
fn sessions_are_resumed_unless_that_is_switched_off() {
    let secure = Secure::start(&[]);
    let config = secure.authority.client_config(Some("client"));
    let connect_once = || {
        let mut client = TlsClient::connect(secure.port, &config).unwrap();
        client.ask("PING");
        client.handshake().unwrap()
    };
    assert_eq!(connect_once(), HandshakeKind::Full);
    assert_eq!(connect_once(), HandshakeKind::Resumed);
    assert_eq!(connect_once(), HandshakeKind::Resumed);
    // What was made before a change can't be resumed.
    assert_eq!(secure.config_set("tls-auth-clients", "optional"), "+OK");
    assert_eq!(connect_once(), HandshakeKind::Full);
    assert_eq!(secure.config_set("tls-session-caching", "no"), "+OK");
    connect_once();
    assert_eq!(connect_once(), HandshakeKind::Full);
}

#[test]
fn ports_are_switched_at_run_time() {
    let secure = Secure::start(&[]);
    let mut tls = secure.client();
    let plain_port = secure.server.port().to_string();
    assert_eq!(tls.ask("CONFIG SET port 0"), "+OK");
    assert!(tls.ask("INFO server").contains(&format!("tcp_port:{}", secure.port)));
    assert_eq!(tls.ask(&format!("CONFIG SET tls-port 0 port {plain_port}")), "+OK");
    // The connection of a closed port goes on.
    assert_eq!(tls.ask("PING"), "+PONG");
    assert!(connect(&secure.server).cmd(&["PING"]).is_ok());
    let config = secure.authority.client_config(Some("client"));
    assert!(TlsClient::connect(secure.port, &config).is_err());
    let error = tls.ask(&format!("CONFIG SET tls-port {plain_port}"));
    assert!(error.contains("Unable to listen on this port"), "{error}");
}
