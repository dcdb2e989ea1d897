#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn env_file_is_read_as_a_shell_would() {
    let text =
        "# peers\nexport REDIX_VALKEY=\"/opt/v s\"\n REDIX_REDIS7 = '/usr/bin/r'\nEMPTY=\nnoise\n";
    let expected = [("REDIX_VALKEY", "/opt/v s"), ("REDIX_REDIS7", "/usr/bin/r")];
    let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    assert_eq!(parse_env(text), expected);
}

#[test]
fn names_are_found_again() {
    for peer in Peer::ORACLES.into_iter().chain([Peer::Redix]) {
        assert_eq!(Peer::from_name(peer.name()), Some(peer));
    }
    assert_eq!(Peer::from_name("keydb"), None);
}
