//! A connection that listens: messages come between its replies.
//!
//! A server may deliver a message a moment after its publisher has been answered. So a listener
//! keeps messages and replies apart: replies are compared when they come, the messages, in their
//! order, at the end of the epoch.

use std::time::{Duration, Instant};

use anyhow::Result;
use redix_resp::Value;

use crate::client::Client;
use crate::script::Command;

/// How long messages may be on their way.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(5);

pub(super) struct Listener {
    client: Client,
    messages: Vec<Value>,
    /// Pings sent, of which each has words of its own.
    pings: u64,
}

impl Listener {
    pub(super) fn new(client: Client) -> Self {
        Self { client, messages: Vec::new(), pings: 0 }
    }

    /// Sends a command; all the replies to it, or the error.
    pub(super) fn exchange(&mut self, args: &Command) -> Result<Value> {
        self.client.send(args)?;
        let mut replies = self.replies()?;
        Ok(match replies.as_slice() {
            [Value::Error(_)] => replies.remove(0),
            _ => Value::Array(replies),
        })
    }

    /// What comes before the answer to a ping, messages apart.
    fn replies(&mut self) -> Result<Vec<Value>> {
        self.pings += 1;
        let word = format!("ping {}", self.pings).into_bytes();
        self.client.send(&[&b"PING"[..], &word])?;
        let mut replies = Vec::new();
        loop {
            let value = self.client.receive()?;
            match &value {
                Value::Bulk(text) if *text == word => return Ok(replies),
                // Under RESP2 a listener's pong is an array.
                Value::Array(parts) if parts.get(1) == Some(&Value::Bulk(word.clone())) => {
                    return Ok(replies);
                }
                _ if is_message(&value) => self.messages.push(value),
                _ => replies.push(value),
            }
        }
    }

    /// All messages so far, of which there should be `count`: it is waited for those that have yet
    /// to come.
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

/// One message that fits several patterns comes in the order of a hash table of theirs.
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
