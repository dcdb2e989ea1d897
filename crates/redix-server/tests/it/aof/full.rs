//! A disk that is full: a small tmpfs, which takes the privilege to mount. Skipped without it.

use std::fs;
use std::process::Command;

use redix_resp::Value;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch};

use super::{info, loaded};
use crate::{eventually, program};

/// The size of the disk, and of a file on it that can be removed to make room.
const DISK: &str = "size=6m";
const BALLAST_BYTES: usize = 2 << 20;
const VALUE_BYTES: usize = 20_000;

/// A small disk, unmounted with its owner.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let disk = Self(TempDir::new("full").unwrap());
        let words = ["-t", "tmpfs", "-o", DISK, "redix-test"];
        let mounted = Command::new("mount").args(words).arg(disk.0.path()).output();
        let is_there = mounted.is_ok_and(|output| output.status.success());
        if !is_there {
            eprintln!("skipped: nothing can be mounted here");
        }
        is_there.then_some(disk)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Ignored: it may not have been mounted.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn ask(client: &mut Client, words: &[&str]) -> String {
    client.cmd(words).unwrap().pretty()
}

/// Writes until a write is not acknowledged. Returns how many were, and the last reply.
fn write_until_full(client: &mut Client, policy: &str) -> (usize, String) {
    let value = "x".repeat(VALUE_BYTES);
    for number in 0..1000 {
        match client.cmd(&["SET", &format!("{policy}:{number}"), &value]) {
            Ok(Value::Simple(_)) => {}
            Ok(refusal) => return (number, refusal.pretty()),
            Err(error) => return (number, error.to_string()),
        }
    }
    panic!("the disk is not full");
}

/// Under `everysec` writes are refused until there is room again, and under `always` the server
/// ends, as real ones do. What was acknowledged is there after a restart.
#[test]
fn what_was_acknowledged_outlasts_a_full_disk() {
    for policy in ["everysec", "no", "always"] {
        let Some(disk) = SmallDisk::mount() else { return };
        let ballast = disk.0.path().join("ballast");
        fs::write(&ballast, vec![1; BALLAST_BYTES]).unwrap();
        let with = ["--dir", disk.path(), "--appendonly", "yes", "--appendfsync", policy];
        let mut server = Launch::redix(program()).args(&with).start().unwrap();
        let mut client = Client::connect(server.addr()).unwrap();
        let (written, refusal) = write_until_full(&mut client, policy);
        assert!(written > 100, "{policy}: {written} writes");
        fs::remove_file(&ballast).unwrap();
        if policy == "always" {
            server.wait_for_exit().unwrap();
        } else {
            assert!(refusal.starts_with("-MISCONF "), "{policy}: {refusal}");
            assert_eq!(ask(&mut client, &["EXISTS", &format!("{policy}:0")]), "(integer) 1");
            eventually("the rest is written", || {
                info(&mut client, "persistence", "aof_last_write_status") == "ok"
            });
            client.must(&["SET", "after", "1"]).unwrap();
            server.kill9().unwrap();
        }
        server.restart().unwrap();
        let mut client = loaded(&server);
        for number in 0..written {
            let key = format!("{policy}:{number}");
            let len = ask(&mut client, &["STRLEN", &key]);
            assert_eq!(len, format!("(integer) {VALUE_BYTES}"), "{key}");
        }
        let after = if policy == "always" { "(null)" } else { "\"1\"" };
        assert_eq!(ask(&mut client, &["GET", "after"]), after);
    }
}
