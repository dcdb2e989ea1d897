//! Clients that have not authenticated: what they may cost, and for how long.

use std::time::{Duration, Instant};

use redix_resp::Value;
use redix_testkit::{Client, Server};

use crate::{connect, eventually, start};

const WITH_PASSWORD: &[&str] = &["--requirepass", "secret", "--worker-threads", "2"];
const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

fn known(server: &Server) -> Client {
    let mut client = connect(server);
    client.must(&["AUTH", "secret"]).unwrap();
    client
}

fn info(client: &mut Client, name: &str) -> u64 {
    let Value::Bulk(text) = client.must(&["INFO", "everything"]).unwrap() else { panic!("bulk") };
    let text = String::from_utf8(text).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("INFO has no {name}")).parse().unwrap()
}

#[test]
fn a_stranger_costs_little_memory() {
    const STRANGERS: usize = 1000;
    let server = start(WITH_PASSWORD);
    let mut control = known(&server);
    let before_kb = server.rss_kb().unwrap();
    let received = info(&mut control, "total_net_input_bytes");
    // The longest command that may be begun: its last byte is missing.
    let half = b"*2\r\n$16000\r\n".to_vec();
    let half = [half, vec![b'x'; 16_000], b"\r\n$8500\r\n".to_vec(), vec![b'x'; 8500]].concat();
    let strangers: Vec<Client> = (0..STRANGERS)
        .map(|_| {
            let mut stranger = connect(&server);
            stranger.send_raw(&half).unwrap();
            stranger
        })
        .collect();
    let sent = (STRANGERS * half.len()) as u64;
    eventually("all was received", || {
        info(&mut control, "total_net_input_bytes") >= received + sent
    });
    assert_eq!(info(&mut control, "connected_clients"), STRANGERS as u64 + 1);
    let each = (server.rss_kb().unwrap() - before_kb) / STRANGERS as u64;
    eprintln!("{each} KiB each");
    assert!(each <= 64, "{each} KiB each");
    drop(strangers);
}

#[test]
fn a_stranger_has_to_authenticate_in_time() {
    let server = start(WITH_PASSWORD);
    let (mut control, mut waiting) = (known(&server), known(&server));
    waiting.send(&["BLPOP", "list", "0"]).unwrap();
    let mut idle = connect(&server);
    let mut slow = connect(&server);
    slow.send_raw(b"*2\r\n$4\r\nAU").unwrap();
    let mut busy = connect(&server);
    assert_eq!(busy.cmd(&["PING"]).unwrap().pretty(), "-NOAUTH Authentication required.");
    control.must(&["CONFIG", "SET", "client-handshake-timeout-ms", "1"]).unwrap();
    for stranger in [&mut idle, &mut slow, &mut busy] {
        assert!(stranger.is_closed_by_peer().unwrap());
    }
    assert_eq!(info(&mut control, "client_handshake_timeouts"), 3);
    control.must(&["RPUSH", "list", "1"]).unwrap();
    assert!(matches!(waiting.reply().unwrap(), Value::Array(_)), "it is still served");
    control.must(&["CONFIG", "SET", "client-handshake-timeout-ms", "0"]).unwrap();
}

#[test]
fn who_is_kept_waiting_is_not_late() {
    let server = start(WITH_PASSWORD);
    let mut control = known(&server);
    control.must(&["CONFIG", "SET", "auth-fail-delay-ms", "3000"]).unwrap();
    control.must(&["CONFIG", "SET", "client-handshake-timeout-ms", "1000"]).unwrap();
    let mut wrong = connect(&server);
    wrong.send(&["AUTH", "wrong"]).unwrap();
    assert_eq!(wrong.reply().unwrap().pretty(), WRONG);
    control.must(&["CLIENT", "PAUSE", "3000", "ALL"]).unwrap();
    let mut paused = connect(&server);
    paused.send(&["AUTH", "secret"]).unwrap();
    assert_eq!(paused.reply().unwrap().pretty(), "+OK");
}

#[test]
fn who_need_not_authenticate_is_no_stranger() {
    let server = start(WITH_PASSWORD);
    let mut control = known(&server);
    let (mut early, mut served) = (connect(&server), connect(&server));
    let refused = "-NOAUTH Authentication required.";
    assert_eq!(early.cmd(&["PING"]).unwrap().pretty(), refused);
    assert_eq!(served.cmd(&["PING"]).unwrap().pretty(), refused);
    let change = ["CONFIG", "SET", "requirepass", "", "client-handshake-timeout-ms", "1"];
    control.must(&change).unwrap();
    let mut anybody = connect(&server);
    assert_eq!(served.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    let pass = |control: &mut Client| {
        let begun = info(control, "uptime_in_seconds");
        eventually("every connection is visited", || {
            info(control, "uptime_in_seconds") > begun + 1
        });
    };
    pass(&mut control);
    for client in [&mut anybody, &mut early] {
        assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    }
    // Who was served once stays known.
    control.must(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    pass(&mut control);
    assert_eq!(served.cmd(&["PING"]).unwrap().pretty(), refused);
}

#[test]
fn a_wrong_password_is_answered_late() {
    const DELAY: Duration = Duration::from_millis(300);
    let server = start(WITH_PASSWORD);
    let mut control = known(&server);
    let delay_ms = DELAY.as_millis().to_string();
    control.must(&["CONFIG", "SET", "auth-fail-delay-ms", &delay_ms]).unwrap();
    for wrong in [&["AUTH", "wrong"][..], &["HELLO", "3", "AUTH", "nobody", "wrong"]] {
        let mut stranger = connect(&server);
        let begun = Instant::now();
        stranger.send(wrong).unwrap();
        stranger.send(&["AUTH", "secret"]).unwrap();
        stranger.send(&["PING"]).unwrap();
        assert_eq!(stranger.reply().unwrap().pretty(), WRONG);
        // The server counts whole milliseconds.
        let waited = begun.elapsed() + Duration::from_millis(1);
        assert!(waited >= DELAY, "after {waited:?}");
        assert_eq!(stranger.reply().unwrap().pretty(), "+OK");
        assert_eq!(stranger.reply().unwrap().pretty(), "+PONG");
    }
    // Who knows the password does not wait: a client of these tests would give up before.
    control.must(&["CONFIG", "SET", "auth-fail-delay-ms", "60000"]).unwrap();
    known(&server);
    assert_eq!(info(&mut control, "acl_access_denied_auth"), 2);
    let Value::Bulk(stats) = control.must(&["INFO", "commandstats"]).unwrap() else { panic!() };
    let stats = String::from_utf8(stats).unwrap();
    let auth = stats.lines().find(|line| line.starts_with("cmdstat_auth:")).unwrap();
    assert!(auth.contains("failed_calls=1"), "{auth}");
}

#[test]
fn a_transaction_does_not_try_passwords_faster() {
    let server = start(&[]);
    let mut control = connect(&server);
    control.must(&["CONFIG", "SET", "auth-fail-delay-ms", "10000"]).unwrap();
    control.must(&["ACL", "SETUSER", "admin", "on", ">right", "+@all"]).unwrap();
    let mut guesser = connect(&server);
    guesser.must(&["MULTI"]).unwrap();
    for password in ["wrong", "right"] {
        guesser.must(&["AUTH", "admin", password]).unwrap();
    }
    let replies = guesser.cmd(&["EXEC"]).unwrap();
    let wrong = || Value::Error(WRONG[1..].into());
    assert_eq!(replies, Value::Array(vec![wrong(), wrong()]));
    assert!(guesser.is_closed_by_peer().unwrap());
}
