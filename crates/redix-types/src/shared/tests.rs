use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

/// Counts how often it is dropped and copied.
struct Probe<'a>(&'a AtomicUsize, &'a AtomicUsize, u32);

impl Clone for Probe<'_> {
    fn clone(&self) -> Self {
        self.1.fetch_add(1, Ordering::Relaxed);
        Probe(self.0, self.1, self.2)
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn is_copied_only_where_it_is_shared() {
    let (dropped, copied) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut first = Shared::new(Probe(&dropped, &copied, 1));
    first.make_mut().2 = 2;
    let second = first.clone();
    assert!(first.is_shared() && first.get_mut().is_none());
    first.make_mut().2 = 3;
    assert_eq!((first.2, second.2), (3, 2));
    assert!(!first.is_shared() && !second.is_shared());
    assert_eq!((dropped.load(Ordering::Relaxed), copied.load(Ordering::Relaxed)), (0, 1));
    drop(second);
    drop(first);
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

/// Readers in other threads keep their version while the owner changes its own.
#[test]
fn readers_keep_what_they_were_given() {
    const ROUNDS: u64 = if cfg!(miri) { 20 } else { 2000 };
    let mut owner = Shared::new(vec![0u64; 8]);
    thread::scope(|scope| {
        let (to_reader, from_owner) = std::sync::mpsc::channel::<(u64, Shared<Vec<u64>>)>();
        scope.spawn(move || {
            for (round, value) in from_owner {
                assert_eq!(*value, vec![round; 8]);
            }
        });
        for round in 1..=ROUNDS {
            for word in owner.make_mut() {
                *word = round;
            }
            to_reader.send((round, owner.clone())).expect("the reader waits");
        }
    });
    assert!(owner.iter().all(|&word| word == ROUNDS));
}
