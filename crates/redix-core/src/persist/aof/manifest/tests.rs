use proptest::prelude::*;

use super::*;

const BASE: &str = "file appendonly.aof.1.base.aof seq 1 type b\n";
const INCREMENT: &str = "file appendonly.aof.1.incr.aof seq 1 type i\n";

fn file(name: &str, sequence: u64, kind: FileKind) -> AofFile {
    AofFile::new(name.as_bytes().to_vec(), sequence, kind)
}

/// Parses to a base of this name and sequence, or is refused for this reason at this line; 0 is
/// none.
fn check(text: &str, expect: Result<(&str, u64), (usize, Reason)>) {
    let parsed = Manifest::parse(text.as_bytes());
    let found = match &parsed {
        Ok(Manifest { base: Some(base), .. }) => Ok((base.name.as_slice(), base.sequence)),
        Ok(other) => panic!("{text:?}: {other:?}"),
        Err(error) => Err((error.line.as_ref().map_or(0, |line| line.number), error.reason)),
    };
    assert_eq!(found, expect.map(|(name, sequence)| (name.as_bytes(), sequence)), "{text:?}");
}

/// What redis-server 7.0.15, Redis 8.2.3 and Valkey 9.1.2 make of these.
#[test]
fn reads_what_the_servers_read() {
    let plain = Ok(("appendonly.aof.1.base.aof", 1));
    let base = |rest: &str| format!("file appendonly.aof.1.base.aof {rest}\n");
    check(BASE, plain);
    check(&format!("{INCREMENT}{BASE}"), plain);
    check(&format!("# a comment\n{BASE}#another, without end"), plain);
    check(&format!("{BASE}#{}\n", "x".repeat(LINE_LEN_MAX - 2)), plain);
    check("FILE appendonly.aof.1.base.aof Seq 1 TYPE b\n", plain);
    check("type b seq 1 file appendonly.aof.1.base.aof\n", plain);
    check("  file appendonly.aof.1.base.aof \t seq 1 type b \r\n", plain);
    check("file i file appendonly.aof.1.base.aof seq 2 seq 1 type i type b\n", plain);
    for rest in [
        "seq 1 type base",
        "seq 1x type b",
        "seq +1 type b",
        "seq ' 1' type b",
        "seq 01 type b",
        "seq 1 type b some thing",
        "seq 1 type b startoffset 10 endoffset 20",
    ] {
        check(&base(rest), plain);
    }
    let largest = Ok(("appendonly.aof.1.base.aof", i64::MAX.unsigned_abs()));
    check(&base("seq 99999999999999999999999 type b"), largest);
    for name in ["'a b'", "\"a b\"", "\"a\\x20b\""] {
        check(&format!("file {name} seq 1 type b\n"), Ok(("a b", 1)));
    }
}

