#![allow(clippy::unwrap_used)]

use super::*;
use crate::effects::Records;
use crate::persist::sim::Sim;

fn place() -> Place {
    Place { dir: "/data".into(), name: b"a.aof".to_vec() }
}

fn append(log: &Log, commands: &[&str]) {
    let mut records = Records::default();
    commands.iter().for_each(|name| records.push(0, &[name.as_bytes()]));
    log.append(&mut records, true);
}

fn content(sim: &Sim, path: &Path) -> String {
    let bytes = sim.files.lock().unwrap()[path].clone();
    String::from_utf8(bytes).unwrap().replace("\r\n", " ")
}

fn step(log: &Log) -> Step {
    Step { until: log.end(), timestamp_s: None }
}

#[test]
fn an_error_has_the_words_of_the_system() {
    let source = io::Error::from_raw_os_error(28);
    let error = FileError { op: "write to", path: "/data/a".into(), source };
    assert_eq!(error.to_string(), "cannot write to /data/a: No space left on device");
}

#[test]
fn after_an_error_whole_units_stay_and_the_rest_is_written_again() {
    let sim = Sim::default();
    let env = sim.env(1);
    let log = Log::new(&*env.entropy);
    let reader = log.start_recording(&*env.entropy);
    let mut writer =
        Writer::resume(&*env.disk, place(), Manifest::default(), reader, None).unwrap();
    append(&log, &["A"]);
    writer.write(&log, step(&log)).unwrap();
    let path = writer.path().to_owned();
    let whole = "*2 $6 SELECT $1 0 *1 $1 A ";
    assert_eq!(content(&sim, &path), whole);
    append(&log, &["B", "C"]);
    for room in 0..30 {
        *sim.room.lock().unwrap() = Some(room);
        writer.write(&log, step(&log)).unwrap_err();
        let torn = content(&sim, &path);
        assert!(torn.starts_with(whole), "{torn}");
        assert_eq!(
            sim.files.lock().unwrap()[&path].len() as u64,
            writer.file_bytes() + room as u64
        );
        assert!(writer.written() < log.end());
    }
    *sim.room.lock().unwrap() = None;
    writer.write(&log, step(&log)).unwrap();
    assert_eq!(content(&sim, &path), format!("{whole}*1 $5 MULTI *1 $1 B *1 $1 C *1 $4 EXEC "));
    assert_eq!(writer.written(), log.end());
    assert_eq!(writer.file_bytes(), sim.files.lock().unwrap()[&path].len() as u64);
}

#[test]
fn a_base_is_used_only_with_an_increment_that_was_begun_for_it() {
    let sim = Sim::default();
    let env = sim.env(1);
    let log = Log::new(&*env.entropy);
    let reader = log.start_recording(&*env.entropy);
    let mut writer =
        Writer::resume(&*env.disk, place(), Manifest::default(), reader, None).unwrap();
    append(&log, &["A"]);
    writer.write(&log, step(&log)).unwrap();
    let base = Path::new("/temp");
    env.disk.create(base).unwrap();
    writer.commit(&*env.disk, base, BaseFormat::Rdb, Retention::None).unwrap_err();
    writer.switch(&*env.disk, Some(7), Retention::None).unwrap();
    writer.write(&log, step(&log)).unwrap();
    assert_eq!(content(&sim, writer.path()), "", "there is nothing to select a database for");
    append(&log, &["B"]);
    writer.write(&log, step(&log)).unwrap();
    assert_eq!(content(&sim, writer.path()), "*2 $6 SELECT $1 7 *1 $1 B ");
    writer.commit(&*env.disk, base, BaseFormat::Rdb, Retention::None).unwrap();
    assert_eq!(writer.manifest().increments.len(), 1);
    env.disk.create(base).unwrap();
    writer.commit(&*env.disk, base, BaseFormat::Rdb, Retention::None).unwrap_err();
}

#[test]
fn history_goes_when_it_is_old_enough() {
    let sim = Sim::default();
    let env = sim.env(1);
    let log = Log::new(&*env.entropy);
    let reader = log.start_recording(&*env.entropy);
    let mut writer =
        Writer::resume(&*env.disk, place(), Manifest::default(), reader, None).unwrap();
    for now_s in [100, 200] {
        writer.switch(&*env.disk, None, Retention::Kept(now_s)).unwrap();
        let base = Path::new("/temp");
        env.disk.create(base).unwrap();
        writer.commit(&*env.disk, base, BaseFormat::Rdb, Retention::Kept(now_s)).unwrap();
    }
    let history = |writer: &Writer| {
        let on_disk = writer.place().read_manifest(&*env.disk).unwrap().unwrap();
        assert_eq!(on_disk, *writer.manifest());
        let names = on_disk.history.iter().map(|file| String::from_utf8(file.name.clone()));
        names.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let exists = |name: &str| sim.files.lock().unwrap().contains_key(&place().dir.join(name));
    assert_eq!(history(&writer), ["a.aof.2.incr.aof", "a.aof.1.base.rdb", "a.aof.1.incr.aof"]);
    assert!(writer.remove_history(&*env.disk, Some(99)).unwrap().is_empty());
    assert!(exists("a.aof.1.incr.aof"));
    writer.remove_history(&*env.disk, Some(150)).unwrap();
    assert_eq!(history(&writer), ["a.aof.2.incr.aof", "a.aof.1.base.rdb"]);
    assert!(!exists("a.aof.1.incr.aof") && exists("a.aof.1.base.rdb"));
    writer.remove_history(&*env.disk, None).unwrap();
    assert!(history(&writer).is_empty() && !exists("a.aof.1.base.rdb"));
    assert!(exists("a.aof.2.base.rdb") && exists("a.aof.3.incr.aof"));
}

#[test]
fn each_increment_says_when_its_commands_were_written() {
    let sim = Sim::default();
    let env = sim.env(1);
    let log = Log::new(&*env.entropy);
    let reader = log.start_recording(&*env.entropy);
    let mut writer =
        Writer::resume(&*env.disk, place(), Manifest::default(), reader, None).unwrap();
    for _ in 0..2 {
        append(&log, &["A"]);
        let step = Step { until: log.end(), timestamp_s: Some(7) };
        writer.write(&log, step).unwrap();
        assert!(content(&sim, writer.path()).starts_with("#TS:7 "));
        writer.switch(&*env.disk, None, Retention::None).unwrap();
    }
}
