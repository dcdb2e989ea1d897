//! Gates, lock plans, mailboxes and waits under random schedules of the model checker.
//!
//! Compiled only under `--cfg shuttle` (`cargo xtask test` runs it so). A schedule that fails is
//! printed by shuttle and can be replayed with `shuttle::replay`. A deadlock is a failure.
#![cfg(shuttle)]

use redix_core::blocking::{Acknowledgement, Address, Blocking, Waiter};
use redix_core::env::Wake;
use redix_core::error::ReplyError;
use redix_core::keyspace::Keyspace;
use redix_core::keyspace::access::Held;
use redix_core::keyspace::gate::Gates;
use redix_core::mailbox::{Mail, Mailbox, WaitEnd};
use redix_core::sync::Arc;
use redix_core::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use redix_resp::reply::Proto;
use shuttle::sync::mpsc::{Sender, channel};
use shuttle::thread;

const SCHEDULES: usize = 2_000;

/// While the world is held, no gate is; and both threads get their turn.
#[test]
fn the_world_is_alone() {
    shuttle::check_random(
        || {
            let gates = Arc::new(Gates::new(2));
            let inside = Arc::new(AtomicUsize::new(0));
            let alone = Arc::new(AtomicBool::new(false));
            let workers: Vec<_> = (0..2)
                .map(|index| {
                    let (gates, inside, alone) =
                        (Arc::clone(&gates), Arc::clone(&inside), Arc::clone(&alone));
                    thread::spawn(move || {
                        for _ in 0..3 {
                            let gate = gates.enter(index);
                            inside.fetch_add(1, Ordering::SeqCst);
                            assert!(!alone.load(Ordering::SeqCst), "a gate beside the world");
                            thread::yield_now();
                            assert!(!alone.load(Ordering::SeqCst), "a gate beside the world");
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(gate);
                        }
                    })
                })
                .collect();
            for _ in 0..2 {
                let world = gates.world();
                alone.store(true, Ordering::SeqCst);
                assert_eq!(inside.load(Ordering::SeqCst), 0, "the world beside a gate");
                thread::yield_now();
                assert_eq!(inside.load(Ordering::SeqCst), 0, "the world beside a gate");
                alone.store(false, Ordering::SeqCst);
                drop(world);
            }
            workers.into_iter().for_each(|worker| worker.join().expect("it did not panic"));
        },
        SCHEDULES,
    );
}

