//! The primary's side of replication: synchronisation, snapshots for replicas, pings and timeouts.
//!
//! One snapshot runs at a time. A replica that needs one joins the one under way if that goes to a
//! file for replicas and suits it too, or else waits; waiting replicas start together, those that
//! can read a stream of unknown length after `repl-diskless-sync-delay`. Source: the rules of
//! Redis' `syncCommand` and `replicationCron`, and its log messages.

use super::Engine;
use super::saving::SnapshotPlan;
use crate::config::WriteVersion;
use crate::env::Level;
use crate::persist::file::{SaveError, snapshot_path};
use crate::persist::payload::Payload;
use crate::persist::snapshot::{Cut, Target};
use crate::registry::Registry;
use crate::repl::log::{CannotResume, OutOfReach, Reader, ReplId};
use crate::repl::primary::{Announced, Channel, Filled, Lost, Phase, Replica};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// What a replica asks for in PSYNC or SYNC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish<'a> {
    /// A full synchronisation.
    Everything,
    /// A partial one, from an offset of a stream.
    From {
        /// The replication id.
        id: &'a [u8],
        /// The first byte wanted, counted from 1.
        next: i64,
    },
}

/// The outcome of a PSYNC or SYNC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// Partial resynchronisation.
    Partly,
    /// Full synchronisation with a snapshot that has just begun; the saver must be woken.
    Begun,
    /// Full synchronisation with a snapshot that begins later or is under way.
    Waiting,
    /// Full synchronisation over another connection, which the replica has to make.
    Elsewhere,
}

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
pub(super) const GET_ACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
const SECOND_NS: u64 = 1_000_000_000;

/// How long the stream is kept, behind a snapshot with a connection of its own, for the connection
/// that is to follow it. Source: Valkey's `wait_before_rdb_client_free`.
const STREAM_KEPT_MS: i64 = 60_000;

/// Periodic replication work, once a second.
#[derive(Default)]
pub(super) struct ReplicationCron {
    next_ns: u64,
    seconds: u64,
}

impl ReplicationCron {
    pub(super) fn step(&mut self, engine: &Engine, now_ns: u64) {
        engine.begin_sync_if_due();
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = now_ns + SECOND_NS;
        self.seconds += 1;
        engine.look_after_replicas(self.seconds);
    }
}

impl Engine {
    fn say(&self, text: &str) {
        self.env.log(Level::Notice, text);
    }

    fn now_ms(&self) -> i64 {
        self.env.clock.unix_us() / 1000
    }

    /// Synchronises a replica; `legacy` with SYNC, which expects no status line before the
    /// snapshot. The caller holds the world and no shard's lock.
    pub fn synchronise(&self, replica: &Arc<Replica>, wish: Wish<'_>, legacy: bool) -> Synced {
        let (log, replicas) = (&self.repl.log, &self.repl.replicas);
        self.say(&format!("Replica {} asks for synchronization", replica.name()));
        if let Wish::From { id, next } = wish
            && let Some((reader, offset)) = self.resume(replica, id, next)
        {
            replicas.attach(replica);
            if matches!(replica.announced().channel, Channel::StreamBeside(_)) {
                reader.set_spills(true);
            }
            let history = log.history();
            let words = if replica.announced().psync2 {
                format!("+CONTINUE {}\r\n", history.id.as_str())
            } else {
                "+CONTINUE\r\n".to_owned()
            };
            replica.resume(words.as_bytes(), reader, self.now_ms());
            replicas.follows(replica);
            // The worker of its other connection may close that.
            replicas.tell(&self.registry, None);
            self.say(&format!(
                "Partial resynchronization request from {} accepted. Sending {} bytes of backlog \
                 starting from offset {}.",
                replica.name(),
                history.end - offset,
                offset + 1
            ));
            self.count_good_replicas();
            return Synced::Partly;
        }
        if wish == Wish::Everything && !legacy {
            self.say(&format!("Full resync requested by replica {}", replica.name()));
        }
        let config = self.config();
        if !legacy
            && replica.announced().dual_channel
            && config.dual_channel_replication_enabled
            && config.repl_diskless_sync
        {
            self.say(&format!(
                "Dual channel replication: Replica {} is capable of dual channel synchronization, \
                 and partial sync isn't possible. Full sync will continue with dedicated RDB \
                 channel.",
                replica.name()
            ));
            return Synced::Elsewhere;
        }
        replica.set_legacy(legacy);
        replica.wait_for_start(self.now_ms());
        replicas.attach(replica);
        if !log.has_backlog() {
            log.start(config.repl_backlog_size, &*self.env.entropy);
            let history = log.history();
            self.say(&format!(
                "Replication backlog created, my new replication IDs are '{}' and '{}'",
                history.id.as_str(),
                history.id2.as_str()
            ));
        }
        self.begin_or_join(replica)
    }

