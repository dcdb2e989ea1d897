//! Kind and encoding follow from the value.

use super::*;

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
