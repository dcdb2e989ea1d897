#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use redix_lua::{Call, Fault, Host, HostFn, Tick, Value};

use super::*;
use crate::persist::sim::Sim;

struct Nobody;

impl Host for Nobody {
    fn call(&mut self, _: HostFn, call: &mut Call<'_>) -> Result<(), Fault> {
        Err(call.error(b"there is no host"))
    }

    fn tick(&mut self) -> Tick {
        Tick::GoOn
    }

    fn clock(&mut self) -> f64 {
        0.0
    }
}

fn source(library: u8, functions: &BTreeSet<u8>, answer: u32) -> String {
    let mut code = format!("#!lua name=lib{library}\n");
    for function in functions {
        code +=
            &format!("redis.register_function('f{function}', function() return {answer} end)\n");
    }
    code
}

fn call(functions: &Functions, env: &Env, name: &str) -> Option<f64> {
    let found = functions.find(env, name.as_bytes())?;
    let mut machine = functions.take_machine().expect("nobody else runs a function");
    let value = machine.lua.run(found.function().callback, &[], &mut Nobody).unwrap();
    functions.put_machine(machine);
    match value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Load {
        library: u8,
        functions: BTreeSet<u8>,
        replaces: bool,
    },
    Remove(u8),
    Join {
        libraries: BTreeMap<u8, BTreeSet<u8>>,
        replaces: bool,
    },
    Flush,
    /// A panic in a function.
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let names = || proptest::collection::btree_set(0..6u8, 0..3);
    let libraries = proptest::collection::btree_map(0..4u8, names(), 0..3);
    let step = prop_oneof![
        8 => (0..4u8, names(), any::<bool>())
            .prop_map(|(library, functions, replaces)| Step::Load { library, functions, replaces }),
        2 => (0..4u8).prop_map(Step::Remove),
        4 => (libraries, any::<bool>())
            .prop_map(|(libraries, replaces)| Step::Join { libraries, replaces }),
        1 => Just(Step::Flush),
        1 => Just(Step::Lose),
    ];
    proptest::collection::vec(step, 0..40)
}

/// Libraries by number: their functions, and what these return.
type Model = BTreeMap<u8, (BTreeSet<u8>, u32)>;

/// Whether these may be added.
fn admits(model: &Model, new: &BTreeMap<u8, BTreeSet<u8>>, replaces: bool) -> bool {
    let mut seen = BTreeSet::new();
    new.iter().all(|(library, functions)| {
        let taken = model
            .iter()
            .any(|(other, (theirs, _))| !new.contains_key(other) && !theirs.is_disjoint(functions));
        let unique = functions.iter().all(|function| seen.insert(*function));
        (replaces || !model.contains_key(library)) && !functions.is_empty() && unique && !taken
    })
}

proptest! {
    #[test]
    fn libraries_change_completely_or_not_at_all(steps in steps()) {
        let env = Sim::default().env(1);
        let functions = Functions::default();
        let mut model = Model::new();
        for (answer, step) in (0..).zip(steps) {
            match step {
                Step::Load { library, functions: names, replaces } => {
                    let new = BTreeMap::from([(library, names.clone())]);
                    let text = source(library, &names, answer);
                    let loaded = functions.load(&env, text.as_bytes(), replaces, 1 << 40);
                    prop_assert_eq!(loaded.is_ok(), admits(&model, &new, replaces), "{:?}", loaded);
                    if loaded.is_ok() {
                        model.insert(library, (names, answer));
                    }
                }
                Step::Join { libraries, replaces } => {
                    let mut new = Libraries::default();
                    let mut loaded = Ok(());
                    for (library, names) in &libraries {
                        let text = source(*library, names, answer);
                        let one = new.load(&env, text.as_bytes(), false, 1 << 40);
                        loaded = loaded.and(one.map(drop));
                    }
                    let joined = loaded.and_then(|()| functions.join(&env, new, replaces));
                    prop_assert_eq!(joined.is_ok(), admits(&model, &libraries, replaces));
                    if joined.is_ok() {
                        let new = libraries.into_iter();
                        model.extend(new.map(|(library, names)| (library, (names, answer))));
                    }
                }
                Step::Remove(library) => {
                    let removed = functions.remove(format!("lib{library}").as_bytes());
                    prop_assert_eq!(removed, model.remove(&library).is_some());
                }
                Step::Flush => {
                    functions.install(Libraries::default());
                    model.clear();
                }
                Step::Lose => drop(functions.take_machine()),
            }
            let (catalogue, totals) = (functions.catalogue(), functions.totals());
            prop_assert_eq!(catalogue.iter().len(), model.len());
            prop_assert_eq!(totals.libraries, model.len());
            let names: usize = model.values().map(|(names, _)| names.len()).sum();
            prop_assert_eq!(totals.functions, names);
            prop_assert_eq!(totals.bytes == 0, model.is_empty());
            for function in 0..6u8 {
                let expect = model.values().find(|(names, _)| names.contains(&function));
                let answer = call(&functions, &env, &format!("F{function}"));
                prop_assert_eq!(answer, expect.map(|(_, answer)| f64::from(*answer)));
            }
        }
    }
}

#[test]
fn a_machine_of_libraries_that_are_gone_is_not_kept() {
    let env = Sim::default().env(1);
    let functions = Functions::default();
    let load =
        || functions.load(&env, source(0, &BTreeSet::from([0]), 1).as_bytes(), false, 1 << 40);
    load().unwrap();
    let old = functions.take_machine().unwrap();
    functions.install(Libraries::default());
    functions.put_machine(old);
    assert!(functions.take_machine().is_none());
    load().unwrap();
    assert_eq!(call(&functions, &env, "f0"), Some(1.0));
}
