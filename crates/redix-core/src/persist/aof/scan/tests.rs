use proptest::prelude::*;
use redix_resp::encode_command;

use super::*;

const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nexec\r\n";
const TIME: &[u8] = b"#TS:1700000000\r\n";

/// A source that gives this many bytes at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.1.min(self.0.len()).min(buf.len());
        let (now, later) = self.0.split_at(len);
        buf[..len].copy_from_slice(now);
        self.0 = later;
        Ok(len)
    }
}

/// What a scan found: the end of each item, the last whole unit, and the error.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    items: Vec<(u64, Option<Place>)>,
    unit_end: u64,
    error: Option<(u64, u64, String)>,
}

fn scan(bytes: &[u8], step: usize) -> Found {
    let mut scanner = Scanner::new(Drip(bytes, step), 0);
    let mut items = Vec::new();
    loop {
        match scanner.next_item() {
            Ok(Some(Item::Command(command))) => {
                assert_eq!(command.bytes, &bytes[command.start as usize..command.end as usize]);
                assert_ne!(command.args().len(), 0);
                items.push((command.end, Some(command.place)));
            }
            Ok(Some(Item::Annotation(note))) => {
                assert_eq!(note.line, &bytes[note.start as usize..note.end as usize]);
                items.push((note.end, None));
            }
            end => {
                let error = end
                    .err()
                    .map(|error| (error.start, error.fault.parts, format!("{}", error.fault.kind)));
                return Found { items, unit_end: scanner.unit_end(), error };
            }
        }
    }
}

/// The parts are read to their end, or to this fault with these many sound parts of its item. All
/// but the last part are sound, and the file is cut back to the end of as many as `kept`.
fn check(parts: &[&[u8]], kept: usize, fault: Option<(u64, &str)>) {
    let bytes = parts.concat();
    let found = scan(&bytes, usize::MAX);
    let end = |count: usize| parts[..count].iter().map(|part| part.len() as u64).sum::<u64>();
    assert_eq!(found.unit_end, end(kept), "{found:?}");
    let error = found.error.as_ref().map(|(start, parts, text)| (*start, *parts, text.as_str()));
    let expect = fault.map(|(sound, text)| (end(found.items.len()), sound, text));
    assert_eq!(error, expect, "{}", bytes.escape_ascii());
    assert_eq!(found, scan(&bytes, 1), "read in other steps");
}

#[test]
fn commands_annotations_and_transactions() {
    check(&[], 0, None);
    check(&[TIME, SET, b"#anything\n", SET], 4, None);
    check(&[SET, MULTI, SET, TIME, SET, EXEC, SET], 7, None);
    let places: Vec<_> = scan(&[SET, MULTI, SET, EXEC].concat(), 1).items;
    let places: Vec<_> = places.into_iter().filter_map(|(_, place)| place).collect();
    assert_eq!(places, [Place::Alone, Place::Opens, Place::Inside, Place::Closes]);
}

#[test]
fn arguments_are_lent() {
    let mut scanner = Scanner::new(SET, 100);
    let Ok(Some(Item::Command(command))) = scanner.next_item() else { panic!("a command") };
    assert_eq!(command.args().collect::<Vec<_>>(), [b"SET".as_slice(), b"a", b"1"]);
    assert_eq!((command.start, command.end), (100, 100 + SET.len() as u64));
    assert!(scanner.next_item().expect("the end").is_none());
    assert_eq!((scanner.offset(), scanner.unit_end()), (127, 127));
}

#[test]
fn timestamps() {
    for (line, expect) in [
        (&b"#TS:1700000000\r\n"[..], Some(Ok(1_700_000_000))),
        (b"#TS:-5\r\n", Some(Ok(-5))),
        (b"#TS:x\r\n", Some(Err(BadTimestamp))),
        (b"#TS:5x\r\n", Some(Err(BadTimestamp))),
        (b"#TS:5\n", Some(Err(BadTimestamp))),
        (b"#TS:99999999999999999999\r\n", Some(Err(BadTimestamp))),
        (b"#ts:5\r\n", None),
        (b"#else\r\n", None),
    ] {
        let mut scanner = Scanner::new(line, 0);
        let Ok(Some(Item::Annotation(note))) = scanner.next_item() else { panic!("{line:?}") };
        assert_eq!(note.timestamp(), expect, "{}", line.escape_ascii());
    }
}

/// A file cut at any byte is whole up to the last unit before it, and otherwise truncated.
#[test]
fn every_cut_is_a_truncation() {
    let units: &[&[u8]] =
        &[TIME, SET, &[MULTI, SET, TIME, SET, EXEC].concat(), SET, &[MULTI, EXEC].concat(), TIME];
    let bytes = units.concat();
    let mut ends = vec![0];
    for unit in units {
        ends.push(ends[ends.len() - 1] + unit.len());
    }
    for cut in 0..=bytes.len() {
        let mut scanner = Scanner::new(&bytes[..cut], 0);
        let error = loop {
            match scanner.next_item() {
                Ok(Some(_)) => {}
                end => break end.err(),
            }
        };
        let whole = ends.iter().filter(|end| **end <= cut).max().copied().unwrap_or(0);
        assert_eq!(scanner.unit_end(), whole as u64, "{cut}");
        assert_eq!(error.is_some(), whole != cut, "{cut}: {error:?}");
        assert!(error.is_none_or(|error| error.is_truncation()), "{cut}");
    }
}

