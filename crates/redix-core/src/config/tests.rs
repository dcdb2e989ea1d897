#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::Path;

use proptest::prelude::*;

use super::kinds::{Kind, Memory};
use super::syntax::{memory_text, parse_integer, parse_memory};
use super::*;

/// Loads `text` without includes.
fn parse(text: &str) -> Result<Loaded, ConfigError> {
    let file = ConfigFile { path: "a.conf".into(), text: text.as_bytes().to_vec() };
    load(&[file], &[], &mut |path| Err(format!("no {}", Shown(path))))
}

fn rewrite(old: &[u8], config: &Config) -> Vec<u8> {
    super::rewrite(old, config, &[])
}

fn rewrite_all(old: &[u8], config: &Config) -> Vec<u8> {
    super::rewrite_all(old, config, &[])
}

/// The value of one directive after loading `text`.
fn value_after(text: &str, name: &str) -> String {
    let value = find(name.as_bytes()).unwrap().text(&parse(text).unwrap().config);
    String::from_utf8(value).unwrap()
}

/// What CONFIG SET gets for `pairs` of texts.
fn bytes<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a [u8], &'a [u8])> {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn reason_for(text: &str) -> String {
    parse(text).unwrap_err().reason
}

fn run_flags(args: &[&str]) -> Vec<Vec<u8>> {
    let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    match CommandLine::parse(&args) {
        CommandLine::Run { flags, .. } => flags,
        other => panic!("{other:?}"),
    }
}

