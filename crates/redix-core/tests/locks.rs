//! Locks with fencing tokens: random histories against a model.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use redix_core::config::Config;
use redix_resp::Value;
use redix_testkit::engine::SimEngine;
use redix_testkit::rng::Rng;

const SEEDS: std::ops::Range<u64> = 0..20;
const STEPS: usize = 1000;
const LOCKS: [&str; 3] = ["a", "b", "c"];
const OWNERS: [&str; 3] = ["one", "two", "three"];

/// Who has a lock, under which token, and until when.
#[derive(Clone, Copy)]
struct Held {
    owner: &'static str,
    token: i64,
    until_ms: i64,
}

struct Model {
    held: HashMap<&'static str, Held>,
    now_ms: i64,
    last: i64,
}

impl Model {
    fn held(&self, lock: &str) -> Option<Held> {
        self.held.get(lock).copied().filter(|held| held.until_ms > self.now_ms)
    }

    fn acquire(&mut self, lock: &'static str, owner: &'static str, ttl_ms: i64, reply: &Value) {
        let until_ms = self.now_ms + ttl_ms;
        let token = match self.held(lock) {
            Some(held) if held.owner != owner => return assert_eq!(*reply, Value::Null),
            Some(held) => {
                assert_eq!(*reply, Value::Int(held.token));
                held.token
            }
            None => {
                let Value::Int(token) = *reply else { panic!("{reply:?} is no token") };
                assert!(token > self.last, "{token} after {}", self.last);
                self.last = token;
                token
            }
        };
        self.held.insert(lock, Held { owner, token, until_ms });
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut engine = SimEngine::new(Config::default(), seed).unwrap();
    let mut model = Model { held: HashMap::new(), now_ms: 0, last: 0 };
    for _ in 0..STEPS {
        let (lock, owner) = (LOCKS[rng.below(LOCKS.len())], OWNERS[rng.below(OWNERS.len())]);
        let ttl_ms = 1 + rng.below(50) as i64;
        let ttl = ttl_ms.to_string();
        let mut ask = |words: &[&str]| engine.execute(1, words).unwrap();
        let is_owner = model.held(lock).is_some_and(|held| held.owner == owner);
        match rng.below(8) {
            0..4 => {
                let reply = ask(&["LOCK.ACQUIRE", lock, owner, &ttl]);
                model.acquire(lock, owner, ttl_ms, &reply);
            }
            4 => {
                let reply = ask(&["LOCK.EXTEND", lock, owner, &ttl]);
                assert_eq!(reply, Value::Int(i64::from(is_owner)));
                if is_owner {
                    model.held.get_mut(lock).unwrap().until_ms = model.now_ms + ttl_ms;
                }
            }
            5 => {
                let reply = ask(&["LOCK.RELEASE", lock, owner]);
                assert_eq!(reply, Value::Int(i64::from(is_owner)));
                if is_owner {
                    model.held.remove(lock);
                }
            }
            6 if rng.below(10) == 0 => {
                ask(&["FLUSHALL"]);
                model.held.clear();
            }
            _ => {
                let ms = rng.below(20) as i64;
                engine.pass_ms(ms).unwrap();
                model.now_ms += ms;
            }
        }
    }
    assert!(model.last > 0);
}

#[test]
fn a_lock_has_one_owner_and_its_tokens_grow() {
    for seed in SEEDS {
        eprintln!("seed {seed}");
        run(seed);
    }
}
