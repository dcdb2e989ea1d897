use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_is_logged_is_understood(
        producer in prop::collection::vec(any::<u8>(), 1..20),
        iid in prop::collection::vec(any::<u8>(), 1..20),
        duration_s in 1..=86_400u32,
        max in 1..=10_000u32,
    ) {
        let window = Window { duration_s, max };
        let counts = Told::Counts(u64::from(max), u64::from(duration_s));
        for told in [Told::Entry(&producer, &iid), Told::Window(window), counts] {
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
            name.splice(0..0, START.iter().copied());
        }
        match Told::of_group(&name) {
            Some(Told::Entry(producer, iid)) => {
                prop_assert!(is_like_it && !producer.is_empty() && !iid.is_empty());
            }
            Some(Told::Window(Window { duration_s, max })) => {
                prop_assert!(is_like_it && duration_s <= 86_400 && max <= 10_000);
            }
            Some(Told::Counts(..)) => prop_assert!(is_like_it),
            None => {}
        }
    }
}
