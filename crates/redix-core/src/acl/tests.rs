#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::check::{Kind, Request};
use super::selector::merge;
use super::{Acl, DEFAULT_USER, Identity, Rules, User, file};
use crate::command::args::OwnedArgs;
use crate::command::table::CommandTable;
use crate::commands::FAMILIES;
use crate::config::{PubsubDefault, split_args};

fn table() -> CommandTable {
    CommandTable::new(FAMILIES, &[]).unwrap()
}

fn rules(commands: &CommandTable) -> Rules<'_> {
    Rules { commands, channels: PubsubDefault::ResetChannels }
}

fn user(commands: &CommandTable, text: &str) -> User {
    let mut user = User::new(b"u", &rules(commands));
    for rule in merge(text.split(' ').map(str::as_bytes)).unwrap() {
        user.apply(&rule, &rules(commands)).unwrap();
    }
    user
}

/// What a user with these rules is denied of a call in database 0.
fn denied(rules: &str, call: &str) -> Option<(Kind, usize)> {
    let commands = table();
    let words = OwnedArgs::from_words(&call.split(' ').collect::<Vec<_>>());
    let args = words.args();
    let found = commands.find(args.get(0)).unwrap();
    let sub = args.try_get(1).and_then(|name| commands.find_subcommand(found, name));
    let request = Request { command: sub.unwrap_or(found), args, db: 0, databases: 16 };
    let outcome = user(&commands, rules).check(&request);
    outcome.err().map(|denial| (denial.kind, denial.word))
}

#[test]
fn verdicts() {
    for (rules, call, wanted) in [
        ("allcommands allkeys", "get a", None),
        ("", "get a", Some((Kind::Command, 0))),
        ("", "auth a", None),
        ("+@all", "get a", Some((Kind::Key, 1))),
        ("+@all ~a", "mget a b", Some((Kind::Key, 2))),
        ("+@all ~a", "exists b", Some((Kind::Key, 1))),
        ("+@all %W~a", "exists a", None),
        ("+@all %R~a", "set a 1", Some((Kind::Key, 1))),
        ("+@all %W~a", "set a 1 get", Some((Kind::Key, 1))),
        ("+@all %W~a %R~a", "set a 1 get", None),
        ("+@all ~a", "sort a store b", Some((Kind::Key, 3))),
        ("+@all &a*", "publish ab x", None),
        ("+@all &a*", "subscribe ab b", Some((Kind::Channel, 2))),
        ("+@all &a*", "psubscribe ab", Some((Kind::Channel, 1))),
        ("+@all &a*", "punsubscribe b", None),
        ("+@all &a*", "spublish b x", Some((Kind::Channel, 1))),
        ("+select|5", "select 5", None),
        ("+select|5", "select 6", Some((Kind::Command, 0))),
        ("+config|get", "config set a b", Some((Kind::Command, 0))),
        ("+@all -config|get", "config get a", Some((Kind::Command, 0))),
        ("+@all ~* db=1", "get a", Some((Kind::Database, 0))),
        ("+@all ~* db=1", "select 1", None),
        ("+@all ~* db=0", "move a 3", Some((Kind::Database, 2))),
        ("+@all ~* db=0,3", "copy a b replace db 3", None),
        ("+@all ~* db=0", "flushall", Some((Kind::Database, 0))),
        ("+@all db=1 (+get ~a)", "get b", Some((Kind::Key, 1))),
        ("+@all ~a (+@all ~b)", "get b", None),
        ("+@all ~a (+@all ~b)", "mget a b", Some((Kind::Key, 2))),
    ] {
        assert_eq!(denied(rules, call), wanted, "{rules}: {call}");
    }
}

#[test]
fn a_session_follows_its_user() {
    let commands = table();
    let acl = Acl::new(commands.all().len());
    let mut identity = Identity::default();
    assert_eq!(identity.name(), DEFAULT_USER);
    assert!(acl.user_of(&mut identity).unwrap().is_unrestricted());
    identity.set_unrestricted();
    assert!(identity.is_unrestricted(acl.version()));

    acl.put(user(&commands, "on +get"));
    assert!(!identity.is_unrestricted(acl.version()), "any change makes it look again");
    let mut identity = Identity::of(&acl.get(b"u").unwrap().name);
    assert!(!acl.user_of(&mut identity).unwrap().is_unrestricted());
    acl.remove(b"u");
    assert!(acl.user_of(&mut identity).is_none());
}

