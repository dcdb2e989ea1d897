//! EVAL with the replies of Valkey 9.1.2: scripts about conversions, errors, libraries and the
//! sandbox.

// Tests read documents and print what they skip.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

use redix_core::config::Config;
use redix_resp::Value;
use redix_resp::decode::decode;
use redix_testkit::engine::SimEngine;
use redix_testkit::peer::repo_root;
use redix_testkit::script::ScriptTarget;

/// Scripts that are answered differently, each with the reason.
const DIFFER: [(&str, &str); 1] = [("080_load_binary", "string.dump is refused: no bytecode")];

/// The reply with addresses removed.
fn plain(reply: &Value) -> String {
    let text = reply.pretty();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("0x") {
        out.push_str(&rest[..at]);
        out.push_str("ADDR");
        rest = rest[at + 2..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out + rest
}

#[test]
fn scripts_are_answered_as_by_valkey() {
    let mut failures = Vec::new();
    let mut checked = 0;
    let folder = repo_root().join("crates/redix-lua/tests/valkey");
    let mut sources: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lua"))
        .collect();
    sources.sort();
    for path in sources {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(path.with_extension("resp")).unwrap();
        let (expected, _) = decode(&bytes).unwrap().unwrap();
        let mut engine = SimEngine::new(Config::default(), 1).unwrap();
        let source = std::fs::read(&path).unwrap();
        let words: [&[u8]; 7] = [b"EVAL", &source, b"2", b"key:1", b"key:2", b"a", b"7"];
        let got = engine.command(1, &words.map(<[u8]>::to_vec)).unwrap();
        let same = plain(&got) == plain(&expected);
        let differs = DIFFER.iter().any(|(known, _)| *known == name);
        if same == differs {
            failures.push(format!("{name}: expected\n{}\ngot\n{}", plain(&expected), plain(&got)));
        }
        checked += 1;
    }
    assert!(checked > 80, "there are scripts");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The lines of a section of INFO, without times.
fn info(engine: &mut SimEngine, section: &str) -> Vec<String> {
    let Value::Bulk(text) = engine.execute(1, &["INFO", section]).unwrap() else {
        panic!("INFO replies with text")
    };
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut lines: Vec<_> = lines
        .map(|line| {
            let fields = line.split(',').filter(|field| !field.starts_with("usec"));
            let fields: Vec<_> =
                fields.map(|f| f.split(":calls=").collect::<Vec<_>>().join(" ")).collect();
            fields.join(",")
        })
        .filter(|line| !line.contains("config") && !line.contains("info"))
        .collect();
    lines.sort();
    lines
}

/// What Valkey 9.1.2 counts for errors that scripts return and for commands that it refuses them.
#[test]
fn errors_of_scripts_are_counted_once() {
    let cases: [(&str, &[&str], &[&str]); 6] = [
        (
            "return {err='MY x'}",
            &["errorstat_MY:count=1"],
            &["cmdstat_eval 1,rejected_calls=0,failed_calls=1"],
        ),
        (
            "local r = redis.pcall('get', 'l') return {1, r, r}",
            &["errorstat_WRONGTYPE:count=1"],
            &[
                "cmdstat_eval 1,rejected_calls=0,failed_calls=2",
                "cmdstat_get 1,rejected_calls=0,failed_calls=1",
            ],
        ),
        (
            "return redis.pcall('get')",
            &["errorstat_ERR:count=1"],
            &[
                "cmdstat_eval 1,rejected_calls=0,failed_calls=1",
                "cmdstat_get 0,rejected_calls=1,failed_calls=0",
            ],
        ),
        (
            "return redis.call('subscribe', 'a')",
            &["errorstat_ERR:count=1"],
            &[
                "cmdstat_eval 1,rejected_calls=0,failed_calls=1",
                "cmdstat_subscribe 0,rejected_calls=1,failed_calls=0",
            ],
        ),
        (
            "return {map={[1]={err='X y'}}}",
            &["errorstat_X:count=1"],
            &["cmdstat_eval 1,rejected_calls=0,failed_calls=1"],
        ),
        (
            "redis.pcall('get', 'l') return 1",
            &["errorstat_WRONGTYPE:count=1"],
            &[
                "cmdstat_eval 1,rejected_calls=0,failed_calls=0",
                "cmdstat_get 1,rejected_calls=0,failed_calls=1",
            ],
        ),
    ];
    for (script, errors, calls) in cases {
        let mut engine = SimEngine::new(Config::default(), 1).unwrap();
        engine.execute(1, &["RPUSH", "l", "a"]).unwrap();
        engine.execute(1, &["CONFIG", "RESETSTAT"]).unwrap();
        engine.execute(1, &["EVAL", script, "0"]).unwrap();
        assert_eq!(info(&mut engine, "errorstats"), errors, "{script}");
        assert_eq!(info(&mut engine, "commandstats"), calls, "{script}");
    }
}

#[test]
fn a_stale_replica_runs_no_script() {
    let config = Config { replica_serve_stale_data: false, ..Config::default() };
    let mut engine = SimEngine::new(config, 1).unwrap();
    engine.execute(1, &["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let stale = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    let readonly = "READONLY You can't write against a read only replica.";
    for (script, expected) in [
        ("return 1", stale),
        ("#!lua flags=no-writes\nreturn 1", stale),
        ("#!lua\nreturn 1", readonly),
        ("#!lua flags=allow-stale\nreturn 1", readonly),
    ] {
        let reply = engine.execute(1, &["EVAL", script, "0"]).unwrap();
        assert!(reply.pretty().contains(expected), "{script}: {}", reply.pretty());
    }
    let script = "#!lua flags=no-writes,allow-stale\nreturn 1";
    assert_eq!(engine.execute(1, &["EVAL", script, "0"]).unwrap().pretty(), "(integer) 1");
}

#[test]
fn the_garbage_of_a_script_does_not_stay() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    let script = "local t = {} for i = 1, 300000 do t[i] = tostring(i) end return #t";
    assert_eq!(engine.execute(1, &["EVAL", script, "0"]).unwrap().pretty(), "(integer) 300000");
    let Value::Bulk(text) = engine.execute(1, &["INFO", "memory"]).unwrap() else {
        panic!("INFO replies with text")
    };
    let text = String::from_utf8(text).unwrap();
    let bytes = text.lines().find_map(|line| line.strip_prefix("used_memory_vm_eval:"));
    let bytes: usize = bytes.unwrap().parse().unwrap();
    assert!(bytes < 8 << 20, "{bytes} bytes are kept");
}

/// As Valkey 9.1.2 counts them: 128 codes, then those that scripts make up together.
#[test]
fn codes_that_scripts_make_up_are_bounded() {
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    for code in 0..200 {
        let script = format!("return redis.error_reply('E{code} text')");
        engine.execute(1, &["EVAL", &script, "0"]).unwrap();
    }
    engine.execute(1, &["EVAL", "error({err = 'OTHER text'})", "0"]).unwrap();
    engine.execute(1, &["EVAL", "error({err = 'E1 text'})", "0"]).unwrap();
    engine.execute(1, &["EVAL", "return redis.pcall('get')", "0"]).unwrap();
    engine.execute(1, &["SET", "k"]).unwrap();
    let info = engine.execute(1, &["INFO", "errorstats"]).unwrap();
    let Value::Bulk(text) = info else { panic!("a bulk string") };
    let text = String::from_utf8(text).unwrap();
    for line in ["ERRORSTATS_OVERFLOW:count=73", "E1:count=2", "E127:count=1", "ERR:count=2"] {
        assert!(text.contains(&format!("errorstat_{line}\r\n")), "{line} is not in {text}");
    }
    assert!(!text.contains("errorstat_E128:"), "{text}");
}
