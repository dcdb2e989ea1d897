//! The keyspace events that one server publishes.
//!
//! Expiries are excluded: when a server notices that a key has expired is not specified.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use redix_resp::Value;

use crate::client::Client;

/// Every class that all real servers have.
const CLASSES: &str = "AKEmn";
/// Published after the last event, so that its subscriber knows the end.
const END: &str = "end of the epoch";

/// A subscriber to all keyspace events.
pub(super) struct Events {
    client: Client,
}

impl Events {
    /// Switches events on and subscribes to them.
    pub(super) fn listen(addr: SocketAddr, admin: &mut Client) -> Result<Events> {
        admin.must(&["CONFIG", "SET", "notify-keyspace-events", CLASSES])?;
        let mut client = Client::connect(addr)?;
        client.must(&["PSUBSCRIBE", "__key*__:*"])?;
        client.must(&["SUBSCRIBE", END])?;
        Ok(Events { client })
    }

    /// The events so far, as `channel text`.
    pub(super) fn take(&mut self, admin: &mut Client) -> Result<Vec<String>> {
        admin.must(&["PUBLISH", END, ""])?;
        let mut events = Vec::new();
        loop {
            let message = self.client.reply()?;
            let Value::Array(parts) = &message else { bail!("no message: {}", message.pretty()) };
            let texts: Vec<String> = parts.iter().map(Value::pretty).collect();
            match texts.as_slice() {
                [kind, ..] if kind == "\"message\"" => return Ok(events),
                [_, _, channel, text] if is_expiry(channel, text) => {}
                [_, _, channel, text] => events.push(format!("{channel} {text}")),
                _ => bail!("no event: {}", message.pretty()),
            }
        }
    }
}

fn is_expiry(channel: &str, text: &str) -> bool {
    (channel.starts_with("\"__keyspace") && text == "\"expired\"")
        || (channel.starts_with("\"__keyevent") && channel.ends_with(":expired\""))
}
