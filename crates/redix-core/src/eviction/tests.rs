use super::*;

fn keys(pool: &mut Pool) -> Vec<String> {
    let best = std::iter::from_fn(|| pool.take_best());
    best.map(|candidate| String::from_utf8(candidate.key).unwrap()).collect()
}

#[test]
fn the_best_candidates_stay_and_of_equal_ones_the_older_goes_first() {
    let mut pool = Pool::default();
    for (score, key) in [(3, "a"), (9, "b"), (1, "c"), (9, "d"), (3, "e")] {
        pool.offer(score, 0, key.as_bytes());
    }
    assert_eq!(keys(&mut pool), ["b", "d", "a", "e", "c"]);
    for score in 0..40 {
        pool.offer(score, 0, score.to_string().as_bytes());
    }
    pool.offer(1, 0, b"worse than all");
    pool.offer(30, 0, b"another");
    let best: Vec<_> = (31..40).rev().chain([30]).map(|score| score.to_string()).collect();
    let kept = keys(&mut pool);
    assert_eq!(kept.len(), POOL_MAX);
    assert_eq!((&kept[..10], &*kept[10]), (&best[..], "another"));
}

#[test]
fn scores_of_another_policy_are_forgotten() {
    let mut pool = Pool::default();
    pool.follow(MaxmemoryPolicy::AllkeysLru);
    pool.offer(1, 0, b"k");
    pool.follow(MaxmemoryPolicy::AllkeysLru);
    assert_eq!(keys(&mut pool), ["k"]);
    pool.offer(1, 0, b"k");
    pool.follow(MaxmemoryPolicy::VolatileTtl);
    assert!(keys(&mut pool).is_empty());
}

#[test]
fn the_time_of_an_attempt_grows_with_the_tenacity() {
    for (tenacity, ns) in [(0, 0), (1, 50_000), (10, 500_000), (11, 575_000), (100, u64::MAX)] {
        assert_eq!(time_limit_ns(tenacity), ns, "{tenacity}");
    }
    let minutes = time_limit_ns(99) / 60_000_000_000;
    assert_eq!(minutes, 2);
}

#[test]
fn the_time_over_the_limit_is_counted_until_there_is_room() {
    let eviction = Eviction::new(1);
    eviction.note(Room::Enough, 5);
    assert_eq!(eviction.exceeded_ns(7), (0, 0));
    eviction.note(Room::Soon, 10);
    eviction.note(Room::Lacking, 20);
    assert_eq!(eviction.exceeded_ns(25), (15, 15));
    eviction.note(Room::Enough, 30);
    eviction.note(Room::Enough, 40);
    assert_eq!(eviction.exceeded_ns(50), (20, 0));
    eviction.note(Room::Lacking, 60);
    assert_eq!(eviction.exceeded_ns(61), (21, 1));
}
