//! One epoch: runs the lines on both servers and compares replies, events and data sets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use redix_resp::Value;

use super::Plan;
use super::compare;
use super::differs::Difference;
use super::events::Events;
use super::grammar::{CONNECTIONS, Compare, DATABASES, LISTENERS, Line};
use super::listener::Listener;
use super::report::{Mismatch, Report};
use crate::client::Client;
use crate::peer::Peer;
use crate::quoting::{quote, quote_args};
use crate::script::{Command, sorted};

const EXPIRY_DEADLINE: Duration = Duration::from_secs(20);
const CLOSE_DEADLINE: Duration = Duration::from_secs(20);
const PAGES_MAX: usize = 100_000;
/// Events shown before a difference.
const EVENTS_SHOWN: usize = 4;
/// Replaces a payload where there is nothing to dump.
const NO_PAYLOAD: &[u8] = b"nothing to restore";

/// A server's connections.
struct Side {
    conns: Vec<Client>,
    listeners: Vec<Listener>,
    /// For reading back and dumping; no line runs on it.
    admin: Client,
    events: Events,
}

/// Both servers, empty at the beginning.
pub(super) struct Epoch<'a> {
    /// Subject and oracle.
    sides: [Side; 2],
    /// The lines queued on each connection that is in a transaction.
    queued: Vec<Option<Vec<Line>>>,
    differences: &'a [Difference],
    /// How what XINFO GROUPS replies is compared.
    groups: Compare,
}

