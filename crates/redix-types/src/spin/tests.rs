//! The lock under contention.

use std::time::Duration;

use super::SpinMutex;

#[test]
fn no_section_is_lost() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 20_000;
    // Two numbers that are equal whenever the lock is free.
    let pair = SpinMutex::new((0_u64, 0_u64));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let mut pair = pair.lock();
                    assert_eq!(pair.0, pair.1);
                    pair.0 += 1;
                    std::hint::black_box(&mut *pair);
                    pair.1 += 1;
                }
            });
        }
    });
    assert_eq!(*pair.lock(), (THREADS * ROUNDS, THREADS * ROUNDS));
}

#[test]
fn a_holder_may_take_its_time() {
    let value = SpinMutex::new(0);
    std::thread::scope(|scope| {
        let mut held = value.lock();
        assert!(value.try_lock().is_none());
        let waiter = scope.spawn(|| *value.lock());
        // Long enough for the waiter to fall asleep.
        std::thread::sleep(Duration::from_millis(5));
        *held = 7;
        drop(held);
        assert_eq!(waiter.join().expect("it only reads"), 7);
    });
}
