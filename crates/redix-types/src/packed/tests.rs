//! Pages against a vector of elements, and the vector instructions against plain loops.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::block::tests::live;

const OPS: usize = if cfg!(miri) { 30 } else { 200 };
const CASES: u32 = if cfg!(miri) { 2 } else { 64 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

/// One element of the model: tag, column and bytes.
type Model<const W: usize> = Vec<(u8, [u8; W], Vec<u8>)>;

/// Runs `f` with the element to be stored.
fn new_of<R>(bytes: &[u8], f: impl FnOnce(New<'_>) -> R) -> R {
    let (a, b) = bytes.split_at(bytes.len() / 2);
    f(New::of(&[a, &[], b]))
}

/// Invariants P1 and P2, and that the page equals the model, by all ways of reading.
fn check<const W: usize>(page: &Block, model: &Model<W>) {
    let inside = |(_, _, bytes): &&(u8, [u8; W], Vec<u8>)| bytes.len() <= INLINE_MAX;
    let used: usize = model.iter().filter(inside).map(|(_, _, bytes)| bytes.len()).sum();
    let outside = model.len() - model.iter().filter(inside).count();
    assert_eq!((page.n(), page.used(), page.links()), (model.len(), used, outside));
    assert!(front::<W>(page.n()) + page.used() <= page.payload().len());
    assert_eq!(weight::<W>(page), HEAD + model.len() * (2 + W) + used + 8 * outside);
    let read: Model<W> = (0..page.n())
        .map(|at| (tag(page, at), column::<W>(page, at), get(page, at).bytes().to_vec()))
        .collect();
    assert_eq!(&read, model);
    for from in [0, model.len() / 2, model.len()] {
        let walked = iter_from(page, from).map(|(tag, element)| (tag, element.bytes().to_vec()));
        let expected = model[from..].iter().map(|(tag, _, bytes)| (*tag, bytes.clone()));
        assert!(walked.eq(expected));
    }
    for (tag, _, bytes) in model {
        let same = |(t, _, b): &(u8, [u8; W], Vec<u8>)| t == tag && b == bytes;
        let found = find(page, *tag, |element| element.bytes() == bytes).map(|(at, _)| at);
        assert_eq!(found, model.iter().position(same));
    }
    assert_eq!(find(page, 77, |element| element.bytes() == b"absent"), None);
}

#[derive(Clone, Debug)]
enum Op {
    Insert { at: usize, tag: u8, column: u64, bytes: Vec<u8> },
    Replace { at: usize, bytes: Vec<u8> },
    Overwrite { at: usize, byte: u8 },
    Column { at: usize, column: u64 },
    Remove { at: usize },
    Split { at: usize },
    Share,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![6 => 0usize..20, 2 => 20usize..=254, 1 => 255usize..600];
    len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (any::<usize>(), 0u8..4, any::<u64>(), bytes())
            .prop_map(|(at, tag, column, bytes)| Op::Insert { at, tag, column, bytes }),
        3 => (any::<usize>(), bytes()).prop_map(|(at, bytes)| Op::Replace { at, bytes }),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Op::Overwrite { at, byte }),
        1 => (any::<usize>(), any::<u64>()).prop_map(|(at, column)| Op::Column { at, column }),
        6 => any::<usize>().prop_map(|at| Op::Remove { at }),
        1 => any::<usize>().prop_map(|at| Op::Split { at }),
        1 => Just(Op::Share),
    ];
    prop::collection::vec(op, 1..OPS)
}

fn column_of<const W: usize>(column: u64) -> [u8; W] {
    column.to_le_bytes()[..W].try_into().unwrap()
}

/// Splits at an index, by a predicate and back together.
fn split_and_join<const W: usize>(page: &mut Block, model: &Model<W>, at: usize) {
    let (mut left, right) = split_at::<W>(page, at);
    check(&left, &model[..at].to_vec());
    check(&right, &model[at..].to_vec());
    append_all::<W>(&mut left, &right);
    check(&left, model);
    *page = left;
}

