//! The append-only file on a disk that fails.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redix_core::config::{AppendFsync, Config};
use redix_core::engine::{Background, Engine};
use redix_core::env::Clock;
use redix_core::pause::Purpose;
use redix_core::replay::OneThread;
use redix_testkit::engine::{SimClock, SimDisk, sim_env};

/// An engine that appends to a file, with the simulated threads of a process.
struct Rig {
    engine: Arc<Engine>,
    clock: Arc<SimClock>,
    disk: SimDisk,
    background: Background,
}

/// A clock whose every reading takes a while.
struct Ticking {
    step_ns: Arc<AtomicU64>,
    now_ns: AtomicU64,
}

impl Clock for Ticking {
    fn unix_us(&self) -> i64 {
        0
    }
    fn mono_ns(&self) -> u64 {
        self.now_ns.fetch_add(self.step_ns.load(Ordering::Relaxed), Ordering::Relaxed)
    }
    fn sleep_us(&self, _: u64) {}
}

impl Rig {
    fn start() -> Self {
        Self::with(AppendFsync::EverySec, None)
    }

    fn with(appendfsync: AppendFsync, ticking: Option<Ticking>) -> Self {
        let (clock, disk) = (Arc::new(SimClock::default()), SimDisk::default());
        let config =
            Config { dir: "/data".into(), appendonly: true, appendfsync, ..Config::default() };
        let mut env = sim_env(&clock, &disk, 1);
        if let Some(ticking) = ticking {
            env.clock = Box::new(ticking);
        }
        let engine = Arc::new(Engine::new(env, config, 1).unwrap());
        engine.load_first_aof(engine.background_thread(), &OneThread).unwrap();
        Self { engine, clock, disk, background: Background::default() }
    }

    /// Something is logged, and the threads run for a second.
    fn pass_second(&mut self) {
        self.engine.repl.log.append_raw(b"*1\r\n$4\r\nPING\r\n");
        self.engine.write_aof().unwrap();
        self.engine.sync_aof();
        for _ in 0..3000 {
            self.background.step(&self.engine);
        }
        self.clock.advance_ms(1000);
    }

    fn refuses(&self) -> bool {
        self.engine.aof.admit_write().is_err()
    }
}

/// Only a rewrite lets writes in again, so one that is given up must be made up for.
#[test]
fn a_cancelled_rewrite_does_not_leave_writes_refused() {
    let mut rig = Rig::start();
    rig.pass_second();
    assert!(!rig.refuses());
    rig.disk.set_failing(true);
    rig.pass_second();
    assert!(rig.refuses());
    rig.disk.set_failing(false);
    {
        let _world = rig.engine.keyspace.gates().world();
        rig.engine.begin_rewrite().unwrap();
        // As FLUSHALL does.
        rig.engine.abandon_snapshot();
    }
    for _ in 0..30 {
        rig.pass_second();
    }
    assert!(!rig.refuses());
}

/// Failed attempts put off the next one, but not for long while nobody can write.
#[test]
fn writes_are_let_in_soon_after_the_disk_has_recovered() {
    let mut rig = Rig::start();
    rig.disk.set_failing(true);
    for _ in 0..300 {
        rig.pass_second();
    }
    assert!(rig.refuses());
    rig.disk.set_failing(false);
    for _ in 0..15 {
        rig.pass_second();
    }
    assert!(!rig.refuses());
}

/// A worker that syncs itself saves two switches of threads, but holds its other clients up.
#[test]
fn a_worker_syncs_itself_while_the_disk_is_quick() {
    let step_ns = Arc::new(AtomicU64::new(100_000));
    let ticking = Ticking { step_ns: Arc::clone(&step_ns), now_ns: AtomicU64::new(0) };
    let rig = Rig::with(AppendFsync::Always, Some(ticking));
    let log = |rig: &Rig| {
        rig.engine.repl.log.append_raw(b"*1\r\n$4\r\nPING\r\n");
        rig.engine.write_aof_at_once(0).unwrap();
        rig.engine.aof.may_reply(rig.engine.repl.log.end(), 0)
    };
    assert!(!log(&rig), "no sync has shown yet how long one takes");
    rig.engine.write_aof().unwrap();
    assert!(log(&rig) && log(&rig));
    // A single slow one does not count.
    step_ns.store(1_000_000_000, Ordering::Relaxed);
    assert!(log(&rig));
    step_ns.store(100_000, Ordering::Relaxed);
    assert!(log(&rig) && log(&rig));
    // After several, the thread finds out when they are quick again.
    step_ns.store(2_000_000, Ordering::Relaxed);
    assert!((0..3).any(|_| !log(&rig)) && !log(&rig));
    step_ns.store(100_000, Ordering::Relaxed);
    let by_thread = (0..100).take_while(|_| !log(&rig));
    let by_thread = by_thread.inspect(|_| rig.engine.write_aof().unwrap()).count();
    assert!((1..10).contains(&by_thread), "{by_thread}");
}

/// Otherwise the log would grow for as long as the disk is stuck.
#[test]
fn new_writes_are_held_back_while_a_sync_under_always_is_stuck() {
    let Rig { engine, clock, disk, background } = Rig::with(AppendFsync::Always, None);
    let background = Arc::new(Mutex::new(background));
    let run = |engine: &Engine, background: &Mutex<Background>| {
        for _ in 0..300 {
            background.lock().unwrap().step(engine);
        }
        engine.pause.is_on(Purpose::AppendOnly)
    };
    let held = Arc::new(Mutex::new(Vec::new()));
    disk.on_sync({
        let (engine, background, held) = (engine.clone(), background.clone(), held.clone());
        let clock = Arc::clone(&clock);
        move || {
            for _ in 0..2 {
                clock.advance_ms(1100);
                held.lock().unwrap().push(run(&engine, &background));
            }
        }
    });
    clock.advance_ms(1);
    engine.repl.log.append_raw(b"*1\r\n$4\r\nPING\r\n");
    engine.write_aof().unwrap();
    assert_eq!(*held.lock().unwrap(), [false, true], "after 1.1 and 2.2 seconds");
    clock.advance_ms(1000);
    assert!(!run(&engine, &background), "and let in again");
    assert_eq!(engine.aof.status.delayed.load(Ordering::Relaxed), 1);
}
