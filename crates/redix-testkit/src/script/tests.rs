#![allow(clippy::unwrap_used)]
use super::*;
use crate::Server;

/// Answers with what it was told and logs what it is sent.
struct Parrot {
    replies: Vec<Value>,
    log: Vec<Command>,
}

impl ScriptTarget for Parrot {
    fn set_proto(&mut self, _proto: u8) -> Result<()> {
        Ok(())
    }
    fn command(&mut self, _conn: u8, args: &[Vec<u8>]) -> Result<Value> {
        self.log.push(args.to_vec());
        Ok(self.replies.remove(0))
    }
    fn block(&mut self, _conn: u8, args: &[Vec<u8>]) -> Result<()> {
        self.log.push(args.to_vec());
        Ok(())
    }
    fn send(&mut self, _conn: u8, args: &[Vec<u8>]) -> Result<()> {
        self.log.push(args.to_vec());
        Ok(())
    }
    fn awaited(&mut self, _conn: u8) -> Result<Value> {
        Ok(self.replies.remove(0))
    }
    fn wait_expired(&mut self, _key: &[u8]) -> Result<()> {
        Ok(())
    }
    fn take_log(&mut self) -> Option<Vec<Command>> {
        Some(std::mem::take(&mut self.log))
    }
}

fn check(script: &str, replies: &[Value], proto: u8) -> Result<()> {
    let mut parrot = Parrot { replies: replies.to_vec(), log: Vec::new() };
    Script::parse("test", script).unwrap().check(&mut parrot, proto)
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

#[test]
fn a_reply_must_match_as_a_whole() {
    let list = Value::Array(vec![bulk("a"), Value::Array(vec![bulk("b"), Value::Int(3)])]);
    for good in [
        "1) \"a\"\n2) 1) \"b\"\n   2) (integer) 3",
        "1) \"a\"\n2) (any)",
        "(any)",
        "1) /\"?\"/\n2) 1) /*/\n   2) (int)",
    ] {
        check(&format!("> X\n{good}"), std::slice::from_ref(&list), 2).unwrap();
    }
    for bad in ["1) \"a\"", "1) (int)\n2) (any)", "1) (any)", "1) \"a\"\n2) (any)\n3) \"c\"", ""] {
        let checked = check(&format!("> X\n{bad}"), std::slice::from_ref(&list), 2);
        assert!(checked.is_err(), "{bad}");
    }
}

#[test]
fn what_is_sent_is_answered_by_lines_of_their_own() {
    let script = "@2>> X\n@2<\n1) \"a\"\n<\n\"b\"\nlog: X";
    let replies = [Value::Push(vec![bulk("a")]), bulk("b")];
    check(script, &replies, 2).unwrap();
    assert!(check(script, &[bulk("b"), bulk("b")], 2).is_err());
    assert!(check(">> X\n+OK", &[bulk("b")], 2).is_err(), "nothing answers it");
}

#[test]
fn nulls_differ_by_protocol() {
    assert!(check("> X\n(null array)", &[Value::Null], 3).is_ok());
    assert!(check("> X\n(null array)", &[Value::Null], 2).is_err());
    assert!(check("> X\n(null)", &[Value::NullArray], 2).is_err());
}

#[test]
fn sorting_and_the_log() {
    let keys = Value::Array(vec![bulk("b"), bulk("a")]);
    let script =
        "! sort\n> KEYS *\n1) \"a\"\n2) \"b\"\nlog: KEYS (any)\n@2> GET x\n(null)\nlog: /G*/ x";
    check(script, &[keys, Value::Null], 2).unwrap();
    assert!(check("> GET x\n(null)\nlog:", &[Value::Null], 2).is_err());
    assert!(check("> GET x\n(null)\nlog: GET x | GET x", &[Value::Null], 2).is_err());
}

#[test]
fn rewriting_keeps_what_still_holds() {
    let script = "# note\n> A\n(int)\n> B\n\"old\"\n\n! expired k\nlog: A | B\n";
    let mut parrot = Parrot { replies: vec![Value::Int(5), bulk("new")], log: Vec::new() };
    let text = Script::parse("test", script).unwrap().rewrite(&mut parrot).unwrap();
    assert_eq!(text, script.replace("old", "new"));
}

#[test]
fn a_reply_may_come_later() {
    let script = "@2~ BLPOP k 0\n> PING\n\"a\"\n@2<\n\"b\"\nlog: BLPOP k 0 | PING";
    check(script, &[bulk("a"), bulk("b")], 2).unwrap();
    assert!(check(script, &[bulk("b"), bulk("a")], 2).is_err());
    assert!(check("@2~ BLPOP k 0\n\"b\"", &[], 2).is_err(), "it has no reply of its own");
}

#[test]
fn broken_scripts_are_refused() {
    for bad in [
        "@2< GET k",
        "@2~ ",
        "@2 GET k",
        "+OK",
        "! dance",
        "> \"open",
        "# oracle: keydb",
        "! sort",
        "@x> PING",
    ] {
        assert!(Script::parse("test", bad).is_err(), "{bad}");
    }
}

/// The replies in `golden/` are those of the real servers. With `UPDATE_GOLDEN=1` it rewrites them
/// from the first server that a script names.
#[test]
fn golden_scripts_agree_with_the_real_servers() {
    let update = std::env::var("UPDATE_GOLDEN").as_deref() == Ok("1");
    for peer in Peer::ORACLES {
        if !peer.available_or_skip() {
            continue;
        }
        let args = ["--enable-debug-command", "yes"];
        let server = Server::start(peer, &args).unwrap();
        if update {
            for path in golden_scripts().unwrap() {
                let script = Script::load(&path).unwrap();
                if script.oracles().first() == Some(&peer) {
                    let mut target = TcpTarget::new(server.addr()).unwrap();
                    fs::write(&path, script.rewrite(&mut target).unwrap()).unwrap();
                }
            }
        }
        let result = check_golden_on(server.addr(), |script| script.oracles().contains(&peer));
        if let Err(differences) = result {
            panic!("{}: {differences:#}", peer.name());
        }
    }
}
