//! The end of a unit with pub/sub messages or keyspace events.

use smallvec::SmallVec;

use super::Runner;
use crate::channel::{Kind, Outgoing};
use crate::config::notify;
use crate::effects::{Event, Notice, Request};
use crate::pubsub::PubSub;

impl Runner<'_> {
    /// As `finish_unit`, for a unit with messages or keyspace events: the records are appended to
    /// the log and the messages posted under the locks of their channels.
    #[inline(never)]
    pub(super) fn finish_with_notices(&mut self, multi: bool) -> Option<u64> {
        let engine = self.engine;
        let mut messages: SmallVec<[Outgoing; 2]> = SmallVec::new();
        for notice in self.keys.effects.take_notices() {
            match notice {
                Notice::Message(message) => messages.push(message),
                Notice::Event(event) => self.announce(&event, &mut messages),
            }
        }
        let order = engine.pubsub.order(messages.iter());
        let records = self.keys.effects.records();
        let end = (!records.is_empty()).then(|| engine.repl.log.append(records, multi));
        if let Some(end) = end {
            self.note_logged(end);
        }
        let limit = self.config.client_output_buffer_limit.pubsub.most_bytes();
        let mut here = false;
        for message in messages {
            here |= PubSub::send(&engine.registry, message, limit, &mut self.to_wake);
        }
        drop(order);
        if here {
            self.requests.push(Request::Deliver);
        }
        end
    }

    /// The messages that announce a keyspace event.
    fn announce(&self, event: &Event, messages: &mut SmallVec<[Outgoing; 2]>) {
        let pubsub = &self.engine.pubsub;
        if !pubsub.has_plain_subscribers() {
            return;
        }
        let classes = self.config.notify_keyspace_events;
        let mut send = |channel: &[u8], text: &[u8]| {
            messages.extend(pubsub.prepare(Kind::Plain, channel, text).1);
        };
        if classes & notify::KEYSPACE != 0 {
            let prefix = format!("__keyspace@{}__:", event.db);
            send(&[prefix.as_bytes(), &event.key].concat(), event.name.as_bytes());
        }
        if classes & notify::KEYEVENT != 0 {
            let channel = format!("__keyevent@{}__:{}", event.db, event.name);
            send(channel.as_bytes(), &event.key);
        }
    }
}
