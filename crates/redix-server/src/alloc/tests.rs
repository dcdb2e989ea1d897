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
