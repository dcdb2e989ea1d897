//! An endless script is reported by every worker in time, and ended by SCRIPT KILL.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};
use crate::server::Server;

const ROUNDS: usize = 20;
const WORKERS: usize = 4;
const THRESHOLD: Duration = Duration::from_millis(500);
/// How much later than the threshold the last worker may report it.
const LATE_MAX: Duration = Duration::from_millis(100);

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    run_command(&mut command("cargo", &["build", "--release", "-p", "redix-server"]))?;
    let redix = target_dir().join("release/redix");
    progress.unit(&format!("{WORKERS} workers, {ROUNDS} rounds"), || {
        let threshold = THRESHOLD.as_millis().to_string();
        let args = ["--worker-threads", &WORKERS.to_string(), "--busy-reply-threshold", &threshold];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let server = Server::start(&redix, &args, &target_dir().join("accept/busy.log"))?;
        // Connections go to the workers in turn.
        let mut clients = Vec::new();
        for _ in 0..2 * WORKERS {
            clients.push(server.connect()?);
        }
        let mut latest = Duration::ZERO;
        for round in 0..ROUNDS {
            let late = one_round(&mut clients, round).with_context(|| format!("round {round}"))?;
            latest = latest.max(late);
        }
        if latest > LATE_MAX {
            bail!("a worker was {latest:?} late");
        }
        Ok(format!("at most {latest:?} after the threshold"))
    })
}

/// One script; returns how much later than the threshold the last worker reported it.
fn one_round(clients: &mut [TcpStream], round: usize) -> Result<Duration> {
    let runs = round % clients.len();
    clients[runs].write_all(b"EVAL 'while true do end' 0\r\n")?;
    let began = Instant::now();
    // It holds the world before anybody else is asked.
    std::thread::sleep(THRESHOLD / 10);
    let others: Vec<usize> = (0..clients.len()).filter(|other| *other != runs).collect();
    for other in &others {
        clients[*other].write_all(b"PING\r\n")?;
    }
    for other in &others {
        expect(&mut clients[*other], "-BUSY ")?;
    }
    let late = began.elapsed().saturating_sub(THRESHOLD);
    let killer = &mut clients[others[0]];
    killer.write_all(b"SCRIPT KILL\r\n")?;
    expect(killer, "+OK")?;
    expect(&mut clients[runs], "-ERR Script killed by user")?;
    for client in clients {
        client.write_all(b"PING\r\n")?;
        expect(client, "+PONG")?;
    }
    Ok(late)
}

/// Reads a line that begins so.
fn expect(client: &mut TcpStream, begin: &str) -> Result<()> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    if !line.starts_with(begin.as_bytes()) {
        bail!("{begin:?} was expected: {}", line.escape_ascii());
    }
    Ok(())
}
