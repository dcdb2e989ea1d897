use proptest::prelude::*;

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

proptest! {
    #[test]
    fn what_is_logged_is_understood(
        producer in prop::collection::vec(any::<u8>(), 1..20),
        iid in prop::collection::vec(any::<u8>(), 1..20),
        duration_s in 1..=86_400u32,
        max in 1..=10_000u32,
    ) {
        let window = Window { duration_s, max };
        for told in [Told::Entry(&producer, &iid), Told::Window(window)] {
            let group = told.group();
            prop_assert_eq!(Told::of_group(&group), Some(told));
        }
    }

    #[test]
    fn other_names_are_those_of_groups(
        mut name in prop::collection::vec(any::<u8>(), 0..40),
        is_like_it in any::<bool>(),
    ) {
        if is_like_it {
            name.splice(0..0, TELLS.iter().copied());
        }
        match Told::of_group(&name) {
            Some(Told::Entry(producer, iid)) => {
                prop_assert!(is_like_it && !producer.is_empty() && !iid.is_empty());
            }
            Some(Told::Window(Window { duration_s, max })) => {
                prop_assert!(is_like_it && duration_s <= 86_400 && max <= 10_000);
            }
            None => {}
        }
    }
}
