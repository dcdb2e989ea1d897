//! Commands as data, and the path of every command.
//!
//! [`spec`] says what a command is, [`table`] finds it by name, [`plan`] turns its keys into shard
//! locks, [`dispatch`] runs it behind the gates (arity, authentication, MULTI, locks, effects).
//! Nothing here knows any single command: the families are passed in from [`crate::commands`].

pub mod args;
pub mod audit;
pub mod blocked;
pub mod context;
pub mod dispatch;
pub mod line;
pub mod plan;
pub(crate) mod prepared;
pub mod rights;
pub mod scan;
pub mod spec;
pub mod table;
pub mod timing;
