use proptest::prelude::*;

use super::*;

#[test]
fn values_are_read_as_they_are_written() {
    for (token, owner) in [(1, &b""[..]), (1_700_000_000_000_000, b"a:b"), (i64::MAX, b"\x00\xff")]
    {
        let lock = Lock { token, owner };
        assert_eq!(Lock::parse(&lock.to_value()), Some(lock));
    }
    let others: [&[u8]; 8] =
        [b"", b"lock", b"lock:", b"lock:1", b"lock::a", b"lock:01:a", b"lock:-1:a", b"LOCK:1:a"];
    for other in others {
        assert_eq!(Lock::parse(other), None, "{}", other.escape_ascii());
    }
}

#[test]
fn tokens_follow_the_clock() {
    let fence = Fence::default();
    assert_eq!([fence.issue(1000), fence.issue(1000), fence.issue(2000)], [1000, 1001, 2000]);
}

/// Whoever may write strings may write one that looks like a lock with the largest token.
#[test]
fn a_forged_token_leaves_room_for_others() {
    let fence = Fence::default();
    fence.note(&Lock { token: i64::MAX, owner: b"o" }.to_value());
    let first = fence.issue(1);
    assert!(first > 1 && fence.issue(1) > first);
}

#[test]
fn threads_get_different_tokens() {
    let fence = Fence::default();
    let issue = || (0..1000).map(|_| fence.issue(5)).collect::<Vec<_>>();
    let mut all = std::thread::scope(|scope| {
        let threads = [scope.spawn(issue), scope.spawn(issue)];
        threads.map(|thread| thread.join().unwrap()).concat()
    });
    all.sort_unstable();
    assert_eq!(all, (5..2005).collect::<Vec<_>>());
}

proptest! {
    /// Servers hand their data sets over to each other, each with a clock that is set at will.
    #[test]
    fn tokens_grow_wherever_the_data_goes(
        steps in prop::collection::vec((0_i64..1_000_000, any::<bool>(), any::<bool>()), 1..100),
    ) {
        let mut fence = Fence::default();
        let mut last = 0;
        for (now_us, moves, by_value) in steps {
            if moves {
                let next = Fence::default();
                if by_value && last > 0 {
                    next.note(&Lock { token: last, owner: b"o" }.to_value());
                } else {
                    next.raise(fence.last());
                }
                fence = next;
            }
            let token = fence.issue(now_us);
            prop_assert!(token > last && token >= now_us);
            last = token;
        }
    }
}