#[test]
fn faults_are_named() {
    let long = [b"#", "x".repeat(ANNOTATION_LEN_MAX).as_bytes(), b"\n"].concat();
    let digits = [b"*", "1".repeat(200).as_bytes(), b"\r\n"].concat();
    for (bad, sound, text) in [
        (&b"hello\r\n"[..], 0, "neither a command nor an annotation"),
        (b"\0\0\0", 0, "neither a command nor an annotation"),
        (b"\r\n", 0, "neither a command nor an annotation"),
        (&long, 0, "annotation over 1024 bytes"),
        (b"#TS:1700", 0, "Reached EOF inside an annotation"),
        (b"*", 0, "Expected \\r\\n, got: 0000"),
        (b"*3", 0, "Expected \\r\\n, got: 0000"),
        (b"*3\r", 0, "Expected \\r\\n, got: 0d00"),
        (b"*3\r\n", 1, "Reached EOF before an argument"),
        (b"*3x\r\n$3", 0, "Expected \\r\\n, got: 780d"),
        (b"*3\n$3", 0, "Expected \\r\\n, got: 0a24"),
        (b"*x\r\n", 0, "Expected \\r\\n, got: 780d"),
        (&digits, 0, "Expected \\r\\n, got: 0000"),
        (b"*99999999999999999999\r\n", 0, "Expected a number"),
        (b"*0\r\n", 0, "a command of 0 arguments"),
        (b"*-1\r\n", 0, "a command of -1 arguments"),
        (b"*9999999999\r\n", 0, "a command of 9999999999 arguments"),
        (b"*1\r\n#TS:1\r\n", 1, "Expected prefix '$', got: '#'"),
        (
            b"*1\r\n$-1\r\n",
            2,
            "Expected to read string of -1 bytes, which is not in the suitable range",
        ),
        (b"*1\r\n$4\r\nPINGxy", 2, "Expected \\r\\n, got: 7879"),
        (b"*1\r\n$4\r\nPIN", 2, "Expected to read 6 bytes, got 3 bytes"),
        (b"*1\r\n$4\r\nPING\r", 2, "Expected to read 6 bytes, got 5 bytes"),
        (b"*2\r\n$4\r\nPING\r\n$", 3, "Expected \\r\\n, got: 0000"),
        (b"*1\r\n$9999999999\r\nx", 2, "a command of over 4294901759 bytes"),
        (EXEC, 3, "Unexpected EXEC"),
    ] {
        check(&[SET, bad], 1, Some((sound, text)));
    }
    check(&[SET, MULTI, SET, MULTI], 1, Some((3, "Unexpected MULTI")));
    check(&[SET, MULTI, SET], 1, Some((0, "Reached EOF before reading EXEC for MULTI")));
}

/// An argument much larger than a block, and one that only says so.
#[test]
fn memory_follows_what_has_arrived() {
    let value = vec![b'v'; 5 * BLOCK_LEN];
    let mut bytes = Vec::new();
    encode_command(&mut bytes, &[b"SET".as_slice(), b"k", &value]);
    let mut scanner = Scanner::new(Drip(&bytes, 1000), 0);
    let Ok(Some(Item::Command(command))) = scanner.next_item() else { panic!("a command") };
    assert_eq!(command.args().last(), Some(value.as_slice()));
    assert!(scanner.block.len() <= 2 * bytes.len() + BLOCK_LEN);

    let mut scanner = Scanner::new(&b"*1\r\n$2000000000\r\nabc"[..], 0);
    assert!(scanner.next_item().is_err_and(|error| error.is_truncation()));
    assert!(scanner.block.len() <= 2 * BLOCK_LEN, "{}", scanner.block.len());
}

#[test]
fn read_errors_are_passed_on() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let mut scanner = Scanner::new(SET.chain(Failing), 0);
    assert!(matches!(scanner.next_item(), Ok(Some(_))));
    let error = scanner.next_item().expect_err("it fails");
    assert_eq!(error.to_string(), "at offset 27: read error: disk on fire");
    assert!(!error.is_truncation());
}

proptest! {
    #[test]
    fn steps_do_not_matter(
        pieces in prop::collection::vec(
            prop::sample::select(vec![SET, MULTI, EXEC, TIME, b"*", b"$1\r\n", b"\r\n", b"9"]),
            0..12,
        ),
        step in 1_usize..40,
    ) {
        let bytes = pieces.concat();
        prop_assert_eq!(scan(&bytes, step), scan(&bytes, usize::MAX));
    }

    #[test]
    fn commands_come_back(
        commands in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5),
            0..10,
        ),
    ) {
        let mut bytes = Vec::new();
        for command in &commands {
            encode_command(&mut bytes, command);
        }
        let mut scanner = Scanner::new(bytes.as_slice(), 0);
        for expect in &commands {
            let name = expect[0].to_ascii_lowercase();
            prop_assume!(name != b"multi" && name != b"exec");
            let Ok(Some(Item::Command(command))) = scanner.next_item() else { panic!("lost") };
            prop_assert_eq!(&command.args().map(<[u8]>::to_vec).collect::<Vec<_>>(), expect);
        }
        prop_assert!(matches!(scanner.next_item(), Ok(None)));
    }
}
