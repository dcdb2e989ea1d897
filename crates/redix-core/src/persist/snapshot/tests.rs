#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc as StdArc;
use std::sync::atomic::Ordering;

use redix_resp::encode_command;
use redix_testkit::rng::Rng;
use redix_testkit::writes::{self, Words};
use redix_types::entry::{EntryBox, EntryRef, HeapValue, IntBuf, Kind, Value};
use redix_types::hash::HashRef;
use redix_types::list::ListRef;
use redix_types::set::SetRef;
use redix_types::stream::{Stream, StreamId};
use redix_types::zset::ZsetRef;

use super::preimages::SHARE_LEN_MIN;
use super::*;
use crate::client::Client;
use crate::command::dispatch::Runner;
use crate::engine::Engine;
use crate::env::Wake;
use crate::keyspace::access::{Access, Found, Ttl};
use crate::keyspace::flush::{Emptied, Freeing, flush, swap};
use crate::keyspace::shard_of;
use crate::mailbox::Mailbox;
use crate::persist::file::SaveError;
use crate::persist::save;
use crate::persist::sim::Sim;
use crate::rdb::read::{Event, RdbReader, ReadOptions};
use crate::registry::ClientShared;
use crate::worker::Worker;

const DATABASES: u32 = 4;
/// Shards that most keys are chosen from, so that their tables split and merge.
const CROWDED: [usize; 3] = [0, 511, 1023];

/// Database and key -> the value as [`describe`] shows it, and the expiry.
type Content = BTreeMap<(u32, Vec<u8>), (Description, Option<i64>)>;
type Description = (Kind, Vec<(Vec<u8>, Vec<u8>)>);

/// Waking is not needed: mail is delivered at once.
struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

struct World {
    sim: Sim,
    engine: StdArc<Engine>,
    worker: Worker,
    /// The slot of the only client, which writes values of all types.
    token: usize,
    rng: Rng,
    keys: Vec<Vec<u8>>,
}

impl World {
    fn new(seed: u64, change: impl FnOnce(&mut Config)) -> Self {
        let sim = Sim::default();
        let mut config = Config { databases: DATABASES, dir: "/data".into(), ..Config::default() };
        config.rdbcompression = seed.is_multiple_of(2);
        change(&mut config);
        let engine = StdArc::new(Engine::new(sim.env(seed), config, 1).unwrap());
        let mailbox = StdArc::new(Mailbox::new(Box::new(NoWake)));
        engine.registry.add_worker(StdArc::clone(&mailbox));
        let mut worker = Worker::new(StdArc::clone(&engine), 0, mailbox);
        let id = engine.registry.next_id();
        let client = ClientShared::new(id, "10.0.0.1:1".into(), "10.0.0.2:1".into(), 7, 0, 0);
        let token = worker.insert(Client::new(StdArc::new(client), true));
        let mut keys: Vec<Vec<u8>> = (0..300).map(|i| format!("sparse:{i}").into_bytes()).collect();
        let crowded = (0u32..).map(|i| format!("k{i}").into_bytes());
        let is_crowded =
            |key: &Vec<u8>| CROWDED.contains(&shard_of(engine.keyspace.hasher().hash(key)));
        keys.extend(crowded.filter(is_crowded).take(1200));
        Self { sim, engine, worker, token, rng: Rng::new(seed), keys }
    }

    fn fill(&mut self) {
        for _ in 0..2500 {
            self.change();
        }
    }

