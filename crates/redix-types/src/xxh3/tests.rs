use super::xxh3_64;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at * 167 + 13) % 251) as u8).collect()
}

/// Digests by version 0.8 of the xxHash library, at the ends of each range of lengths.
#[test]
fn digests_are_those_of_the_library() {
    for (len, digest) in [
        (0, 0x2d06_8005_38d3_94c2),
        (1, 0x8a21_d78b_1538_b1c0),
        (3, 0x9d34_a52b_e934_7c7d),
        (4, 0x710b_f530_682a_5a15),
        (8, 0x4099_abbb_b089_5910),
        (9, 0x1570_44fc_90b7_9287),
        (16, 0x2042_bc2e_10b4_c4bf),
        (17, 0x1ddb_5906_f04a_8a01),
        (32, 0x8752_e5a3_b162_786c),
        (33, 0xfbbf_3653_d87e_db3c),
        (64, 0xf37e_9d49_f228_6ebb),
        (65, 0xbd6d_9b59_23cc_80e5),
        (96, 0x5cc0_54f2_33fd_b879),
        (97, 0x641e_2147_f9b6_472c),
        (128, 0x442f_ed45_32cd_9036),
        (129, 0x13b9_1d8a_08fb_7933),
        (240, 0xfe57_3080_78a8_decd),
        (241, 0xf15f_f881_cb95_f40a),
        (256, 0x919e_1b7a_5042_b2b6),
        (512, 0xef0c_5a9e_4c1f_14d6),
        (1024, 0x42a7_7b06_4912_50a7),
        (1025, 0x3c30_cbbc_e1d2_ccbb),
        (1088, 0x4b4b_4942_e26c_bf66),
        (5000, 0xcdfb_2615_2990_a200),
    ] {
        assert_eq!(xxh3_64(&pattern(len)), digest, "{len} bytes");
    }
}

/// The library's digest of its digests of all shorter inputs.
#[test]
fn every_length_has_the_digest_of_the_library() {
    let input = pattern(3000);
    let digests: Vec<u8> =
        (0..=3000).flat_map(|len| xxh3_64(&input[..len]).to_le_bytes()).collect();
    assert_eq!(xxh3_64(&digests), 0x91fd_18aa_3a9c_0c56);
}
