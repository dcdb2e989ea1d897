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
