//! Commands on two engines that differ only in when a collection leaves its compact form.
//!
//! One engine keeps small collections as listpacks and intsets, the other never does. What clients
//! are answered must not depend on that, so each form is the model of the other: for the fuzzer,
//! whose input is read as commands, and for tests with random input.
//!
//! **Invariants.** No command here depends on chance or time. Where the order of elements is that
//! of the form, replies are compared without it. At the end both data sets have one digest, and
//! each value survives DUMP on one side and RESTORE on the other.

use anyhow::{Context, Result, ensure};
use redix_core::config::{Config, Guard};
use redix_resp::Value;

use crate::engine::SimEngine;
use crate::quoting::quote_args;
use crate::script::{Command, sorted};

/// The most commands that one input is parsed into.
const COMMANDS_MAX: usize = 400;
const KEYS: usize = 5;
const PLACEHOLDERS: &[u8] = b"KMVINSBLWX";

/// What is random about a command, by the placeholders in its template:
/// `K` key, `M` member or field, `V` value, `I` integer, `N` small count, `S` score, `B` bound of
/// scores, `L` bound of members, `W` side of a list, `X` ID of a stream's entry. A placeholder with
/// `+` is repeated.
///
/// Members of `lex` have one score, without which ranges of members depend on the form. The bytes
/// of `hll` and `other-hll` do depend on it, so other commands do not read them. The first
/// word says how replies are compared: `=` as they are, `~` in any order.
const TEMPLATES: &[&str] = &[
    "= DEL K",
    "= EXISTS K",
    "= TYPE K",
    "= RENAME K K",
    "= COPY K K REPLACE",
    "= SET K V",
    "= APPEND K V",
    "= GET K",
    "= LPUSH K V+",
    "= RPUSH K V+",
    "= LPUSHX K V",
    "= RPUSHX K V+",
    "= LPOP K N",
    "= RPOP K N",
    "= LLEN K",
    "= LRANGE K I I",
    "= LINDEX K I",
    "= LSET K I V",
    "= LINSERT K BEFORE V V",
    "= LINSERT K AFTER V V",
    "= LREM K I V",
    "= LTRIM K I I",
    "= LPOS K V RANK -1",
    "= LPOS K V COUNT 0",
    "= LMOVE K K W W",
    "= LMPOP 2 K K W COUNT N",
    "= SADD K M+",
    "= SADD K I+",
    "= SREM K M+",
    "= SREM K I",
    "= SCARD K",
    "= SISMEMBER K M",
    "= SMISMEMBER K M+",
    "~ SMEMBERS K",
    "= SMOVE K K M",
    "~ SINTER K K",
    "~ SUNION K K",
    "~ SDIFF K K",
    "= SINTERSTORE K K K",
    "= SUNIONSTORE K K K",
    "= SDIFFSTORE K K K",
    "= SINTERCARD 2 K K LIMIT N",
    "~ SPOP K 1000000",
    "~ SORT K ALPHA",
    "= SORT K BY nosort LIMIT 0 0",
    "= SORT K ALPHA DESC STORE K",
    "= HSET K M V",
    "= HSET K M V M V M I",
    "= HSETNX K M V",
    "= HDEL K M+",
    "= HGET K M",
    "= HMGET K M+",
    "~ HGETALL K",
    "~ HKEYS K",
    "~ HVALS K",
    "= HLEN K",
    "= HEXISTS K M",
    "= HSTRLEN K M",
    "= HINCRBY K M I",
    "= HINCRBYFLOAT K M 1.5",
    "= ZADD K S M S M S M",
    "= ZADD K GT CH S M",
    "= ZADD K XX LT S M",
    "= ZADD K NX INCR S M",
    "= ZINCRBY K S M",
    "= ZREM K M+",
    "= ZCARD K",
    "= ZSCORE K M",
    "= ZMSCORE K M+",
    "= ZRANK K M WITHSCORE",
    "= ZREVRANK K M",
    "= ZCOUNT K B B",
    "= ZRANGE K I I WITHSCORES",
    "= ZRANGE K B B BYSCORE LIMIT N N",
    "= ZRANGESTORE K K I I",
    "= ZREVRANGEBYSCORE K B B",
    "= ZREMRANGEBYRANK K I I",
    "= ZREMRANGEBYSCORE K B B",
    "= ZADD lex 0 M 0 M 0 M 0 M",
    "= ZREM lex M+",
    "= ZLEXCOUNT lex L L",
    "= ZRANGE lex L L BYLEX",
    "= ZRANGE lex L L BYLEX REV LIMIT N N",
    "= ZREMRANGEBYLEX lex L L",
    "= ZPOPMIN K N",
    "= ZPOPMAX K N",
    "= ZMPOP 2 K K MAX COUNT N",
    "= ZUNIONSTORE K 2 K K WEIGHTS 2 0.5",
    "= ZINTERSTORE K 2 K K AGGREGATE MIN",
    "= ZDIFFSTORE K 2 K K",
    "= ZINTERCARD 2 K K",
    "= ZUNION 2 K K WITHSCORES",
    "= SETRANGE K N V",
    "= SETBIT K I 1",
    "= SETBIT K I 0",
    "= GETBIT K I",
    "= BITCOUNT K I I",
    "= BITCOUNT K I I BIT",
    "= BITPOS K 1 I",
    "= BITPOS K 0 I I BIT",
    "= BITOP AND K K K",
    "= BITOP XOR K K K",
    "= BITOP NOT K K",
    "= BITFIELD K SET u8 I I",
    "= BITFIELD K OVERFLOW SAT INCRBY i5 3 I GET u13 N",
    "= PFADD hll M+",
    "= PFADD other-hll M+",
    "= PFCOUNT hll",
    "= PFCOUNT hll other-hll",
    "= PFMERGE hll other-hll",
    "= GEOADD geo 13.361389 38.115556 M 15.087269 37.502669 M",
    "= GEOADD geo NX CH -5.1 40.25 M",
    "= GEODIST geo M M km",
    "= GEOHASH geo M M",
    "= GEOPOS geo M+",
    "~ GEOSEARCH geo FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST WITHHASH",
    "~ GEOSEARCH geo FROMMEMBER M BYBOX 400 4000 km",
    "= GEOSEARCHSTORE K geo FROMLONLAT 15 37 BYBOX 400 400 km",
    "= DEL stream",
    "= XADD stream X M V",
    "= XADD stream NOMKSTREAM MAXLEN = N X M V M I",
    "= XADD stream 61-* M V M I M V",
    "= XLEN stream",
    "= XRANGE stream X X",
    "= XRANGE stream - + COUNT N",
    "= XREVRANGE stream + (X COUNT N",
    "= XREAD COUNT N STREAMS stream X",
    "= XDEL stream X X X",
    "= XTRIM stream MAXLEN N",
    "= XTRIM stream MINID = X",
    "= XSETID stream 62-1",
    "= XGROUP CREATE stream g X MKSTREAM",
    "= XGROUP SETID stream g X",
    "= XGROUP CREATECONSUMER stream g a",
    "= XGROUP DELCONSUMER stream g a",
    "= XGROUP DESTROY stream g",
    "= XREADGROUP GROUP g a COUNT N STREAMS stream >",
    "= XREADGROUP GROUP g b NOACK STREAMS stream >",
    "= XREADGROUP GROUP g a COUNT N STREAMS stream X",
    "= XREADGROUP GROUP g b COUNT N CLAIM 0 STREAMS stream >",
    "= XNACK stream g FATAL IDS 2 X X",
    "= XNACK stream g SILENT IDS 1 X FORCE",
    "= XADD stream IDMP M V * M V",
    "= XCFGSET stream IDMP-MAXSIZE 2",
    "= XACK stream g X X",
    "= XPENDING stream g",
    "= XCLAIM stream g b 0 X JUSTID",
    "= XAUTOCLAIM stream g b 0 X COUNT N",
    "= XINFO GROUPS stream",
];

