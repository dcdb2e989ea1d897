//! Development only: what the tests and the benchmark stand on.
//!
//! [`peer`] finds the real servers of this machine, [`server`] runs one (or Redix) in a directory of its own.
//!
//! **Invariants.** Nothing here is part of the product. A process is ended only by the id of a child
//! that was started here. No fixed ports and no sleep longer than 10 ms: everything waits for a condition
//! under a deadline.
#![forbid(unsafe_code)]

pub mod peer;
pub mod server;

pub use peer::Peer;
pub use server::{Launch, Server};
