//! Identifiers of producers against a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Add { producer: u8, iid: u8, pass_ms: u64 },
    Record { producer: u8, iid: u8, back: u64 },
    SetWindow(Window),
    Snapshot,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let window = (1..4u32, 1..6u32).prop_map(|(duration_s, max)| Window { duration_s, max });
    let op = prop_oneof![
        20 => (0..4u8, 0..10u8, 0..700u64)
            .prop_map(|(producer, iid, pass_ms)| Op::Add { producer, iid, pass_ms }),
        3 => (0..4u8, 0..10u8, 0..3000u64)
            .prop_map(|(producer, iid, back)| Op::Record { producer, iid, back }),
        1 => window.prop_map(Op::SetWindow),
        1 => Just(Op::Snapshot),
    ];
    prop::collection::vec(op, 1..300)
}

/// What is known, in the order of the entries.
#[derive(Clone, Default)]
struct Model {
    window: Window,
    known: Vec<(StreamId, u8, u8)>,
}

impl Model {
    fn find(&self, producer: u8, iid: u8, now_ms: u64) -> Option<StreamId> {
        let found = self.known.iter().find(|(_, p, i)| (*p, *i) == (producer, iid))?;
        (found.0.ms + 1000 * u64::from(self.window.duration_s) > now_ms).then_some(found.0)
    }

    fn record(&mut self, producer: u8, iid: u8, id: StreamId) {
        self.known.retain(|(_, p, i)| (*p, *i) != (producer, iid));
        self.known.push((id, producer, iid));
        self.known.sort_unstable();
        if self.known.iter().filter(|(_, p, _)| *p == producer).count() > self.window.max as usize {
            let oldest = self.known.iter().position(|(_, p, _)| *p == producer).expect("there is");
            self.known.remove(oldest);
        }
    }

    fn counts(&self, now_ms: u64) -> (usize, usize) {
        let live = |(_, p, i): &&(StreamId, u8, u8)| self.find(*p, *i, now_ms).is_some();
        let mut producers: Vec<u8> = self.known.iter().filter(live).map(|one| one.1).collect();
        let count = producers.len();
        producers.dedup();
        producers.sort_unstable();
        producers.dedup();
        (producers.len(), count)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_was_added_is_known_within_the_window(ops in ops()) {
        let mut idempotence = Idempotence::default();
        let mut model = Model::default();
        let mut snapshots = Vec::new();
        let (mut now_ms, mut seq, mut added) = (10_000u64, 0, 0);
        for op in ops {
            match op {
                Op::Add { producer, iid, pass_ms } => {
                    now_ms += pass_ms;
                    let found = idempotence.find(&[producer], &[iid], now_ms as i64);
                    prop_assert_eq!(found, model.find(producer, iid, now_ms));
                    if found.is_none() {
                        seq += 1;
                        let id = StreamId { ms: now_ms, seq };
                        idempotence.record(&[producer], &[iid], id, now_ms as i64);
                        model.record(producer, iid, id);
                        added += 1;
                        let found = idempotence.find(&[producer], &[iid], now_ms as i64);
                        prop_assert_eq!(found, Some(id));
                    }
                }
                Op::Record { producer, iid, back } => {
                    seq += 1;
                    let id = StreamId { ms: now_ms - back, seq };
                    idempotence.record(&[producer], &[iid], id, now_ms as i64);
                    model.record(producer, iid, id);
                    added += 1;
                }
                Op::SetWindow(window) => {
                    idempotence.set_window(window);
                    if window != model.window {
                        model = Model { window, known: Vec::new() };
                    }
                }
                Op::Snapshot => snapshots.push((idempotence.clone(), model.clone(), now_ms)),
            }
            idempotence.check();
            prop_assert_eq!(idempotence.added, added);
            prop_assert_eq!(idempotence.counts(now_ms as i64), model.counts(now_ms));
        }
        for (snapshot, model, now_ms) in snapshots {
            snapshot.check();
            for (producer, iid) in (0..4u8).flat_map(|p| (0..10u8).map(move |i| (p, i))) {
                let found = snapshot.find(&[producer], &[iid], now_ms as i64);
                prop_assert_eq!(found, model.find(producer, iid, now_ms));
            }
        }
        let mut copy = Idempotence::default();
        copy.set_window(idempotence.window());
        for (producer, entries) in idempotence.producers() {
            entries.for_each(|(id, iid)| copy.restore(producer, iid, id));
        }
        copy.check();
        prop_assert_eq!(copy.counts(now_ms as i64), idempotence.counts(now_ms as i64));
        while !idempotence.free_step(7) {}
    }
}
