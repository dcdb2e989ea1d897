//! The scheduler: servers take turns, clients act, and faults occur.

mod failover;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use redix_core::config::{
    AppendFsync, Config, DbLimit, DbLimits, DisklessLoad, MaxmemoryPolicy, OutputLimits,
    ReplicaProtect,
};
use redix_core::repl::status::LinkState;

use super::Seen;
use super::client::{Client, PROBES_DB, Shown, Waited, probe_key};
use super::durable::Durable;
use super::history::History;
use super::net::{Net, Route};
use super::process::{FIRST_PORT, Life, Outside, Process, Trace};
use crate::engine::{SimClock, SimDisk};
use crate::rng::Rng;

/// Steps before faults end: about half a minute of simulated time.
const STEPS: usize = 4000;
/// Steps within which the servers must agree after faults have ended.
const HEALING_STEPS: usize = 60_000;
/// Steps of background work in a row: a snapshot takes a few hundred.
const BACKGROUND_STEPS_MAX: usize = 100;
/// The largest offset of a server's clock.
const SKEW_US_MAX: i64 = 2_000_000;
/// The delay of a route without faults.
const FAIR_DELAY_US: u64 = 300;

/// A server, running or not.
struct Node {
    disk: SimDisk,
    /// The server that it is told to follow.
    parent: Option<usize>,
    process: Option<Process>,
    /// The number of its starts.
    lives: u64,
    /// The highest probe of each client that it has ever had.
    probes: Vec<u64>,
    /// What must be on its disk.
    durable: Durable,
    /// Whether it starts with an append-only file.
    appendonly: bool,
}

/// The state of a run.
pub(super) struct World {
    rng: Rng,
    clock: Arc<SimClock>,
    outside: Outside,
    settings: Config,
    workers: usize,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    history: History,
    primary: usize,
    /// The last probe of each client that FLUSHALL may have deleted.
    swept: Vec<u64>,
    seen: Seen,
}

type Check<T = ()> = Result<T, String>;

