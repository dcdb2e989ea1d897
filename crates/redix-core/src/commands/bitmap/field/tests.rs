use proptest::prelude::*;

use super::*;

fn operation(signed: bool, width: u32, action: Action, overflow: Overflow) -> Operation {
    Operation { field: Field { at: 3, width }, signed, action, overflow }
}

/// The numbers that a field can hold.
fn bounds(signed: bool, width: u32) -> (i128, i128) {
    let values = 1_i128 << width;
    if signed { (-values / 2, values / 2 - 1) } else { (0, values - 1) }
}

proptest! {
    /// Sums in the numbers of mathematics, brought back by whole turns, to the nearest, or not.
    #[test]
    fn sums_are_those_of_exact_numbers(
        signed in any::<bool>(),
        width in 1_u32..=63,
        start in any::<i64>(),
        increment in prop_oneof![any::<i64>(), -300_i64..300],
    ) {
        let (min, max) = bounds(signed, width);
        let turn = max - min + 1;
        let wrapped = |exact: i128| (exact - min).rem_euclid(turn) + min;
        let mut bytes = [0x5a; 12];
        let set = operation(signed, width, Action::Set(start), Overflow::Wrap);
        set.apply(&mut bytes);
        let old = i128::from(set.get(&bytes));
        prop_assert_eq!(old, wrapped(i128::from(start)));
        let exact = old + i128::from(increment);
        let fits = (min..=max).contains(&exact);
        for overflow in [Overflow::Wrap, Overflow::Saturate, Overflow::Fail] {
            let expected = match overflow {
                Overflow::Wrap => Some(wrapped(exact)),
                Overflow::Saturate => Some(exact.clamp(min, max)),
                Overflow::Fail => fits.then_some(exact),
            };
            let mut bytes = bytes;
            let add = operation(signed, width, Action::Add(increment), overflow);
            let (reply, changed) = add.apply(&mut bytes);
            prop_assert_eq!(reply.map(i128::from), expected);
            prop_assert_eq!(i128::from(add.get(&bytes)), expected.unwrap_or(old));
            prop_assert_eq!(changed, expected.is_some_and(|new| new != old));
        }
    }
}

#[test]
fn the_widest_field_wraps_and_saturates() {
    let mut bytes = [0; 9];
    let wide = |action, overflow| operation(true, 64, action, overflow);
    assert_eq!(wide(Action::Set(i64::MAX), Overflow::Fail).apply(&mut bytes), (Some(0), true));
    assert_eq!(wide(Action::Add(1), Overflow::Fail).apply(&mut bytes), (None, false));
    let saturated = wide(Action::Add(1), Overflow::Saturate).apply(&mut bytes);
    assert_eq!(saturated, (Some(i64::MAX), false));
    assert_eq!(wide(Action::Add(1), Overflow::Wrap).apply(&mut bytes), (Some(i64::MIN), true));
}

#[test]
fn types_are_those_of_the_real_servers() {
    for (word, expected) in [("i1", (true, 1)), ("i64", (true, 64)), ("u63", (false, 63))] {
        assert_eq!(parse_type(word.as_bytes()).unwrap(), expected);
    }
    for word in ["", "u", "i0", "u64", "i65", "U8", "u08", "i+8", "i-8", "8", "x8"] {
        assert!(parse_type(word.as_bytes()).is_err(), "{word:?}");
    }
}
