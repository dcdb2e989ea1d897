//! Replication between processes: Redix and the real servers, each in both roles.
//!
//! A scenario is a function of the two servers, and a test for some pairs of them. To prove a
//! scenario, run it with real servers at both ends: what fails there says nothing about Redix.
//! `REDIX_PAIR=valkey_valkey cargo nextest run replication` has all but the chains use
//! that pair.

/// Makes a test of each pair out of the scenario `fn name(primary: Peer, replica: Peer)`.
macro_rules! for_pairs {
    ($scenario:ident) => {
        for_pairs!($scenario: redix_redix, redix_redis7, redix_valkey, redis7_redix, valkey_redix);
    };
    ($scenario:ident: $($pair:ident),+) => {
        mod $scenario {
            $(#[test]
            fn $pair() {
                $crate::replication::run(stringify!($pair), super::$scenario);
            })+
        }
    };
}

mod chain;
mod channels;
mod failover;
mod functions;
mod gates;
mod groups;
mod links;
mod locks;
mod messages;
mod node;
mod producers;
mod raw;
mod records;
mod restarts;
mod roles;
mod slow;
mod sync;
mod traffic;
mod wipe;

use redix_testkit::Peer;

/// Runs a scenario for `primary_replica`, if this machine has both.
fn run(pair: &str, scenario: fn(Peer, Peer)) {
    let pair = std::env::var("REDIX_PAIR").unwrap_or_else(|_| pair.to_owned());
    let peer = |name| Peer::from_name(name).expect("a pair is of peers");
    let (primary, replica) = pair.split_once('_').expect("a pair has two names");
    let (primary, replica) = (peer(primary), peer(replica));
    // Redix is the binary under test.
    let there = |peer: Peer| peer == Peer::Redix || peer.available_or_skip();
    if there(primary) && there(replica) {
        scenario(primary, replica);
    }
}
