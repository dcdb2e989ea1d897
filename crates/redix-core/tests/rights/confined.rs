//! What a user may not touch is not touched, whichever way its calls go: by themselves, in a
//! transaction, in a script, in a function.
//!
//! The calls are those of the golden scripts, which call every command with arguments that mean
//! something. Their keys are replaced by some that the user may read and write, only read, only
//! write, or not use at all, of each type.

use std::collections::BTreeSet;

use redix_core::command::args::OwnedArgs;
use redix_core::command::plan::keys_of_call;
use redix_core::command::spec::{CommandSpec, flag};
use redix_core::keyspace::trace::{self, Touch};
use redix_resp::Value;
use redix_testkit::Rng;
use redix_testkit::engine::SimEngine;
use redix_testkit::script::{Script, golden_scripts};

use super::{CALLS, DATA, EPOCH, NOTING, WORDS, engine_of, fault, seed, shown, specs};

/// Keys by what the user may do: both, read, write, nothing.
const CLASSES: &[u8] = b"arwx";
const ADMIN: u8 = 1;
const TENANT: u8 = 2;

/// Commands with keys which no golden script makes touch any, with the reason.
const UNTOUCHED: &[(&str, &str)] = &[("spublish", "its key is a channel")];

/// The family of a golden script, and the type of keys that it is about, as the place in `DATA`.
const FAMILIES: &[(&str, usize)] = &[
    ("string", 1),
    ("bitmap", 1),
    ("hyperloglog", 1),
    ("list", 2),
    ("set", 3),
    ("zset", 4),
    ("hash", 5),
    ("stream", 6),
    ("geo", 7),
];

/// A call of a golden script.
struct Template {
    spec: &'static CommandSpec,
    words: Vec<Vec<u8>>,
    /// The type of its keys.
    kind: Option<usize>,
}

/// How a call is made.
#[derive(Debug, Clone, Copy)]
enum Way {
    Alone,
    Transaction,
    Script,
    Function,
}

const WAYS: &[Way] = &[Way::Alone, Way::Alone, Way::Transaction, Way::Script, Way::Function];

fn find(words: &[Vec<u8>]) -> Option<&'static CommandSpec> {
    let is = |word: Option<&Vec<u8>>, name: &str| {
        word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut all = specs().into_iter();
    let found =
        all.find(|(names, _)| names.iter().enumerate().all(|(at, name)| is(words.get(at), name)));
    found.map(|(_, spec)| spec)
}

fn templates() -> Vec<Template> {
    let mut all = Vec::new();
    for path in golden_scripts().unwrap() {
        let family = path.parent().and_then(|parent| parent.file_name()).unwrap();
        let kind = FAMILIES.iter().find(|(name, _)| family == *name).map(|(_, kind)| *kind);
        for words in Script::load(&path).unwrap().commands() {
            if let Some(spec) = find(words) {
                all.push(Template { spec, words: words.clone(), kind });
            }
        }
    }
    all
}

/// The key arguments of a call.
fn key_words(spec: &CommandSpec, words: &[Vec<u8>]) -> BTreeSet<usize> {
    let args = OwnedArgs::from_words(words);
    if !spec.fits(words.len()) {
        return BTreeSet::new();
    }
    keys_of_call(spec, args.args()).iter().map(|(word, _)| *word).collect()
}

fn key(kind: Option<usize>, rng: &mut Rng) -> Vec<u8> {
    let kind = kind.filter(|_| rng.chance(75)).unwrap_or_else(|| 1 + rng.below(8));
    format!("{}{kind}", char::from(*rng.pick(CLASSES))).into_bytes()
}

/// The call with other keys, and now and then with another argument.
fn altered(template: &Template, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut words = template.words.clone();
    for at in key_words(template.spec, &words) {
        words[at] = key(template.kind, rng);
    }
    if rng.chance(20) && words.len() > 1 {
        let at = 1 + rng.below(words.len() - 1);
        words[at] = match rng.chance(50) {
            true => key(template.kind, rng),
            false => rng.pick(WORDS).as_bytes().to_vec(),
        };
    }
    if rng.chance(5) {
        words.push(key(template.kind, rng));
    }
    if rng.chance(5) && words.len() > 1 {
        words.pop();
    }
    words
}

fn fill(engine: &mut SimEngine) {
    engine.execute(ADMIN, &["FLUSHALL"]).unwrap();
    for class in CLASSES {
        for line in DATA {
            let named = |word: &str| match word.strip_prefix('k') {
                Some(number) => format!("{}{number}", char::from(*class)),
                None => word.to_owned(),
            };
            let words: Vec<String> = line.split(' ').map(named).collect();
            engine.execute(ADMIN, &words).unwrap();
        }
    }
    let library = "#!lua name=lib\nredis.register_function('call', function(keys, args) \
                   return redis.pcall(unpack(args)) end)";
    engine.execute(ADMIN, &["FUNCTION", "LOAD", "REPLACE", library]).unwrap();
    let rules = ["on", "nopass", "resetkeys", "~a*", "%R~r*", "%W~w*", "+@all"];
    engine.execute(ADMIN, &[&["ACL", "SETUSER", "tenant"], &rules[..]].concat()).unwrap();
    engine.execute(TENANT, &["AUTH", "tenant", "any"]).unwrap();
    engine.execute(TENANT, &["SELECT", "0"]).unwrap();
}

