#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_repository_is_tidy() {
    let problems = check(&root(), false, false).unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn literals_and_comments_are_blanked() {
    let code =
        "let a = \"x \\\" // {\"; // crate::commands\nlet b = 'c'; /* { /* } */ */ fn f<'a>() {}";
    let blank = source::blank_literals(code);
    assert_eq!(blank.len(), code.len());
    assert!(!blank.contains(['"', 'x', '/']), "{blank}");
    assert!(!blank.contains("crate") && !blank.contains("'c'"), "{blank}");
    assert!(blank.ends_with("fn f<'a>() {}") && blank.contains("let b ="), "{blank}");
    let raw =
        source::blank_literals("let a = r#\"} \" {\"#; let b = br\"}\"; let '\\'' = '\\u{1}';");
    assert!(!raw.contains(['{', '}', '"']), "{raw}");
}

fn modules(inner: &str, code: &str) -> Vec<String> {
    imports::named_modules(inner, code).into_iter().map(|(_, name)| name).collect()
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::{error::{A, B}, sync, Top};\nfn f() { crate::keyspace::lookup() }";
    assert_eq!(modules("commands/string.rs", code), ["error", "sync", "keyspace"]);
    assert_eq!(modules("session.rs", "use super::effects::Effects;"), ["effects"]);
    assert_eq!(modules("keyspace/mod.rs", "use super::commands;"), ["commands"]);
    assert_eq!(modules("keyspace/shard.rs", "use super::entry;"), Vec::<String>::new());
    assert_eq!(modules("keyspace/shard.rs", "use super::super::repl;"), ["repl"]);
    assert_eq!(modules("env.rs", "pub(crate) use redix_types::crate_like;"), Vec::<String>::new());
}

#[test]
fn an_import_outside_the_table_is_a_problem() {
    let breach = |path: &str, code: &str| {
        let mut problems = Vec::new();
        imports::check(&[Source::new(path, code.to_owned())], &mut problems);
        problems.len()
    };
    assert_eq!(breach("crates/redix-core/src/commands/string.rs", "use crate::persist::Cut;"), 1);
    assert_eq!(breach("crates/redix-core/src/command/mod.rs", "use crate::commands::FAMILIES;"), 1);
    assert_eq!(breach("crates/redix-core/src/error.rs", "use crate::keyspace::Shard;"), 1);
    assert_eq!(breach("crates/redix-core/src/unheard_of.rs", "use crate::keyspace::Shard;"), 1);
    assert_eq!(breach("crates/redix-core/src/commands/keys.rs", "use crate::command::Ctx;"), 0);
    assert_eq!(breach("crates/redix-core/src/keyspace/tests.rs", "use crate::commands::X;"), 0);
    assert_eq!(breach("crates/redix-core/src/lib.rs", "use crate::commands::FAMILIES;"), 0);
}

#[test]
fn functions_are_measured_and_tables_exempt() {
    let text = "fn short(a: [u8; 2]) -> u8 {\n    a[0]\n}\ntrait T {\n    fn none(&self);\n}\n\
                // tidy: table\nfn rows() {\n\n}\n\
                impl X {\n    pub fn long(&self) {\n        if x {\n        }\n    }\n}\n\
                // tidy: table\nconst A: &[B] = &[\n    B { x: 1 },\n];\n";
    let source = Source::new("crates/a/src/b.rs", text.to_owned());
    let found: Vec<_> =
        source.functions().iter().map(|f| (f.name.clone(), f.first, f.last)).collect();
    assert_eq!(found, [("short".to_owned(), 1, 3), ("long".to_owned(), 12, 15)]);
    assert_eq!(source.line_count(), 20 - 4 - 4);
}

#[test]
fn the_ratchet_only_turns_down() {
    let listed = ratchet::parse("fn a.rs::f 90\nfn a.rs::g 80\nfile b.rs 900\n");
    let actual = ratchet::parse("fn a.rs::f 85\nfile b.rs 950\nfn c.rs::new 75\n");
    let lowered = ratchet::lowered(&listed, &actual);
    assert_eq!(lowered, ratchet::parse("fn a.rs::f 85\nfile b.rs 900\n"));
}

#[test]
fn words_count_only_as_words() {
    let bad = concat!("a ", "ha", "ck b");
    assert!(has_word(bad, concat!("ha", "ck")));
    assert!(!has_word(concat!("Sha", "ckle"), concat!("ha", "ck")));
    assert!(!has_word("a/home/b", concat!("/ho", "me/")));
    assert!(has_word(concat!("dir=/ho", "me/b"), concat!("/ho", "me/")));
}

#[test]
fn paths_of_the_architecture_are_told_from_code() {
    let line =
        "`crates/redix-core/` holds `keyspace/shard.rs::Shard`, not `a::b` or `golden/*/*.txt`.";
    assert_eq!(paths_in(line).collect::<Vec<_>>(), ["crates/redix-core/", "keyspace/shard.rs"]);
}
