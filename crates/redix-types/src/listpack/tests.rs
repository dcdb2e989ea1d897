//! Listpacks against payloads of the real servers, and edits against a vector of texts.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn unhex(text: &str) -> Vec<u8> {
    let digit = |d: u8| char::from(d).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn packed(texts: &[&[u8]]) -> Vec<u8> {
    let mut lp = EMPTY.to_vec();
    for text in texts {
        append(&mut lp, Element::of(text));
    }
    lp
}

fn texts(lp: &[u8]) -> Vec<Vec<u8>> {
    let mut buf = IntBuf::new();
    iter(lp).map(|(_, element)| element.text(&mut buf).to_vec()).collect()
}

/// The list that RPUSH made of these elements, as DUMP of Valkey 9.1.2, Redis 7.0.15 and 8.2.3 gave
/// it: every integer width at its limits, and texts that are no integers though they look like it.
#[test]
fn encodes_integers_as_the_servers_do() {
    let expect = unhex(
        "aa0000001e0000017f01c08002dfff02cfff02f1001003d00002f1ffef03f1ff7f03f200800004f1008003f2ff\
         7fff04f2ffff7f04f30000800005f200008004f3ffff7fff05f3ffffff7f05f4000000800000000009f3000000\
         8005f4ffffff7fffffffff09f4ffffffffffffff7f09f400000000000000800993393232333337323033363835\
         3437373538303814822d300382303003822b31038220310383312e3004812d028001ff",
    );
    let elements = "0,127,128,-1,4095,4096,-4096,-4097,32767,32768,-32768,-32769,8388607,8388608,\
                    -8388608,-8388609,2147483647,2147483648,-2147483648,-2147483649,\
                    9223372036854775807,-9223372036854775808,9223372036854775808,-0,00,+1, 1,\
                    1.0,-,";
    let elements: Vec<&[u8]> = elements.split(',').map(str::as_bytes).collect();
    let lp = packed(&elements);
    assert_eq!(lp, expect);
    assert!(validate(&lp, Depth::Elements));
    assert_eq!(texts(&lp), elements);
}

/// Heads and back lengths at the limits of their widths: the first bytes of an element and its last
/// four, as the same servers gave them (Valkey 9.1.2 differs for 16378 bytes: `7fff`).
#[test]
fn encodes_lengths_as_the_servers_do() {
    for (len, head, tail) in [
        (0, "80", "01"),
        (63, "bf", "7878787840"),
        (64, "e040", "7878787842"),
        (125, "e07d", "787878787f"),
        (126, "e07e", "787878780180"),
        (4095, "efff", "7878787820 81"),
        (4096, "f000100000", "787878782085"),
        (16377, "f0f93f0000", "787878787ffe"),
        (16378, "f0fa3f0000", "7878787800ffff"),
        (16379, "f0fb3f0000", "78787878018080"),
    ] {
        let tail = tail.replace(' ', "");
        let lp = packed(&[&vec![b'x'; len]]);
        let element = &lp[HEADER..lp.len() - 1];
        assert!(element.starts_with(&unhex(head)), "{len}");
        assert!(element.ends_with(&unhex(&tail)), "{len}");
        assert_eq!(element.len(), Element::Str(&vec![b'x'; len]).encoded_len());
        assert!(validate(&lp, Depth::Elements), "{len}");
    }
}

/// Valkey 9.1.2 writes the back length of an element of 16383 bytes in two bytes.
#[test]
fn reads_the_short_back_lengths_of_valkey() {
    let mut lp = packed(&[b"a", &[b'x'; 16378], b"b"]);
    let back = lp.len() - 1 - 3 - 3;
    assert_eq!(lp[back..back + 3], [0, 0xff, 0xff]);
    Splice::splice(&mut lp, back, 3, &[&[0x7f, 0xff]]);
    let total = lp.len() as u32;
    lp[..4].copy_from_slice(&total.to_le_bytes());
    assert!(validate(&lp, Depth::Elements));
    assert_eq!(iter(&lp).map(|(_, e)| e.text_len()).collect::<Vec<_>>(), [1, 16378, 1]);
    assert_eq!(iter(&lp).rev().map(|(_, e)| e.text_len()).collect::<Vec<_>>(), [1, 16378, 1]);
    assert_eq!(get(&lp, 2), Some(Element::Str(b"b")));
}

