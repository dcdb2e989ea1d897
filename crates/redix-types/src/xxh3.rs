//! XXH3 with 64 bits and seed 0, which DIGEST shows of strings. Not for security.
//!
//! Source: the specification of the XXH3 algorithm, version 0.2.0 of the xxHash project.

const PRIME32_1: u64 = 0x9e37_79b1;
const PRIME32_2: u64 = 0x85eb_ca77;
const PRIME32_3: u64 = 0xc2b2_ae3d;
const PRIME64_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME64_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME64_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME64_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME64_5: u64 = 0x27d4_eb2f_1656_67c5;
const PRIME_MX1: u64 = 0x1656_6791_9e37_79f9;
const PRIME_MX2: u64 = 0x9fb2_1c65_1e98_df25;

/// The default secret.
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

const STRIPE: usize = 64;
/// Bytes by which the place in the secret advances with each stripe.
const CONSUMED: usize = 8;
const STRIPES_PER_BLOCK: usize = (SECRET.len() - STRIPE) / CONSUMED;
const BLOCK: usize = STRIPE * STRIPES_PER_BLOCK;
/// The least length of a secret, from whose end medium inputs count.
const SECRET_MIN: usize = 136;

/// The digest of `bytes`.
pub fn xxh3_64(bytes: &[u8]) -> u64 {
    match bytes.len() {
        0 => avalanche64(secret(56) ^ secret(64)),
        1..=3 => of_3(bytes),
        4..=8 => of_8(bytes),
        9..=16 => of_16(bytes),
        17..=128 => of_128(bytes),
        129..=240 => of_240(bytes),
        _ => of_long(bytes),
    }
}

fn word32(bytes: &[u8], at: usize) -> u64 {
    let word: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    u64::from(u32::from_le_bytes(word))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn secret(at: usize) -> u64 {
    word(&SECRET, at)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The final mix of XXH64.
fn avalanche64(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME64_2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME64_3);
    hash ^ (hash >> 32)
}

/// The final mix of XXH3.
fn avalanche(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 37)).wrapping_mul(PRIME_MX1);
    hash ^ (hash >> 32)
}

fn of_3(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let [first, middle, last] = [0, len >> 1, len - 1].map(|at| u64::from(bytes[at]));
    let combined = (first << 16) | (middle << 24) | last | ((len as u64) << 8);
    avalanche64(combined ^ word32(&SECRET, 0) ^ word32(&SECRET, 4))
}

fn of_8(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let input = word32(bytes, len - 4) + (word32(bytes, 0) << 32);
    let mut hash = input ^ secret(8) ^ secret(16);
    hash ^= hash.rotate_left(49) ^ hash.rotate_left(24);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^= (hash >> 35).wrapping_add(len as u64);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^ (hash >> 28)
}

fn of_16(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let low = word(bytes, 0) ^ secret(24) ^ secret(32);
    let high = word(bytes, len - 8) ^ secret(40) ^ secret(48);
    let sum = (len as u64).wrapping_add(low.swap_bytes()).wrapping_add(high);
    avalanche(sum.wrapping_add(fold(low, high)))
}

/// Mixes 16 bytes of the input with 16 of the secret.
fn mix(bytes: &[u8], at: usize, secret_at: usize) -> u64 {
    fold(word(bytes, at) ^ secret(secret_at), word(bytes, at + 8) ^ secret(secret_at + 8))
}

fn of_128(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let mut hash = (len as u64).wrapping_mul(PRIME64_1);
    // Pairs from both ends towards the middle.
    for pair in (0..=(len - 1) / 32).rev() {
        hash = hash.wrapping_add(mix(bytes, 16 * pair, 32 * pair));
        hash = hash.wrapping_add(mix(bytes, len - 16 * (pair + 1), 32 * pair + 16));
    }
    avalanche(hash)
}

fn of_240(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let mut hash = (len as u64).wrapping_mul(PRIME64_1);
    for round in 0..8 {
        hash = hash.wrapping_add(mix(bytes, 16 * round, 16 * round));
    }
    hash = avalanche(hash);
    for round in 8..len / 16 {
        hash = hash.wrapping_add(mix(bytes, 16 * round, 16 * (round - 8) + 3));
    }
    avalanche(hash.wrapping_add(mix(bytes, len - 16, SECRET_MIN - 17)))
}

type Lanes = [u64; 8];

fn accumulate(lanes: &mut Lanes, stripe: &[u8], secret_at: usize) {
    for lane in 0..lanes.len() {
        let value = word(stripe, 8 * lane);
        let key = value ^ secret(secret_at + 8 * lane);
        lanes[lane ^ 1] = lanes[lane ^ 1].wrapping_add(value);
        let product = (key & 0xffff_ffff) * (key >> 32);
        lanes[lane] = lanes[lane].wrapping_add(product);
    }
}

fn scramble(lanes: &mut Lanes) {
    for (lane, value) in lanes.iter_mut().enumerate() {
        *value ^= *value >> 47;
        *value ^= secret(SECRET.len() - STRIPE + 8 * lane);
        *value = value.wrapping_mul(PRIME32_1);
    }
}

fn of_long(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let mut lanes =
        [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];
    // The last byte belongs to no block: a last stripe, which may overlap, ends the input.
    for block in bytes[..len - 1].chunks(BLOCK) {
        for (index, stripe) in block.chunks_exact(STRIPE).enumerate() {
            accumulate(&mut lanes, stripe, CONSUMED * index);
        }
        if block.len() == BLOCK {
            scramble(&mut lanes);
        }
    }
    accumulate(&mut lanes, &bytes[len - STRIPE..], SECRET.len() - STRIPE - 7);
    let mut hash = (len as u64).wrapping_mul(PRIME64_1);
    for pair in 0..4 {
        let at = 11 + 16 * pair;
        let mixed = fold(lanes[2 * pair] ^ secret(at), lanes[2 * pair + 1] ^ secret(at + 8));
        hash = hash.wrapping_add(mixed);
    }
    avalanche(hash)
}

#[cfg(test)]
mod tests;
