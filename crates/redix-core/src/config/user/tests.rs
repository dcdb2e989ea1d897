#![allow(clippy::unwrap_used)]

use super::super::{Config, ConfigFile, load, rewrite};

const FOO: &str = "#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
const BAR: &str = "#fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9";

fn read(text: &str) -> Result<Config, String> {
    let file = ConfigFile { path: "a.conf".into(), text: text.into() };
    let loaded = load(&[file], &[], &mut |_| Ok(Vec::new()));
    loaded.map(|loaded| loaded.config).map_err(|error| error.to_string())
}

/// `FOO` and `BAR` stand for the hashes of these passwords.
fn read_hashed(text: &str) -> Result<Config, String> {
    read(&text.replace("FOO", FOO).replace("BAR", BAR))
}

#[test]
fn a_line_that_says_what_holds_anyway_is_accepted() {
    for text in [
        "user default on nopass ~* &* +@all",
        "user default on nopass sanitize-payload ~* &* +@all",
        "user default on nopass skip-sanitize-payload ~* &* +@all alldbs",
        "user default ON NOPASS ALLKEYS ALLCHANNELS ALLCOMMANDS",
        "user default off reset on nopass %RW~* resetchannels &* -@all +@all",
        "USER default on >foo nopass ~* &* +@all",
        "user default on FOO ~* &* +@all\nrequirepass foo",
        "requirepass foo\nuser default on sanitize-payload FOO ~* &* +@all",
        "requirepass foo\nuser default on nopass >foo FOO ~* &* +@all",
        "requirepass bar\nuser default on FOO resetpass BAR ~* &* +@all",
    ] {
        let config = read_hashed(text).unwrap();
        let has_password = text.contains("requirepass");
        assert_eq!(!config.requirepass.is_empty(), has_password, "{text}");
    }
}

#[test]
fn a_line_that_says_anything_else_stops_the_start() {
    for (text, reason) in [
        ("user default off nopass ~* &* +@all", "is off"),
        ("user default nopass ~* &* +@all", "is off"),
        ("user default on nopass &* +@all", "all keys"),
        ("user default on nopass ~* +@all", "all channels"),
        ("user default on nopass ~* &*", "all commands"),
        ("user default on nopass ~* &* +@all -@all", "all commands"),
        ("user default on nopass ~foo:* &* +@all", "the rule '~foo:*'"),
        ("user default on nopass ~* &* +@all -@dangerous", "the rule '-@dangerous'"),
        ("user default on nopass ~* &* +@all (~a +get)", "the rule '(~a'"),
        ("user default on nopass ~* &* +@all db=1", "the rule 'db=1'"),
        ("user default on ~* &* +@all", "password is not"),
        ("user default on FOO ~* &* +@all", "password is not"),
        ("user default on >foo >bar ~* &* +@all\nrequirepass foo", "password is not"),
        ("requirepass foo\nuser default on nopass ~* &* +@all", "password is not"),
        ("user default on nopass ~* &* +@all\nrequirepass foo", "password is not"),
        ("user default on BAR ~* &* +@all\nrequirepass foo", "password is not"),
        ("user default on #2C ~* &* +@all", "exactly 64 characters"),
        ("user DEFAULT on nopass ~* &* +@all", "access control lists"),
        ("user bob on nopass ~* &* +@all", "access control lists"),
        ("user", "wrong number of arguments"),
    ] {
        let error = read_hashed(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
        let line = text.lines().position(|line| line.starts_with("user")).unwrap() + 1;
        assert!(error.contains(&format!("at line {line} of a.conf")), "{text}: {error}");
    }
    let line = "user default on nopass ~* &* +@all";
    let error = read(&format!("{line}\n{line}")).unwrap_err();
    assert!(error.contains("Duplicate user found"), "{error}");
}

#[test]
fn a_rewritten_line_has_the_password_of_now() {
    let old = "timeout 5\nuser default on nopass ~* &* +@all\n# kept\n";
    let mut config = read(old).unwrap();
    let text = rewrite(old.as_bytes(), &config);
    assert_eq!(String::from_utf8(text).unwrap(), old);

    config.requirepass = "foo".into();
    let text = String::from_utf8(rewrite(old.as_bytes(), &config)).unwrap();
    assert!(text.starts_with(&format!("timeout 5\nuser default on {FOO} ~* &* +@all\n")), "{text}");
    assert_eq!(read(&text).unwrap(), config);

    config.requirepass = "".into();
    let text = String::from_utf8(rewrite(text.as_bytes(), &config)).unwrap();
    assert!(text.starts_with(old), "{text}");
    assert_eq!(read(&text).unwrap(), config);
    // No line is added where there was none; a line that the server would not start with is left
    // alone.
    let text = "user bob on nopass\ntimeout 5\n";
    assert_eq!(rewrite(text.as_bytes(), &config), text.as_bytes());
}
