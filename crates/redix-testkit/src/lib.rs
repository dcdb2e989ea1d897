//! Development only: what the tests and the benchmark stand on.
//!
//! - [`peer`]: where the real servers of this machine are.
//! - [`server`]: runs one, or Redix, in a directory of its own.
//! - [`client`]: a blocking client that shows replies as they came.
//! - [`proxy`]: a link between two servers that a test delays, stalls and cuts.
//! - [`script`]: golden scripts, and the targets they run on.
//! - [`oracle`]: random commands on Redix and a real server.
//! - [`engine`]: an engine inside the test, over simulated time, randomness and disk.
//! - [`digest`]: by which the data of two engines is compared.
//! - [`points`]: random moments of a history of writes, restored from its files.
//! - [`forms`]: commands on two engines with different forms of collections.
//! - [`abuse`]: hostile clients against a real server.
//! - [`durability`]: kill -9 and power cuts beside clients that log what was acknowledged;
//! - [`powercut`]: a directory whose files suffer them.
//! - [`sim`]: servers, their network and their disks under one seed.
//! - [`writes`]: random writes of all types.
//! - [`encodings`]: a data set with every encoding of every type.
//! - [`quoting`]: binary-safe text for arguments and replies.
//! - [`rights`]: access control beside a real server;
//! - [`traces`]: caches beside real servers.
//! - [`options`]: the options of the programs here.
//! - [`rng`]: the seeded generator of everything random.
//!
//! **Invariants.** Nothing here is part of the product. Only [`engine`], [`digest`], [`forms`],
//! [`points`] and [`sim`] know `redix-core`, so that the unit tests of core, which are another
//! build of it, can use the rest. A process is ended only by the id of a child that was started
//! here. No fixed ports and no sleep longer than 10 ms: everything waits for a condition under a
//! deadline.
#![forbid(unsafe_code)]

pub mod abuse;
pub mod ahead;
pub mod client;
pub mod digest;
pub mod disk;
pub mod durability;
pub mod encodings;
pub mod engine;
pub mod forms;
pub mod options;
pub mod oracle;
pub mod peer;
pub mod points;
pub mod powercut;
pub mod proxy;
pub mod quoting;
pub mod rights;
pub mod rng;
pub mod script;
pub mod server;
pub mod sim;
pub mod traces;
pub mod writes;

pub use client::Client;
pub use peer::Peer;
pub use proxy::Proxy;
pub use rng::Rng;
pub use script::{Script, ScriptTarget};
pub use server::{Launch, Server};
