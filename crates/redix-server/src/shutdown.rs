//! Shutdown: SHUTDOWN, SIGTERM and SIGINT.
//!
//! It happens in the world, which is never released, so nothing is changed or replied to after the
//! final save. A refused shutdown has no effect.
//!
//! Source: SHUTDOWN and `shutdown-on-sigterm` as Redis 7 and Valkey 8 treat them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use libc::{SIGALRM, SIGINT, SIGTERM};
use redix_core::config::ShutdownOn;
use redix_core::effects::Shutdown;
use redix_core::persist::file::{Writer, temporary_path};
use signal_hook::iterator::Signals;

use crate::audit;
use crate::crash;
use crate::log;
use crate::server::Server;
use crate::sys;

/// A shutdown that no longer waits is in progress.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// Starts the thread that waits for signals. The first one shuts the server down; a second one
/// during that ends the process at once. SIGALRM logs the state of the threads.
pub fn listen_for_signals(server: &Arc<Server>) -> io::Result<()> {
    sys::ignore_hangup();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGALRM])?;
    let server = Arc::clone(server);
    let wait = move || {
        for signal in signals.forever() {
            match signal {
                SIGALRM => crash::show_threads(),
                _ => on_signal(&server, signal),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

fn on_signal(server: &Arc<Server>, signal: i32) {
    if UNDER_WAY.load(Ordering::Acquire) || server.engine.is_ending() {
        log::from_signal_handler("You insist... exiting now.");
        for writer in [Writer::Foreground, Writer::Background] {
            // The temporary file of an unfinished snapshot; usually there is at most one.
            std::fs::remove_file(temporary_path(&server.engine.config(), writer)).ok();
        }
        std::process::exit(1);
    }
    if server.engine.loading.load(Ordering::Relaxed) {
        log::from_signal_handler("Received shutdown signal during loading, exiting now.");
        std::process::exit(0);
    }
    let config = server.engine.config();
    let (name, how) = match signal {
        SIGINT => ("SIGINT", &config.shutdown_on_sigint),
        _ => ("SIGTERM", &config.shutdown_on_sigterm),
    };
    log::from_signal_handler(&format!("Received {name} scheduling shutdown..."));
    let how = options(how);
    if server.engine.cron_paused.load(Ordering::Relaxed) {
        server.engine.schedule_shutdown(how);
    } else {
        begin(server, how);
    }
}

/// Begins a shutdown on a thread of its own.
fn begin(server: &Arc<Server>, how: Shutdown) {
    if server.engine.shutdown_waits(&how) {
        log::notice("User requested shutdown...");
        server.engine.begin_shutdown(how, None);
        return;
    }
    UNDER_WAY.store(true, Ordering::Release);
    let server = Arc::clone(server);
    let shut_down = move || shut_down(&server, &how, None);
    // If no thread can be created, exiting without a save would lose data.
    if thread::Builder::new().name("shutdown".into()).spawn(shut_down).is_err() {
        UNDER_WAY.store(false, Ordering::Release);
        log::warning("Can't start a thread for the shutdown.");
    }
}

fn options(words: &ShutdownOn) -> Shutdown {
    let save = match (words.save, words.nosave) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    Shutdown { save, now: words.now, force: words.force }
}

/// Shuts the process down, or returns if that is refused because saving failed, which is logged.
/// `asked_by` describes the client that asked. Must not be called by a thread that is inside a
/// gate.
pub fn shut_down(server: &Server, how: &Shutdown, asked_by: Option<&str>) {
    match asked_by {
        Some(client) => {
            log::notice(&format!("User requested shutdown... (user request from '{client}')"));
        }
        None => log::notice("User requested shutdown..."),
    }
    // A worker has others to serve.
    finish(server, how, asked_by.is_none());
}

/// Shuts the process down if a delayed shutdown is due. Must not be called by a thread that is
/// inside a gate.
pub fn finish_waiting(server: &Arc<Server>) {
    if let Some(how) = server.engine.take_scheduled_shutdown() {
        begin(server, how);
    }
    if let Some(how) = server.engine.due_shutdown() {
        finish(server, &how, true);
        server.engine.give_up_shutdown();
    }
}

/// Ends the process, or returns if saving fails. A script that runs for too long is waited for only
/// if something is to be saved, and by a thread that `may_wait`.
fn finish(server: &Server, how: &Shutdown, may_wait: bool) {
    UNDER_WAY.store(true, Ordering::Release);
    let engine = &server.engine;
    let gates = engine.keyspace.gates();
    let nothing_to_save = how.save == Some(false);
    let world = if may_wait && !nothing_to_save { Some(gates.world()) } else { gates.try_world() };
    if world.is_none() && !nothing_to_save {
        log::warning("Can't shut down: a script runs for too long.");
        UNDER_WAY.store(false, Ordering::Release);
        return;
    }
    if engine.shutdown_save(how).is_err() && !how.force {
        log::warning("Errors trying to shut down the server. Check the logs for more information.");
        UNDER_WAY.store(false, Ordering::Release);
        drop(world);
        return;
    }
    if world.is_some() {
        engine.close_aof();
    }
    server.say_goodbye();
    audit::flush();
    log::warning("Redis is now ready to exit, bye bye...");
    std::process::exit(0);
}
