#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Peer, Server};

#[test]
fn a_real_server_agrees_with_itself_and_denies() {
    if !Peer::Valkey.available_or_skip() {
        return;
    }
    let servers = [0, 1].map(|_| Server::start::<&str>(Peer::Valkey, &[]).unwrap());
    let compared = compare([servers[0].addr(), servers[1].addr()], 1, 40).unwrap();
    assert!(compared.dry_denied > 100 && compared.dry - compared.dry_denied > 100, "{compared:?}");
    assert!(compared.real_denied > 50 && compared.real - compared.real_denied > 50, "{compared:?}");
    assert!(compared.refused > 10, "{compared:?}");
}
