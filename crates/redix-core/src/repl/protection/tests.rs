use super::*;
use ReplicaProtect::{No, Strict, Yes};

const NOTHING: Contents = Contents { keys: false, libraries: false };
const KEYS: Contents = Contents { keys: true, libraries: false };
const LIBRARIES: Contents = Contents { keys: false, libraries: true };
const BOTH: Contents = Contents { keys: true, libraries: true };

fn id(digit: u8) -> ReplId {
    ReplId::parse(&[digit; 40]).unwrap()
}

fn offer(digit: u8, end: u64) -> Offer {
    Offer { id: id(digit), end: Some(end) }
}

fn armed() -> Protection {
    let protection = Protection::default();
    protection.arm();
    protection
}

#[test]
fn what_would_be_lost_decides() {
    let cases = [
        (KEYS, NOTHING, true),
        (KEYS, LIBRARIES, true),
        (BOTH, LIBRARIES, true),
        (LIBRARIES, NOTHING, true),
        (LIBRARIES, LIBRARIES, false),
        (LIBRARIES, KEYS, false),
        (KEYS, KEYS, false),
        (NOTHING, NOTHING, false),
        (NOTHING, LIBRARIES, false),
    ];
    for (here, offered, refused) in cases {
        for mode in [Yes, Strict, No] {
            let lack = armed().judge_contents(mode, here, offered);
            let expected = (refused && mode != No).then_some(Lack::Keys);
            assert_eq!(lack, expected, "{mode:?}: {here:?} for {offered:?}");
            // Without having been in sync anything is welcome.
            assert_eq!(Protection::default().judge_contents(mode, here, offered), None);
        }
    }
}

#[test]
fn less_history_is_refused_in_strict_mode() {
    let judge = |mode, here, offered| armed().judge_history(mode, (here, 100), offered);
    assert_eq!(judge(Strict, KEYS, offer(b'a', 99)), Some(Lack::History));
    assert_eq!(judge(Strict, LIBRARIES, offer(b'a', 0)), Some(Lack::History));
    assert_eq!(judge(Strict, KEYS, offer(b'a', 100)), None);
    assert_eq!(judge(Strict, NOTHING, offer(b'a', 0)), None);
    assert_eq!(judge(Yes, KEYS, offer(b'a', 0)), None);
    assert_eq!(judge(No, KEYS, offer(b'a', 0)), None);
    // It does not state its offset.
    assert_eq!(judge(Strict, KEYS, Offer { id: id(b'a'), end: None }), None);
    let fresh = Protection::default();
    assert_eq!(fresh.judge_history(Strict, (KEYS, 100), offer(b'a', 0)), None);
}

#[test]
fn what_was_refused_stays_refused_under_its_id() {
    let protection = armed();
    let judge = |mode, digit, end| protection.judge_history(mode, (KEYS, 100), offer(digit, end));
    protection.refuse(Lack::Keys, id(b'a'));
    for mode in [Yes, Strict] {
        assert_eq!(judge(mode, b'a', 500), Some(Lack::Keys), "{mode:?}");
        assert_eq!(judge(mode, b'b', 500), None, "{mode:?}");
    }
    assert_eq!(judge(No, b'a', 500), None);
    protection.refuse(Lack::History, id(b'b'));
    assert_eq!(judge(Strict, b'b', 500), Some(Lack::History));
    assert_eq!(judge(Yes, b'b', 500), None, "this mode does not ask for history");
    assert_eq!(protection.refused().unwrap().times, 2);
}

#[test]
fn consent_and_sync_end_a_refusal() {
    let protection = armed();
    protection.refuse(Lack::Keys, id(b'a'));
    protection.consent();
    assert_eq!((protection.refused(), protection.is_armed()), (None, false));
    assert_eq!(protection.judge_contents(Strict, KEYS, NOTHING), None);
    protection.arm();
    protection.refuse(Lack::Keys, id(b'a'));
    protection.arm();
    assert_eq!((protection.refused(), protection.is_armed()), (None, true));
}
