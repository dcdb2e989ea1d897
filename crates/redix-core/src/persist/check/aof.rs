//! The check of commands: how far they are sound, or how far they go up to a point in time.

use std::io::Read;

use crate::persist::aof::scan::{Item, ScanError, Scanner, parts};

/// What was found in the commands of a file.
#[derive(Debug)]
pub struct Analysis {
    /// The offset behind the last whole unit before `stop`.
    pub sound: u64,
    /// Why it goes no further.
    pub stop: Stop,
}

/// Where an analysis ends.
#[derive(Debug)]
pub enum Stop {
    /// At the end of the file, which is sound.
    End,
    /// At a fault.
    Fault(ScanError),
    /// At a unit that was run after the time that was asked for.
    Later,
    /// At an annotation that should be a time.
    BadTimestamp,
}

/// Reads the commands of `source`, whose first byte is at the offset `start` of the file. `line`
/// counts the parts of commands, as lines: the real tools report the number of the last.
///
/// With `until`, in seconds since the Unix epoch, it ends before what is annotated with a later
/// time. A transaction that is open there is left out as a whole, while the real tools keep its
/// first commands.
pub fn analyse(source: impl Read, start: u64, until: Option<i64>, line: &mut u64) -> Analysis {
    let mut scanner = Scanner::new(source, start);
    let stop = loop {
        let sound = scanner.unit_end();
        match scanner.next_item() {
            Ok(None) => break Stop::End,
            Ok(Some(Item::Command(command))) => *line += parts(command.args().len()),
            Ok(Some(Item::Annotation(note))) => match (until, note.timestamp()) {
                (Some(until), Some(Ok(time))) if time > until => {
                    return Analysis { sound, stop: Stop::Later };
                }
                (Some(_), Some(Err(_))) => return Analysis { sound, stop: Stop::BadTimestamp },
                _ => {}
            },
            Err(error) => {
                *line += error.fault.parts;
                break Stop::Fault(error);
            }
        }
    };
    Analysis { sound: scanner.unit_end(), stop }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &str = "*1\r\n$4\r\nEXEC\r\n";

    #[track_caller]
    fn check(text: &str, until: Option<i64>, sound: usize, lines: u64) -> Stop {
        let mut line = 1;
        let found = analyse(text.as_bytes(), 100, until, &mut line);
        assert_eq!((found.sound, line), (100 + sound as u64, lines), "{:?}", found.stop);
        found.stop
    }

    #[test]
    fn counts_as_the_real_tools_do() {
        let len = SET.len();
        assert!(matches!(check("", None, 0, 1), Stop::End));
        assert!(matches!(check(&SET.repeat(2), None, 2 * len, 15), Stop::End));
        for (rest, lines) in [("!!!", 8), ("*3\r", 8), ("*3\r\n$", 9), ("*3\r\n$3\r\nSE", 10)] {
            let stop = check(&format!("{SET}{rest}"), None, len, lines);
            assert!(matches!(stop, Stop::Fault(_)), "{rest}");
        }
        let open = format!("{SET}{MULTI}{SET}");
        assert!(matches!(check(&open, None, len, 18), Stop::Fault(_)));
    }

    #[test]
    fn ends_before_what_is_later() {
        let text = format!("#TS:100\r\n{SET}#TS:200\r\n{SET}");
        let cut = 9 + SET.len();
        assert!(matches!(check(&text, Some(50), 0, 1), Stop::Later));
        assert!(matches!(check(&text, Some(100), cut, 8), Stop::Later));
        assert!(matches!(check(&text, Some(199), cut, 8), Stop::Later));
        assert!(matches!(check(&text, Some(200), text.len(), 15), Stop::End));
        let inside = format!("{SET}{MULTI}{SET}#TS:200\r\n{SET}{EXEC}");
        assert!(matches!(check(&inside, Some(100), SET.len(), 18), Stop::Later));
        let bad = format!("{SET}#TS:x\r\n{SET}");
        assert!(matches!(check(&bad, Some(100), SET.len(), 8), Stop::BadTimestamp));
        assert!(matches!(check(&bad, None, bad.len(), 15), Stop::End));
    }
}
