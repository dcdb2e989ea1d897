//! Commands that build lists, sets, sorted sets, hashes and streams in every encoding, on both
//! sides of each threshold of the default configuration, with elements of every form that a
//! listpack knows.
//!
//! Used wherever a data set must survive something unchanged: a file, a payload, a synchronisation.
//! Deterministic.

use crate::rng::Rng;
use crate::writes::{Words, words};

/// Numbers on both sides of every width of an integer in a listpack, an intset or a file, and texts
/// that look like numbers.
const NUMBERS: [&str; 43] = [
    "0",
    "-1",
    "12",
    "13",
    "63",
    "64",
    "127",
    "128",
    "-128",
    "-129",
    "255",
    "256",
    "4095",
    "4096",
    "-4096",
    "-4097",
    "8191",
    "8192",
    "32767",
    "32768",
    "-32768",
    "-32769",
    "8388607",
    "8388608",
    "-8388608",
    "-8388609",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "-0",
    "007",
    "+1",
    " 1",
    "1.5",
    "1e3",
    "",
];

/// Lengths on both sides of every form of a length.
const LENGTHS: [usize; 16] =
    [1, 62, 63, 64, 65, 127, 128, 253, 254, 255, 256, 4095, 4096, 16_384, 65_535, 65_536];

/// Scores at the edges of doubles and of how they are written as text.
const SCORES: [&str; 24] = [
    "inf",
    "-inf",
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "-2.5",
    "3.0000000000000004",
    "5e-324",
    "-5e-324",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "1e15",
    "123456789012345680",
    "9007199254740993",
    "1e17",
    "1e21",
    "1e22",
    "1e-5",
    "1e-7",
    "9223372036854775807",
    "4095",
];

/// How many elements a value gets: on both sides of the thresholds 128 and 512.
const COUNTS: [usize; 8] = [1, 2, 127, 128, 129, 512, 513, 3000];

/// Elements of one command.
const CHUNK: usize = 500;

/// The commands, for a server with the default configuration. Keys lie in the databases 0 and 5.
pub fn commands() -> Vec<Words> {
    let mut build = Build { commands: vec![], rng: Rng::new(11) };
    build.commands.push(words(&["SELECT", "0"]));
    for count in COUNTS {
        build.counted(count);
    }
    for len in LENGTHS {
        build.long(len);
    }
    build.edges();
    build.lists();
    build.sets();
    build.shrunk();
    build.streams();
    build.strings();
    build.commands.push(words(&["SELECT", "5"]));
    build.counted(3);
    build.counted(700);
    build.expiring();
    build.commands
}

/// The key that one of the commands writes to.
pub fn key_of(command: &[Vec<u8>]) -> &[u8] {
    match &command[0][..] {
        b"XGROUP" => &command[2],
        b"XREADGROUP" => &command[command.len() - 2],
        _ => &command[1],
    }
}

/// The groups of consumers that streams may have.
pub const GROUPS: [&str; 2] = ["group", "other"];

/// What a key is, by which it is written.
#[derive(Clone, Copy)]
enum Form {
    List,
    Set,
    Zset,
    Hash,
}

struct Build {
    commands: Vec<Words>,
    rng: Rng,
}

impl Build {
    /// Writes `elements` to one key; scores and values are derived from their positions.
    fn add(&mut self, form: Form, key: &str, elements: &[Vec<u8>]) {
        let name = match form {
            Form::List => "RPUSH",
            Form::Set => "SADD",
            Form::Zset => "ZADD",
            Form::Hash => "HSET",
        };
        for (chunk, elements) in elements.chunks(CHUNK).enumerate() {
            let mut command = words(&[name, key]);
            for (i, element) in elements.iter().enumerate() {
                let place = chunk * CHUNK + i;
                match form {
                    Form::List | Form::Set => command.push(element.clone()),
                    Form::Zset => {
                        command.push(format!("{}.5", place % 97).into_bytes());
                        command.push(element.clone());
                    }
                    Form::Hash => {
                        command.push(element.clone());
                        command.push(format!("value {place}").into_bytes());
                    }
                }
            }
            self.commands.push(command);
        }
    }

    /// Values of `count` small elements, integers and text.
    fn counted(&mut self, count: usize) {
        let texts: Vec<_> = (0..count).map(|i| format!("element:{i}").into_bytes()).collect();
        let ints: Vec<_> = (0..count).map(|i| (i * 7919).to_string().into_bytes()).collect();
        for (form, name) in
            [(Form::List, "list"), (Form::Set, "set"), (Form::Zset, "zset"), (Form::Hash, "hash")]
        {
            self.add(form, &format!("{name}:{count}:texts"), &texts);
            self.add(form, &format!("{name}:{count}:ints"), &ints);
        }
    }

