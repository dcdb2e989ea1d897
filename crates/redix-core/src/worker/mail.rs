//! Delivery of mail to a worker's connections.
//!
//! **Invariant.** A connection that has published to itself executes nothing further until the mail
//! has been delivered, so that its messages follow the reply that caused them, in the order in
//! which other subscribers get them.

use super::Worker;
use crate::channel::{Delivery, Target};
use crate::client::Client;
use crate::invalidation::Invalidated;
use crate::mailbox::Mail;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Halts a connection that may have published to itself.
pub(super) fn await_mail(client: &mut Client, token: usize, awaiting: &mut Vec<usize>) {
    if client.session.subscriptions.is_some() && !client.halted {
        client.halted = true;
        awaiting.push(token);
    }
}

impl Worker {
    /// Makes the calling thread the one that this worker runs on; see [`Mailbox::adopt`].
    ///
    /// [`Mailbox::adopt`]: crate::mailbox::Mailbox::adopt
    pub fn adopt_mailbox(&self) {
        self.mailbox.adopt();
    }

    /// Whether there is mail.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.mailbox.has_mail()
    }

    /// Takes the mail, which must be delivered before the next [`Worker::run`].
    pub fn take_mail(&mut self) -> Vec<Mail> {
        self.note_sent();
        let mail = self.mailbox.take();
        for token in std::mem::take(&mut self.awaiting_mail) {
            if let Some(client) = self.client(token) {
                client.halted = false;
                self.mark_ready(token);
            }
        }
        mail
    }

    /// Counts the messages delivered so far as sent. To be called after outputs were sent.
    pub fn note_sent(&mut self) {
        self.engine.eviction.end_telling(std::mem::take(&mut self.excused_bytes));
    }

    /// Appends a message to the outputs of its subscribers, and calls `reached` for each, with the
    /// previous size of its output. Connections that are being closed are skipped.
    // HOT PATH: once per message that is published to its connections.
    pub fn deliver(
        &mut self,
        delivery: &Delivery,
        mut reached: impl FnMut(usize, &mut Client, usize),
    ) {
        let Delivery { message, targets } = delivery;
        for Target { subscribers, number } in targets {
            subscribers.each(*number, |token| {
                let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else {
                    return;
                };
                if !client.closing() && !client.shared.killed.load(Ordering::Acquire) {
                    let before = client.reply.len();
                    message.write_to(&mut client.reply, subscribers.pattern());
                    reached(token, client, before);
                }
            });
            subscribers.arrived(message.len());
        }
    }

    /// Appends a message about keys to the output of a connection that caches them, or receives it
    /// for another. Returns its slot; `None` if there is nothing to send: it is closed or closing,
    /// does not track any more, or its protocol has no such messages.
    pub fn invalidate(
        &mut self,
        (id, token): (u64, usize),
        redirected: bool,
        what: &Invalidated,
        excused_bytes: u64,
    ) -> Option<usize> {
        self.excused_bytes += excused_bytes;
        let engine = Arc::clone(&self.engine);
        let client = self.client(token).filter(|client| client.shared.id == id)?;
        let tracks = redirected || client.session.tracks.is_some();
        if !tracks || client.closing() || client.shared.killed.load(Ordering::Acquire) {
            return None;
        }
        let before = client.reply.len();
        let listens = client.session.subscriptions.is_some();
        what.write_to(&mut client.reply, redirected, listens);
        // Nothing else publishes the size of its output while its socket takes no more.
        if before > 0 {
            client.publish(&engine.registry);
        }
        (client.reply.len() > before).then_some(token)
    }

    /// The slots of subscribers to be closed because they are over their output limit.
    pub fn overrun(&self, target: &Target) -> Vec<usize> {
        let mut tokens = Vec::new();
        target.subscribers.each(target.number, |token| tokens.push(token));
        target.subscribers.closed();
        tokens
    }
}
