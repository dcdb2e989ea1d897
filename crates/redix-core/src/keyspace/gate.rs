//! Gates and the world: how one thread stops all others.
//!
//! Everything that accesses the keyspace runs under a gate of its own, an uncontended lock on its
//! own cache line that is held for a group of commands. A *world* unit (a stop-the-world section)
//! takes the world lock, raises a flag, then takes all gates in index order. Holders of gates test
//! the flag between commands ([`Gates::world_waiting`]) and release their gates when it is up, so
//! the world waits for at most one command per thread.
//!
//! A script may hold the world for long. It then says so ([`Gates::set_busy`]), and threads that
//! have other things to do than wait, which use [`Gates::try_enter`] and [`Gates::try_world`], go
//! on without a gate: they touch no key until it is over.
//!
//! **Invariants.** A thread holds its own gate or the world, never both: it releases its gate
//! before it takes the world. Gates are taken in index order, only by the holder of the world lock.
//! Nobody enters a gate while the flag is up: it waits on the world lock instead, which also keeps
//! a busy worker from starving the world.

use std::time::Duration;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard, Padded, lock, lock_within};

/// How often who waits for a gate looks whether the holder of the world is busy.
const LOOK: Duration = Duration::from_millis(10);

/// The gates of all threads that access the keyspace.
pub struct Gates {
    world: Mutex<()>,
    raised: AtomicBool,
    /// The holder of the world is a script that has run for too long.
    busy: AtomicBool,
    gates: Box<[Padded<Mutex<()>>]>,
}

/// A thread's right to take shard locks.
pub struct GateGuard<'a> {
    _gate: MutexGuard<'a, ()>,
}

/// The right to be the only thread that takes shard locks.
pub struct WorldGuard<'a> {
    gates: &'a Gates,
    held: Vec<MutexGuard<'a, ()>>,
    _world: MutexGuard<'a, ()>,
}

impl Gates {
    /// Gates for `count` threads.
    pub fn new(count: usize) -> Self {
        Self {
            world: Mutex::new(()),
            raised: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            gates: (0..count).map(|_| Padded(Mutex::new(()))).collect(),
        }
    }

    /// Enters the gate of thread `index`, waiting while the world is taken or wanted.
    pub fn enter(&self, index: usize) -> GateGuard<'_> {
        loop {
            if self.raised.load(Ordering::Acquire) {
                drop(lock(&self.world));
                continue;
            }
            let gate = lock(&self.gates[index].0);
            // The flag may have been raised between the test and the lock; the raiser is then
            // waiting for this gate or has already passed it.
            if !self.raised.load(Ordering::Acquire) {
                return GateGuard { _gate: gate };
            }
        }
    }

    /// As [`Gates::enter`]; `None` once the world is held by a script that has run for too long.
    pub fn try_enter(&self, index: usize) -> Option<GateGuard<'_>> {
        loop {
            if self.is_busy() {
                return None;
            }
            if self.raised.load(Ordering::Acquire) {
                drop(lock_within(&self.world, LOOK));
                continue;
            }
            let Some(gate) = lock_within(&self.gates[index].0, LOOK) else { continue };
            if !self.raised.load(Ordering::Acquire) {
                return Some(GateGuard { _gate: gate });
            }
        }
    }

    /// Whether the world is held by a script that has run for too long.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Says whether the holder of the world, which must be the caller, is a script that has run for
    /// too long.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Release);
    }

    /// Whether a thread wants the world: to be tested before each command of a group.
    #[inline]
    pub fn world_waiting(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Takes the world. The caller must not hold its gate.
    pub fn world(&self) -> WorldGuard<'_> {
        self.stop_all(lock(&self.world))
    }

    /// As [`Gates::world`]; `None` once it is held by a script that has run for too long.
    pub fn try_world(&self) -> Option<WorldGuard<'_>> {
        while !self.is_busy() {
            if let Some(world) = lock_within(&self.world, LOOK) {
                return Some(self.stop_all(world));
            }
        }
        None
    }

    fn stop_all<'a>(&'a self, world: MutexGuard<'a, ()>) -> WorldGuard<'a> {
        self.raised.store(true, Ordering::Release);
        let held = self.gates.iter().map(|gate| lock(&gate.0)).collect();
        WorldGuard { gates: self, held, _world: world }
    }
}

impl Drop for WorldGuard<'_> {
    fn drop(&mut self) {
        self.gates.raised.store(false, Ordering::Release);
        self.held.clear();
    }
}
