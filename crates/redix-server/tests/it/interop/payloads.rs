//! Handmade payloads, in every form that a server has ever written and in invalid ones: Redix and
//! the real servers accept and refuse the same ones, with the same result.

use redix_testkit::Peer;
use redix_testkit::quoting::quote_args;

use super::{Node, real_servers};

/// An element of a ziplist.
enum Element {
    Text(Vec<u8>),
    Int(i64),
}

fn text(text: &str) -> Element {
    Element::Text(text.into())
}

fn int(value: i64) -> Element {
    Element::Int(value)
}

/// An encoded length.
fn length(len: usize) -> Vec<u8> {
    match len {
        0..64 => vec![len as u8],
        64..16_384 => (0x4000 | len as u16).to_be_bytes().to_vec(),
        _ => [&[0x80], &(len as u32).to_be_bytes()[..]].concat(),
    }
}

/// An encoded string.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes.len()), bytes].concat()
}

/// A count and the counted strings.
fn counted(count: usize, strings: &[&[u8]]) -> Vec<u8> {
    let strings: Vec<u8> = strings.iter().flat_map(|bytes| string(bytes)).collect();
    [length(count), strings].concat()
}

fn ziplist_entry(element: &Element) -> Vec<u8> {
    match element {
        Element::Text(bytes) => {
            let head = match bytes.len() {
                len @ 0..64 => vec![len as u8],
                len @ 64..16_384 => (0x4000 | len as u16).to_be_bytes().to_vec(),
                len => [&[0x80], &(len as u32).to_be_bytes()[..]].concat(),
            };
            [&head, &bytes[..]].concat()
        }
        Element::Int(value) => match *value {
            small @ 0..=12 => vec![0xf1 + small as u8],
            v if i8::try_from(v).is_ok() => [&[0xfe], &v.to_le_bytes()[..1]].concat(),
            v if i16::try_from(v).is_ok() => [&[0xc0], &v.to_le_bytes()[..2]].concat(),
            v if (-(1 << 23)..1 << 23).contains(&v) => [&[0xf0], &v.to_le_bytes()[..3]].concat(),
            v if i32::try_from(v).is_ok() => [&[0xd0], &v.to_le_bytes()[..4]].concat(),
            v => [&[0xe0], &v.to_le_bytes()[..]].concat(),
        },
    }
}

fn ziplist(elements: &[Element]) -> Vec<u8> {
    let (mut body, mut tail, mut before) = (Vec::new(), 10, 0);
    for element in elements {
        tail = 10 + body.len() as u32;
        match before {
            len @ 0..254 => body.push(len as u8),
            len => body.extend([&[0xfe], &(len as u32).to_le_bytes()[..]].concat()),
        }
        let start = body.len() + 10 - tail as usize;
        let entry = ziplist_entry(element);
        before = start + entry.len();
        body.extend(entry);
    }
    let total = (body.len() + 11) as u32;
    let count = elements.len() as u16;
    [&total.to_le_bytes()[..], &tail.to_le_bytes(), &count.to_le_bytes(), &body, &[0xff]].concat()
}

/// A zipmap; each value followed by `free` unused bytes.
fn zipmap(pairs: &[(&[u8], &[u8])], free: u8) -> Vec<u8> {
    let len = |len: usize| match len {
        0..254 => vec![len as u8],
        _ => [&[0xfe], &(len as u32).to_le_bytes()[..]].concat(),
    };
    let mut bytes = vec![pairs.len() as u8];
    for (field, value) in pairs {
        bytes.extend([&len(field.len()), *field, &len(value.len()), &[free], *value].concat());
        bytes.extend(vec![0; usize::from(free)]);
    }
    bytes.push(0xff);
    bytes
}

fn intset(width: usize, members: &[i64]) -> Vec<u8> {
    let mut bytes = [(width as u32).to_le_bytes(), (members.len() as u32).to_le_bytes()].concat();
    members.iter().for_each(|member| bytes.extend(&member.to_le_bytes()[..width]));
    bytes
}

