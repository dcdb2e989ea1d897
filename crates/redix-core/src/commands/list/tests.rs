use super::*;

#[test]
fn indexes_count_from_both_ends() {
    for (index, len, expect) in [
        (0, 0, None),
        (0, 3, Some(0)),
        (2, 3, Some(2)),
        (3, 3, None),
        (-1, 3, Some(2)),
        (-3, 3, Some(0)),
        (-4, 3, None),
        (i64::MAX, 3, None),
        (i64::MIN, 3, None),
    ] {
        assert_eq!(resolve(index, len), expect, "{index} of {len}");
    }
}

#[test]
fn ranges_are_cut_to_the_list() {
    for (start, stop, len, expect) in [
        (0, -1, 5, 0..5),
        (1, 3, 5, 1..4),
        (-3, -2, 5, 2..4),
        (-100, 1, 5, 0..2),
        (3, 100, 5, 3..5),
        (5, 10, 5, 0..0),
        (3, 2, 5, 0..0),
        (-1, 0, 5, 0..0),
        (i64::MIN, i64::MAX, 5, 0..5),
        (i64::MIN, i64::MIN, 5, 0..0),
        (i64::MAX, i64::MAX, 5, 0..0),
        (0, -1, 1, 0..1),
    ] {
        assert_eq!(resolve_range(start, stop, len), expect, "{start} {stop} of {len}");
    }
}
