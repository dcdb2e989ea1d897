//! Intsets against `BTreeSet` models and against bytes that real servers wrote.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn set_of(values: &[i64]) -> Vec<u8> {
    let mut set = EMPTY.to_vec();
    for &value in values {
        insert(&mut set, value);
    }
    set
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// What Valkey 9.1.2, Redis 8.2.3 and Redis 7.0.15 put into the payload of DUMP for these sets.
#[test]
fn the_bytes_are_those_of_the_real_servers() {
    for (values, expect) in [
        (&[][..], "0200000000000000"),
        (&[1], "02000000010000000100"),
        (&[3, -1, 2], "0200000003000000ffff02000300"),
        (&[32767, -32768], "02000000020000000080ff7f"),
        (&[5, 32768], "04000000020000000500000000800000"),
        (&[5, -32769], "0400000002000000ff7fffff05000000"),
        (&[1, 2_147_483_648], "080000000200000001000000000000000000008000000000"),
        (&[1, i64::MIN], "080000000200000000000000000000800100000000000000"),
    ] {
        assert_eq!(hex(&set_of(values)), expect, "{values:?}");
    }
}

#[test]
fn removal_keeps_the_width() {
    let mut set = set_of(&[1, 40_000]);
    assert!(remove(&mut set, 40_000));
    assert_eq!(hex(&set), "040000000100000001000000");
    assert!(remove(&mut set, 1));
    assert_eq!(hex(&set), "0400000000000000");
    assert!(insert(&mut set, -1));
    assert_eq!(hex(&set), "0400000001000000ffffffff");
}

#[test]
fn what_is_no_intset_is_refused() {
    let check = |bytes: &[u8], valid| assert_eq!(validate(bytes), valid, "{}", hex(bytes));
    check(&EMPTY, true);
    for length in 0..HEADER {
        check(&EMPTY[..length], false);
    }
    for width in [0u32, 1, 3, 5, 16, 0x0000_0102, u32::MAX] {
        check(&[&width.to_le_bytes()[..], &[0; 4]].concat(), false);
    }
    let good = set_of(&[1, 2, 3]);
    check(&good, true);
    check(&good[..good.len() - 1], false);
    check(&[&good[..], &[0]].concat(), false);
    for count in [2u32, 4, u32::MAX, 1 << 31] {
        check(&[&good[..4], &count.to_le_bytes(), &good[8..]].concat(), false);
    }
    // Twice the same, and out of order.
    check(&[&good[..8], &[1, 0, 1, 0, 3, 0]].concat(), false);
    check(&[&good[..8], &[1, 0, 3, 0, 2, 0]].concat(), false);
    check(&[&good[..8], &[1, 0, 2, 0, 0xff, 0xff]].concat(), false);
    // Wider than needed, as after a removal.
    check(&[4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], true);
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(i64),
    Remove(i64),
    RemoveAt(usize),
    Retain { modulus: i64 },
}

fn value() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -40i64..40,
        2 => any::<i16>().prop_map(i64::from),
        1 => any::<i32>().prop_map(i64::from),
        1 => any::<i64>(),
        1 => prop::sample::select(vec![
            i64::MIN, i64::MAX, 32_767, 32_768, -32_768, -32_769,
            2_147_483_647, 2_147_483_648, -2_147_483_648, -2_147_483_649,
        ]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => value().prop_map(Op::Insert),
        3 => value().prop_map(Op::Remove),
        1 => any::<usize>().prop_map(Op::RemoveAt),
        1 => (1i64..9).prop_map(|modulus| Op::Retain { modulus }),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { cases };
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn it_is_a_sorted_set(ops in prop::collection::vec(op(), 1..400)) {
        let mut set = EMPTY.to_vec();
        let mut model = BTreeSet::new();
        for op in ops {
            match op {
                Op::Insert(value) => prop_assert_eq!(insert(&mut set, value), model.insert(value)),
                Op::Remove(value) => prop_assert_eq!(remove(&mut set, value), model.remove(&value)),
                Op::RemoveAt(rank) if !model.is_empty() => {
                    let rank = rank % model.len();
                    let value = Intset::new(&set).at(rank);
                    remove_at(&mut set, rank);
                    prop_assert!(model.remove(&value));
                }
                Op::RemoveAt(_) => {}
                Op::Retain { modulus } => {
                    let mut asked = Vec::new();
                    let goes = |value: i64| value % modulus == 0;
                    retain(&mut set, |value| {
                        asked.push(value);
                        !goes(value)
                    });
                    prop_assert!(asked.iter().eq(&model));
                    model.retain(|&value| !goes(value));
                }
            }
            prop_assert!(validate(&set));
            let view = Intset::new(&set);
            prop_assert_eq!(view.len(), model.len());
            prop_assert_eq!(view.is_empty(), model.is_empty());
        }
        let view = Intset::new(&set);
        prop_assert!(view.iter().eq(model.iter().copied()));
        prop_assert!(view.iter().rev().eq(model.iter().rev().copied()));
        for value in -50..50 {
            prop_assert_eq!(view.contains(value), model.contains(&value));
            let rank = model.range(..value).count();
            let found = if model.contains(&value) { Ok(rank) } else { Err(rank) };
            prop_assert_eq!(view.find(value), found);
        }
    }

    #[test]
    fn bytes_from_outside_do_not_panic(
        width in prop::sample::select(vec![0u8, 2, 4, 8, 255]),
        count in 0u8..6,
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let bytes = [&[width, 0, 0, 0, count, 0, 0, 0][..], &body].concat();
        if validate(&bytes) {
            let view = Intset::new(&bytes);
            prop_assert_eq!(view.len(), usize::from(count));
            prop_assert!(view.iter().is_sorted());
        }
    }
}
