//! The index against a sorted multimap, through growth and shrinkage.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const OPS: usize = if cfg!(miri) { 200 } else { 6000 };
const CASES: u32 = if cfg!(miri) { 2 } else { 24 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

/// Pairs as they come, equal ones too.
type Model = Vec<(u32, u32)>;

fn check(index: &Index, model: &Model) {
    assert_eq!(index.len(), model.len());
    for share in 0..SHARES {
        let of_share = model.iter().filter(|pair| shares::share_of((pair.0 >> 24) as u8) == share);
        assert_eq!(index.len[share], of_share.count());
        assert!(index.len[share] <= index.pages[share] as usize * PAGE_MEAN);
    }
    let mut held = Vec::new();
    for (number, page) in index.store.iter() {
        assert!(number / SHARES < index.pages[number % SHARES] as usize);
        assert!(capacity(page) <= page.n() + page.n() / 4 + 8, "a page is of its size");
        for at in 0..page.n() {
            let pair = get(page, at);
            assert_eq!(index.locate(pair.0).1, number, "a pair lies where its hash says");
            held.push(pair);
        }
    }
    held.sort_unstable();
    let mut expected = model.clone();
    expected.sort_unstable();
    assert_eq!(held, expected);
}

/// From few hashes, so that equal ones occur, or many.
fn hash_from(word: u64, hashes: u64) -> u32 {
    ((word % hashes).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as u32
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn holds_the_pairs_that_it_was_given(
        words in prop::collection::vec(any::<(u64, u8, u8)>(), OPS),
        hashes in prop_oneof![Just(3u64), Just(300), Just(u64::MAX)],
    ) {
        let (mut index, mut model) = (Index::new(), Model::new());
        let mut shared: Option<(Index, Model)> = None;
        for (step, &(word, choice, leaf)) in words.iter().enumerate() {
            let growing = (step / (OPS / 4)).is_multiple_of(2);
            let at = (word as usize).checked_rem(model.len());
            match (at, choice) {
                (Some(at), 0..20) => {
                    let (hash, from) = model[at];
                    index.reassign(hash, from, u32::from(leaf) + 1);
                    model[at].1 = u32::from(leaf) + 1;
                }
                (Some(at), _) if growing == (choice < 60) => {
                    let (hash, leaf) = model.swap_remove(at);
                    index.remove(hash, leaf);
                }
                _ => {
                    let hash = hash_from(word, hashes);
                    index.add(hash, u32::from(leaf));
                    model.push((hash, u32::from(leaf)));
                }
            }
            let hash = hash_from(word, hashes);
            let mut leaves = Vec::new();
            index.find(hash, |leaf| { leaves.push(leaf); None::<()> });
            leaves.sort_unstable();
            let mut expected: Vec<u32> =
                model.iter().filter(|pair| pair.0 == hash).map(|pair| pair.1).collect();
            expected.sort_unstable();
            prop_assert_eq!(leaves, expected);
            if step % (OPS / 5) == 0 {
                if let Some((index, model)) = shared.replace((index.clone(), model.clone())) {
                    check(&index, &model);
                }
                check(&index, &model);
            }
        }
        check(&index, &model);
        for (hash, leaf) in model.drain(..) {
            index.remove(hash, leaf);
        }
        check(&index, &model);
        prop_assert_eq!(index.page_count(), SHARES, "all pages are merged again");
    }

    /// SCAN's guarantee: a pair that exists during the whole scan is visited, whatever else
    /// changes.
    #[test]
    fn a_scan_misses_nothing_that_stays(
        stays in prop::collection::btree_set(any::<u32>(), 1..400),
        others in prop::collection::vec(any::<u32>(), 1..3000),
        growing in any::<bool>(),
    ) {
        let mut index = Index::new();
        for &hash in &stays {
            index.add(hash, 1);
        }
        let mut others = others.into_iter();
        let mut added: Vec<u32> = if growing { vec![] } else { others.by_ref().collect() };
        for &hash in &added {
            index.add(hash, 2);
        }
        let (mut cursor, mut seen, mut steps) = (0, BTreeSet::new(), 0);
        loop {
            cursor = index.scan(cursor, |hash, leaf| {
                if leaf == 1 {
                    seen.insert(hash);
                }
            });
            steps += 1;
            prop_assert!(steps < 10_000, "a scan ends");
            if cursor == 0 {
                break;
            }
            for _ in 0..40 {
                if growing {
                    others.next().into_iter().for_each(|hash| index.add(hash, 2));
                } else if let Some(hash) = added.pop() {
                    index.remove(hash, 2);
                }
            }
        }
        prop_assert_eq!(seen, stays);
    }
}

#[test]
fn a_cursor_from_elsewhere_ends_the_scan() {
    let mut index = Index::new();
    index.add(1, 1);
    for cursor in [u64::MAX, 4 << 32, 1 << 53] {
        assert_eq!(index.scan(cursor, |_, _| panic!("nothing is there")), 0);
    }
}

#[test]
fn an_index_is_freed_in_slices() {
    let mut index = Index::new();
    for hash in 0..10_000u32 {
        index.add(hash.wrapping_mul(0x9e37_79b9), hash);
    }
    let mut slices = 1;
    while !index.free_step(50) {
        slices += 1;
    }
    assert!((5..40).contains(&slices), "{slices} slices");
    assert_eq!(index.store.iter().count(), 0);
}
