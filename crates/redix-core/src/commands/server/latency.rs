//! LATENCY: latency spikes, and histograms of command durations.

use super::info::for_each_called;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::error::{CommandResult, ReplyError};
use crate::latency::Series;
use crate::stats::latency_bucket_end_ns;

mod graph;

const GUARDED: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;
const OF_ALL_NODES: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
const EVENT: ArgSpec = ArgSpec::new("event", ArgKind::String);

/// Command: LATENCY and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("latency", Group::Server, -2, container)
    .since("2.8.13")
    .complexity("Depends on subcommand.")
    .doc("Groups the commands about latency.")
    .subcommands(&[
        CommandSpec::plain("doctor", Group::Server, 2, doctor)
            .flags(GUARDED)
            .since("2.8.13")
            .doc("Judges the latency spikes recorded, in words.")
            .tips(OF_ALL_NODES),
        CommandSpec::plain("graph", Group::Server, 3, graph)
            .flags(GUARDED)
            .since("2.8.13")
            .doc("Draws the spikes of one event.")
            .tips(OF_ALL_NODES)
            .args(&[EVENT]),
        CommandSpec::plain("help", Group::Server, 2, help)
            .flags(flag::LOADING | flag::STALE)
            .since("2.8.13")
            .doc("Lists the subcommands."),
        CommandSpec::plain("histogram", Group::Server, -2, histogram)
            .flags(GUARDED)
            .since("7.0.0")
            .complexity(
                "O(N) where N is the number of commands with latency information being retrieved.",
            )
            .doc("Returns how long commands took, as cumulative counts.")
            .tips(OF_ALL_NODES)
            .args(&[ArgSpec::new("command", ArgKind::String).multiple().optional()]),
        CommandSpec::plain("history", Group::Server, 3, history)
            .flags(GUARDED)
            .since("2.8.13")
            .doc("Returns the spikes of one event.")
            .tips(OF_ALL_NODES)
            .args(&[EVENT]),
        CommandSpec::plain("latest", Group::Server, 2, latest)
            .flags(GUARDED)
            .since("2.8.13")
            .doc("Returns the newest spike of each event.")
            .tips(OF_ALL_NODES),
        CommandSpec::plain("reset", Group::Server, -2, reset)
            .flags(GUARDED)
            .since("2.8.13")
            .doc("Forgets the spikes of some or all events.")
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum"])
            .args(&[EVENT.multiple().optional()]),
    ])];

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("latency".into()))
}

/// `LATENCY HISTORY event` -> array of (Unix time in s, ms); empty for an unknown event.
fn history(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let series = cx.engine.latency.get(args.get(2)).unwrap_or_default();
    cx.reply.array(series.samples.len());
    for sample in series.samples {
        cx.reply.array(2);
        cx.reply.int(sample.unix_s);
        cx.reply.int(sample.ms as i64);
    }
    Ok(())
}

/// `LATENCY LATEST` -> array of (event, Unix time in s and ms of the newest spike, ms of the
/// longest, ms of all, how many).
fn latest(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let events = cx.engine.latency.all();
    cx.reply.array(events.len());
    for (name, series) in events {
        let newest = series.samples.last().expect("a series begins with a sample");
        cx.reply.array(6);
        cx.reply.bulk_str(name);
        cx.reply.int(newest.unix_s);
        cx.reply.int(newest.ms as i64);
        cx.reply.int(series.max_ms as i64);
        cx.reply.int(series.sum_ms as i64);
        cx.reply.int(series.count as i64);
    }
    Ok(())
}

/// `LATENCY RESET [event ...]` -> number of events whose history was removed.
fn reset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let named = |name: &str| args.iter_from(2).any(|arg| arg == name.as_bytes());
    let count = cx.engine.latency.reset(|name| args.len() == 2 || named(name));
    cx.reply.int(count as i64);
    Ok(())
}

