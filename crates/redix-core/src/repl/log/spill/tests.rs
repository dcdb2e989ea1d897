#![allow(clippy::unwrap_used)]

use redix_testkit::rng::Rng;

use super::*;
use crate::env::Entropy;
use crate::persist::sim::Sim;

const BACKLOG: u64 = 32 << 10;
const ABOVE: u64 = 64 << 10;

struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

fn log() -> Log {
    let log = Log::new(&Fixed);
    log.start(BACKLOG, &Fixed);
    log.spill_above(Some(ABOVE));
    log
}

fn spilling(log: &Log) -> Reader {
    let reader = log.reader(log.end()).unwrap();
    reader.set_spills(true);
    reader
}

/// The stream's bytes from an offset on.
fn bytes(from: u64, count: usize) -> Vec<u8> {
    (from..from + count as u64).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// Appends so many bytes, in units of a usual size.
fn append(log: &Log, count: usize) {
    for at in (0..count).step_by(10_000) {
        log.append_raw(&bytes(log.end(), (count - at).min(10_000)));
    }
}

/// Moves all that should be moved.
fn move_all(log: &Log, disk: &Sim) -> io::Result<()> {
    let mut piece = Vec::new();
    log.close_unneeded();
    while log.spill(disk, Path::new("."), u64::MAX, &mut piece)? {}
    Ok(())
}

/// Reads at most `max` bytes, which must be the right ones; returns how many.
fn read(log: &Log, reader: &Reader, max: usize) -> usize {
    let (from, mut out) = (reader.offset(), Vec::new());
    let count = log.read(reader, max, &mut out).unwrap();
    assert!(out == bytes(from, count), "the bytes from {from} on");
    assert_eq!(reader.offset(), from + count as u64);
    count
}

#[test]
fn what_is_on_disk_is_read_as_if_it_were_in_memory() {
    for seed in 0..20 {
        eprintln!("seed {seed}");
        let (mut rng, disk, log) = (Rng::new(seed), Sim::default(), log());
        append(&log, 100);
        let (slow, slower) = (spilling(&log), spilling(&log));
        let mut on_disk = 0;
        for _ in 0..400 {
            append(&log, 1 + rng.below(20_000));
            let wants = log.wants_spill();
            move_all(&log, &disk).unwrap();
            if wants {
                let memory = log.backlog().unwrap().memory;
                assert!(memory <= BACKLOG + ABOVE + 300_000, "{memory} bytes of memory");
            }
            read(&log, &slow, rng.below(15_000));
            read(&log, &slower, rng.below(5_000));
            on_disk = on_disk.max(log.spilled_bytes());
        }
        assert!(on_disk > 2 * SEGMENT_BYTES, "{on_disk} bytes on disk");
        while read(&log, &slower, 50_000) > 0 {}
        assert!(log.has_caught_up(&slower) && !log.has_caught_up(&slow));
        drop(slow);
        append(&log, 1);
        move_all(&log, &disk).unwrap();
        assert_eq!((log.spilled_bytes(), lock(&log.state).unneeded.len()), (0, 0));
        assert_eq!(log.backlog().unwrap().start, lock(&log.state).start());
    }
}

/// Other readers, and the append-only file, need what they have not read in memory.
#[test]
fn only_what_others_do_not_need_is_moved() {
    let (disk, log) = (Sim::default(), log());
    append(&log, 50_000);
    let slow = spilling(&log);
    append(&log, 500_000);
    let (recorder, other) = (log.start_recording(&Fixed), log.reader(log.end()).unwrap());
    append(&log, 1_000_000);
    move_all(&log, &disk).unwrap();
    let moved_to = lock(&log.state).spilled.back().unwrap().to();
    assert_eq!(moved_to, 550_000);
    other.advance_to(log.end());
    append(&log, 1);
    move_all(&log, &disk).unwrap();
    assert_eq!(lock(&log.state).spilled.back().unwrap().to(), 550_000);
    let mut out = Vec::new();
    assert_eq!(log.read_records(550_000, false, 10, &mut out), super::super::Piece::Records(10));
    recorder.advance_to(log.end());
    append(&log, 1);
    move_all(&log, &disk).unwrap();
    assert!(log.spilled_bytes() > 1_400_000);
    while read(&log, &slow, 70_000) > 0 {}
    assert_eq!(slow.offset(), log.end());
}

/// Without readers that spill, or below the limit, nothing is moved.
#[test]
fn nothing_is_moved_without_need() {
    let (disk, log) = (Sim::default(), log());
    let other = log.reader(0).unwrap();
    append(&log, 1_000_000);
    move_all(&log, &disk).unwrap();
    assert_eq!((log.spilled_bytes(), log.wants_spill()), (0, false));
    drop(other);
    let slow = spilling(&log);
    append(&log, (BACKLOG + ABOVE) as usize);
    move_all(&log, &disk).unwrap();
    assert_eq!((log.spilled_bytes(), log.wants_spill()), (0, false));
    append(&log, 20_000);
    assert!(log.wants_spill());
    log.spill_above(None);
    move_all(&log, &disk).unwrap();
    assert_eq!(log.spilled_bytes(), 0);
    drop(slow);
}

/// What cannot be moved stays, and is moved later.
#[test]
fn a_failure_loses_nothing() {
    let (disk, log) = (Sim::default(), log());
    let slow = spilling(&log);
    for full in [true, false, true, false, true] {
        append(&log, 400_000);
        disk.disk_full.store(full, Ordering::Relaxed);
        let before = log.spilled_bytes();
        assert_eq!(move_all(&log, &disk).is_err(), full);
        assert_eq!(log.spilled_bytes() > before, !full);
        read(&log, &slow, 10_000);
    }
    let mut piece = Vec::new();
    let over = log.spill(&disk, Path::new("."), log.spilled_bytes(), &mut piece);
    assert_eq!(over.unwrap_err().kind(), io::ErrorKind::StorageFull);
    while read(&log, &slow, 70_000) > 0 {}
    assert_eq!(slow.offset(), log.end());
}

/// A replica may resume anywhere behind a reader that retains the stream, and a new stream begins
/// without the old one's files.
#[test]
fn a_stream_on_disk_can_be_joined_and_ends() {
    let (disk, log) = (Sim::default(), log());
    let slow = spilling(&log);
    append(&log, 1_000_000);
    move_all(&log, &disk).unwrap();
    let history = log.history();
    let joined = log.resume(history.id, 300_000).unwrap();
    assert!(joined.spills());
    drop(slow);
    append(&log, 1);
    assert!(log.resume(history.id, 200_000).is_err());
    while read(&log, &joined, 70_000) > 0 {}
    assert_eq!(joined.offset(), log.end());
    let last = log.reader(log.end() - 10).unwrap();
    assert!(!last.spills());

    let slow = spilling(&log);
    append(&log, 1_000_000);
    move_all(&log, &disk).unwrap();
    log.stop(&Fixed);
    assert_eq!(log.spilled_bytes(), 0);
    log.start(BACKLOG, &Fixed);
    append(&log, 10);
    let mut out = Vec::new();
    assert_eq!(log.read(&slow, 100, &mut out).unwrap(), 0);
    move_all(&log, &disk).unwrap();
    assert_eq!(lock(&log.state).unneeded.len(), 0);
}
