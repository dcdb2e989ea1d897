//! Channels: subscribing to them and publishing.
//!
//! [`subscribe`] is the six commands that begin and end subscriptions, [`publish`] those that send,
//! [`inspect`] the PUBSUB container. What they stand on is [`crate::pubsub`].
//!
//! Source: Redis documentation, "Pub/Sub".

mod docs;
pub mod inspect;
pub mod publish;
pub mod subscribe;

pub(super) use subscribe::{end_transaction, leave_all};
