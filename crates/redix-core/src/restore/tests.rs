#![allow(clippy::unwrap_used)]

use std::path::Path;

use redix_resp::request::encode_command;

use super::*;
use crate::aof::writer::Place;
use crate::env::Env;
use crate::moment::parse_rfc3339;
use crate::persist::aof::manifest::Manifest;
use crate::persist::sim::Sim;

const DIR: &str = "/files";
const MANIFEST: &str = "a.aof.manifest";

/// Text with `|` between commands, and annotations as lines: the bytes of a file.
fn file(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in text.split('|').map(str::trim).filter(|part| !part.is_empty()) {
        if part.starts_with('#') {
            bytes.extend_from_slice(format!("{part}\r\n").as_bytes());
        } else {
            let words: Vec<&[u8]> = part.split(' ').map(str::as_bytes).collect();
            encode_command(&mut bytes, &words);
        }
    }
    bytes
}

/// The reverse of [`file`].
fn text(bytes: &[u8]) -> String {
    let mut scanner = crate::persist::aof::scan::Scanner::new(bytes, 0);
    let mut parts = Vec::new();
    while let Some(item) = scanner.next_item().unwrap() {
        parts.push(match item {
            crate::persist::aof::scan::Item::Annotation(annotation) => {
                String::from_utf8_lossy(annotation.line).trim_end().to_owned()
            }
            crate::persist::aof::scan::Item::Command(command) => {
                let words = command.args().map(|arg| String::from_utf8_lossy(arg).into_owned());
                words.collect::<Vec<_>>().join(" ")
            }
        });
    }
    parts.join("|")
}

struct Files {
    sim: Sim,
    env: Env,
}

impl Files {
    fn new(manifest: &str, files: &[(&str, &[u8])]) -> Self {
        let sim = Sim::default();
        let mut all = sim.files.lock().unwrap();
        let path = |name: &str| Path::new(DIR).join(name);
        all.insert(path(MANIFEST), manifest.as_bytes().to_vec());
        for (name, bytes) in files {
            all.insert(path(name), bytes.to_vec());
        }
        drop(all);
        let env = sim.env(1);
        Self { sim, env }
    }

    fn place(dir: &str) -> Place {
        Place { dir: dir.into(), name: b"a.aof".to_vec() }
    }

    fn timeline(&self) -> Timeline {
        Timeline::read(&*self.env.disk, Self::place(DIR)).unwrap()
    }

    /// The increments of what is restored, or the error.
    fn restore(&self, target: &Target) -> Result<Vec<String>, String> {
        let mut timeline = self.timeline();
        let disk = &*self.env.disk;
        let plan = timeline.plan(disk, target).map_err(|error| error.to_string())?;
        let to = Self::place("/restored");
        timeline.copy(disk, &plan, &to).map_err(|error| error.to_string())?;
        let files = self.sim.files.lock().unwrap();
        let manifest = Manifest::parse(&files[&to.manifest()]).unwrap();
        let mut found = Vec::new();
        for file in manifest.live() {
            let text = text(&files[&to.file(&file.name)]);
            let text = text.strip_prefix("#REPL-ID:?").unwrap_or(&text);
            found.push(text.strip_prefix('|').unwrap_or(text).to_owned());
        }
        Ok(found)
    }
}

const THREE: &str = "file a.aof.3.base.aof seq 3 type b\n\
                     file a.aof.2.incr.aof seq 2 type h until 30\n\
                     file a.aof.2.base.aof seq 2 type h until 30\n\
                     file a.aof.1.incr.aof seq 1 type h until 20\n\
                     file a.aof.1.base.aof seq 1 type h until 20\n\
                     file a.aof.3.incr.aof seq 3 type i follows 2\n";

/// Three generations: 10 to 19, 20 to 29, from 30 on.
fn three() -> Vec<(&'static str, Vec<u8>)> {
    let id = "0123456789012345678901234567890123456789";
    vec![
        ("a.aof.1.base.aof", file("#TS:10|SET base 1")),
        (
            "a.aof.1.incr.aof",
            file(&format!(
                "#TS:11|SELECT 0|#REPL-ID:{id}|#REPL-OFFSET:1000|SET a 1|#TS:12|MULTI|SET b 1|SET c 1|\
                 EXEC|#TS:15|SET d 1"
            )),
        ),
        ("a.aof.2.base.aof", file("#TS:20|SET base 2")),
        (
            "a.aof.2.incr.aof",
            file("#TS:22|SELECT 1|SET e 1|#TS:23|FLUSHALL|SET f 1|#TS:25|SET g 1"),
        ),
        ("a.aof.3.base.aof", file("#TS:30|SET base 3")),
        ("a.aof.3.incr.aof", file("#TS:31|SELECT 1|SET h 1|#TS:33|SET i 1")),
    ]
}