    /// The log position at which a replica can continue, with its offset.
    fn resume(&self, replica: &Replica, id: &[u8], next: i64) -> Option<(Reader, u64)> {
        let log = &self.repl.log;
        let offset = next.checked_sub(1).and_then(|offset| u64::try_from(offset).ok());
        let resumed = match (ReplId::parse(id), offset) {
            (Some(id), Some(offset)) => log
                .resume(id, offset)
                .and_then(|reader| self.within_limit(replica, reader))
                .map(|reader| (reader, offset)),
            (Some(id), None) if id == log.history().id => Err(CannotResume::OutOfReach),
            _ => Err(CannotResume::UnknownId),
        };
        if let Err(refusal) = resumed {
            self.say_why_not(replica, id, next, refusal);
        }
        resumed.ok()
    }

    /// Refuses a position so far back that the replica would exceed its output limit, be closed,
    /// come back to the same position, and so on for ever. Beside a snapshot the stream may be
    /// moved to disk instead.
    fn within_limit(&self, replica: &Replica, reader: Reader) -> Result<Reader, CannotResume> {
        let beside = matches!(replica.announced().channel, Channel::StreamBeside(_));
        if beside && self.config().spill_above().is_some() {
            return Ok(reader);
        }
        let limit = self.config().replica_output_limit();
        let behind = self.repl.log.end().saturating_sub(reader.offset());
        if limit.hard_bytes != 0 && behind > limit.hard_bytes {
            return Err(CannotResume::BeyondLimit);
        }
        Ok(reader)
    }

    fn say_why_not(&self, replica: &Replica, id: &[u8], next: i64, refusal: CannotResume) {
        let history = self.repl.log.history();
        match refusal {
            CannotResume::UnknownId => self.say(&format!(
                "Partial resynchronization not accepted: Replication ID mismatch (Replica asked \
                 for '{}', my replication IDs are '{}' and '{}')",
                id.escape_ascii(),
                history.id.as_str(),
                history.id2.as_str()
            )),
            CannotResume::BeyondId2 => self.say(&format!(
                "Partial resynchronization not accepted: Requested offset for second ID was \
                 {next}, but I can reply up to {}",
                history.second_offset()
            )),
            CannotResume::BeyondLimit => self.say(&format!(
                "Partial resynchronization not accepted: Replica {} asked for offset {next}, \
                 which is further behind {} than its output buffer limit allows",
                replica.name(),
                history.end
            )),
            CannotResume::OutOfReach => {
                let name = replica.name();
                self.say(&format!(
                    "Unable to partial resync with replica {name} for lack of backlog (Replica \
                     request was: {next})."
                ));
                if next > 0 && next.unsigned_abs() > history.end + 1 {
                    self.env.log(
                        Level::Warning,
                        &format!(
                            "Warning: replica {name} tried to PSYNC with an offset that is \
                             greater than the master replication offset."
                        ),
                    );
                }
            }
        }
    }