    /// Values with one element of `len` bytes among small ones.
    fn long(&mut self, len: usize) {
        for (kind, long) in [("noise", self.rng.printable(len)), ("run", vec![b'x'; len])] {
            let elements = [b"first".to_vec(), long.clone(), b"last".to_vec()];
            self.add(Form::List, &format!("list:{kind}:{len}"), &elements);
            self.add(Form::Set, &format!("set:{kind}:{len}"), &elements);
            self.add(Form::Zset, &format!("zset:{kind}:{len}"), &elements);
            self.add(Form::Hash, &format!("hash:{kind}:{len}"), &elements);
            let value = format!("hash:{kind}:{len}:value");
            self.commands.push(vec![b"HSET".into(), value.into(), b"field".into(), long]);
        }
    }

    /// Integers and scores at their edges, in small and in large values.
    fn edges(&mut self) {
        let small: Vec<_> = NUMBERS.map(|text| text.as_bytes().to_vec()).into();
        let mut large = small.clone();
        large.extend((0..600).map(|i| format!("more:{i}").into_bytes()));
        for (name, elements) in [("small", &small), ("large", &large)] {
            self.add(Form::List, &format!("list:edges:{name}"), elements);
            self.add(Form::Set, &format!("set:edges:{name}"), elements);
            self.add(Form::Zset, &format!("zset:edges:{name}"), elements);
            self.add(Form::Hash, &format!("hash:edges:{name}"), elements);
            let mut values = words(&["HSET", &format!("hash:values:{name}")]);
            for (i, element) in elements.iter().enumerate() {
                values.extend([format!("field:{i}").into_bytes(), element.clone()]);
            }
            self.commands.push(values);
            let scores = format!("zset:scores:{name}");
            let mut command = words(&["ZADD", &scores]);
            for score in SCORES {
                command.extend(words(&[score, &format!("score {score}")]));
            }
            self.commands.push(command);
            if name == "large" {
                self.add(Form::Zset, &scores, &large);
            }
        }
    }

    /// Lists of several nodes, grown at both ends and in the middle, and with plain nodes.
    fn lists(&mut self) {
        for len in [100, 2000, 8192, 9000] {
            let key = format!("list:nodes:{len}");
            for i in 0..40 {
                let element = if i % 2 == 0 { self.rng.printable(len) } else { vec![b'y'; len] };
                let end: &[u8] = if i % 3 == 0 { b"LPUSH" } else { b"RPUSH" };
                self.commands.push(vec![end.into(), key.clone().into(), element]);
                self.commands.push(words(&["RPUSH", &key, &i.to_string()]));
            }
            self.commands.push(words(&["LSET", &key, "20", "set"]));
            self.commands.push(words(&["LINSERT", &key, "BEFORE", "set", "inserted"]));
            self.commands.push(words(&["LREM", &key, "1", "7"]));
            let replaced = self.rng.printable(len);
            self.commands.push(vec![b"LSET".into(), key.into(), b"5".into(), replaced]);
        }
    }

    /// Intsets of each width, at the threshold, and sets that were intsets.
    fn sets(&mut self) {
        for (name, step) in [("16", 50), ("32", 4_000_000), ("64", 9_000_000_000_000_000)] {
            for count in [512, 513] {
                let key = format!("set:intset:{name}:{count}");
                let members: Vec<_> =
                    (-256..count - 256).map(|i: i64| (i * step).to_string().into_bytes()).collect();
                self.add(Form::Set, &key, &members);
            }
        }
        self.commands.push(words(&["SADD", "set:widened", "1", "-40000", "5000000000"]));
        self.commands.push(words(&["SADD", "set:mixed", "1", "2", "3", "text"]));
        self.commands.push(words(&["SREM", "set:mixed", "text"]));
    }

    /// Values that were large once.
    fn shrunk(&mut self) {
        let texts: Vec<_> = (0..800).map(|i| format!("element:{i}").into_bytes()).collect();
        self.add(Form::List, "list:shrunk", &texts);
        self.commands.push(words(&["LTRIM", "list:shrunk", "400", "405"]));
        for (form, name, remove) in [
            (Form::Set, "set:shrunk", "SREM"),
            (Form::Zset, "zset:shrunk", "ZREM"),
            (Form::Hash, "hash:shrunk", "HDEL"),
        ] {
            self.add(form, name, &texts);
            let mut command = words(&[remove, name]);
            command.extend_from_slice(&texts[..790]);
            self.commands.push(command);
        }
    }

