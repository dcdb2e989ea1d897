//! Gates, lock plans, mailboxes and waits under random schedules of the model checker.
//!
//! Compiled only under `--cfg shuttle` (`cargo xtask test` does so). A failing schedule is printed
//! by shuttle and can be replayed with `shuttle::replay`. A deadlock is a failure.
#![cfg(shuttle)]

use redix_core::blocking::{Acknowledged, Acknowledgement, Address, Blocking, Waiter};
use redix_core::channel::{Kind, Subscribers};
use redix_core::env::Wake;
use redix_core::error::ReplyError;
use redix_core::keyspace::Keyspace;
use redix_core::keyspace::access::Held;
use redix_core::keyspace::gate::Gates;
use redix_core::mailbox::{Mail, Mailbox, WaitEnd};
use redix_core::pubsub::{Place, PubSub, Subscriptions, ToWake, write_pending};
use redix_core::registry::Registry;
use redix_core::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use redix_core::sync::{Arc, Mutex, lock};
use redix_resp::reply::{Proto, Reply};
use redix_types::KeyHasher;
use shuttle::sync::mpsc::{Sender, channel};
use shuttle::thread;

const SCHEDULES: usize = 2_000;

/// No gate is held together with the world; and both threads make progress.
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

/// Who gives up where a script is busy gets a gate or the world only after it, and gives up
/// only while one is busy.
#[test]
fn nobody_waits_for_a_busy_script() {
    shuttle::check_random(
        || {
            let gates = Arc::new(Gates::new(2));
            let (busy, alone) =
                (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let others: Vec<_> = (0..2)
                .map(|index| {
                    let (gates, busy, alone) =
                        (Arc::clone(&gates), Arc::clone(&busy), Arc::clone(&alone));
                    thread::spawn(move || {
                        for _ in 0..3 {
                            if let Some(gate) = gates.try_enter(index) {
                                assert!(!alone.load(Ordering::SeqCst), "a gate beside the world");
                                drop(gate);
                            }
                            if let Some(world) = gates.try_world() {
                                assert!(!alone.load(Ordering::SeqCst), "a world beside another");
                                drop(world);
                            } else {
                                assert!(busy.load(Ordering::SeqCst), "nobody was ever busy");
                            }
                        }
                    })
                })
                .collect();
            let world = gates.world();
            alone.store(true, Ordering::SeqCst);
            busy.store(true, Ordering::SeqCst);
            gates.set_busy(true);
            thread::yield_now();
            alone.store(false, Ordering::SeqCst);
            gates.set_busy(false);
            drop(world);
            others.into_iter().for_each(|other| other.join().expect("it did not panic"));
            assert!(gates.try_enter(0).is_some());
            assert!(gates.try_world().is_some());
        },
        SCHEDULES,
    );
}

/// Two worlds exclude each other.
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

/// Plans over the same shards never deadlock, and are atomic.
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
        // Ignored: the receiver ends once it has everything.
        self.0.send(()).ok();
    }
}

/// A receiver that waits for its waker and then takes everything misses no message.
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

/// Serving, the deadline, UNBLOCK and the end of the connection concurrently: exactly one of them
/// ends the wait, and the client gets one reply, or none if its end won.
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

/// Whether the one replica has reached what a client waits for.
fn acknowledged(reached: &AtomicU64, wanted: &Acknowledgement) -> Acknowledged {
    let has = reached.load(Ordering::SeqCst) >= wanted.offset;
    Acknowledged { replicas: i64::from(has), files: 0 }
}

/// A client that waits for a concurrent acknowledgement is served, by one side or the other.
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
                        blocking.offsets.acknowledge(|wanted| acknowledged(&reached, wanted));
                    }
                })
            };
            let address =
                Address { client: 1, token: 0, mailbox: Arc::clone(&mailbox), proto: Proto::Resp2 };
            let waiter = Waiter::new(address, None, Arc::new(AtomicU32::new(0)), 1);
            let wanted = Acknowledgement { offset: 7, replicas: 1, files: None };
            blocking.offsets.wait(&waiter, wanted, |wanted| acknowledged(&reached, wanted));
            heard.recv().expect("the wait is served");
            replica.join().expect("it did not panic");
            assert!(waiter.is_over());
            assert_eq!(mailbox.take().len(), 1);
        },
        SCHEDULES,
    );
}

/// Two workers' mailboxes and a substitute for the log.
struct Channels {
    pubsub: PubSub,
    registry: Registry,
    mailboxes: [Arc<Mailbox>; 2],
    log: Mutex<Vec<u64>>,
}

