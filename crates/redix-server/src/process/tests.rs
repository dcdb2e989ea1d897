#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use redix_testkit::server::TempDir;

use super::*;

/// Above the kernel's largest process id.
const NOBODY: u32 = 1 << 30;

#[test]
fn the_process_id_goes_where_init_scripts_look() {
    let named = |pidfile: &str, background| {
        let mut config = Config { pidfile: pidfile.into(), ..Config::default() };
        PidFile::name(&mut config, background);
        config.pidfile.to_string()
    };
    assert_eq!(named("", false), "");
    assert_eq!(named("", true), "/var/run/redis.pid");
    assert_eq!(named("own.pid", true), "own.pid");
    assert_eq!(named("own.pid", false), "own.pid");
}

#[test]
fn only_what_nobody_writes_is_removed() {
    let dir = TempDir::new("leftovers").unwrap();
    let path = |name: String| dir.path().join(name);
    let own = std::process::id();
    let left = [
        path(format!("temp-bgsave-{NOBODY}.rdb")),
        path(format!("temp-{NOBODY}.rdb")),
        path(format!("temp-1700000000.{NOBODY}.rdb")),
        // In a container, a process often has the same id as the one before it.
        path(format!("temp-bgsave-{own}.rdb")),
    ];
    left.iter().for_each(|path| fs::write(path, "REDIS0011").unwrap());
    let locked = path(format!("temp-bgsave-{}.rdb", NOBODY + 1));
    let file = File::create(&locked).unwrap();
    file.try_lock().unwrap();
    let kept = [
        path("dump.rdb".into()),
        path(format!("temp-bgsave-{NOBODY}.rdb.old")),
        path("temp-bgsave-1.rdb".into()),
    ];
    kept.iter().for_each(|path| fs::write(path, "REDIS0011").unwrap());
    let link = path(format!("temp-{}.rdb", NOBODY + 2));
    symlink("/dev/full", &link).unwrap();

    remove_leftovers(dir.path());
    left.iter().for_each(|path| assert!(!path.exists(), "{}", path.display()));
    kept.iter().for_each(|path| assert!(path.exists(), "{}", path.display()));
    assert!(locked.exists() && link.is_symlink());
    drop(file);
    remove_leftovers(dir.path());
    assert!(!locked.exists());
    // A missing directory is no error.
    remove_leftovers(&path("none".into()));
}
