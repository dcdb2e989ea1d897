//! The thread that loads the data set at startup and then does the engine's background work: saves,
//! save points, the freeing of flushed tables.
//!
//! The listening sockets are open while it loads, so that clients can query the progress; commands
//! that need the data are replied to with `-LOADING`.
//!
//! **Invariants.** It runs under a gate of its own, entered anew for every step. After loading it
//! runs at low priority: background work can wait, the workers cannot.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use redix_core::engine::{Background, Loading, Rest};
use redix_core::persist::load::LoadError;

use crate::server::Server;
use crate::{aof, log, shutdown, sys};

/// The nice value after loading: about a tenth of a worker's share under contention.
const NICE: i32 = 10;

/// The handle of the thread.
#[derive(Default)]
pub struct SaverHandle(OnceLock<Thread>);

impl SaverHandle {
    /// Wakes the thread.
    pub fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// Opens the snapshot file, if there is one, and starts the thread. Loading has begun when this
/// returns. The error is the reason why the server cannot start.
pub fn start(server: &Arc<Server>) -> Result<(), String> {
    let source = if server.engine.config().appendonly {
        server.engine.loading.store(true, Ordering::Release);
        Source::Aof
    } else {
        let loading = server.engine.begin_first_load().map_err(|error| fatal_text(&error))?;
        loading.map_or(Source::Nothing, |loading| Source::Snapshot(Box::new(loading)))
    };
    let shared = Arc::clone(server);
    let thread = thread::Builder::new()
        .name("saver".into())
        .spawn(move || run(&shared, source))
        .map_err(|error| format!("Can't start a thread: {error}"))?;
    // It is started once, so the place is free.
    server.saver.0.set(thread.thread().clone()).ok();
    Ok(())
}

/// Where the data set is loaded from.
enum Source {
    Nothing,
    Snapshot(Box<Loading>),
    Aof,
}

fn run(server: &Arc<Server>, source: Source) {
    let engine = &server.engine;
    let loaded = match source {
        Source::Nothing => Ok(()),
        Source::Snapshot(loading) => load(server, *loading).map_err(|error| fatal_text(&error)),
        Source::Aof => engine
            .load_first_aof(engine.background_thread(), &aof::TwoThreads)
            .map_err(|error| error.to_string()),
    };
    if let Err(text) = loaded {
        log::warning(&text);
        std::process::exit(1);
    }
    server.announce_ready();
    if let Err(error) = sys::lower_priority(NICE) {
        log::warning(&format!("The saver keeps its priority: {error}"));
    }
    let mut background = Background::default();
    loop {
        let rest = background.step(engine);
        shutdown::finish_waiting(server);
        if let Rest::Until(due_ns) = rest {
            let nap_ns = due_ns.saturating_sub(engine.env.clock.mono_ns());
            thread::park_timeout(Duration::from_nanos(nap_ns));
        }
    }
}

fn load(server: &Server, mut loading: Loading) -> Result<(), LoadError> {
    let engine = &server.engine;
    loop {
        let step = {
            let _gate = engine.keyspace.gates().enter(engine.background_thread());
            loading.step(engine)?
        };
        if step.is_some() {
            return Ok(());
        }
        let delay_us = loading.delay_us();
        if delay_us > 0 {
            thread::sleep(Duration::from_micros(delay_us));
        }
    }
}

/// Logs why loading has failed, and returns what is said at the end of the process.
fn fatal_text(error: &LoadError) -> String {
    log::warning(&error.to_string());
    log::warning("Terminating server after rdb file reading failure.");
    format!("Fatal error loading the DB, check server logs. Exiting: {error}")
}