#[test]
fn refuses_what_the_servers_refuse() {
    let long = " ".repeat(LINE_LEN_MAX - BASE.len() + 1);
    check("", Err((0, Reason::Empty)));
    for text in ["\n", "  \n", "\r\n", " # not a comment\n"] {
        check(text, Err((1, Reason::Format)));
        check(&format!("{BASE}{text}"), Err((2, Reason::Format)));
    }
    check(BASE.trim_end(), Err((0, Reason::LineTooLong)));
    check(&format!("{BASE}{}", INCREMENT.trim_end()), Err((0, Reason::LineTooLong)));
    check(&format!("{}{long}\n", BASE.trim_end()), Err((0, Reason::LineTooLong)));
    check(&format!("{}{}\n", BASE.trim_end(), &long[1..]), Ok(("appendonly.aof.1.base.aof", 1)));
    check("file a\0b seq 1 type b\n", Err((0, Reason::LineTooLong)));
    // What exceeds a line of a comment is a line of its own.
    let comment = format!("#{}\n{BASE}", "x".repeat(LINE_LEN_MAX - 1));
    check(&comment, Err((2, Reason::Format)));
    for (line, reason) in [
        ("file a seq 1 type B", Reason::UnknownType),
        ("file a seq 1 type x", Reason::UnknownType),
        ("file a seq 1 type ''", Reason::Format),
        ("file a seq 0 type b", Reason::Format),
        ("file a seq x type b", Reason::Format),
        ("file a seq 1", Reason::Format),
        ("file a seq 1 type b extra", Reason::Format),
        ("file 'a seq 1 type b", Reason::Format),
        ("file x/y seq 1 type b", Reason::Path),
        ("file \"x\\\\y\" seq 1 type b", Reason::Path),
        // Ours; the real servers fail to open them.
        ("file '' seq 1 type b", Reason::Path),
        ("file .. seq 1 type b", Reason::Path),
        ("file a seq -1 type b", Reason::Format),
    ] {
        check(&format!("{line}\n"), Err((1, reason)));
    }
    check(&format!("{BASE}{BASE}"), Err((2, Reason::DuplicateBase)));
    check(&format!("{BASE}{INCREMENT}{INCREMENT}"), Err((3, Reason::NotMonotonic)));
    let falling = format!("{BASE}{}{INCREMENT}", INCREMENT.replace('1', "2"));
    check(&falling, Err((3, Reason::NotMonotonic)));
}

#[test]
fn reports_as_the_servers_do() {
    let error = Manifest::parse(b"file a seq 1 type b\n file a seq 2 type b\n").expect_err("two");
    let expect = "\n*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 2\n\
                  >>> 'file a seq 2 type b'\nFound duplicate base file information\n";
    assert_eq!(error.to_string(), expect);
}

#[test]
fn gaps_history_and_offsets_are_kept() {
    let text = "file b seq 7 type b\n\
                file h seq 3 type h startoffset 1\n\
                file i seq 2 type i startoffset 10 endoffset 20\n\
                file \"j j\" seq 9 type i startoffset 20\n";
    let manifest = Manifest::parse(text.as_bytes()).expect("it is one");
    assert_eq!(
        manifest.history,
        [AofFile { start_offset: Some(1), ..file("h", 3, FileKind::History) }]
    );
    assert_eq!(manifest.increments[0].end_offset, Some(20));
    assert_eq!(manifest.increments[1].start_offset, Some(20));
    assert_eq!(manifest.live().map(|file| file.sequence).collect::<Vec<_>>(), [7, 2, 9]);
    assert_eq!(manifest.to_bytes(), text.as_bytes());
}

/// The files of three rewrites with a failed one between, as the real servers name and order them
/// under `aof-disable-auto-gc`.
#[test]
fn names_files_as_the_servers_do() {
    let mut manifest = Manifest::default();
    manifest.next_base(b"a", BaseFormat::Rdb);
    manifest.next_increment(b"a", None);
    assert_eq!(
        manifest.to_bytes(),
        b"file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"
    );
    manifest.next_increment(b"a", Some(4));
    manifest.next_increment(b"a b", Some(8)).end_offset = Some(9);
    manifest.next_base(b"a", BaseFormat::Commands);
    manifest.retire_increments();
    assert_eq!(
        String::from_utf8_lossy(&manifest.to_bytes()),
        "file a.2.base.aof seq 2 type b\n\
         file a.1.incr.aof seq 1 type h\n\
         file a.2.incr.aof seq 2 type h startoffset 4\n\
         file a.1.base.rdb seq 1 type h\n\
         file \"a b.3.incr.aof\" seq 3 type i startoffset 8 endoffset 9\n"
    );
    let mut old = Manifest::adopt(b"appendonly.aof");
    assert_eq!(old.to_bytes(), b"file appendonly.aof seq 1 type b\n");
    old.retire_increments();
    assert_eq!(old, Manifest::adopt(b"appendonly.aof"));
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("part of a name", |byte| !matches!(byte, 0 | b'/' | b'\\'));
    prop::collection::vec(byte, 1..64).prop_filter("a file", |name| is_base_name(name))
}

