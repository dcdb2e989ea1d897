//! The thread that moves to disk what replicas that are being synchronised retain of the
//! replication log; what it does is in [`redix_core::engine::Engine::spill_log`].

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;

use redix_core::engine::{Engine, Rest, Spiller};
use redix_core::env::Wake;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(&self) {
        self.0.unpark();
    }
}

/// Starts the thread.
pub fn start(engine: &Arc<Engine>) -> Result<(), String> {
    let shared = Arc::clone(engine);
    let thread = thread::Builder::new()
        .name("spiller".into())
        .spawn(move || run(&shared))
        .map_err(|error| format!("Can't start a thread: {error}"))?;
    engine.repl.replicas.set_spiller(Box::new(Unpark(thread.thread().clone())));
    Ok(())
}

fn run(engine: &Engine) {
    let mut spiller = Spiller::default();
    loop {
        if let Rest::Until(due_ns) = engine.spill_log(&mut spiller) {
            let nap_ns = due_ns.saturating_sub(engine.env.clock.mono_ns());
            thread::park_timeout(Duration::from_nanos(nap_ns));
        }
    }
}