impl Channels {
    fn new() -> Self {
        let (bell, _) = channel();
        let registry = Registry::default();
        let mailboxes = [(); 2].map(|()| Arc::new(Mailbox::new(Box::new(Bell(bell.clone())))));
        mailboxes.iter().for_each(|mailbox| registry.add_worker(Arc::clone(mailbox)));
        let pubsub = PubSub::new(KeyHasher::new([7; 16]));
        Self { pubsub, registry, mailboxes, log: Mutex::new(Vec::new()) }
    }

    /// Publishes as a unit does: recipients first, then log and mail.
    fn publish(&self, number: u64) -> u64 {
        let text = number.to_string();
        let (receivers, message) = self.pubsub.prepare(Kind::Plain, b"news", text.as_bytes());
        thread::yield_now();
        let mut to_wake = ToWake::new(usize::MAX);
        let _order = self.pubsub.order(message.iter());
        lock(&self.log).push(number);
        if let Some(message) = message {
            PubSub::send(&self.registry, message, 0, &mut to_wake);
        }
        receivers
    }

    /// The texts that the connection in a slot of a worker receives.
    fn receive(&self, worker: usize, token: usize) -> Vec<u64> {
        let mut reply = Reply::new(Proto::Resp2);
        for mail in self.mailboxes[worker].take() {
            let Mail::Deliver(delivery) = mail else { continue };
            for target in &delivery.targets {
                target.subscribers.each(target.number, |other| {
                    if other == token {
                        delivery.message.write_to(&mut reply, target.subscribers.pattern());
                    }
                });
            }
        }
        numbers(&reply)
    }
}

/// The published numbers among some messages.
fn numbers(reply: &Reply) -> Vec<u64> {
    let text = String::from_utf8_lossy(reply.as_bytes()).into_owned();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Messages of one channel have one order in the log and for the subscribers of all workers.
#[test]
fn messages_of_a_channel_have_one_order() {
    shuttle::check_random(
        || {
            let channels = Arc::new(Channels::new());
            let mut sessions = [Subscriptions::default(), Subscriptions::default()];
            for (worker, session) in sessions.iter_mut().enumerate() {
                let place = Place { worker, token: 1 };
                channels.pubsub.subscribe(session, Kind::Plain, b"news", place);
            }
            let publishers = [1, 2].map(|first| {
                let channels = Arc::clone(&channels);
                thread::spawn(move || {
                    for number in [first * 10, first * 10 + 1] {
                        assert_eq!(channels.publish(number), 2);
                    }
                })
            });
            publishers
                .into_iter()
                .for_each(|publisher| publisher.join().expect("it did not panic"));
            let log = lock(&channels.log).clone();
            assert_eq!(log.len(), 4);
            assert_eq!(channels.receive(0, 1), log);
            assert_eq!(channels.receive(1, 1), log);
        },
        SCHEDULES,
    );
}

/// A client that subscribes and unsubscribes during publishing receives each message that counted
/// it, before its unsubscription is confirmed, none that was published before it subscribed, and
/// none twice. Another one that unsubscribes meanwhile does not affect it.
#[test]
fn a_subscriber_gets_what_counted_it() {
    shuttle::check_random(
        || {
            let channels = Arc::new(Channels::new());
            channels.publish(1);
            let counted = Arc::new(AtomicU64::new(0));
            let publisher = {
                let (channels, counted) = (Arc::clone(&channels), Arc::clone(&counted));
                thread::spawn(move || {
                    for number in 2..5 {
                        counted.fetch_add(channels.publish(number), Ordering::SeqCst);
                    }
                })
            };
            let leaver = {
                let channels = Arc::clone(&channels);
                thread::spawn(move || {
                    let (mut session, place) =
                        (Subscriptions::default(), Place { worker: 1, token: 2 });
                    channels.pubsub.subscribe_pattern(&mut session, b"nothing*", place);
                    channels.pubsub.leave(session, place);
                })
            };
            let (mut session, place) = (Subscriptions::default(), Place { worker: 0, token: 1 });
            channels.pubsub.subscribe(&mut session, Kind::Plain, b"news", place);
            let mut got = channels.receive(0, 1);
            thread::yield_now();
            publisher.join().expect("it did not panic");
            let mut pending = Reply::new(Proto::Resp2);
            let before = |subscribers: &Arc<Subscribers>| {
                let mailbox = &channels.mailboxes[0];
                write_pending(subscribers, place.token, mailbox, [].into_iter(), &mut pending);
            };
            channels.pubsub.unsubscribe(&mut session, Kind::Plain, b"news", place, before);
            got.extend(numbers(&pending));
            leaver.join().expect("it did not panic");
            assert_eq!(got.len() as u64, counted.load(Ordering::SeqCst), "{got:?}");
            assert!(got.is_sorted_by(|a, b| a < b) && !got.contains(&1), "{got:?}");
            assert_eq!(channels.receive(0, 1), [] as [u64; 0]);
            assert_eq!(channels.publish(9), 0);
        },
        SCHEDULES,
    );
}
