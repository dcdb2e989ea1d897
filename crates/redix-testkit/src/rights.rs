//! Access control beside a real server: random rules and random calls must get the same verdicts.
//!
//! Each round gives a user random rules on both servers, whose replies, ACL LIST and ACL GETUSER
//! are compared, then compares ACL DRYRUN for random calls, and what the user really gets: whether
//! a call is denied, and in which words. Where data differ is the oracle's concern, not this one's.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use redix_resp::Value;

use crate::client::Client;
use crate::quoting::quote_args;
use crate::rng::Rng;

/// Calls compared after each set of rules.
const CALLS: usize = 24;

/// Words from which arguments are made.
const WORDS: &[&str] = &[
    "a",
    "b",
    "ab",
    "ba",
    "c",
    "k1",
    "k2",
    "x",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "5",
    "STORE",
    "BY",
    "GET",
    "KEYS",
    "STREAMS",
    "DB",
    "COUNT",
    "LIMIT",
    "REPLACE",
    "nosort",
    "k*",
    "#",
    "GROUP",
    "LEFT",
    "RIGHT",
    "MATCH",
    "STOREDIST",
    "m",
    "WEIGHTS",
    "SET",
    "u8",
    "NX",
    "EX",
    "FIELDS",
    "*",
    "",
    "99",
    "16",
    "return 1",
];

/// Keys, patterns and channels in rules.
const PATTERNS: &[&str] =
    &["a", "b", "a*", "*b", "k?", "[ab]", "*", "k1", "x", "c", "1", "a\\*", "", "?", "[^a]*"];

/// Commands whose calls are only tried dry: they do other things than reply.
const DRY: &[&str] = &[
    "auth",
    "hello",
    "quit",
    "reset",
    "shutdown",
    "monitor",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "debug",
    "replicaof",
    "slaveof",
    "psync",
    "sync",
    "replconf",
    "client",
    "config",
    "acl",
    "failover",
    "save",
    "bgsave",
    "bgrewriteaof",
    "exec",
    "multi",
    "discard",
    "watch",
    "wait",
    "waitaof",
    "migrate",
    "script",
    "function",
    "flushall",
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "cluster",
    "module",
    "latency",
    "memory",
    "slowlog",
    "commandlog",
    "command",
    "lolwut",
    "info",
    "blpop",
    "brpop",
    "brpoplpush",
    "blmove",
    "blmpop",
    "bzpopmin",
    "bzpopmax",
    "bzmpop",
    "xread",
    "xreadgroup",
    "swapdb",
    "select",
    "readonly",
    "readwrite",
    "asking",
    "role",
    "time",
    "randomkey",
    "fcall",
    "fcall_ro",
];

/// What was compared.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Rules given to a user.
    pub rules: usize,
    /// Those that were refused.
    pub refused: usize,
    /// Verdicts of ACL DRYRUN.
    pub dry: usize,
    /// Those that denied a call.
    pub dry_denied: usize,
    /// Calls made.
    pub real: usize,
    /// Those that were denied.
    pub real_denied: usize,
}

/// A command, as both servers know it.
struct Known {
    words: Vec<String>,
    arity: i64,
}

struct Pair {
    /// Administration, on either server.
    admin: [Client; 2],
    /// The user.
    user: [Client; 2],
}

impl Pair {
    fn connect(servers: [SocketAddr; 2]) -> Result<Self> {
        let [a, b] = servers;
        let admin = [Client::connect(a)?, Client::connect(b)?];
        Ok(Self { admin, user: [Client::connect(a)?, Client::connect(b)?] })
    }

    /// The replies of both to an administrative command.
    fn ask(&mut self, args: &[Vec<u8>]) -> Result<[Value; 2]> {
        let [a, b] = &mut self.admin;
        let shown = || quote_args(args);
        Ok([a.cmd(args).with_context(shown)?, b.cmd(args).with_context(shown)?])
    }

    /// The reply to an administrative command, which must be the same.
    fn agree(&mut self, args: &[Vec<u8>], rules: &[Vec<u8>]) -> Result<Value> {
        let [a, b] = self.ask(args).with_context(|| format!("after {}", quote_args(rules)))?;
        ensure!(
            a == b,
            "after {}\n{}\n got: {}\nwant: {}",
            quote_args(rules),
            quote_args(args),
            a.pretty(),
            b.pretty()
        );
        Ok(a)
    }
}