/// Two worlds at once exclude each other as well.
#[test]
fn worlds_exclude_each_other() {
    shuttle::check_random(
        || {
            let gates = Arc::new(Gates::new(1));
            let holders = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (gates, holders) = (Arc::clone(&gates), Arc::clone(&holders));
                    thread::spawn(move || {
                        let world = gates.world();
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(world);
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it did not panic"));
        },
        SCHEDULES,
    );
}

/// Plans over the same shards never deadlock, and what is done under one is seen whole.
#[test]
fn plans_are_atomic() {
    shuttle::check_random(
        || {
            let keyspace = Arc::new(Keyspace::new(1, 3, [7; 16]));
            let accounts = Arc::new([AtomicI64::new(50), AtomicI64::new(50)]);
            let movers: Vec<_> = (0..2)
                .map(|index| {
                    let (keyspace, accounts) = (Arc::clone(&keyspace), Arc::clone(&accounts));
                    thread::spawn(move || {
                        let gate = keyspace.gates().enter(index);
                        let mut held = Held::nothing(&keyspace);
                        held.lock_plan(&[3, 900]);
                        let amount = 10 + index as i64;
                        accounts[index].fetch_sub(amount, Ordering::SeqCst);
                        thread::yield_now();
                        accounts[1 - index].fetch_add(amount, Ordering::SeqCst);
                        held.release();
                        drop(gate);
                    })
                })
                .collect();
            let gate = keyspace.gates().enter(2);
            let mut held = Held::nothing(&keyspace);
            held.lock_plan(&[3, 900]);
            let sum: i64 = accounts.iter().map(|account| account.load(Ordering::SeqCst)).sum();
            assert_eq!(sum, 100);
            held.release();
            drop(gate);
            movers.into_iter().for_each(|mover| mover.join().expect("it did not panic"));
        },
        200,
    );
}

struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(&self) {
        // The receiver is gone once it has all it waits for.
        self.0.send(()).ok();
    }
}

/// A receiver that waits for its bell and then takes everything misses no message.
#[test]
fn no_message_is_missed() {
    shuttle::check_random(
        || {
            let (bell, heard) = channel();
            let mailbox = Arc::new(Mailbox::new(Box::new(Bell(bell))));
            let posters: Vec<_> = (0..2)
                .map(|poster| {
                    let mailbox = Arc::clone(&mailbox);
                    thread::spawn(move || {
                        for number in 0..2 {
                            mailbox.post(Mail::Kill { client: poster * 10 + number, token: 0 });
                        }
                    })
                })
                .collect();
            let mut got = Vec::new();
            while got.len() < 4 {
                heard.recv().expect("a message is still to come");
                got.extend(mailbox.take());
            }
            for poster in 0..2 {
                let order: Vec<u64> = got
                    .iter()
                    .filter_map(|mail| match mail {
                        Mail::Kill { client, .. } if client / 10 == poster => Some(client % 10),
                        _ => None,
                    })
                    .collect();
                assert_eq!(order, [0, 1], "each thread's messages keep their order");
            }
            posters.into_iter().for_each(|poster| poster.join().expect("it did not panic"));
        },
        SCHEDULES,
    );
}

/// Serving, the deadline, UNBLOCK and the end of the connection all at once: exactly one of them
/// ends the wait, and the client is answered once, or never if its end won.
#[test]
fn one_end_of_a_wait_wins() {
    shuttle::check_random(
        || {
            let (bell, _heard) = channel();
            let mailbox = Arc::new(Mailbox::new(Box::new(Bell(bell))));
            let address =
                Address { client: 1, token: 0, mailbox: Arc::clone(&mailbox), proto: Proto::Resp2 };
            let waiter = Waiter::new(address, Some(1), Arc::new(AtomicU32::new(0)), 1);
            let taken = Arc::new(AtomicUsize::new(0));
            let ends: [fn(&Waiter, &AtomicUsize) -> bool; 4] = [
                |waiter, taken| {
                    waiter.serve(|reply| {
                        taken.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        reply.int(1);
                    })
                },
                |waiter, _| waiter.end(WaitEnd::TimedOut),
                |waiter, _| waiter.end(WaitEnd::Failed(ReplyError::Static("UNBLOCKED"))),
                |waiter, _| waiter.claim(),
            ];
            let threads = ends.map(|end| {
                let (waiter, taken) = (Arc::clone(&waiter), Arc::clone(&taken));
                thread::spawn(move || end(&waiter, &taken))
            });
            let won = threads.map(|thread| thread.join().expect("it did not panic"));
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
            assert_eq!(taken.load(Ordering::SeqCst), usize::from(won[0]));
            let answers = mailbox.take().len();
            assert_eq!(answers, usize::from(!won[3]));
        },
        SCHEDULES,
    );
}

/// Whoever waits for an acknowledgement that comes meanwhile is served, by one side or the other.
#[test]
fn no_acknowledgement_is_missed() {
    shuttle::check_random(
        || {
            let (bell, heard) = channel();
            let mailbox = Arc::new(Mailbox::new(Box::new(Bell(bell))));
            let blocking = Arc::new(Blocking::default());
            let reached = Arc::new(AtomicU64::new(0));
            let replica = {
                let (blocking, reached) = (Arc::clone(&blocking), Arc::clone(&reached));
                thread::spawn(move || {
                    for offset in [5, 10] {
                        reached.store(offset, Ordering::SeqCst);
                        let count = |wanted| i64::from(reached.load(Ordering::SeqCst) >= wanted);
                        blocking.offsets.acknowledge(count);
                    }
                })
            };
            let address =
                Address { client: 1, token: 0, mailbox: Arc::clone(&mailbox), proto: Proto::Resp2 };
            let waiter = Waiter::new(address, None, Arc::new(AtomicU32::new(0)), 1);
            let wanted = Acknowledgement { offset: 7, replicas: 1 };
            let count = |wanted| i64::from(reached.load(Ordering::SeqCst) >= wanted);
            blocking.offsets.wait(&waiter, wanted, count);
            heard.recv().expect("the wait is served");
            replica.join().expect("it did not panic");
            assert!(waiter.is_over());
            assert_eq!(mailbox.take().len(), 1);
        },
        SCHEDULES,
    );
}