fn history<const W: usize>(ops: Vec<Op>) {
    let start = live();
    let mut page = Block::new(0);
    let mut model: Model<W> = Vec::new();
    let mut shares: Vec<(Block, Model<W>)> = Vec::new();
    for op in ops {
        page.own();
        let len = model.len();
        match op {
            Op::Insert { at, tag, column, bytes } => {
                let (at, column) = (at % (len + 1), column_of(column));
                new_of(&bytes, |new| insert::<W>(&mut page, at, tag, column, new));
                model.insert(at, (tag, column, bytes));
            }
            Op::Share => shares.push((page.clone(), model.clone())),
            _ if len == 0 => {}
            Op::Replace { at, bytes } => {
                let at = at % len;
                let old = new_of(&bytes, |new| replace::<W>(&mut page, at, new));
                assert_eq!(old.is_some(), model[at].2.len() > INLINE_MAX);
                model[at].2 = bytes;
            }
            Op::Overwrite { at, byte } => {
                let at = at % len;
                let place = inline_mut(&mut page, at);
                assert_eq!(place.is_some(), model[at].2.len() <= INLINE_MAX);
                if let Some(place) = place {
                    place.fill(byte);
                    model[at].2.fill(byte);
                }
            }
            Op::Column { at, column } => {
                let (at, column) = (at % len, column_of(column));
                set_column::<W>(&mut page, at, column);
                model[at].1 = column;
            }
            Op::Remove { at } => {
                let at = at % len;
                let old = remove::<W>(&mut page, at);
                let (_, _, bytes) = model.remove(at);
                let outside = old.map(|old| old.payload()[..old.used()].to_vec());
                assert_eq!(outside, (bytes.len() > INLINE_MAX).then_some(bytes));
            }
            Op::Split { at } => split_and_join(&mut page, &model, at % (len + 1)),
        }
        check(&page, &model);
    }
    for (page, model) in &shares {
        check(page, model);
    }
    drop((page, shares));
    assert_eq!(live(), start);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_page_is_a_list(ops in ops()) {
        history::<0>(ops.clone());
        history::<8>(ops);
    }

    #[test]
    fn a_split_by_a_predicate_keeps_the_order(
        elements in prop::collection::vec((any::<u8>(), bytes()), 0..60),
    ) {
        let mut page = Block::new(0);
        for (tag, bytes) in &elements {
            new_of(bytes, |new| push::<0>(&mut page, *tag, [], new));
        }
        let goes = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum ^ byte) & 1 == 1;
        let (stay, go) = split_by(&page, |element| goes(element.bytes()));
        let model = |side| -> Model<0> {
            let mine = elements.iter().filter(|(_, bytes)| goes(bytes) == side);
            mine.map(|(tag, bytes)| (*tag, [], bytes.clone())).collect()
        };
        check(&stay, &model(false));
        check(&go, &model(true));
        for page in [&stay, &go] {
            let need = page.n() * 2 + page.used() + page.links().div_ceil(2) * 16;
            // A link may have moved the page meanwhile.
            assert!(page.size() <= size_class(HEAD + need + 16) + page.links() * 16);
        }
    }

    #[test]
    fn vector_instructions_agree_with_loops(
        metas in prop::collection::vec(prop_oneof![any::<u8>(), Just(255), Just(7)], 16),
        count in 0usize..=8,
        tag in prop_oneof![any::<u8>(), Just(255), Just(7)],
    ) {
        let metas: [u8; 16] = metas.try_into().unwrap();
        let mask = (1u32 << (2 * count)) - 1;
        prop_assert_eq!(search::portable::sum(&metas, count), search::sum_lengths(&metas, count));
        prop_assert_eq!(
            (search::portable::outside(&metas) & mask).count_ones() as usize,
            search::count_outside(&metas, count)
        );
        let mut found = Vec::new();
        search::find::<()>(&metas, count, tag, |index| { found.push(index); None });
        let expected = (0..count).filter(|&at| metas[2 * at] == tag).collect::<Vec<_>>();
        prop_assert_eq!(found, expected);
        #[cfg(target_arch = "x86_64")]
        {
            use search::{portable, sse2};
            prop_assert_eq!(portable::tagged(&metas, tag), sse2::tagged(&metas, tag));
            prop_assert_eq!(portable::outside(&metas), sse2::outside(&metas));
            prop_assert_eq!(portable::sum(&metas, count), sse2::sum(&metas, count));
            let word = u32::from_le_bytes(metas[count / 2 * 4 % 16..][..4].try_into().unwrap());
            for word in [word, word ^ 1] {
                let portable = portable::equal_words(&metas, word);
                prop_assert_eq!(portable, sse2::equal_words(&metas, word));
            }
        }
    }
}

/// The longest element inside, the shortest outside, and an empty page.
#[test]
fn lengths_at_the_limit() {
    for len in [0, 253, 254, 255, 256, 70_000] {
        let mut page = Block::new(0);
        let bytes = vec![b'x'; len];
        for _ in 0..3 {
            new_of(&bytes, |new| push::<0>(&mut page, 1, [], new));
        }
        assert_eq!(page.links(), if len > INLINE_MAX { 3 } else { 0 });
        check(&page, &vec![(1, [], bytes); 3]);
    }
}

#[test]
fn a_page_shrinks() {
    let mut page = Block::new(0);
    for _ in 0..100 {
        push::<8>(&mut page, 1, [0; 8], New::Inline(&[b"0123456789"]));
    }
    assert_eq!(page.size(), size_class(HEAD + 2000));
    for left in (0..100).rev() {
        remove::<8>(&mut page, left);
        let need = HEAD + left * 20;
        assert!(page.size() <= size_class(need + need / 8), "{left} left: {}", page.size());
    }
}
