//! Gates and the world: how one thread stops all others.
//!
//! Everything that accesses the keyspace runs under a gate of its own, an uncontended lock on its
//! own cache line that is held for a group of commands. A *world* unit (a stop-the-world section)
//! takes the world lock, raises a flag, then takes all gates in index order. Holders of gates test
//! the flag between commands ([`Gates::world_waiting`]) and release their gates when it is up, so
//! the world waits for at most one command per thread.
//!
//! **Invariants.** A thread holds its own gate or the world, never both: it releases its gate
//! before it takes the world. Gates are taken in index order, only by the holder of the world lock.
//! Nobody enters a gate while the flag is up: it waits on the world lock instead, which also keeps
//! a busy worker from starving the world.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard, Padded, lock};

/// The gates of all threads that access the keyspace.
pub struct Gates {
    world: Mutex<()>,
    raised: AtomicBool,
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

    /// Whether a thread wants the world: to be tested before each command of a group.
    #[inline]
    pub fn world_waiting(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Takes the world. The caller must not hold its gate.
    pub fn world(&self) -> WorldGuard<'_> {
        let world = lock(&self.world);
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