impl World {
    /// The initial state.
    pub(super) fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.below(3);
        let net = Rc::new(RefCell::new(Net::new(count, rng.next_u64())));
        let clock = Arc::new(SimClock::default());
        let outside = Outside { clock: Arc::clone(&clock), net, trace };
        let clients: Vec<Client> = (0..1 + rng.below(3)).map(Client::new).collect();
        let mut parents = vec![None];
        parents.extend((1..count).map(|node| Some(rng.below(node))));
        let settings = settings(&mut rng);
        let node = |parent| Node {
            disk: SimDisk::default(),
            parent,
            process: None,
            lives: 0,
            probes: vec![0; clients.len()],
            durable: Durable::new(clients.len()),
            appendonly: settings.appendonly,
        };
        let nodes = parents.into_iter().map(node).collect();
        let workers = 1 + rng.below(2);
        let swept = vec![0; clients.len()];
        Self {
            rng,
            clock,
            outside,
            settings,
            workers,
            nodes,
            clients,
            history: History::new(count),
            primary: 0,
            swept,
            seen: Seen::default(),
        }
    }

    /// Runs to the end; returns the digest of the servers and the coverage.
    pub(super) fn run(mut self) -> Check<(u64, Seen)> {
        for node in 0..self.nodes.len() {
            self.set_fair_routes(node);
            self.start(node)?;
        }
        for _ in 0..STEPS {
            self.pass_time(false);
            match self.rng.below(1000) {
                0..320 => self.turn()?,
                320..640 => self.link()?,
                640..680 => self.aof()?,
                680..760 => self.background()?,
                760..990 => self.act()?,
                990..994 => self.sweep()?,
                _ => self.go_wrong()?,
            }
        }
        self.heal()?;
        self.agree()?;
        self.seen.written = self.clients.iter().map(|client| client.written).sum();
        self.seen.compared = self.history.compared;
        let digest = self.process(self.primary).map_or(0, |process| process.digest());
        Ok((digest, self.seen))
    }

    fn note(&self, text: &str) {
        self.outside.trace.note(text);
    }

    fn process(&mut self, node: usize) -> Option<&mut Process> {
        self.nodes[node].process.as_mut()
    }

    fn pick(&mut self) -> usize {
        self.rng.below(self.nodes.len())
    }

    fn pass_time(&mut self, healing: bool) {
        let step_us = match self.rng.below(1000) {
            0..2 if !healing => 500_000 + self.rng.below(2_500_000),
            2..10 => self.rng.below(100_000),
            10..50 if healing => self.rng.below(100_000),
            _ => self.rng.below(800),
        };
        self.clock.advance_us(step_us as i64);
        let now_us = self.clock.elapsed_us();
        self.outside.net.borrow_mut().now_us = now_us;
        self.outside.trace.set_time(now_us);
    }

    /// Observes a server after it has run.
    fn observe(&mut self, node: usize) -> Check {
        let Node { process: Some(process), probes, durable, .. } = &mut self.nodes[node] else {
            return Ok(());
        };
        durable.observe(process);
        for (client, highest) in probes.iter_mut().enumerate() {
            let value = process.peek(PROBES_DB, &probe_key(client));
            let value = value.and_then(|value| String::from_utf8(value).ok()?.parse().ok());
            *highest = value.map_or(*highest, |value: u64| value.max(*highest));
        }
        self.history.observe(node, process)
    }

    fn turn(&mut self) -> Check {
        let node = self.pick();
        let worker = self.rng.below(self.workers);
        self.turn_of(node, worker)
    }

    fn turn_of(&mut self, node: usize, worker: usize) -> Check {
        if let Some(process) = self.process(node) {
            let turned = process.turn(worker);
            self.observe(node)?;
            if let Err(text) = turned {
                self.end(node, &text);
            }
        }
        self.receive(node)
    }

    fn link(&mut self) -> Check {
        let node = self.pick();
        self.link_of(node)
    }

    fn link_of(&mut self, node: usize) -> Check {
        let Some(process) = self.process(node) else { return Ok(()) };
        process.link();
        self.observe(node)
    }

    fn background(&mut self) -> Check {
        let node = self.pick();
        self.background_of(node)
    }

    fn background_of(&mut self, node: usize) -> Check {
        // Short ones leave a snapshot incomplete, while writes happen.
        let max = *self.rng.pick(&[2, 10, BACKGROUND_STEPS_MAX]);
        let steps = 1 + self.rng.below(max);
        let Some(process) = self.process(node) else { return Ok(()) };
        (0..steps).for_each(|_| process.background());
        self.observe(node)
    }

    /// The threads of an append-only file run.
    fn aof(&mut self) -> Check {
        let node = self.pick();
        self.aof_of(node)
    }

    fn aof_of(&mut self, node: usize) -> Check {
        let Some(process) = self.process(node) else { return Ok(()) };
        if let Err(text) = process.aof() {
            self.end(node, &text);
            return Ok(());
        }
        self.observe(node)?;
        // What it has made durable can be replied to.
        let worker = self.rng.below(self.workers);
        self.turn_of(node, worker)
    }

    /// A client sends commands, and its server reads them at once.
    fn act(&mut self) -> Check {
        let id = self.rng.below(self.clients.len());
        if !self.clients[id].idle() {
            return Ok(());
        }
        self.connect(id);
        let Some(node) = self.clients[id].home.as_ref().map(|home| home.node) else {
            return Ok(());
        };
        let Some(process) = self.nodes[node].process.as_mut() else { return Ok(()) };
        let clients = self.clients.len();
        match self.clients[id].act(process, clients, &mut self.rng) {
            Some(worker) => self.turn_of(node, worker),
            None => Ok(()),
        }
    }

    /// Connects a client to a running server, mostly to the primary.
    fn connect(&mut self, id: usize) {
        let (primary, any) = (self.primary, self.pick());
        let client = &mut self.clients[id];
        let stale = client.home.as_ref().is_none_or(|home| home.node != primary);
        if !stale || !self.rng.chance(if client.home.is_some() { 20 } else { 100 }) {
            return;
        }
        let node = if self.rng.chance(90) { primary } else { any };
        let Node { process: Some(process), lives, .. } = &mut self.nodes[node] else { return };
        client.connect(node, *lives, process, &mut self.rng);
    }

    /// Delivers replies to the clients of a server.
    fn receive(&mut self, node: usize) -> Check {
        for id in 0..self.clients.len() {
            let Some(home) = &self.clients[id].home else { continue };
            if home.node != node {
                continue;
            }
            let Node { process, lives, .. } = &mut self.nodes[node];
            let same = home.life == *lives;
            let told = match process {
                Some(process) if same => self.clients[id].receive(process)?,
                _ => {
                    self.clients[id].lose();
                    continue;
                }
            };
            told.waited.iter().try_for_each(|waited| self.check_wait(id, node, waited))?;
            let Node { process: Some(process), durable, .. } = &mut self.nodes[node] else {
                continue;
            };
            for Shown { client, value, durable: confirmed } in told.shown {
                durable.note(client, value, confirmed, process);
                self.seen.waits_aof += u64::from(confirmed);
            }
        }
        Ok(())
    }

    /// Checks that as many other servers as WAIT returned have had the write.
    fn check_wait(&mut self, client: usize, node: usize, waited: &Waited) -> Check {
        let Waited { value, count } = *waited;
        // The keys that would show it were deleted.
        if value <= self.swept[client] {
            return Ok(());
        }
        self.seen.waits += u64::from(count > 0);
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != node);
        let have = others.filter(|(_, other)| other.probes[client] >= value).count();
        if usize::try_from(count).is_ok_and(|count| count <= have) {
            return Ok(());
        }
        Err(format!("WAIT on node {node} answered {count} for {value} of client {client}: {have}"))
    }

    fn start(&mut self, node: usize) -> Check {
        let Node { disk, parent, lives, appendonly, .. } = &mut self.nodes[node];
        let appendonly = *appendonly;
        *lives += 1;
        self.outside.trace.note(&format!("node {node} starts, a replica of {parent:?}"));
        let mut config = self.settings.clone();
        config.port = FIRST_PORT + node as u16;
        config.appendonly = appendonly;
        config.replicaof = parent.map(|parent| ("10.0.0.1".into(), FIRST_PORT + parent as u16));
        let life = Life {
            seed: self.rng.next_u64(),
            workers: self.workers,
            skew_us: self.rng.between(-SKEW_US_MAX, SKEW_US_MAX),
            tick_ns: u64::from(self.rng.chance(50)),
        };
        let process = match Process::start(node, &self.outside, disk, config, &life) {
            Ok(process) => process,
            Err(error) if disk.is_faulty() => {
                self.note(&format!("node {node} cannot start: {error}"));
                self.outside.net.borrow_mut().set_up(node, false);
                return Ok(());
            }
            Err(error) => return Err(format!("node {node} cannot load its files: {error}")),
        };
        self.seen.checked += self.nodes[node].durable.check(node, &process, &self.swept)?;
        self.nodes[node].process = Some(process);
        self.history.forget(node);
        self.observe(node)
    }

    fn crash(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.take() else { return };
        self.note(&format!("node {node} crashes"));
        self.seen.crashes += 1;
        self.count_life(&process);
        self.outside.net.borrow_mut().set_up(node, false);
        drop(process);
        self.nodes[node].disk = self.nodes[node].disk.after_crash(&mut self.rng);
        self.history.forget(node);
    }

    /// A server ends itself; the machine fails at the same time.
    fn end(&mut self, node: usize, text: &str) {
        self.note(&format!("node {node} ends: {text}"));
        self.crash(node);
    }

    /// Counts what a server has done since its start.
    fn count_life(&mut self, process: &Process) {
        let (full, partial) = process.syncs();
        self.seen.full += full;
        self.seen.partial += partial;
        self.seen.evicted += process.evicted();
    }

    /// Makes the primary flush or swap data sets, mostly while a replica receives one.
    fn sweep(&mut self) -> Check {
        let receives = |process: &Process| process.engine.repl.upstream.state() == LinkState::Sync;
        let syncing = self.nodes.iter().any(|node| node.process.as_ref().is_some_and(receives));
        if !syncing && !self.rng.chance(5) {
            return Ok(());
        }
        let words: &[&str] = match self.rng.below(6) {
            0 => &["FLUSHALL", "SYNC"],
            1 => &["FLUSHALL", "ASYNC"],
            2 => &["FLUSHDB", "SYNC"],
            3 => &["FLUSHDB", "ASYNC"],
            4 => &["SWAPDB", "0", "1"],
            _ => &["SWAPDB", "2", "0"],
        };
        if words[0] == "FLUSHALL" {
            // Writes under way may be executed before it.
            self.swept = self.clients.iter().map(Client::last_probe).collect();
        }
        self.seen.sweeps += 1;
        self.order(self.primary, words)
    }

    fn go_wrong(&mut self) -> Check {
        let one = self.pick();
        let other = (one + 1 + self.rng.below(self.nodes.len() - 1)) % self.nodes.len();
        match self.rng.below(100) {
            0..28 => self.cut(one, other),
            28..40 => self.fail_over()?,
            40..55 => {
                let silent = self.rng.chance(40);
                self.note(&format!("route {one} -> {other} silent: {silent}"));
                self.outside.net.borrow_mut().route(one, other).silent = silent;
            }
            55..65 => {
                let severed = self.rng.chance(30);
                self.note(&format!("route {one} -> {other} severed: {severed}"));
                self.outside.net.borrow_mut().route(one, other).severed = severed;
                if severed {
                    self.cut(one, other);
                }
            }
            65..75 => self.make_late(one, other),
            75..80 => {
                self.crash(one);
                if self.rng.chance(70) {
                    self.start(one)?;
                }
            }
            80..87 if self.nodes[one].process.is_none() => self.start(one)?,
            80..87 => self.repoint(one, other)?,
            87..94 => self.promote(one)?,
            94..96 => {
                let kind = *self.rng.pick(&["master", "replica", "normal"]);
                self.order(one, &["CLIENT", "KILL", "TYPE", kind])?;
            }
            96 => {
                let failing = self.rng.chance(40);
                self.note(&format!("disk of node {one} fails to sync: {failing}"));
                self.nodes[one].disk.set_failing(failing);
            }
            97 => {
                let full = self.rng.chance(40);
                self.note(&format!("disk of node {one} full: {full}"));
                self.nodes[one].disk.set_full(full);
            }
            _ => self.reconfigure(one)?,
        }
        Ok(())
    }

    fn cut(&mut self, one: usize, other: usize) {
        self.note(&format!("link {one} - {other} is cut"));
        self.seen.cuts += 1;
        self.outside.net.borrow_mut().cut(one, other);
    }

    fn make_late(&mut self, one: usize, other: usize) {
        let delay_us = self.rng.below(100_000) as u64;
        let jitter_us = self.rng.below(50_000) as u64;
        let mut net = self.outside.net.borrow_mut();
        let route = net.route(one, other);
        *route = Route { delay_us, jitter_us, ..*route };
    }

    /// Makes a replica follow another server, unless that follows it, or lags behind it in the same
    /// stream: then the replica would rightly go back.
    fn repoint(&mut self, node: usize, parent: usize) -> Check {
        let mut above = Some(parent);
        while let Some(next) = above.filter(|&next| next != node) {
            above = self.nodes[next].parent;
        }
        if above.is_some() || node == self.primary || self.lags(parent, node) {
            return Ok(());
        }
        self.follow(node, parent)
    }

    /// Whether a server lags behind another in the same stream.
    fn lags(&self, one: usize, other: usize) -> bool {
        let place = |node: usize| self.nodes[node].process.as_ref()?.history();
        let (one, other) = (place(one), place(other));
        one.zip(other).is_some_and(|(one, other)| one.id == other.id && one.end < other.end)
    }

    fn follow(&mut self, node: usize, parent: usize) -> Check {
        self.nodes[node].parent = Some(parent);
        let port = (FIRST_PORT + parent as u16).to_string();
        self.order(node, &["REPLICAOF", "10.0.0.1", &port])
    }

    /// Sends an operator's command to a server.
    fn order(&mut self, node: usize, words: &[&str]) -> Check {
        self.note(&format!("node {node} is told: {}", words.join(" ")));
        while let Some(process) = self.process(node) {
            let done = process.order(words)?;
            self.observe(node)?;
            if done {
                break;
            }
            self.pass_time(false);
            self.link_of(node)?;
        }
        self.receive(node)
    }

    /// Promotes a replica to primary; the former primary follows it.
    fn promote(&mut self, node: usize) -> Check {
        let old = self.primary;
        if node == old || self.nodes[node].process.is_none() {
            return Ok(());
        }
        self.seen.promotions += 1;
        self.primary = node;
        self.nodes[node].parent = None;
        self.order(node, &["REPLICAOF", "NO", "ONE"])?;
        // The old primary may continue for a while, with its replicas and clients.
        let steps = *self.rng.pick(&[0, 50, 1000]);
        self.linger(steps)?;
        self.follow(old, node)
    }

    /// Runs for a random number of steps below this one.
    fn linger(&mut self, max: usize) -> Check {
        for _ in 0..self.rng.below(max + 1) {
            self.pass_time(false);
            match self.rng.below(3) {
                0 => self.turn()?,
                1 => self.link()?,
                _ => self.act()?,
            }
        }
        Ok(())
    }

    fn reconfigure(&mut self, node: usize) -> Check {
        if self.rng.chance(20) {
            let appendonly = self.rng.chance(60);
            if self.nodes[node].process.is_some() {
                self.nodes[node].appendonly = appendonly;
            }
            let value = if appendonly { "yes" } else { "no" };
            return self.order(node, &["CONFIG", "SET", "appendonly", value]);
        }
        let (name, value) = *self.rng.pick(&[
            ("repl-backlog-size", "16384"),
            ("repl-backlog-size", "100000"),
            ("repl-backlog-size", "1048576"),
            ("repl-backlog-size", "10485760"),
            ("repl-diskless-sync", "no"),
            ("repl-diskless-sync", "yes"),
            ("repl-diskless-load", "disabled"),
            ("repl-diskless-load", "swapdb"),
            ("repl-diskless-load", "on-empty-db"),
            ("dual-channel-replication-enabled", "no"),
            ("dual-channel-replication-enabled", "yes"),
            ("appendfsync", "always"),
            ("appendfsync", "everysec"),
            ("appendfsync", "no"),
        ]);
        self.order(node, &["CONFIG", "SET", name, value])
    }

    fn set_fair_routes(&mut self, node: usize) {
        let mut net = self.outside.net.borrow_mut();
        for other in 0..self.nodes.len() {
            *net.route(node, other) = Route { delay_us: FAIR_DELAY_US, ..Route::default() };
        }
    }

    fn heal(&mut self) -> Check {
        self.note("everything heals");
        for node in 0..self.nodes.len() {
            self.set_fair_routes(node);
            self.nodes[node].disk.set_full(false);
            self.nodes[node].disk.set_failing(false);
            if self.nodes[node].process.is_none() {
                self.start(node)?;
            }
        }
        self.put_right()
    }

    /// Tells servers their roles again: a failover that was aborted when its target had already
    /// taken over leaves two primaries, and only the operator knows which one is meant.
    fn put_right(&mut self) -> Check {
        for node in 0..self.nodes.len() {
            let process = self.nodes[node].process.as_ref();
            let is_replica = process.is_some_and(|process| process.engine.repl.is_replica());
            match self.nodes[node].parent {
                Some(parent) if !is_replica => self.follow(node, parent)?,
                None if is_replica => self.order(node, &["REPLICAOF", "NO", "ONE"])?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Runs until all servers have the same data at the same offset.
    fn agree(&mut self) -> Check {
        for _ in 0..HEALING_STEPS {
            self.pass_time(true);
            let node = self.pick();
            for worker in 0..self.workers {
                self.turn_of(node, worker)?;
            }
            self.link_of(node)?;
            self.background_of(node)?;
            self.aof_of(node)?;
            if self.nodes[node].process.is_none() {
                self.start(node)?;
            }
            self.consent(node)?;
            if self.agreed()? {
                self.note("all agree");
                for node in 0..self.nodes.len() {
                    let process = self.nodes[node].process.take().ok_or("it was started")?;
                    self.count_life(&process);
                    self.nodes[node].process = Some(process);
                }
                return Ok(());
            }
        }
        Err(format!("the servers do not come to agree: {}", self.places()))
    }

    /// Lets a server accept the data set that it has refused: only the operator knows which one is
    /// meant to be kept.
    fn consent(&mut self, node: usize) -> Check {
        let state = &self.nodes[node];
        let refuses = state
            .process
            .as_ref()
            .is_some_and(|process| process.engine.repl.upstream.protection.refused().is_some());
        match state.parent {
            Some(parent) if refuses => {
                self.seen.consents += 1;
                self.follow(node, parent)
            }
            _ => Ok(()),
        }
    }

    fn agreed(&self) -> Check<bool> {
        let all = self.nodes.iter().map(|node| node.process.as_ref());
        let all: Vec<&Process> = all.flatten().collect();
        let up = |node: &Node| {
            let linked = |process: &Process| process.engine.repl.upstream.is_up();
            node.parent.is_none() || node.process.as_ref().is_some_and(linked)
        };
        let first = all[0].history().map(|history| (history.id, history.end));
        let same = |process: &&Process| {
            process.history().map(|history| (history.id, history.end)) == first
        };
        if first.is_none() || !self.nodes.iter().all(up) || !all.iter().all(same) {
            return Ok(false);
        }
        let digest = all[0].digest();
        if all.iter().any(|process| process.digest() != digest) {
            return Err(format!("the servers differ at the end: {}", self.places()));
        }
        Ok(true)
    }

    fn places(&self) -> String {
        let place = |(node, state): (usize, &Node)| {
            let Some(process) = &state.process else { return format!("{node}: down") };
            let link = process.engine.repl.upstream.state();
            match process.history() {
                Some(at) => format!("{node}: {}:{} {link:?}", at.id.as_str(), at.end),
                None => format!("{node}: no stream {link:?}"),
            }
        };
        self.nodes.iter().enumerate().map(place).collect::<Vec<_>>().join(", ")
    }
}

/// The configuration of all servers of a run.
fn settings(rng: &mut Rng) -> Config {
    let mut limits = OutputLimits::DEFAULT;
    if rng.chance(50) {
        // What slow replicas retain is moved to disk.
        limits.replica.hard_bytes = 1;
        limits.replica.soft_bytes = 0;
    }
    Config {
        client_output_buffer_limit: limits,
        dir: "/data".into(),
        databases: PROBES_DB + 1,
        db_maxmemory: db_limits(rng),
        save: Vec::new(),
        repl_backlog_size: *rng.pick(&[16 << 10, 1 << 20, 10 << 20, 10 << 20]),
        repl_backlog_ttl: *rng.pick(&[1, 3600]),
        replica_lazy_flush: rng.chance(50),
        repl_diskless_load: *rng.pick(&[
            DisklessLoad::Disabled,
            DisklessLoad::OnEmptyDb,
            DisklessLoad::SwapDb,
            DisklessLoad::FlushBeforeLoad,
        ]),
        repl_diskless_sync: rng.chance(50),
        repl_diskless_sync_delay: rng.below(2) as u32,
        dual_channel_replication_enabled: rng.chance(50),
        repl_ping_replica_period: 1 + rng.below(10) as u32,
        repl_timeout: 5 + rng.below(20) as u32,
        replica_protect: *rng.pick(&[
            ReplicaProtect::Yes,
            ReplicaProtect::Strict,
            ReplicaProtect::No,
        ]),
        appendonly: rng.chance(60),
        appendfsync: *rng.pick(&[
            AppendFsync::Always,
            AppendFsync::Always,
            AppendFsync::EverySec,
            AppendFsync::No,
        ]),
        aof_use_rdb_preamble: rng.chance(70),
        aof_timestamp_enabled: rng.chance(50),
        auto_aof_rewrite_min_size: *rng.pick(&[4 << 10, 64 << 10, 64 << 20]),
        // The simulated disk leaves zeros where it has not written.
        aof_load_corrupt_tail_max_size: 1 << 40,
        ..Config::default()
    }
}

/// Limits of databases, some of which are exceeded soon; never of that of the probes.
fn db_limits(rng: &mut Rng) -> DbLimits {
    let mut limits = DbLimits::default();
    let percent = if rng.chance(40) { 70 } else { 0 };
    // Both kinds of clocks can't be kept in one entry.
    let (allkeys, volatile) = if rng.chance(30) {
        (MaxmemoryPolicy::AllkeysLfu, MaxmemoryPolicy::VolatileLfu)
    } else {
        (MaxmemoryPolicy::AllkeysLru, MaxmemoryPolicy::VolatileLru)
    };
    let (random, ttl) = (MaxmemoryPolicy::AllkeysRandom, MaxmemoryPolicy::VolatileTtl);
    for db in 0..PROBES_DB {
        if !rng.chance(percent) {
            continue;
        }
        let policy = *rng.pick(&[allkeys, volatile, random, ttl, MaxmemoryPolicy::NoEviction]);
        let bytes = 500 + rng.below(5_000) as u64;
        limits.set(DbLimit { db, bytes, policy: Some(policy) });
    }
    limits
}
