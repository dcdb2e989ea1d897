//! Redix as a process, tested from outside: by clients and an operator.
//!
//! One binary, so that it is linked once. Servers are started by the test tools on free ports and
//! stopped by their own ids. Nothing waits for a fixed time: [`eventually`] polls for a condition.
#![allow(clippy::unwrap_used)]

mod abuse;
mod acl;
mod aof;
mod audit;
mod backends;
mod blocking;
mod busy;
mod clients;
mod command_info;
mod config_file;
mod connections;
mod eviction;
mod golden;
mod hyperloglog;
mod interop;
mod migrate;
mod oracle;
mod persist;
mod process;
mod pubsub;
mod quotas;
mod replication;
mod sentinel;
mod strangers;
mod tls;
mod tools;
mod tracking;
mod transactions;
mod wire;

use std::process::Command;
use std::time::{Duration, Instant};

use redix_testkit::{Client, Launch, Server};

/// The executable under test.
fn program() -> &'static str {
    env!("CARGO_BIN_EXE_redix")
}

/// A server with these arguments besides the defaults.
fn start(args: &[&str]) -> Server {
    Launch::redix(program()).args(args).start().unwrap()
}

/// A new connection.
fn connect(server: &Server) -> Client {
    Client::connect(server.addr()).unwrap()
}

/// Waits until a condition holds; fails after 20 s.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by name to a process that was started here.
fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}
