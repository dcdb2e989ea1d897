#![allow(clippy::unwrap_used)]

use super::*;
use crate::commands::string::encode;
use proptest::prelude::*;
use redix_types::entry::EntryRef;

fn bytes_of(entry: EntryRef<'_>) -> Vec<u8> {
    entry.value().string_bytes(&mut IntBuf::new()).to_vec()
}

proptest! {
    /// `splice` against a plain vector, across the border between inline and heap, while the value
    /// is shared now and then.
    #[test]
    fn splices_like_a_vector(
        first in proptest::collection::vec(any::<u8>(), 0..600),
        edits in proptest::collection::vec(
            (0usize..700, proptest::collection::vec(any::<u8>(), 1..300), any::<bool>()),
            1..12,
        ),
    ) {
        let mut entry = EntryBox::new(b"key", encode(&first).unwrap(), Some(7), 9);
        let mut model = bytes_of(entry.as_ref());
        prop_assert_eq!(&model, &first);
        let mut shares: Vec<(Arc<Vec<u8>>, Vec<u8>)> = Vec::new();
        for (start, bytes, share) in edits {
            if share && let Some(HeapValue::Str(shared)) = entry.heap_mut() {
                shares.push((Arc::clone(shared), model.clone()));
            }
            let len = splice(&mut entry, start, &bytes).unwrap();
            model.resize(model.len().max(start + bytes.len()), 0);
            model[start..start + bytes.len()].copy_from_slice(&bytes);
            prop_assert_eq!(len, model.len());
            prop_assert_eq!(&bytes_of(entry.as_ref()), &model);
            prop_assert_eq!(entry.as_ref().encoding(), Encoding::Raw);
        }
        prop_assert_eq!(entry.as_ref().expire_at_ms(), Some(7));
        for (share, then) in shares {
            prop_assert_eq!(&*share, &then, "a share must not change");
        }
    }
}

#[test]
fn a_number_becomes_text() {
    let mut entry = EntryBox::new(b"n", Value::Int(12345), None, 0);
    assert_eq!(splice(&mut entry, 1, b"9").unwrap(), 5);
    assert_eq!(bytes_of(entry.as_ref()), b"19345");
    assert_eq!(entry.as_ref().encoding(), Encoding::Raw);
}

#[test]
fn appending_is_amortised() {
    let value = [b'x'; 600];
    let mut entry = EntryBox::new(b"k", encode(&value).unwrap(), None, 0);
    let mut moves = 0;
    let mut place = std::ptr::null();
    for len in 600..100_600 {
        splice(&mut entry, len, b"y").unwrap();
        let Some(HeapValue::Str(bytes)) = entry.heap_mut() else { panic!("long, and inline") };
        moves += usize::from(bytes.as_ptr() != place);
        place = bytes.as_ptr();
    }
    assert!(moves < 20, "{moves} moves for 100,000 appends");
}