    fn command(&mut self, command: &[&str]) {
        self.commands.push(words(command));
    }

    /// Adds an entry of some fields.
    fn entry(&mut self, key: &str, id: usize, fields: &[(&[u8], &[u8])]) {
        let mut command = words(&["XADD", key, &format!("{id}-{}", id % 3)]);
        command.extend(fields.iter().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]));
        self.commands.push(command);
    }

    /// Streams of one node and of several, with entries that have the fields of their node and
    /// others, deleted entries, a past, groups and pending entries.
    fn streams(&mut self) {
        for key in ["stream:small", "stream:emptied", "stream:set"] {
            self.entry(key, 1, &[(b"field", b"value")]);
        }
        self.command(&["XDEL", "stream:emptied", "1-1"]);
        self.command(&["XSETID", "stream:set", "90-5", "ENTRIESADDED", "70", "MAXDELETEDID", "5"]);
        for (id, number) in NUMBERS.iter().enumerate() {
            self.entry("stream:numbers", id + 1, &[(b"field", number.as_bytes())]);
            self.entry("stream:fields", id + 1, &[(number.as_bytes(), b"1"), (b"two", b"")]);
        }
        for (id, len) in LENGTHS.into_iter().enumerate() {
            let (noise, run) = (self.rng.printable(len), vec![b'x'; len]);
            self.entry("stream:lengths", id + 1, &[(b"noise", &noise), (b"run", &run)]);
        }
        for id in 1..=350 {
            let text = format!("value {id}");
            let pairs: [(&[u8], &[u8]); 2] = [(b"a", text.as_bytes()), (b"b", b"17")];
            for key in ["stream:many", "stream:holes", "stream:trimmed", "stream:groups"] {
                self.entry(key, id, if id % 7 == 0 { &pairs[..1] } else { &pairs });
            }
        }
        for id in (1..=350).filter(|id| id % 3 == 0 || (100..210).contains(id)) {
            self.command(&["XDEL", "stream:holes", &format!("{id}-{}", id % 3)]);
        }
        self.command(&["XTRIM", "stream:trimmed", "MAXLEN", "130"]);
        for (group, from) in GROUPS.iter().zip(["0", "200"]) {
            self.command(&["XGROUP", "CREATE", "stream:groups", group, from]);
            self.command(&["XGROUP", "CREATECONSUMER", "stream:groups", group, "idle"]);
            self.command(&["XGROUP", "CREATE", "stream:none", group, "$", "MKSTREAM"]);
            for (consumer, count) in [("alice", "100"), ("bob", "5"), ("alice", "30")] {
                let mut read = words(&["XREADGROUP", "GROUP", group, consumer, "COUNT", count]);
                read.extend(words(&["STREAMS", "stream:groups", ">"]));
                self.commands.push(read);
            }
            self.command(&["XACK", "stream:groups", group, "1-1", "2-2", "101-2", "205-1"]);
            self.command(&["XCLAIM", "stream:groups", group, "bob", "0", "7-1", "220-1"]);
        }
        self.command(&["XDEL", "stream:groups", "8-2", "221-2"]);
    }

    fn strings(&mut self) {
        for (i, number) in NUMBERS.iter().enumerate() {
            self.commands.push(words(&["SET", &format!("string:{i}"), number]));
        }
        for len in LENGTHS {
            let value = self.rng.printable(len);
            self.commands.push(vec![b"SET".into(), format!("string:len:{len}").into(), value]);
        }
    }

    /// Keys of each type that will expire, long after the test.
    fn expiring(&mut self) {
        let small = [b"a".to_vec(), b"b".to_vec()];
        let large: Vec<_> = (0..600).map(|i| format!("element:{i}").into_bytes()).collect();
        for (form, name) in
            [(Form::List, "list"), (Form::Set, "set"), (Form::Zset, "zset"), (Form::Hash, "hash")]
        {
            for (size, elements) in [("small", &small[..]), ("large", &large)] {
                let key = format!("{name}:expiring:{size}");
                self.add(form, &key, elements);
                self.commands.push(words(&["PEXPIREAT", &key, "4102444800123"]));
            }
        }
    }
}