fn files(kind: FileKind) -> impl Strategy<Value = Vec<AofFile>> {
    let offset = || prop::option::of(0..i64::MAX.unsigned_abs());
    let sequences = prop::collection::btree_set(1..i64::MAX.unsigned_abs(), 0..4);
    sequences.prop_flat_map(move |sequences| {
        sequences
            .into_iter()
            .map(|sequence| {
                (name(), [(); 4].map(|()| offset())).prop_map(move |(name, numbers)| {
                    let [start_offset, end_offset, until_s, follows] = numbers;
                    AofFile { name, sequence, kind, start_offset, end_offset, until_s, follows }
                })
            })
            .collect::<Vec<_>>()
    })
}

#[test]
fn no_new_file_has_the_name_of_one_that_is_history() {
    let mut manifest = Manifest::default();
    manifest.next_base(b"a", BaseFormat::Rdb);
    manifest.next_increment(b"a", None);
    manifest.next_increment(b"a", None);
    manifest.retire_all_increments();
    assert_eq!(manifest.next_increment(b"a", None).name, b"a.3.incr.aof");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        bases in files(FileKind::Base),
        history in files(FileKind::History),
        increments in files(FileKind::Increment),
    ) {
        let manifest = Manifest { base: bases.into_iter().next(), history, increments };
        let text = manifest.to_bytes();
        if text.is_empty() {
            prop_assert_eq!(manifest, Manifest::default());
        } else {
            prop_assert_eq!(Manifest::parse(&text), Ok(manifest));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(manifest) = Manifest::parse(&text) && manifest != Manifest::default() {
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
        }
    }
}

#[test]
fn history_is_taken_out_by_its_age() {
    let mut manifest = Manifest::default();
    manifest.next_base(b"a", BaseFormat::Rdb);
    manifest.next_increment(b"a", None);
    for now_s in [100, 200, 300] {
        manifest.next_increment(b"a", None);
        manifest.note_continuation();
        manifest.next_base(b"a", BaseFormat::Rdb);
        manifest.retire_increments();
        assert!(manifest.date_history(now_s));
        assert!(!manifest.date_history(now_s + 1), "it is dated once");
    }
    let text = String::from_utf8(manifest.to_bytes()).unwrap();
    let expected = "file a.4.base.rdb seq 4 type b\n\
                    file a.3.incr.aof seq 3 type h until 300 follows 2\n\
                    file a.3.base.rdb seq 3 type h until 300\n\
                    file a.2.incr.aof seq 2 type h until 200 follows 1\n\
                    file a.2.base.rdb seq 2 type h until 200\n\
                    file a.1.incr.aof seq 1 type h until 100\n\
                    file a.1.base.rdb seq 1 type h until 100\n\
                    file a.4.incr.aof seq 4 type i follows 3\n";
    assert_eq!(text, expected);
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
    assert_eq!(manifest.oldest_history_s(), Some(100));
    assert!(manifest.take_history(Some(99)).is_empty());
    let names = |files: Vec<AofFile>| {
        files.into_iter().map(|file| String::from_utf8(file.name).unwrap()).collect::<Vec<_>>()
    };
    let taken = names(manifest.take_history(Some(200)));
    assert_eq!(taken, ["a.2.incr.aof", "a.2.base.rdb", "a.1.incr.aof", "a.1.base.rdb"]);
    assert_eq!(manifest.oldest_history_s(), Some(300));
    manifest.history[0].until_s = None;
    assert_eq!(manifest.oldest_history_s(), Some(0), "when is not known");
    assert_eq!(names(manifest.take_history(Some(u64::MAX))), ["a.3.base.rdb"]);
    assert_eq!(names(manifest.take_history(None)), ["a.3.incr.aof"]);
    assert_eq!(manifest.oldest_history_s(), None);
}
