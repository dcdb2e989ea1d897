//! Golden scripts: commands with the replies they must get, in `golden/FAMILY/COMMAND.txt`.
//!
//! ```text
//! # oracle: valkey redis7     servers that must agree; without the line all of them
//! # a comment
//! > SET k "v\x00"             a command, quoted as for redis-cli
//! +OK                         its reply, as `redix_resp::Value::pretty` shows it
//! @2> GET k                   the same on another connection, named by a number
//! "v\x00"
//! @2~ BLPOP l 0               a command that blocks the connection: it has no reply yet
//! @2<                         the reply that has come meanwhile
//! (null array)
//! @2>> SUBSCRIBE a b          a command that may be answered any number of times
//! @2<                         one of its replies, or a message: a push looks like an array
//! 1) "subscribe"
//! ! sort                      the next reply's elements may come in any order: sort them as text
//! > KEYS *
//! 1) "k"
//! log: SET k "v\x00"          what the engine logged since the last such line, ` | ` between
//! ! proto 3                   from here on RESP3 on all connections; such a script runs once,
//! ! expired k                 any other under both; and: wait until the key is gone
//! ```
//!
//! A reply is compared line by line. In place of a line's value may stand `(any)` for anything,
//! nested values included, `(int)` for any integer, or `/text*/`, where `*` is any text and `?` any
//! character, for the rest of the line. Under RESP3 `(null)` also satisfies `(null array)`, which
//! RESP3 does not have. A `log:` line may use the three for whole arguments. Only targets that see
//! the log check it.
//!
//! **Invariants.** A script begins with an empty server. Expected lines are rewritten
//! (`UPDATE_GOLDEN=1`) from a real server, never from Redix, and lines whose matchers still hold
//! are kept.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redix_resp::Value;

use crate::client::Client;
use crate::peer::{Peer, repo_root};
use crate::quoting::{parse_args, quote_args};

/// How long the server may take to close connections.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);
const EXPIRY_DEADLINE: Duration = Duration::from_secs(20);
const BLOCK_DEADLINE: Duration = Duration::from_secs(20);
/// The connection for administration; scripts number theirs from 1 on.
const ADMIN: u8 = 0;

/// A command as it was logged or sent.
pub type Command = Vec<Vec<u8>>;

