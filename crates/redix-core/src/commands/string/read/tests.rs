use super::*;

#[test]
fn ranges_are_those_of_the_servers() {
    let cases = [
        (0, 3, 0..4),
        (-3, -1, 7..10),
        (0, -1, 0..10),
        (5, 100, 5..10),
        (9, 9, 9..10),
        (10, 10, 0..0),
        (5, 2, 0..0),
        (-3, -5, 0..0),
        (-100, -50, 0..1),
        (-50, -100, 0..0),
        (-100, 2, 0..3),
        (i64::MIN, i64::MAX, 0..10),
        (i64::MAX, i64::MIN, 0..0),
    ];
    for (start, end, expect) in cases {
        assert_eq!(range(start, end, 10), expect, "{start} {end}");
    }
    assert_eq!(range(0, -1, 0), 0..0);
}
