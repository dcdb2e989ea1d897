use super::*;

fn bulk(bytes: &[u8]) -> Value {
    Value::Bulk(bytes.to_vec())
}

fn array(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| bulk(item.as_bytes())).collect())
}

#[test]
fn freedom_ends_where_the_rule_does() {
    let error = |text: &str| Value::Error(text.into());
    let cases = [
        (Compare::Exact, Value::Int(1), Value::Int(2), false),
        (Compare::Unordered, array(&["a", "b"]), array(&["b", "a"]), true),
        (Compare::Unordered, array(&["a", "a"]), array(&["a"]), false),
        (Compare::Count, array(&["a", "b"]), array(&["c", "d"]), true),
        (Compare::Count, array(&["a", "b"]), array(&["c"]), false),
        (Compare::Count, array(&[]), Value::Null, false),
        (Compare::Pairs, array(&["a", "1", "b", "2"]), array(&["b", "2", "a", "1"]), true),
        (Compare::Pairs, array(&["a", "1", "b", "2"]), array(&["a", "2", "b", "1"]), false),
        (Compare::Seconds, Value::Int(100), Value::Int(102), true),
        (Compare::Seconds, Value::Int(100), Value::Int(103), false),
        (Compare::Seconds, Value::Int(-1), Value::Int(-2), false),
        (Compare::Seconds, Value::Int(0), Value::Int(-1), false),
        (Compare::TypeOnly, bulk(b"x"), bulk(b"y"), true),
        (Compare::TypeOnly, bulk(b"x"), Value::Null, false),
        (Compare::TypeOnly, error("ERR a"), error("ERR b"), false),
        (
            Compare::Hello,
            array(&["proto", "2", "id", "5"]),
            array(&["proto", "2", "id", "6"]),
            true,
        ),
        (Compare::Hello, array(&["proto", "2"]), array(&["proto", "3"]), false),
    ];
    for (rule, a, b, expected) in cases {
        assert_eq!(equal(rule, &a, &b), expected, "{rule:?}: {} {}", a.pretty(), b.pretty());
    }
}

#[test]
fn dumps_are_equal_but_for_the_footer_and_the_encoder() {
    let with_footer = |body: &[u8], footer: u8| bulk(&[body, &[footer; dump::FOOTER_LEN]].concat());
    let check = |a: &[u8], b: &[u8]| equal(Compare::Dump, &with_footer(a, 1), &with_footer(b, 2));
    assert!(check(&[0, 1, b'x'], &[0, 1, b'x']));
    assert!(!check(&[0, 1, b'x'], &[0, 1, b'y']));
    assert!(!check(&[0, 1, b'1'], &[0, 0xc0, 1]));
    assert!(check(&[0, 0xc0, 1], &[0, 0xc0, 1]));
    assert!(!equal(Compare::Dump, &bulk(b"short"), &bulk(b"shorter")));
    assert!(check(&[2, 2, 1, b'x', 1, b'y'], &[2, 2, 1, b'y', 1, b'x']));
    assert!(!check(&[2, 2, 1, b'x', 1, b'y'], &[2, 1, 1, b'x']));
    assert!(check(&[4, 1, 1, b'x', 1, b'y'], &[4, 1, 1, b'x', 1, b'z']));
    assert!(!check(&[4, 1, 1, b'x', 1, b'y'], &[4, 2, 1, b'x']));
    assert!(check(&[16, 2, b'x', b'y'], &[16, 2, b'y', b'x']));
    assert!(!check(&[16, 2, b'x', b'y'], &[16, 1, b'x']));
    assert!(check(&[20, 2, b'x', b'y'], &[20, 2, b'y', b'x']));
    assert!(!check(&[20, 2, b'x', b'y'], &[20, 1, b'x']));
}

