#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

/// The length by the textbook's recursion, for short strings.
fn naive_len(a: &[u8], b: &[u8]) -> usize {
    match (a.split_last(), b.split_last()) {
        (Some((x, a)), Some((y, b))) if x == y => naive_len(a, b) + 1,
        (Some((_, shorter)), Some((_, rest))) => naive_len(shorter, b).max(naive_len(a, rest)),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn finds_a_longest_common_subsequence(a in "[abc]{0,8}", b in "[abc]{0,8}") {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let table = Table::new(a, b).unwrap();
        prop_assert_eq!(table.len as usize, naive_len(a, b));
        let matches = table.matches(a, b);
        prop_assert_eq!(matches.iter().map(|part| part.len).sum::<usize>(), naive_len(a, b));
        let (mut a_end, mut b_end) = (a.len(), b.len());
        for part in matches {
            prop_assert!(part.a + part.len <= a_end && part.b + part.len <= b_end);
            prop_assert_eq!(&a[part.a..part.a + part.len], &b[part.b..part.b + part.len]);
            (a_end, b_end) = (part.a, part.b);
        }
    }
}
