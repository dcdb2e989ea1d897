//! Rates, by a clock that only the test advances.

use super::*;

fn quota(rate: u64) -> Quota {
    Quota { rate, memory: 0 }
}

#[test]
fn a_bucket_lasts_for_a_tenth_of_a_second_and_then_commands_wait() {
    let (usage, quota, now_ns) = (Usage::default(), quota(1000), 5 * NS_PER_S);
    assert_eq!(usage.take(quota, 70, now_ns, true), Grant::Paid(70));
    assert_eq!(usage.take(quota, 70, now_ns, true), Grant::Paid(30));
    let reserved = |count, wait_ns| Grant::Reserved { count, wait_ns };
    assert_eq!(usage.take(quota, 40, now_ns, true), reserved(10, 10_000_000));
    // Another connection waits behind it.
    assert_eq!(usage.take(quota, 1, now_ns, true), reserved(1, 11_000_000));
    assert_eq!(usage.take(quota, 1, now_ns + 11_000_000, true), reserved(1, 1_000_000));
    assert_eq!(usage.throttled.load(Ordering::Relaxed), 3);
    // What was never taken is not kept for longer.
    assert_eq!(usage.take(quota, 1000, now_ns + 60 * NS_PER_S, true), Grant::Paid(100));
}

#[test]
fn slow_rates_let_a_single_command_pass() {
    let (usage, quota, now_ns) = (Usage::default(), quota(1), 5 * NS_PER_S);
    assert_eq!(usage.take(quota, 9, now_ns, true), Grant::Paid(1));
    let wait_ns = NS_PER_S;
    assert_eq!(usage.take(quota, 9, now_ns, true), Grant::Reserved { count: 1, wait_ns });
}

#[test]
fn what_is_owed_is_paid_first_and_may_be_given_back() {
    let (usage, quota, now_ns) = (Usage::default(), quota(1000), 5 * NS_PER_S);
    usage.owe(quota, 500, now_ns);
    let wait_ns = 401_000_000;
    assert_eq!(usage.take(quota, 1, now_ns, true), Grant::Reserved { count: 1, wait_ns });
    usage.owe(quota, -501, now_ns);
    assert_eq!(usage.take(quota, 1000, now_ns, true), Grant::Paid(100));
}

#[test]
fn connections_together_keep_to_the_rate() {
    for rate in [1, 7, 100, 1000, 50_000, RATE_MAX] {
        let (usage, quota) = (Usage::default(), quota(rate));
        let mut paid = 0;
        let mut due_ns = [NS_PER_S; 5];
        for step in 0..20_000u64 {
            let now_ns = NS_PER_S + step * 100_000;
            for due_ns in &mut due_ns {
                if *due_ns > now_ns {
                    continue;
                }
                match usage.take(quota, 24, now_ns, true) {
                    Grant::Paid(count) => paid += count as u64,
                    Grant::Reserved { count, wait_ns } => {
                        paid += count as u64;
                        *due_ns = now_ns + wait_ns;
                    }
                }
            }
        }
        // Two seconds, a bucket, and what is reserved.
        let most = rate * 2 + rate / 10 + 5 * (rate / 100).max(1) + 1;
        assert!(paid <= most, "{rate}: {paid}");
        assert!(paid >= (rate * 2 - 1).min(1_000_000), "{rate}: {paid}");
    }
}

#[test]
fn who_cannot_wait_reserves_nothing() {
    let (usage, quota, now_ns) = (Usage::default(), quota(1000), 5 * NS_PER_S);
    assert_eq!(usage.take(quota, 200, now_ns, false), Grant::Paid(100));
    assert_eq!(usage.take(quota, 200, now_ns, false), Grant::Paid(0));
    assert_eq!(usage.throttled.load(Ordering::Relaxed), 0);
    assert_eq!(usage.take(quota, 200, now_ns + 1_000_000, false), Grant::Paid(1));
}
