//! The commands: one module per family, each with its specifications beside its handlers.
//!
//! A new family is one line in [`FAMILIES`].

pub mod acl;
pub mod bitmap;
pub mod command;
pub mod config;
pub mod connection;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod keys;
pub mod list;
pub mod lock;
pub mod persist;
pub mod pubsub;
mod repeat;
pub mod repl;
pub mod scripting;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod throttle;
pub mod transactions;
pub mod zset;

use crate::command::spec::CommandSpec;

/// The command tables of all families.
pub const FAMILIES: &[&[CommandSpec]] = &[
    acl::COMMANDS,
    bitmap::bit::COMMANDS,
    bitmap::combine::COMMANDS,
    bitmap::count::COMMANDS,
    bitmap::field::COMMANDS,
    command::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    connection::auth::COMMANDS,
    connection::client::COMMANDS,
    geo::add::COMMANDS,
    geo::read::COMMANDS,
    geo::search::COMMANDS,
    hash::expire::COMMANDS,
    hash::getex::COMMANDS,
    hash::number::COMMANDS,
    hash::random::COMMANDS,
    hash::read::COMMANDS,
    hash::setex::COMMANDS,
    hash::write::COMMANDS,
    hyperloglog::count::COMMANDS,
    hyperloglog::debug::COMMANDS,
    hyperloglog::update::COMMANDS,
    keys::basic::COMMANDS,
    keys::copy::COMMANDS,
    keys::dump::COMMANDS,
    keys::expire::COMMANDS,
    keys::migrate::COMMANDS,
    keys::object::COMMANDS,
    keys::scan::COMMANDS,
    keys::sort::COMMANDS,
    keys::wait::COMMANDS,
    list::block::COMMANDS,
    list::pop::COMMANDS,
    list::push::COMMANDS,
    list::read::COMMANDS,
    list::lmove::COMMANDS,
    list::lmovem::COMMANDS,
    lock::COMMANDS,
    persist::COMMANDS,
    pubsub::inspect::COMMANDS,
    pubsub::publish::COMMANDS,
    pubsub::subscribe::COMMANDS,
    repl::failover::COMMANDS,
    repl::psync::COMMANDS,
    repl::redirect::COMMANDS,
    repl::replconf::COMMANDS,
    repl::replicaof::COMMANDS,
    repl::role::COMMANDS,
    scripting::eval::COMMANDS,
    scripting::fcall::COMMANDS,
    scripting::function::COMMANDS,
    scripting::script::COMMANDS,
    server::cluster::COMMANDS,
    server::commandlog::COMMANDS,
    server::dataset::COMMANDS,
    server::debug::COMMANDS,
    server::info::COMMANDS,
    server::latency::COMMANDS,
    server::lolwut::COMMANDS,
    server::memory::COMMANDS,
    server::modules::COMMANDS,
    server::slowlog::COMMANDS,
    server::monitor::COMMANDS,
    set::card::COMMANDS,
    set::combine::COMMANDS,
    set::random::COMMANDS,
    set::members::COMMANDS,
    stream::add::COMMANDS,
    stream::claim::COMMANDS,
    stream::edit::COMMANDS,
    stream::group::COMMANDS,
    stream::idempotent::COMMANDS,
    stream::info::COMMANDS,
    stream::nack::COMMANDS,
    stream::pending::COMMANDS,
    stream::range::COMMANDS,
    stream::read::COMMANDS,
    string::digest::COMMANDS,
    string::edit::COMMANDS,
    string::increx::COMMANDS,
    string::lcs::COMMANDS,
    string::number::COMMANDS,
    string::read::COMMANDS,
    string::set::COMMANDS,
    throttle::COMMANDS,
    transactions::COMMANDS,
    zset::algebra::COMMANDS,
    zset::pop::COMMANDS,
    zset::range::COMMANDS,
    zset::read::COMMANDS,
    zset::remove::COMMANDS,
    zset::update::COMMANDS,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::spec::{Handler, Locks, flag};

    #[test]
    fn brief_commands_can_run_plainly() {
        for spec in FAMILIES.iter().flat_map(|family| family.iter()) {
            if !spec.has(flag::BRIEF) {
                continue;
            }
            let barred = flag::BLOCKING | flag::MAY_REPLICATE | flag::PROTECTED | flag::NO_MULTI;
            assert!(!spec.has(barred) && spec.has(flag::WRITE | flag::READONLY), "{}", spec.name);
            assert!(matches!(spec.handler, Handler::Data(_)), "{}", spec.name);
            assert!(spec.locks == Locks::Keys && spec.subcommands.is_empty(), "{}", spec.name);
        }
    }
}
