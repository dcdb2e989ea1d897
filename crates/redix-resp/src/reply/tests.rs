#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::decode::{Value, decode};

/// Checks what `write` appends to an empty buffer in each protocol.
fn check(write: impl Fn(&mut Reply), resp2: &str, resp3: &str) {
    for (proto, expect) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
        let mut reply = Reply::new(proto);
        write(&mut reply);
        assert_eq!(String::from_utf8_lossy(reply.as_bytes()), expect, "{proto:?}");
    }
}

fn check_both(write: impl Fn(&mut Reply), expect: &str) {
    check(write, expect, expect);
}

#[test]
fn types_of_both_protocols() {
    check_both(Reply::ok, "+OK\r\n");
    check_both(|r| r.simple("QUEUED"), "+QUEUED\r\n");
    check_both(|r| r.error("ERR no such key"), "-ERR no such key\r\n");
    check_both(|r| r.bulk(b"\r\n\0"), "$3\r\n\r\n\0\r\n");
    check_both(|r| r.bulk_str(""), "$0\r\n\r\n");
    check_both(|r| r.bulk_int(-42), "$3\r\n-42\r\n");
    check_both(|r| r.bulk(&[b'x'; 100]), &format!("$100\r\n{}\r\n", "x".repeat(100)));
    check_both(|r| r.array(0), "*0\r\n");
    check_both(|r| r.array(1_048_576), "*1048576\r\n");
    check_both(|r| r.raw(b"+a\r\n+b\r\n"), "+a\r\n+b\r\n");
    for n in [0, 9, 10, 99, 100, 12_345, -1, i64::MAX, i64::MIN] {
        check_both(|r| r.int(n), &format!(":{n}\r\n"));
    }
}