/// `LATENCY GRAPH event` -> verbatim text. Errors: the event has not occurred.
fn graph(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let name = args.get(2);
    let Some(series) = cx.engine.latency.get(name) else {
        return Err(ReplyError::quoting("No samples available for event '", name, "'"));
    };
    let text = graph::draw(&String::from_utf8_lossy(name), &series, cx.now_us / 1_000_000);
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// The upper bounds of the buckets of LATENCY HISTOGRAM, as (nanoseconds, the microseconds shown).
///
/// The real servers use an HDR histogram with two significant digits: a bucket that begins at a
/// power of two ends at the next representable value, 1/128 higher. The last bucket, which is
/// unbounded, does not.
fn classes() -> impl Iterator<Item = (u64, i64)> {
    let all_but_last = (0..20).map(|power| {
        let begins_ns = 1024_u64 << power;
        let ends_ns = begins_ns + begins_ns / 128;
        (ends_ns, ((ends_ns - 1) / 1000) as i64)
    });
    all_but_last.chain([(1 << 30, 1_073_741)])
}

/// `LATENCY HISTOGRAM [command ...]` -> map of command to (calls, map of us to the number of calls
/// that took no longer). Names that are unknown or were not called are omitted; a container stands
/// for its subcommands.
fn histogram(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let asked = |name: &str| {
        let container = name.split('|').next().unwrap_or(name);
        let is = |arg: &[u8], name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
        args.len() == 2 || args.iter_from(2).any(|arg| is(arg, name) || is(arg, container))
    };
    let all = cx.reply.deferred();
    let mut commands = 0;
    let reply = &mut *cx.reply;
    for_each_called(cx.engine, |name, totals| {
        let measured = totals.measured();
        if measured == 0 || !asked(name) {
            return;
        }
        commands += 1;
        reply.bulk_str(name);
        reply.map(2);
        reply.bulk_str("calls");
        reply.int(measured as i64);
        reply.bulk_str("histogram_usec");
        let steps = cumulative(&totals.latency);
        reply.map(steps.len());
        for (us, calls) in steps {
            reply.int(us);
            reply.int(calls as i64);
        }
    });
    cx.reply.finish_map(all, commands);
    Ok(())
}

/// The cumulative number of calls at each bucket's bound, where it is higher than in the bucket
/// before. The last bucket counts all calls.
fn cumulative(latency: &[u64]) -> Vec<(i64, u64)> {
    let total: u64 = latency.iter().sum();
    let (mut seen, mut bucket, mut shown) = (0, 0, 0);
    let mut steps = Vec::new();
    let mut last_us = 0;
    for (ends_ns, us) in classes() {
        while bucket < latency.len() && latency_bucket_end_ns(bucket) <= ends_ns {
            seen += latency[bucket];
            bucket += 1;
        }
        if seen > shown {
            steps.push((us, seen));
            shown = seen;
        }
        last_us = us;
    }
    if total > shown {
        steps.push((last_us, total));
    }
    steps
}

/// `LATENCY DOCTOR` -> verbatim text.
fn doctor(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let events = cx.engine.latency.all();
    let threshold_ms = cx.config.latency_monitor_threshold;
    let mut text = String::new();
    if events.is_empty() && threshold_ms == 0 {
        text.push_str(
            "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns \
             it on.\n",
        );
    } else if events.is_empty() {
        text.push_str("No latency spike has been observed so far.\n");
    } else {
        text.push_str("Latency spikes have been observed:\n\n");
        for (index, (name, series)) in events.iter().enumerate() {
            text.push_str(&format!("{}. {name}: {}\n", index + 1, summary(series)));
        }
        text.push_str("\nWhat may help:\n\n");
        let occurred = |name: &str| events.iter().any(|(event, _)| *event == name);
        if occurred(crate::latency::event::COMMAND) {
            text.push_str("- SLOWLOG GET shows the commands that took longest.\n");
        }
        if occurred(crate::latency::event::FAST_COMMAND) {
            text.push_str(
                "- Commands of constant cost were slow: the machine is overloaded or swapping, or \
                 values of megabytes are being written.\n",
            );
        }
        if occurred(crate::latency::event::EXPIRE_CYCLE) {
            text.push_str(
                "- Many keys or large values expire at the same time: spread their times to live, \
                 or lower active-expire-effort.\n",
            );
        }
    }
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn summary(series: &Series) -> String {
    let count = series.samples.len() as u64;
    let sum: u64 = series.samples.iter().map(|sample| sample.ms).sum();
    let mean = sum / count.max(1);
    let deviations: u64 = series.samples.iter().map(|sample| sample.ms.abs_diff(mean)).sum();
    let span_s = match series.samples.as_slice() {
        [first, .., last] => last.unix_s - first.unix_s,
        _ => 0,
    };
    format!(
        "{count} latency spikes (average {mean}ms, mean deviation {}ms, period {:.2} sec). Worst \
         all time event {}ms.",
        deviations / count.max(1),
        span_s as f64 / count.max(1) as f64,
        series.max_ms
    )
}

/// `LATENCY HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    super::help(
        cx,
        "LATENCY",
        &[
            ("DOCTOR", "A judgement of the spikes recorded."),
            ("GRAPH <event>", "A drawing of an event's spikes."),
            ("HISTOGRAM [COMMAND ...]", "How many calls took how long, by command."),
            ("HISTORY <event>", "An event's spikes."),
            ("LATEST", "The newest spike of each event."),
            ("RESET [<event> ...]", "Forget the spikes of these events, or of all."),
        ],
    )
}

#[cfg(test)]
mod tests;
