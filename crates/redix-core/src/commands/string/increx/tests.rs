use proptest::prelude::*;

use super::*;

proptest! {
    /// What is kept lies within the bounds, and is the sum wherever that does.
    #[test]
    fn results_lie_within_bounds(
        sum in any::<i64>(),
        (lower, upper) in (any::<i64>(), any::<i64>()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        saturate in any::<bool>(),
    ) {
        let kept = Bounds { lower, upper, saturate }.admit(sum);
        if (lower..=upper).contains(&sum) {
            prop_assert_eq!(kept, Some(sum));
        } else {
            prop_assert_eq!(kept, saturate.then_some(sum.clamp(lower, upper)));
        }
    }
}
