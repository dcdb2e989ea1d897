//! Connection commands.

use super::{Compare, Grammar, Line, Rule};

pub(super) const RULES: &[Rule] =
    &[echo, ping, select, hello, reset, auth, name, client, client, unknown];

fn echo(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("ECHO").arg(g.value())]
}

fn ping(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("PING");
    vec![if g.rng.chance(50) { line.note("message").arg(g.value()) } else { line }]
}

fn select(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("SELECT").arg(g.database())]
}

fn hello(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("HELLO").by(Compare::Hello);
    let proto = g.one_of(&["2", "3"]);
    vec![match g.rng.below(8) {
        0 | 1 => line,
        2 | 3 => line.arg(proto).note("version"),
        4 => line.arg(proto).option("SETNAME").arg(client_name(g)),
        5 => line.arg(proto).option("AUTH").arg("default").arg("").note("!password"),
        6 => line.arg(g.one_of(&["1", "4", "abc", "-1", ""])).note("!version"),
        _ => line.arg(proto).arg("NOSUCH").note("!option"),
    }]
}

/// Returns to the protocol of the stream afterwards.
fn reset(g: &mut Grammar) -> Vec<Line> {
    let proto = g.traits.proto.to_string();
    vec![Line::new("RESET"), Line::new("HELLO").arg(proto).by(Compare::Hello).note("version")]
}

/// There is no password, so any password is valid for the default user, but for no other.
fn auth(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("AUTH");
    vec![match g.rng.below(4) {
        0 => line.arg("password").note("!no password is set"),
        1 => line.arg("nobody").arg("password").note("!nobody"),
        _ => line.arg("default").arg(g.value()),
    }]
}

fn client_name(g: &mut Grammar) -> &'static str {
    g.one_of(&["me", "you", "", "a b", "x\n", "é", "name-1"])
}

fn name(g: &mut Grammar) -> Vec<Line> {
    let name = client_name(g);
    vec![match g.rng.below(2) {
        0 => Line::new("CLIENT SETNAME").arg(name),
        _ => Line::new("CLIENT GETNAME"),
    }]
}

fn client(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(14) {
        0 => Line::new("CLIENT ID").by(Compare::TypeOnly),
        1 => Line::new("CLIENT GETREDIR"),
        2 => Line::new("CLIENT TRACKINGINFO"),
        3 => {
            let word = g.one_of(&["on", "off", "ON", "maybe"]);
            Line::new("CLIENT NO-EVICT").arg(word)
        }
        4 if g.has_7_2() => {
            let word = g.one_of(&["on", "off", "OFF", "maybe"]);
            Line::new("CLIENT NO-TOUCH").arg(word)
        }
        5 if g.has_7_2() => {
            let field = g.one_of(&["LIB-NAME", "lib-ver", "LIB-NAME", "other"]);
            Line::new("CLIENT SETINFO").arg(field).arg(client_name(g))
        }
        6 => Line::new("CLIENT REPLY").arg("ON"),
        7 => Line::new("CLIENT UNPAUSE"),
        8 => {
            let filter = *g.rng.pick(&[["ID", "999999999"], ["ID", "0"], ["USER", "nobody"]]);
            Line::new("CLIENT KILL").args(&filter).note("nobody")
        }
        9 => Line::new("CLIENT KILL").arg("127.0.0.1:1").note("!nobody"),
        10 => {
            let line = Line::new("CLIENT UNBLOCK").arg("999999999");
            if g.rng.chance(50) { line.option("ERROR") } else { line.option("TIMEOUT") }
        }
        11 => Line::new("CLIENT CACHING").arg("YES").note("!not tracking"),
        12 => {
            let line = Line::new("CLIENT LIST").by(Compare::TypeOnly);
            match g.rng.below(3) {
                0 => line.option("ID").arg("999999999"),
                1 => line.option("TYPE").arg("pubsub"),
                _ => line.arg("TYPE").arg("nosuch").note("!type"),
            }
        }
        _ => Line::new("CLIENT NOSUCH").note("!no subcommand"),
    }]
}

fn unknown(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("NOSUCHCOMMAND").args(&g.some_keys());
    vec![line.arg(g.value()).note("!unknown")]
}
