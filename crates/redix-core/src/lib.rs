//! The engine: `(now, session, argv) -> reply + effects`.
//!
//! Everything a Redis-compatible server does with commands, keys and files, written without
//! sockets, threads or a wall clock: those are supplied through [`mod@env`], so that the same code
//! runs in the server, in a test and in a simulator.
//!
//! Reading order: [`keyspace`] (shards, gates, the locked view), [`command`] (specification, lock
//! plan, dispatch), [`commands`] (one module per family), [`worker`] (the connections of one
//! thread), [`rdb`] (the file format), [`persist`] (the forkless snapshot), [`repl`] (the
//! replication log and the two roles).
//!
//! **Invariants.** Handlers never lock, read a clock, do I/O or see a socket. Locks are taken in
//! ascending shard index, all before the handler runs. Time is frozen per command.
#![forbid(unsafe_code)]

pub mod acl;
pub mod aof;
pub mod blocking;
pub mod channel;
pub mod client;
pub mod command;
pub mod commandlog;
pub mod commands;
pub mod config;
pub mod effects;
pub mod engine;
pub mod env;
pub mod error;
pub mod errorstats;
pub mod eviction;
pub mod expire;
pub mod invalidation;
pub mod keyspace;
pub mod latency;
pub mod mailbox;
pub mod migration;
pub mod moment;
pub mod monitor;
pub mod pause;
pub mod persist;
pub mod pubsub;
pub mod rates;
pub mod rdb;
pub mod recent;
pub mod registry;
pub mod repl;
pub mod replay;
pub mod restore;
pub mod saves;
pub mod scripting;
pub mod session;
pub mod spare;
pub mod stats;
pub mod sync;
pub mod tls;
pub mod tracking;
pub mod upstream;
pub mod worker;
