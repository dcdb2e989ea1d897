//! Real Sentinels that watch three servers: a primary and two replicas.
//!
//! A scenario is a function of the servers and of the Sentinels, and a test for the Sentinels of
//! each project. `REDIX_SENTINEL_SERVERS=redis7 cargo nextest run sentinel` proves it with real
//! servers. The periods of the Sentinels are shortened with their SENTINEL DEBUG.

/// Makes a test with each kind of Sentinels out of the scenario
/// `fn name(servers: Peer, sentinels: Peer)`.
macro_rules! for_sentinels {
    ($scenario:ident) => {
        for_sentinels!($scenario: redis7, valkey);
    };
    ($scenario:ident: $($sentinels:ident),+) => {
        mod $scenario {
            $(#[test]
            fn $sentinels() {
                $crate::sentinel::run(stringify!($sentinels), super::$scenario);
            })+
        }
    };
}

mod choice;
mod clients;
mod discovery;
mod failover;
mod group;
mod series;

use redix_testkit::Peer;

/// Runs a scenario, if this machine has what it needs.
fn run(sentinels: &str, scenario: fn(Peer, Peer)) {
    let servers = std::env::var("REDIX_SENTINEL_SERVERS").unwrap_or_else(|_| "redix".to_owned());
    let servers = Peer::from_name(&servers).expect("REDIX_SENTINEL_SERVERS is a server");
    let sentinels = Peer::from_name(sentinels).expect("Sentinels are of a real server");
    // Redix is the binary under test.
    if sentinels.available_or_skip() && (servers == Peer::Redix || servers.available_or_skip()) {
        scenario(servers, sentinels);
    }
}