#[test]
fn types_that_resp2_has_not() {
    check(Reply::null, "$-1\r\n", "_\r\n");
    check(Reply::null_array, "*-1\r\n", "_\r\n");
    check(|r| r.map(6), "*12\r\n", "%6\r\n");
    check(|r| r.set(3), "*3\r\n", "~3\r\n");
    check(|r| r.push(3), "*3\r\n", ">3\r\n");
    check(|r| r.boolean(true), ":1\r\n", "#t\r\n");
    check(|r| r.boolean(false), ":0\r\n", "#f\r\n");
    check(|r| r.double(3.5), "$3\r\n3.5\r\n", ",3.5\r\n");
    check(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    check(|r| r.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
    check(|r| r.big_number("12345"), "$5\r\n12345\r\n", "(12345\r\n");
    check(|r| r.verbatim(b"txt", b"a\r\n"), "$3\r\na\r\n\r\n", "=7\r\ntxt:a\r\n\r\n");
}

#[test]
fn users_text_cannot_forge_a_reply() {
    check_both(|r| r.error("ERR a\r\n+OK\nb\r\n"), "-ERR a  +OK b\r\n");
    check_both(|r| r.error(b"\r\nERR \xc3\xa4\n".as_slice()), "-ERR \u{e4}\r\n");
    check_both(|r| r.error("\r\n"), "-\r\n");
    check_both(|r| r.simple("a\r\nb"), "+a  b\r\n");
}

#[test]
fn lengths_that_come_late() {
    for len in [0, 1, 9, 10, 99, 1234] {
        let mut expect = Reply::new(Proto::Resp3);
        let mut reply = Reply::new(Proto::Resp3);
        expect.array(len);
        let outer = reply.deferred_array();
        for n in 0..len {
            expect.map(n);
            let inner = reply.deferred();
            reply.finish_map(inner, n);
        }
        reply.finish_array(outer, len);
        assert_eq!(reply.as_bytes(), expect.as_bytes());
    }
    let write = |r: &mut Reply| {
        r.ok();
        let place = r.deferred();
        r.int(1);
        r.finish_map(place, 5);
        let place = r.deferred();
        r.finish_set(place, 11);
    };
    check(write, "+OK\r\n*10\r\n:1\r\n*11\r\n", "+OK\r\n%5\r\n:1\r\n~11\r\n");
}

#[test]
fn the_buffer_can_be_taken_back_and_out() {
    let mut reply = Reply::new(Proto::Resp2);
    assert!(reply.is_empty());
    reply.ok();
    let len = reply.len();
    reply.int(7);
    reply.truncate(len);
    assert_eq!(reply.take(), b"+OK\r\n");
    assert!(reply.is_empty() && reply.capacity() == 0);
    reply.reserve(100);
    assert!(reply.capacity() >= 100);
    reply.ok();
    reply.clear();
    assert_eq!(reply.len(), 0);
}

/// Writes `value` with the encoder's calls.
fn write(reply: &mut Reply, value: &Value) {
    match value {
        Value::Simple(text) => reply.simple(std::str::from_utf8(text).unwrap()),
        Value::Error(text) => reply.error(text),
        Value::Int(n) => reply.int(*n),
        Value::Bulk(bytes) => reply.bulk(bytes),
        Value::Null => reply.null(),
        Value::NullArray => reply.null_array(),
        Value::Array(values) => {
            reply.array(values.len());
            values.iter().for_each(|value| write(reply, value));
        }
        Value::Set(values) => {
            let place = reply.deferred();
            values.iter().for_each(|value| write(reply, value));
            reply.finish_set(place, values.len());
        }
        Value::Push(values) => {
            reply.push(values.len());
            values.iter().for_each(|value| write(reply, value));
        }
        Value::Map(pairs) => {
            let place = reply.deferred();
            for (key, value) in pairs {
                write(reply, key);
                write(reply, value);
            }
            reply.finish_map(place, pairs.len());
        }
        Value::Double(text) => reply.double_text(text),
        Value::Bool(value) => reply.boolean(*value),
        Value::BigNumber(text) => reply.big_number(text),
        Value::Verbatim { format, bytes } => {
            reply.verbatim(format, bytes);
        }
        Value::Attribute { .. } => unreachable!("the encoder writes no attributes"),
    }
}

/// A RESP3 value as a RESP2 client sees it.
fn in_resp2(value: Value) -> Value {
    let all = |values: Vec<Value>| values.into_iter().map(in_resp2).collect();
    match value {
        Value::Array(values) | Value::Set(values) | Value::Push(values) => {
            Value::Array(all(values))
        }
        Value::Map(pairs) => {
            Value::Array(pairs.into_iter().flat_map(|(k, v)| all(vec![k, v])).collect::<Vec<_>>())
        }
        Value::Double(text) | Value::BigNumber(text) => Value::Bulk(text),
        Value::Bool(value) => Value::Int(i64::from(value)),
        Value::Verbatim { bytes, .. } => Value::Bulk(bytes),
        other => other,
    }
}

fn values() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..130);
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(|text| Value::Simple(text.into_bytes())),
        "[A-Z]{3} [ -~]{0,20}".prop_map(|text| Value::Error(text.into_bytes())),
        any::<i64>().prop_map(Value::Int),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?[0-9]{1,40}".prop_map(|text| Value::BigNumber(text.into_bytes())),
        any::<i32>().prop_map(|n| Value::Double(n.to_string().into_bytes())),
        bytes().prop_map(|bytes| Value::Verbatim { format: *b"txt", bytes }),
    ];
    leaf.prop_recursive(4, 64, 12, |inner| {
        let many = || prop::collection::vec(inner.clone(), 0..12);
        prop_oneof![
            many().prop_map(Value::Array),
            many().prop_map(Value::Set),
            many().prop_map(Value::Push),
            prop::collection::vec((inner.clone(), inner.clone()), 0..12).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn replies_are_decoded_to_what_was_written(value in values()) {
        for proto in [Proto::Resp2, Proto::Resp3] {
            let mut reply = Reply::new(proto);
            write(&mut reply, &value);
            let (decoded, consumed) = decode(reply.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(consumed, reply.len());
            let expect = match proto {
                Proto::Resp2 => in_resp2(value.clone()),
                Proto::Resp3 => value.clone(),
            };
            prop_assert_eq!(decoded, expect);
        }
    }
}

#[test]
fn attributes_are_there_in_resp3_only() {
    let mut reply = Reply::new(Proto::Resp3);
    assert!(reply.attribute(1));
    assert_eq!(reply.take(), b"|1\r\n");
    reply.proto = Proto::Resp2;
    assert!(!reply.attribute(1));
    assert!(reply.is_empty());
}
