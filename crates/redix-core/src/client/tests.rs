#![allow(clippy::unwrap_used)]

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
    assert!(announced(1_000_000).space().len() > 1_000_000);
}

#[test]
fn a_large_announcement_is_believed_as_its_bytes_come() {
    let mut input = announced(500 << 20);
    assert!(input.space().len() <= 2 * READ_MIN);
    let (mut received, mut reads) = (0, 0);
    while received < 10 << 20 {
        let count = input.space().len();
        input.received(count);
        input.parse(1, &Limits::default());
        received += count;
        reads += 1;
        assert!(input.space().len() <= received + 2 * READ_MIN, "{received}");
    }
    assert!(reads < 30, "{reads} reads");
}

/// Commands of a client that is held back again and again: one more comes for each that goes.
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
