//! Databases, parameters and command introspection.

use super::{Compare, Grammar, Line, Rule, string};

pub(super) const RULES: &[Rule] = &[
    string::set,
    string::set,
    flush,
    swapdb,
    dbsize,
    config_get,
    config_get,
    config_set,
    command_info,
    command_keys,
    command_keys,
    command_list,
    times,
    observe,
];

fn flush(g: &mut Grammar) -> Vec<Line> {
    if !g.rng.chance(20) {
        return dbsize(g);
    }
    let name = g.one_of(&["FLUSHDB", "FLUSHDB", "FLUSHALL"]);
    let line = Line::new(name);
    vec![match g.rng.below(4) {
        0 => line.option("SYNC"),
        1 => line.option("ASYNC"),
        2 => line.arg("NOW").note("!option"),
        _ => line,
    }]
}

fn swapdb(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("SWAPDB").arg(g.database()).arg(g.database())]
}

fn dbsize(_g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("DBSIZE")]
}

/// Parameters with the same default on all servers.
fn config_get(g: &mut Grammar) -> Vec<Line> {
    const NAMES: [&str; 24] = [
        "maxmemory",
        "maxmemory-policy",
        "maxmemory-samples",
        "appendonly",
        "appendfsync",
        "databases",
        "proto-max-bulk-len",
        "hash-max-listpack-entries",
        "hash-max-listpack-*",
        "hash-max-ziplist-value",
        "set-max-intset-entries",
        "zset-max-listpack-??????",
        "list-max-listpack-size",
        "list-compress-depth",
        "timeout",
        "tcp-keepalive",
        "rdbcompression",
        "RDBCHECKSUM",
        "lfu-decay-time",
        "lfu-log-factor",
        "no-such-parameter",
        "slowlog-max-len",
        "requirepass",
        "lazyfree-lazy-user-*",
    ];
    let mut line = Line::new("CONFIG GET").by(Compare::Pairs);
    for _ in 0..=g.rng.below(3) {
        line = line.arg(*g.rng.pick(&NAMES));
    }
    vec![line]
}

fn config_set(g: &mut Grammar) -> Vec<Line> {
    const GOOD: [[&str; 2]; 8] = [
        ["maxmemory-samples", "6"],
        ["slowlog-max-len", "64"],
        ["lfu-decay-time", "2"],
        ["timeout", "0"],
        ["hash-max-listpack-entries", "100"],
        ["list-compress-depth", "1"],
        ["MAXMEMORY-SAMPLES", "5"],
        ["maxmemory", "0"],
    ];
    const BAD: [[&str; 2]; 6] = [
        ["maxmemory-samples", "abc"],
        ["maxmemory-samples", "0"],
        ["appendonly", "maybe"],
        ["maxmemory-policy", "sometimes"],
        ["databases", "3"],
        ["no-such-parameter", "1"],
    ];
    let mut line = Line::new("CONFIG SET").args(&GOOD[g.rng.below(GOOD.len())]);
    match g.rng.below(6) {
        0 => line = line.args(&BAD[g.rng.below(BAD.len())]).note("!value"),
        1 => line = line.args(&GOOD[g.rng.below(GOOD.len())]).note("several"),
        2 => line = line.arg("timeout").note("!odd"),
        _ => {}
    }
    // A parameter may be named twice, which is an error too.
    vec![line]
}

/// Commands without subcommands, since later versions add some.
const COMMANDS: [&str; 46] = [
    "append",
    "copy",
    "decr",
    "decrby",
    "del",
    "dump",
    "exists",
    "expire",
    "expireat",
    "expiretime",
    "get",
    "getdel",
    "getex",
    "getrange",
    "getset",
    "incr",
    "incrby",
    "incrbyfloat",
    "keys",
    "lcs",
    "mget",
    "move",
    "mset",
    "msetnx",
    "persist",
    "pexpire",
    "pexpireat",
    "pexpiretime",
    "psetex",
    "pttl",
    "randomkey",
    "rename",
    "renamenx",
    "restore",
    "scan",
    "setex",
    "setnx",
    "setrange",
    "strlen",
    "substr",
    "touch",
    "ttl",
    "type",
    "unlink",
    "ping",
    "echo",
];

fn command_info(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("COMMAND INFO").by(Compare::CommandInfo);
    for _ in 0..=g.rng.below(3) {
        let name = if g.rng.chance(5) { "nosuch" } else { *g.rng.pick(&COMMANDS) };
        line = line.arg(name);
    }
    vec![line]
}

fn command_keys(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["COMMAND GETKEYS", "COMMAND GETKEYSANDFLAGS"]);
    let mut line = Line::new(name);
    match g.rng.below(6) {
        0 => line = line.args(&["PING"]).note("!no keys"),
        1 => line = line.args(&["NOSUCH", "x"]).note("!unknown"),
        2 => line = line.arg("GET").note("!arity"),
        _ => {
            let inner = string::RULES[g.rng.below(string::RULES.len())](g);
            if let Some(inner) = inner.last() {
                line.args.extend(inner.args.iter().cloned());
            }
        }
    }
    vec![line]
}

fn command_list(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(4) {
        0 => Line::new("COMMAND COUNT").by(Compare::TypeOnly),
        1 => {
            let pattern = g.one_of(&["getr*", "lc?", "nosuch*", "MSETNX", "pexpire*", ""]);
            let line = Line::new("COMMAND LIST").by(Compare::Unordered);
            line.arg("FILTERBY").option("PATTERN").arg(pattern)
        }
        2 => {
            let line = Line::new("COMMAND LIST").by(Compare::Unordered);
            line.arg("FILTERBY").option("ACLCAT").arg("nosuchcategory")
        }
        _ => Line::new("COMMAND LIST").arg("FILTERBY").arg("NOSUCH").arg("x").note("!filter"),
    }]
}

/// Introspection of an idle server, and commands that are forbidden by default.
fn observe(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(14) {
        0 => Line::new("SLOWLOG LEN").by(Compare::TypeOnly),
        // Mutated, it would list slow commands.
        1 => Line { is_fixed: true, ..Line::new("SLOWLOG GET").arg("-2").note("!count") },
        2 => Line::new("SLOWLOG RESET"),
        3 => Line::new("LATENCY RESET").arg("command"),
        4 => Line::new("LATENCY HISTORY").arg("command"),
        5 => Line::new("LATENCY GRAPH").arg(g.value()).note("!no event"),
        6 => Line::new("LATENCY LATEST"),
        7 => Line::new("CONFIG RESETSTAT"),
        // Valkey repeats a wrong word with its line ends, which breaks the protocol; Redis does
        // not.
        8 => Line { is_fixed: true, ..Line::new("FUNCTION LIST") },
        9 => {
            let how = g.one_of(&["SYNC", "ASYNC"]);
            Line::new("FUNCTION FLUSH").option(how)
        }
        10 => Line::new("CLUSTER INFO").note("!disabled"),
        11 => Line::new("DEBUG").arg("SLEEP").arg("0").note("!forbidden"),
        12 => Line::new("MODULE LOAD").arg("x").note("!forbidden"),
        _ => Line::new("MEMORY USAGE").arg("no such key"),
    }]
}

fn times(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["TIME", "LASTSAVE"]);
    vec![Line::new(name).by(Compare::TypeOnly)]
}
