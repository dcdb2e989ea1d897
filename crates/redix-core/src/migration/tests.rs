use std::io;

use super::{Outcome, Step};

#[test]
fn a_connection_that_was_closed_is_worth_another_try_and_a_silent_one_is_not() {
    for (kind, again) in [
        (io::ErrorKind::UnexpectedEof, true),
        (io::ErrorKind::ConnectionReset, true),
        (io::ErrorKind::BrokenPipe, true),
        (io::ErrorKind::TimedOut, false),
        // As a socket read times out.
        (io::ErrorKind::WouldBlock, false),
    ] {
        let outcome = Outcome::broken(Step::Writing, &kind.into());
        assert_eq!(outcome.worth_another_try(), again, "{kind}");
        assert_eq!(outcome.leaves_selected(0), None);
    }
}

#[test]
fn the_first_refusal_is_what_the_client_is_told() {
    let mut outcome = Outcome::default();
    assert!(!outcome.note_refusal(b"+OK"));
    assert!(outcome.error().is_none());
    assert!(outcome.note_refusal(b"-NO way") && outcome.note_refusal(b"-ERR later"));
    let text = outcome.error().expect("it was refused").text();
    assert_eq!(&*text, b"ERR Target instance replied with error: NO way");
    // The selected database is unknown.
    assert_eq!(outcome.leaves_selected(3), Some(None));
}
