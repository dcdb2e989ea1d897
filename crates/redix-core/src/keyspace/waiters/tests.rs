//! Registrations keep their order and do not pile up.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::sync::atomic::{AtomicBool, Ordering};

struct Wait {
    name: usize,
    over: AtomicBool,
}

impl KeyInterest for Wait {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
    fn needs_other_keys(&self) -> bool {
        self.name == 7
    }
}

fn wait(name: usize) -> Arc<Wait> {
    Arc::new(Wait { name, over: AtomicBool::new(false) })
}

fn names(queue: Queue) -> Vec<usize> {
    let name = |interest: Arc<dyn KeyInterest>| {
        let any: Arc<dyn Any + Send + Sync> = interest;
        any.downcast::<Wait>().unwrap().name
    };
    queue.into_iter().map(name).collect()
}

#[test]
fn the_longest_waiting_comes_first() {
    let mut waiters = Waiters::default();
    for name in [3, 1, 2] {
        waiters.push(0, b"k", wait(name));
    }
    waiters.push(1, b"k", wait(9));
    assert_eq!(waiters.keys(0).count(), 1);
    assert_eq!(names(waiters.take(0, b"k").unwrap()), [3, 1, 2]);
    assert!(waiters.take(0, b"k").is_none());
    assert!(!waiters.is_empty());
}

#[test]
fn what_is_over_does_not_pile_up() {
    let mut waiters = Waiters::default();
    for name in 0..10_000 {
        let one = wait(name);
        waiters.push(0, format!("k{name}").as_bytes(), Arc::clone(&one) as Arc<dyn KeyInterest>);
        one.over.store(true, Ordering::Relaxed);
    }
    assert!(waiters.queues.len() <= 2 * SWEEP_MIN, "{}", waiters.queues.len());
}

#[test]
fn only_live_waiters_need_other_keys() {
    let mut waiters = Waiters::default();
    let far = wait(7);
    waiters.push(0, b"k", Arc::clone(&far) as Arc<dyn KeyInterest>);
    assert!(waiters.need_other_keys());
    far.over.store(true, Ordering::Relaxed);
    assert!(!waiters.need_other_keys());
}
