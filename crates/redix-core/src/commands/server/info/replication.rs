//! INFO's section Replication.

use std::fmt::Write;

use super::Facts;
use crate::config::ByteString;
use crate::repl::Replication;
use crate::repl::primary::{Channel, Phase};
use crate::repl::status::{Length, LinkState};

pub(super) fn write(facts: &Facts<'_>, out: &mut String) {
    let repl = &facts.engine.repl;
    field!(out, "role", "{}", repl.role().word());
    if repl.is_replica() {
        upstream(facts, out);
    }
    replicas(facts, repl, out);
    let waiting = repl.replicas.all().iter().filter(|replica| replica.awaits_stream()).count();
    field!(out, "replicas_waiting_psync", "{waiting}");
    field!(out, "master_failover_state", "{}", repl.failover.stage().word());
    stream(facts, repl, out);
}

fn replicas(facts: &Facts<'_>, repl: &Replication, out: &mut String) {
    let config = facts.config;
    field!(out, "connected_slaves", "{}", repl.replicas.count());
    if config.min_replicas_to_write != 0 && config.min_replicas_max_lag != 0 {
        field!(out, "min_slaves_good_slaves", "{}", repl.replicas.good());
    }
    let now_ms = facts.now_us / 1000;
    for (index, replica) in repl.replicas.all().iter().enumerate() {
        let (ip, port) = replica.address();
        // A replica that is not online has no lag.
        let lag_s = match replica.phase() {
            Phase::Online if !replica.loads_beside() => (now_ms - replica.acked_ms()).max(0) / 1000,
            _ => 0,
        };
        let kind = match replica.announced().channel {
            Channel::Snapshot => "rdb-channel",
            _ if replica.loads_beside() => "main-channel",
            _ => "replica",
        };
        // Writing to a string cannot fail.
        write!(
            out,
            "slave{index}:ip={ip},port={port},state={},offset={},lag={lag_s},type={kind}\r\n",
            if replica.loads_beside() { "bg_transfer" } else { replica.phase().word() },
            replica.acked(),
        )
        .ok();
    }
}

fn stream(facts: &Facts<'_>, repl: &Replication, out: &mut String) {
    let (history, backlog) = (repl.log.history(), repl.log.backlog());
    field!(out, "master_replid", "{}", history.id.as_str());
    field!(out, "master_replid2", "{}", history.id2.as_str());
    field!(out, "master_repl_offset", "{}", history.end);
    field!(out, "second_repl_offset", "{}", history.second_offset());
    field!(out, "repl_backlog_active", "{}", u8::from(backlog.is_some()));
    field!(out, "repl_backlog_size", "{}", facts.config.repl_backlog_size);
    let first = backlog.map_or(0, |backlog| backlog.start + 1);
    field!(out, "repl_backlog_first_byte_offset", "{first}");
    field!(out, "repl_spilled_bytes", "{}", repl.log.spilled_bytes());
    field!(out, "repl_backlog_histlen", "{}", backlog.map_or(0, |backlog| backlog.len));
}

/// The fields of a replica about its primary and the link.
fn upstream(facts: &Facts<'_>, out: &mut String) {
    let (status, config) = (&facts.engine.repl.upstream, facts.config);
    let now_ms = facts.now_us / 1000;
    let (host, port) = status.target().map_or((ByteString::new(), 0), |to| (to.host, to.port));
    field!(out, "master_host", "{host}");
    field!(out, "master_port", "{port}");
    field!(out, "master_link_status", "{}", if status.is_up() { "up" } else { "down" });
    field!(out, "master_last_io_seconds_ago", "{}", status.last_io_seconds_ago(now_ms));
    let syncing = status.state() == LinkState::Sync;
    field!(out, "master_sync_in_progress", "{}", u8::from(syncing));
    let log = &facts.engine.repl.log;
    // A replica that has not been synchronised since startup.
    let is_blank = status.born_replica() && !log.has_backlog();
    let applied = if is_blank { 1 } else { log.end() };
    field!(out, "slave_read_repl_offset", "{}", applied + status.unapplied_bytes());
    field!(out, "slave_repl_offset", "{applied}");
    let (buffered, peak) = status.buffered_bytes();
    field!(out, "replicas_repl_buffer_size", "{buffered}");
    field!(out, "replicas_repl_buffer_peak", "{peak}");
    if let Some(transfer) = status.transfer() {
        let total = match transfer.length {
            Length::Awaited => -1,
            Length::Marked => 0,
            Length::Bytes(bytes) => bytes as i64,
        };
        let read = transfer.read_bytes as i64;
        let percent = if total == 0 { 0.0 } else { read as f64 / total as f64 * 100.0 };
        field!(out, "master_sync_total_bytes", "{total}");
        field!(out, "master_sync_read_bytes", "{read}");
        field!(out, "master_sync_left_bytes", "{}", total - read);
        field!(out, "master_sync_perc", "{percent:.2}");
        let idle_s = (now_ms - transfer.last_io_ms).max(0) / 1000;
        field!(out, "master_sync_last_io_seconds_ago", "{idle_s}");
    }
    if !status.is_up() {
        field!(out, "master_link_down_since_seconds", "{}", status.down_seconds(now_ms));
    }
    if let Some(refused) = status.protection.refused() {
        field!(out, "master_link_refused", "{}", refused.lack.word());
        field!(out, "master_link_refusals", "{}", refused.times);
    }
    field!(out, "slave_priority", "{}", config.replica_priority);
    field!(out, "slave_read_only", "{}", u8::from(config.replica_read_only));
    field!(out, "replica_announced", "{}", u8::from(config.replica_announced));
}