    /// Runs `f` as a command that walks the keyspace.
    fn access<R>(&self, f: impl FnOnce(&mut Access<'_>) -> R) -> R {
        let mut runner = Runner::new(&self.engine, self.engine.config(), 0);
        runner.keys.held.allow_walk();
        f(&mut runner.keys)
    }

    /// Runs `f` as a command that needs the world.
    fn world<R>(&self, f: impl FnOnce(&mut Access<'_>) -> R) -> R {
        let mut runner = Runner::new(&self.engine, self.engine.config(), 0);
        runner.keys.held.allow_all();
        f(&mut runner.keys)
    }

    fn value(&mut self) -> Vec<u8> {
        let len = *self.rng.pick(&[0, 1, 3, 20, 60, 400, 520, 900, SHARE_LEN_MIN + 100]);
        match self.rng.below(3) {
            0 => self.rng.between(-70_000, 70_000).to_string().into_bytes(),
            1 => self.rng.printable(len),
            _ => vec![b'x'; len],
        }
    }

    /// Executes commands as a client sends them.
    fn send(&mut self, commands: &[Words]) {
        let mut bytes = Vec::new();
        commands.iter().for_each(|words| encode_command(&mut bytes, words));
        self.worker.client(self.token).unwrap().input.push(&bytes);
        self.worker.mark_ready(self.token);
        while self.worker.has_ready() {
            self.worker.run();
        }
        self.worker.client(self.token).unwrap().reply.take();
    }

    /// A command on a value of any type, small or large, which may convert it; or one that moves
    /// whole values.
    fn command(&mut self) {
        let database = self.rng.below(DATABASES as usize).to_string();
        if self.rng.chance(10) {
            let command = self.expiring_fields();
            return self.send(&[writes::words(&["SELECT", &database]), command]);
        }
        let mut command = writes::command(&mut self.rng);
        for word in &mut command[1..] {
            if let Some(number) = word.strip_prefix(b"key:") {
                let number: usize = std::str::from_utf8(number).unwrap().parse().unwrap();
                word.clone_from(&self.keys[number * 6 % self.keys.len()]);
            }
        }
        // A blocking command would stop all others; commands on whole databases are in `upheaval`.
        let left_out = [&b"FLUSHDB"[..], b"SWAPDB"].contains(&&command[0][..]);
        if !left_out && !command[0].starts_with(b"B") {
            self.send(&[writes::words(&["SELECT", &database]), command]);
        }
    }

    /// Fields that expire soon or late, or have expired, which not all servers of `writes` have.
    fn expiring_fields(&mut self) -> Words {
        let ahead_ms = *self.rng.pick(&[-1000, 1, 20, 1_000_000]);
        let at = (self.now_ms() + ahead_ms).to_string();
        let count = *self.rng.pick(&[1, 3, 100]);
        let mut words = writes::words(&["HSETEX", "", "PXAT", &at, "FIELDS", &count.to_string()]);
        words[1].clone_from(self.rng.pick(&self.keys));
        for _ in 0..count {
            words.push(format!("element:{}", self.rng.below(400)).into_bytes());
            words.push(b"value".to_vec());
        }
        words
    }

    /// One random change of any kind that leaves most of the data in place.
    fn change(&mut self) {
        if self.rng.chance(40) {
            return self.command();
        }
        let (db, other) = (self.rng.below(3) as u32, self.rng.below(DATABASES as usize) as u32);
        let (key, second) = (self.rng.pick(&self.keys).clone(), self.rng.pick(&self.keys).clone());
        let value = self.value();
        let ttl = match self.rng.below(6) {
            0 => Ttl::At(self.now_ms() + self.rng.between(1, 50)),
            1 => Ttl::At(self.now_ms() + 1_000_000),
            2 => Ttl::Keep,
            _ => Ttl::Clear,
        };
        let (kind, position) = (self.rng.below(14), self.rng.below(CROWDED.len()));
        self.access(|keys| {
            keys.db = db;
            let key = keys.key(&key);
            match kind {
                0..=4 => {
                    let number = std::str::from_utf8(&value).ok().and_then(|t| t.parse().ok());
                    match number {
                        Some(n) => {
                            keys.set(key, Value::Int(n), ttl);
                        }
                        None => {
                            keys.set(key, Value::Raw(&value), ttl);
                        }
                    }
                }
                5 | 6 => {
                    keys.modify(key, |entry| {
                        if entry.as_ref().kind() == Kind::String {
                            append(entry, &value);
                        }
                    });
                }
                7 | 8 => {
                    keys.delete(key);
                }
                9 => {
                    let at = keys.now_ms + 20;
                    keys.set_expire(key, (value.len() > 10).then_some(at));
                }
                10 => {
                    let to = keys.key(&second);
                    keys.relocate(key, to);
                }
                11 => {
                    if !keys.exists_in(other, key) {
                        keys.move_to(key, other);
                    }
                }
                12 => {
                    let to = keys.key(&second);
                    if (db, key.bytes) != (other, to.bytes) {
                        keys.copy_to(key, other, to);
                    }
                }
                _ => {
                    let mut found = Found::default();
                    keys.sweep((db, CROWDED[position]), 0, 100, &mut found);
                    for name in &found.hashes {
                        let key = keys.key(name);
                        keys.sweep_fields(db, key, 10);
                    }
                }
            }
        });
    }

    /// Occasionally, a command on whole databases.
    fn upheaval(&mut self) {
        let (a, b) = (self.rng.below(DATABASES as usize) as u32, self.rng.below(3) as u32);
        let freeing = *self.rng.pick(&[Freeing::AtOnce, Freeing::InSteps]);
        match self.rng.below(3) {
            0 => {
                self.world(|keys| flush(keys, Emptied::One(a), freeing));
                // Keys must be created where a table with a walk was before.
                (0..200).for_each(|_| self.change());
            }
            1 => self.world(|keys| swap(keys, a, b)),
            _ => {
                self.engine.keyspace.free_list().step(100);
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.engine.env.clock.unix_us() / 1000
    }

    /// Everything in the keyspace, expired or not.
    fn content(&self) -> Content {
        let mut content = Content::new();
        for index in 0..SHARDS {
            let shard = self.engine.keyspace.lock(index);
            for db in 0..shard.db_count() {
                let Some(part) = shard.db(db) else { continue };
                let end = part.table.scan(0, usize::MAX, |entry| {
                    let record = (describe(entry), entry.expire_at_ms());
                    assert!(content.insert((db, entry.key().to_vec()), record).is_none());
                });
                assert_eq!(end, None);
            }
        }
        content
    }

    fn cut(&self) -> Saver {
        let engine = &self.engine;
        let _world = engine.keyspace.gates().world();
        let config = save::able(&engine.config(), &engine.keyspace);
        Saver::new(Cut::take(&engine.env, &engine.keyspace, &config, 0))
    }

    /// Alternates steps and changes until the saver has finished. `meanwhile` gets the number of
    /// steps so far.
    fn drive(
        &mut self,
        saver: &mut Saver,
        mut meanwhile: impl FnMut(&mut Self, usize, &Saver),
    ) -> Result<(), SaveError> {
        for steps in 0.. {
            let holds = 1 + self.rng.below(3);
            let engine = &self.engine;
            let thread = engine.background_thread();
            let ground = Ground { env: &engine.env, keyspace: &engine.keyspace, thread };
            if let Turn::Done(outcome) = saver.step(ground, holds) {
                return outcome;
            }
            for _ in 0..self.rng.below(12) {
                self.change();
            }
            meanwhile(self, steps, saver);
        }
        unreachable!("the steps are not bounded")
    }

    fn check_no_marks(&self) {
        let hasher = self.engine.keyspace.hasher();
        for index in 0..SHARDS {
            let mut shard = self.engine.keyspace.lock(index);
            for db in 0..shard.db_count() {
                let part = shard.db_mut(db);
                assert!(part.walk.is_none(), "a walk is left in shard {index}, database {db}");
                let mut unmarked = 0;
                assert_eq!(part.table.walk(0, usize::MAX, hasher, |_| unmarked += 1), None);
                assert_eq!(unmarked, part.table.len(), "marks are left in shard {index}");
            }
        }
    }

    fn saved(&self) -> Content {
        let files = self.sim.files.lock().unwrap();
        assert_eq!(files.len(), 1, "the temporary is gone");
        decode(&files[Path::new("/data/dump.rdb")])
    }
}

fn append(entry: &mut EntryBox, more: &[u8]) {
    if let Some(HeapValue::Str(bytes)) = entry.heap_mut() {
        StdArc::make_mut(bytes).extend_from_slice(more);
        return;
    }
    let mut bytes = entry.as_ref().value().string_bytes(&mut IntBuf::new()).to_vec();
    bytes.extend_from_slice(more);
    entry.replace_value(Value::Raw(&bytes));
}

/// A value independently of its encoding: its elements, sorted unless it is a list.
fn describe(entry: EntryRef<'_>) -> Description {
    let (value, text) = (entry.value(), &mut IntBuf::new());
    let mut elements: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut add = |one: &[u8], other: &[u8]| elements.push((one.to_vec(), other.to_vec()));
    match entry.kind() {
        Kind::String => add(value.string_bytes(text), b""),
        Kind::Stream => {
            for entry in Stream::of(value).unwrap().range(StreamId::MIN, StreamId::MAX) {
                let parts = entry.parts().flat_map(|part| [part.text(text), b" "].concat());
                add(format!("{:?}", entry.id).as_bytes(), &parts.collect::<Vec<u8>>());
            }
        }
        Kind::List => {
            ListRef::of(value).iter_all().for_each(|element| add(element.text(text), b""));
        }
        Kind::Set => SetRef::of(value).unwrap().for_each(|member| add(member.text(text), b"")),
        Kind::Zset => ZsetRef::of(value)
            .unwrap()
            .iter()
            .for_each(|(member, score)| add(member.text(text), &score.to_be_bytes())),
        Kind::Hash => {
            HashRef::of(value).for_each_expiring(|(field, value), at_ms| {
                let expiry = format!(" {at_ms:?}");
                let value = [value.text(&mut IntBuf::new()), expiry.as_bytes()].concat();
                add(field.text(text), &value);
            });
        }
    }
    if entry.kind() != Kind::List {
        elements.sort_unstable();
    }
    (entry.kind(), elements)
}

fn decode(file: &[u8]) -> Content {
    let mut reader = RdbReader::new(file, ReadOptions::default());
    let mut content = Content::new();
    loop {
        match reader.next_event().unwrap() {
            Event::End(_) => return content,
            Event::Key(record) => {
                let (key, expire_at_ms) = (record.key.to_vec(), record.expire_at_ms);
                let entry = EntryBox::new(&key, record.value.into_value(), expire_at_ms, 0);
                let value = (describe(entry.as_ref()), expire_at_ms);
                let twice = content.insert((record.db, key.clone()), value);
                assert!(twice.is_none(), "{:?} is in the file twice", key.escape_ascii());
            }
            _ => {}
        }
    }
}

fn check_equal(saved: &Content, cut: &Content, seed: u64) {
    for (key, value) in cut {
        let (found, key) = (saved.get(key), (key.0, key.1.escape_ascii().to_string()));
        assert_eq!(found, Some(value), "seed {seed}: {key:?} as it was at the cut");
    }
    assert_eq!(saved.len(), cut.len(), "seed {seed}: keys born after the cut were saved");
}

/// Changes, flushed and swapped databases, and expiry during a walk: the file holds exactly the
/// data set of the cut.
#[test]
fn the_file_is_the_data_set_of_one_instant() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut world = World::new(seed, |_| {});
        world.fill();
        let mut saver = world.cut();
        let cut = world.content();
        let outcome = world.drive(&mut saver, |world, _, _| {
            if world.rng.below(150) == 0 {
                world.upheaval();
            }
        });
        outcome.unwrap();
        check_equal(&world.saved(), &cut, seed);
        world.check_no_marks();
    }
}

/// A paced saver with little memory spills, and loses nothing by it.
#[test]
fn a_slow_saver_spills() {
    for seed in 100..102 {
        println!("seed {seed}");
        let mut world = World::new(seed, |config| {
            config.rdb_key_save_delay = 3000;
            config.snapshot_buffer_limit = 60_000;
        });
        world.fill();
        let mut saver = world.cut();
        let cut = world.content();
        world.drive(&mut saver, |_, _, _| {}).unwrap();
        check_equal(&world.saved(), &cut, seed);
        assert!(world.sim.spilled.load(Ordering::Relaxed) > 0, "seed {seed} spills");
        world.check_no_marks();
    }
}

/// However a snapshot ends early, it leaves no file and no mark, and the next one is exact.
#[test]
fn an_abandoned_snapshot_leaves_nothing() {
    for seed in 200..212 {
        println!("seed {seed}");
        let mut world = World::new(seed, |_| {});
        world.fill();
        let mut saver = world.cut();
        let end = world.rng.below(2000);
        let outcome = world.drive(&mut saver, |world, steps, saver| {
            if steps == end {
                match seed % 3 {
                    0 => saver.cut().pre_images.cancel(),
                    1 => world.sim.disk_full.store(true, Ordering::Relaxed),
                    _ => {
                        saver.cut().pre_images.cancel();
                        world.world(|keys| flush(keys, Emptied::All, Freeing::InSteps));
                    }
                }
            }
            if world.rng.below(400) == 0 {
                world.upheaval();
            }
        });
        assert!(outcome.is_err(), "seed {seed}");
        assert!(world.sim.files.lock().unwrap().is_empty(), "seed {seed} leaves a file");
        world.check_no_marks();
        world.sim.disk_full.store(false, Ordering::Relaxed);

        let mut saver = world.cut();
        let cut = world.content();
        world.drive(&mut saver, |_, _, _| {}).unwrap();
        check_equal(&world.saved(), &cut, seed);
        world.check_no_marks();
        while world.engine.keyspace.free_list().step(1000) > 0 {}
        assert_eq!(world.engine.keyspace.free_list().pending(), 0);
    }
}

/// With the saver stuck, changes do not take all memory: the snapshot fails instead.
#[test]
fn a_stuck_saver_fails_the_snapshot() {
    let mut world = World::new(300, |config| config.snapshot_buffer_limit = 10_000);
    world.fill();
    let mut saver = world.cut();
    for _ in 0..5000 {
        world.change();
    }
    let peak = saver.cut().pre_images.peak_bytes();
    assert!((20_000..40_000).contains(&peak), "{peak}");
    let outcome = world.drive(&mut saver, |_, _, _| {});
    assert!(matches!(outcome, Err(SaveError::BufferFull(_))), "{outcome:?}");
    world.check_no_marks();
}

#[test]
fn a_file_is_replaced_only_by_a_whole_one() {
    let mut world = World::new(400, |_| {});
    world.fill();
    let mut saver = world.cut();
    world.drive(&mut saver, |_, _, _| {}).unwrap();
    let first = world.sim.files.lock().unwrap().clone();
    let mut saver = world.cut();
    world.sim.disk_full.store(true, Ordering::Relaxed);
    assert!(matches!(world.drive(&mut saver, |_, _, _| {}), Err(SaveError::Io { .. })));
    assert_eq!(*world.sim.files.lock().unwrap(), first);
}
