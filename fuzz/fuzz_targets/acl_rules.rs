//! The text of an ACL file on arbitrary bytes: what is read is written, reads back as the same
//! users, and decides the same of calls. Rules one by one, as ACL SETUSER takes them, do not panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use redix_core::acl::check::Request;
use redix_core::acl::selector::merge;
use redix_core::acl::{Rules, User, file};
use redix_core::command::args::OwnedArgs;
use redix_core::command::table::{Command, CommandTable};
use redix_core::commands::FAMILIES;
use redix_core::config::PubsubDefault;

static COMMANDS: LazyLock<CommandTable> =
    LazyLock::new(|| CommandTable::new(FAMILIES, &[]).expect("names are unique"));

static CALLS: LazyLock<Vec<(Command, OwnedArgs)>> = LazyLock::new(|| {
    let calls = [
        "get a", "set ab 1 get", "mget a b", "copy a b db 3", "select 5", "publish c x",
        "psubscribe c*", "sort a by b get c store d", "config get *", "xread streams a b 0 0",
        "acl whoami", "eval return 2 a b", "swapdb 1 2", "blpop a 0",
    ];
    let command = |call: &str| {
        let args = OwnedArgs::from_words(&call.split(' ').collect::<Vec<_>>());
        let found = COMMANDS.find(args.args().get(0)).expect("it is one");
        let second = args.args().get(1).to_vec();
        let sub = COMMANDS.find_subcommand(found, &second);
        (sub.unwrap_or(found), args)
    };
    calls.map(command).into()
});

fn verdicts(user: &User) -> Vec<bool> {
    let verdict = |(command, args): &(Command, OwnedArgs)| {
        let request = Request { command: *command, args: args.args(), db: 0, databases: 16 };
        user.check(&request).is_ok()
    };
    CALLS.iter().map(verdict).collect()
}

fuzz_target!(|data: &[u8]| {
    let rules = Rules { commands: &COMMANDS, channels: PubsubDefault::ResetChannels };
    let mut one = User::new(b"u", &rules);
    if let Ok(merged) = merge(data.split(|byte| *byte == b' ')) {
        for rule in merged {
            let before = one.clone();
            if one.apply(&rule, &rules).is_err() {
                assert!(one == before, "a refused rule changes nothing");
            }
        }
    }
    let text = [b"user u ", data].concat();
    for text in [&text, data] {
        let Ok(users) = file::parse(text, b"fuzz.acl", &rules) else { continue };
        let lines = |user: &User| [&user.file_line()[..], b"\n"].concat();
        let written: Vec<u8> = users.values().flat_map(|user| lines(user)).collect();
        let again = file::parse(&written, b"fuzz.acl", &rules).expect("what is written is read");
        for (user, read) in users.values().zip(again.values()) {
            assert_eq!(user.file_line(), read.file_line());
            assert_eq!(verdicts(user), verdicts(read));
            assert_eq!(user.is_unrestricted(), read.is_unrestricted());
        }
        assert_eq!(users.len(), again.len());
    }
});