fn all(files: &[(&'static str, Vec<u8>)]) -> Files {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    Files::new(THREE, &files)
}

#[test]
fn a_time_includes_its_second() {
    let files = all(&three());
    let at = |time_s| files.restore(&Target::Time(time_s)).unwrap();
    assert_eq!(at(10), ["#TS:10|SET base 1", ""]);
    assert_eq!(at(11), ["#TS:10|SET base 1", "#TS:11|SELECT 0|SET a 1"]);
    let second = "#TS:11|SELECT 0|SET a 1|#TS:12|MULTI|SET b 1|SET c 1|EXEC";
    assert_eq!(at(12), ["#TS:10|SET base 1", second]);
    assert_eq!(at(14), at(12));
    assert_eq!(at(19), ["#TS:10|SET base 1", &format!("{second}|#TS:15|SET d 1")]);
    assert_eq!(at(20), ["#TS:20|SET base 2", ""]);
    assert_eq!(at(24), ["#TS:20|SET base 2", "#TS:22|SELECT 1|SET e 1|#TS:23|FLUSHALL|SET f 1"]);
    assert_eq!(at(99), ["#TS:30|SET base 3", "#TS:31|SELECT 1|SET h 1|#TS:33|SET i 1"]);
    let error = files.restore(&Target::Time(9)).unwrap_err();
    // Of the second generation it is not known that it continues the first.
    assert_eq!(
        error,
        "1970-01-01T00:00:09Z is not within what the files cover; can be restored: \
         1970-01-01T00:00:10Z to 1970-01-01T00:00:15Z, offsets 1000 to 1137, and \
         1970-01-01T00:00:20Z to 1970-01-01T00:00:33Z"
    );
}

#[test]
fn an_offset_is_at_or_after_the_end_of_a_unit() {
    let files = all(&three());
    let at = |offset| files.restore(&Target::Offset(offset)).map(|files| files[1].clone());
    let set = file("SET a 1").len() as u64;
    let transaction = file("MULTI|SET b 1|SET c 1|EXEC").len() as u64;
    let first = "#TS:11|SELECT 0|SET a 1";
    assert_eq!(at(1000).unwrap(), "#TS:11|SELECT 0");
    assert_eq!(at(1000 + set - 1).unwrap(), "#TS:11|SELECT 0");
    assert_eq!(at(1000 + set).unwrap(), first);
    assert_eq!(at(1000 + set + transaction - 1).unwrap(), first);
    let more = at(1000 + set + transaction).unwrap();
    assert_eq!(more, format!("{first}|#TS:12|MULTI|SET b 1|SET c 1|EXEC"));
    let end = 1000 + 2 * set + transaction;
    assert_eq!(at(end).unwrap(), format!("{more}|#TS:15|SET d 1"));
    for offset in [999, end + 1] {
        let error = at(offset).unwrap_err();
        assert!(error.contains(&format!("offset {offset} is not within")), "{error}");
    }
}

#[test]
fn a_flush_is_undone_with_or_without_what_came_later() {
    let files = all(&three());
    let undo = Undo::parse("flushall").unwrap();
    let before = files.restore(&Target::Before(undo.clone())).unwrap();
    assert_eq!(before, ["#TS:20|SET base 2", "#TS:22|SELECT 1|SET e 1"]);
    let without = files.restore(&Target::Without(undo)).unwrap();
    let kept = "#TS:22|SELECT 1|SET e 1|#TS:23|SET f 1|#TS:25|SET g 1";
    let last = "#TS:31|SELECT 1|SET h 1|#TS:33|SET i 1";
    assert_eq!(without, ["#TS:20|SET base 2", kept, last]);
    let error = files.restore(&Target::Before(Undo::FlushDb(None))).unwrap_err();
    assert!(error.starts_with("there is no FLUSHDB in the files; can be restored: "), "{error}");
    // Something else was done between the second and the third generation.
    files.sim.files.lock().unwrap().insert(
        Path::new(DIR).join(MANIFEST),
        THREE.replace("type i follows 2", "type i").into_bytes(),
    );
    let error = files.restore(&Target::Without(Undo::FlushAll)).unwrap_err();
    assert!(error.contains("a.aof.3.incr.aof is not known to continue"), "{error}");
}

/// What is left of a single increment.
fn single(increment: &str, target: &Target) -> String {
    let manifest = "file a.aof.1.incr.aof seq 1 type i\n";
    let files = Files::new(manifest, &[("a.aof.1.incr.aof", &file(increment))]);
    files.restore(target).unwrap().remove(0)
}

#[test]
fn transactions_are_undone_as_a_whole() {
    let text = "SELECT 0|SET a 1|MULTI|SET b 1|FLUSHDB|SELECT 2|SET c 1|EXEC|SET d 1";
    let before = single(text, &Target::Before(Undo::FlushDb(Some(0))));
    assert_eq!(before, "SELECT 0|SET a 1");
    // What comes later goes to the database where it went.
    let without = single(text, &Target::Without(Undo::FlushDb(None)));
    assert_eq!(without, "SELECT 0|SET a 1|SELECT 2|SET d 1");
}

#[test]
fn a_flush_of_one_database_is_found() {
    let text = "SELECT 1|FLUSHDB|SET a 1|SELECT 2|FLUSHDB async|SET b 1";
    let undo = |db| Target::Before(Undo::parse(db).unwrap());
    assert_eq!(single(text, &undo("FLUSHDB 1")), "SELECT 1");
    assert_eq!(single(text, &undo("FLUSHDB")), "SELECT 1|FLUSHDB|SET a 1|SELECT 2");
}

#[test]
fn deletions_in_a_row_are_one_act() {
    let undo = |keep| {
        let undo = Undo::parse("DEL user:*").unwrap();
        if keep { Target::Without(undo) } else { Target::Before(undo) }
    };
    let text = "#TS:10|DEL user:0|#TS:20|SET a 1|DEL user:1|SET b 1|#TS:21|UNLINK x user:2|SET c 1|\
                DEL other";
    assert_eq!(single(text, &undo(false)), "#TS:10|DEL user:0|#TS:20|SET a 1");
    assert_eq!(
        single(text, &undo(true)),
        "#TS:10|DEL user:0|#TS:20|SET a 1|SET b 1|#TS:21|SET c 1|DEL other"
    );
    let text = format!("DEL user:0|{}DEL user:1|SET b 1|DEL user:2", "SET a 1|".repeat(101));
    let left = single(&text, &undo(false));
    assert!(left.starts_with("DEL user:0") && left.ends_with("|SET a 1"), "{left}");
}

#[test]
fn damage_ends_what_can_be_restored() {
    let mut files = three();
    // In the middle of the second generation.
    let damaged = [file("#TS:22|SELECT 1|SET e 1"), b"garbage".to_vec()].concat();
    let at = damaged.len() - b"garbage".len();
    files[3].1 = damaged;
    let set = all(&files);
    let error = set.restore(&Target::Time(23)).unwrap_err();
    assert!(
        error.starts_with(&format!("/files/a.aof.2.incr.aof is damaged at offset {at}: neither a")),
        "{error}"
    );
    assert!(error.contains("1970-01-01T00:00:20Z to 1970-01-01T00:00:21Z"), "{error}");
    assert!(error.contains("1970-01-01T00:00:30Z to 1970-01-01T00:00:33Z"), "{error}");
    assert_eq!(set.restore(&Target::Time(21)).unwrap(), ["#TS:20|SET base 2", ""]);
    assert_eq!(set.restore(&Target::Time(30)).unwrap(), ["#TS:30|SET base 3", ""]);
    // A base that is missing is made up for by the generation before, if that is whole.
    let mut files = three();
    files.remove(4);
    let set = all(&files);
    let restored = set.restore(&Target::Time(31)).unwrap();
    assert_eq!(restored[0], "#TS:20|SET base 2");
    assert_eq!(restored[2], "#TS:31|SELECT 1|SET h 1");
    // Of the second it is not known that it continues the first.
    files.remove(2);
    let set = all(&files);
    let error = set.restore(&Target::Time(23)).unwrap_err();
    assert!(error.contains("/files/a.aof.2.base.aof is missing"), "{error}");
    assert!(
        error.ends_with(
            "can be restored: 1970-01-01T00:00:10Z to 1970-01-01T00:00:15Z, offsets 1000 to 1137"
        ),
        "{error}"
    );
}

#[test]
fn an_increment_that_is_missing_or_breaks_off() {
    let mut files = three();
    let len = files[5].1.len();
    files[5].1.truncate(len - 1);
    let set = all(&files);
    let last = "#TS:31|SELECT 1|SET h 1";
    assert_eq!(set.restore(&Target::Time(99)).unwrap()[1], last);
    files.remove(5);
    let error = all(&files).restore(&Target::Time(99)).unwrap_err();
    assert!(error.contains("/files/a.aof.3.incr.aof is missing"), "{error}");
}

#[test]
fn what_an_interrupted_restore_leaves_is_no_data_set() {
    let files = all(&three());
    let disk = &*files.env.disk;
    let mut timeline = files.timeline();
    let plan = timeline.plan(disk, &Target::Time(99)).unwrap();
    let to = Files::place("/restored");
    for room in 0.. {
        *files.sim.room.lock().unwrap() = Some(room);
        let copied = timeline.copy(disk, &plan, &to);
        let is_whole = files.sim.files.lock().unwrap().contains_key(&to.manifest());
        assert_eq!(copied.is_ok(), is_whole, "room for {room} bytes");
        if is_whole {
            assert!(room > 100);
            break;
        }
        assert!(copied.unwrap_err().to_string().starts_with("cannot write"));
    }
}

#[test]
fn commands_without_a_time_are_not_guessed() {
    let manifest = "file a.aof.1.base.aof seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n";
    let files = Files::new(
        manifest,
        &[
            ("a.aof.1.base.aof", &file("#TS:10|SET base 1")),
            ("a.aof.1.incr.aof", &file("SET a 1|SET b 1|#TS:20|SET c 1")),
        ],
    );
    assert_eq!(files.restore(&Target::Time(20)).unwrap()[1], "SET a 1|SET b 1|#TS:20|SET c 1");
    let error = files.restore(&Target::Time(15)).unwrap_err();
    assert!(
        error.starts_with("/files/a.aof.1.incr.aof: the commands from offset 0 on have no time"),
        "{error}"
    );
}

/// Redis makes the base by a clock that lags a little, and repeats no time in the next file.
#[test]
fn a_base_that_says_it_is_older_than_it_is() {
    let mut files = three();
    files[4].1 = file("#TS:24|SET base 3");
    files[5].1 = file("SELECT 1|SET h 1|#TS:33|SET i 1");
    let set = all(&files);
    let second = set.restore(&Target::Time(24)).unwrap();
    assert_eq!(second[0], "#TS:20|SET base 2");
    let third = set.restore(&Target::Time(25)).unwrap();
    assert_eq!(third, ["#TS:24|SET base 3", "SELECT 1|SET h 1"]);
    // Where it is not of the same second, what has no time has none.
    files[4].1 = file("#TS:27|SET base 3");
    let error = all(&files).restore(&Target::Time(28)).unwrap_err();
    assert!(
        error.contains("a.aof.3.incr.aof: the commands from offset 0 on have no time"),
        "{error}"
    );
}

#[test]
fn a_place_is_the_end_of_the_last_unit_before_it() {
    let files = all(&three());
    let name = b"a.aof.2.incr.aof".to_vec();
    let at =
        |offset| files.restore(&Target::Place(name.clone(), offset)).map(|files| files[1].clone());
    let first = file("#TS:22|SELECT 1|SET e 1").len() as u64;
    assert_eq!(at(first).unwrap(), "#TS:22|SELECT 1|SET e 1");
    assert_eq!(at(first + 5).unwrap(), "#TS:22|SELECT 1|SET e 1");
    assert_eq!(at(0).unwrap(), "");
    assert!(at(9999).unwrap_err().contains("a.aof.2.incr.aof:9999 is not within"));
}

#[test]
fn times_are_read_and_written() {
    for (text, time_s) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:34:56Z", 951_827_696),
        ("2026-11-30T19:30:00Z", 1_796_067_000),
        ("1969-12-31T23:59:59Z", -1),
    ] {
        assert_eq!(rfc3339(time_s), text);
        assert_eq!(parse_rfc3339(text), Some(time_s));
    }
    assert_eq!(parse_rfc3339("2026-11-30T20:30:00.999+01:00"), Some(1_796_067_000));
    assert_eq!(parse_rfc3339("2026-11-30 14:00:00-05:30"), Some(1_796_067_000));
    for bad in
        ["", "2026-11-30", "2026-11-30T19:30:00", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z"]
    {
        assert_eq!(parse_rfc3339(bad), None, "{bad}");
    }
    for time_s in (-5_000_000_000_i64..5_000_000_000).step_by(86_399 * 37) {
        assert_eq!(parse_rfc3339(&rfc3339(time_s)), Some(time_s));
    }
}
