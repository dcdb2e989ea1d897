//! The append-only file on a disk that fails.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use redix_core::config::Config;
use redix_core::engine::{Background, Engine};
use redix_core::replay::OneThread;
use redix_testkit::engine::{SimClock, SimDisk, sim_env};

/// An engine that appends to a file, with the simulated threads of a process.
struct Rig {
    engine: Arc<Engine>,
    clock: Arc<SimClock>,
    disk: SimDisk,
    background: Background,
}

impl Rig {
    fn start() -> Self {
        let (clock, disk) = (Arc::new(SimClock::default()), SimDisk::default());
        let config = Config { dir: "/data".into(), appendonly: true, ..Config::default() };
        let engine = Arc::new(Engine::new(sim_env(&clock, &disk, 1), config, 1).unwrap());
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
