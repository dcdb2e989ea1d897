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
