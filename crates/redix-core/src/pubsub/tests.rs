use super::*;
use crate::env::Wake;

/// Counts its calls.
#[derive(Default)]
struct Bell(Arc<AtomicUsize>);

impl Wake for Bell {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Workers with their mailboxes, and the subscriptions of their clients.
struct World {
    pubsub: PubSub,
    registry: Registry,
    mailboxes: Vec<Arc<Mailbox>>,
    bells: Vec<Arc<AtomicUsize>>,
}

impl World {
    fn new(workers: usize) -> Self {
        let (registry, mut mailboxes, mut bells) = (Registry::default(), Vec::new(), Vec::new());
        for _ in 0..workers {
            let bell = Bell::default();
            bells.push(Arc::clone(&bell.0));
            let mailbox = Arc::new(Mailbox::new(Box::new(bell)));
            registry.add_worker(Arc::clone(&mailbox));
            mailboxes.push(mailbox);
        }
        Self { pubsub: PubSub::new(KeyHasher::new([7; 16])), registry, mailboxes, bells }
    }

    /// Publishes from a thread that is no worker; returns the number of receivers.
    fn publish(&self, channel: &str, text: &str, limit: u64) -> u64 {
        let (channel, text) = (channel.as_bytes(), text.as_bytes());
        let (receivers, message) = self.pubsub.prepare(Kind::Plain, channel, text);
        let mut to_wake = ToWake::new(usize::MAX);
        let _order = self.pubsub.order(message.iter());
        if let Some(message) = message {
            PubSub::send(&self.registry, message, limit, &mut to_wake);
        }
        receivers
    }

