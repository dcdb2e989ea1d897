//! Libraries of functions between Redix and the real servers: files, payloads, and what `redis-cli
//! --functions-rdb` saves.

use std::path::Path;
use std::process::Command;

use redix_resp::Value;
use redix_testkit::Peer;
use redix_testkit::peer::Tool;

use super::{Node, TempDir};

fn peers() -> Vec<Peer> {
    let mut peers = vec![Peer::Redis7, Peer::Redis8, Peer::Valkey];
    peers.retain(|peer| peer.available_or_skip());
    peers
}

/// The configuration with which Redix writes what a server reads.
fn version_for(peer: Peer) -> &'static [&'static str] {
    match peer {
        Peer::Valkey => &["--rdb-version", "80"],
        Peer::Redis8 => &["--rdb-version", "12"],
        _ => &["--rdb-version", "10"],
    }
}

/// Libraries: one with a state, one with all that can be said about a function, one that files keep
/// compressed.
fn libraries() -> Vec<String> {
    let many: Vec<_> = (0..50)
        .map(|id| format!("redis.register_function('many_{id}', function() return {id} end)\n"))
        .collect();
    vec![
        "#!lua name=counter\nlocal count = 0\nredis.register_function('count', function() count = \
         count + 1 return count end)"
            .into(),
        "#!lua name=reader\nredis.register_function{function_name='read', description='Reads a \
         key.', flags={'no-writes', 'allow-stale'}, callback=function(keys) return \
         redis.call('GET', keys[1]) end}"
            .into(),
        format!("#!lua name=many\n{}", many.concat()),
    ]
}

fn fill(node: &mut Node) {
    for library in libraries() {
        node.must(&["FUNCTION", "LOAD", &library]);
    }
    node.must(&["SET", "k", "v"]);
}

/// What is said about the libraries, in order, and what functions reply.
fn describe(node: &mut Node) -> Vec<String> {
    let Value::Array(libraries) = node.must(&["FUNCTION", "LIST", "WITHCODE"]) else {
        panic!("an array")
    };
    let mut lines: Vec<String> = libraries
        .iter()
        .map(|library| {
            let Value::Array(parts) = library else { panic!("a map") };
            let Value::Array(mut functions) = parts[5].clone() else { panic!("functions") };
            functions.sort_by_key(Value::pretty);
            [&parts[1], &Value::Array(functions), &parts[7]].map(Value::pretty).concat()
        })
        .collect();
    lines.sort();
    for call in ["count 0", "read 1 k", "many_7 0", "MANY_49 0"] {
        let args: Vec<_> = ["FCALL"].into_iter().chain(call.split(' ')).collect();
        lines.push(node.client.cmd(&args).unwrap().pretty());
    }
    lines
}

fn filled(peer: Peer, args: &[&str]) -> (Node, Vec<String>) {
    let mut node = Node::start(peer, args);
    fill(&mut node);
    let lines = describe(&mut node);
    assert_eq!(&lines[3..], ["(integer) 1", "\"v\"", "(integer) 7", "(integer) 49"]);
    (node, lines)
}

#[test]
fn files_keep_libraries() {
    for peer in peers() {
        let (mut real, lines) = filled(peer, &[]);
        let mut redix = Node::with_file(Peer::Redix, &real.save());
        assert_eq!(describe(&mut redix), lines, "{} to redix", peer.name());
        let (mut redix, lines) = filled(Peer::Redix, version_for(peer));
        let mut real = Node::with_file(peer, &redix.save());
        assert_eq!(describe(&mut real), lines, "redix to {}", peer.name());
        redix.must(&["DEBUG", "RELOAD"]);
        assert_eq!(describe(&mut redix), lines, "redix reloads");
    }
}

fn bytes(value: Value) -> Vec<u8> {
    let Value::Bulk(bytes) = value else { panic!("a payload") };
    bytes
}

#[test]
fn payloads_keep_libraries() {
    for peer in peers() {
        for (from, to) in [(peer, Peer::Redix), (Peer::Redix, peer)] {
            let args = |of| if of == Peer::Redix { version_for(peer) } else { &[] };
            let (mut from_node, lines) = filled(from, args(from));
            let payload = bytes(from_node.must(&["FUNCTION", "DUMP"]));
            let mut to_node = Node::start(to, args(to));
            to_node.must(&["SET", "k", "v"]);
            to_node.must(&[&b"FUNCTION"[..], b"RESTORE", &payload]);
            assert_eq!(describe(&mut to_node), lines, "{} to {}", from.name(), to.name());
            let again = [&b"FUNCTION"[..], b"RESTORE", &payload];
            let error = to_node.client.cmd(&again).unwrap().pretty();
            assert!(error.ends_with("already exists"), "{error}");
            for policy in [&b"REPLACE"[..], b"FLUSH"] {
                to_node.must(&[&again[..], &[policy]].concat());
                assert_eq!(describe(&mut to_node), lines, "loaded anew, with a count from 1");
            }
        }
    }
}

/// Of a server, by the command-line tool; as a file.
fn functions_rdb(node: &Node, file: &Path) -> Option<String> {
    let Some(tool) = Tool::RedisCli.path() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "redis-cli is not installed");
        eprintln!("not run: redis-cli is not installed");
        return None;
    };
    let port = node.server.port().to_string();
    let file = file.to_str().unwrap();
    let output = Command::new(tool).args(["-p", &port, "--functions-rdb", file]).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    Some(text)
}

/// A synchronisation that is filtered has the libraries and no keys, or neither.
#[test]
fn the_command_line_tool_saves_libraries() {
    for peer in peers() {
        for (from, to) in [(Peer::Redix, peer), (peer, Peer::Redix), (Peer::Redix, Peer::Redix)] {
            let version = if from == Peer::Redix { version_for(peer) } else { &[] };
            let args = [&["--repl-diskless-sync-delay", "0"], version].concat();
            let (from_node, lines) = filled(from, &args);
            let dir = TempDir::new("functions").unwrap();
            let file = dir.path().join("functions.rdb");
            if functions_rdb(&from_node, &file).is_none() {
                return;
            }
            let mut to_node = Node::with_file(to, &file);
            assert_eq!(to_node.must(&["DBSIZE"]), Value::Int(0), "{}", from.name());
            to_node.must(&["SET", "k", "v"]);
            assert_eq!(describe(&mut to_node), lines, "{} to {}", from.name(), to.name());
        }
    }
}
