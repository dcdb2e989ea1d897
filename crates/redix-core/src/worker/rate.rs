//! Connections whose user has a limit of commands per second; see [`crate::acl::quota`].
//!
//! Such a user has a share of each turn besides: what it has saved up, or sends in one pipeline, is
//! executed in pieces, between which the replies of others are sent.
//!
//! **Invariants.** Parked commands are paid for once, whether they run in this turn or a later one.
//! A connection that waits for its commands to be paid has its time among the worker's deadlines.
//! One that is passed over in a turn has more to run, and comes before its like in the next.

use std::collections::{BTreeMap, BTreeSet};

use super::Worker;
use crate::acl::User;
use crate::acl::quota::Grant;
use crate::client::{Client, Throttle};
use crate::engine::Engine;
use crate::sync::Arc;

const NS_PER_MS: u64 = 1_000_000;
/// How often a connection that waits looks whether its user still has the rate.
const LOOK_INTERVAL_MS: i64 = 1000;
/// A user's share of a turn is what its rate gives in a part of a second, but at least so many
/// commands: fewer would cost more in turns and system calls than the others gain.
const SHARE_PART: u64 = 1000;
const SHARE_MIN: usize = 16;

/// What the users with rates have had executed in a turn.
#[derive(Default)]
pub(super) struct Shares {
    /// Commands, by the address of a user's [`crate::acl::quota::Usage`].
    used: BTreeMap<usize, usize>,
    /// Connections that have had nothing, and wait for the next turn.
    passed_over: Vec<usize>,
    /// The last connection that has had something.
    served: Option<usize>,
}

impl Shares {
    /// Grants a connection of a user some of its commands; it waits for the next turn with the
    /// others.
    fn grant(&mut self, user: &User, token: usize, wanted: usize) -> usize {
        let share = SHARE_MIN.max((user.quota.rate / SHARE_PART) as usize);
        let used = self.used.entry(Arc::as_ptr(&user.usage.0).addr()).or_default();
        let granted = wanted.min(share - (*used).min(share));
        *used += granted;
        if granted > 0 {
            self.served = Some(token);
        } else if wanted > 0 && self.served != Some(token) {
            self.passed_over.push(token);
        }
        granted
    }

    /// Begins the next turn. Returns the connections that have waited for it, some of them more
    /// than once.
    pub(super) fn restart(&mut self) -> std::vec::Drain<'_, usize> {
        self.used.clear();
        self.served = None;
        self.passed_over.drain(..)
    }
}

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

/// Pays for the first `end` parked commands of a client, of which the first `taken` are about to
/// run. Returns how many may in this turn; if none of them are paid for, the client waits.
pub(super) fn pay(
    engine: &Engine,
    client: &mut Client,
    (taken, end): (usize, usize),
    (token, now_ms): (usize, i64),
    (shares, deadlines): (&mut Shares, &mut BTreeSet<(i64, usize)>),
) -> usize {
    let Some(user) = limited_user(engine, client) else { return end };
    if client.metered.paid <= taken && end > client.metered.paid {
        pay_more(engine, client, &user, end, (token, now_ms), deadlines);
    }
    let payable = client.metered.paid.min(end).saturating_sub(taken);
    taken + shares.grant(&user, token, payable)
}

/// Pays for parked commands up to `end`, or has the client wait if none are paid for.
fn pay_more(
    engine: &Engine,
    client: &mut Client,
    user: &User,
    end: usize,
    (token, now_ms): (usize, i64),
    deadlines: &mut BTreeSet<(i64, usize)>,
) {
    let metered = &mut client.metered;
    let (unpaid, now_ns) = (end - metered.paid, engine.env.clock.mono_ns());
    // What is paid for may block the client, which then has nothing to wait for here.
    let can_wait = metered.paid == 0;
    match user.usage.0.take(user.quota, unpaid, now_ns, can_wait) {
        Grant::Paid(count) => metered.paid += count,
        Grant::Reserved { count, wait_ns } => {
            let wait_ms = i64::try_from(wait_ns.div_ceil(NS_PER_MS)).unwrap_or(i64::MAX);
            let due_ms = now_ms.saturating_add(wait_ms);
            let wake_ms = due_ms.min(now_ms + LOOK_INTERVAL_MS);
            metered.wait = Some(Throttle { due_ms, wake_ms, count, rate: user.quota.rate });
            deadlines.insert((wake_ms, token));
        }
    }
}

/// Notes that the first `executed` parked commands of a client have run, and owes for those that
/// scripts have called. What a transaction calls was paid for when it was queued.
pub(super) fn settle(engine: &Engine, client: &mut Client, executed: usize) {
    client.metered.paid = client.metered.paid.saturating_sub(executed);
    let owed = std::mem::take(&mut client.session.owed_calls);
    if owed != 0
        && let Some(user) = limited_user(engine, client)
    {
        user.usage.0.owe(user.quota, owed, engine.env.clock.mono_ns());
    }
}

impl Worker {
    /// Goes on with a connection that waits until this time, if its commands are paid for, or its
    /// user has another rate by now.
    pub(super) fn end_throttling(&mut self, token: usize, deadline_ms: i64, now_ms: i64) {
        let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else { return };
        let Some(wait) = client.metered.wait.take_if(|wait| wait.wake_ms == deadline_ms) else {
            return;
        };
        let user = limited_user(&self.engine, client);
        if wait.due_ms > now_ms && user.is_some_and(|user| user.quota.rate == wait.rate) {
            let wake_ms = wait.due_ms.min(now_ms + LOOK_INTERVAL_MS);
            client.metered.wait = Some(Throttle { wake_ms, ..wait });
            self.deadlines.insert((wake_ms, token));
            return;
        }
        client.metered.paid += wait.count;
        self.mark_ready(token);
    }

    /// Gives back what a connection that is being closed has reserved.
    pub(super) fn forget_throttling(&mut self, token: usize, client: &Client) {
        let Some(wait) = client.metered.wait else { return };
        self.deadlines.remove(&(wait.wake_ms, token));
        if let Some(user) = self.engine.acl.get(client.session.user.name())
            && user.quota.rate == wait.rate
        {
            let now_ns = self.engine.env.clock.mono_ns();
            user.usage.0.owe(user.quota, -(wait.count as i64), now_ns);
        }
    }
}