    fn begin_or_join(&self, replica: &Arc<Replica>) -> Synced {
        if self.saves.running() {
            self.join_snapshot(replica);
            return Synced::Waiting;
        }
        let config = self.config();
        if config.repl_diskless_sync
            && replica.announced().eof
            && config.repl_diskless_sync_delay != 0
        {
            self.say("Delay next BGSAVE for diskless SYNC");
            return Synced::Waiting;
        }
        self.begin_sync();
        Synced::Begun
    }

    /// Joins the snapshot under way, if it goes to a file and the replica supports its format.
    fn join_snapshot(&self, replica: &Arc<Replica>) {
        let mine = replica.announced();
        let suits = |other: &Arc<Replica>| {
            let theirs = other.announced();
            (!theirs.eof || mine.eof)
                && (!theirs.psync2 || mine.psync2)
                && kind_of(&theirs) == kind_of(&mine)
                && self.snapshot_rdb_version().is_some_and(|version| mine.reads(version))
        };
        let all = self.repl.replicas.all();
        if self.snapshot_to_sockets() {
            self.say("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC");
            return;
        }
        let cut = all.iter().filter(|other| suits(other)).find_map(|other| other.cut_at());
        let Some(Ok(reader)) = cut.map(|offset| self.repl.log.reader(offset)) else {
            self.say(
                "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC",
            );
            return;
        };
        self.hand_over(replica, reader, None);
        self.say("Waiting for end of BGSAVE for SYNC");
    }

    /// Starts sending a snapshot to a replica.
    fn hand_over(&self, replica: &Arc<Replica>, reader: Reader, payload: Option<&Arc<Payload>>) {
        let (id, offset) = (self.repl.log.history().id, reader.offset());
        let words = if replica.announced().channel == Channel::Snapshot {
            let (db, client) = (self.db_in_log().map_or(-1, i64::from), replica.client.id);
            self.say(&format!(
                "Dual channel replication: Sending to replica {} RDB end offset {offset} and \
                 client-id {client}",
                replica.name()
            ));
            format!("$ENDOFF:{offset} {} {db} {client}\r\n", id.as_str())
        } else if replica.is_legacy() {
            String::new()
        } else {
            format!("+FULLRESYNC {} {offset}\r\n", id.as_str())
        };
        reader.set_spills(true);
        replica.begin(words.as_bytes(), reader, payload.map(Payload::reader));
    }

    /// Begins the snapshot for waiting replicas; the caller holds the world and no shard's lock,
    /// and no snapshot is under way.
    fn begin_sync(&self) {
        let mut group = self.waiting_replicas();
        let Some(first) = group.first() else { return };
        let kind @ (without_keys, without_functions, apart) = kind_of(&first.announced());
        group.retain(|replica| kind_of(&replica.announced()) == kind);
        let mut config = self.config();
        let version = self.sync_version(&mut group, config.rdb_version);
        let said: Vec<_> = group.iter().map(|replica| replica.announced()).collect();
        let streamed = config.repl_diskless_sync || without_keys || without_functions || apart;
        let diskless = streamed && said.iter().all(|said| said.eof);
        Arc::make_mut(&mut config).rdb_version = version;
        let payload = diskless.then(|| Payload::new(&*self.env.entropy));
        let target = if diskless { "replicas sockets" } else { "disk" };
        self.say(&format!("Starting BGSAVE for SYNC with target: {target}"));
        let log = &self.repl.log;
        if !self.repl.is_replica() {
            log.forget_db();
        }
        for replica in &group {
            match log.reader(log.end()) {
                Ok(reader) => self.hand_over(replica, reader, payload.as_ref()),
                Err(OutOfReach) => self.drop_replica(replica),
            }
        }
        let plan = SnapshotPlan {
            config,
            target: payload.map_or(Target::File, Target::Replicas),
            with_keys: !without_keys,
            with_functions: !without_functions,
            for_replicas: true,
        };
        self.begin_planned(plan).expect("no snapshot is under way, and the world is held");
        self.repl.replicas.tell(&self.registry, None);
    }

