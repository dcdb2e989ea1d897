use super::*;
use crate::env::Wake;

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

const BIT: u32 = 4;

struct Bench {
    mailbox: Arc<Mailbox>,
    flags: Arc<AtomicU32>,
}

impl Bench {
    fn new() -> Self {
        Self { mailbox: Arc::new(Mailbox::new(Box::new(NoWake))), flags: Arc::default() }
    }

    fn waiter(&self, client: u64) -> Arc<Waiter> {
        let mailbox = Arc::clone(&self.mailbox);
        let address = Address { client, token: 0, mailbox, proto: Proto::Resp2 };
        Waiter::new(address, None, Arc::clone(&self.flags), BIT)
    }

    /// The replies delivered since the last call, in order, as (client id, text).
    fn answered(&self) -> Vec<(u64, String)> {
        let mail = self.mailbox.take().into_iter();
        mail.map(|mail| match mail {
            Mail::Unblocked { client, end: WaitEnd::Served(bytes), .. } => {
                (client, String::from_utf8(bytes).expect("a reply of ASCII"))
            }
            other => panic!("not served: {other:?}"),
        })
        .collect()
    }
}

#[test]
fn only_the_first_claim_answers() {
    let bench = Bench::new();
    let waiter = bench.waiter(7);
    assert_eq!(bench.flags.load(Ordering::Relaxed), BIT);
    assert!(waiter.serve(|reply| reply.int(1)));
    assert_eq!(bench.flags.load(Ordering::Relaxed), 0, "it no longer counts as blocked");
    assert!(!waiter.serve(|_| panic!("what is over must not be taken from")));
    assert!(!waiter.end(WaitEnd::TimedOut));
    assert!(!waiter.claim());
    assert_eq!(bench.answered(), [(7, ":1\r\n".to_owned())]);
}

#[test]
fn the_longest_waiting_is_offered_first() {
    let bench = Bench::new();
    let mut queue = WaitQueue::default();
    let waiters: Vec<_> = (1..=4).map(|client| bench.waiter(client)).collect();
    waiters.iter().for_each(|waiter| queue.push(Arc::clone(waiter), ()));
    waiters[1].claim();
    let mut met = Vec::new();
    queue.offer(|waiter, ()| {
        met.push(waiter.client());
        waiter.client() == 3
    });
    assert_eq!(met, [1, 3, 4], "one whose wait was over is not offered");
    assert_eq!(queue.len(), 2, "and both it and the one that was served are dropped");
}

#[test]
fn waits_that_are_over_do_not_pile_up() {
    let bench = Bench::new();
    let mut queue = WaitQueue::default();
    let kept = bench.waiter(0);
    queue.push(Arc::clone(&kept), ());
    for client in 1..10_000 {
        let waiter = bench.waiter(client);
        queue.push(Arc::clone(&waiter), ());
        waiter.claim();
        assert!(queue.len() <= SWEEP_MIN, "{} registrations for one waiter", queue.len());
    }
    let mut met = 0;
    queue.offer(|waiter, ()| {
        assert!(Arc::ptr_eq(waiter, &kept));
        met += 1;
        false
    });
    assert_eq!(met, 1);
}

#[test]
fn an_acknowledgement_serves_those_that_it_satisfies() {
    let bench = Bench::new();
    let offsets = Offsets::default();
    let none = Acknowledged { replicas: 0, files: 0 };
    for (client, offset, replicas) in [(1, 100, 1), (2, 100, 2), (3, 200, 1)] {
        let wanted = Acknowledgement { offset, replicas, files: None };
        offsets.wait(&bench.waiter(client), wanted, |_| none);
    }
    let wanted = Acknowledgement { offset: 300, replicas: 0, files: Some(1) };
    offsets.wait(&bench.waiter(4), wanted, |_| none);
    let replicas = [150, 120];
    let has = |wanted: &Acknowledgement| replicas.iter().filter(|at| **at >= wanted.offset).count();
    offsets.acknowledge(|wanted| Acknowledged { replicas: has(wanted) as i64, files: 0 });
    assert_eq!(bench.answered(), [(1, ":2\r\n".to_owned()), (2, ":2\r\n".to_owned())]);
    offsets.acknowledge(|_| Acknowledged { replicas: 3, files: 0 });
    assert_eq!(bench.answered(), [(3, ":3\r\n".to_owned())]);
    assert!(!offsets.is_empty());
    offsets.acknowledge(|_| Acknowledged { replicas: 3, files: 1 });
    assert_eq!(bench.answered(), [(4, "*2\r\n:1\r\n:3\r\n".to_owned())]);
    assert!(offsets.is_empty());
}

#[test]
fn an_acknowledgement_during_the_registration_is_not_missed() {
    let bench = Bench::new();
    let offsets = Offsets::default();
    let wanted = Acknowledgement { offset: 10, replicas: 1, files: None };
    offsets.wait(&bench.waiter(1), wanted, |_| Acknowledged { replicas: 1, files: 0 });
    assert_eq!(bench.answered(), [(1, ":1\r\n".to_owned())]);
}
