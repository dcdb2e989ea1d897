//! The grammar of random commands: few keys, edge-case values, expiries far from now.
//!
//! **Invariants.** A stream depends on its seed and [`Traits`] alone. Nothing in it depends on the
//! speed of a server: an expiry lies at least a minute ahead, or in the past, or is waited for.
//! Equal relative expiries rarely meet on a key, since whether the second is `GT` would depend on a
//! millisecond.

mod bitmap;
mod connection;
mod expiry;
mod fields;
mod geo;
mod hash;
mod hyperloglog;
mod keys;
mod list;
mod pubsub;
mod scripts;
mod server;
mod set;
mod sort;
mod stream;
mod string;
mod transaction;
mod zset;

use crate::peer::Peer;
use crate::rng::Rng;
use crate::script::Command;

/// Connections of a stream, besides the one for reading back.
pub(super) const CONNECTIONS: usize = 3;
/// Connections with subscriptions, besides those; the last one under RESP3, whatever the stream
/// uses.
pub(super) const LISTENERS: usize = 3;
/// Databases that the stream uses.
pub(super) const DATABASES: usize = 4;
const DEADLINE_MIN_S: i64 = 100;
const DEADLINE_MAX_S: i64 = 100_000_000;

/// A group of commands that share state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    String,
    List,
    Set,
    Zset,
    Hash,
    /// Hashes whose fields expire.
    Fields,
    Bitmap,
    Hyperloglog,
    Geo,
    Stream,
    /// Streams whose entries are deleted with regard to groups, as in Redis 8.2. Not among
    /// [`Family::EACH`].
    References,
    Keys,
    Expiry,
    Transaction,
    Connection,
    Pubsub,
    /// Scripts, on Valkey alone: some end Redis 7.0 or break the framing of Redis 8.
    Scripts,
    Server,
    /// Every family in one stream.
    All,
}

impl Family {
    /// The families of all servers, without [`Family::All`].
    pub const EACH: [Family; 17] = [
        Family::String,
        Family::List,
        Family::Set,
        Family::Zset,
        Family::Hash,
        Family::Fields,
        Family::Bitmap,
        Family::Hyperloglog,
        Family::Geo,
        Family::Stream,
        Family::Keys,
        Family::Expiry,
        Family::Transaction,
        Family::Connection,
        Family::Pubsub,
        Family::Scripts,
        Family::Server,
    ];

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Family::String => "string",
            Family::Zset => "zset",
            Family::Set => "set",
            Family::List => "list",
            Family::Hash => "hash",
            Family::Fields => "fields",
            Family::Bitmap => "bitmap",
            Family::Hyperloglog => "hyperloglog",
            Family::Geo => "geo",
            Family::Stream => "stream",
            Family::References => "references",
            Family::Keys => "keys",
            Family::Expiry => "expiry",
            Family::Transaction => "transaction",
            Family::Connection => "connection",
            Family::Pubsub => "pubsub",
            Family::Scripts => "scripts",
            Family::Server => "server",
            Family::All => "all",
        }
    }

    /// The family of that name.
    pub fn from_name(name: &str) -> Option<Family> {
        Family::EACH
            .into_iter()
            .chain([Family::References, Family::All])
            .find(|family| family.name() == name)
    }
}

/// How two replies to one command are compared; see the module `compare` for why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Exact,
    /// Elements in any order.
    Unordered,
    /// As many elements, whatever they are.
    Count,
    /// Pairs in any order, flat under RESP2.
    Pairs,
    /// Seconds of a time.
    Seconds,
    /// Milliseconds of a time.
    Millis,
    /// Of one type.
    TypeOnly,
    Dump,
    /// A whole iteration.
    Scan,
    Hello,
    CommandInfo,
    /// The replies to a command that ends all subscriptions, in any order of the channels.
    Unsubscribed,
    /// Times of streams' consumers, and how long ago they were.
    StreamTimes,
    /// Groups of a stream, but not how far they lag behind.
    GroupsButLag,
}