    /// The version of the snapshot for a group, which it reduces to those who can share one. All
    /// read the oldest version, unless it has to hold fields with an expiry.
    fn sync_version(
        &self,
        group: &mut Vec<Arc<Replica>>,
        configured: WriteVersion,
    ) -> WriteVersion {
        let keyspace = &self.keyspace;
        let expiring = (0..keyspace.databases()).any(|db| keyspace.nested_count(db) > 0);
        let wanted = |replica: &Arc<Replica>| replica.announced().rdb_version(configured, expiring);
        if expiring {
            let version = wanted(&group[0]);
            group.retain(|replica| wanted(replica) == version);
            return version;
        }
        let all = group.iter().map(wanted);
        all.min_by_key(|version| version.number()).unwrap_or(configured)
    }

    fn waiting_replicas(&self) -> Vec<Arc<Replica>> {
        let mut all = self.repl.replicas.all();
        all.retain(|replica| replica.phase() == Phase::WaitStart);
        all
    }

    /// Begins the snapshot that replicas wait for once it is due.
    fn begin_sync_if_due(&self) {
        if self.repl.replicas.count() == 0
            || self.saves.running()
            || self.loading.load(Ordering::Relaxed)
        {
            return;
        }
        let (waiting, config) = (self.waiting_replicas(), self.config());
        let Some(since_ms) = waiting.iter().map(|replica| replica.waiting_since_ms()).min() else {
            return;
        };
        let waited_ms = self.now_ms() - since_ms;
        let enough = config.repl_diskless_sync_max_replicas;
        let due = !config.repl_diskless_sync
            || waited_ms >= i64::from(config.repl_diskless_sync_delay) * 1000
            || (enough != 0 && waiting.len() >= enough as usize);
        if !due {
            return;
        }
        let _world = self.keyspace.gates().world();
        // A command may have begun one first.
        if !self.saves.running() {
            self.begin_sync();
        }
    }

    /// Notifies the replicas that waited for a snapshot of its outcome.
    pub(super) fn end_sync(&self, cut: &Cut, outcome: &Result<(), SaveError>) {
        let mut group = self.repl.replicas.all();
        let served = |replica: &Arc<Replica>| match &cut.target {
            // Other replicas may still be receiving an earlier payload.
            Target::Replicas(payload) => replica.receives(payload),
            Target::File => replica.cut_at().is_some(),
            Target::AofBase { .. } => false,
        };
        group.retain(served);
        if matches!(cut.target, Target::File) && group.is_empty() {
            // No replica waited for it: the file is that of an ordinary save.
            self.repl.replicas.note_file(false);
        }
        for replica in &group {
            let name = replica.name();
            match (&cut.target, outcome) {
                (_, Err(_)) => {
                    self.env.log(
                        Level::Warning,
                        &format!("SYNC failed. BGSAVE for replica {name} returned an error"),
                    );
                    self.drop_replica(replica);
                }
                (Target::Replicas(_), Ok(())) => self.say(&format!(
                    "Streamed RDB transfer with replica {name} succeeded (socket). Waiting for \
                     REPLCONF ACK from replica to enable streaming"
                )),
                (Target::AofBase { .. }, Ok(())) => {}
                (Target::File, Ok(())) => match self.env.disk.open(&snapshot_path(&cut.config)) {
                    Ok((file, len)) => {
                        self.repl.replicas.note_file(true);
                        replica.send_file(file, len);
                    }
                    Err(error) => {
                        self.env.log(
                            Level::Warning,
                            &format!("SYNC failed. Can't open the file after BGSAVE: {error}"),
                        );
                        self.drop_replica(replica);
                    }
                },
            }
        }
        self.repl.replicas.tell(&self.registry, None);
    }