#[test]
fn seeks_from_both_ends() {
    let lp = packed(&[b"a", b"1", b"c", b"-70000", b""]);
    let offsets: Vec<usize> = iter(&lp).map(|(at, _)| at).collect();
    for (index, &at) in offsets.iter().enumerate() {
        assert_eq!(seek(&lp, index), Some(at));
    }
    assert_eq!(seek(&lp, 5), Some(end(&lp)));
    assert_eq!((seek(&lp, 6), get(&lp, 5)), (None, None));
    assert_eq!(get(&lp, 3), Some(Element::Int(-70000)));
}

#[test]
fn finds_texts_and_integers() {
    let lp = packed(&[b"f1", b"12", b"f2", b"f1", b"12", b"7"]);
    let offsets: Vec<usize> = iter(&lp).map(|(at, _)| at).collect();
    assert_eq!(find(&lp, b"f1", HEADER, 0), Some(offsets[0]));
    assert_eq!(find(&lp, b"f1", offsets[1], 0), Some(offsets[3]));
    assert_eq!(find(&lp, b"12", HEADER, 0), Some(offsets[1]));
    assert_eq!(find(&lp, b"12", HEADER, 1), Some(offsets[4]), "only what stands at even places");
    assert_eq!(find(&lp, b"7", HEADER, 1), None);
    assert_eq!(find(&lp, b"07", HEADER, 0), None);
    assert_eq!(find(&EMPTY, b"", HEADER, 0), None);
}

/// A file may hold an integer's text as a string; it is the same element.
#[test]
fn finds_integers_kept_as_text() {
    let mut lp = EMPTY.to_vec();
    append(&mut lp, Element::Str(b"12"));
    assert_eq!(find(&lp, b"12", HEADER, 0), Some(HEADER));
}

/// From 65535 elements on the header has no count, even after deletions.
#[test]
fn counts_what_the_header_cannot() {
    let mut lp = EMPTY.to_vec();
    let ones = vec![Element::Int(1); 65534];
    insert(&mut lp, HEADER, &ones);
    assert_eq!((len(&lp), lp[4], lp[5]), (65534, 0xfe, 0xff));
    append(&mut lp, Element::Str(b"last"));
    append(&mut lp, Element::Int(5));
    assert_eq!((len(&lp), lp[4], lp[5]), (65536, 0xff, 0xff));
    assert!(validate(&lp, Depth::Elements));
    assert_eq!(get(&lp, 65534), Some(Element::Str(b"last")));
    assert_eq!(get(&lp, 65536), None);
    assert_eq!(delete(&mut lp, HEADER, 65535), 65535);
    assert_eq!((len(&lp), texts(&lp)), (1, vec![b"5".to_vec()]));
    assert!(validate(&lp, Depth::Elements));
}