/// What a script runs on. Connections are created when first named.
pub trait ScriptTarget {
    /// Sets the protocol of all connections, present and future.
    fn set_proto(&mut self, proto: u8) -> Result<()>;
    /// Executes a command on a connection.
    fn command(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<Value>;
    /// Sends a command and returns once the connection is blocked; fails if it is not.
    fn block(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<()>;
    /// Sends a command without expecting a reply.
    fn send(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<()>;
    /// The next reply or push of a connection, waited for if necessary.
    fn awaited(&mut self, conn: u8) -> Result<Value>;
    /// Waits until the key has expired.
    fn wait_expired(&mut self, key: &[u8]) -> Result<()>;
    /// The commands logged since the last call; `None` if this target cannot see them.
    fn take_log(&mut self) -> Option<Vec<Command>>;
}

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script {
    name: String,
    oracles: Vec<Peer>,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
enum Item {
    /// A comment, an empty line or a header, kept for rewriting.
    Text(String),
    Proto(u8),
    Expired(Vec<u8>),
    Step(Step),
    Log {
        line: usize,
        text: String,
    },
}

#[derive(Clone, Debug)]
struct Step {
    line: usize,
    /// The command's line as written.
    text: String,
    sort: bool,
    conn: u8,
    action: Action,
    /// Empty where nothing is sent.
    args: Command,
    expected: Vec<String>,
}

/// The action of a step on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Ask,
    Block,
    Send,
    Await,
}

impl Script {
    /// Reads a script.
    pub fn load(path: &Path) -> Result<Script> {
        let shown = path.strip_prefix(repo_root()).unwrap_or(path).display().to_string();
        let text = fs::read_to_string(path).with_context(|| shown.clone())?;
        Script::parse(&shown, &text)
    }

    /// Parses a script; the name is for messages.
    pub fn parse(name: &str, text: &str) -> Result<Script> {
        let mut script =
            Script { name: name.to_owned(), oracles: Peer::ORACLES.to_vec(), items: Vec::new() };
        let mut sort = false;
        for (number, line) in text.lines().enumerate() {
            script
                .parse_line(number + 1, line.trim_end(), &mut sort)
                .with_context(|| format!("{name}:{}", number + 1))?;
        }
        ensure!(!sort, "{name}: `! sort` at the end");
        Ok(script)
    }

    fn parse_line(&mut self, number: usize, line: &str, sort: &mut bool) -> Result<()> {
        if let Some(names) = line.strip_prefix("# oracle:") {
            let names = names.split_whitespace();
            let peers = names.map(|name| Peer::from_name(name).with_context(|| name.to_owned()));
            self.oracles = peers.collect::<Result<_>>()?;
        }
        if line.is_empty() || line.starts_with('#') {
            self.items.push(Item::Text(line.to_owned()));
        } else if let Some(text) = line.strip_prefix("log:") {
            self.items.push(Item::Log { line: number, text: text.trim().to_owned() });
        } else if let Some(directive) = line.strip_prefix("! ") {
            match directive.split_once(' ') {
                None if directive == "sort" => *sort = true,
                Some(("proto", proto)) => self.items.push(Item::Proto(proto.parse()?)),
                Some(("expired", key)) => {
                    let key = parse_args(key)?.pop().context("`! expired` needs a key")?;
                    self.items.push(Item::Expired(key));
                }
                _ => bail!("no such directive: {line:?}"),
            }
        } else if let Some((conn, action, command)) = parse_command_line(line)? {
            let args = parse_args(command)?;
            ensure!(
                args.is_empty() == (action == Action::Await),
                "a command belongs there, or none"
            );
            let text = line.to_owned();
            let sort = std::mem::take(sort);
            let step = Step { line: number, text, sort, conn, action, args, expected: Vec::new() };
            self.items.push(Item::Step(step));
        } else {
            match self.items.last_mut() {
                Some(Item::Step(step)) => step.expected.push(line.to_owned()),
                _ => bail!("a reply without a command: {line:?}"),
            }
        }
        Ok(())
    }

    /// Its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The real servers that must give these replies.
    pub fn oracles(&self) -> &[Peer] {
        &self.oracles
    }

    /// The protocols under which it runs: one that switches itself starts with RESP2.
    pub fn protos(&self) -> &'static [u8] {
        let switches = self.items.iter().any(|item| matches!(item, Item::Proto(_)));
        if switches { &[2] } else { &[2, 3] }
    }

    /// The commands it sends, for coverage checks.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.items.iter().filter_map(|item| match item {
            Item::Step(step) if !step.args.is_empty() => Some(&step.args),
            _ => None,
        })
    }

    /// Runs it on an empty target. Fails with every difference found.
    pub fn check(&self, target: &mut dyn ScriptTarget, proto: u8) -> Result<()> {
        let (differences, _) = self.run(target, proto)?;
        ensure!(
            differences.is_empty(),
            "{} under RESP{proto}:\n{}",
            self.name,
            differences.join("\n")
        );
        Ok(())
    }

    /// Runs it on an empty real server and returns the script with the replies it gave.
    pub fn rewrite(&self, target: &mut dyn ScriptTarget) -> Result<String> {
        let (_, text) = self.run(target, 2)?;
        Ok(text)
    }

    /// The differences, and the script with the actual replies.
    fn run(&self, target: &mut dyn ScriptTarget, proto: u8) -> Result<(Vec<String>, String)> {
        let mut differences = Vec::new();
        let mut out = Vec::new();
        let mut proto = proto;
        target.set_proto(proto)?;
        target.take_log();
        for item in &self.items {
            match item {
                Item::Text(text) => out.push(text.clone()),
                Item::Proto(wanted) => {
                    proto = *wanted;
                    target.set_proto(proto)?;
                    out.push(format!("! proto {proto}"));
                }
                Item::Expired(key) => {
                    target.wait_expired(key)?;
                    out.push(format!("! expired {}", quote_args(&[key])));
                }
                Item::Log { line, text } => {
                    if let Some(log) = target.take_log()
                        && !log_matches(text, &log)?
                    {
                        let actual: Vec<String> = log.iter().map(|c| quote_args(c)).collect();
                        differences.push(format!("line {line}: logged: {}", actual.join(" | ")));
                    }
                    out.push(format!("log: {text}").trim_end().to_owned());
                }
                Item::Step(step) => {
                    let (actual, same) = step.run(target, proto)?;
                    if !same {
                        differences.push(step.describe(&actual));
                    }
                    if step.sort {
                        out.push("! sort".to_owned());
                    }
                    out.push(step.text.clone());
                    out.extend(if same { step.expected.clone() } else { actual });
                }
            }
        }
        Ok((differences, out.join("\n") + "\n"))
    }
}