    /// Removes the snapshot file if it was made for replicas only and all have received it.
    fn remove_sync_file(&self) {
        let (replicas, config) = (&self.repl.replicas, self.config());
        if !replicas.left_file() || !config.rdb_del_sync_files || self.saves.running() {
            return;
        }
        let wants_it = |replica: &Arc<Replica>| {
            matches!(replica.phase(), Phase::WaitStart | Phase::WaitEnd | Phase::SendBulk)
        };
        if !config.save.is_empty() || replicas.all().iter().any(wants_it) {
            return;
        }
        replicas.note_file(false);
        self.say("Removing the RDB file used to feed replicas in a persistence-less instance");
        if let Err(error) = self.env.disk.remove(&snapshot_path(&config)) {
            self.env.log(Level::Warning, &format!("It cannot be removed: {error}"));
        }
    }

    /// Pings replicas, keeps waiting ones alive and closes those that time out; once a second.
    fn look_after_replicas(&self, seconds: u64) {
        let (log, replicas, config) = (&self.repl.log, &self.repl.replicas, self.config());
        self.remove_sync_file();
        if replicas.count() == 0 {
            self.stop_recording_if_due(config.repl_backlog_ttl);
            return;
        }
        // The role and the replication id change in the world. Besides, a thread that holds the
        // world for long should keep replicas from considering the link alive.
        let gate = self.keyspace.gates().enter(self.background_thread());
        // Pings would keep replicas from ever acknowledging everything.
        let quiet = self.repl.failover.is_timed() || self.shutdown_in_ms().is_some();
        let ping = seconds.is_multiple_of(u64::from(config.repl_ping_replica_period));
        if ping && !quiet && !self.repl.is_replica() {
            log.append_for_replicas(PING);
            replicas.tell_of(log.end(), &self.registry, None);
        }
        drop(gate);
        let (now_ms, timeout_ms) = (self.now_ms(), i64::from(config.repl_timeout) * 1000);
        for replica in replicas.all() {
            let silent = |since_ms: i64| since_ms != 0 && now_ms - since_ms > timeout_ms;
            let lost = match replica.phase() {
                // While it loads a snapshot it has nothing to acknowledge.
                Phase::Online if replica.loads_beside() => None,
                Phase::Online if !replica.is_legacy() && silent(replica.acked_ms()) => {
                    Some("streaming")
                }
                Phase::WaitEnd | Phase::SendBulk if silent(replica.stuck_since_ms()) => {
                    Some("full")
                }
                Phase::Served if now_ms - replica.acked_ms() > STREAM_KEPT_MS => Some("full"),
                Phase::WaitStart | Phase::WaitEnd => {
                    replica.reassure();
                    None
                }
                _ => None,
            };
            if let Some(kind) = lost {
                let name = replica.name();
                let text = format!("Disconnecting timedout replica ({kind} sync): {name}");
                self.env.log(Level::Warning, &text);
                self.drop_replica(&replica);
            }
        }
        replicas.tell(&self.registry, None);
        self.count_good_replicas();
    }

    /// Sends GETACK if a client or failover waits for acknowledgements and writes are not paused.
    /// `thread` is the caller's; it is outside of its gate.
    pub fn ask_for_acks(&self, thread: usize) {
        let replicas = &self.repl.replicas;
        if !replicas.acks_wanted() {
            return;
        }
        // The role changes in the world.
        let Some(_gate) = self.keyspace.gates().try_enter(thread) else { return };
        let paused = self.pause.any(self.now_ms());
        if !self.repl.is_replica() && !paused && replicas.take_acks_wanted() {
            self.repl.log.append_for_replicas(GET_ACK);
        }
    }

