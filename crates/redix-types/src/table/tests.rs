#![allow(clippy::unwrap_used)]

use super::*;
use crate::entry::{Encoding, EntryBox, Kind, NewValue};

#[test]
fn keeps_its_load_while_it_grows_and_shrinks() {
    let h = KeyHasher::new([7; 16]);
    for count in [10u32, 100, 1000, 3000, 10_000, 100_000, 1_000_000] {
        let mut t = Table::<EntryBox>::new();
        for i in 0..count {
            let key = format!("key:{i:012}");
            let hash = h.hash(key.as_bytes());
            assert!(t.find(hash, key.as_bytes()).is_none());
            let e = EntryBox::new(
                key.as_bytes(),
                Kind::String,
                Encoding::Int,
                NewValue::Int(i.into()),
                None,
                0,
            );
            t.insert_new(hash, e, false, &h);
        }
        for i in 0..count {
            let key = format!("key:{i:012}");
            let hash = h.hash(key.as_bytes());
            let pos = t.find(hash, key.as_bytes()).unwrap();
            assert_eq!(t.get(pos).key(), key.as_bytes());
        }
        let per_item = t.memory_bytes() as f64 / f64::from(count);
        assert!(count < 1000 || (11.8..13.0).contains(&per_item), "{count}: {per_item}");
        for i in 0..count {
            let key = format!("key:{i:012}");
            let hash = h.hash(key.as_bytes());
            let pos = t.find(hash, key.as_bytes()).unwrap();
            t.remove(pos);
        }
        assert_eq!(t.memory_bytes(), 0);
    }
}
