use super::*;

#[test]
fn replaces_in_the_middle_and_at_the_ends() {
    let cases: [(usize, usize, &[&[u8]], &str); 7] = [
        (0, 0, &[b"xy", b"", b"z"], "xyzabcdef"),
        (6, 0, &[b"xy"], "abcdefxy"),
        (2, 3, &[b"x"], "abxf"),
        (2, 2, &[b"x", b"y"], "abxyef"),
        (1, 1, &[b"xyz"], "axyzcdef"),
        (0, 6, &[], ""),
        (4, 2, &[], "abcd"),
    ];
    for (at, remove, insert, expect) in cases {
        let mut bytes = b"abcdef".to_vec();
        Splice::splice(&mut bytes, at, remove, insert);
        assert_eq!(bytes, expect.as_bytes(), "{at} {remove} {insert:?}");
    }
}

#[test]
#[should_panic(expected = "within the value")]
fn refuses_what_lies_outside() {
    Splice::splice(&mut b"abc".to_vec(), 2, 2, &[b"x"]);
}