    /// Stops recording the log when there has been no replica for `ttl_s` seconds.
    fn stop_recording_if_due(&self, ttl_s: u64) {
        let replicas = &self.repl.replicas;
        let due = || {
            let empty_since_ms = replicas.empty_since_ms();
            let for_s = (self.now_ms() - empty_since_ms) / 1000;
            self.repl.log.has_backlog()
                && !self.repl.is_replica()
                && replicas.count() == 0
                && empty_since_ms != 0
                && u64::try_from(for_s).is_ok_and(|for_s| for_s > ttl_s)
        };
        if ttl_s == 0 || !due() {
            return;
        }
        let _world = self.keyspace.gates().world();
        if due() {
            self.repl.log.stop(&*self.env.entropy);
            self.say(&format!(
                "Replication backlog freed after {ttl_s} seconds without connected replicas."
            ));
        }
    }

    /// Counts the replicas that are good enough for `min-replicas-to-write`.
    pub fn count_good_replicas(&self) {
        let lag_ms_max = i64::from(self.config().min_replicas_max_lag) * 1000;
        self.repl.replicas.count_good(self.now_ms(), lag_ms_max);
    }

    /// Moves up to about `max` bytes of a replica's feed to `out`.
    pub fn fill_replica(
        &self,
        replica: &Arc<Replica>,
        max: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Lost> {
        let filled = replica.fill(&self.repl.log, max, out);
        if let Err(Lost { unreadable: Some(why) }) = &filled {
            let text =
                format!("The stream of replica {} can't be read from disk: {why}", replica.name());
            self.env.log(Level::Warning, &text);
        }
        let Filled { bytes, transferred } = filled?;
        if transferred {
            replica.heard(self.now_ms());
            let name = replica.name();
            let only = replica.announced().channel != Channel::Snapshot;
            self.say(&match replica.phase() {
                Phase::Served if only => format!(
                    "RDB transfer completed, rdb only replica ({name}) should be disconnected asap"
                ),
                _ => format!("Synchronization with replica {name} succeeded"),
            });
            self.count_good_replicas();
        }
        Ok(bytes)
    }

    /// Removes a replica whose connection is closed.
    pub fn forget_replica(&self, replica: &Arc<Replica>) {
        if replica.attached() {
            self.say(&format!("Connection with replica {} lost.", replica.name()));
        }
        let waited = replica.phase() == Phase::WaitEnd;
        self.detach_replica(replica);
        self.count_good_replicas();
        if waited {
            self.abandon_useless_snapshot();
        }
    }

    /// Cancels a snapshot to a file for replicas if none waits for it any more. With save points
    /// configured it continues: the user wants such a file too. A snapshot through sockets ends by
    /// itself without receivers.
    fn abandon_useless_snapshot(&self) {
        let needed = self.repl.replicas.all().iter().any(|replica| replica.cut_at().is_some());
        if !needed && self.config().save.is_empty() && self.snapshot_for_replicas_file() {
            self.abandon_snapshot();
        }
    }

    fn detach_replica(&self, replica: &Arc<Replica>) {
        self.repl.replicas.detach(replica, self.now_ms());
        self.repl.log.trim();
    }

    /// Closes a replica's connection.
    pub fn drop_replica(&self, replica: &Arc<Replica>) {
        self.detach_replica(replica);
        self.registry.kill(&replica.client);
    }

    /// Closes the connections of all replicas: the stream that they follow has ended.
    pub fn drop_replicas(&self) {
        for replica in self.repl.replicas.all() {
            self.drop_replica(&replica);
        }
    }

    /// Wakes the workers that host replicas because the log has grown; for appends outside of a
    /// worker's turn.
    pub fn feed_replicas(&self) {
        let registry: &Registry = &self.registry;
        if self.repl.log.wants_spill() {
            self.repl.replicas.wake_spiller();
        }
        self.repl.replicas.tell_of(self.repl.log.end(), registry, None);
    }
}

/// What replicas have to have in common to share a snapshot: whether keys and function libraries
/// are filtered out, and whether it has a connection of its own.
fn kind_of(said: &Announced) -> (bool, bool, bool) {
    let wanted = said.wanted;
    (wanted.without_data, wanted.without_functions, said.channel == Channel::Snapshot)
}