/// A command of the stream.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub conn: usize,
    pub args: Command,
    /// For the report: the command with its subcommand.
    pub name: &'static str,
    /// For the report: the options used. One that begins with `!` is meant to fail.
    pub options: Vec<&'static str>,
    pub compare: Compare,
    /// The argument to be replaced by each server's own payload of the key that it names, in
    /// database 0.
    pub payload_at: Option<usize>,
    /// Must not be mutated, since other lines rely on it.
    pub(super) is_fixed: bool,
    /// Wait until this key has expired before continuing.
    pub wait_expired: Option<Vec<u8>>,
}

impl Line {
    fn new(name: &'static str) -> Line {
        Line {
            conn: 0,
            args: name.split(' ').map(|word| word.as_bytes().to_vec()).collect(),
            name,
            options: Vec::new(),
            compare: Compare::Exact,
            payload_at: None,
            is_fixed: false,
            wait_expired: None,
        }
    }

    fn arg(mut self, arg: impl AsRef<[u8]>) -> Line {
        self.args.push(arg.as_ref().to_vec());
        self
    }

    fn args<T: AsRef<[u8]>>(mut self, args: &[T]) -> Line {
        self.args.extend(args.iter().map(|arg| arg.as_ref().to_vec()));
        self
    }

    /// Adds an option, which is also sent.
    fn option(mut self, option: &'static str) -> Line {
        self.options.push(option);
        self.arg(option)
    }

    /// Adds an option for the report only.
    fn note(mut self, option: &'static str) -> Line {
        self.options.push(option);
        self
    }

    /// Must not be mutated.
    fn fixed(mut self) -> Line {
        self.is_fixed = true;
        self
    }

    fn by(mut self, compare: Compare) -> Line {
        self.compare = compare;
        self
    }
}

/// The unit of a time in an expiry option or command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Millis,
    UnixSeconds,
    UnixMillis,
}

/// The parameters of a stream, besides the seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub family: Family,
    /// The protocol that connections speak.
    pub proto: u8,
    /// The real server: commands that it lacks are left out.
    pub oracle: Peer,
    /// Unix time at the start of the stream, for absolute expiries.
    pub now_s: i64,
}

/// The generator of commands.
pub(super) struct Grammar {
    rng: Rng,
    traits: Traits,
    /// An expiry that may be in the past was generated, and the key not looked up since.
    may_be_past: bool,
    /// The time part of the last ID of an entry.
    last_ms: usize,
    /// The scripts of late.
    scripts: Vec<Vec<u8>>,
}

type Rule = fn(&mut Grammar) -> Vec<Line>;

impl Grammar {
    /// The generator of the stream of this seed.
    pub(super) fn new(seed: u64, traits: Traits) -> Grammar {
        let rng = Rng::new(seed);
        Grammar { rng, traits, may_be_past: false, last_ms: 0, scripts: Vec::new() }
    }

    /// The next commands, which belong together.
    pub(super) fn next_lines(&mut self) -> Vec<Line> {
        let family = match self.traits.family {
            Family::All => *self.rng.pick(&Family::EACH),
            family => family,
        };
        let conn = self.rng.below(CONNECTIONS);
        let mut lines = self.lines_of(family);
        // Transactions and listeners have chosen their connections already.
        if family != Family::Transaction {
            let free = lines.iter_mut().filter(|line| line.conn < CONNECTIONS);
            free.for_each(|line| line.conn = conn);
        }
        lines.iter_mut().for_each(|line| self.disguise(line));
        lines
    }

    fn lines_of(&mut self, family: Family) -> Vec<Line> {
        // What most families need to have something to work on.
        let populate = matches!(family, Family::Keys | Family::Expiry) && self.rng.chance(25);
        let rules: &[Rule] = match family {
            _ if populate => {
                &[string::set, list::push, set::add, zset::add, hash::set, stream::add]
            }
            Family::String => string::RULES,
            Family::List => list::RULES,
            Family::Set => set::RULES,
            Family::Zset => zset::RULES,
            Family::Fields if self.has_7_2() => fields::RULES,
            Family::Hash | Family::Fields => hash::RULES,
            Family::Bitmap => bitmap::RULES,
            Family::Hyperloglog => hyperloglog::RULES,
            Family::Geo => geo::RULES,
            Family::References if self.is_redis_8() => stream::RULES_OF_REFERENCES,
            Family::Stream | Family::References => stream::RULES,
            Family::Keys => keys::RULES,
            Family::Expiry => expiry::RULES,
            Family::Transaction => transaction::RULES,
            Family::Connection => connection::RULES,
            Family::Pubsub => pubsub::RULES,
            Family::Scripts if self.is_valkey() => scripts::RULES,
            Family::Scripts => string::RULES,
            Family::Server | Family::All => server::RULES,
        };
        let rule = *self.rng.pick(rules);
        rule(self)
    }