/// A listpack of short texts.
fn listpack(texts: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for text in texts {
        body.push(0x80 | text.len() as u8);
        body.extend_from_slice(text.as_bytes());
        body.push(text.len() as u8 + 1);
    }
    let (total, count) = (body.len() as u32 + 7, texts.len() as u16);
    [&total.to_le_bytes()[..], &count.to_le_bytes(), &body, &[0xff]].concat()
}

/// Members of a sorted set with scores as text.
fn text_scores(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = length(pairs.len());
    for (member, score) in pairs {
        body.extend(string(member.as_bytes()));
        match *score {
            "nan" => body.push(253),
            "inf" => body.push(254),
            "-inf" => body.push(255),
            digits => body.extend(string(digits.as_bytes())),
        }
    }
    body
}

fn payload(type_byte: u8, body: &[u8]) -> Vec<u8> {
    // Version 9, and a checksum that is not verified.
    [&[type_byte], body, &[9, 0], &[0; 8]].concat()
}

type Named = (&'static str, Vec<u8>);

/// More elements than a small value holds.
fn many() -> Vec<String> {
    (0..700).map(|i| format!("field:{i:04}")).collect()
}

fn texts(names: &[String]) -> Vec<Element> {
    names.iter().map(|name| text(name)).collect()
}

/// Longer than an element of a small value.
fn long() -> String {
    "l".repeat(300)
}

/// With another form of length.
fn huge() -> String {
    "h".repeat(70_000)
}

/// Lists, as older servers wrote them.
fn old_lists() -> Vec<Named> {
    let (many, long, huge) = (many(), long(), huge());
    let many_bytes: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
    let small = [0, 1, 12, 13, -1, 127, -128, 128, 32_767, -32_768, 32_768, 8_388_607, -8_388_608];
    let wide = [8_388_608, 2_147_483_647, -2_147_483_648, 2_147_483_648, i64::MAX, i64::MIN];
    let ints = ziplist(&small.into_iter().chain(wide).map(int).collect::<Vec<_>>());
    let mixed = [text("a"), int(7), text(&long), text(""), text("12345"), text(&huge), int(-3)];
    let (mixed, empty) = (ziplist(&mixed), ziplist(&[]));
    let plain = string(long.as_bytes());
    let nodes = [&[2, 1], &plain[..], &[2], &string(&listpack(&["a", "12"]))].concat();
    vec![
        ("list of strings", payload(1, &counted(3, &[b"a", b"12", huge.as_bytes()]))),
        ("list of many strings", payload(1, &counted(700, &many_bytes))),
        ("list ziplist", payload(10, &string(&mixed))),
        ("list ziplist of integers", payload(10, &string(&ints))),
        ("list ziplist of many", payload(10, &string(&ziplist(&texts(&many))))),
        ("quicklist", payload(14, &counted(2, &[&mixed, &ints]))),
        ("quicklist of one node", payload(14, &counted(1, &[&ints]))),
        ("quicklist with an empty node", payload(14, &counted(2, &[&empty, &ints]))),
        ("quicklist 2", payload(18, &nodes)),
    ]
}

fn old_sets() -> Vec<Named> {
    let (many, huge) = (many(), huge());
    let many_bytes: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
    let beyond: Vec<i64> = (0..600).collect();
    let intset = |width, members: &[i64]| payload(11, &string(&intset(width, members)));
    vec![
        ("set of strings", payload(2, &counted(3, &[b"a", b"12", huge.as_bytes()]))),
        ("set of integers as strings", payload(2, &counted(3, &[b"3", b"1", b"-70000"]))),
        ("set of many", payload(2, &counted(700, &many_bytes))),
        ("intset 16", intset(2, &[-3, 0, 32_767])),
        ("intset 32", intset(4, &[-2_000_000_000, 0, 70_000])),
        ("intset 64", intset(8, &[i64::MIN, 0, i64::MAX])),
        ("intset wider than needed", intset(8, &[1, 2, 3])),
        ("intset beyond the limit", intset(4, &beyond)),
    ]
}

fn old_zsets() -> Vec<Named> {
    let low = [text("a"), text("-inf"), text("b"), int(-3)];
    let high = [text("c"), text("1.5"), text("d"), int(4096)];
    let few: Vec<Element> = low.into_iter().chain(high).collect();
    let by_members: Vec<Element> =
        many()[..200].iter().flat_map(|member| [text(member), int(1)]).collect();
    let scores =
        [("a", "inf"), ("b", "-inf"), ("c", "0"), ("d", "-0"), ("e", "17.000000000000004")];
    vec![
        ("zset with text scores", payload(3, &text_scores(&scores))),
        ("zset ziplist", payload(12, &string(&ziplist(&few)))),
        ("zset ziplist of many", payload(12, &string(&ziplist(&by_members)))),
        ("zset listpack", payload(17, &string(&listpack(&["b", "-1.5", "a", "3"])))),
    ]
}

fn old_hashes() -> Vec<Named> {
    let (many, long, huge) = (many(), long(), huge());
    let many_bytes: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
    let beyond = many.iter().zip(0..).flat_map(|(field, i)| [text(field), int(i)]);
    let beyond: Vec<Element> = beyond.collect();
    let mixed = [text("a"), int(1), text("12"), text("007"), text("b"), text("x")];
    let wide = [text("a"), text(&long), int(5), text("")];
    let ziplist = |elements: &[Element]| payload(13, &string(&ziplist(elements)));
    let zipmap = |pairs: &[_], free| payload(9, &string(&zipmap(pairs, free)));
    let short: [(&[u8], &[u8]); 3] = [(b"field", b"value"), (b"", b""), (b"12", b"34")];
    let longer: [(&[u8], &[u8]); 2] = [(b"field", long.as_bytes()), (long.as_bytes(), b"value")];
    vec![
        ("hash of strings", payload(4, &counted(2, &[b"a", b"1", b"b", huge.as_bytes()]))),
        ("hash of many", payload(4, &counted(350, &many_bytes))),
        ("hash ziplist", ziplist(&mixed)),
        ("hash ziplist with a long value", ziplist(&wide)),
        ("hash ziplist of many", ziplist(&texts(&many[..600]))),
        ("hash ziplist beyond the limit", ziplist(&beyond)),
        ("hash zipmap", zipmap(&short, 0)),
        ("hash zipmap with free bytes", zipmap(&short, 3)),
        ("hash zipmap with long ones", zipmap(&longer, 1)),
        ("hash listpack", payload(16, &string(&listpack(&["b", "-1.5", "a", "3"])))),
    ]
}

/// Every type of the four, as older servers wrote them.
fn old_forms() -> Vec<Named> {
    [old_lists(), old_sets(), old_zsets(), old_hashes()].concat()
}

/// Inconsistent values.
fn bad_forms() -> Vec<Named> {
    let cut = |mut bytes: Vec<u8>| {
        bytes.pop();
        bytes
    };
    vec![
        ("empty list", payload(1, &counted(0, &[]))),
        ("empty set", payload(2, &counted(0, &[]))),
        ("empty zset", payload(5, &counted(0, &[]))),
        ("empty hash", payload(4, &counted(0, &[]))),
        ("empty intset", payload(11, &string(&intset(2, &[])))),
        ("empty hash listpack", payload(16, &string(&listpack(&[])))),
        ("empty zset listpack", payload(17, &string(&listpack(&[])))),
        ("list with fewer than counted", payload(1, &counted(30, &[b"a", b"b"]))),
        ("set with a member twice", payload(2, &counted(2, &[b"a", b"a"]))),
        ("hash with a field twice", payload(4, &counted(2, &[b"a", b"1", b"a", b"2"]))),
        ("zset with a member twice", payload(3, &text_scores(&[("a", "1"), ("a", "2")]))),
        ("zset with a score that is none", payload(3, &text_scores(&[("a", "nan")]))),
        ("intset out of order", payload(11, &string(&intset(2, &[2, 1])))),
        ("intset with a member twice", payload(11, &string(&intset(2, &[1, 1])))),
        ("intset of an unknown width", payload(11, &string(&intset(3, &[1, 2])))),
        ("intset cut", payload(11, &string(&cut(intset(2, &[1, 2]))))),
        ("ziplist cut", payload(10, &string(&cut(ziplist(&[text("a"), int(1)]))))),
        ("hash ziplist with a field alone", payload(13, &string(&ziplist(&[text("a")])))),
        (
            "hash ziplist with a field twice",
            payload(13, &string(&ziplist(&[text("a"), int(1), text("a"), int(2)]))),
        ),
        ("zset ziplist with a member alone", payload(12, &string(&ziplist(&[text("a")])))),
        (
            "zset ziplist with a member twice",
            payload(12, &string(&ziplist(&[text("a"), int(1), text("a"), int(2)]))),
        ),
        ("zipmap cut", payload(9, &string(&cut(zipmap(&[(b"a", b"1")], 0))))),
        (
            "zipmap with a field twice",
            payload(9, &string(&zipmap(&[(b"a", b"1"), (b"a", b"2")], 0))),
        ),
        ("listpack cut", payload(16, &string(&cut(listpack(&["a", "1"]))))),
        ("hash listpack with a field alone", payload(16, &string(&listpack(&["a"])))),
        (
            "hash listpack with a field twice",
            payload(16, &string(&listpack(&["a", "1", "a", "2"]))),
        ),
        (
            "zset listpack with a member twice",
            payload(17, &string(&listpack(&["a", "1", "a", "2"]))),
        ),
        ("quicklist 2 with an unknown node", payload(18, &[&[1, 3], &string(b"abc")[..]].concat())),
        (
            "quicklist 2 with a listpack cut",
            payload(18, &[&[1, 2], &string(&cut(listpack(&["a"])))[..]].concat()),
        ),
    ]
}

/// A server's result for a payload: refused, or its encoding, size and content.
fn outcome(node: &mut Node, payload: &[u8]) -> String {
    let reply = node.client.cmd(&[&b"RESTORE"[..], b"key", b"0", payload, b"REPLACE"]).unwrap();
    let reply = reply.pretty();
    if reply != "+OK" {
        return reply;
    }
    let encoding = node.of_key(&["OBJECT", "ENCODING"], b"key");
    format!("{encoding} {}", node.of_key(&["DEBUG", "DIGEST-VALUE"], b"key"))
}

/// Older servers have other names and thresholds of encodings.
fn without_encoding(outcome: &str) -> &str {
    outcome.split_once("\" ").map_or(outcome, |(_, rest)| rest)
}

fn node(peer: Peer) -> Node {
    let mut node = Node::start(peer, &["--sanitize-dump-payload", "yes"]);
    node.must(&["DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1"]);
    node
}

#[test]
fn old_and_bad_payloads() {
    let mut redix = node(Peer::Redix);
    let mut different = Vec::new();
    for peer in real_servers() {
        let mut real = node(peer);
        for (name, payload) in old_forms().into_iter().chain(bad_forms()) {
            let (mut expected, mut found) =
                (outcome(&mut real, &payload), outcome(&mut redix, &payload));
            if peer != Peer::Valkey {
                expected = without_encoding(&expected).to_owned();
                found = without_encoding(&found).to_owned();
            }
            if expected != found {
                let payload = quote_args(&[&payload]);
                different.push(format!(
                    "{name}: {} {expected}, redix {found}; {payload:.200}",
                    peer.name()
                ));
            }
        }
        for (name, payload) in old_forms() {
            let found = outcome(&mut real, &payload);
            assert!(!found.starts_with('-'), "{} refuses {name}: {found}", peer.name());
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