impl Step {
    fn run(&self, target: &mut dyn ScriptTarget, proto: u8) -> Result<(Vec<String>, bool)> {
        let at = || format!("line {}: {}", self.line, self.text);
        let reply = match self.action {
            Action::Ask => target.command(self.conn, &self.args).with_context(at)?,
            Action::Await => target.awaited(self.conn).with_context(at)?,
            Action::Block => {
                target.block(self.conn, &self.args).with_context(at)?;
                return Ok((Vec::new(), self.expected.is_empty()));
            }
            Action::Send => {
                target.send(self.conn, &self.args).with_context(at)?;
                return Ok((Vec::new(), self.expected.is_empty()));
            }
        };
        let reply = match reply {
            Value::Push(values) => Value::Array(values),
            reply if self.sort => sorted(reply),
            reply => reply,
        };
        let actual: Vec<String> = reply.pretty().lines().map(str::to_owned).collect();
        let same = reply_matches(&self.expected, &actual, proto);
        Ok((actual, same))
    }

    fn describe(&self, actual: &[String]) -> String {
        let (expected, actual) = (self.expected.join("\n  "), actual.join("\n  "));
        format!("line {}: {}\n expected:\n  {expected}\n actual:\n  {actual}", self.line, self.text)
    }
}

/// `> COMMAND`, `>> COMMAND`, `~ COMMAND` or `<`, each perhaps behind `@N`.
fn parse_command_line(line: &str) -> Result<Option<(u8, Action, &str)>> {
    let (conn, rest) = match line.strip_prefix('@') {
        None => ("1", line),
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
    };
    let (action, command) = match rest.split_once(' ') {
        Some((">", command)) => (Action::Ask, command),
        Some((">>", command)) => (Action::Send, command),
        Some(("~", command)) => (Action::Block, command),
        _ if rest == "<" => (Action::Await, ""),
        _ => return Ok(None),
    };
    Ok(Some((conn.parse().with_context(|| format!("connection {conn:?}"))?, action, command)))
}

/// The value with the elements of its outermost aggregate in the order of their texts.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Array(mut items) => {
            items.sort_by_cached_key(Value::pretty);
            Value::Array(items)
        }
        Value::Set(mut items) => {
            items.sort_by_cached_key(Value::pretty);
            Value::Set(items)
        }
        Value::Map(mut pairs) => {
            pairs.sort_by_cached_key(|(key, _)| key.pretty());
            Value::Map(pairs)
        }
        other => other,
    }
}

fn reply_matches(expected: &[String], actual: &[String], proto: u8) -> bool {
    let mut rest = actual;
    for line in expected {
        let Some((first, after)) = rest.split_first() else { return false };
        rest = after;
        if first == line {
            continue;
        }
        if let Some(prefix) = line.strip_suffix("(any)")
            && first.starts_with(prefix)
        {
            // Lines of a nested value are indented at least as far as its start.
            let indented = |line: &String| line.bytes().take(prefix.len()).all(|b| b == b' ');
            let nested = rest.iter().take_while(|line| indented(line)).count();
            rest = &rest[nested..];
            continue;
        }
        if !line_matches(line, first, proto) {
            return false;
        }
    }
    rest.is_empty()
}

fn line_matches(expected: &str, actual: &str, proto: u8) -> bool {
    if let Some(prefix) = expected.strip_suffix("(int)") {
        let number = actual.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("(integer) "));
        return number.is_some_and(|number| number.parse::<i64>().is_ok());
    }
    if let Some(prefix) = expected.strip_suffix("(null array)") {
        return proto == 3 && actual.strip_prefix(prefix) == Some("(null)");
    }
    let Some(body) = expected.strip_suffix('/') else { return false };
    let start =
        body.char_indices().find(|&(at, c)| c == '/' && (at == 0 || body[..at].ends_with(' ')));
    let Some((at, _)) = start else { return false };
    actual.strip_prefix(&body[..at]).is_some_and(|rest| text_matches(&body[at + 1..], rest))
}

/// `*` stands for any text, `?` for one character.
pub fn text_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // After a mismatch the last star takes one character more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

