//! A client of another project that finds its primary through Sentinel.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;

use redix_testkit::peer::Tool;

use crate::eventually;

/// Increments through Sentinel and prints what it was replied.
const PROGRAM: &str = r##"
import sys, time, redis
from redis.sentinel import Sentinel, MasterNotFoundError
password = sys.argv[1] or None
ports = [int(port) for port in sys.argv[2:]]
sentinel = Sentinel([("127.0.0.1", port) for port in ports], socket_timeout=2)
client = sentinel.master_for("mymaster", password=password, socket_timeout=2)
while True:
    try:
        print(client.incr("counter"), flush=True)
    except (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError) as error:
        print("#", error, flush=True)
    time.sleep(0.002)
"##;
/// Writes that show that it goes on.
const SOME_WRITES: u64 = 20;

/// redis-py, which writes until it is stopped.
pub(super) struct Finder {
    child: Child,
    /// The last number it was replied.
    last: Arc<AtomicI64>,
    written: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Finder {
    pub(super) fn start(sentinels: &[SocketAddr], password: Option<&str>) -> Self {
        let python = Tool::Python.path().expect("there is a Python");
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM, password.unwrap_or_default()]);
        command.args(sentinels.iter().map(|addr| addr.port().to_string()));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (last, written) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
        let (seen, count) = (Arc::clone(&last), Arc::clone(&written));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let mut error = String::new();
            for line in lines.map_while(Result::ok) {
                if let Ok(number) = line.parse() {
                    seen.store(number, Ordering::Relaxed);
                    count.fetch_add(1, Ordering::Relaxed);
                } else if line != error {
                    eprintln!("redis-py: {line}");
                    error = line;
                }
            }
        });
        Self { child, last, written, reader: Some(reader) }
    }

    /// Waits until some more writes have succeeded.
    pub(super) fn wait_for_writes(&self) {
        let goal = self.written.load(Ordering::Relaxed) + SOME_WRITES;
        eventually("redis-py writes", || {
            let ended = self.reader.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!ended, "redis-py has ended");
            self.written.load(Ordering::Relaxed) >= goal
        });
    }

    /// Ends it; returns the last number it was replied.
    pub(super) fn stop(mut self) -> i64 {
        self.end();
        self.last.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        // Ignored: it may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.end();
    }
}
