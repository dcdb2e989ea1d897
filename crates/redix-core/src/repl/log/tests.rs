#![allow(clippy::unwrap_used)]

use super::*;

/// An entropy source that differs from call to call.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0.fetch_add(1, Ordering::Relaxed) as u8);
    }
}

fn entropy() -> Counter {
    Counter(AtomicU64::new(1))
}

fn records(commands: &[(u32, &[&str])]) -> Records {
    let mut records = Records::default();
    commands.iter().for_each(|(db, argv)| records.push(*db, argv));
    records
}

fn recording(backlog_bytes: u64) -> Log {
    let log = Log::new(&entropy());
    log.start(backlog_bytes, &entropy());
    log
}

fn read_all(log: &Log, reader: &Reader) -> String {
    let mut bytes = Vec::new();
    while log.read(reader, 7, &mut bytes).unwrap() > 0 {}
    String::from_utf8(bytes).unwrap().replace("\r\n", " ")
}

#[test]
fn select_comes_where_the_database_changes_and_multi_around_several_records() {
    let log = recording(1 << 20);
    let reader = log.reader(0).unwrap();
    log.append(&mut records(&[(0, &["A"])]), true);
    log.append(&mut records(&[(0, &["B"]), (2, &["C"])]), true);
    log.append(&mut records(&[(2, &["D"]), (2, &["E"])]), false);
    log.append_raw(b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(
        read_all(&log, &reader),
        "*2 $6 SELECT $1 0 *1 $1 A *1 $5 MULTI *1 $1 B *2 $6 SELECT $1 2 *1 $1 C *1 $4 EXEC \
         *1 $1 D *1 $1 E *1 $4 PING "
    );
    assert_eq!(reader.offset(), log.end());
    log.forget_db();
    log.append(&mut records(&[(2, &["F"])]), true);
    assert_eq!(read_all(&log, &reader), "*2 $6 SELECT $1 2 *1 $1 F ");
}

/// What the append-only file reads from an offset on; `[n]` are bytes that are not for it.
fn read_records(log: &Log, mut offset: u64) -> String {
    let mut bytes = Vec::new();
    let mut has_inserted = false;
    while offset < log.end() {
        let piece = log.read_records(offset, has_inserted, 7, &mut bytes);
        has_inserted = piece == Piece::FileOnly;
        offset += match piece {
            Piece::Records(count) => count as u64,
            Piece::FileOnly => 0,
            Piece::ReplicasOnly(count) => {
                bytes.extend_from_slice(format!("[{count}]").as_bytes());
                count
            }
        };
    }
    String::from_utf8(bytes).unwrap().replace("\r\n", " ")
}

fn push_for(records: &mut Records, db: u32, command: &str, audience: Audience) {
    records.push(db, &[command]);
    records.set_audience(audience);
}

#[test]
fn what_is_for_the_append_only_file_alone_is_not_part_of_the_stream() {
    let log = Log::new(&entropy());
    let mut for_file = Records::default();
    push_for(&mut for_file, 0, "F", Audience::File);
    // Without a file it is for nobody.
    log.start(1 << 20, &entropy());
    assert_eq!(log.append(&mut for_file, true), 0);
    let recorder = log.start_recording(&entropy());
    let stream = log.reader(0).unwrap();

    let mut mixed = records(&[(0, &["A"])]);
    push_for(&mut mixed, 3, "G", Audience::File);
    push_for(&mut mixed, 0, "H", Audience::File);
    push_for(&mut mixed, 0, "R", Audience::Replicas);
    mixed.push(0, &["B"]);
    log.append(&mut mixed, true);
    assert_eq!(
        read_all(&log, &stream),
        "*1 $5 MULTI *2 $6 SELECT $1 0 *1 $1 A *1 $1 R *1 $1 B *1 $4 EXEC "
    );
    assert_eq!(
        read_records(&log, 0),
        "*1 $5 MULTI *2 $6 SELECT $1 0 *1 $1 A *2 $6 SELECT $1 3 *1 $1 G *2 $6 SELECT $1 0 *1 $1 H \
         [11]*1 $1 B *1 $4 EXEC "
    );
    // Alone it makes the log grow nevertheless, so that it is written and waited for.
    let from = log.end();
    let mut alone = Records::default();
    push_for(&mut alone, 1, "I", Audience::File);
    push_for(&mut alone, 1, "J", Audience::File);
    assert_eq!(log.append(&mut alone, true), from + 14);
    assert_eq!(read_all(&log, &stream), "*1 $4 PING ");
    let expected =
        "*1 $5 MULTI *2 $6 SELECT $1 1 *1 $1 I *1 $1 J *1 $4 EXEC *2 $6 SELECT $1 0 [14]";
    assert_eq!(read_records(&log, from), expected);
    assert_eq!(read_records(&log, from), expected, "until it is forgotten");
    recorder.advance_to(log.end());
    log.forget_written(log.end());
    assert_eq!(read_records(&log, from), "*1 $4 PING ");
    log.stop(&entropy());
    // Without replicas it is part of the stream.
    let from = log.end();
    log.append(&mut for_file, true);
    assert_eq!(read_records(&log, from), "*1 $1 F ");
}

#[test]
fn the_append_only_file_does_not_have_what_only_concerns_replicas() {
    let log = Log::new(&entropy());
    let reader = log.start_recording(&entropy());
    assert!(log.active() && log.backlog().is_none());
    let mut published = records(&[(0, &["A"])]);
    push_for(&mut published, 0, "PUBLISH", Audience::Replicas);
    log.append(&mut published, true);
    // There is nobody else.
    assert_eq!(read_records(&log, 0), "*1 $5 MULTI *2 $6 SELECT $1 0 *1 $1 A *1 $4 EXEC ");
    let from = log.end();
    log.start(1 << 20, &entropy());
    let mut published = records(&[(0, &["B"])]);
    push_for(&mut published, 0, "PUBLISH", Audience::Replicas);
    log.append(&mut published, false);
    log.append_for_replicas(b"PING");
    log.append(&mut records(&[(0, &["C"])]), true);
    assert_eq!(read_records(&log, from), "*1 $1 B [21]*1 $1 C ");
    // It can be read again until it is forgotten.
    assert_eq!(read_records(&log, from), "*1 $1 B [21]*1 $1 C ");
    reader.advance_to(log.end());
    log.forget_written(log.end());
    assert!(read_records(&log, from).contains("PUBLISH"));
}

#[test]
fn the_stream_outlasts_the_backlog_while_a_file_is_written() {
    let source = entropy();
    let log = Log::new(&source);
    let reader = log.start_recording(&source);
    let id = log.history().id;
    log.start(1 << 20, &source);
    assert_eq!(log.history().id, id, "nothing was lost");
    log.append(&mut records(&[(0, &["A"])]), true);
    log.stop(&source);
    assert!(log.active() && log.backlog().is_none());
    assert_ne!(log.history().id, id);
    assert_eq!(read_records(&log, reader.offset()), "*2 $6 SELECT $1 0 *1 $1 A ");
    log.stop_recording(&source);
    assert!(!log.active());
}

#[test]
fn a_large_record_becomes_a_block_of_its_own() {
    let log = recording(1 << 20);
    let reader = log.reader(0).unwrap();
    let value = "x".repeat(3 * BLOCK_BYTES);
    log.append(&mut records(&[(0, &["SET", "k", &value])]), true);
    log.append(&mut records(&[(0, &["B"])]), true);
    let text = read_all(&log, &reader);
    assert!(text.ends_with(&format!("$1 k ${} {value} *1 $1 B ", value.len())));
}

#[test]
fn what_a_reader_has_yet_to_take_is_kept_and_no_more_than_that() {
    let log = recording(BLOCK_BYTES as u64);
    let reader = log.reader(0).unwrap();
    let unit = "y".repeat(1000);
    for _ in 0..100 {
        log.append(&mut records(&[(0, &[&unit])]), true);
    }
    assert_eq!(log.backlog().unwrap().start, 0);
    let text = read_all(&log, &reader);
    assert_eq!(text.matches(&unit).count(), 100);
    drop(reader);
    log.trim();
    let backlog = log.backlog().unwrap();
    assert_eq!(backlog.start + backlog.len, log.end());
    assert!(backlog.len >= BLOCK_BYTES as u64 && backlog.len < 3 * BLOCK_BYTES as u64);
    assert_eq!(log.reader(backlog.start - 1).unwrap_err(), OutOfReach);
    assert_eq!(log.reader(log.end() + 1).unwrap_err(), OutOfReach);
    assert!(log.reader(log.end()).is_ok());
}

/// Eviction must not pay for what a slow replica retains, so all of its memory is accounted for,
/// and it is hardly more than the bytes themselves.
#[test]
fn what_is_retained_takes_little_more_memory_than_its_bytes() {
    const BACKLOG: u64 = BLOCK_BYTES as u64;
    for len in [1, 100, 1000, 10_000, BLOCK_BYTES - 40, BLOCK_BYTES, BLOCK_BYTES + 1] {
        let log = recording(BACKLOG);
        let reader = log.reader(0).unwrap();
        let value = "x".repeat(len);
        for _ in 0..500 {
            log.append(&mut records(&[(0, &["SET", "k", &value])]), true);
            log.append_raw(b"*1\r\n$4\r\nPING\r\n");
        }
        let memory = log.backlog().unwrap().memory;
        assert_eq!(log.memory_beyond_backlog(), memory - BACKLOG.min(memory), "{len}");
        let limit = log.end() + log.end() / 8 + BLOCK_BYTES as u64;
        assert!((log.end()..=limit).contains(&memory), "{len}: {memory} for {}", log.end());
        assert_eq!(read_all(&log, &reader).matches(&format!("${len} {value} *1 ")).count(), 500);
        drop(reader);
        log.trim();
        assert!(log.backlog().unwrap().memory <= BACKLOG + 2 * BLOCK_BYTES as u64 + len as u64);
        log.stop(&entropy());
        assert_eq!(log.memory_beyond_backlog(), 0, "{len}");
    }
}

/// The part of a large unit beyond the backlog is not offered: who lacks it lags further than the
/// backlog promises to cover.
#[test]
fn a_large_unit_is_no_larger_backlog() {
    const BACKLOG: u64 = 2 * BLOCK_BYTES as u64;
    let forms: [fn(&Log, &str) -> u64; 2] = [
        |log, value| log.append(&mut records(&[(0, &["SET", "k", value])]), true),
        |log, value| log.append_raw(value.as_bytes()),
    ];
    for append in forms {
        let log = recording(BACKLOG);
        append(&log, &"x".repeat(10 * BLOCK_BYTES));
        let start = log.end() - BACKLOG;
        let kept = log.backlog().unwrap();
        assert_eq!((kept.start, kept.len), (start, BACKLOG));
        assert_eq!(log.reader(start - 1).unwrap_err(), OutOfReach);
        // A lagging reader keeps bytes for others too.
        let behind = log.reader(start).unwrap();
        append(&log, &"x".repeat(10 * BLOCK_BYTES));
        assert_eq!(log.backlog().unwrap().start, start);
        let other = log.reader(start).unwrap();
        assert_eq!(log.reader(start - 1).unwrap_err(), OutOfReach);
        drop((behind, other));
        assert_eq!(log.reader(start).unwrap_err(), OutOfReach);
        assert!(log.reader(log.end() - BACKLOG).is_ok());
    }
}

#[test]
fn a_stream_is_resumed_under_either_name_as_far_as_it_reaches() {
    let log = recording(1 << 20);
    let former = log.history().id;
    let end = log.append(&mut records(&[(0, &["A"])]), true);
    log.take_over(&Counter(AtomicU64::new(50)));
    log.append(&mut records(&[(0, &["B"])]), true);
    let history = log.history();
    assert_eq!((history.id2, history.id2_end), (former, end));
    assert_eq!(history.second_offset(), end as i64 + 1);
    assert_ne!(history.id, former);
    assert!(log.resume(former, end).is_ok());
    assert_eq!(log.resume(former, end + 1).unwrap_err(), CannotResume::BeyondId2);
    assert!(log.resume(history.id, end + 1).is_ok());
    assert_eq!(
        log.resume(ReplId::random(&Counter(AtomicU64::new(77))), 0).unwrap_err(),
        CannotResume::UnknownId
    );
    assert_eq!(log.resume(ReplId::NONE, 0).unwrap_err(), CannotResume::UnknownId);
    let beyond = log.end() + 1;
    assert_eq!(log.resume(history.id, beyond).unwrap_err(), CannotResume::OutOfReach);
}

#[test]
fn starting_and_stopping_change_the_name() {
    let log = Log::new(&entropy());
    let first = log.history().id;
    assert!(!log.active() && log.backlog().is_none());
    let source = Counter(AtomicU64::new(9));
    log.start(1 << 20, &source);
    let second = log.history().id;
    log.stop(&source);
    let third = log.history().id;
    assert!(first != second && second != third);
    assert_eq!(log.resume(third, 0).unwrap_err(), CannotResume::OutOfReach);
}

#[test]
fn a_name_is_forty_visible_characters() {
    assert!(ReplId::parse(&[b'a'; 40]).is_some());
    assert!(ReplId::parse(&[b'a'; 39]).is_none());
    assert!(ReplId::parse(&[b' '; 40]).is_none());
    assert_eq!(ReplId::parse(&[b'a'; 40]), ReplId::parse(&[b'A'; 40]));
    assert_ne!(ReplId::parse(&[b'a'; 40]), ReplId::parse(&[b'b'; 40]));
    assert_eq!(ReplId::random(&entropy()).as_str(), "01".repeat(20));
}
