use super::*;

#[test]
fn a_digest_stands_for_pairs_in_any_order() {
    let of = |words: &[&'static str]| digest(words.iter().map(|word| word.as_bytes()));
    assert_eq!(of(&["a", "1", "b", "2"]), of(&["b", "2", "a", "1"]));
    for other in [&["a", "2", "b", "1"][..], &["a1", "", "b", "2"], &["a", "1"], &["a", "1b2"]] {
        assert_ne!(of(&["a", "1", "b", "2"]), of(other));
    }
    assert_ne!(of(&["a", "1"]), of(&["a", "1", "a", "1"]));
}