fn log_matches(expected: &str, log: &[Command]) -> Result<bool> {
    let expected: Vec<Command> = match expected {
        "" => Vec::new(),
        text => text.split(" | ").map(parse_args).collect::<Result<_>>()?,
    };
    let arg_matches = |(expected, actual): (&Vec<u8>, &Vec<u8>)| {
        let (expected_text, actual_text) =
            (String::from_utf8_lossy(expected), String::from_utf8_lossy(actual));
        let glob = expected_text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        expected == actual
            || expected_text == "(any)"
            || expected_text == "(int)" && actual_text.parse::<i64>().is_ok()
            || glob.is_some_and(|glob| text_matches(glob, &actual_text))
    };
    let command_matches = |(expected, actual): (&Command, &Command)| {
        expected.len() == actual.len() && expected.iter().zip(actual).all(arg_matches)
    };
    Ok(expected.len() == log.len() && expected.iter().zip(log).all(command_matches))
}

/// A server over TCP, emptied at the start.
pub struct TcpTarget {
    addr: SocketAddr,
    proto: u8,
    conns: HashMap<u8, Client>,
}

impl TcpTarget {
    /// Empties the server and waits until the connections of an earlier target are closed. Opens
    /// none yet.
    pub fn new(addr: SocketAddr) -> Result<TcpTarget> {
        let mut client = Client::connect(addr)?;
        client.must(&["FLUSHALL"])?;
        let deadline = Instant::now() + CLOSE_DEADLINE;
        while client.must(&["CLIENT", "LIST"])?.pretty().matches(" addr=").count() > 1 {
            ensure!(Instant::now() < deadline, "connections of an earlier script stay");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(TcpTarget { addr, proto: 2, conns: HashMap::new() })
    }

    fn conn(&mut self, conn: u8) -> Result<&mut Client> {
        if !self.conns.contains_key(&conn) {
            let mut client = Client::connect(self.addr)?;
            if self.proto != 2 {
                client.hello(self.proto)?;
            }
            self.conns.insert(conn, client);
        }
        self.conns.get_mut(&conn).context("the connection was just made")
    }
}

impl ScriptTarget for TcpTarget {
    fn set_proto(&mut self, proto: u8) -> Result<()> {
        self.proto = proto;
        for client in self.conns.values_mut() {
            client.hello(proto)?;
        }
        Ok(())
    }

    fn command(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<Value> {
        self.conn(conn)?.cmd(args)
    }

    fn block(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<()> {
        let client = self.conn(conn)?;
        let Value::Int(id) = client.must(&["CLIENT", "ID"])? else { bail!("no id") };
        client.send(args)?;
        let (id, deadline) = (id.to_string(), Instant::now() + BLOCK_DEADLINE);
        loop {
            let shown = self.conn(ADMIN)?.must(&["CLIENT", "LIST", "ID", &id])?.pretty();
            let flags = shown.split(" flags=").nth(1).and_then(|rest| rest.split(' ').next());
            if flags.is_some_and(|flags| flags.contains('b')) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the connection is not blocked");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn send(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<()> {
        self.conn(conn)?.send(args)
    }

    fn awaited(&mut self, conn: u8) -> Result<Value> {
        self.conn(conn)?.receive()
    }

    fn wait_expired(&mut self, key: &[u8]) -> Result<()> {
        let deadline = Instant::now() + EXPIRY_DEADLINE;
        while self.conn(1)?.cmd(&[b"EXISTS", key])? != Value::Int(0) {
            ensure!(Instant::now() < deadline, "{} does not expire", quote_args(&[key]));
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn take_log(&mut self) -> Option<Vec<Command>> {
        None
    }
}

/// All golden scripts of the repository, by path.
pub fn golden_scripts() -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let root = repo_root().join("golden");
    for family in fs::read_dir(&root).with_context(|| root.display().to_string())? {
        let family = family?.path();
        if family.is_dir() {
            for file in fs::read_dir(&family)? {
                paths.push(file?.path());
            }
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    Ok(paths)
}

/// Runs every golden script on a server. Fails with all differences of all scripts.
pub fn check_golden_on(addr: SocketAddr, is_wanted: impl Fn(&Script) -> bool) -> Result<usize> {
    let (mut ran, mut failures) = (0, Vec::new());
    for path in golden_scripts()? {
        let script = Script::load(&path)?;
        if !is_wanted(&script) {
            continue;
        }
        for &proto in script.protos() {
            let result = TcpTarget::new(addr).and_then(|mut t| script.check(&mut t, proto));
            if let Err(error) = result {
                failures.push(format!("{error:#}"));
            }
            ran += 1;
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(ran)
}

#[cfg(test)]
mod tests;
