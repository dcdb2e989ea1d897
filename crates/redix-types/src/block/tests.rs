//! Blocks: sizes, links, sharing, and exactly one free each.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// Called for every block that is allocated or freed.
pub(super) fn count_live(change: isize) {
    LIVE.with(|live| live.set(live.get() + change));
}

/// Blocks that this thread has allocated and not freed.
pub(crate) fn live() -> isize {
    LIVE.with(Cell::get)
}

const CASES: u32 = if cfg!(miri) { 4 } else { 64 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

#[test]
fn sizes_are_classes_of_the_allocator() {
    for (bytes, class) in [
        (1, 16),
        (16, 16),
        (17, 32),
        (128, 128),
        (129, 160),
        (257, 320),
        (513, 640),
        (1025, 1280),
        (512 * 1024, 512 * 1024),
        (512 * 1024 + 1, 516 * 1024),
    ] {
        assert_eq!(size_class(bytes), class, "{bytes}");
        assert_eq!(size_class(class), class);
    }
    for payload in 0..3000 {
        let block = Block::new(payload);
        assert_eq!(block.size(), size_class(HEAD + payload));
        assert!(block.payload().len() >= payload && block.payload().len().is_multiple_of(16));
        assert!(block.payload().iter().all(|&byte| byte == 0));
    }
}

#[test]
fn parts_lie_one_after_the_other() {
    for len in [0, 1, 15, 16, 255, 5000, 1 << 20] {
        let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let (head, tail) = bytes.split_at(len / 3);
        let block = Block::from_parts(&[head, tail]);
        assert_eq!(&block.payload()[..block.used()], bytes);
        assert!(block.payload()[len..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_copy_keeps_everything_and_shares_links() {
    let mut block = Block::new(40);
    block.payload_mut()[..5].copy_from_slice(b"front");
    for index in 0..3 {
        let link = (index != 1).then(|| Block::from_parts(&[b"linked", &[index]]));
        block.insert_link(usize::from(index), link, 5, 0);
    }
    block.set_n(7);
    block.set_used(70_000);
    block.set_flags(9);
    let before = live();
    let mut copy = block.clone();
    assert!(block.is_shared() && copy.is_shared());
    assert!(copy.own());
    assert!(!copy.own());
    assert_eq!(live(), before + 1);
    assert!(!block.is_shared());
    assert_eq!((copy.n(), copy.used(), copy.flags(), copy.links()), (7, 70_000, 9, 3));
    assert_eq!(&copy.payload()[..5], b"front");
    assert_eq!(copy.size(), block.size());
    assert!(copy.link(0).unwrap().is_shared() && copy.link(1).is_none());
    copy.payload_mut()[0] = b'F';
    *copy.link_mut(0) = None;
    assert_eq!(block.payload()[0], b'f');
    assert_eq!(block.link(0).unwrap().payload()[..7], *b"linked\0");
    drop((block, copy));
    assert_eq!(live(), before - 3);
}

#[test]
#[should_panic(expected = "shared block")]
fn a_shared_block_cannot_be_written() {
    let mut block = Block::new(16);
    let _other = block.clone();
    block.payload_mut();
}

#[test]
#[should_panic(expected = "shared block")]
fn a_shared_block_keeps_its_links() {
    let mut block = Block::new(64);
    block.insert_link(0, None, 0, 0);
    let _other = block.clone();
    block.remove_link(0, 0);
}

/// Threads that clone, copy and drop the same blocks: the last owner frees.
#[test]
fn threads_share_and_drop() {
    let rounds: u32 = if cfg!(miri) { 20 } else { 1000 };
    let mut block = Block::new(64);
    block.insert_link(0, Some(Block::from_parts(&[b"inner"])), 0, 0);
    for round in 0..rounds {
        block.payload_mut()[..4].copy_from_slice(&round.to_le_bytes());
        let read = |mut block: Block| {
            assert_eq!(block.payload()[..4], round.to_le_bytes());
            if block.own() {
                block.payload_mut()[0] ^= 1;
            }
            assert_eq!(block.link(0).unwrap().payload()[..5], *b"inner");
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let block = block.clone();
                scope.spawn(move || read(block));
            }
        });
        assert!(!block.is_shared());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert { at: usize, full: bool },
    Remove { at: usize },
    Share,
    Unshare,
    Grow { by: usize },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (any::<usize>(), any::<bool>()).prop_map(|(at, full)| Op::Insert { at, full }),
        3 => any::<usize>().prop_map(|at| Op::Remove { at }),
        1 => Just(Op::Share),
        1 => Just(Op::Unshare),
        1 => (0usize..200).prop_map(|by| Op::Grow { by }),
    ];
    prop::collection::vec(op, 1..80)
}

proptest! {
    #![proptest_config(config())]

    /// Links are inserted and removed, and both ends of the payload are preserved.
    #[test]
    fn links_are_a_list(ops in ops(), front in 0usize..40, back in 0usize..40) {
        let start = live();
        let mut block = Block::new(front + back);
        let (head, tail) = (vec![1; front], vec![2; back]);
        block.payload_mut()[..front].copy_from_slice(&head);
        let end = block.payload().len();
        block.payload_mut()[end - back..].copy_from_slice(&tail);
        let mut model: Vec<Option<u32>> = Vec::new();
        let mut shares: Vec<(Block, Vec<Option<u32>>)> = Vec::new();
        for (step, op) in (0u32..).zip(ops) {
            match op {
                Op::Insert { at, full } => {
                    block.own();
                    let at = at % (model.len() + 1);
                    let link = full.then(|| Block::from_parts(&[&step.to_le_bytes()]));
                    block.insert_link(at, link, front, back);
                    model.insert(at, full.then_some(step));
                }
                Op::Remove { at } if !model.is_empty() => {
                    block.own();
                    let at = at % model.len();
                    let removed = block.remove_link(at, front);
                    prop_assert_eq!(removed.as_ref().map(number_in), model.remove(at));
                }
                Op::Remove { .. } => {}
                Op::Share => shares.push((block.clone(), model.clone())),
                Op::Unshare => drop(shares.pop()),
                Op::Grow { by } => block.relocate(front + back + by, front, back),
            }
            for (block, model) in shares.iter().chain([&(block.clone(), model.clone())]) {
                let links = (0..block.links()).map(|at| block.link(at).map(number_in));
                prop_assert_eq!(&links.collect::<Vec<_>>(), model);
                let payload = block.payload();
                prop_assert_eq!(&payload[..front], &head);
                prop_assert_eq!(&payload[payload.len() - back..], &tail);
            }
        }
        drop((block, shares));
        prop_assert_eq!(live(), start);
    }
}

fn number_in(block: &Block) -> u32 {
    u32::from_le_bytes(block.payload()[..4].try_into().unwrap())
}