    /// Changes the case of keywords, and occasionally makes a mistake.
    fn disguise(&mut self, line: &mut Line) {
        if self.rng.chance(30) {
            for arg in line.args.iter_mut().take(1) {
                self.recase(arg);
            }
        }
        for option in line.options.clone() {
            let found = line.args.iter().skip(1).position(|arg| arg == option.as_bytes());
            if let Some(at) = found.filter(|_| self.rng.chance(30)) {
                self.recase(&mut line.args[at + 1]);
            }
        }
        // Mutated, these would list everything a server has, which differs between servers.
        let asks_for_all = line.name.starts_with("COMMAND") || line.name == "CONFIG GET";
        let needs_whole = line.is_fixed || line.wait_expired.is_some() || line.payload_at.is_some();
        if !asks_for_all && !needs_whole && self.rng.chance(4) {
            self.spoil(line);
        }
    }

    fn recase(&mut self, word: &mut [u8]) {
        let lower = self.rng.chance(60);
        for byte in word {
            if lower || self.rng.chance(50) {
                byte.make_ascii_lowercase();
            }
        }
    }

    fn spoil(&mut self, line: &mut Line) {
        const JUNK: [&[u8]; 11] = [
            b"",
            b"abc",
            b"NX",
            b"GET",
            b"-1",
            b"1.5",
            b"9223372036854775808",
            b"EX",
            b"\0",
            b"*",
            b"\xff\r\nx\0y",
        ];
        line.options = vec!["!spoiled"];
        let mut junk = self.rng.pick(&JUNK).to_vec();
        if line.name == "XADD" && junk == b"*" {
            // As an ID it would stand for the time.
            junk = b"abc".to_vec();
        }
        match self.rng.below(4) {
            0 if line.args.len() > 1 => drop(line.args.pop()),
            1 => line.args.push(junk),
            2 if line.args.len() > 1 => {
                let again = self.rng.pick(&line.args[1..]).clone();
                line.args.push(again);
            }
            _ if line.args.len() > 1 => {
                let at = 1 + self.rng.below(line.args.len() - 1);
                line.args[at] = junk;
            }
            _ => line.args.push(junk),
        }
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.rng.below(words.len())]
    }

    /// One of a dozen keys, so that commands interact.
    fn key(&mut self) -> Vec<u8> {
        match self.rng.below(24) {
            0 => Vec::new(),
            1 => b"k\0\xff\r\n".to_vec(),
            2 => vec![b'L'; 200],
            3 => b"{tag}a".to_vec(),
            _ => format!("k{}", self.rng.below(8)).into_bytes(),
        }
    }

    /// One to four keys, which may repeat.
    fn some_keys(&mut self) -> Vec<Vec<u8>> {
        (0..=self.rng.below(4)).map(|_| self.key()).collect()
    }

    /// A value of any kind.
    fn value(&mut self) -> Vec<u8> {
        const LENGTHS: [usize; 12] = [0, 1, 2, 20, 39, 44, 45, 63, 64, 65, 300, 3000];
        match self.rng.below(10) {
            0..=2 => self.integer(),
            3 | 4 => self.float(),
            5 => {
                let len = *self.rng.pick(&LENGTHS);
                (0..len).map(|_| self.rng.below(256) as u8).collect()
            }
            6 => {
                let len = *self.rng.pick(&LENGTHS);
                self.rng.printable(len)
            }
            7 => {
                let len = *self.rng.pick(&LENGTHS);
                vec![b'z'; len]
            }
            _ => self.one_of(&["a", "b", "value", "hello world", "0", "1", "x\r\ny"]).into(),
        }
    }

    /// An integer, or something close to one.
    fn integer(&mut self) -> Vec<u8> {
        const EDGES: [&str; 26] = [
            "0",
            "1",
            "-1",
            "9",
            "10",
            "99",
            "9999",
            "10000",
            "127",
            "128",
            "255",
            "32767",
            "-32768",
            "32768",
            "2147483647",
            "-2147483648",
            "2147483648",
            "9223372036854775807",
            "9223372036854775806",
            "-9223372036854775808",
            "-9223372036854775807",
            "007",
            "-0",
            "+1",
            " 1",
            "9223372036854775808",
        ];
        if self.rng.chance(50) {
            return (*self.rng.pick(&EDGES)).into();
        }
        self.rng.between(-100_000, 100_000).to_string().into_bytes()
    }

    /// A decimal number, or something close to one.
    fn float(&mut self) -> Vec<u8> {
        const EDGES: [&str; 22] = [
            "0.1",
            "1.5",
            "-2.25",
            "3.0",
            "3.0e3",
            "1e10",
            "-1e-10",
            "1e17",
            "1e18",
            "1e100",
            "123456789.123456789",
            "0.0000000001",
            "inf",
            "-inf",
            "nan",
            "1e400",
            "0x10",
            " 1.5",
            "1.5 ",
            "1.",
            ".5",
            "-0.0",
        ];
        if self.rng.chance(60) {
            return (*self.rng.pick(&EDGES)).into();
        }
        let (whole, digits) = (self.rng.between(-1000, 1000), self.rng.below(100_000));
        format!("{whole}.{digits}").into_bytes()
    }

    /// A small number, sometimes out of bounds, for offsets and ranges.
    fn index(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => self.integer(),
            _ => self.rng.between(-12, 80).to_string().into_bytes(),
        }
    }

    /// A database index, sometimes out of range.
    fn database(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0 => self.one_of(&["-1", "16", "99", "abc", "", "1.5", "9223372036854775808"]).into(),
            _ => self.rng.below(DATABASES).to_string().into_bytes(),
        }
    }

    /// A time at least a minute ahead.
    fn future(&mut self, unit: Unit) -> Vec<u8> {
        let ahead_s = self.rng.between(DEADLINE_MIN_S, DEADLINE_MAX_S);
        let millis = self.rng.between(0, 999);
        let number = match unit {
            Unit::Seconds => ahead_s,
            Unit::Millis => ahead_s * 1000 + millis,
            Unit::UnixSeconds => self.traits.now_s + ahead_s,
            Unit::UnixMillis => (self.traits.now_s + ahead_s) * 1000 + millis,
        };
        number.to_string().into_bytes()
    }

    /// A time in the past, or an invalid one. The key may be deleted by it.
    fn past_or_wrong(&mut self) -> Vec<u8> {
        const TEXTS: [&str; 12] = [
            "0",
            "-1",
            "-1000",
            "-9223372036854775808",
            "9223372036854775807",
            "9223372036854775",
            "92233720368547758070",
            "abc",
            "",
            "1.5",
            "1 ",
            "-9223372036854776",
        ];
        self.may_be_past = true;
        (*self.rng.pick(&TEXTS)).into()
    }

    fn moment(&mut self, unit: Unit) -> Vec<u8> {
        if self.rng.chance(88) { self.future(unit) } else { self.past_or_wrong() }
    }

    /// The line, and if it may have expired the key, a lookup of it: DBSIZE may or may not count an
    /// expired key that was not looked up.
    fn settled(&mut self, line: Line, key: &[u8]) -> Vec<Line> {
        if !std::mem::take(&mut self.may_be_past) {
            return vec![line];
        }
        let look = Line { is_fixed: true, ..Line::new("EXISTS").arg(key) };
        vec![line, look]
    }

    fn is_valkey(&self) -> bool {
        self.traits.oracle == Peer::Valkey
    }

    /// Whether the server has the commands of Redis 8.2, which Valkey lacks.
    fn is_redis_8(&self) -> bool {
        self.traits.oracle == Peer::Redis8
    }

    /// Whether the server has the commands of Redis 7.2.
    fn has_7_2(&self) -> bool {
        self.traits.oracle != Peer::Redis7
    }
}
