//! Pub/sub commands.
//!
//! [`subscribe`] has the six commands that begin and end subscriptions, [`publish`] PUBLISH and
//! SPUBLISH, [`inspect`] the PUBSUB container. The mechanism is [`crate::pubsub`].
//!
//! Source: Redis documentation, "Pub/Sub".

mod docs;
pub mod inspect;
pub mod publish;
pub mod subscribe;

pub(super) use subscribe::{end_transaction, leave_all};
