use proptest::prelude::*;

use super::*;

const SECOND: i128 = NS_PER_SECOND;

/// The cases by which redis-cell tests its limiter: five at once, one a second.
#[test]
fn requests_are_judged_as_by_redis_cell() {
    let limit = Limit { interval: SECOND, burst: 5 };
    // Milliseconds since the start, quantity, remaining, reset and retry in milliseconds, passes.
    let cases = [
        (0, 6, 5, 0, None, false),
        (0, 1, 4, 1000, None, true),
        (0, 1, 3, 2000, None, true),
        (0, 1, 2, 3000, None, true),
        (0, 1, 1, 4000, None, true),
        (0, 1, 0, 5000, None, true),
        (0, 1, 0, 5000, Some(1000), false),
        (3000, 1, 2, 3000, None, true),
        (3100, 1, 1, 3900, None, true),
        (4000, 1, 1, 4000, None, true),
        (8000, 1, 4, 1000, None, true),
        (9500, 1, 4, 1000, None, true),
        (9500, 0, 4, 1000, None, true),
        (9500, 2, 2, 3000, None, true),
        (9500, 5, 2, 3000, Some(3000), false),
    ];
    let mut due = 0;
    for (at, quantity, remaining, reset, retry, passes) in cases {
        let verdict = limit.judge(at * NS_PER_MS, due, quantity);
        assert_eq!(verdict.due.is_some(), passes, "{at}");
        assert_eq!(verdict.remaining, remaining, "{at}");
        assert_eq!(verdict.reset_after, reset * NS_PER_MS, "{at}");
        assert_eq!(verdict.retry_after, retry.map(|ms: i128| ms * NS_PER_MS), "{at}");
        due = verdict.due.unwrap_or(due);
    }
}

proptest! {
    /// In no stretch of time pass more than the burst and what the pace allows, and a refused
    /// request passes when it is told to come again.
    #[test]
    fn no_more_pass_than_the_limit_allows(
        interval in 1_i128..1_000_000,
        burst in 1_i128..20,
        gaps in proptest::collection::vec(0_i128..2_000_000, 1..200),
    ) {
        let limit = Limit { interval, burst };
        let (mut now, mut due, mut passed) = (0, 0, Vec::new());
        for gap in gaps {
            now += gap;
            let verdict = limit.judge(now, due, 1);
            prop_assert!((0..=burst).contains(&verdict.remaining));
            match verdict.due {
                Some(next) => {
                    due = next;
                    passed.push(now);
                }
                None => {
                    let again = now + verdict.retry_after.unwrap();
                    prop_assert!(limit.judge(again, due, 1).due.is_some());
                    prop_assert!(limit.judge(again - 1, due, 1).due.is_none());
                }
            }
        }
        for (first, from) in passed.iter().enumerate() {
            for (index, to) in passed.iter().enumerate().skip(first) {
                prop_assert!((index - first + 1) as i128 <= burst + (to - from) / interval);
            }
        }
    }
}