/// The bytes that commands are derived from.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// The next byte; zero after the end.
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    /// Enough members to repeat and to leave the compact form, some of them long.
    fn member(&mut self) -> Vec<u8> {
        match self.byte() {
            0 => Vec::new(),
            1..=9 => vec![b'm'; 70],
            10..=14 => vec![b'm'; 300],
            15..=60 => self.integer(),
            byte => format!("member:{}", byte % 40).into_bytes(),
        }
    }

    fn integer(&mut self) -> Vec<u8> {
        let edges = ["0", "-1", "1", "127", "-129", "32768", "-2147483649", "9223372036854775807"];
        match self.byte() {
            byte @ 0..200 => (i64::from(byte % 50) - 10).to_string().into_bytes(),
            _ => self.pick(&edges).into(),
        }
    }

    fn argument(&mut self, placeholder: u8) -> Vec<u8> {
        match placeholder {
            b'K' => format!("k{}", self.below(KEYS)).into_bytes(),
            b'M' | b'V' => self.member(),
            b'I' => self.integer(),
            b'N' => self.below(6).to_string().into_bytes(),
            // Not -0: its sign is lost in a listpack, there as here.
            b'S' => self.pick(&["0", "1", "2", "2.5", "-3", "1e300", "inf", "-inf"]).into(),
            b'B' => self.pick(&["-inf", "+inf", "0", "(1", "2", "(2.5", "-3", "1e300"]).into(),
            b'L' => self.pick(&["-", "+", "[member:2", "(member:3", "[m", "(1"]).into(),
            b'W' => self.pick(&["LEFT", "RIGHT"]).into(),
            b'X' => format!("{}-{}", self.below(60), self.below(3)).into_bytes(),
            _ => unreachable!("a placeholder of the templates"),
        }
    }

    /// The next command and its template.
    fn command(&mut self) -> (usize, Command) {
        let number = self.below(TEMPLATES.len());
        let words = TEMPLATES[number].split(' ').skip(1);
        let args = words.flat_map(|word| match word.as_bytes() {
            [letter] if PLACEHOLDERS.contains(letter) => vec![self.argument(*letter)],
            [b'(', letter] if PLACEHOLDERS.contains(letter) => {
                vec![[&b"("[..], &self.argument(*letter)].concat()]
            }
            [letter, b'+'] => {
                let count = if self.byte() < 20 { 40 } else { 1 + self.below(4) };
                (0..count).map(|_| self.argument(*letter)).collect()
            }
            word => vec![word.to_vec()],
        });
        (number, args.collect())
    }
}

