//! The libraries bit, cjson, cmsgpack and struct, and limits of others: scripts with the replies of
//! Valkey 9.1.2 (RESP2, as EVAL converts results). Scripts that need commands are not run here.

use redix_lua::{Engine, Options, RunError, TableRef, Value, compile};

use crate::host::{TestHost, engine, scripts, without_addresses};

/// Scripts from here on up to `LAST` need the API of the server, but for those in `ALSO`.
const LIBRARIES_END: &str = "026";

const ALSO: &[&str] = &["076", "078", "082", "083", "084", "085", "086", "087", "088", "089"];

/// Appends a result as EVAL replies it.
fn reply(engine: &mut Engine, value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Boolean(true) => out.extend_from_slice(b":1\r\n"),
        Value::Number(n) => out.extend_from_slice(format!(":{}\r\n", n as i64).as_bytes()),
        Value::String(s) => {
            let bytes = engine.bytes(s);
            out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Value::Table(table) => reply_table(engine, table, out),
        _ => out.extend_from_slice(b"$-1\r\n"),
    }
}

fn reply_table(engine: &mut Engine, table: TableRef, out: &mut Vec<u8>) {
    let mut count = 0;
    while !engine.raw_get_index(table, count + 1).is_nil() {
        count += 1;
    }
    out.extend_from_slice(format!("*{count}\r\n").as_bytes());
    for at in 1..=count {
        let value = engine.raw_get_index(table, at);
        reply(engine, value, out);
    }
}

fn eval(source: &[u8], collect_always: bool) -> Vec<u8> {
    let mut engine =
        engine(&Options { hash_seed: (7, 11), unwrap_errors: true, ..Options::default() });
    engine.collect_at_every_safe_point(collect_always);
    let proto = compile(source, b"@user_script").expect("the script is correct");
    let function = engine.load(&proto).expect("there is room");
    let mut out = Vec::new();
    match engine.run(function, &[], &mut TestHost::new(10_000)) {
        Ok(value) => reply(&mut engine, value, &mut out),
        Err(RunError::Error { value, .. }) => {
            out.extend_from_slice(b"-");
            out.extend_from_slice(engine.bytes_of(value).unwrap_or(b"no string"));
        }
        Err(error) => out.extend_from_slice(format!("-{error:?}").as_bytes()),
    }
    out
}

fn check(collect_always: bool) {
    let mut failures = Vec::new();
    let mut passed = 0;
    for path in scripts("valkey") {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let runs = name.as_str() < LIBRARIES_END || ALSO.iter().any(|also| name.starts_with(also));
        // These take long when everything is collected all the time.
        if !runs || (collect_always && name.ends_with("limits")) {
            continue;
        }
        let source = std::fs::read(&path).expect("the script is there");
        let expected = std::fs::read(path.with_extension("resp")).expect("its reply is there");
        let (got, expected) =
            (without_addresses(&eval(&source, collect_always)), without_addresses(&expected));
        if got == expected {
            passed += 1;
            continue;
        }
        let (got, expected) = (String::from_utf8_lossy(&got), String::from_utf8_lossy(&expected));
        eprintln!("== {name}");
        for (got, expected) in got.lines().zip(expected.lines()).filter(|(a, b)| a != b) {
            eprintln!("expected {expected}\n     got {got}");
        }
        failures.push(name);
    }
    eprintln!("{passed} scripts passed");
    assert!(failures.is_empty(), "{} failed: {failures:?}", failures.len());
}

#[test]
fn libraries_give_what_the_real_server_gives() {
    check(false);
}

#[test]
fn libraries_hold_nothing_unrooted() {
    check(true);
}
