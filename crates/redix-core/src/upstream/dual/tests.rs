use super::*;

const ID: &str = "f32aeef0c6dfa99a4aee12fb04181ee95900ab7b";

#[test]
fn places_are_parsed() {
    let id = ReplId::parse(ID.as_bytes()).unwrap();
    let check = |text: String, expected: Option<(u64, Option<u32>, u64)>| {
        let expected = expected.map(|(end, db, client)| Place { id, end, db, client });
        assert_eq!(parse_place(&text), expected, "{text}");
    };
    check(format!("$ENDOFF:0 {ID} -1 8"), Some((0, None, 8)));
    check(format!("$ENDOFF:{} {ID} 15 1", i64::MAX), Some((i64::MAX as u64, Some(15), 1)));
    check(format!("$ENDOFF:{} {ID} 15 1", i64::MAX as u64 + 1), None);
    check(format!("$ENDOFF:0 {ID} 0"), None);
    check(format!("$ENDOFF:0 {ID} 0 8 9"), None);
    check(format!("$ENDOFF:0 {} 0 8", &ID[1..]), None);
    check(format!("$ENDOFF:-1 {ID} 0 8"), None);
    check(format!("$EOF:0 {ID} 0 8"), None);
    check(String::new(), None);
}

/// What was put is taken, whatever the sizes, and no more memory is used than one chunk beyond it.
#[test]
fn the_buffer_is_a_queue() {
    let mut buffered = Buffered::default();
    let (mut put, mut taken) = (0_u32, 0_u32);
    let mut out = vec![0; 3 * CHUNK_BYTES];
    for turn in 1..200_usize {
        let sizes = [1, 7, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 3];
        let bytes: Vec<u8> = (0..sizes[turn % 5] as u32).map(|at| (put + at) as u8).collect();
        buffered.put(&bytes);
        put += bytes.len() as u32;
        let room = sizes[turn / 5 % 5] + 1;
        let count = buffered.take(&mut out[..room]);
        assert_eq!(count, room.min((put - taken) as usize));
        assert!(out[..count].iter().zip(taken..).all(|(byte, at)| *byte == at as u8));
        taken += count as u32;
        assert_eq!(buffered.bytes(), u64::from(put - taken));
        assert!(buffered.chunks.len() * CHUNK_BYTES <= (put - taken) as usize + 2 * CHUNK_BYTES);
    }
    while buffered.take(&mut out) > 0 {}
    assert!(buffered.is_empty() && buffered.chunks.is_empty());
}
