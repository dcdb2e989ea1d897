//! Streams against a sorted map of entries, through trims, deletions, groups and snapshots.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::entry::IntBuf;

type Pairs = Vec<Vec<u8>>;

fn id(ms: u64) -> StreamId {
    StreamId { ms, seq: 0 }
}

fn texts(entry: Entry<'_>) -> Pairs {
    let mut buf = IntBuf::new();
    entry.parts().map(|part| part.text(&mut buf).to_vec()).collect()
}

impl Stream {
    /// All invariants.
    fn check(&self) {
        self.nodes.check();
        self.groups.check();
        let (mut len, mut blocks, mut last) = (0, 0, None);
        for (master, node) in self.nodes.iter() {
            let bytes = node::bytes(&node.block);
            assert!(node::validate(bytes, *master, last), "T1: {bytes:?} behind {last:?}");
            assert_eq!(i64::from(node.live), node::Head::read(bytes).live, "T2");
            assert_eq!(node.entries(*master).count(), node.live as usize, "T2");
            last = node.entries(*master).last_id();
            len += u64::from(node.live);
            blocks += node.block.size();
        }
        assert!(last <= Some(self.last_id), "T1");
        assert_eq!((self.len, self.blocks), (len, blocks), "T2");
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        assert_eq!(self.first_id, first.map_or(StreamId::MIN, |entry| entry.id), "T2");
        self.groups.iter().for_each(|(_, group)| group.check());
        let groups = self.groups.iter().map(|(name, group)| group_memory(name, group));
        let open = self.open.as_ref().map_or(0, |name| self.group_memory(name));
        assert_eq!(self.groups_memory + open, groups.sum::<usize>(), "the memory of groups");
    }

    fn contents(&self) -> Vec<(StreamId, Pairs)> {
        self.range(StreamId::MIN, StreamId::MAX).map(|entry| (entry.id, texts(entry))).collect()
    }
}