#[test]
fn rejects_what_is_no_listpack() {
    let good = packed(&[b"abc", b"1000", &[b'x'; 200], b"5"]);
    assert!(validate(&good, Depth::Elements));
    for cut in 0..good.len() {
        let mut bytes = good[..cut].to_vec();
        assert!(!validate(&bytes, Depth::Header), "{cut}");
        if cut >= 7 {
            bytes[..4].copy_from_slice(&(cut as u32).to_le_bytes());
            bytes[cut - 1] = END;
            assert!(!validate(&bytes, Depth::Elements), "{cut}");
        }
    }
    for (at, byte) in [(0, 1), (4, 3), (6, 0xf5), (6, 0x84), (10, 5), (good.len() - 1, 0)] {
        let mut bytes = good.clone();
        bytes[at] = byte;
        assert!(!validate(&bytes, Depth::Elements), "byte {at}");
    }
    let mut long = good;
    long.push(END);
    assert!(!validate(&long, Depth::Header));
    assert!(!validate(
        &unhex("0b000000010 0f0ffffffffff".replace(' ', "").as_str()),
        Depth::Elements
    ));
}

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<u8>),
    Prepend(Vec<u8>),
    Insert(usize, Vec<Vec<u8>>),
    Replace(usize, Vec<u8>),
    Delete(usize, usize),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (any::<i64>(), 0..64u32).prop_map(|(n, by)| (n >> by).to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..80),
        1 => (0..5000usize).prop_map(|len| vec![b'x'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        text().prop_map(Op::Append),
        text().prop_map(Op::Prepend),
        (any::<usize>(), prop::collection::vec(text(), 0..7)).prop_map(|(at, v)| Op::Insert(at, v)),
        (any::<usize>(), text()).prop_map(|(at, v)| Op::Replace(at, v)),
        (any::<usize>(), 0..6usize).prop_map(|(at, n)| Op::Delete(at, n)),
    ]
}

fn apply(lp: &mut Vec<u8>, model: &mut Vec<Vec<u8>>, op: Op) {
    match op {
        Op::Append(v) => {
            append(lp, Element::of(&v));
            model.push(v);
        }
        Op::Prepend(v) => {
            prepend(lp, Element::of(&v));
            model.insert(0, v);
        }
        Op::Insert(at, v) => {
            let at = at % (model.len() + 1);
            let elements: Vec<_> = v.iter().map(|v| Element::of(v)).collect();
            insert(lp, seek(lp, at).unwrap(), &elements);
            model.splice(at..at, v);
        }
        Op::Replace(at, v) if !model.is_empty() => {
            let at = at % model.len();
            replace(lp, seek(lp, at).unwrap(), Element::of(&v));
            model[at] = v;
        }
        Op::Delete(at, n) => {
            let at = at % (model.len() + 1);
            let gone = n.min(model.len() - at);
            assert_eq!(delete(lp, seek(lp, at).unwrap(), n), gone);
            model.drain(at..at + gone);
        }
        Op::Replace(..) => {}
    }
}

const CASES: u32 = if cfg!(miri) { 2 } else { 200 };

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn edits_equal_those_of_a_vector(ops in prop::collection::vec(op(), 1..40)) {
        let (mut lp, mut model) = (EMPTY.to_vec(), Vec::new());
        for op in ops {
            apply(&mut lp, &mut model, op);
            prop_assert!(validate(&lp, Depth::Elements));
            prop_assert_eq!(len(&lp), model.len());
        }
        prop_assert_eq!(&texts(&lp), &model);
        let mut buf = IntBuf::new();
        let mut backwards: Vec<_> =
            iter(&lp).rev().map(|(_, e)| e.text(&mut buf).to_vec()).collect();
        backwards.reverse();
        prop_assert_eq!(&backwards, &model);
    }

    /// A valid listpack can be walked both ways, searched and edited without a panic.
    #[test]
    fn what_is_valid_can_be_read(
        texts in prop::collection::vec(text(), 0..12),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let elements: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let mut bytes = packed(&elements);
        let len_before = bytes.len();
        for (at, byte) in changes {
            bytes[at % len_before] = byte;
        }
        if validate(&bytes, Depth::Elements) {
            let forwards = iter(&bytes).count();
            prop_assert_eq!(forwards, iter(&bytes).rev().count());
            prop_assert_eq!(forwards, len(&bytes));
            find(&bytes, b"nothing like it", HEADER, 1);
            delete(&mut bytes, HEADER, 2);
            prop_assert!(validate(&bytes, Depth::Elements));
        }
    }
}
