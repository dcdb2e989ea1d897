use std::collections::BTreeMap;

use super::{Audience, Prefixes, each_prefix};

/// By trying every prefix.
fn expected(all: &Prefixes, key: &[u8]) -> Vec<Vec<u8>> {
    all.keys().filter(|prefix| key.starts_with(prefix)).map(|prefix| prefix.to_vec()).collect()
}

fn found(all: &Prefixes, key: &[u8]) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    each_prefix(all, key, |prefix, _| list.push(prefix.to_vec()));
    list.reverse();
    list
}

#[test]
fn finds_every_prefix_of_a_key_once() {
    let seed = 0x5eed_1234_u64;
    let mut state = seed;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 33) % below
    };
    let word = |next: &mut dyn FnMut(u64) -> u64| -> Vec<u8> {
        (0..next(6)).map(|_| b'a' + next(3) as u8).collect()
    };
    let mut matches = 0;
    for _ in 0..2000 {
        let count = next(12);
        let all: Prefixes = (0..count)
            .map(|_| (word(&mut next).into_boxed_slice(), Audience::new()))
            .collect::<BTreeMap<_, _>>();
        let key = word(&mut next);
        let want = expected(&all, &key);
        assert_eq!(found(&all, &key), want, "seed {seed}: {key:?} among {:?}", all.keys());
        matches += want.len();
    }
    assert!(matches > 1000, "seed {seed}: only {matches} matches");
}
