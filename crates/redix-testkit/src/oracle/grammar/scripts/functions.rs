//! Libraries of functions.
//!
//! A library has one function, so that lists of functions have one order. Names are few, so that
//! they are taken, replaced and called in turn.

use super::super::{Compare, Grammar, Line, Rule};
use super::{ERRORS, body};

pub(in super::super) const RULES: &[Rule] =
    &[load, load, load, fcall, fcall, fcall, fcall, delete, list, stats, flush, kill];

const LIBRARIES: &[&str] = &["lib", "lib", "Lib", "other", "third"];
const FUNCTIONS: &[&str] = &["f", "f", "F", "g", "g", "h_1"];

/// First lines besides the usual one.
const METADATA: &[&str] = &[
    "#!LUA   name='@l' \n",
    "#!lua name=\"@l\"\n",
    "#!lua name=a-@l\n",
    "#!lua name=@l name=@l\n",
    "#!lua engine=@l\n",
    "#!lua\n",
    "#!lua name=@l",
    "#!nosuch name=@l\n",
    "name=@l\n",
];

/// What stands before the callback and after it: valid first.
const REGISTRATIONS: &[(&str, &str)] = &[
    ("redis.register_function('@f', ", ")"),
    ("server.register_function('@f', ", ")"),
    ("redis.register_function{function_name='@f', callback=", "}"),
    ("redis.register_function{function_name='@f', flags={'no-writes'}, callback=", "}"),
    (
        "redis.register_function{function_name='@f', flags={'no-writes', 'allow-oom'}, callback=",
        "}",
    ),
    ("redis.register_function{function_name='@f', description='what @f does', callback=", "}"),
    ("local n = 0 redis.register_function('@f', function() n = n + 1 return n end) local _ = ", ""),
    ("redis.register_function{function_name='@f', flags={'nosuch'}, callback=", "}"),
    ("redis.register_function{function_name='@f', other=1, callback=", "}"),
    ("redis.register_function('@f-', ", ")"),
    ("redis.register_function('@f', 1, ", ")"),
    ("local x = redis.call('GET', 'k') redis.register_function('@f', ", ")"),
    ("local f = ", ""),
];

/// What is not Lua. None has a string, whose line ends would break the framing of Valkey's error.
const BROKEN: &[&str] =
    &["return return", "local = 1", "x y", "while true", "return 1 end", "goto x", "f(", "x = = 1"];

/// The valid ones of them.
const VALID: usize = 7;

fn with_names(g: &mut Grammar, template: &str) -> String {
    let (library, function) = (g.one_of(LIBRARIES), g.one_of(FUNCTIONS));
    template.replace("@l", library).replace("@f", function)
}

fn load(g: &mut Grammar) -> Vec<Line> {
    let metadata = if g.rng.chance(90) { "#!lua name=@l\n" } else { g.one_of(METADATA) };
    let usual = if g.rng.chance(80) { VALID } else { REGISTRATIONS.len() };
    let (before, after) = *g.rng.pick(&REGISTRATIONS[..usual]);
    let templates = if g.rng.chance(10) { *g.rng.pick(&[ERRORS, BROKEN]) } else { &[] };
    let function = body(g, templates);
    let source = [
        with_names(g, metadata).into_bytes(),
        with_names(g, before).into_bytes(),
        b"function(KEYS, ARGV) ".to_vec(),
        function,
        b" end".to_vec(),
        after.into(),
    ];
    let line = Line::new("FUNCTION LOAD");
    let line = if g.rng.chance(60) { line.option("REPLACE") } else { line };
    vec![line.arg(source.concat())]
}

fn fcall(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["FCALL", "FCALL", "FCALL", "FCALL_RO"]);
    let line = Line::new(name).arg(g.one_of(FUNCTIONS));
    if g.rng.chance(5) {
        let count = g.one_of(&["-1", "99", "abc", "", "1.5", "9223372036854775808"]);
        return vec![line.arg(count).note("!numkeys")];
    }
    let keys = g.some_keys();
    let args: Vec<Vec<u8>> = (0..g.rng.below(4)).map(|_| g.value()).collect();
    vec![line.arg(keys.len().to_string()).args(&keys).args(&args)]
}

fn delete(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("FUNCTION DELETE").arg(g.one_of(LIBRARIES))]
}

fn list(g: &mut Grammar) -> Vec<Line> {
    // A line end in an unknown argument breaks the framing of Valkey.
    let line = Line::new("FUNCTION LIST").option("LIBRARYNAME").fixed();
    // Libraries have no order.
    let pattern = g.one_of(&["other", "OTHER", "third", "nosuch*"]);
    let line = line.arg(pattern);
    vec![if g.rng.chance(50) { line.option("WITHCODE") } else { line }]
}

fn stats(_: &mut Grammar) -> Vec<Line> {
    vec![Line::new("FUNCTION STATS")]
}

fn kill(g: &mut Grammar) -> Vec<Line> {
    if g.rng.chance(30) {
        return vec![Line::new("FUNCTION KILL").note("!none runs")];
    }
    // Libraries have no order there either.
    vec![Line::new("FUNCTION DUMP").by(Compare::TypeOnly)]
}

fn flush(g: &mut Grammar) -> Vec<Line> {
    if !g.rng.chance(15) {
        return fcall(g);
    }
    let line = Line::new("FUNCTION FLUSH");
    vec![match g.rng.below(4) {
        0 => line.option("SYNC"),
        1 => line.option("ASYNC"),
        2 => line.arg("NOW").note("!option"),
        _ => line,
    }]
}