    /// The output that a worker's mail appends for one of its clients.
    fn receive(&self, place: Place) -> String {
        let mut reply = Reply::new(redix_resp::Proto::Resp2);
        for mail in self.mailboxes[place.worker].take() {
            let Mail::Deliver(delivery) = mail else { continue };
            for target in &delivery.targets {
                target.subscribers.each(target.number, |token| {
                    if token == place.token {
                        delivery.message.write_to(&mut reply, target.subscribers.pattern());
                    }
                });
                target.subscribers.arrived(delivery.message.len());
            }
        }
        let text = String::from_utf8(reply.take()).unwrap();
        text.split("\r\n")
            .filter(|line| !line.starts_with(['*', '$']))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn place(worker: usize, token: usize) -> Place {
    Place { worker, token }
}

#[test]
fn a_message_is_one_mail_for_each_worker_and_wakes_it_once() {
    let world = World::new(3);
    let mut sessions: Vec<Subscriptions> = (0..1000).map(|_| Subscriptions::default()).collect();
    for (token, session) in sessions.iter_mut().enumerate() {
        let place = place(token % 2, token);
        world.pubsub.subscribe(session, Kind::Plain, b"news", place);
        // A client of the same worker also subscribes by a pattern.
        world.pubsub.subscribe_pattern(session, b"n*", place);
    }
    assert_eq!(world.publish("news", "text", 0), 2000);
    let mail: Vec<Vec<Mail>> = world.mailboxes.iter().map(|mailbox| mailbox.take()).collect();
    let counts: Vec<usize> = mail.iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 1, 0]);
    let woken: Vec<usize> = world.bells.iter().map(|bell| bell.load(Ordering::Relaxed)).collect();
    assert_eq!(woken, [1, 1, 0]);
    let [Mail::Deliver(first)] = mail[0].as_slice() else { panic!("{:?}", mail[0]) };
    let [Mail::Deliver(second)] = mail[1].as_slice() else { panic!("{:?}", mail[1]) };
    assert!(Arc::ptr_eq(&first.message, &second.message), "it is encoded once");
    let mut reached = 0;
    first.targets.iter().for_each(|t| t.subscribers.each(t.number, |_| reached += 1));
    assert_eq!(reached, 1000);
}

#[test]
fn nobody_gets_what_was_published_before_or_after() {
    let world = World::new(1);
    let (mut first, mut second) = (Subscriptions::default(), Subscriptions::default());
    world.pubsub.subscribe(&mut first, Kind::Plain, b"a", place(0, 1));
    world.publish("a", "one", 0);
    world.pubsub.subscribe(&mut second, Kind::Plain, b"a", place(0, 2));
    assert_eq!(world.publish("a", "two", 0), 2);
    assert_eq!(world.receive(place(0, 2)), "message a two ");
    world.publish("a", "three", 0);
    let mut pending = Reply::new(redix_resp::Proto::Resp2);
    let before = |subscribers: &Arc<Subscribers>| {
        write_pending(subscribers, 1, &world.mailboxes[0], [].into_iter(), &mut pending);
    };
    assert!(world.pubsub.unsubscribe(&mut first, Kind::Plain, b"a", place(0, 1), before));
    assert!(String::from_utf8_lossy(pending.as_bytes()).contains("three"));
    assert_eq!(world.publish("a", "four", 0), 1);
    assert_eq!(world.receive(place(0, 1)), "");
    world.pubsub.leave(second, place(0, 2));
    assert_eq!(world.publish("a", "five", 0), 0);
    assert_eq!((world.pubsub.channel_count(Kind::Plain), world.mailboxes[0].take()), (0, vec![]));
}

#[test]
fn more_than_a_client_may_be_owed_is_not_kept_for_it() {
    let world = World::new(1);
    let mut session = Subscriptions::default();
    world.pubsub.subscribe(&mut session, Kind::Plain, b"a", place(0, 1));
    let text = "x".repeat(1000);
    (0..100).for_each(|_| assert_eq!(world.publish("a", &text, 16_000), 1));
    let mail = world.mailboxes[0].take();
    let delivered = mail.iter().filter(|mail| matches!(mail, Mail::Deliver(_))).count();
    let closes: Vec<&Target> = mail
        .iter()
        .filter_map(|mail| match mail {
            Mail::CloseSubscribers(target) => Some(target),
            _ => None,
        })
        .collect();
    assert_eq!((delivered, closes.len()), (15, 1));
    let mut closed = Vec::new();
    closes[0].subscribers.each(closes[0].number, |token| closed.push(token));
    assert_eq!(closed, [1]);
    // A client that subscribes after the others were closed receives what is published then.
    closes[0].subscribers.closed();
    closes[0]
        .subscribers
        .arrived(delivered * Message::new(Kind::Plain, b"a", text.as_bytes()).len());
    assert_eq!(world.publish("a", "small", 16_000), 1);
    assert_eq!(world.receive(place(0, 1)), "message a small ");
}

#[test]
fn names_of_one_hash_are_told_apart() {
    let table = Table::default();
    let (first, second) = (place(0, 1), place(0, 2));
    table.join(9, b"a", first);
    table.join(9, b"b", second);
    table.join(9, b"b", first);
    assert_eq!(table.channels.load(Ordering::Relaxed), 2);
    assert_eq!(count(&table.part(9).find(9, b"b").unwrap().groups), 2);
    table.leave(9, b"a", first, |_| {});
    assert!(table.part(9).find(9, b"a").is_none());
    assert_eq!(count(&table.part(9).find(9, b"b").unwrap().groups), 2);
    table.leave(9, b"b", first, |_| {});
    table.leave(9, b"b", second, |_| {});
    assert_eq!(table.channels.load(Ordering::Relaxed), 0);
    assert!(table.part(9).0.is_empty());
}

#[test]
fn patterns_come_and_go() {
    let world = World::new(2);
    let (mut first, mut second) = (Subscriptions::default(), Subscriptions::default());
    for pattern in [&b"a*"[..], b"?b", b"a*"] {
        world.pubsub.subscribe_pattern(&mut first, pattern, place(0, 1));
    }
    world.pubsub.subscribe_pattern(&mut second, b"a*", place(1, 1));
    assert_eq!(world.pubsub.pattern_count(), 2);
    assert_eq!(world.publish("ab", "x", 0), 3);
    assert_eq!(world.receive(place(0, 1)), "pmessage ?b ab x pmessage a* ab x ");
    assert!(world.pubsub.unsubscribe_pattern(&mut first, b"a*", place(0, 1), |_| {}));
    assert!(!world.pubsub.unsubscribe_pattern(&mut first, b"a*", place(0, 1), |_| {}));
    assert_eq!(world.publish("ab", "y", 0), 2);
    world.pubsub.leave(first, place(0, 1));
    world.pubsub.leave(second, place(1, 1));
    assert_eq!((world.pubsub.pattern_count(), world.publish("ab", "z", 0)), (0, 0));
    // Patterns do not match shard channels.
    let mut third = Subscriptions::default();
    world.pubsub.subscribe_pattern(&mut third, b"*", place(0, 1));
    assert_eq!(world.pubsub.prepare(Kind::Shard, b"ab", b"z").0, 0);
}
