//! COMMAND and COMMAND DOCS of each command compared with the real servers, except for prose.
//!
//! Valkey leads; a command that it does not have is compared with Redis 8.2. Of the complexity only
//! a bare `O(…)` is compared. The exceptions are below, each with its reason; one that is no longer
//! needed fails too.

use std::collections::BTreeMap;

use redix_resp::Value;
use redix_testkit::{Launch, Peer, Server};

use crate::{connect, start};

/// Command, field, reason.
const DIFFERS: &[(&str, &str, &str)] = &[
    ("bitop", "arguments", "Valkey has no DIFF, DIFF1, ANDOR and ONE, which are Redis 8.2's"),
    ("set", "arguments", "IFNE, IFDEQ and IFDNE are those of Redis 8.4"),
    ("set", "history", "the same"),
    ("debug", "doc_flags", "no command is marked as internal"),
    ("shutdown", "arguments", "SAFE and FAILOVER of Valkey 9 are not there"),
    ("shutdown", "history", "the same"),
    ("xadd", "arguments", "KEEPREF, DELREF and ACKED are Redis 8.2's, IDMP and IDMPAUTO 8.6's"),
    ("xreadgroup", "arguments", "CLAIM is that of Redis 8.4"),
];

/// Commands that no real server here has: those of modules and of later versions.
const OWN: &[&str] = &[
    "blmovem",
    "cl.throttle",
    "delex",
    "digest",
    "increx",
    "lmovem",
    "lock.acquire",
    "lock.extend",
    "lock.release",
    "sdiffcard",
    "sunioncard",
    "xcfgset",
    "xidmprecord",
    "xnack",
];

/// The facts about each command, as texts.
type Facts = BTreeMap<String, BTreeMap<String, String>>;

fn text(value: &Value) -> String {
    match value {
        Value::Simple(bytes) | Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.pretty(),
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        other => panic!("no array: {}", other.pretty()),
    }
}

fn pairs(value: &Value) -> &[(Value, Value)] {
    let Value::Map(pairs) = value else { panic!("no map: {}", value.pretty()) };
    pairs
}

/// With sets sorted, and without prose: fields called `summary` and `notes`.
fn bare(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(bare).collect()),
        Value::Set(items) => {
            let mut items: Vec<Value> = items.iter().map(bare).collect();
            items.sort_by_cached_key(Value::pretty);
            Value::Set(items)
        }
        Value::Map(pairs) => {
            let facts =
                pairs.iter().filter(|(key, _)| !["summary", "notes"].contains(&&*text(key)));
            Value::Map(facts.map(|(key, value)| (key.clone(), bare(value))).collect())
        }
        other => other.clone(),
    }
}

fn add_info(facts: &mut Facts, info: &Value) {
    let fields = items(info);
    let names = ["arity", "flags", "first", "last", "step", "acl", "tips", "keys"];
    let facts_of: BTreeMap<String, String> = names
        .iter()
        .zip(&fields[1..])
        .map(|(name, value)| ((*name).to_owned(), bare(value).pretty()))
        .collect();
    facts.insert(text(&fields[0]), facts_of);
    items(&fields[9]).iter().for_each(|sub| add_info(facts, sub));
}

fn add_docs(facts: &mut Facts, name: &str, docs: &Value) {
    for (field, value) in pairs(docs) {
        let field = text(field);
        let fact = match field.as_str() {
            "summary" => continue,
            "subcommands" => {
                pairs(value).iter().for_each(|(sub, docs)| add_docs(facts, &text(sub), docs));
                continue;
            }
            "complexity" if !is_bare_order(&text(value)) => continue,
            "history" => {
                let mut versions: Vec<String> =
                    items(value).iter().map(|change| text(&items(change)[0])).collect();
                versions.sort();
                versions.join(" ")
            }
            _ => bare(value).pretty(),
        };
        facts.entry(name.to_owned()).or_default().insert(field, fact);
    }
}

fn is_bare_order(complexity: &str) -> bool {
    complexity.starts_with("O(") && complexity.find(')') == Some(complexity.len() - 1)
}

fn facts_of(server: &Server) -> Facts {
    let mut client = connect(server);
    client.hello(3).unwrap();
    let mut facts = Facts::new();
    items(&client.must(&["COMMAND"]).unwrap()).iter().for_each(|info| add_info(&mut facts, info));
    let docs = client.must(&["COMMAND", "DOCS"]).unwrap();
    pairs(&docs).iter().for_each(|(name, docs)| add_docs(&mut facts, &text(name), docs));
    facts
}

#[test]
fn commands_are_described_as_by_the_real_servers() {
    if !Peer::Valkey.available_or_skip() || !Peer::Redis8.available_or_skip() {
        return;
    }
    let ours = facts_of(&start(&[]));
    let theirs = |peer| facts_of(&Launch::new(peer).unwrap().start().unwrap());
    let (valkey, redis8) = (theirs(Peer::Valkey), theirs(Peer::Redis8));
    let mut unused: Vec<_> = DIFFERS.iter().map(|(name, field, _)| (*name, *field)).collect();
    let mut differences = Vec::new();
    let mut compared = 0;
    for (name, ours) in ours.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let Some(theirs) = valkey.get(name).or_else(|| redis8.get(name)) else {
            differences.push(format!("{name}: no real server has such a command"));
            continue;
        };
        compared += 1;
        let fields = ours.keys().chain(theirs.keys().filter(|field| !ours.contains_key(*field)));
        for field in fields.filter(|field| ours.get(*field) != theirs.get(*field)) {
            // Prose on one side only.
            if field == "complexity" && !theirs.contains_key(field) {
                continue;
            }
            if let Some(at) = unused.iter().position(|known| *known == (name, field)) {
                unused.remove(at);
                continue;
            }
            let show = |facts: &BTreeMap<String, String>| {
                facts.get(field).map_or("nothing".to_owned(), |text| text.replace('\n', "\n    "))
            };
            differences.push(format!(
                "{name}, {field}:\n  ours:\n    {}\n  theirs:\n    {}",
                show(ours),
                show(theirs)
            ));
        }
    }
    assert!(compared > 50, "only {compared} commands were compared");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(unused.is_empty(), "exceptions that are not needed: {unused:?}");
}
