//! Blocked clients, over the network and across threads.

use std::time::{Duration, Instant};

use redix_testkit::{Client, Server};

use crate::{connect, eventually, start};

fn blocked(client: &mut Client) -> String {
    let text = client.cmd(&["INFO", "clients"]).unwrap().pretty();
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix("blocked_clients:"));
    line.expect("INFO has the field").to_owned()
}

fn eventually_blocked(client: &mut Client, count: usize) {
    let count = count.to_string();
    eventually(&format!("{count} clients are blocked"), || blocked(client) == count);
}

fn id(client: &mut Client) -> String {
    client.cmd(&["CLIENT", "ID"]).unwrap().pretty().replace("(integer) ", "")
}

fn two_workers(args: &[&str]) -> Server {
    start(&[&["--worker-threads", "2"], args].concat())
}

#[test]
fn a_wait_lasts_as_long_as_it_was_told_and_costs_no_time() {
    let server = start(&["--hz", "10"]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    let used = server.cpu_time().unwrap().total();
    for ms in [1, 30, 333] {
        let began = Instant::now();
        assert_eq!(client.cmd(&["WAIT", "1", &ms.to_string()]).unwrap().pretty(), "(integer) 0");
        // Deadlines are in milliseconds of the wall clock.
        assert!(began.elapsed() + Duration::from_millis(2) >= Duration::from_millis(ms));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    let used = server.cpu_time().unwrap().total() - used;
    assert!(used < Duration::from_millis(200), "{used:?} of waiting was work");
}

#[test]
fn others_are_served_and_what_came_behind_follows() {
    let server = start(&["--worker-threads", "1"]);
    let (mut waiting, mut other) = (connect(&server), connect(&server));
    waiting.send_raw(b"WAIT 1 0\r\nSET k v\r\nPING\r\n").unwrap();
    eventually_blocked(&mut other, 1);
    assert_eq!(other.cmd(&["GET", "k"]).unwrap().pretty(), "(null)");
    waiting.send_raw(b"GET k\r\n").unwrap();
    let list = other.cmd(&["CLIENT", "LIST", "FLAGS", "b"]).unwrap().pretty();
    let waiting_id = list.split(' ').next().unwrap().trim_start_matches("\"id=").to_owned();
    let unblock = ["CLIENT", "UNBLOCK", &waiting_id, "ERROR"];
    assert_eq!(other.cmd(&unblock).unwrap().pretty(), "(integer) 1");
    let expected = ["-UNBLOCKED client unblocked via CLIENT UNBLOCK", "+OK", "+PONG", "\"v\""];
    for expected in expected {
        assert_eq!(waiting.reply().unwrap().pretty(), expected);
    }
    assert_eq!(other.cmd(&unblock).unwrap().pretty(), "(integer) 0");
}

#[test]
fn a_client_of_another_thread_is_unblocked_and_killed() {
    let server = two_workers(&[]);
    let mut control = connect(&server);
    let mut waiting: Vec<Client> = (0..4).map(|_| connect(&server)).collect();
    let ids: Vec<String> = waiting.iter_mut().map(id).collect();
    waiting.iter_mut().for_each(|client| client.send(&["WAIT", "1", "0"]).unwrap());
    eventually_blocked(&mut control, 4);
    for id in &ids[..2] {
        assert_eq!(control.cmd(&["CLIENT", "UNBLOCK", id]).unwrap().pretty(), "(integer) 1");
    }
    for id in &ids[2..] {
        assert_eq!(control.cmd(&["CLIENT", "KILL", "ID", id]).unwrap().pretty(), "(integer) 1");
    }
    assert_eq!(blocked(&mut control), "0");
    for client in &mut waiting[..2] {
        assert_eq!(client.reply().unwrap().pretty(), "(integer) 0");
        assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    }
    for client in &mut waiting[2..] {
        assert!(client.is_closed_by_peer().unwrap());
    }
}

#[test]
fn a_blocked_client_that_leaves_is_gone_at_once() {
    let server = two_workers(&[]);
    let mut control = connect(&server);
    let mut waiting: Vec<Client> = (0..4).map(|_| connect(&server)).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        let timeout = if number % 2 == 0 { "0" } else { "600000" };
        client.send(&["WAIT", "1", timeout]).unwrap();
    }
    eventually_blocked(&mut control, 4);
    drop(waiting);
    eventually_blocked(&mut control, 0);
}

#[test]
fn a_blocked_client_is_not_idle() {
    let server = start(&["--timeout", "1"]);
    let mut client = connect(&server);
    let mut idle = connect(&server);
    client.send(&["WAIT", "1", "2500"]).unwrap();
    assert!(idle.is_closed_by_peer().unwrap());
    assert_eq!(client.reply().unwrap().pretty(), "(integer) 0");
}
