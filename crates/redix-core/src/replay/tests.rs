use std::io::{Cursor, Read as _};

use super::{Position, Units};
use crate::repl::log::ReplId;

const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
const INCR: &str = "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n";
const EXEC: &str = "*1\r\n$4\r\nEXEC\r\n";

fn at(digit: char, offset: u64) -> Option<Position> {
    let id = ReplId::parse(digit.to_string().repeat(40).as_bytes()).unwrap();
    Some(Position { id, offset })
}

fn stated(digit: char, offset: u64) -> String {
    format!("#REPL-ID:{}\r\n#REPL-OFFSET:{offset}\r\n", digit.to_string().repeat(40))
}

/// Reads a file behind a position.
fn check(before: Option<Position>, parts: &[&str], whole: &str, expected: Option<Position>) {
    let file = parts.concat();
    let mut units = Units::new(Box::new(Cursor::new(file.clone().into_bytes())), 0, before);
    let mut out = String::new();
    units.read_to_string(&mut out).unwrap();
    assert_eq!(out, whole, "{file}");
    assert_eq!(units.whole_position, expected, "{file}");
}

#[test]
fn the_position_follows_from_what_the_file_states() {
    let (a, len) = (stated('a', 100), INCR.len() as u64);
    check(None, &[], "", None);
    check(at('b', 7), &[], "", at('b', 7));
    check(None, &[&a, INCR], INCR, at('a', 100 + len));
    check(at('b', 7), &[&a, INCR, INCR], &INCR.repeat(2), at('a', 100 + 2 * len));
    // The offset behind what only concerned replicas.
    check(None, &[&a, INCR, "#REPL-OFFSET:500\r\n", INCR], &INCR.repeat(2), at('a', 500 + len));
    check(None, &[INCR, &a], INCR, at('a', 100));
    check(None, &[INCR], INCR, None);
}

#[test]
fn what_the_writer_begins_a_file_with_is_no_part_of_the_stream() {
    let (a, len) = (stated('a', 100), INCR.len() as u64);
    check(at('a', 100), &[SELECT], SELECT, None);
    check(at('a', 100), &[SELECT, &a], SELECT, at('a', 100));
    check(at('a', 100), &[SELECT, &a, INCR], &[SELECT, INCR].concat(), at('a', 100 + len));
}

#[test]
fn an_open_transaction_does_not_count() {
    let (a, len) = (stated('a', 100), INCR.len() as u64);
    check(None, &[&a, INCR, MULTI, INCR], INCR, at('a', 100 + len));
    check(None, &[&a, INCR, MULTI, INCR, "#REPL-OFFSET:500\r\n"], INCR, at('a', 100 + len));
    let whole = [MULTI, INCR, EXEC].concat();
    let end = 500 + EXEC.len() as u64;
    check(None, &[&a, MULTI, INCR, "#REPL-OFFSET:500\r\n", EXEC], &whole, at('a', end));
}