impl Group {
    fn check(&self) {
        self.pending().check();
        let names = self.consumers().map(|consumer| group::name_memory(&consumer.name));
        assert_eq!(self.names, names.sum::<usize>(), "the memory of names");
        let mut listed = 0;
        for consumer in self.consumers() {
            consumer.pending().check();
            let number = self.find_consumer(&consumer.name).expect("T3");
            listed += consumer.pending().len();
            for (id, ()) in consumer.pending().iter() {
                assert_eq!(self.pending().get(id).map(|p| p.consumer), Some(number), "T3");
            }
        }
        assert_eq!(listed, self.pending().len(), "T3");
        let mut times: Vec<_> =
            self.pending().iter().map(|(id, one)| (one.delivered_ms, *id)).collect();
        times.sort_unstable();
        let until = |ms| times.iter().filter(move |time| time.0 <= ms).map(|time| time.1);
        let median = times.get(times.len() / 2).map_or(0, |time| time.0);
        let expected: BTreeSet<StreamId> = until(median).collect();
        assert_eq!(self.delivered_until(median).collect::<BTreeSet<_>>(), expected, "T4");
        if let Some(by_time) = &self.by_time {
            by_time.check();
            assert_eq!(by_time.iter().map(|(time, ())| *time).collect::<Vec<_>>(), times, "T4");
            assert!(self.delivered_until(median).eq(until(median)), "T4");
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append { gap: u64, fields: usize, odd: bool, len: usize },
    Delete(u64),
    Trim { cut: Cut, approximate: bool, limit: u64, keep: Refusal },
    Range(u64, u64),
    Deliver { id: u64, consumer: u8, at_ms: i64 },
    ByDelivery,
    Release(u64),
    Acknowledge(u64),
    DeleteConsumer(u8),
    Snapshot,
    Reload,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let cut =
        prop_oneof![(0..400u64).prop_map(Cut::Len), (0..900u64).prop_map(|n| Cut::From(id(n)))];
    let keep = prop_oneof![
        4 => Just(Refusal::None),
        1 => Just(Refusal::Forgotten),
        1 => Just(Refusal::Referenced),
    ];
    let op = prop_oneof![
        30 => (1..4u64, 1..4usize, prop::bool::weighted(0.1), 0..90usize)
            .prop_map(|(gap, fields, odd, len)| Op::Append { gap, fields, odd, len }),
        10 => (0..900u64).prop_map(Op::Delete),
        1 => (cut, any::<bool>(), prop_oneof![Just(0u64), 1..200u64], keep).prop_map(
            |(cut, approximate, limit, keep)| Op::Trim {
                cut,
                approximate,
                limit: if approximate { limit } else { 0 },
                keep,
            }
        ),
        3 => (0..900u64, 0..900u64).prop_map(|(a, b)| Op::Range(a, b)),
        6 => (0..900u64, 0..5u8, 0..20i64)
            .prop_map(|(id, consumer, at_ms)| Op::Deliver { id, consumer, at_ms }),
        1 => Just(Op::ByDelivery),
        3 => (0..900u64).prop_map(Op::Release),
        3 => (0..900u64).prop_map(Op::Acknowledge),
        1 => (0..5u8).prop_map(Op::DeleteConsumer),
        1 => Just(Op::Snapshot),
        1 => Just(Op::Reload),
    ];
    prop::collection::vec(op, 1..700)
}

/// A consumer that is none.
const NOBODY: u8 = u8::MAX;

/// The naive stream.
#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Pairs>,
    pending: BTreeMap<StreamId, u8>,
    /// What belongs to [`NOBODY`], in the order of the releases, and what no longer does.
    released: Vec<StreamId>,
    last: u64,
}

impl Model {
    /// What an exact trim leaves.
    fn trim(&mut self, cut: Cut, keep: Refusal, group: &Group) {
        let refers = |id| group.last_id < id || group.pending().get(&id).is_some();
        let mut gone = Vec::new();
        for id in self.entries.keys() {
            let goes = match cut {
                Cut::Len(len) => (self.entries.len() - gone.len()) as u64 > len,
                Cut::From(first) => *id < first,
            };
            if !goes {
                break;
            }
            if keep != Refusal::Referenced || !refers(*id) {
                gone.push(*id);
            }
        }
        for id in gone {
            self.entries.remove(&id);
            if keep == Refusal::Forgotten {
                self.pending.remove(&id);
            }
        }
    }
}

fn consumer_of(group: &mut Group, consumer: u8) -> u32 {
    let name = [b'c', consumer];
    match group.find_consumer(&name) {
        Some(number) => number,
        None => group.create_consumer(&name, 5, -1),
    }
}

fn apply(stream: &mut Stream, model: &mut Model, op: &Op, limits: Limits) {
    match *op {
        Op::Append { gap, fields, odd, len } => {
            model.last += gap;
            let name = |at: usize| format!("{}{at}", if odd { "other" } else { "field" });
            let pairs: Pairs = (0..fields)
                .flat_map(|at| [name(at).into_bytes(), vec![b'0' + (len % 10) as u8; len]])
                .collect();
            let parts = pairs.iter().map(Vec::as_slice);
            stream.append(id(model.last), parts, limits).unwrap();
            model.entries.insert(id(model.last), pairs);
        }
        Op::Delete(ms) => {
            assert_eq!(stream.delete(id(ms)), model.entries.remove(&id(ms)).is_some());
        }
        Op::Trim { cut, approximate, limit, keep } => {
            let before: Vec<_> = model.entries.keys().copied().collect();
            let group = stream.group(b"g").unwrap().clone();
            let (deleted, garbage) = stream.trim(Trim { cut, approximate, limit, keep });
            model.trim(cut, keep, &group);
            let kept: BTreeSet<_> = stream.contents().into_iter().map(|(id, _)| id).collect();
            assert_eq!(before.len() as u64 - deleted, kept.len() as u64);
            assert!(limit == 0 || deleted <= limit);
            if approximate {
                assert!(model.entries.keys().all(|id| kept.contains(id)), "too much was trimmed");
                *model = Model {
                    entries: stream.contents().into_iter().collect(),
                    pending: pending_of(stream),
                    released: std::mem::take(&mut model.released),
                    last: model.last,
                };
            }
            drop(garbage);
        }
        Op::Range(from, to) => {
            let (start, end) = (id(from.min(to)), id(from.max(to)));
            let found: Vec<_> = stream.range(start, end).map(|e| (e.id, texts(e))).collect();
            let same: Vec<_> =
                model.entries.range(start..=end).map(|(k, v)| (*k, v.clone())).collect();
            assert_eq!(found, same);
            let back: Vec<_> = stream.range_back(start, end).map(|e| (e.id, texts(e))).collect();
            assert_eq!(back, same.into_iter().rev().collect::<Vec<_>>());
            assert_eq!(stream.contains(end), model.entries.contains_key(&end));
        }
        Op::ByDelivery => {
            let group = stream.group_mut(b"g").unwrap();
            let times: Vec<_> =
                group.by_delivery().map(|(id, one)| (one.delivered_ms, id)).collect();
            assert!(times.is_sorted());
            assert_eq!(times.len(), model.pending.len());
            let ids: Vec<_> = group.by_delivery().map(|(id, _)| id).collect();
            let is_released = |id: &StreamId| group.is_released(group.pending().get(id).unwrap());
            let released: Vec<_> = ids.into_iter().filter(is_released).collect();
            model.released.retain(|id| model.pending.get(id) == Some(&NOBODY));
            assert_eq!(released, model.released);
            assert_eq!(group.released_count(), released.len());
            assert_eq!(group.shown_count(), group.shown_consumers().count());
        }
        Op::Release(ms) => {
            let group = stream.group_mut(b"g").unwrap();
            let released = group.release(id(ms), 3);
            assert!(group.is_released(&released));
            assert_eq!(group.find_shown(b""), None);
            model.pending.insert(id(ms), NOBODY);
            model.released.retain(|other| *other != id(ms));
            model.released.push(id(ms));
        }
        Op::Deliver { id: ms, consumer, at_ms } => {
            let group = stream.group_mut(b"g").unwrap();
            let number = consumer_of(group, consumer);
            group.assign(id(ms), Pending { delivered_ms: at_ms, count: 1, consumer: number });
            model.pending.insert(id(ms), consumer);
        }
        Op::Acknowledge(ms) => {
            let group = stream.group_mut(b"g").unwrap();
            assert_eq!(group.acknowledge(id(ms)), model.pending.remove(&id(ms)).is_some());
        }
        Op::DeleteConsumer(consumer) => {
            let group = stream.group_mut(b"g").unwrap();
            let had = group.find_consumer(&[b'c', consumer]);
            let count = had.map_or(0, |number| group.delete_consumer(number));
            let before = model.pending.len();
            model.pending.retain(|_, of| *of != consumer);
            assert_eq!(count, before - model.pending.len());
        }
        Op::Snapshot | Op::Reload => unreachable!("not here"),
    }
}

fn pending_of(stream: &Stream) -> BTreeMap<StreamId, u8> {
    let group = stream.group(b"g").unwrap();
    let consumer = |number| group.consumer(number).name.get(1).map_or(NOBODY, |name| *name);
    group.pending().iter().map(|(id, pending)| (*id, consumer(pending.consumer))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_a_sorted_map(
        ops in ops(),
        bytes in prop_oneof![Just(0u64), 100..4096u64],
        entries in prop_oneof![Just(0u64), 1..100u64],
    ) {
        let limits = Limits { bytes, entries };
        let mut stream = Stream::new();
        stream.create_group(b"g", Group::new(id(100), None));
        let mut model = Model::default();
        let mut snapshots = Vec::new();
        for op in ops {
            match op {
                Op::Snapshot => {
                    snapshots.push((stream.clone(), stream.contents(), pending_of(&stream)));
                }
                Op::Reload => {
                    let mut other = Stream::new();
                    for (id, listpack) in stream.nodes() {
                        prop_assert!(other.append_node(id, listpack));
                    }
                    prop_assert_eq!(other.contents(), stream.contents());
                }
                op => apply(&mut stream, &mut model, &op, limits),
            }
            stream.check();
        }
        prop_assert_eq!(pending_of(&stream), model.pending);
        prop_assert_eq!(stream.contents(), model.entries.into_iter().collect::<Vec<_>>());
        for (snapshot, contents, pending) in &snapshots {
            snapshot.check();
            prop_assert_eq!(&snapshot.contents(), contents);
            prop_assert_eq!(&pending_of(snapshot), pending);
        }
        while !stream.free_step(50) {}
        prop_assert_eq!(stream.nodes.len(), 0);
    }

    /// Bytes from outside: refused, or a node that can be read.
    #[test]
    fn damaged_nodes_are_refused_or_readable(
        count in 1..20u64,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut stream = Stream::new();
        for ms in 1..=count {
            let pairs: [&[u8]; 4] = [b"field", b"17", b"other", b"value"];
            let limits = Limits { bytes: 0, entries: 0 };
            let kept = if ms % 5 == 0 { 2 } else { 4 };
            stream.append(id(ms), pairs[..kept].iter().copied(), limits).unwrap();
        }
        stream.delete(id(count / 2));
        let (master, listpack) = stream.nodes().next().unwrap();
        let mut bytes = listpack.to_vec();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        let mut other = Stream::new();
        if other.append_node(master, &bytes) {
            other.check();
            let back = other.range_back(StreamId::MIN, StreamId::MAX);
            prop_assert_eq!(back.count(), other.contents().len());
        }
    }
}

/// Source: the texts that XRANGE of Valkey 9.1.2 takes.
#[test]
fn ids_are_read_as_the_real_servers_do() {
    let parse = |text: &str| StreamId::parse(text.as_bytes());
    assert_eq!(parse("5"), Some((5, Sequence::Missing)));
    assert_eq!(parse("5-6"), Some((5, Sequence::Given(6))));
    assert_eq!(parse("5-*"), Some((5, Sequence::Next)));
    assert_eq!(parse("007-+08"), Some((7, Sequence::Given(8))));
    assert_eq!(parse("18446744073709551615"), Some((u64::MAX, Sequence::Missing)));
    assert_eq!(parse("5\0x"), Some((5, Sequence::Missing)));
    for bad in ["", "-", "+", "*", "x", "5-", "-5", "5--6", "18446744073709551616", " 5", "5 "] {
        assert_eq!(parse(bad), None, "{bad}");
    }
    assert_eq!(parse(&"0".repeat(127)), Some((0, Sequence::Missing)));
    assert_eq!(parse(&"0".repeat(128)), None);
}

#[test]
fn ids_have_neighbours() {
    assert_eq!(id(5).next(), Some(StreamId { ms: 5, seq: 1 }));
    assert_eq!(id(5).previous(), Some(StreamId { ms: 4, seq: u64::MAX }));
    assert_eq!(StreamId { ms: 5, seq: u64::MAX }.next(), Some(id(6)));
    assert_eq!((StreamId::MAX.next(), StreamId::MIN.previous()), (None, None));
    assert_eq!(
        StreamId::from_bytes(StreamId { ms: 1, seq: 2 }.to_bytes()),
        StreamId { ms: 1, seq: 2 }
    );
}

/// Valkey takes 22.8 bytes for an entry of two small fields.
#[test]
fn entries_take_little_memory() {
    let mut stream = Stream::new();
    let limits = Limits { bytes: 4096, entries: 100 };
    for n in 0..100_000u64 {
        let value = format!("{}", n % 1000);
        let pairs: [&[u8]; 4] = [b"temperature", value.as_bytes(), b"humidity", b"50"];
        stream.append(id(1_700_000_000_000 + n), pairs.iter().copied(), limits).unwrap();
    }
    let bytes = stream.memory() as f64 / 100_000.0;
    assert!(bytes < 22.0, "{bytes} bytes an entry");
}
