use proptest::prelude::*;

use super::*;

/// Bit by bit.
fn bits_of(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0)).collect()
}

fn bytes_of(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

/// Bytes with long runs of one value, as searches meet them.
fn runs() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(0xff), any::<u8>()];
    let run = (byte, 1usize..150).prop_map(|(byte, len)| vec![byte; len]);
    proptest::collection::vec(run, 0..5).prop_map(|runs| runs.concat())
}

/// A range of bits within so many bytes.
fn bits_within(bytes: usize, (a, b): (u64, u64)) -> Range<u64> {
    let bits = 8 * bytes as u64 + 1;
    let (a, b) = (a % bits, b % bits);
    a.min(b)..a.max(b)
}

fn model(how: Combine, inputs: &[&[u8]]) -> Vec<u8> {
    let len = inputs.iter().map(|input| input.len()).max().unwrap_or(0);
    let inputs: Vec<Vec<bool>> = inputs
        .iter()
        .map(|input| {
            let mut bits = bits_of(input);
            bits.resize(8 * len, false);
            bits
        })
        .collect();
    let bit = |at: usize| {
        let (first, others) = (inputs[0][at], &inputs[1..]);
        let any = others.iter().any(|input| input[at]);
        let set = inputs.iter().filter(|input| input[at]).count();
        match how {
            Combine::And => set == inputs.len(),
            Combine::Or => set > 0,
            Combine::Xor => set % 2 == 1,
            Combine::Not => !first,
            Combine::Diff => first && !any,
            Combine::Diff1 => any && !first,
            Combine::AndOr => first && any,
            Combine::One => set == 1,
        }
    };
    bytes_of(&(0..8 * len).map(bit).collect::<Vec<bool>>())
}

/// The ways to combine so many inputs.
fn ways(inputs: usize) -> impl Iterator<Item = Combine> {
    ALL.into_iter().filter(move |how| *how != Combine::Not || inputs == 1)
}

fn combined(how: Combine, inputs: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    combine(how, inputs, &mut out);
    out
}

const ALL: [Combine; 8] = [
    Combine::And,
    Combine::Or,
    Combine::Xor,
    Combine::Not,
    Combine::Diff,
    Combine::Diff1,
    Combine::AndOr,
    Combine::One,
];

proptest! {
    #[test]
    fn counts_like_the_model(bytes in runs(), ends in any::<(u64, u64)>()) {
        let bits = bits_of(&bytes);
        prop_assert_eq!(count(&bytes), bits.iter().filter(|bit| **bit).count() as u64);
        let range = bits_within(bytes.len(), ends);
        let part = &bits[range.start as usize..range.end as usize];
        prop_assert_eq!(
            count_between(&bytes, range),
            part.iter().filter(|bit| **bit).count() as u64
        );
    }

    #[test]
    fn finds_like_the_model(bytes in runs(), ends in any::<(u64, u64)>(), value in any::<bool>()) {
        let bits = bits_of(&bytes);
        let range = bits_within(bytes.len(), ends);
        let expected = range.clone().find(|at| bits[*at as usize] == value);
        prop_assert_eq!(find(&bytes, value, range), expected);
    }

    #[test]
    fn combines_like_the_model(inputs in proptest::collection::vec(runs(), 1..5)) {
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        for how in ways(inputs.len()) {
            prop_assert_eq!(combined(how, &inputs), model(how, &inputs), "{:?}", how);
        }
    }

    #[test]
    fn fields_are_what_they_were_set_to(
        bytes in proptest::collection::vec(any::<u8>(), 1..40),
        at in any::<u64>(),
        width in 1u32..=64,
        value in any::<u64>(),
    ) {
        let bits = 8 * bytes.len() as u64;
        let width = width.min(bits as u32);
        let field = Field { at: at % (bits - u64::from(width) + 1), width };
        let mut model = bits_of(&bytes);
        let place = field.at as usize..field.at as usize + width as usize;
        let number = |bits: &[bool]| bits.iter().fold(0, |n, bit| n << 1 | u64::from(*bit));
        prop_assert_eq!(field.get(&bytes), number(&model[place.clone()]));
        for (index, bit) in model[place].iter_mut().enumerate() {
            *bit = value >> (width as usize - 1 - index) & 1 == 1;
        }
        let mut written = bytes;
        field.set(&mut written, value);
        prop_assert_eq!(written, bytes_of(&model));
    }

    #[test]
    fn single_bits_are_what_they_were_set_to(
        bytes in proptest::collection::vec(any::<u8>(), 1..20),
        at in any::<u64>(),
        value in any::<bool>(),
    ) {
        let at = at % (8 * bytes.len() as u64);
        let mut model = bits_of(&bytes);
        let mut written = bytes.clone();
        prop_assert_eq!(get(&bytes, at), model[at as usize]);
        prop_assert_eq!(set(&mut written, at, value), model[at as usize]);
        model[at as usize] = value;
        prop_assert_eq!(written, bytes_of(&model));
    }
}

/// Inputs longer than a block, that end in different ones.
#[test]
fn long_inputs_are_combined_like_the_model() {
    let pattern = |len: usize, step: usize| -> Vec<u8> {
        (0..len).map(|at| ((at * step) >> 3) as u8).collect()
    };
    let (a, b, c) = (pattern(3 * BLOCK + 5, 7), pattern(BLOCK, 13), pattern(2 * BLOCK + 99, 3));
    for inputs in [vec![&a[..], &b, &c], vec![&b, &a], vec![&c[..], &[], &b], vec![&a]] {
        for how in ways(inputs.len()) {
            assert!(combined(how, &inputs) == model(how, &inputs), "{how:?}");
        }
    }
}

#[test]
fn what_is_behind_the_end_is_zero() {
    assert!(!get(&[0xff], 8));
    assert!(!get(&[0xff], u64::MAX));
    assert_eq!(Field { at: 4, width: 8 }.get(&[0xff]), 0xf0);
    assert_eq!(Field { at: u64::MAX - 7, width: 64 }.get(&[0xff]), 0);
    assert_eq!(count_between(&[], 0..0), 0);
    assert_eq!(find(&[], false, 0..0), None);
}