/// Makes the call. `None`: it is blocked.
fn make(engine: &mut SimEngine, way: Way, words: &[Vec<u8>]) -> Option<Value> {
    let after = |first: &[&str]| -> Vec<Vec<u8>> {
        let first = first.iter().map(|word| word.as_bytes().to_vec());
        first.chain(words.iter().cloned()).collect()
    };
    match way {
        Way::Alone => engine.execute(TENANT, words).ok(),
        Way::Transaction => {
            engine.execute(TENANT, &["MULTI"]).unwrap();
            let queued = engine.execute(TENANT, words).unwrap();
            let outcome = engine.execute(TENANT, &["EXEC"]).unwrap();
            Some(if matches!(queued, Value::Error(_)) { queued } else { outcome })
        }
        Way::Script => {
            engine.execute(TENANT, &after(&["EVAL", "return redis.pcall(unpack(ARGV))", "0"])).ok()
        }
        Way::Function => engine.execute(TENANT, &after(&["FCALL", "call", "0"])).ok(),
    }
}

/// What is wrong with a touch, if anything is.
fn trespass(spec: &CommandSpec, touch: &Touch, is_denied: bool) -> Option<&'static str> {
    match touch.key.first() {
        _ if is_denied => Some("the call was denied"),
        Some(b'a' | b'w') => None,
        Some(b'r') if !touch.changed || NOTING.contains(&spec.name) => None,
        Some(b'r') => Some("it may only be read"),
        _ => Some("the user has no right to it"),
    }
}

#[test]
fn no_call_touches_what_its_user_may_not() {
    let seed = seed();
    let templates = templates();
    let mut touched = 0;
    for epoch in 0..CALLS / EPOCH {
        let mut rng = Rng::new(seed + epoch as u64);
        let mut engine = engine_of(&mut rng);
        for number in 0..EPOCH {
            if number % 20 == 0 {
                fill(&mut engine);
            }
            let template = rng.pick(&templates);
            let (way, words) = (*rng.pick(WAYS), altered(template, &mut rng));
            trace::start();
            let reply = make(&mut engine, way, &words);
            let touches = trace::take();
            let is_denied =
                matches!(&reply, Some(Value::Error(text)) if text.starts_with(b"NOPERM"));
            if reply.is_none() {
                engine.close(TENANT);
                engine.execute(TENANT, &["AUTH", "tenant", "any"]).unwrap();
            }
            touched += touches.len();
            for touch in touches {
                if let Some(fault) = trespass(template.spec, &touch, is_denied) {
                    let words = shown(&words);
                    panic!(
                        "seed {seed}, epoch {epoch}: {way:?} {words:?} touches {touch:?}: {fault}"
                    );
                }
            }
        }
    }
    assert!(touched > CALLS / 10, "only {touched} keys were touched");
}

/// The golden scripts have every command with keys touch some, so that the calls made of theirs
/// test every command.
#[test]
fn golden_calls_touch_keys_with_every_command() {
    let mut engine = engine_of(&mut Rng::new(1));
    let mut touching = BTreeSet::new();
    for path in golden_scripts().unwrap() {
        engine.execute(ADMIN, &["FLUSHALL"]).unwrap();
        engine.execute(TENANT, &["SELECT", "0"]).unwrap();
        for words in Script::load(&path).unwrap().commands() {
            // They run in one database, so that what is touched in another shows.
            let Some(spec) = find(words).filter(|spec| spec.name != "select") else { continue };
            let follows_patterns = spec.has(flag::READS_BY_PATTERN);
            trace::start();
            let blocked = engine.execute(TENANT, words).is_err();
            let touches = trace::take();
            if blocked {
                engine.close(TENANT);
            }
            if touches
                .iter()
                .any(|touch| key_words(spec, words).iter().any(|at| touch.key == words[*at]))
            {
                touching.insert(std::ptr::from_ref(spec));
            }
            for touch in touches.iter().filter(|_| !follows_patterns) {
                if let Some(fault) = fault(spec, words, touch) {
                    panic!("{}: {:?} touches {touch:?}: {fault}", path.display(), shown(words));
                }
            }
        }
    }
    let has_keys = |spec: &CommandSpec| !spec.keys.is_empty() || spec.get_keys.is_some();
    let missing: Vec<String> = specs()
        .into_iter()
        .filter(|(_, spec)| has_keys(spec) && !touching.contains(&std::ptr::from_ref(*spec)))
        .map(|(names, _)| names.join("|"))
        .filter(|name| !UNTOUCHED.iter().any(|(other, _)| other == name))
        .collect();
    assert_eq!(missing, [""; 0], "no golden script has them touch a key");
}
