//! The replication stream of each command on collections: equal to Valkey's.

use redix_testkit::{Client, Peer};

use super::node::Node;
use super::raw::Raw;
use crate::eventually;

/// Commands, one per line. After `@` a blocking one, which the next line serves.
const LISTS: &str = "
RPUSH l a b c d e f g 1 2 3
LPUSH l x
RPUSHX l y
LPUSHX none y
LPOP l
RPOP l 2
LPOP l 0
LPOP none
LSET l 0 new
LINSERT l BEFORE new before
LINSERT l AFTER nothing after
LREM l 1 b
LREM l 0 nothing
LTRIM l 0 5
LTRIM l 0 100
LMOVE l m LEFT RIGHT
LMOVE none m LEFT RIGHT
RPOPLPUSH l m
LMPOP 2 none l LEFT
LMPOP 2 l m RIGHT COUNT 2
BLPOP l 0
BRPOP none m 0
RPUSH l a b c d
BLMOVE l m LEFT LEFT 0
BRPOPLPUSH l m 0
BLMPOP 0 2 none l LEFT COUNT 5
@ BLPOP q r 0
RPUSH r 1
@ BRPOP q r 0
RPUSH q 1 2
@ BLMOVE s t RIGHT LEFT 0
LPUSH s 1 2
@ BRPOPLPUSH s2 t 0
RPUSH s2 1
@ BLMPOP 0 2 u v LEFT COUNT 2
RPUSH v 1 2 3
RPUSH v2 1 2
LMPOP 1 v2 LEFT COUNT 10
LPUSH w 1
LPOP w
RPUSH w 1
LTRIM w 1 0
RPUSH w 1
LREM w 0 1
DEL l
";

const SETS: &str = "
SADD s a b c 1 2 3
SADD s a
SREM s a z
SREM s z
SMOVE s t b
SMOVE s t zzz
SADD one m
SPOP one
SPOP one
SADD three m1 m2 m3
SPOP three 2
SPOP three 0
SADD three m4 m5
SPOP three 100
SADD many m1 m2 m3 m4 m5 m6 m7 m8 m9
SPOP many
SPOP many 7
SUNIONSTORE u s t
SINTERSTORE i s t
SUNIONSTORE u none
SADD u left
SDIFFSTORE u none s
SADD u left
SINTERSTORE u none s
SDIFFSTORE d s t
SADD last x
SREM last x
SADD last x
SMOVE last s x
SADD own x
SMOVE own own x
";