#[test]
fn compressed_strings_are_what_they_stand_for() {
    let with_footer = |body: &[u8]| bulk(&[body, &[0; dump::FOOTER_LEN]].concat());
    let check = |a: &[u8], b: &[u8]| equal(Compare::Dump, &with_footer(a), &with_footer(b));
    // Ten times `a`: as it is, in one literal, and as a literal and a repetition.
    let plain = [&[10][..], b"aaaaaaaaaa"].concat();
    let literal = [&[0xc3, 11, 10, 9][..], b"aaaaaaaaaa"].concat();
    let repeated = vec![0xc3, 5, 10, 0, b'a', 0xe0, 0, 0];
    let other = [&[10][..], b"aaaaaaaaab"].concat();
    let list = |nodes: &[&Vec<u8>]| {
        let mut bytes = vec![18, nodes.len() as u8];
        nodes.iter().for_each(|node| bytes.extend([&[2], &node[..]].concat()));
        bytes
    };
    for a in [&plain, &literal, &repeated] {
        for b in [&plain, &literal, &repeated] {
            for kind in [0, 11, 16, 17, 20] {
                assert!(check(&[&[kind], &a[..]].concat(), &[&[kind], &b[..]].concat()));
            }
            assert!(check(&list(&[a, b, &other]), &list(&[b, a, &other])));
        }
        assert!(!check(&[&[0], &a[..]].concat(), &[&[0], &other[..]].concat()));
        assert!(!check(&list(&[a]), &list(&[&other])));
        assert!(!check(&list(&[a]), &list(&[a, a])));
    }
}

#[test]
fn descriptions_are_equal_but_for_their_prose() {
    let spec = |notes: &str, flags: &[&str]| {
        let words = array(flags);
        Value::Array(vec![bulk(b"notes"), bulk(notes.as_bytes()), bulk(b"flags"), words])
    };
    let check = |a: &Value, b: &Value| equal(Compare::CommandInfo, a, b);
    assert!(check(&spec("one", &["RW", "access"]), &spec("other", &["access", "RW"])));
    assert!(!check(&spec("one", &["RW"]), &spec("one", &["RO"])));
    let map = |notes: &str| Value::Map(vec![(bulk(b"notes"), bulk(notes.as_bytes()))]);
    assert!(check(&map("one"), &map("other")));
}

#[test]
fn groups_are_equal_but_for_their_lag() {
    let check = |a: &Value, b: &Value| equal(Compare::GroupsButLag, a, b);
    let flat = |pending, lag| {
        let items = [bulk(b"pending"), Value::Int(pending), bulk(b"lag"), lag, bulk(b"name")];
        Value::Array(vec![Value::Array(items.to_vec())])
    };
    let map = |pending, lag| {
        let pairs = vec![(bulk(b"pending"), Value::Int(pending)), (bulk(b"lag"), lag)];
        Value::Array(vec![Value::Map(pairs)])
    };
    assert!(check(&flat(1, Value::Null), &flat(1, Value::Int(3))));
    assert!(!check(&flat(1, Value::Null), &flat(2, Value::Null)));
    assert!(check(&map(1, Value::Null), &map(1, Value::Int(3))));
    assert!(!check(&map(1, Value::Null), &map(2, Value::Null)));
}

#[test]
fn streams_are_equal_but_for_times() {
    let check = |a: &Value, b: &Value| equal(Compare::StreamTimes, a, b);
    let list = |items: &[Value]| Value::Array(items.to_vec());
    let pending = |ms, count| list(&[bulk(b"1-0"), bulk(b"c"), Value::Int(ms), Value::Int(count)]);
    assert!(check(&pending(5, 1), &pending(9, 1)));
    assert!(!check(&pending(5, 1), &pending(5, 2)));
    let named = |name: &[u8], number| list(&[bulk(name), Value::Int(number)]);
    assert!(check(&named(b"idle", 5), &named(b"idle", 9)));
    assert!(!check(&named(b"inactive", -1), &named(b"inactive", 9)));
    assert!(!check(&named(b"pending", 5), &named(b"pending", 9)));
    let map = |name: &[u8], number| Value::Map(vec![(bulk(name), Value::Int(number))]);
    assert!(check(&map(b"idle", 5), &map(b"idle", 9)));
    assert!(!check(&map(b"lag", 5), &map(b"lag", 9)));
    assert!(check(&named(b"seen-time", UNIX_MS_MIN + 5), &named(b"seen-time", UNIX_MS_MIN + 9)));
    let dump = |marks: u8, groups: u8| {
        let body = [&[21, 1, 1, b'i', 1, b'n'][..], &[marks; 8], &[groups; 3], &[7; 10]];
        bulk(&body.concat())
    };
    assert!(equal(Compare::Dump, &dump(3, 1), &dump(3, 2)));
    assert!(!equal(Compare::Dump, &dump(3, 1), &dump(4, 1)));
}