impl<'a> Epoch<'a> {
    pub(super) fn begin(
        addrs: [SocketAddr; 2],
        plan: &Plan,
        differences: &'a [Difference],
    ) -> Result<Epoch<'a>> {
        let [subject, oracle] = addrs;
        Ok(Epoch {
            sides: [Side::new(subject, plan.proto)?, Side::new(oracle, plan.proto)?],
            queued: vec![None; CONNECTIONS + LISTENERS],
            differences,
            groups: match plan.oracle {
                Peer::Redis8 => Compare::GroupsButLag,
                _ => Compare::Exact,
            },
        })
    }

    /// Runs the lines, reads back and disconnects; the first difference that is not a known one.
    pub(super) fn run(mut self, lines: &[Line], report: &mut Report) -> Result<Option<Mismatch>> {
        for (index, line) in lines.iter().enumerate() {
            let in_transaction = self.queued[line.conn].is_some();
            if line.wait_expired.is_some() && in_transaction {
                continue;
            }
            report.commands += 1;
            let replies = self.exchange(line);
            let mut known = false;
            let [ours, theirs] = match replies {
                [Ok(ours), Ok(theirs)] => [ours, theirs],
                // A connection that broke equally on both cannot continue.
                [ours, theirs] => return Ok(Some(broken(index, line, ours, theirs))),
            };
            if let Some((args, ours, theirs)) = self.first_difference(line, &ours, &theirs) {
                if !self.is_known(&args, &ours, &theirs) {
                    return Ok(Some(Mismatch::new(index, line.name, &args, &ours, &theirs)));
                }
                report.known += 1;
                known = true;
            }
            self.account(line, &theirs, report);
            if let Some(key) = &line.wait_expired {
                for side in &mut self.sides {
                    side.wait_expired(line.conn, key)?;
                }
            }
            // A known difference may have left the servers in different states.
            if known && self.read_back(lines.len())?.is_some() {
                return Ok(None);
            }
        }
        if let Some(events) = self.compare_events(lines.len())? {
            return Ok(Some(events));
        }
        match self.compare_messages(lines.len())? {
            None => self.read_back(lines.len()),
            messages => Ok(messages),
        }
    }

    /// The first message to a listener that differs.
    fn compare_messages(&mut self, index: usize) -> Result<Option<Mismatch>> {
        let [subject, oracle] = &mut self.sides;
        for (ours, theirs) in subject.listeners.iter_mut().zip(&mut oracle.listeners) {
            let theirs = theirs.take_messages(0)?;
            let ours = ours.take_messages(theirs.len())?;
            if ours != theirs {
                let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
                let shown = |messages: &[Value]| {
                    let from = same.saturating_sub(EVENTS_SHOWN);
                    Value::Array(messages[from..messages.len().min(same + 4)].to_vec())
                };
                let nothing = Command::new();
                let (ours, theirs) = (shown(&ours), shown(&theirs));
                let found = Mismatch::new(index, Mismatch::MESSAGES, &nothing, &ours, &theirs);
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first keyspace event that differs.
    fn compare_events(&mut self, index: usize) -> Result<Option<Mismatch>> {
        let [ours, theirs] = self.sides.each_mut().map(|side| side.events.take(&mut side.admin));
        let (ours, theirs) = (ours?, theirs?);
        if ours == theirs {
            return Ok(None);
        }
        let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        let shown = |events: &[String]| {
            let from = same.saturating_sub(EVENTS_SHOWN);
            Value::Simple(events[from..events.len().min(same + 4)].join(" | ").into_bytes())
        };
        let nothing = Command::new();
        let (ours, theirs) = (shown(&ours), shown(&theirs));
        Ok(Some(Mismatch::new(index, Mismatch::EVENTS, &nothing, &ours, &theirs)))
    }

    fn exchange(&mut self, line: &Line) -> [Result<Value>; 2] {
        let iterate = line.compare == Compare::Scan
            && self.queued[line.conn].is_none()
            && line.args.get(cursor_at(&line.args)).is_some_and(|cursor| cursor == b"0");
        self.sides.each_mut().map(|side| {
            let args = side.arguments(line)?;
            if let Some(listener) = line.conn.checked_sub(CONNECTIONS) {
                return side.listeners[listener].exchange(&args);
            }
            let conn = &mut side.conns[line.conn];
            if iterate { scan(conn, &args) } else { conn.cmd(&args) }
        })
    }

    /// The command, within a transaction if it is EXEC, whose replies differ.
    fn first_difference(
        &self,
        line: &Line,
        ours: &Value,
        theirs: &Value,
    ) -> Option<(Command, Value, Value)> {
        let queued = self.queued[line.conn].as_ref().filter(|_| is_word(&line.args, "EXEC"));
        if let Some(queued) = queued
            && let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs)
            && ours.len() == queued.len()
            && theirs.len() == queued.len()
        {
            let mut each = queued.iter().zip(ours.iter().zip(theirs));
            let differs = each.find(|(line, (a, b))| !compare::equal(line.compare, a, b));
            return differs.map(|(line, (a, b))| (line.args.clone(), a.clone(), b.clone()));
        }
        let equal = compare::equal(line.compare, ours, theirs);
        (!equal).then(|| (line.args.clone(), ours.clone(), theirs.clone()))
    }

    fn is_known(&self, args: &[Vec<u8>], ours: &Value, theirs: &Value) -> bool {
        self.differences.iter().any(|difference| difference.covers(args, ours, theirs))
    }

    /// Tracks transactions, and counts the outcome of each command.
    fn account(&mut self, line: &Line, theirs: &Value, report: &mut Report) {
        let queued = &mut self.queued[line.conn];
        if *theirs == Value::Simple(b"QUEUED".to_vec())
            && let Some(queued) = queued
        {
            queued.push(line.clone());
            return;
        }
        report.count(line, theirs);
        let done = Value::Simple(b"OK".to_vec()) == *theirs;
        if is_word(&line.args, "MULTI") && done {
            *queued = Some(Vec::new());
        } else if ends_transaction(line, theirs)
            && let (Some(lines), Value::Array(replies)) = (queued.take(), theirs)
        {
            for (line, reply) in lines.iter().zip(replies) {
                report.count(line, reply);
            }
        }
    }

    /// Compares everything about every key.
    fn read_back(&mut self, index: usize) -> Result<Option<Mismatch>> {
        let mut different = None;
        for database in 0..DATABASES {
            let select = vec![b"SELECT".to_vec(), database.to_string().into_bytes()];
            let keys = vec![b"KEYS".to_vec(), b"*".to_vec()];
            self.ask(&select)?;
            let [ours, theirs] = self.ask(&keys)?.map(sorted);
            if ours != theirs {
                different = Some((keys, ours, theirs));
                break;
            }
            different = self.differing_property(&ours)?;
            if different.is_some() {
                break;
            }
        }
        Ok(different.map(|(args, ours, theirs)| {
            Mismatch::new(index, Mismatch::READ_BACK, &args, &ours, &theirs)
        }))
    }

    fn differing_property(&mut self, keys: &Value) -> Result<Option<(Command, Value, Value)>> {
        let properties: [(&[&str], Compare); 9] = [
            (&["TYPE"], Compare::Exact),
            (&["OBJECT", "ENCODING"], Compare::Exact),
            (&["PEXPIRETIME"], Compare::Millis),
            (&["GET"], Compare::Exact),
            (&["SMEMBERS"], Compare::Unordered),
            (&["HGETALL"], Compare::Pairs),
            (&["XINFO", "STREAM"], Compare::Exact),
            (&["XINFO", "GROUPS"], self.groups),
            (&["DUMP"], Compare::Dump),
        ];
        let Value::Array(keys) = keys else { return Ok(None) };
        let questions: Vec<(Command, Compare)> = keys
            .iter()
            .filter_map(|key| if let Value::Bulk(key) = key { Some(key) } else { None })
            .flat_map(|key| {
                properties.iter().map(|(words, rule)| {
                    let mut args: Command = words.iter().map(|w| w.as_bytes().to_vec()).collect();
                    args.push(key.clone());
                    (args, *rule)
                })
            })
            .collect();
        let commands: Vec<Command> = questions.iter().map(|(args, _)| args.clone()).collect();
        let [subject, oracle] = &mut self.sides;
        let ours = subject.admin.pipeline(&commands)?;
        let theirs = oracle.admin.pipeline(&commands)?;
        let mut is_redis_form = false;
        for ((args, rule), (ours, theirs)) in questions.iter().zip(ours.iter().zip(&theirs)) {
            // Redis has a form, and types in payloads, of its own for hashes with expiring fields.
            if args[0] == b"OBJECT" {
                is_redis_form = *theirs == Value::Bulk(b"listpackex".to_vec());
            }
            if is_redis_form && [&b"OBJECT"[..], b"DUMP"].contains(&&args[0][..]) {
                continue;
            }
            if !compare::equal(*rule, ours, theirs) && !self.is_known(args, ours, theirs) {
                return Ok(Some((args.clone(), ours.clone(), theirs.clone())));
            }
        }
        Ok(None)
    }

    fn ask(&mut self, args: &Command) -> Result<[Value; 2]> {
        let [subject, oracle] = &mut self.sides;
        Ok([subject.admin.cmd(args)?, oracle.admin.cmd(args)?])
    }
}

impl Side {
    fn new(addr: SocketAddr, proto: u8) -> Result<Side> {
        let connect = |proto| -> Result<Client> {
            let mut client = Client::connect(addr)?;
            if proto != 2 {
                client.hello(proto)?;
            }
            Ok(client)
        };
        let mut admin = Client::connect(addr)?;
        wait_alone(&mut admin)?;
        admin.must(&["FLUSHALL"])?;
        admin.must(&["SCRIPT", "FLUSH"])?;
        admin.must(&["FUNCTION", "FLUSH"])?;
        let events = Events::listen(addr, &mut admin)?;
        let conns = (0..CONNECTIONS).map(|_| connect(proto)).collect::<Result<_>>()?;
        let listener = |index| {
            let proto = if index + 1 == LISTENERS { 3 } else { proto };
            connect(proto).map(Listener::new)
        };
        let listeners = (0..LISTENERS).map(listener).collect::<Result<_>>()?;
        Ok(Side { conns, listeners, admin, events })
    }

    /// The line's arguments, with this server's own payload where one belongs.
    fn arguments(&mut self, line: &Line) -> Result<Command> {
        let mut args = line.args.clone();
        if let Some(payload) = line.payload_at.and_then(|at| args.get_mut(at)) {
            self.admin.must(&["SELECT", "0"])?;
            *payload = match self.admin.cmd(&[&b"DUMP"[..], payload])? {
                Value::Bulk(bytes) => bytes,
                _ => NO_PAYLOAD.to_vec(),
            };
        }
        Ok(args)
    }

    fn wait_expired(&mut self, conn: usize, key: &[u8]) -> Result<()> {
        let deadline = Instant::now() + EXPIRY_DEADLINE;
        while self.conns[conn].cmd(&[b"EXISTS", key])? != Value::Int(0) {
            ensure!(Instant::now() < deadline, "{} does not expire", quote(key));
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Waits until a server has closed all other connections: those of the last epoch may still
/// subscribe and wait for keys.
fn wait_alone(admin: &mut Client) -> Result<()> {
    let deadline = Instant::now() + CLOSE_DEADLINE;
    loop {
        let Value::Bulk(list) = admin.must(&["CLIENT", "LIST"])? else { bail!("no list") };
        if list.trim_ascii_end().split(|byte| *byte == b'\n').count() == 1 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "still connected: {}", quote(&list));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The index of the cursor: 1 for SCAN, 2 for those with a key.
fn cursor_at(args: &[Vec<u8>]) -> usize {
    if args[0].eq_ignore_ascii_case(b"SCAN") { 1 } else { 2 }
}

/// All elements of an iteration, each once; an error or another reply unchanged.
fn scan(conn: &mut Client, args: &[Vec<u8>]) -> Result<Value> {
    let cursor_at = cursor_at(args);
    let mut args = args.to_vec();
    let mut elements = Vec::new();
    for _ in 0..PAGES_MAX {
        let reply = conn.cmd(&args)?;
        let Value::Array(parts) = &reply else { return Ok(reply) };
        let [Value::Bulk(cursor), Value::Array(page)] = parts.as_slice() else { return Ok(reply) };
        elements.extend(page.iter().cloned());
        if cursor == b"0" {
            let Value::Array(mut elements) = sorted(Value::Array(elements)) else {
                unreachable!("sorting keeps the type")
            };
            elements.dedup();
            return Ok(Value::Array(elements));
        }
        args[cursor_at].clone_from(cursor);
    }
    Ok(Value::Simple(b"the iteration does not end".to_vec()))
}

/// EXEC with arguments is an error that ends the transaction too.
fn ends_transaction(line: &Line, reply: &Value) -> bool {
    let words = ["EXEC", "DISCARD", "RESET"];
    words.iter().any(|word| is_word(&line.args, word))
        || matches!(reply, Value::Error(text) if text.starts_with(b"EXECABORT"))
}

fn is_word(args: &[Vec<u8>], word: &str) -> bool {
    args.len() == 1 && args[0].eq_ignore_ascii_case(word.as_bytes())
}

fn broken(index: usize, line: &Line, ours: Result<Value>, theirs: Result<Value>) -> Mismatch {
    let text = |reply: Result<Value>| match reply {
        Ok(reply) => reply.pretty(),
        Err(error) => format!("({error:#})"),
    };
    Mismatch {
        epoch: 0,
        index,
        name: line.name,
        command: quote_args(&line.args),
        ours: text(ours),
        theirs: text(theirs),
        script: Vec::new(),
    }
}
