use super::{CachedKeys, CachedTotals};

fn totals_of(totals: &CachedTotals) -> (usize, usize) {
    (totals.keys(), totals.items())
}

#[test]
fn a_client_is_listed_once_and_until_the_key_changes() {
    let (mut keys, totals) = (CachedKeys::default(), CachedTotals::default());
    for client in [5, 3, 5, 9, 3] {
        keys.add(b"a", client, &totals);
    }
    keys.add(b"b", 3, &totals);
    assert_eq!(totals_of(&totals), (2, 4));
    assert_eq!(keys.take(b"a", &totals).as_slice(), [3, 5, 9]);
    assert_eq!(totals_of(&totals), (1, 1));
    assert!(keys.take(b"a", &totals).is_empty(), "it was told");
    assert_eq!(totals_of(&totals), (1, 1));
}

#[test]
fn totals_follow_evictions_and_clearing() {
    let (mut keys, totals) = (CachedKeys::default(), CachedTotals::default());
    for key in 0..100_u8 {
        keys.add(&[key], 1, &totals);
        keys.add(&[key], 2, &totals);
    }
    let mut taken = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let (key, cachers) = keys.take_any(&totals).unwrap();
        assert!(taken.insert(key) && cachers.as_slice() == [1, 2]);
    }
    assert_eq!(totals_of(&totals), (40, 80));
    keys.clear(&totals);
    assert_eq!(totals_of(&totals), (0, 0));
    assert!(keys.is_empty() && keys.take_any(&totals).is_none());
}
