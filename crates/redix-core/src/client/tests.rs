#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use redix_resp::request::encode_command;

use super::large::LARGE_MIN;
use super::*;

fn announced(len: usize) -> Input {
    let mut input = Input::default();
    input.push(format!("*2\r\n$3\r\nGET\r\n${len}\r\nx").as_bytes());
    input.parse(1, &Limits::default());
    assert_eq!(input.parked(), 0);
    input
}

#[test]
fn room_for_a_command_is_made_at_once_if_it_is_not_large() {
    let mut input = announced(1_000_000);
    assert!(!input.space().is_empty());
    assert!(input.free_bytes() >= 1_000_000);
}

#[test]
fn what_fits_a_lent_buffer_does_not_enlarge_it() {
    let mut input = Input::default();
    input.lend(vec![0; READ_MIN]);
    for _ in 0..100 {
        input.push(b"*1\r\n$4\r\nPING\r\n");
    }
    assert_eq!(input.bytes.len(), READ_MIN);
    input.push(&[b'x'; READ_MIN]);
    assert!(input.bytes.len() > READ_MIN);
}

#[test]
fn a_large_argument_keeps_no_lent_buffer() {
    let mut input = Input::default();
    input.lend(vec![0; READ_MIN]);
    let head = b"*3\r\n$3\r\nSET\r\n$100000\r\n";
    input.push(&[&head[..], &[b'x'; 10_000]].concat());
    input.parse(1, &Limits::default());
    assert!(input.free_bytes() >= 90_000 && input.free_bytes() < 100_000, "of the argument alone");
    let returned = input.give_back().unwrap();
    assert_eq!(returned.len(), READ_MIN);
    assert_eq!(input.bytes, head);
    assert_eq!(input.pending_bytes() - input.understood_bytes(), 10_000);
    input.push(&[b'x'; 90_000]);
    assert_eq!(input.pending_bytes() - input.understood_bytes(), 100_000);
    input.push(b"\r\n");
    input.parse(1, &Limits::default());
    assert_eq!(input.pending_bytes() - input.understood_bytes(), 0);
    input.push(b"$1\r\nk\r\n");
    input.parse(1, &Limits::default());
    assert_eq!(input.parked(), 1);
    let args = input.args(0);
    assert_eq!((args.get(0), args.get(1).len(), args.get(2)), (&b"SET"[..], 100_000, &b"k"[..]));
}

#[test]
fn a_large_announcement_is_believed_as_its_bytes_come() {
    let mut input = announced(500 << 20);
    let (mut received, mut reads) = (0, 0);
    while received < 10 << 20 {
        let count = input.space().len();
        let (free, believed) = (input.free_bytes(), received * 64 + (2 << 20));
        assert!(free <= believed, "room for {free} bytes after {received}");
        input.received(count);
        input.parse(1, &Limits::default());
        received += count;
        reads += 1;
    }
    assert!(reads < 60, "{reads} reads");
}

#[test]
fn a_large_argument_lives_where_it_was_received() {
    let mut input = Input::default();
    let body = vec![b'v'; 3 << 20];
    input.push(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3145728\r\nv");
    input.parse(1, &Limits::default());
    let mut rest = [&body[1..], b"\r\n*1\r\n$4\r\nPING\r\n"].concat();
    let mut addresses = Vec::new();
    while !rest.is_empty() {
        let space = input.space();
        let count = space.len().min(rest.len());
        addresses.push(space.as_ptr() as usize);
        space[..count].copy_from_slice(&rest[..count]);
        input.received(count);
        rest.drain(..count);
        input.parse(2, &Limits::default());
    }
    assert_eq!(input.parked(), 2);
    let value = input.args(0).shared(2).unwrap();
    assert_eq!(*value, body);
    assert_eq!(input.args(0).get(2), body);
    assert!(value.capacity() < body.len() + 16, "no room is left over");
    let place = value.as_ptr() as usize;
    assert!(addresses.iter().any(|at| (place..place + body.len()).contains(at)));
    assert!(input.pending_bytes() > body.len());
    input.executed(1);
    assert_eq!(Arc::strong_count(&value), 1, "nobody else has it");
    assert_eq!(input.pending_bytes(), b"*1\r\n$4\r\nPING\r\n".len());
    assert_eq!(input.args(0).get(0), b"PING");
    input.executed(1);
    assert_eq!((input.pending_bytes(), input.large.whole_bytes), (0, 0));
}

proptest! {
    /// Arguments are parsed as they were sent, large or not, wherever reads cut them, and survive
    /// being queued.
    #[test]
    fn pieces_do_not_matter_to_large_words(
        commands in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![0..40usize, LARGE_MIN - 3..LARGE_MIN + 4, 90_000..400_000usize],
                1..5,
            ),
            1..6,
        ),
        pieces in prop::collection::vec(1..300_000usize, 1..30),
        limit in 1..4usize,
    ) {
        let words: Vec<Vec<Vec<u8>>> = commands
            .iter()
            .map(|lens| lens.iter().map(|&len| vec![b'a' + (len % 26) as u8; len]).collect())
            .collect();
        let mut bytes = Vec::new();
        words.iter().for_each(|words| encode_command(&mut bytes, words));
        let (mut input, mut seen) = (Input::default(), Vec::new());
        let mut pieces = pieces.iter().cycle();
        let mut rest = &bytes[..];
        loop {
            input.parse(limit, &Limits::default());
            if input.parked() > 0 {
                let kept = input.args(0).to_owned();
                prop_assert!(kept.args().iter_from(0).eq(input.args(0).iter_from(0)));
                seen.push(kept.args().iter_from(0).map(<[u8]>::to_vec).collect::<Vec<_>>());
                input.executed(1);
            } else if rest.is_empty() {
                break;
            } else {
                let (now, later) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
                let before = input.pending_bytes();
                input.push(now);
                prop_assert_eq!(input.pending_bytes(), before + now.len());
                rest = later;
            }
        }
        prop_assert_eq!(&seen, &words);
        prop_assert_eq!(input.pending_bytes(), 0);
    }
}

/// A client that is paused repeatedly, where a command arrives for each one executed.
#[test]
fn spans_do_not_pile_up_behind_what_stays_parked() {
    let mut input = Input::default();
    for number in 0..20_000 {
        input.push(format!("*2\r\n$3\r\nGET\r\n$5\r\n{number:05}\r\n").as_bytes());
        input.parse(usize::MAX, &Limits::default());
        if number >= 20 {
            assert_eq!(input.args(0).get(1), format!("{:05}", number - 20).as_bytes());
            assert_eq!(input.args(20).get(1), format!("{number:05}").as_bytes());
            input.executed(1);
        }
        assert!(input.spans.len() <= 2 * SPANS_SPENT_MAX, "{} spans", input.spans.len());
    }
}

#[test]
fn the_spans_of_a_long_command_do_not_stay() {
    let mut input = Input::default();
    let words = 20 * SPANS_SPENT_MAX;
    input.push(format!("*{words}\r\n{}", "$1\r\na\r\n".repeat(words)).as_bytes());
    input.parse(usize::MAX, &Limits::default());
    assert_eq!(input.args(0).len(), words);
    input.fit();
    assert_eq!(input.args(0).len(), words);
    input.executed(1);
    input.fit();
    assert!(input.spans.capacity() <= 2 * SPANS_SPENT_MAX, "{}", input.spans.capacity());
}
