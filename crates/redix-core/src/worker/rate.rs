//! Connections whose user has a limit of commands per second; see [`crate::acl::quota`].
//!
//! **Invariants.** Parked commands are paid for once, whether they run in this turn or a later one.
//! A connection that waits for its commands to be paid has its time among the worker's deadlines.

use std::collections::BTreeSet;

use super::Worker;
use crate::acl::User;
use crate::acl::quota::Grant;
use crate::client::Client;
use crate::engine::Engine;
use crate::sync::Arc;

const NS_PER_MS: u64 = 1_000_000;

/// The user of a client, if it has a limit of commands. Replicas, primaries and strangers have
/// none.
fn limited_user(engine: &Engine, client: &mut Client) -> Option<Arc<User>> {
    let session = &mut client.session;
    let is_exempt = session.primary_link.is_some() || session.replica.is_some();
    if is_exempt || !(session.authenticated || engine.acl.default_is_open()) {
        return None;
    }
    let user = engine.acl.user_of(&mut session.user)?;
    (user.quota.rate != 0).then(|| Arc::clone(user))
}

/// Pays for the first `end` parked commands of a client. Returns how many may run; if none of them
/// may, the client waits.
pub(super) fn pay(
    engine: &Engine,
    client: &mut Client,
    end: usize,
    (token, now_ms): (usize, i64),
    deadlines: &mut BTreeSet<(i64, usize)>,
) -> usize {
    let Some(user) = limited_user(engine, client) else { return end };
    let metered = &mut client.metered;
    let Some(unpaid) = end.checked_sub(metered.paid).filter(|unpaid| *unpaid > 0) else {
        return end;
    };
    match user.usage.0.take(user.quota, unpaid, engine.env.clock.mono_ns()) {
        Grant::Paid(count) => metered.paid += count,
        Grant::Reserved { count, wait_ns } => {
            let wait_ms = i64::try_from(wait_ns.div_ceil(NS_PER_MS)).unwrap_or(i64::MAX);
            let until_ms = now_ms.saturating_add(wait_ms);
            metered.until = Some((until_ms, count));
            deadlines.insert((until_ms, token));
        }
    }
    metered.paid
}

/// Notes that the first `executed` parked commands of a client have run, and owes for those that
/// they have called. What was only queued, or refused, is paid back, since EXEC calls it.
pub(super) fn settle(engine: &Engine, client: &mut Client, executed: usize) {
    client.metered.paid = client.metered.paid.saturating_sub(executed);
    let further = client.session.further_calls;
    if further != 0
        && let Some(user) = limited_user(engine, client)
    {
        user.usage.0.owe(user.quota, further, engine.env.clock.mono_ns());
    }
}

impl Worker {
    /// Goes on with a connection that has waited until this time; false if it has not.
    pub(super) fn end_throttling(&mut self, token: usize, deadline_ms: i64) -> bool {
        let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else {
            return false;
        };
        let Some((_, count)) = client.metered.until.take_if(|(at_ms, _)| *at_ms == deadline_ms)
        else {
            return false;
        };
        client.metered.paid += count;
        self.mark_ready(token);
        true
    }

    /// Gives back what a connection that is being closed has reserved.
    pub(super) fn forget_throttling(&mut self, token: usize, client: &Client) {
        let Some((until_ms, count)) = client.metered.until else { return };
        self.deadlines.remove(&(until_ms, token));
        if let Some(user) = self.engine.acl.get(client.session.user.name())
            && user.quota.rate != 0
        {
            let now_ns = self.engine.env.clock.mono_ns();
            user.usage.0.owe(user.quota, -(count as i64), now_ns);
        }
    }
}
