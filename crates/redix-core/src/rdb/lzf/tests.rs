#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn round_trip(input: &[u8]) -> Option<usize> {
    let mut compressor = Compressor::default();
    let compressed = compressor.compress(input, input.len().saturating_sub(4))?;
    let mut out = Vec::new();
    decompress(compressed, input.len(), &mut out).unwrap();
    assert_eq!(out, input);
    assert_eq!(lzf::decompress(compressed, input.len()).unwrap(), input, "the crate disagrees");
    Some(compressed.len())
}

/// Pseudorandom bytes that do not repeat within the window.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn runs_take_three_bytes_per_264() {
    // Two literals before the first copy and two behind the last.
    assert_eq!(round_trip(&[b'a'; 2 + 264 * 100 + 2]), Some(3 + 3 * 100 + 3));
}

#[test]
fn noise_is_declined() {
    for len in [0, 3, 21, 100, 10_000] {
        assert_eq!(round_trip(&noise(len)), None, "{len} bytes");
    }
}

#[test]
fn matches_reach_back_8192_bytes_and_no_further() {
    let sizes = [8192, 8193].map(|distance| {
        let mut input = noise(64);
        input.resize(distance, b'x');
        input.extend_from_slice(&noise(64));
        round_trip(&input).unwrap()
    });
    assert!(sizes[0] + 50 < sizes[1], "{sizes:?}");
}

#[test]
fn a_limit_is_kept() {
    let input = b"abcdefghij0123456789abcdefghij0123456789".repeat(10);
    let mut compressor = Compressor::default();
    let len = compressor.compress(&input, input.len()).unwrap().len();
    for limit in 0..input.len() {
        match compressor.compress(&input, limit) {
            Some(compressed) => assert!(compressed.len() <= limit && compressed.len() == len),
            None => assert!(limit < len + 4, "declined at {limit}, {len} are needed"),
        }
    }
}

#[test]
fn short_strings_are_declined_as_by_real_servers() {
    // As DUMP of Valkey 9.1.2 has them.
    let compressed = |text: &str| round_trip(text.as_bytes()).is_some();
    for (text, expected) in [
        ("aaaaaaaaaaaaaaaaaaaaa", true),
        ("abababababababababababab", true),
        ("abcdefghijabcdefghija", false),
        ("abcdefghijabcdefghijab", false),
        ("abcdefghijabcdefghijabcd", true),
        ("uvwxyz0123456zzzzzzzz", false),
        ("aaaaaaaababbaabbbaaba", false),
    ] {
        assert_eq!(compressed(text), expected, "{text}");
    }
}

#[test]
fn the_table_is_cleared_before_positions_overflow() {
    let input = b"the table outlives the input, the table outlives the input";
    let mut compressor = Compressor::default();
    let first = compressor.compress(input, input.len()).unwrap().to_vec();
    for base in [u32::MAX - 200, u32::MAX - 59, u32::MAX - 58, u32::MAX - 57, u32::MAX] {
        compressor.base = base;
        for _ in 0..5 {
            assert_eq!(compressor.compress(input, input.len()).unwrap(), first, "base {base}");
        }
    }
}

#[test]
fn broken_input_is_refused() {
    let check = |input: &[u8], len: usize, expect: &str| {
        let error = decompress(input, len, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), expect, "{input:?}");
    };
    check(&[2, b'a'], 3, "compressed string ends inside literals");
    check(&[0, b'a', 0x20], 4, "compressed string ends inside a copy");
    check(&[0, b'a', 0xe0], 10, "compressed string ends inside a copy");
    check(&[0, b'a', 0xe0, 0], 10, "compressed string ends inside a copy");
    check(&[0x20, 0], 3, "compressed string refers before its start");
    check(&[0, b'a', 0x20, 1], 4, "compressed string refers before its start");
    check(&[0, b'a', 0x20, 0], 3, "compressed string is longer than it says");
    check(&[1, b'a', b'b'], 1, "compressed string is longer than it says");
    check(&[0, b'a'], 2, "compressed string is shorter than it says");
    check(&[], 1, "compressed string is shorter than it says");
}

#[test]
fn a_claimed_length_reserves_little() {
    let mut out = Vec::new();
    decompress(&[0, b'a'], 512 << 20, &mut out).unwrap_err();
    assert!(out.capacity() <= RESERVE_AHEAD_MAX, "{}", out.capacity());
}

proptest! {
    #[test]
    fn any_string_round_trips(
        parts in vec((vec(any::<u8>(), 1..40), 1usize..60), 0..60),
    ) {
        let input: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
        round_trip(&input);
    }

    #[test]
    fn what_the_crate_compresses_is_read(part in vec(0u8..4, 0..3000)) {
        if let Ok(compressed) = lzf::compress(&part) {
            let mut out = Vec::new();
            decompress(&compressed, part.len(), &mut out).unwrap();
            prop_assert_eq!(out, part);
        }
    }

    #[test]
    fn any_bytes_give_the_length_or_an_error(
        input in vec(any::<u8>(), 0..300),
        len in 0usize..2000,
    ) {
        let mut out = Vec::new();
        if decompress(&input, len, &mut out).is_ok() {
            prop_assert_eq!(out.len(), len);
        }
    }
}
