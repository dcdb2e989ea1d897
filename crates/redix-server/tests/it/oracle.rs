//! Random commands on Redix and on Valkey, the leading real server: replies and data sets are
//! equal. `golden/DIFFERS.txt` lists accepted differences; each of its lines is verified.
//!
//! A few thousand commands of each family; `cargo xtask accept oracle` runs many more.

use redix_testkit::oracle::{self, Family, Plan, differs};
use redix_testkit::peer::repo_root;
use redix_testkit::{Peer, Server};

const SEED: u64 = 20;
/// Of each family under each protocol.
const COUNT: usize = 3000;

fn redix() -> Server {
    super::start(&oracle::ARGS)
}

fn differences() -> Vec<differs::Difference> {
    let path = repo_root().join("golden/DIFFERS.txt");
    differs::load(&path).unwrap()
}

fn compare(family: Family) {
    compare_with(Peer::Valkey, family);
}

fn compare_with(oracle: Peer, family: Family) {
    if !oracle.available_or_skip() {
        return;
    }
    let (redix, real) = (redix(), oracle::start(oracle).unwrap());
    let differences = if oracle == Peer::Valkey { differences() } else { Vec::new() };
    for proto in [2, 3] {
        let (seed, count) = (SEED, COUNT);
        let plan = Plan { seed, count, family, proto, oracle, epoch: None };
        let report = oracle::run_stream_on(redix.addr(), real.addr(), &plan, &differences).unwrap();
        report.check().unwrap();
        assert!(report.commands >= COUNT);
    }
}

#[test]
fn oracle_string() {
    compare(Family::String);
}

#[test]
fn oracle_zset() {
    compare(Family::Zset);
}

#[test]
fn oracle_set() {
    compare(Family::Set);
}

#[test]
fn oracle_list() {
    compare(Family::List);
}

#[test]
fn oracle_hash() {
    compare(Family::Hash);
}

#[test]
fn oracle_fields() {
    compare(Family::Fields);
}

/// Redis 8 has expiring fields too, in a dialect of its own.
#[test]
fn oracle_fields_of_redis_8() {
    compare_with(Peer::Redis8, Family::Fields);
}

#[test]
fn oracle_bitmap() {
    compare(Family::Bitmap);
}

#[test]
fn oracle_geo() {
    compare(Family::Geo);
}

#[test]
fn oracle_hyperloglog() {
    compare(Family::Hyperloglog);
}

#[test]
fn oracle_stream() {
    compare(Family::Stream);
}

/// Redis 8 deletes entries with regard to the groups that refer to them.
#[test]
fn oracle_references() {
    compare_with(Peer::Redis8, Family::References);
}

#[test]
fn oracle_keys() {
    compare(Family::Keys);
}

#[test]
fn oracle_expiry() {
    compare(Family::Expiry);
}

#[test]
fn oracle_transaction() {
    compare(Family::Transaction);
}

#[test]
fn oracle_connection() {
    compare(Family::Connection);
}

#[test]
fn oracle_pubsub() {
    compare(Family::Pubsub);
}

#[test]
fn oracle_scripts() {
    compare(Family::Scripts);
}

#[test]
fn oracle_server() {
    compare(Family::Server);
}

#[test]
fn oracle_differences_are_those_of_the_servers_they_name() {
    let differences = differences();
    assert!(!differences.is_empty());
    differs::verify_all(&differences, redix().addr()).unwrap();
}
