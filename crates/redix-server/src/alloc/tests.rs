//! The allocator of this very process.

use super::*;

#[global_allocator]
static COUNTING: Counting = Counting;

/// What other tests have in use meanwhile.
const OTHERS: u64 = 64 << 20;

#[test]
fn what_is_in_use_is_compared_with_a_limit_as_it_is_now() {
    let before = used_memory() as u64;
    assert!(!uses_more_than(before + OTHERS));
    let large = vec![1u8; 4 * OTHERS as usize];
    assert!(uses_more_than(before + OTHERS));
    let many: Vec<Box<[u8; 1000]>> = (0..OTHERS / 250).map(|_| Box::new([1; 1000])).collect();
    assert!(uses_more_than(before + 5 * OTHERS));
    drop(large);
    assert!(uses_more_than(before + OTHERS) && !uses_more_than(before + 6 * OTHERS));
    drop(many);
    assert!(!uses_more_than(before + OTHERS));
}

/// Fails unless the allocator has as much behind a vector as is counted for it.
fn check(vector: &Vec<u8>) {
    let counted = size_class(vector.capacity());
    assert_eq!(size_behind(vector), counted, "{} bytes", vector.capacity());
}

#[test]
fn blocks_are_counted_as_the_allocator_has_them() {
    for size in (1..70_000).chain((70_000..CLASSES_MAX).step_by(997)).chain([CLASSES_MAX]) {
        let mut vector: Vec<u8> = Vec::with_capacity(size);
        check(&vector);
        if size % 16 == 1 {
            // It shrinks to anything, however little less.
            vector.extend((0..size).map(|at| at as u8));
            for kept in [size - size / 8, size - size / 3, size / 2, size / 5] {
                vector.truncate(kept.max(1));
                vector.shrink_to_fit();
                check(&vector);
            }
            assert!(vector.iter().enumerate().all(|(at, byte)| *byte == at as u8));
        }
    }
}

#[test]
fn the_end_of_a_large_block_may_stay_but_not_much_of_it() {
    let size = 16 << 20;
    let mut vector = vec![1u8; size];
    for (kept, most) in [(size - 1000, size), (size / 4 * 3, size / 4 * 3 + (1 << 20))] {
        vector.truncate(kept);
        vector.shrink_to_fit();
        assert!(size_behind(&vector) <= most as i64, "{kept} of {size}");
    }
    assert!(vector.iter().all(|byte| *byte == 1));
}
