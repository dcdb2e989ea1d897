//! Command durations, without reading the clock after every command.
//!
//! A reading costs 10 ns and more on a virtual machine, a twentieth of a GET. Commands flagged
//! `BRIEF` are therefore timed in *stretches*: the clock is read after consecutive calls of one
//! command, at the end of a group at the latest, and each call is counted with an equal share.
//!
//! **Invariants.** The sums of calls and of time are exact. A call that may take long is never
//! hidden in a stretch: one with long arguments starts none, and one that replies at length, frees
//! a long value or says that it took long ends its own and is charged with all of it, which
//! overstates its time by a few microseconds at most. Where a log or the latency monitor has a
//! threshold of single microseconds or few bytes, every command is timed alone.

use super::args::Args;
use super::spec::{CommandSpec, flag};
use super::table::Command;
use crate::config::Config;
use crate::stats::{CallStats, ThreadStats, latency_bucket};

/// Bytes of arguments, and of a reply, beyond which a command is timed alone.
pub(super) const BRIEF_BYTES_MAX: usize = 4096;
/// The lowest `slowlog-log-slower-than`, in microseconds, that a stretch of brief commands cannot
/// reach.
const SLOWLOG_MIN_US: i64 = 1000;

/// Calls that were made and are not counted yet.
#[derive(Debug)]
pub(super) struct Stretch {
    /// How many.
    untimed: u64,
    /// Of which command, where there are any.
    command: Option<Command>,
    /// Whether no threshold requires brief commands to be timed singly.
    allowed: bool,
}

/// When and how a call is timed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// When the stretch began, as `Clock::mono_ns`.
    pub started_ns: u64,
    /// Calls of the stretch before this one.
    pub untimed: u64,
    /// Whether this one may go untimed too, if it is brief.
    pub may_wait: bool,
}

impl Timing {
    /// Timing of a call that is timed alone.
    pub(super) fn alone(started_ns: u64) -> Self {
        Self { started_ns, untimed: 0, may_wait: false }
    }
}

impl Stretch {
    /// An empty stretch.
    pub(super) fn new(config: &Config) -> Self {
        let beyond = |limit: i64, least: i64| limit < 0 || limit >= least;
        let bytes = BRIEF_BYTES_MAX as i64 + 1;
        let allowed = beyond(config.slowlog_log_slower_than, SLOWLOG_MIN_US)
            && beyond(config.commandlog_request_larger_than, bytes)
            && beyond(config.commandlog_reply_larger_than, bytes)
            && config.latency_monitor_threshold == 0;
        Self { untimed: 0, command: None, allowed }
    }

    /// Whether brief commands may go untimed.
    #[inline]
    pub(super) fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The number of calls that are not counted yet.
    #[inline]
    pub(super) fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Whether untimed calls of another command must be counted before `command` runs.
    #[inline]
    pub(super) fn is_of_another(&self, command: Command) -> bool {
        self.untimed != 0 && self.command.is_some_and(|other| other.id != command.id)
    }

    /// How a call of `command` is timed, where no other command's calls are untimed.
    #[inline]
    pub(super) fn timing(&self, command: Command, args: Args<'_>, started_ns: u64) -> Timing {
        let untimed = self.untimed;
        let may_wait = self.allowed && is_brief(command.spec, args);
        Timing { started_ns, untimed, may_wait }
    }

    /// Adds a call that was not timed.
    #[inline]
    pub(super) fn add(&mut self, command: Command) {
        self.add_calls(command, 1);
    }

    /// Adds several calls that were not timed.
    #[inline]
    pub(super) fn add_calls(&mut self, command: Command, calls: u64) {
        if self.untimed == 0 {
            self.command = Some(command);
        }
        self.untimed += calls;
    }

    /// Empties the stretch: its calls have been counted.
    #[inline]
    pub(super) fn forget(&mut self) {
        self.untimed = 0;
    }

    /// Takes the calls that are still to be counted.
    #[inline]
    pub(super) fn take(&mut self) -> Option<(Command, u64)> {
        let calls = std::mem::take(&mut self.untimed);
        self.command.take().filter(|_| calls != 0).map(|command| (command, calls))
    }
}

/// Whether a call with these arguments may be brief.
#[inline]
pub(super) fn is_brief(spec: &CommandSpec, args: Args<'_>) -> bool {
    spec.has(flag::BRIEF) && args.request_bytes_max() <= BRIEF_BYTES_MAX
}

/// Counts `calls` calls that took `ns` nanoseconds together.
#[inline]
pub fn count_calls(stats: &ThreadStats, config: &Config, command: Command, calls: u64, ns: u64) {
    let of_command = call_stats(stats, command);
    of_command.calls.add(calls);
    of_command.ns.add(ns);
    if config.latency_tracking {
        of_command.latency[latency_bucket(ns / calls.max(1))].add(calls);
    }
    stats.cell.commands.add(calls);
    stats.cell.command_ns.add(ns);
}

/// The counters of one command.
#[inline]
pub fn call_stats(stats: &ThreadStats, command: Command) -> &CallStats {
    stats.calls[command.id as usize].get_or_init(Box::default)
}
