//! Coordinated failover: changing roles with a replica.
//!
//! The primary's half: [`Engine::advance_failover`] is asked after each turn of a worker, since
//! what is waited for is a replica's word, and now and then for the deadline. The replica's half is
//! [`Engine::take_over`]. What lies between them, the `PSYNC` with which the former primary asks
//! its successor, is said by the link ([`crate::upstream`]), which ends the failover by
//! [`Engine::complete_failover`] or [`Engine::abort_failover`].
//!
//! Real primaries wait for the acknowledgement that replicas send each second. A GETACK costs one
//! more record in the stream; a Redix replica replies at once, a real one with its next
//! acknowledgement.

use super::Engine;
use super::replicas::GET_ACK;
use crate::env::Level;
use crate::pause::{Paused, Purpose};
use crate::repl::failover::{Plan, Stage};
use crate::repl::log::ReplId;
use crate::repl::primary::Phase;
use crate::repl::status::Target;

/// Why a replica refuses to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is a primary.
    IsPrimary,
    /// It follows another stream.
    OtherStream,
}

/// The next action of a failover that waits.
enum Step {
    Wait,
    /// Send GETACK to the replicas.
    Ask,
    /// Abort: the timeout has passed.
    GiveUp,
    /// Hand over to this replica, which has caught up or is forced.
    HandOver(Target, Reason),
}

enum Reason {
    Synced,
    Late,
}

impl Engine {
    /// Begins a failover; in the world.
    pub fn begin_failover(&self, plan: Plan) {
        let text = match &plan.target {
            Some(Target { host, port }) => format!("FAILOVER requested to {host}:{port}."),
            None => "FAILOVER requested to any replica.".into(),
        };
        self.env.log(Level::Notice, &text);
        self.repl.failover.set(Stage::Waiting, plan);
        let now_ms = self.env.clock.unix_us() / 1000;
        self.pause.start(Purpose::Failover, now_ms, i64::MAX, Paused::Writes);
    }

    /// Advances a failover that waits, if there is one and something has changed. The caller is
    /// outside of its gate.
    #[inline]
    pub fn advance_failover(&self) {
        if self.repl.failover.stage() == Stage::Waiting {
            self.advance_waiting_failover();
        }
    }

    #[cold]
    fn advance_waiting_failover(&self) {
        if matches!(self.failover_step(), Step::Wait) {
            return;
        }
        let Some(_world) = self.keyspace.gates().try_world() else { return };
        // Another thread may have ended it before this one got the world.
        if self.repl.failover.stage() != Stage::Waiting {
            return;
        }
        match self.failover_step() {
            Step::Wait => {}
            Step::Ask => {
                let plan = Plan { asked: true, ..self.repl.failover.plan() };
                self.repl.failover.set(Stage::Waiting, plan);
                self.repl.log.append_for_replicas(GET_ACK);
                self.feed_replicas();
            }
            Step::GiveUp => self.abort_failover("Replica never caught up before timeout"),
            Step::HandOver(target, reason) => self.hand_over_to(target, &reason),
        }
    }

    fn failover_step(&self) -> Step {
        let plan = self.repl.failover.plan();
        let now_ms = self.env.clock.unix_us() / 1000;
        let late = plan.deadline_ms.is_some_and(|deadline_ms| now_ms >= deadline_ms);
        if late {
            return match plan.target {
                Some(target) if plan.force => Step::HandOver(target, Reason::Late),
                _ => Step::GiveUp,
            };
        }
        let end = self.repl.log.end();
        let synced = self.repl.replicas.all().into_iter().find(|replica| {
            let wanted = match &plan.target {
                Some(target) => replica.is_at(target),
                // A replica that has not announced a listening port cannot take over.
                None => replica.address().1 != 0,
            };
            // Beyond the end it would have followed another stream.
            wanted && replica.phase() == Phase::Online && replica.has(end) && replica.acked() == end
        });
        match synced {
            Some(replica) => {
                let (host, port) = replica.address();
                Step::HandOver(Target { host: host.into(), port }, Reason::Synced)
            }
            None if plan.asked => Step::Wait,
            None => Step::Ask,
        }
    }

    /// Becomes a replica of its successor, which the link asks to take over; in the world.
    fn hand_over_to(&self, target: Target, reason: &Reason) {
        let Target { host, port } = &target;
        self.env.log(
            Level::Notice,
            &match reason {
                Reason::Synced => {
                    format!("Failover target {host}:{port} is synced, failing over.")
                }
                Reason::Late => {
                    format!("FAILOVER to {host}:{port} time out exceeded, failing over.")
                }
            },
        );
        let plan = Plan { target: Some(target.clone()), ..self.repl.failover.plan() };
        self.repl.failover.set(Stage::InProgress, plan);
        self.follow(target);
    }

    /// Aborts a failover: this server stays the primary; in the world. No effect if there is none.
    pub fn abort_failover(&self, why: &str) {
        let stage = self.repl.failover.stage();
        if stage == Stage::None {
            return;
        }
        let text = match self.repl.failover.plan().target {
            Some(Target { host, port }) => format!("FAILOVER to {host}:{port} aborted: {why}"),
            None => format!("FAILOVER to any replica aborted: {why}"),
        };
        self.env.log(Level::Notice, &text);
        if stage == Stage::InProgress {
            self.stop_following();
        }
        self.end_failover();
    }

    /// Ends a failover whose target has become the primary; in the world.
    pub fn complete_failover(&self) {
        if let Some(primary) = self.repl.failover.plan().target {
            self.dismiss_blocked(&primary);
        }
        self.end_failover();
    }

    /// Lets clients go on behind a failover, whatever has become of it.
    fn end_failover(&self) {
        self.repl.failover.set(Stage::None, Plan::default());
        self.end_pause(Purpose::Failover);
    }

    /// Becomes the primary at the request of the present one, whose replication id is `id`; in the
    /// world.
    pub fn take_over(&self, id: &[u8]) -> Result<(), Refusal> {
        let text = format!("Failover request received for replid {}.", id.escape_ascii());
        self.env.log(Level::Notice, &text);
        if !self.repl.is_replica() {
            return Err(Refusal::IsPrimary);
        }
        if ReplId::parse(id) != Some(self.repl.log.history().id) {
            return Err(Refusal::OtherStream);
        }
        self.stop_following();
        Ok(())
    }
}