/// Compares a server with a real one in `rounds` rounds. The error is the first difference, with
/// the commands that show it.
pub fn compare(servers: [SocketAddr; 2], seed: u64, rounds: usize) -> Result<Compared> {
    let mut pair = Pair::connect(servers)?;
    let commands = common_commands(&mut pair)?;
    ensure!(commands.len() > 200, "only {} commands are known to both", commands.len());
    let mut compared = Compared::default();
    for round in 0..rounds {
        let mut rng = Rng::new(seed ^ ((round as u64) << 32));
        run_round(&mut pair, &commands, &mut rng, &mut compared)
            .with_context(|| format!("seed {seed}, round {round}"))?;
    }
    Ok(compared)
}

fn words(args: &[&str]) -> Vec<Vec<u8>> {
    args.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn run_round(
    pair: &mut Pair,
    commands: &[Known],
    rng: &mut Rng,
    compared: &mut Compared,
) -> Result<()> {
    pair.ask(&words(&["FLUSHALL"]))?;
    let mut all = words(&["ACL", "SETUSER", "u", "reset", "on", "nopass"]);
    pair.agree(&all, &[])?;
    for _ in 0..1 + rng.below(10) {
        let rule = rule(commands, rng).into_bytes();
        let one = [words(&["ACL", "SETUSER", "u"]), vec![rule.clone()]].concat();
        compared.rules += 1;
        match pair.agree(&one, &all)? {
            Value::Error(_) => compared.refused += 1,
            _ => all.push(rule),
        }
    }
    // It has to log in.
    all.extend(words(&["on", "nopass"]));
    pair.agree(&words(&["ACL", "SETUSER", "u", "on", "nopass"]), &[])?;
    pair.agree(&words(&["ACL", "LIST"]), &all)?;
    pair.agree(&words(&["ACL", "GETUSER", "u"]), &all)?;
    let db = ["0", "1", "2"][rng.below(3)];
    pair.ask(&words(&["SELECT", db]))?;
    for client in &mut pair.user {
        client.must(&["RESET"])?;
        client.must(&["SELECT", db])?;
        client.must(&["AUTH", "u", "any"])?;
    }
    for _ in 0..CALLS {
        let call = call(commands, rng);
        // Valkey 9.1.2 sees no key in a PFMERGE without sources, which creates its key.
        if call.len() == 2 && call[0] == b"pfmerge" {
            continue;
        }
        let dry = [words(&["ACL", "DRYRUN", "u"]), call.clone()].concat();
        compared.dry += 1;
        if matches!(pair.agree(&dry, &all)?, Value::Bulk(_)) {
            compared.dry_denied += 1;
        }
        let name = String::from_utf8_lossy(&call[0]).to_lowercase();
        if DRY.contains(&name.as_str()) {
            continue;
        }
        compared.real += 1;
        if same_verdict(pair, &call, &all)? {
            compared.real_denied += 1;
        }
    }
    Ok(())
}

/// Makes a call as the user; returns whether it was denied, by both in the same words.
fn same_verdict(pair: &mut Pair, call: &[Vec<u8>], rules: &[Vec<u8>]) -> Result<bool> {
    let [a, b] = &mut pair.user;
    let denial = |reply: Value| match reply {
        Value::Error(text) if is_denial(&text) => Some(String::from_utf8_lossy(&text).into_owned()),
        _ => None,
    };
    let shown = || format!("after {}\n{}", quote_args(rules), quote_args(call));
    let (a, b) = (a.cmd(call).with_context(shown)?, b.cmd(call).with_context(shown)?);
    let (a, b) = (denial(a), denial(b));
    if a != b {
        bail!("{}\n got: {a:?}\nwant: {b:?}", shown());
    }
    Ok(a.is_some())
}

fn is_denial(text: &[u8]) -> bool {
    text.starts_with(b"NOPERM") || text.ends_with(b"due to insufficient ACL permissions.")
}

fn call(commands: &[Known], rng: &mut Rng) -> Vec<Vec<u8>> {
    let known = rng.pick(commands);
    match known.words[0].as_str() {
        "xread" => return stream_call(&["xread"], rng),
        "xreadgroup" => return stream_call(&["xreadgroup", "GROUP", "g", "c"], rng),
        _ => {}
    }
    let mut call: Vec<Vec<u8>> = known.words.iter().map(|word| word.clone().into_bytes()).collect();
    let least = usize::try_from(known.arity.unsigned_abs()).unwrap_or(1);
    let more = if known.arity < 0 { rng.below(6) } else { 0 };
    // Now and then too few.
    let wanted = if rng.chance(3) { least.saturating_sub(1) } else { least + more };
    while call.len() < wanted {
        call.push(rng.pick(WORDS).as_bytes().to_vec());
    }
    call
}

/// A call that reads streams. Of one with wrong options, which reads nothing, the real server may
/// see other keys.
fn stream_call(begin: &[&str], rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut call = words(begin);
    if rng.chance(30) {
        call.extend(words(&["COUNT", "2"]));
    }
    call.extend(words(&["STREAMS"]));
    let keys = 1 + rng.below(3);
    call.extend((0..keys).map(|_| rng.pick(WORDS).as_bytes().to_vec()));
    call.extend((0..keys).map(|_| b"0".to_vec()));
    call
}

fn rule(commands: &[Known], rng: &mut Rng) -> String {
    match rng.below(20) {
        0 => {
            let rules =
                ["off", "on", "clearselectors", "nopass", "sanitize-payload", "(", ")", "x"];
            (*rng.pick(&rules)).to_owned()
        }
        1 | 2 => {
            let inner: Vec<String> =
                (0..1 + rng.below(5)).map(|_| selector_rule(commands, rng)).collect();
            format!("({})", inner.join(" "))
        }
        _ => selector_rule(commands, rng),
    }
}

fn selector_rule(commands: &[Known], rng: &mut Rng) -> String {
    const CATEGORIES: &[&str] = &[
        "all",
        "read",
        "write",
        "keyspace",
        "string",
        "set",
        "hash",
        "list",
        "sortedset",
        "stream",
        "geo",
        "bitmap",
        "hyperloglog",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "scripting",
        "nosuch",
        "READ",
    ];
    let sign = if rng.chance(65) { "+" } else { "-" };
    match rng.below(12) {
        0..=2 => format!("{sign}@{}", rng.pick(CATEGORIES)),
        3 | 4 => {
            let words = &rng.pick(commands).words;
            let name = words.join("|");
            match rng.below(8) {
                0 => format!("{sign}{}", words[0]),
                // A blank there crashes Valkey 9.1.2 at the next ACL LIST.
                1 => format!("{sign}{name}|{}", rng.pick(WORDS).replace(' ', "")),
                2 => format!("{sign}{}", name.to_uppercase()),
                _ => format!("{sign}{name}"),
            }
        }
        5 => "+@all".to_owned(),
        6..=8 => {
            let kinds = ["~", "~", "%R~", "%W~", "%RW~", "%r~", "%~", "%RR~", "%R"];
            format!("{}{}", rng.pick(&kinds), rng.pick(PATTERNS))
        }
        9 => format!("&{}", rng.pick(PATTERNS)),
        10 => {
            let dbs = ["db=0", "db=1", "db=0,1", "db=2,0", "db=", "db=1,", "db=x", "db=-1", "DB=7"];
            let some = ["alldbs", "alldbs", "resetdbs"];
            let from: &[&str] = if rng.chance(70) { &dbs } else { &some };
            (*rng.pick(from)).to_owned()
        }
        _ => {
            let rules = [
                "allkeys",
                "resetkeys",
                "allchannels",
                "resetchannels",
                "allcommands",
                "nocommands",
                "ALLKEYS",
            ];
            (*rng.pick(&rules)).to_owned()
        }
    }
}

/// The commands and subcommands that both servers know, with the same arity.
fn common_commands(pair: &mut Pair) -> Result<Vec<Known>> {
    let [mine, other] = pair.ask(&words(&["COMMAND"]))?;
    let theirs: BTreeSet<_> =
        read_commands(&other)?.into_iter().map(|known| (known.words, known.arity)).collect();
    let mut commands = read_commands(&mine)?;
    commands.retain(|known| theirs.contains(&(known.words.clone(), known.arity)));
    commands.sort_by(|a, b| a.words.cmp(&b.words));
    Ok(commands)
}

fn read_commands(reply: &Value) -> Result<Vec<Known>> {
    let Value::Array(commands) = reply else { bail!("COMMAND replied {}", reply.pretty()) };
    let mut known = Vec::new();
    for command in commands {
        let Value::Array(facts) = command else { bail!("no facts in {}", command.pretty()) };
        let (Some(Value::Bulk(name)), Some(Value::Int(arity))) = (facts.first(), facts.get(1))
        else {
            bail!("no name in {}", command.pretty())
        };
        let name = String::from_utf8_lossy(name).into_owned();
        match facts.last() {
            Some(subcommands @ Value::Array(list)) if !list.is_empty() => {
                known.extend(read_commands(subcommands)?);
            }
            _ => known
                .push(Known { words: name.split('|').map(str::to_owned).collect(), arity: *arity }),
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