const ZSETS: &str = "
ZADD z 1 a 2 b 3.5 c inf d
ZADD z 1 a
ZADD z CH 2 a
ZADD z NX 5 a
ZADD z GT CH 1 a
ZADD z INCR 1.5 a
ZADD z NX INCR 1.5 a
ZINCRBY z 0.1 b
ZINCRBY z 0 b
ZREM z d nothing
ZREM z nothing
ZADD y 1 a 2 b 3 c 4 d 5 e 6 f 7 g
ZREMRANGEBYRANK y 0 0
ZREMRANGEBYRANK y 100 200
ZREMRANGEBYSCORE y (1 2
ZREMRANGEBYSCORE y 100 200
ZADD x 0 a 0 b 0 c
ZREMRANGEBYLEX x [a (b
ZREMRANGEBYLEX x [x [z
ZPOPMIN y
ZPOPMAX y 2
ZPOPMIN y 0
ZPOPMIN none
ZMPOP 2 none z MIN
ZMPOP 1 z MAX COUNT 2
ZADD z 1 a 2 b
BZPOPMIN none z 0
BZPOPMAX z 0
ZADD z 1 a 2 b 3 c
BZMPOP 0 2 none z MIN COUNT 2
@ BZPOPMIN q r 0
ZADD r 1 a 2 b
@ BZPOPMAX q 0
ZADD q 1 a 2 b
@ BZMPOP 0 2 k l MAX COUNT 2
ZADD l 1 a 2 b 3 c
ZUNIONSTORE u 2 y x WEIGHTS 2 3 AGGREGATE MAX
ZINTERSTORE i 2 y x
ZDIFFSTORE d 2 y x
ZRANGESTORE g y 0 -1
ZRANGESTORE g none 0 -1
ZUNIONSTORE u 1 none
ZADD last 1 a
ZREM last a
ZADD last 1 a
ZREMRANGEBYSCORE last -inf inf
";

const HASHES: &str = "
HSET h a 1 b 2 c 1.5
HSET h a 1
HMSET h d 4 e 5
HSETNX h a 9
HSETNX h f 9
HINCRBY h a 5
HINCRBY h a 0
HINCRBYFLOAT h c 0.1
HINCRBYFLOAT h new 3
HINCRBYFLOAT h c 1e20
HDEL h a b nothing
HDEL h nothing
HDEL none a
HSET last a 1
HDEL last a
HSET t a 1
EXPIRE t 100
PEXPIRE t 100000
COPY h copy
RENAME copy renamed
MOVE renamed 3
MULTI
HSET h z 1
HINCRBYFLOAT h z 0.5
SADD s x
LPUSH l a
ZADD z INCR 1 m
SPOP s
LPOP l
EXEC
@ BLPOP l 0
MULTI
RPUSH l 1 2
HSET h y 1
EXEC
MULTI
BLPOP l 0
BLPOP l 0
EXEC
";

const STREAMS: &str = "
XADD s 1-1 f v
XADD s 2-* f v
XADD s NOMKSTREAM 3 f v
XADD none NOMKSTREAM 3 f v
XADD s MAXLEN 3 4 f v
XADD s MAXLEN ~ 3 5 f v
XADD s MAXLEN ~ 3 LIMIT 5 6-* f v
XADD s MINID ~ 3 7 f v
XADD s MINID = 3 8 f v
XADD one MINID ~ 3 1 f v
XTRIM s MAXLEN 100
XTRIM s MAXLEN 4
XTRIM s MAXLEN ~ 0
XTRIM s MINID 1
XADD s 10 f v
XADD s 11 f v
XADD s 12 f v
XADD s 13 f v
XADD s 14 f v
XTRIM s MINID ~ 12 LIMIT 0
XDEL s 10 10 99
XDEL s 99
XSETID s 20
XSETID s 21 ENTRIESADDED 30 MAXDELETEDID 11
XGROUP CREATE s g 0
XGROUP CREATE made h $ MKSTREAM ENTRIESREAD 3
XGROUP CREATECONSUMER s g a
XGROUP CREATECONSUMER s g a
XREADGROUP GROUP g a COUNT 2 STREAMS s >
XREADGROUP GROUP g new COUNT 1 STREAMS s >
XREADGROUP GROUP g newer NOACK COUNT 1 STREAMS s >
XREADGROUP GROUP g newest COUNT 1 STREAMS s 0
XREADGROUP GROUP g a COUNT 1 STREAMS s 0
XREADGROUP GROUP g empty STREAMS s >
XACK s g 99
XACK s g 11 99
XCLAIM s g b 0 12 13
XCLAIM s g b 0 12 13 JUSTID
XCLAIM s g b 100000000 12
XCLAIM s g b 0 14 FORCE RETRYCOUNT 5 TIME 1000
XCLAIM s g c 0 99
XCLAIM s g c 0 99 LASTID 30
XCLAIM s g c 0 12 LASTID 31
XDEL s 12
XCLAIM s g c 0 12
XAUTOCLAIM s g d 0 - COUNT 1
XDEL s 13
XAUTOCLAIM s g d 0 -
XAUTOCLAIM s g e 100000 -
XGROUP SETID s g 12
XGROUP SETID s g $ ENTRIESREAD 2
XGROUP DELCONSUMER s g d
XGROUP DELCONSUMER s g d
XREAD STREAMS s 0
XADD t 1 f v
XGROUP CREATE t g $
@ XREADGROUP GROUP g a BLOCK 0 STREAMS t >
XADD t 2 f v
@ XREADGROUP GROUP g a BLOCK 0 NOACK STREAMS t >
XADD t 3 f v
@ XREAD BLOCK 0 STREAMS t $
XADD t 4-* f v
MULTI
XADD t 5 f v
XREADGROUP GROUP g b STREAMS t >
XACK t g 4 5
EXEC
XGROUP DESTROY t g
XGROUP DESTROY t g
COPY t u
RENAME u v
DEL v
";

/// The records of each line, with times and the members that SPOP chose masked.
fn records(peer: Peer, lines: &str) -> Vec<String> {
    let mut primary = Node::start(peer, &[]);
    let mut replica = Raw::online(&mut primary);
    let mut blocked = Client::connect(primary.server.addr()).unwrap();
    let (mut all, mut queueing) = (Vec::new(), false);
    for line in lines.trim().lines() {
        if let Some(waiting) = line.strip_prefix("@ ") {
            blocked.send(&waiting.split(' ').collect::<Vec<_>>()).unwrap();
            primary.wait_for("blocked_clients", "1");
            all.push(line.to_owned());
            continue;
        }
        primary.must(line);
        queueing = line == "MULTI" || (queueing && line != "EXEC");
        if queueing {
            continue;
        }
        eventually("nobody waits", || primary.info("blocked_clients").as_deref() == Some("0"));
        primary.must("SET mark 1");
        let mut records = Vec::new();
        loop {
            let record = replica.command();
            if record == ["SET", "mark", "1"] {
                break;
            }
            if record[0] != "SELECT" {
                records.push(outline(&record, line));
            }
        }
        all.push(format!("{line}: {}", records.join(" | ")));
    }
    all
}

fn outline(record: &[String], line: &str) -> String {
    let random = line.starts_with("SPOP");
    let word = |word: &String| match word.as_str() {
        time if time.len() == 13 && time.starts_with('1') => "(time)".to_owned(),
        member if random && member.starts_with('m') && member.len() == 2 => "(member)".to_owned(),
        other => other.to_owned(),
    };
    record.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn collections(redix: Peer, other: Peer) {
    let mut different = Vec::new();
    for lines in [LISTS, SETS, ZSETS, HASHES, STREAMS] {
        let (found, expected) = (records(redix, lines), records(other, lines));
        for (found, expected) in found.iter().zip(&expected).filter(|(a, b)| a != b) {
            different.push(format!("{expected}\n  but {found}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
for_pairs!(collections: redix_valkey);