/// Every key of the templates.
fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|key| format!("k{key}")).chain(["lex", "geo", "stream"].map(str::to_owned))
}

/// Both engines.
struct Pair([SimEngine; 2]);

impl Pair {
    fn new() -> Result<Pair> {
        let debug = || Config { enable_debug_command: Guard::Yes, ..Config::default() };
        let compact = Config {
            hash_max_listpack_entries: 8,
            set_max_listpack_entries: 8,
            set_max_intset_entries: 12,
            zset_max_listpack_entries: 8,
            ..debug()
        };
        let large = Config {
            hash_max_listpack_entries: 0,
            set_max_listpack_entries: 0,
            set_max_intset_entries: 0,
            zset_max_listpack_entries: 0,
            hll_sparse_max_bytes: 0,
            stream_node_max_entries: 2,
            list_max_listpack_size: 3,
            ..debug()
        };
        Ok(Pair([SimEngine::new(compact, 1)?, SimEngine::new(large, 2)?]))
    }

    fn both<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Result<[Value; 2]> {
        let [compact, large] = &mut self.0;
        Ok([compact.execute(0, args)?, large.execute(0, args)?])
    }

    /// Copies each value from one engine to the other and compares them.
    fn exchange(&mut self) -> Result<()> {
        for (from, to) in [(0, 1), (1, 0)] {
            for key in keys() {
                let Value::Bulk(payload) = self.0[from].execute(0, &["DUMP", &key])? else {
                    continue;
                };
                let restore: [&[u8]; 4] = [b"RESTORE", b"other", b"0", &payload];
                let restored = self.0[to].execute(0, &restore)?;
                ensure!(restored == Value::Simple(b"OK".to_vec()), "{key}: {}", restored.pretty());
                let digest = |engine: &mut SimEngine, key: &str| {
                    engine.execute(0, &["DEBUG", "DIGEST-VALUE", key])
                };
                let here = digest(&mut self.0[from], &key)?;
                let there = digest(&mut self.0[to], "other")?;
                ensure!(here == there, "{key}: {} became {}", here.pretty(), there.pretty());
                self.0[to].execute(0, &["DEL", "other"])?;
            }
        }
        Ok(())
    }
}

/// Runs the commands of an input on both engines. Returns how often each template has succeeded; an
/// error states the difference, and the commands that led to it.
pub fn run(input: &[u8]) -> Result<Vec<usize>> {
    let (mut pair, mut input) = (Pair::new()?, Input(input));
    let mut succeeded = vec![0; TEMPLATES.len()];
    let mut commands: Vec<Command> = Vec::new();
    while !input.0.is_empty() && commands.len() < COMMANDS_MAX {
        let (number, args) = input.command();
        let replies = pair.both(&args)?;
        commands.push(args);
        let [compact, large] = match TEMPLATES[number].starts_with('~') {
            true => replies.map(sorted),
            false => replies,
        };
        ensure!(
            compact == large,
            "{}\ncompact: {}\nlarge: {}",
            commands.iter().map(|args| quote_args(args)).collect::<Vec<_>>().join("\n"),
            compact.pretty(),
            large.pretty()
        );
        succeeded[number] += usize::from(!matches!(compact, Value::Error(_)));
    }
    let shown = || commands.iter().map(|args| quote_args(args)).collect::<Vec<_>>().join("\n");
    for key in keys() {
        let [compact, large] = pair.both(&["DEBUG", "DIGEST-VALUE", &key])?;
        let [compact, large] = [compact.pretty(), large.pretty()];
        ensure!(compact == large, "{key} is {compact} and {large} after\n{}", shown());
    }
    pair.exchange().with_context(shown)?;
    Ok(succeeded)
}

/// The templates, as [`run`] counts them.
pub fn templates() -> &'static [&'static str] {
    TEMPLATES
}

#[cfg(test)]
mod tests;
