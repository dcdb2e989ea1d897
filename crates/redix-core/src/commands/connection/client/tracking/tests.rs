use std::collections::BTreeSet;

use super::{Other, first_overlap, overlap};

/// By comparing all with all.
fn expected<'p>(
    existing: &'p BTreeSet<Box<[u8]>>,
    prefixes: &[&'p [u8]],
) -> Option<(&'p [u8], Other<'p>)> {
    prefixes.iter().enumerate().find_map(|(index, prefix)| {
        let old = existing.iter().find(|other| overlap(prefix, other));
        let new = prefixes[index + 1..].iter().find(|other| overlap(prefix, other));
        let other = match (old, new) {
            (Some(old), _) => Other::Existing(old),
            (None, Some(new)) => Other::Provided(new),
            (None, None) => return None,
        };
        Some((*prefix, other))
    })
}

#[test]
fn the_first_overlap_is_found() {
    let seed = 0x0b5e_55ed_u64;
    let mut state = seed;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 33) % below
    };
    let (mut none, mut existing_ones, mut provided_ones) = (0, 0, 0);
    for round in 0..4000 {
        let longest = 2 + round % 5;
        let mut words = |count: u64| -> Vec<Vec<u8>> {
            let count = next(count);
            let mut word = || (0..1 + next(longest)).map(|_| b'a' + next(4) as u8).collect();
            (0..count).map(|_| word()).collect()
        };
        let (old, new) = (words(6), words(6));
        let mut existing: BTreeSet<Box<[u8]>> = BTreeSet::new();
        for word in old {
            if existing.iter().all(|other| !overlap(&word, other)) {
                existing.insert(word.into());
            }
        }
        if round % 17 == 0 {
            existing.insert([].into());
        }
        let prefixes: Vec<&[u8]> = new.iter().map(Vec::as_slice).collect();
        let found = first_overlap(&existing, &prefixes);
        assert_eq!(
            found,
            expected(&existing, &prefixes),
            "seed {seed}: {prefixes:?} beside {existing:?}"
        );
        match found {
            None => none += 1,
            Some((_, Other::Existing(_))) => existing_ones += 1,
            Some((_, Other::Provided(_))) => provided_ones += 1,
        }
    }
    assert!(none > 300 && existing_ones > 300 && provided_ones > 300, "seed {seed}");
}
