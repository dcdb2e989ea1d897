//! The thread that looks for changed files of certificates and keys, each
//! `tls-auto-reload-interval` seconds.
//!
//! What can't be loaded is logged, the old stays in use, and the next look tries again: a key and
//! its certificate are often replaced one after the other.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use redix_core::config::Config;
use redix_core::engine::Engine;

use super::material::Material;
use super::{Contexts, Tls};
use crate::log;

/// The interval as the thread waits for it to pass or to change.
#[derive(Default)]
pub struct Reload {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    interval: Option<Duration>,
    runs: bool,
}

impl Reload {
    /// Follows a configuration: starts the thread, or lets it wait for another time or end.
    pub fn follow(self: &Arc<Self>, config: &Config, engine: &Arc<Engine>, tls: &Arc<Tls>) {
        let seconds = u64::from(config.tls_auto_reload_interval);
        let interval = (seconds > 0).then(|| Duration::from_secs(seconds));
        let mut state = self.state.lock();
        if state.interval == interval {
            return;
        }
        state.interval = interval;
        self.changed.notify_one();
        if state.runs || interval.is_none() {
            return;
        }
        let (this, engine, tls) = (Arc::clone(self), Arc::clone(engine), Arc::clone(tls));
        let started =
            thread::Builder::new().name("tls-reload".into()).spawn(move || this.run(&engine, &tls));
        match started {
            Ok(_) => state.runs = true,
            Err(error) => log::warning(&format!("Can't start a thread: {error}")),
        }
    }

    fn run(&self, engine: &Engine, tls: &Tls) {
        loop {
            let mut state = self.state.lock();
            let Some(interval) = state.interval else {
                state.runs = false;
                return;
            };
            if self.changed.wait_for(&mut state, interval).timed_out() {
                drop(state);
                look(engine, tls);
            }
        }
    }
}

/// Loads the files if they have changed.
fn look(engine: &Engine, tls: &Tls) {
    let Some(current) = tls.contexts() else { return };
    let config = engine.config();
    let loaded = Material::read(&config).and_then(|material| {
        if material.print() == current.print {
            log::debug("TLS reload skipped: materials unchanged");
            return Ok(None);
        }
        log::notice("TLS materials changed, reloading in background");
        Contexts::build(&config, &material).map(Some)
    });
    match loaded {
        Ok(None) => {}
        Ok(Some(contexts)) => {
            // CONFIG SET may have replaced them meanwhile, by files that are as new.
            if tls.replace_if(&current, contexts, engine) {
                log::notice("TLS materials reloaded successfully");
            }
        }
        Err(reason) => {
            log::warning(&reason);
            log::warning("Background TLS reload failed");
        }
    }
}
