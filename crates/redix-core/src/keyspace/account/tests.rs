//! Accounts of a table whose keys are counted in slices.
#![allow(clippy::unwrap_used)]

use redix_types::entry::{EntryBox, Value};

use super::*;

fn put(keyspace: &Keyspace, db: u32, name: &str, value: &[u8]) {
    let key = keyspace.key(name.as_bytes());
    let mut shard = keyspace.lock(key.shard());
    let part = shard.db_mut(db);
    let entry = EntryBox::new(key.bytes, Value::Str(value), None, 0);
    part.note_gain(key.hash, entry.as_ref());
    part.table.insert_new(key.hash, entry, false, keyspace.hasher());
    keyspace.publish_counts(0, (db, key.shard()), part);
}

fn remove(keyspace: &Keyspace, db: u32, name: &str) {
    let key = keyspace.key(name.as_bytes());
    let mut shard = keyspace.lock(key.shard());
    let part = shard.db_mut(db);
    let pos = part.table.find(key.hash, key.bytes).unwrap();
    let entry = part.table.remove(pos);
    part.note_loss(key.hash, entry.as_ref());
    keyspace.publish_counts(1, (db, key.shard()), part);
}

fn sum(keyspace: &Keyspace, db: u32) -> u64 {
    let mut bytes = 0;
    for index in 0..SHARDS {
        let shard = keyspace.lock(index);
        let Some(part) = shard.db(db) else { continue };
        bytes += part.table.memory_bytes() as u64;
        part.table.scan(0, usize::MAX, |entry| bytes += entry.memory_usage() as u64);
    }
    bytes
}

#[test]
fn keys_that_change_while_others_are_counted_are_counted_once() {
    let keyspace = Keyspace::new(4, 2, [7; 16]);
    for at in 0..30_000 {
        put(&keyspace, 3, &format!("k{at}"), b"some value");
    }
    assert_eq!(keyspace.ledger().bytes(3), 0);
    keyspace.begin_accounts(2);
    assert!(keyspace.ledger().is_behind());
    let mut at = 0;
    while keyspace.count_step(0, 4) {
        // Everywhere: before and behind what is being counted.
        remove(&keyspace, 3, &format!("k{at}"));
        put(&keyspace, 3, &format!("n{at}"), &vec![b'v'; at % 700]);
        put(&keyspace, 1, &format!("n{at}"), b"v");
        at += 1;
    }
    assert!(at > 5_000 && !keyspace.ledger().is_behind());
    for db in 0..4 {
        assert_eq!(keyspace.ledger().bytes(db), sum(&keyspace, db), "{db}");
    }
    keyspace.end_accounts();
    put(&keyspace, 3, "another", b"v");
    assert_eq!(keyspace.ledger().bytes(3), 0);
}
