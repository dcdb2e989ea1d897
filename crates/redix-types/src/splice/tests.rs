//! Editing a vector against the standard library's own splice.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_vector_is_edited_as_by_the_standard_library(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
        at in any::<prop::sample::Index>(),
        remove in any::<prop::sample::Index>(),
    ) {
        let at = at.index(bytes.len() + 1);
        let remove = remove.index(bytes.len() - at + 1);
        let mut expected = bytes.clone();
        drop(Vec::splice(&mut expected, at..at + remove, pieces.concat()));
        let mut edited = bytes;
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        Splice::splice(&mut edited, at, remove, &pieces);
        prop_assert_eq!(edited, expected);
    }
}