#[test]
fn the_default_user_follows_requirepass() {
    let acl = Acl::new(1);
    assert!(acl.default_is_open());
    acl.set_default_password(b"foo");
    assert!(!acl.default_is_open());
    let default = acl.get(DEFAULT_USER).unwrap();
    assert!(default.password.accepts(b"foo") && !default.password.accepts(b"bar"));
    acl.set_default_password(b"");
    assert!(acl.default_is_open());
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c*?\\[\\]\\\\\"'()]{0,4}", Just("*".to_owned()), Just("a".to_owned()),]
}

fn command() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "get",
        "SET",
        "config",
        "config|get",
        "config|set",
        "client|id",
        "client",
        "select",
        "select|0",
        "select|A",
        "select|a",
        "acl",
        "acl|log",
        "@read",
        "@WRITE",
        "@admin",
        "@slow",
        "@connection",
        "@all",
        "debug|x",
        "object|help",
    ])
    .prop_map(str::to_owned)
}

fn selector_rule() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => ("[+-]", command()).prop_map(|(sign, command)| format!("{sign}{command}")),
        2 => ("~|%R~|%W~|%RW~|%wr~", word()).prop_map(|(kind, word)| format!("{kind}{word}")),
        1 => word().prop_map(|word| format!("&{word}")),
        1 => proptest::sample::select(vec![
            "allkeys", "resetkeys", "allchannels", "resetchannels", "allcommands", "nocommands",
            "alldbs", "resetdbs", "db=3,1", "db=0",
        ])
        .prop_map(str::to_owned),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => selector_rule(),
        1 => proptest::sample::select(vec![
            "on", "off", "nopass", "resetpass", ">a", ">b", "<a", "reset", "clearselectors",
            "sanitize-payload",
        ])
        .prop_map(str::to_owned),
        1 => proptest::collection::vec(selector_rule(), 0..4)
            .prop_map(|rules| format!("({})", rules.join(" "))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A file gives back the users that were written to it, and so does a configuration file.
    #[test]
    fn written_users_are_read_back(texts in proptest::collection::vec(rule(), 0..12)) {
        let commands = table();
        let rules = rules(&commands);
        let mut user = User::new(b"u", &rules);
        for text in &texts {
            let before = user.clone();
            if user.apply(text.as_bytes(), &rules).is_err() {
                prop_assert_eq!(&user, &before, "{} changed something", text);
            }
        }
        let line = user.file_line();
        let read = file::parse(&line, b"f", &rules);
        let read = read.map_err(|error| TestCaseError::fail(String::from_utf8(error).unwrap()))?;
        prop_assert_eq!(&*read[b"u".as_slice()], &user, "{}", String::from_utf8_lossy(&line));

        let quoted = crate::config::rewrite(
            b"",
            &crate::config::Config::default(),
            &[crate::config::UserText { line, is_default: false }],
        );
        let last = quoted.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap();
        let words = split_args(last).unwrap();
        let mut again = User::new(b"u", &rules);
        for rule in merge(words[2..].iter().map(Vec::as_slice)).unwrap() {
            again.apply(&rule, &rules).unwrap();
        }
        prop_assert_eq!(again, user);
    }

    /// No text makes the parser of files panic.
    #[test]
    fn any_file_is_read_or_refused(text in "[ user()~%+@&>#\na-c\"'\\\\*|=,0-9\\x00-\\x20]{0,80}") {
        let commands = table();
        let _ = file::parse(format!("user a {text}").as_bytes(), b"f", &rules(&commands));
        let _ = file::parse(text.as_bytes(), b"f", &rules(&commands));
    }
}

#[test]
fn nothing_in_a_selector_is_ignored() {
    let commands = table();
    let mut user = User::new(b"u", &rules(&commands));
    let refused = user.apply(b"(+@all \0 -debug)", &rules(&commands));
    assert_eq!(refused.map_err(|error| error.to_string()), Err("Syntax error".to_owned()));
    assert_eq!(user.selectors.len(), 1);
}
