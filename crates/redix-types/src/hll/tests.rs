use proptest::prelude::*;

use super::*;

/// What marks do to registers, one by one.
fn model(marks: &[Mark]) -> Registers {
    let mut registers = [0; REGISTERS];
    for mark in marks {
        registers[mark.index] = registers[mark.index].max(mark.value);
    }
    registers
}

fn marks(count: usize) -> impl Strategy<Value = Vec<Mark>> {
    // Near one another, so that runs meet; values as they are common.
    let index = prop_oneof![0..60_usize, REGISTERS - 60..REGISTERS, 0..REGISTERS];
    let value = prop_oneof![1..4_u8, 1..=51_u8];
    let mark = (index, value).prop_map(|(index, value)| Mark { index, value });
    proptest::collection::vec(mark, 0..count)
}

fn raised(marks: &[Mark], sparse_max: usize) -> Vec<u8> {
    let (mut value, mut expected) = (EMPTY.to_vec(), [0; REGISTERS]);
    for mark in marks {
        let rises = mark.value > expected[mark.index];
        assert_eq!(raise(&mut value, *mark, sparse_max), Ok(rises));
        expected[mark.index] = expected[mark.index].max(mark.value);
    }
    value
}

/// A header of a sparse value, and anything behind it.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..60)
        .prop_map(|tail| [&EMPTY[..HEADER], &tail].concat())
}

proptest! {
    #[test]
    fn registers_are_those_of_the_model(marks in marks(300), sparse_max in 0..400_usize) {
        let expected = model(&marks);
        let value = raised(&marks, sparse_max);
        prop_assert!(registers(&value) == Ok(expected));
        prop_assert!(is_dense(&value) || value.len() <= sparse_max.max(EMPTY.len()));
        let mut dense = value.clone();
        prop_assert_eq!(make_dense(&mut dense), Ok(!is_dense(&value)));
        prop_assert!(registers(&dense) == Ok(expected));
        prop_assert_eq!(count(&dense), count(&value));
    }

    #[test]
    fn merging_is_raising_all(a in marks(100), b in marks(100), sparse_max in 0..400_usize) {
        let both = model(&[&a[..], &b].concat());
        let (mut merged, mut target) = ([0; REGISTERS], raised(&a, sparse_max));
        merge(&mut merged, &target).unwrap();
        merge(&mut merged, &raised(&b, 0)).unwrap();
        prop_assert!(merged == both);
        raise_all(&mut target, &merged, sparse_max).unwrap();
        prop_assert!(registers(&target) == Ok(both));
    }

    #[test]
    fn dense_registers_are_packed_and_unpacked(marks in marks(2000)) {
        let expected = model(&marks);
        for vectors in [true, false] {
            use_vectors(vectors);
            let mut packed = vec![0xff; dense::PACKED_LEN];
            dense::pack(&expected, &mut packed);
            for vectors in [true, false] {
                use_vectors(vectors);
                let mut found = [0; REGISTERS];
                dense::raise_to(&mut found, &packed);
                prop_assert!(found == expected);
                let mut found = [7; REGISTERS];
                dense::raise_to(&mut found, &packed);
                let raised = expected.iter().map(|value| *value.max(&7));
                prop_assert!(raised.eq(found));
            }
        }
        use_vectors(true);
    }

    #[test]
    fn hostile_bytes_are_corrupt_or_whole(value in hostile(), marks in marks(20)) {
        let whole = registers(&value);
        prop_assert_eq!(whole.is_ok(), count(&value).is_ok());
        let _ = decode(&value);
        let mut changed = value.clone();
        for mark in marks {
            let outcome = raise(&mut changed, mark, 100);
            prop_assert!(outcome.is_ok() || whole.is_err());
        }
    }
}

/// Runs that have become alike are joined, as on the real servers.
#[test]
fn equal_neighbours_are_one_run() {
    let text = |marks: &[(usize, u8)]| {
        let marks: Vec<Mark> = marks.iter().map(|&(index, value)| Mark { index, value }).collect();
        decode(&raised(&marks, 3000)).unwrap()
    };
    assert_eq!(text(&[]), "Z:16384");
    assert_eq!(text(&[(0, 1)]), "v:1,1 Z:16383");
    assert_eq!(text(&[(REGISTERS - 1, 32)]), "Z:16383 v:32,1");
    assert_eq!(text(&[(5, 2), (7, 2), (6, 2)]), "z:5 v:2,3 Z:16376");
    assert_eq!(text(&[(5, 2), (6, 2), (7, 2), (8, 2), (9, 2)]), "z:5 v:2,4 v:2,1 Z:16374");
    assert_eq!(text(&[(5, 2), (6, 2), (7, 2), (6, 3)]), "z:5 v:2,1 v:3,1 v:2,1 Z:16376");
}

#[test]
fn marks_that_a_run_cannot_have_make_the_value_dense() {
    let high = Mark { index: 3, value: 33 };
    assert!(is_dense(&raised(&[high], 3000)));
    let low = Mark { index: 3, value: 32 };
    assert!(!is_dense(&raised(&[low], 3000)));
}

#[test]
fn a_string_that_is_none_is_told() {
    assert_eq!(encoding(&EMPTY), Some(Encoding::Sparse));
    assert_eq!(encoding(&EMPTY[..HEADER]), Some(Encoding::Sparse));
    assert_eq!(encoding(&EMPTY[..HEADER - 1]), None);
    assert_eq!(encoding(b"HYLX567890123456"), None);
    let mut other = EMPTY;
    other[ENCODING_AT] = 2;
    assert_eq!(encoding(&other), None);
    other[ENCODING_AT] = 0;
    assert_eq!(encoding(&other), None, "a dense value has one length");
}

#[test]
fn estimates_are_kept_until_they_are_forgotten() {
    let mut value = EMPTY.to_vec();
    assert_eq!(kept_estimate(&value), None);
    keep_estimate(&mut value, 12345);
    assert_eq!(kept_estimate(&value), Some(12345));
    forget_estimate(&mut value);
    assert_eq!(kept_estimate(&value), None);
}

#[test]
fn the_self_test_passes() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    self_test(random).unwrap();
}
