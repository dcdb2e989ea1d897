//! The hash against another implementation of the same function.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::KeyHasher;

#[test]
fn agrees_with_the_streaming_hasher() {
    let bytes: Vec<u8> = (0..100_u32).map(|n| (n * 37 + 11) as u8).collect();
    for seed in 0..8_u8 {
        let key: [u8; 16] = std::array::from_fn(|at| seed.wrapping_mul(29) ^ (at as u8 * 17));
        for start in 0..9 {
            for end in start..bytes.len() {
                let text = &bytes[start..end];
                let mut other = SipHasher13::new_with_key(&key);
                other.write(text);
                assert_eq!(KeyHasher::new(key).hash(text), other.finish(), "{key:?} {text:?}");
            }
        }
    }
}
