#![allow(clippy::unwrap_used)]
use super::*;
use crate::Server;

const LINE: &str = "redis7 7.0.15 | SET k v ; GET k | GET * | \"v\" | \"w\" | because";

#[test]
fn a_line_covers_what_it_says() {
    let difference = parse(&format!("# note\n\n{LINE}\n")).unwrap().remove(0);
    let (v, w) = (Value::Bulk(b"v".to_vec()), Value::Bulk(b"w".to_vec()));
    let get = [b"get".to_vec(), b"k".to_vec()];
    assert!(difference.covers(&get, &v, &w));
    assert!(!difference.covers(&get, &w, &v));
    assert!(!difference.covers(&[b"getdel".to_vec(), b"k".to_vec()], &v, &w));
}

#[test]
fn bad_files_are_refused() {
    for bad in ["redis7 | GET k | x", "keydb 6 | GET k | a | b | c | d"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse(&format!("{LINE}\n").repeat(LINES_MAX + 1)).is_err());
}

#[test]
fn a_stale_line_fails() {
    let Some(peer) = Peer::ORACLES.into_iter().find(|peer| peer.available_or_skip()) else {
        return;
    };
    let server = Server::start::<&str>(peer, &[]).unwrap();
    let difference = parse(LINE).unwrap().remove(0);
    let error = difference.verify(server.addr(), server.addr(), None).unwrap_err();
    assert!(error.to_string().contains("stale: the leader"), "{error}");
}

#[test]
fn the_file_of_the_repository_is_well_formed() {
    load(&crate::peer::repo_root().join("golden/DIFFERS.txt")).unwrap();
}
