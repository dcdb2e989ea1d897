//! Random writes in the background.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use redix_resp::Value;
use redix_testkit::writes::{self, Words};
use redix_testkit::{Client, Rng};

use crate::eventually;

/// Commands in one write.
const PIPELINE: usize = 16;

/// A connection that writes until it is stopped.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    /// Commands replied to without an error.
    written: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Traffic {
    /// Begins to write.
    pub(super) fn start(addr: SocketAddr, seed: u64) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (seen, count) = (Arc::clone(&stop), Arc::clone(&written));
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(addr).unwrap();
            let mut rng = Rng::new(seed);
            while !seen.load(Ordering::Relaxed) {
                let commands = writes::batch(&mut rng, PIPELINE);
                let Ok(replies) = client.pipeline(&commands) else {
                    // A blocked client is closed when the server becomes a replica.
                    client = Client::connect(addr).unwrap();
                    continue;
                };
                let good = replies.iter().filter(|reply| !matches!(reply, Value::Error(_)));
                count.fetch_add(good.count() as u64, Ordering::Relaxed);
            }
        });
        Self { stop, written, thread }
    }

    /// Waits until `more` further commands have succeeded.
    pub(super) fn wait_for_writes(&self, more: u64) {
        let goal = self.written.load(Ordering::Relaxed) + more;
        eventually("writes go on", || {
            self.thread.is_finished() || self.written.load(Ordering::Relaxed) >= goal
        });
        assert!(!self.thread.is_finished(), "the writer has failed");
    }

    /// Stops writing to a server that is gone.
    pub(super) fn abandon(self) {
        self.stop.store(true, Ordering::Relaxed);
        // Ignored: it may have failed for want of the server.
        self.thread.join().ok();
    }

    /// Stops writing; returns how many commands succeeded.
    pub(super) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.written.load(Ordering::Relaxed)
    }
}

/// Writes a data set of about so many bytes.
pub(super) fn fill(client: &mut Client, bytes: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let (mut written, mut next) = (0, 0);
    while written < bytes {
        let mut commands: Vec<Words> = Vec::new();
        for _ in 0..100 {
            let len = 10 + rng.below(2000);
            commands.push(vec![b"SET".into(), format!("fill:{next}").into(), rng.printable(len)]);
            (written, next) = (written + len, next + 1);
        }
        client.pipeline(&commands).unwrap();
    }
}
