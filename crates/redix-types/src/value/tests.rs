//! Kind and encoding follow from the value.

use super::*;
use crate::hash::Lifetime;
use crate::table::KeyHasher;

#[test]
fn a_strings_encoding_follows_its_length_unless_it_was_edited() {
    let (short, long) = ([b'x'; EMBSTR_MAX], [b'x'; EMBSTR_MAX + 1]);
    assert_eq!(Value::Str(&short).encoding(), Encoding::Embstr);
    assert_eq!(Value::Str(&long).encoding(), Encoding::Raw);
    assert_eq!(Value::Raw(&short).encoding(), Encoding::Raw);
    assert_eq!(Value::Int(7).encoding(), Encoding::Int);
}

#[test]
fn header_bits_lead_back_to_every_kind_and_encoding() {
    for kind in [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash, Kind::Stream] {
        assert_eq!(Kind::from_bits(kind as u8), kind);
    }
    for bits in 0..8 {
        assert_eq!(Encoding::from_bits(bits) as u8, bits);
    }
}

#[test]
fn compact_forms_name_their_kind() {
    let forms = [Compact::List, Compact::SetOfInts, Compact::Set, Compact::Zset, Compact::Hash];
    for compact in forms {
        let value = Value::Packed(compact, b"");
        let heap = HeapValue::Packed(compact, Vec::new());
        assert_eq!((value.kind(), value.encoding()), (heap.kind(), heap.encoding()));
    }
}

#[test]
fn hints_at_members_end_and_change_nothing() {
    let hasher = KeyHasher::new([3; 16]);
    let names: Vec<String> = (0..3000).map(|id| format!("member {id}")).collect();
    for len in [0, 1, 20, 3000] {
        let (mut set, mut hash, mut zset) = (set::Table::new(), Hash::new(), Zset::new());
        for (score, name) in names[..len].iter().map(String::as_bytes).enumerate() {
            set.add(name, &hasher);
            hash.set(name, &[b'v'; 300], Lifetime::Endless, &hasher);
            zset.insert(&hasher, name, score as f64);
        }
        let values = [
            HeapValue::Set(Box::new(set)),
            HeapValue::Hash(Box::new(hash)),
            HeapValue::Zset(Box::new(zset)),
        ];
        for (value, steps) in values.iter().zip([2, 2, 3]) {
            for (nth, name) in names.iter().enumerate() {
                let hash = hasher.hash(name.as_bytes());
                let mut lookup = MemberLookup::new(hash);
                while value.prefetch_member(&mut lookup) {}
                assert!(lookup.step == steps || (nth >= len && lookup.step < steps), "{lookup:?}");
                // The collection has changed meanwhile: the leaf that was found may be gone.
                for (step, found) in [(2, 0), (2, 1), (2, u32::MAX), (9, 7)] {
                    assert!(!value.prefetch_member(&mut MemberLookup { hash, step, found }));
                }
            }
        }
    }
}
