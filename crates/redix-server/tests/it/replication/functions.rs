//! Libraries of functions: carried by full synchronisations, changed by the stream.

use redix_resp::Value;
use redix_testkit::Peer;

use super::node::Node;
use crate::eventually;

/// A library with a function that reads and one that writes.
fn library(name: &str, answer: u32) -> String {
    format!(
        "#!lua name={name}\nredis.register_function{{function_name='{name}_read', \
         callback=function() return {answer} end, flags={{'no-writes'}}}}\n\
         redis.register_function('{name}_write', function(keys) redis.call('SET', keys[1], \
         {answer}) return redis.call('INCR', keys[1]) end)"
    )
}

fn load(node: &mut Node, name: &str, answer: u32) {
    let args = ["FUNCTION", "LOAD", "REPLACE", &library(name, answer)];
    node.client.must(&args).unwrap_or_else(|error| panic!("{error}"));
}

/// The names of the libraries, and what their functions reply that may run on a replica.
fn known(node: &mut Node) -> Vec<String> {
    let Value::Array(libraries) = node.must("FUNCTION LIST") else { panic!("an array") };
    let mut lines: Vec<String> = libraries
        .iter()
        .map(|library| {
            let Value::Array(parts) = library else { panic!("a map") };
            let name = parts[1].pretty().replace('"', "");
            let answer = node.ask(&format!("FCALL_RO {name}_read 0"));
            format!("{name} {answer}")
        })
        .collect();
    lines.sort();
    lines
}

fn eventually_knows(node: &mut Node, lines: &[&str]) {
    eventually(&format!("the replica knows {lines:?}"), || known(node) == lines);
}

/// The libraries of a replica become those of its primary, in every form of transfer.
fn synchronisations_carry_libraries(primary: Peer, replica: Peer) {
    let forms = [("yes", "disabled"), ("no", "disabled"), ("yes", "swapdb"), ("no", "swapdb")];
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    for (round, (diskless, load_form)) in (1..).zip(forms) {
        primary.must(&format!("CONFIG SET repl-diskless-sync {diskless}"));
        replica.must(&format!("CONFIG SET repl-diskless-load {load_form}"));
        load(&mut primary, "a", round);
        load(&mut replica, "a", 100);
        load(&mut replica, "b", 100);
        replica.follow(primary.server.addr());
        replica.wait_linked();
        assert_eq!(known(&mut replica), [format!("a (integer) {round}")], "{diskless} {load_form}");
        replica.must("REPLICAOF NO ONE");
        // A history of its own, so that the next round resynchronises fully.
        replica.must("SET own 1");
    }
    primary.must("FUNCTION FLUSH");
    replica.follow(primary.server.addr());
    replica.wait_linked();
    assert_eq!(known(&mut replica), [""; 0], "a data set without libraries replaces them too");
}
for_pairs!(synchronisations_carry_libraries);

/// Every change of the libraries travels the stream, and what functions write.
fn the_stream_changes_libraries(primary: Peer, replica: Peer) {
    // Redis 7.0 reads no payload of a later version.
    let args: &[&str] = if primary == Peer::Redix { &["--rdb-version", "10"] } else { &[] };
    let mut primary = Node::start(primary, args);
    let mut replica = Node::start(replica, &[]);
    replica.follow(primary.server.addr());
    replica.wait_linked();
    load(&mut primary, "a", 1);
    load(&mut primary, "b", 2);
    eventually_knows(&mut replica, &["a (integer) 1", "b (integer) 2"]);
    let error = replica.ask("FUNCTION DELETE a");
    assert!(error.starts_with("-READONLY"), "{error}");
    assert!(replica.ask("FCALL a_write 1 k").starts_with("-READONLY"));

    assert_eq!(primary.ask("FCALL a_write 1 k"), "(integer) 2");
    eventually("the replica has the key", || replica.ask("GET k") == "\"2\"");
    load(&mut primary, "a", 3);
    eventually_knows(&mut replica, &["a (integer) 3", "b (integer) 2"]);

    let Value::Bulk(payload) = primary.must("FUNCTION DUMP") else { panic!("a payload") };
    primary.must("FUNCTION DELETE a");
    eventually_knows(&mut replica, &["b (integer) 2"]);
    let restore = [&b"FUNCTION"[..], b"RESTORE", &payload, b"REPLACE"];
    primary.client.must(&restore).unwrap();
    eventually_knows(&mut replica, &["a (integer) 3", "b (integer) 2"]);
    primary.must("FLUSHALL");
    primary.must("FUNCTION FLUSH");
    eventually_knows(&mut replica, &[]);
    assert_eq!(primary.number("sync_full"), 1, "the stream alone did it");
}
for_pairs!(the_stream_changes_libraries);
