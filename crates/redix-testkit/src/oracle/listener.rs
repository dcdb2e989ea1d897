//! A subscriber's connection: messages arrive between its replies.
//!
//! A server may deliver a message a moment after it has replied to its publisher. So messages and
//! replies are kept apart: replies are compared when they arrive, messages, in their order, at the
//! end of the epoch.

use std::time::{Duration, Instant};

use anyhow::Result;
use redix_resp::Value;

use crate::client::Client;
use crate::script::Command;

/// The timeout of a message.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(5);

pub(super) struct Listener {
    client: Client,
    messages: Vec<Value>,
    /// Number of pings sent, each with a text of its own.
    pings: u64,
}

impl Listener {
    pub(super) fn new(client: Client) -> Self {
        Self { client, messages: Vec::new(), pings: 0 }
    }

    /// Sends a command; returns all replies to it, or the error.
    pub(super) fn exchange(&mut self, args: &Command) -> Result<Value> {
        self.client.send(args)?;
        let mut replies = self.replies()?;
        Ok(match replies.as_slice() {
            [Value::Error(_)] => replies.remove(0),
            _ => Value::Array(replies),
        })
    }

    /// What arrives before the reply to a ping, except messages.
    fn replies(&mut self) -> Result<Vec<Value>> {
        self.pings += 1;
        let word = format!("ping {}", self.pings).into_bytes();
        self.client.send(&[&b"PING"[..], &word])?;
        let mut replies = Vec::new();
        loop {
            let value = self.client.receive()?;
            match &value {
                Value::Bulk(text) if *text == word => return Ok(replies),
                // Under RESP2 a subscriber's pong is an array.
                Value::Array(parts) if parts.get(1) == Some(&Value::Bulk(word.clone())) => {
                    return Ok(replies);
                }
                _ if is_message(&value) => self.messages.push(value),
                _ => replies.push(value),
            }
        }
    }

    /// All messages so far, of which there should be `count`: waits for those that have not
    /// arrived.
    pub(super) fn take_messages(&mut self, count: usize) -> Result<Vec<Value>> {
        let deadline = Instant::now() + DELIVERY_DEADLINE;
        self.replies()?;
        while self.messages.len() < count && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
            self.replies()?;
        }
        Ok(in_order_of_patterns(std::mem::take(&mut self.messages)))
    }
}

/// A message that matches several patterns arrives in the order of a hash table of theirs.
fn in_order_of_patterns(mut messages: Vec<Value>) -> Vec<Value> {
    let said = |value: &Value| match value {
        Value::Array(parts) | Value::Push(parts) if parts.len() == 4 => Some(parts[2..].to_vec()),
        _ => None,
    };
    messages
        .chunk_by_mut(|a, b| said(a).is_some() && said(a) == said(b))
        .for_each(|same| same.sort_by_key(Value::pretty));
    messages
}

fn is_message(value: &Value) -> bool {
    let (Value::Array(parts) | Value::Push(parts)) = value else { return false };
    let kinds = [&b"message"[..], b"pmessage", b"smessage"];
    matches!(parts.first(), Some(Value::Bulk(kind)) if kinds.contains(&kind.as_slice()))
}
