//! Counters, one cell per thread, summed when read.
//!
//! **Invariants.** A [`Cell`] is written by one thread only, so that an increment is a plain load
//! and store; any thread may read it. Resetting (CONFIG RESETSTAT) happens in the world.

use crate::sync::Padded;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; only by the thread that owns the cell.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Adds one; only by the thread that owns the cell.
    #[inline]
    pub fn bump(&self) {
        self.add(1);
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the value; only by the owning thread or in the world.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

macro_rules! cell {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one thread.
        #[derive(Debug, Default)]
        pub struct Cell {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        /// The sums over all threads.
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub struct Totals {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Totals {
            fn add(&mut self, cell: &Cell) {
                $(self.$name = self.$name.wrapping_add(cell.$name.get());)+
            }
        }

        impl Cell {
            fn reset(&self) {
                $(self.$name.set(0);)+
            }
        }
    };
}

cell! {
    /// Commands executed.
    commands,
    /// Connections accepted.
    connections,
    /// Connections refused, over `maxclients` or by protected mode.
    rejected_connections,
    /// Bytes read from clients.
    net_input_bytes,
    /// Bytes read from a primary.
    net_repl_input_bytes,
    /// Bytes written to clients.
    net_output_bytes,
    /// Reads that returned bytes.
    reads,
    /// Writes that sent bytes.
    writes,
    /// Lookups by reading commands that found their key.
    keyspace_hits,
    /// Lookups by reading commands that did not.
    keyspace_misses,
    /// Keys deleted because they had expired.
    expired_keys,
    /// Keys deleted because more memory was in use than allowed.
    evicted_keys,
    /// Clients closed because all together used more memory than allowed.
    evicted_clients,
    /// Fields of hashes that expired: removed by a sweep, by a command that let them expire at
    /// once, or replaced.
    expired_fields,
    /// Times that the expiry sweep stopped at its time limit.
    expire_cycle_limit_reached,
    /// Nanoseconds spent in the expiry sweep.
    expire_cycle_ns,
    /// Keys checked by the expiry sweep.
    expire_sampled,
    /// Those of them that had expired.
    expire_stale,
    /// Error replies.
    error_replies,
    /// Error replies to replicas.
    unexpected_error_replies,
    /// Clients closed over their output limits.
    output_limit_disconnections,
    /// Clients closed over their query buffer limit.
    query_limit_disconnections,
    /// Waits of event loops that began with polling.
    polls,
    /// Waits in which they slept.
    sleeps,
    /// Clients closed because they had not authenticated in time.
    handshake_timeouts,
    /// Replicas that asked for a snapshot or needed one.
    sync_full,
    /// Partial resynchronisations.
    sync_partial_ok,
    /// Refused partial resynchronisations.
    sync_partial_err,
    /// Bytes sent to replicas.
    net_repl_output_bytes,
    /// Changes to the data.
    dirty,
    /// Nanoseconds spent executing commands.
    command_ns,
    /// Groups of commands executed.
    groups,
    /// Turns of event loops.
    turns,
    /// Nanoseconds spent in turns of event loops.
    turn_ns,
    /// Those spent in periodic work.
    cron_ns,
    /// ACL denials: wrong user or password.
    acl_denied_auth,
    /// ACL denials: commands.
    acl_denied_command,
    /// ACL denials: keys.
    acl_denied_key,
    /// ACL denials: channels.
    acl_denied_channel,
    /// ACL denials: databases.
    acl_denied_database,
    /// Certificates of clients that name no user.
    acl_denied_certificate,
    /// Objects freed by background steps.
    lazyfreed_objects,
    /// Keyspace accesses by writing commands that unlinked values.
    unlinked_values,
}

/// The statistics of one command in one thread.
#[derive(Debug)]
pub struct CallStats {
    /// Calls executed.
    pub calls: Counter,
    /// Nanoseconds spent in them.
    pub ns: Counter,
    /// Calls refused before execution.
    pub rejected: Counter,
    /// Calls that returned an error.
    pub failed: Counter,
    /// Durations, by [`latency_bucket`].
    pub latency: Box<[Counter]>,
}

/// Number of duration buckets: for each power of two of nanoseconds, eight linear steps.
pub const LATENCY_BUCKETS: usize = 40 * 8;

/// The bucket of a duration, `0..LATENCY_BUCKETS`.
#[inline]
pub fn latency_bucket(ns: u64) -> usize {
    let ns = ns.max(8);
    let power = 63 - ns.leading_zeros();
    let step = (ns >> (power - 3)) & 7;
    (((power - 3) as usize) * 8 + step as usize).min(LATENCY_BUCKETS - 1)
}

/// The exclusive upper bound of a bucket in nanoseconds.
pub fn latency_bucket_end_ns(bucket: usize) -> u64 {
    let (power, step) = (bucket / 8, bucket % 8);
    (8 + step as u64 + 1) << power
}

impl Default for CallStats {
    fn default() -> Self {
        Self {
            calls: Counter::default(),
            ns: Counter::default(),
            rejected: Counter::default(),
            failed: Counter::default(),
            latency: (0..LATENCY_BUCKETS).map(|_| Counter::default()).collect(),
        }
    }
}

impl CallStats {
    /// Resets all counters; in the world.
    pub fn reset(&self) {
        [&self.calls, &self.ns, &self.rejected, &self.failed].iter().for_each(|c| c.set(0));
        self.latency.iter().for_each(|c| c.set(0));
    }
}

/// All counters of one thread.
#[derive(Debug, Default)]
pub struct ThreadStats {
    /// The thread's number.
    pub index: usize,
    /// The named counters.
    pub cell: Cell,
    /// The longest turn of its event loop, in nanoseconds.
    pub longest_turn_ns: Counter,
    /// The most commands executed in one turn.
    pub most_turn_commands: Counter,
    /// Per command, by id; allocated at the first call.
    pub calls: Vec<std::sync::OnceLock<Box<CallStats>>>,
}

impl ThreadStats {
    /// Records one turn of the thread's event loop.
    // HOT PATH: once per turn.
    #[inline]
    pub fn note_turn(&self, ns: u64, commands: u64) {
        self.cell.turns.bump();
        self.cell.turn_ns.add(ns);
        if ns > self.longest_turn_ns.get() {
            self.longest_turn_ns.set(ns);
        }
        if commands > self.most_turn_commands.get() {
            self.most_turn_commands.set(commands);
        }
    }
}

/// The counters of the whole process.
#[derive(Debug)]
pub struct Stats {
    threads: Box<[Padded<ThreadStats>]>,
    /// `dirty` at the last successful save.
    pub dirty_at_save: AtomicU64,
}

impl Totals {
    /// Bytes read from clients and a primary.
    pub fn all_input_bytes(&self) -> u64 {
        self.net_input_bytes + self.net_repl_input_bytes
    }

    /// Bytes written to clients and replicas.
    pub fn all_output_bytes(&self) -> u64 {
        self.net_output_bytes + self.net_repl_output_bytes
    }
}

impl Stats {
    /// Counters for `threads` threads and `commands` commands.
    pub fn new(threads: usize, commands: usize) -> Self {
        let thread = |index| ThreadStats {
            index,
            calls: (0..commands).map(|_| std::sync::OnceLock::new()).collect(),
            ..ThreadStats::default()
        };
        Self {
            threads: (0..threads).map(|index| Padded(thread(index))).collect(),
            dirty_at_save: AtomicU64::new(0),
        }
    }

    /// The counters of one thread.
    pub fn thread(&self, index: usize) -> &ThreadStats {
        &self.threads[index]
    }

    /// Every thread's counters.
    pub fn threads(&self) -> impl Iterator<Item = &ThreadStats> {
        self.threads.iter().map(|thread| &thread.0)
    }

    /// The sums of the named counters.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.threads().for_each(|thread| totals.add(&thread.cell));
        totals
    }

    /// Changes since the last successful save.
    pub fn dirty_since_save(&self) -> u64 {
        self.totals().dirty.saturating_sub(self.dirty_at_save.load(Ordering::Relaxed))
    }

    /// Resets all counters except the changes to the data; in the world.
    pub fn reset(&self) {
        for thread in self.threads() {
            let dirty = thread.cell.dirty.get();
            thread.cell.reset();
            thread.cell.dirty.set(dirty);
            thread.longest_turn_ns.set(0);
            thread.most_turn_commands.set(0);
            thread.calls.iter().filter_map(std::sync::OnceLock::get).for_each(|c| c.reset());
        }
    }
}