/// What CONFIG SET answers: `OK` or the error.
fn set(config: &mut Config, pairs: &[(&str, &str)]) -> String {
    match config.plan_set(&bytes(pairs), ClientPlace::Remote) {
        Ok((new, _)) => {
            *config = new;
            "OK".into()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_are_unique_and_lower_case() {
    let mut seen = HashSet::new();
    for directive in DIRECTIVES {
        for name in directive.names() {
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(seen.insert(name), "{name} stands twice");
        }
    }
}

#[test]
fn every_default_is_a_value_of_its_directive() {
    for directive in DIRECTIVES {
        let default = Config::default();
        let mut config = Config::default();
        let text = directive.text(&default);
        // The absence of a primary has no text.
        if directive.name != "replicaof" {
            directive.apply(&mut config, &[text]).unwrap();
        }
        assert_eq!(config, default, "{}", directive.name);
    }
}

#[test]
fn splits_as_the_servers_do() {
    let cases: &[(&str, Option<&[&str]>)] = &[
        ("  a  b\t'c d' ", Some(&["a", "b", "c d"])),
        (r#""a\"b\x41\n" 'it\'s \n'"#, Some(&["a\"bA\n", "it's \\n"])),
        (r#"a"b""#, Some(&["ab"])),
        (r#""a"b"c d"'e'""f x"#, Some(&["abc def", "x"])),
        (r#""a"b""#, None),
        (r#""a"#, None),
        (r#""a\""#, None),
        ("'a", None),
        (r#""\xzz""#, Some(&["xzz"])),
        ("\"\" ''", Some(&["", ""])),
        ("a\0b", Some(&["a"])),
        ("", Some(&[])),
    ];
    for (line, expected) in cases {
        let args = split_args(line.as_bytes());
        let args: Option<Vec<String>> =
            args.map(|args| args.into_iter().map(|a| String::from_utf8(a).unwrap()).collect());
        let expected = expected.map(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(args, expected, "{line:?}");
    }
}

#[test]
fn reads_and_writes_sizes() {
    let cases = [
        ("0", Some(0)),
        ("1b", Some(1)),
        ("1k", Some(1000)),
        ("1KB", Some(1024)),
        ("2m", Some(2_000_000)),
        ("2Mb", Some(2 << 20)),
        ("3g", Some(3_000_000_000)),
        ("3gb", Some(3 << 30)),
        ("kb", Some(0)),
        ("", Some(0)),
        ("-1", None),
        ("1.5kb", None),
        ("1 kb", None),
        ("1xb", None),
        ("18446744073709551616", None),
        ("99999999999999999gb", None),
    ];
    for (text, bytes) in cases {
        assert_eq!(parse_memory(text.as_bytes()), bytes, "{text:?}");
    }
    for (bytes, text) in [(0, "0"), (1, "1"), (1000, "1000"), (1536, "1536"), (5 << 20, "5mb")] {
        assert_eq!(memory_text(bytes), text);
    }
    for (text, number) in
        [("-5", Some(-5)), ("007", None), (" 5", None), ("+5", None), ("-0", None)]
    {
        assert_eq!(parse_integer(text.as_bytes()), number, "{text:?}");
    }
}

#[test]
fn a_size_is_bounded_by_its_type_too() {
    let size: Result<i64, _> = Memory(0, u64::MAX).parse(&[b"9223372036854775808".to_vec()], &0);
    size.unwrap_err();
}

#[test]
fn the_limit_of_a_replica_is_at_least_the_backlog() {
    let limit = |hard, soft| {
        let value = format!("replica {hard} {soft} 60");
        let text = format!("repl-backlog-size 1mb\nclient-output-buffer-limit {value}\n");
        let limit = parse(&text).unwrap().config.replica_output_limit();
        (limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
    };
    assert_eq!(limit(0, 0), (0, 0, 60));
    assert_eq!(limit(1 << 10, 512), (1 << 20, 1 << 20, 60));
    assert_eq!(limit(3 << 20, 2 << 20), (3 << 20, 2 << 20, 60));
}

#[test]
fn what_is_fixed_may_be_stated_as_it_is() {
    let config = Config::default();
    let (_, changed) =
        config.plan_set(&[(b"io-threads", b"0"), (b"hz", b"20")], ClientPlace::Local).unwrap();
    assert_eq!(changed, ["hz"]);
}

#[test]
fn config_set_answers_in_the_words_of_the_servers() {
    let failed = "CONFIG SET failed (possibly related to argument";
    // Each text was given by Valkey 9.1.2.
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("foo", "1")], "Unknown option or number of arguments for CONFIG SET - 'foo'"),
        (
            &[("PORT", "1"), ("port", "2")],
            "CONFIG SET failed (possibly related to argument 'port') - duplicate parameter",
        ),
        (&[("daemonize", "yes")], "'daemonize') - can't set immutable config"),
        (&[("worker-threads", "7")], "'worker-threads') - can't set immutable config"),
        (&[("dbfilename", "x")], "'dbfilename') - can't set protected config"),
        (&[("timeout", "x")], "'timeout') - argument couldn't be parsed into an integer"),
        (&[("timeout", "-1")], "'timeout') - argument must be between 0 and 2147483647 inclusive"),
        (
            &[("maxclients", "0")],
            "'maxclients') - argument must be between 1 and 4294967295 inclusive",
        ),
        (&[("maxmemory", "1.5kb")], "'maxmemory') - argument must be a memory value"),
        (
            &[("proto-max-bulk-len", "")],
            "'proto-max-bulk-len') - argument must be between 1048576 and 9223372036854775807 \
             inclusive",
        ),
        (&[("rdbcompression", "1")], "'rdbcompression') - argument must be 'yes' or 'no'"),
        (
            &[("loglevel", "notice debug")],
            "'loglevel') - argument(s) must be one of the following: \
             debug, verbose, notice, warning, nothing",
        ),
        (
            &[("client-output-buffer-limit", "normal 1 2")],
            "'client-output-buffer-limit') - Wrong number of arguments in buffer limit \
             configuration.",
        ),
        (
            &[("client-output-buffer-limit", "nope 1 2 3")],
            "'client-output-buffer-limit') - Invalid client class specified in buffer limit \
             configuration.",
        ),
        (
            &[("client-output-buffer-limit", "normal 1 x 3")],
            "'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer \
             limit configuration.",
        ),
        (
            &[("notify-keyspace-events", "KQ")],
            "'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        (&[("oom-score-adj-values", "1 2")], "'oom-score-adj-values') - wrong number of arguments"),
        (
            &[("oom-score-adj-values", "1 2 2001")],
            "'oom-score-adj-values') - Invalid oom-score-adj-values, elements must be between -2000 \
             and 2000.",
        ),
        (
            &[("client-output-buffer-limit", "pubsub 1 1 2147483648")],
            "'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer \
             limit configuration.",
        ),
        (&[("save", "1 1 1")], "'save') - Invalid save parameters"),
        (&[("save", "1 1x")], "'save') - Invalid save parameters"),
        (&[("save", "1 -")], "'save') - Invalid save parameters"),
        (&[("save", "0 1")], "'save') - Invalid save parameters"),
        (&[("save", "1 -1")], "'save') - Invalid save parameters"),
        (
            &[("shutdown-on-sigterm", "save nosave")],
            "'shutdown-on-sigterm') - shutdown options SAVE and NOSAVE can't be used \
             simultaneously",
        ),
        (
            &[("maxmemory-clients", "101%")],
            "'maxmemory-clients') - percentage argument must be less or equal to 100",
        ),
        (
            &[("latency-tracking-info-percentiles", "0 101")],
            "'latency-tracking-info-percentiles') - latency-tracking-info-percentiles parameters \
             should sit between [0.0,100.0]",
        ),
        (
            &[("proc-title-template", "{foo}")],
            "'proc-title-template') - template format is invalid or contains unknown variables",
        ),
        (
            &[("cluster-announce-client-ipv4", "1")],
            "'cluster-announce-client-ipv4') - Invalid IPv4 address",
        ),
        // Our own errors, for features that are missing.
        (&[("rdma-port", "1")], "'rdma-port') - only the default is supported: Redix lacks RDMA"),
    ];
    for (pairs, expected) in cases {
        let mut config = Config::default();
        let answer = set(&mut config, pairs);
        let answer = answer.strip_prefix(failed).map_or(answer.as_str(), str::trim_start);
        let expected = expected.strip_prefix(failed).map_or(*expected, str::trim_start);
        assert_eq!(answer, expected);
        assert_eq!(config, Config::default());
    }
}

#[test]
fn config_set_is_shown_as_the_servers_show_it() {
    let cases = [
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "g$lshzxeKtmdn", "AKm"),
        ("notify-keyspace-events", "z$xe", "$zxe"),
        ("save", "900 1", "900 1"),
        ("save", "", ""),
        ("hz", "1000", "500"),
        ("repl-backlog-size", "1", "16384"),
        ("latency-tracking-info-percentiles", "0 100 50.5 1e1", "0 100 50.5 10"),
        ("shutdown-on-sigterm", "default now", "now"),
        ("shutdown-on-sigint", "NOW nosave", "nosave now"),
        ("maxmemory", "1GB", "1073741824"),
        ("maxmemory-policy", "ALLKEYS-LFU", "allkeys-lfu"),
        ("appendonly", "no", "no"),
        ("bind", "", ""),
        ("bind", "127.0.0.1 -::1", "127.0.0.1 -::1"),
        (
            "client-output-buffer-limit",
            "replica 1kb 2 3",
            "normal 0 0 0 slave 1024 2 3 pubsub 33554432 8388608 60",
        ),
        (
            "client-output-buffer-limit",
            "PUBSUB 1mb 2k 01",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 2000 1",
        ),
        (
            "client-output-buffer-limit",
            "pubsub 1 1 1 pubsub 2 2 ",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 2 2 0",
        ),
        ("oom-score-adj-values", "3 2 1", "3 2 1"),
        ("oom-score-adj-values", "03 +2 -1", "3 2 -1"),
        ("save", "01 +1 2 -0", "1 1 2 0"),
        ("maxmemory-clients", "0%", "0"),
    ];
    for (name, value, shown) in cases {
        let mut config = Config::default();
        assert_eq!(set(&mut config, &[(name, value)]), "OK", "{name} {value}");
        assert_eq!(config.get(&[name.as_bytes()]), [(name.as_bytes(), shown.as_bytes().to_vec())]);
    }
}

#[test]
fn config_set_is_all_or_nothing_and_names_what_changed() {
    let config = Config::default();
    let pairs = [("maxmemory", "1kb"), ("port", "x")];
    config.plan_set(&bytes(&pairs), ClientPlace::Local).unwrap_err();
    let pairs = [("TIMEOUT", "0"), ("slave-priority", "7"), ("replica-priority", "8")];
    let (new, changed) = config.plan_set(&bytes(&pairs), ClientPlace::Local).unwrap();
    assert_eq!(changed, ["replica-priority"]);
    assert_eq!((new.replica_priority, config.replica_priority), (8, 100));
}

#[test]
fn guarded_directives_ask_where_the_client_is() {
    let config = parse("enable-protected-configs local\nenable-debug-command yes").unwrap().config;
    let pair = [("dbfilename", "x.rdb")];
    config.plan_set(&bytes(&pair), ClientPlace::Remote).unwrap_err();
    let (new, changed) = config.plan_set(&bytes(&pair), ClientPlace::Local).unwrap();
    assert_eq!((new.dbfilename.as_str(), changed.as_slice()), (Some("x.rdb"), &["dbfilename"][..]));
    assert!(config.protected_command_allowed("debug", false));
    assert!(!Config::default().protected_command_allowed("debug", true));
    assert!(config.protected_command_allowed("get", false));
}

#[test]
fn config_get_knows_globs_and_both_names() {
    let config = Config::default();
    let names = |patterns: &[&'static str]| -> Vec<&'static str> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        let found = config.get(&patterns).into_iter();
        found.map(|(name, _)| std::str::from_utf8(name).unwrap()).collect()
    };
    assert_eq!(names(&["SAVE", "sav?"]), ["SAVE"], "as it was spelled");
    assert_eq!(names(&["*-priority"]), ["replica-priority", "slave-priority"]);
    assert_eq!(names(&["slave-priority"]), ["slave-priority"]);
    assert_eq!(names(&["primaryauth", "databases"]), ["databases", "primaryauth"]);
    assert_eq!(names(&["rdb-key-save*"]), [""; 0]);
    assert_eq!(names(&["rdb-key-save-delay"]), ["rdb-key-save-delay"]);
    assert!(names(&["*"]).len() > 240);
}

#[test]
fn the_file_stops_at_its_first_bad_line() {
    // Reasons as redis-server 7.0.15 and Valkey 9.1.2 print them.
    let cases = [
        ("port 7000\nmaxmemory 1xb", 2, "argument must be a memory value"),
        ("# a\n\n requirepass \"x", 3, "Unbalanced quotes in configuration line"),
        ("nosuch thing", 1, "Bad directive or wrong number of arguments"),
        ("port 1 2", 1, "wrong number of arguments"),
        ("port", 1, "wrong number of arguments"),
        ("rename-command get", 1, "Bad directive or wrong number of arguments"),
        ("databases 0", 1, "argument must be between 1 and 2147483647 inclusive"),
        ("dbfilename a/b", 1, "dbfilename can't be a path, just a filename"),
        ("unixsocketperm 888", 1, "argument couldn't be parsed as an octal number"),
        ("unixsocketperm 1777", 1, "argument must be between 0 and 777 inclusive"),
        ("replicaof x", 1, "wrong number of arguments"),
        ("replicaof 'x y z'", 1, "wrong number of arguments"),
        ("loadmodule x.so", 1, "Redix does not load modules"),
    ];
    for (text, line, reason) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!((error.line, error.reason.as_str()), (line, reason), "{text}");
    }
    let refused = reason_for("cluster-enabled yes");
    assert_eq!(refused, "only the default is supported: Redix lacks cluster mode");
}

#[test]
fn an_error_prints_place_line_and_reason() {
    let text = parse("\nport x").unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("*** FATAL CONFIG FILE ERROR (Redix "));
    assert_eq!(lines[2], "Reading the configuration file, at line 2 of a.conf");
    assert_eq!(lines[3..], [">>> 'port x'", "argument couldn't be parsed into an integer"]);
}

#[test]
fn values_are_bytes() {
    let text = b"logfile /x/\xe9\nmasteruser 'a\xff'\nmasterauth \"a\\x00\\xff\"\n\
        dbfilename \"d\\x00e\"\nrename-command GET \"g\\xff\"\nbind \xfe 127.0.0.1\n";
    let config = load_bytes(text.to_vec());
    assert_eq!(config.logfile.as_bytes(), b"/x/\xe9");
    assert_eq!(config.masteruser.as_bytes(), b"a\xff");
    assert_eq!(config.masterauth.as_bytes(), b"a\0\xff");
    assert_eq!(config.dbfilename, "d", "a name ends at a NUL byte");
    assert_eq!(config.rename_command, [("GET".into(), b"g\xff"[..].into())]);
    assert_eq!(config.bind[0].as_bytes(), b"\xfe");
    assert_eq!(config.get(&[b"mast*th"]), [(&b"masterauth"[..], b"a\0\xff".to_vec())]);
    let flags = [b"--pidfile".to_vec(), b"\xff".to_vec(), b"--syslog-ident=\xfe".to_vec()];
    let CommandLine::Run { flags, .. } = CommandLine::parse(&flags) else { panic!("it runs") };
    let config = load(&[], &flags, &mut |_| Ok(Vec::new())).unwrap().config;
    assert_eq!((&config.pidfile[..], &config.syslog_ident[..]), (&b"\xff"[..], &b"\xfe"[..]));
}

#[test]
fn messages_show_bytes_in_one_line() {
    assert_eq!(Shown("a é\n\u{85}\\".as_bytes()).to_string(), "a é\\x0a\\xc2\\x85\\");
    assert_eq!(ByteString::from(&b"\xffa\xc3"[..]).to_string(), "\\xffa\\xc3");
    let file = ConfigFile { path: "a.conf".into(), text: b"port \xff".to_vec() };
    let error = load(&[file], &[], &mut |_| Ok(Vec::new())).unwrap_err().to_string();
    assert!(error.contains(">>> 'port \\xff'"), "{error}");
}

#[test]
fn save_lines_add_up_until_an_empty_one() {
    assert_eq!(value_after("save 900 1\nSAVE 300 10", "save"), "900 1 300 10");
    assert_eq!(value_after("save 900 1\nsave \"\"", "save"), "");
    assert_eq!(value_after("save 900 1\nsave ", "save"), "");
    assert_eq!(value_after("save \"\"\nsave 5 6", "save"), "5 6");
    assert_eq!(value_after("save \"900 1 5 6\"", "save"), "900 1 5 6");
    assert_eq!(parse("save 60 5").unwrap().config.save, [(60, 5)]);
}

#[test]
fn ignored_directives_are_reported_when_they_differ() {
    let loaded = parse("repl-mptcp yes\nactiverehashing yes\nhz 20").unwrap();
    let names: Vec<_> = loaded.ignored.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["repl-mptcp"]);
}

#[test]
fn includes_are_read_in_place() {
    let files = |path: &[u8]| match path {
        b"all*.conf" => Ok(["port 1", "port 2\ntimeout 3"]
            .map(|text| ConfigFile { path: "all.conf".into(), text: text.into() })
            .to_vec()),
        b"none*.conf" => Ok(Vec::new()),
        b"bad.conf" => Ok(vec![ConfigFile { path: "bad.conf".into(), text: "\nx".into() }]),
        b"loop.conf" => {
            Ok(vec![ConfigFile { path: "loop.conf".into(), text: "include loop.conf".into() }; 2])
        }
        _ => Err(format!("can't open config file '{}'", Shown(path))),
    };
    let with = |text: &str| {
        let file = ConfigFile { path: "a.conf".into(), text: text.into() };
        load(&[file], &[], &mut { files })
    };
    let config = with("include all*.conf\ninclude none*.conf\ntimeout 9").unwrap().config;
    assert_eq!((config.port, config.timeout), (2, 9));
    let error = with("include bad.conf").unwrap_err();
    assert_eq!((error.path.as_str(), error.line), ("bad.conf", 2));
    let error = with("port 1\ninclude gone.conf").unwrap_err();
    assert_eq!((error.line, error.reason.as_str()), (2, "can't open config file 'gone.conf'"));
    with("include loop.conf").unwrap_err();
}

#[test]
fn flags_become_lines() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["--port", "8000"], &["port \"8000\""]),
        (&["--port=8000", "--dir=./x"], &["port \"8000\"", "dir \"./x\""]),
        (&["a.conf", "--filename", "d.rdb"], &["dbfilename \"d.rdb\""]),
        (&["--filename=d.rdb"], &["dbfilename \"d.rdb\""]),
        (
            &["--save", "900", "1", "300", "10", "--hz", "5"],
            &["save \"900\" \"1\" \"300\" \"10\"", "hz \"5\""],
        ),
        (&["--save", "", "--hz", "5"], &["save \"\"", "hz \"5\""]),
        (&["--save", "--hz", "5"], &["save \"\"", "hz \"5\""]),
        (&["--requirepass", "--abc", "--hz", "5"], &["requirepass \"--abc\"", "hz \"5\""]),
        (&["--port"], &["port"]),
        (&["--nosuch=1"], &["nosuch=1"]),
        (&["-x"], &["\"-x\""]),
        (&["--port 7000"], &["port 7000"]),
        (&["--port 7000", "--hz 5"], &["port 7000", "hz 5"]),
    ];
    for (args, lines) in cases {
        let flags = run_flags(args);
        let flags = flags.iter().map(|line| std::str::from_utf8(line).unwrap());
        assert_eq!(flags.collect::<Vec<_>>(), *lines, "{args:?}");
    }
    let first = |args: &[&str]| {
        CommandLine::parse(&args.iter().map(|arg| arg.as_bytes().to_vec()).collect::<Vec<_>>())
    };
    assert_eq!(first(&["--version"]), CommandLine::Version);
    assert_eq!(first(&["-h"]), CommandLine::Help);
}

#[test]
fn standard_input_is_read_for_a_dash_at_either_end() {
    type Case = (&'static [&'static str], Option<&'static str>, bool, &'static [&'static str]);
    let cases: &[Case] = &[
        (&["x.conf"], Some("x.conf"), false, &[]),
        (&["-"], None, true, &[]),
        (&["-", "--hz", "5"], None, true, &["hz \"5\""]),
        (&["--hz", "5", "-"], None, true, &["hz \"5\""]),
        (&["x.conf", "-"], Some("x.conf"), true, &[]),
        (&["x.conf", "--hz", "5", "-"], Some("x.conf"), true, &["hz \"5\""]),
        (&["--hz", "5", "--save", "-"], None, true, &["hz \"5\"", "save"]),
        (&["--hz", "-"], None, true, &["hz"]),
        (&["x.conf", "-", "--hz", "5"], Some("x.conf"), false, &["\"-\"", "hz \"5\""]),
        (&["--hz", "5", "-", "--port", "1"], None, false, &["hz \"5\" \"-\"", "port \"1\""]),
        (&["-", "--hz", "5", "-"], None, true, &["\"-\"", "hz \"5\""]),
        (&["--bind", "127.0.0.1", "-::1"], None, false, &["bind \"127.0.0.1\" \"-::1\""]),
    ];
    for (args, file, stdin, flags) in cases {
        let words: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let file = file.map(|file| file.as_bytes().to_vec());
        let flags = flags.iter().map(|line| line.as_bytes().to_vec()).collect();
        let wanted = CommandLine::Run { file, stdin: *stdin, flags };
        assert_eq!(CommandLine::parse(&words), wanted, "{args:?}");
    }
}

#[test]
fn flags_count_after_the_file() {
    let file = ConfigFile { path: "a.conf".into(), text: "port 1\ntimeout 5".into() };
    let flags = run_flags(&["--port=7000", "--bind", "127.0.0.1", "::1"]);
    let config = load(&[file], &flags, &mut |_| Ok(Vec::new())).unwrap().config;
    assert_eq!((config.port, config.timeout), (7000, 5));
    assert_eq!(config.bind, ["127.0.0.1", "::1"]);
    let error = load(&[], &run_flags(&["--port", "x"]), &mut |_| Ok(Vec::new())).unwrap_err();
    assert_eq!((error.path.as_str(), error.line), ("the command line", 1));
}

/// The lines that the stock `redis.conf` of Debian's Redis 7.0 leaves uncommented.
const STOCK: &str = r#"
bind 127.0.0.1 -::1
protected-mode yes
tcp-backlog 511
daemonize yes
pidfile /run/redis/redis-server.pid
logfile /var/log/redis/redis-server.log
always-show-logo no
set-proc-title yes
proc-title-template "{title} {listen-addr} {server-mode}"
dir /var/lib/redis
repl-diskless-sync-delay 5
replica-priority 100
acllog-max-len 128
lazyfree-lazy-eviction no
oom-score-adj no
oom-score-adj-values 0 200 800
disable-thp yes
appendonly no
appendfilename "appendonly.aof"
appenddirname "appendonlydir"
appendfsync everysec
auto-aof-rewrite-min-size 64mb
notify-keyspace-events ""
hash-max-listpack-entries 512
list-max-listpack-size -2
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit pubsub 32mb 8mb 60
hz 10
dynamic-hz yes
jemalloc-bg-thread yes
"#;

#[test]
fn a_stock_file_loads() {
    let config = parse(STOCK).unwrap().config;
    assert_eq!(config.client_output_buffer_limit, OutputLimits::DEFAULT);
    assert!(config.daemonize && !config.lazyfree_lazy_eviction);
}

#[test]
fn rewrite_keeps_lines_and_order() {
    let old = "\
# head

port 7291
PoRt 7291
slave-priority 50
save 900 1
save 300 10
# tail


timeout 5
timeout 7
maxmemory 1gb
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit pubsub 32mb 8mb 60
requirepass 'a b\"'
rename-command DEBUG \"\"
";
    let config = parse(old).unwrap().config;
    let pairs = [("hz", "20"), ("timeout", "0"), ("maxmemory", "1000000"), ("masteruser", "u\té")];
    let (config, _) = config.plan_set(&bytes(&pairs), ClientPlace::Local).unwrap();
    let new = "\
# head

port 7291

replica-priority 50
save 900 1 300 10

# tail

timeout 0

maxmemory 1000000
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 60
requirepass \"a b\\\"\"
rename-command DEBUG \"\"

# Generated by CONFIG REWRITE
hz 20
masteruser \"u\\t\\xc3\\xa9\"
";
    let written = String::from_utf8(rewrite(old.as_bytes(), &config)).unwrap();
    assert_eq!(written, new);
    assert_eq!(parse(&written).unwrap().config, config);
    let (config, _) =
        config.plan_set(&bytes(&[("port", "1"), ("save", "")]), ClientPlace::Local).unwrap();
    let again = String::from_utf8(rewrite(written.as_bytes(), &config)).unwrap();
    assert_eq!(again, new.replace("port 7291", "port 1").replace("900 1 300 10", "\"\""));
}

/// CONFIG GET shows `AKE` for both, but only one of them has the event of new keys.
#[test]
fn a_change_is_noticed_although_nothing_shows_it() {
    let set = |config: &Config, classes| {
        let pair = [("notify-keyspace-events", classes)];
        config.plan_set(&bytes(&pair), ClientPlace::Local).unwrap()
    };
    let (config, changed) = set(&Config::default(), "KEA");
    assert_eq!(changed, ["notify-keyspace-events"]);
    let (config, changed) = set(&config, "KEAn");
    assert_eq!(changed, ["notify-keyspace-events"]);
    let (_, changed) = set(&config, "nAEK");
    assert!(changed.is_empty());
}

#[test]
fn a_file_with_every_directive_gives_the_same_values() {
    let config = parse("timeout 7\nsave 5 6").unwrap().config;
    let written = String::from_utf8(rewrite_all(b"# kept\nport 6379\n", &config)).unwrap();
    assert!(written.starts_with("# kept\nport 6379\n"), "{written}");
    assert!(written.lines().count() > 150, "{written}");
    assert_eq!(parse(&written).unwrap().config, config);
}

#[test]
fn rewrite_of_nothing_holds_only_differences() {
    assert_eq!(rewrite(b"", &Config::default()), b"");
    let config = Config { port: 7000, ..Config::default() };
    assert_eq!(rewrite(b"", &config), b"\n# Generated by CONFIG REWRITE\nport 7000\n");
    let line = b"client-output-buffer-limit pubsub 0 0 0\n";
    let config = parse(std::str::from_utf8(line).unwrap()).unwrap().config;
    assert_eq!(rewrite(line, &config), line);
    assert_eq!(rewrite(b"gone 1\n\"x", &Config::default()), b"# gone 1\n# \"x\n");
}

/// Compares a written file with the tree, or writes it where `UPDATE_DOCS` is set.
#[allow(clippy::disallowed_methods, reason = "no Disk reaches the source tree")]
fn check_written(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is stale: run the tests with UPDATE_DOCS=1", path.display());
}

#[test]
fn redix_conf_is_the_table() {
    check_written("redix.conf", &sample_conf());
    let loaded = parse(&sample_conf()).unwrap();
    assert_eq!(loaded.config, Config::default());
    let unchanged = rewrite(sample_conf().as_bytes(), &loaded.config);
    assert_eq!(parse(std::str::from_utf8(&unchanged).unwrap()).unwrap().config, loaded.config);
}

#[test]
fn the_page_of_directives_is_the_table() {
    check_written("docs/directives.md", &markdown());
}

/// Lines that are often valid: a name with a value that some directive takes.
fn likely_line() -> impl Strategy<Value = String> {
    let name = (0..DIRECTIVES.len()).prop_map(|index| DIRECTIVES[index].name);
    let values = &[
        "yes",
        "no",
        "1",
        "0",
        "64mb",
        "1gb",
        "\"\"",
        "900 1",
        "'a b'",
        "\"a\\tb\" c",
        "KEAn",
        "normal 1 2 3",
        "50 99.5",
        "1 2 3",
        "debug",
        "nosave now",
        "5%",
        "x.rdb",
        "allkeys-lfu",
    ][..];
    (name, prop::sample::select(values)).prop_map(|(name, value)| format!("{name} {value}"))
}

/// A configuration where directives have been given `value`, as far as they take it.
fn config_of(choices: &[(usize, Vec<u8>)]) -> Config {
    let mut config = Config::default();
    for (index, value) in choices {
        DIRECTIVES[*index].apply(&mut config, std::slice::from_ref(value)).ok();
    }
    config
}

/// Directives whose value is text, most of the others refusing arbitrary bytes.
fn text_directive() -> impl Strategy<Value = usize> {
    let default = Config::default();
    let takes = |index: &usize| {
        let mut config = default.clone();
        DIRECTIVES[*index].apply(&mut config, &[b"\xff.x".to_vec()]).is_ok()
    };
    let found: Vec<usize> = (0..DIRECTIVES.len()).filter(takes).collect();
    assert!(found.len() > 30, "{found:?}");
    prop::sample::select(found)
}

/// Loads what was written.
fn load_bytes(text: Vec<u8>) -> Config {
    let file = ConfigFile { path: String::new(), text };
    load(&[file], &[], &mut |_| Ok(Vec::new())).unwrap().config
}

proptest! {
    #[test]
    fn any_bytes_survive_a_rewrite(
        choices in prop::collection::vec(
            (text_directive(), prop::collection::vec(any::<u8>(), 0..20)),
            1..6,
        ),
        host in prop::collection::vec(1..=u8::MAX, 0..10),
        port: u16,
    ) {
        let mut config = config_of(&choices);
        config.replicaof = Some((host.into(), port));
        let written = rewrite(b"", &config);
        prop_assert_eq!(&load_bytes(written.clone()), &config);
        prop_assert_eq!(&rewrite(&written, &config), &written);
        prop_assert_eq!(&load_bytes(rewrite_all(b"", &config)), &config);
    }

    #[test]
    fn what_is_shown_stays_in_its_line(text in prop::collection::vec(any::<u8>(), 0..20)) {
        let shown = Shown(&text).to_string();
        prop_assert!(!shown.contains(char::is_control), "{:?}", shown);
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let file = ConfigFile { path: String::new(), text };
        let mut no_files = |_: &[u8]| Ok(Vec::new());
        let files = [file];
        let config = load(&files, &[], &mut no_files).map_or(Config::default(), |l| l.config);
        let _ = rewrite(&files[0].text, &config);
    }

    #[test]
    fn quoting_is_undone_by_splitting(text in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(split_args(quote(&text).as_bytes()), Some(vec![text]));
    }

    #[test]
    fn rewriting_keeps_the_meaning(lines in prop::collection::vec(likely_line(), 0..8)) {
        let valid: Vec<String> = lines.into_iter().filter(|line| parse(line).is_ok()).collect();
        let text = valid.join("\n");
        // Valid lines may be refused together.
        let Ok(loaded) = parse(&text) else { return Ok(()) };
        let written = String::from_utf8(rewrite(text.as_bytes(), &loaded.config)).unwrap();
        prop_assert_eq!(&parse(&written).unwrap().config, &loaded.config, "{}", written);
        prop_assert_eq!(rewrite(written.as_bytes(), &loaded.config), written.into_bytes());
    }
}
