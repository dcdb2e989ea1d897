//! HyperLogLogs travel between Redix and the real servers: equal commands leave equal bytes, and a
//! value goes on where it came from elsewhere.

use redix_resp::Value;
use redix_testkit::{Client, Launch, Peer, Rng};

use crate::{connect, start};

const SEED: u64 = 11;

fn value_of(client: &mut Client, key: &str) -> Vec<u8> {
    match client.must(&["GET", key]).unwrap() {
        Value::Bulk(bytes) => bytes,
        other => panic!("no string: {}", other.pretty()),
    }
}

/// Sends the same to both, which must answer the same.
fn same(clients: &mut [Client; 2], command: &[Vec<u8>]) -> Value {
    let [ours, theirs] = clients.each_mut().map(|client| client.cmd(command).unwrap());
    assert_eq!(ours, theirs, "seed {SEED}: {}", String::from_utf8_lossy(&command[0]));
    ours
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// Adds so many random elements, a few to some hundred in each command.
fn add(clients: &mut [Client; 2], rng: &mut Rng, key: &str, count: usize) {
    let mut left = count;
    while left > 0 {
        let some = left.min(1 + rng.below(300));
        let mut command = words(&[b"PFADD", key.as_bytes()]);
        command.extend((0..some).map(|_| rng.next_u64().to_le_bytes().to_vec()));
        same(clients, &command);
        left -= some;
    }
}

fn travels(peer: Peer) {
    if !peer.available_or_skip() {
        return;
    }
    let (redix, theirs) = (start(&[]), Launch::new(peer).unwrap().start().unwrap());
    let mut clients = [connect(&redix), connect(&theirs)];
    let mut rng = Rng::new(SEED);
    for count in [0, 1, 3, 100, 900, 2000, 30_000] {
        let key = format!("h{count}");
        same(&mut clients, &words(&[b"PFADD", key.as_bytes(), b"first"]));
        add(&mut clients, &mut rng, &key, count);
        same(&mut clients, &words(&[b"PFCOUNT", key.as_bytes()]));
        let [ours, theirs] = clients.each_mut().map(|client| value_of(client, &key));
        assert!(ours == theirs, "seed {SEED}: values of {count} elements differ");
        // Each goes on with what the other has made.
        clients[0].must(&[b"SET", key.as_bytes(), &theirs]).unwrap();
        clients[1].must(&[b"SET", key.as_bytes(), &ours]).unwrap();
        add(&mut clients, &mut rng, &key, 50);
        same(&mut clients, &words(&[b"PFCOUNT", key.as_bytes()]));
        same(&mut clients, &words(&[b"PFMERGE", b"all", key.as_bytes()]));
        same(&mut clients, &words(&[b"PFCOUNT", b"all", b"h1"]));
        same(&mut clients, &words(&[b"GET", b"all"]));
    }
}

#[test]
fn hyperloglogs_are_those_of_valkey() {
    travels(Peer::Valkey);
}

#[test]
fn hyperloglogs_are_those_of_redis_7() {
    travels(Peer::Redis7);
}

#[test]
fn hyperloglogs_are_those_of_redis_8() {
    travels(Peer::Redis8);
}
