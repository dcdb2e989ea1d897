//! The threads of the append-only file: one writes, one makes durable what was written; and, while
//! it is loaded, one that reads.
//!
//! Under `appendfsync always` the first does both, since replies wait for it. Otherwise it writes
//! what the workers could not write without waiting, gathered for a millisecond.

use std::sync::{Arc, mpsc};
use std::thread::{self, Thread};
use std::time::Duration;

use redix_core::config::AppendFsync;
use redix_core::engine::{Engine, Fatal};
use redix_core::env::Wake;
use redix_core::replay::{OneThread, Threads, UnitReader};
use redix_core::upstream::ahead::Portion;

use crate::log;

/// How long commands are gathered before they are written.
const GATHER: Duration = Duration::from_millis(1);
/// How often it is looked whether enough connections have written under `always`.
const GATHER_STEP: Duration = Duration::from_micros(20);
/// The longest sleep.
const NAP: Duration = Duration::from_millis(100);
/// The same while the file is off.
const NAP_WHILE_OFF: Duration = Duration::from_secs(1);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(&self) {
        self.0.unpark();
    }
}

/// Starts the threads.
pub fn start(engine: &Arc<Engine>) -> Result<(), String> {
    let failed = |error| format!("Can't start a thread: {error}");
    let shared = Arc::clone(engine);
    let write = move || write_forever(&shared);
    let thread = thread::Builder::new().name("aof-writer".into()).spawn(write).map_err(failed)?;
    engine.aof.set_thread(Box::new(Unpark(thread.thread().clone())));
    let shared = Arc::clone(engine);
    let sync = move || sync_forever(&shared);
    thread::Builder::new().name("aof-sync".into()).spawn(sync).map(drop).map_err(failed)
}

fn write_forever(engine: &Engine) {
    loop {
        if let Err(Fatal(text)) = engine.write_aof() {
            log::warning(&text);
            std::process::exit(1);
        }
        if engine.config().appendfsync == AppendFsync::Always {
            gather(engine);
            if engine.aof.is_behind(engine.repl.log.end()) {
                continue;
            }
        } else {
            thread::sleep(GATHER);
        }
        engine.aof.park();
        if !engine.aof.is_behind(engine.repl.log.end()) {
            thread::park_timeout(if engine.aof.enabled() { NAP } else { NAP_WHILE_OFF });
        }
    }
}

/// Waits for the connections that the last sync has released to write again, so that one sync
/// serves them all.
fn gather(engine: &Engine) {
    let began_ns = engine.env.clock.mono_ns();
    while engine.env.clock.mono_ns().saturating_sub(began_ns) < engine.aof.gather_ns() {
        thread::sleep(GATHER_STEP);
    }
}

fn sync_forever(engine: &Engine) {
    loop {
        let due_ns = engine.sync_aof();
        let nap_ns = due_ns.saturating_sub(engine.env.clock.mono_ns());
        thread::sleep(Duration::from_nanos(nap_ns));
    }
}

/// Portions that the reading thread may be ahead.
const PORTIONS_AHEAD: usize = 16;

/// One thread reads and prepares, the caller executes.
pub struct TwoThreads;

impl Threads for TwoThreads {
    fn run(
        &self,
        reader: UnitReader,
        execute: &mut dyn FnMut(Portion) -> Option<Portion>,
    ) -> UnitReader {
        if thread::available_parallelism().map_or(1, usize::from) < 2 {
            return OneThread.run(reader, execute);
        }
        let (ready, portions) = mpsc::sync_channel(PORTIONS_AHEAD);
        let (done, spares) = mpsc::channel();
        thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut reader = reader;
                while let Some(portion) = reader.next(|| spares.try_recv().unwrap_or_default()) {
                    // It fails if the caller stops.
                    if ready.send(portion).is_err() {
                        break;
                    }
                }
                reader
            });
            for portion in portions {
                let Some(spent) = execute(portion) else { break };
                // Ignored: the thread may have ended.
                done.send(spent).ok();
            }
            reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
