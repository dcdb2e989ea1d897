//! Coordinated failovers, which the operator aborts if they take long.

use redix_core::repl::failover::Stage;

use super::super::client::{PROBES_DB, probe_key};
use super::super::process::FIRST_PORT;
use super::{Check, World};

/// Steps after which the operator aborts.
const PATIENCE_STEPS: usize = 3000;

/// A failover, and what was observed of it.
struct Attempt {
    old: usize,
    target: usize,
    force: bool,
    /// The probes that the old primary had of each client when it handed over.
    held: Option<Vec<u64>>,
}

impl World {
    /// Sends FAILOVER to the primary while faults occur.
    pub(super) fn fail_over(&mut self) -> Check {
        let old = self.primary;
        let Some(process) = &self.nodes[old].process else { return Ok(()) };
        let replicas = process.engine.repl.replicas.all();
        if replicas.is_empty() {
            return Ok(());
        }
        let (host, port) = self.rng.pick(&replicas).address();
        let target = usize::from(port - FIRST_PORT);
        if self.rng.chance(60) {
            self.make_late(old, target);
        }
        let timeout_ms = self.rng.pick(&["20", "200", "2000"]).to_string();
        let force = self.rng.chance(25);
        let mut words = vec!["FAILOVER".to_owned()];
        if force || self.rng.chance(60) {
            words.extend(["TO".to_owned(), host, port.to_string()]);
        }
        if force || self.rng.chance(60) {
            words.extend(["TIMEOUT".to_owned(), timeout_ms]);
        }
        words.extend(force.then(|| "FORCE".to_owned()));
        self.note(&format!("node {old} is told: {}", words.join(" ")));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let reply = self.process(old).map(|process| process.ask(&words)).unwrap_or_default();
        // A replica that is not online cannot take over.
        if !reply.starts_with(b"+OK") {
            return self.observe(old);
        }
        let mut attempt = Attempt { old, target, force, held: None };
        self.watch(&mut attempt)?;
        if self.stage(old) != Stage::None {
            self.order(old, &["FAILOVER", "ABORT"])?;
        }
        self.settle(&attempt)
    }

    fn stage(&self, node: usize) -> Stage {
        let process = self.nodes[node].process.as_ref();
        process.map_or(Stage::None, |process| process.engine.repl.failover.stage())
    }

    /// Runs, with faults, until it is over or has taken too long.
    fn watch(&mut self, attempt: &mut Attempt) -> Check {
        let Attempt { old, target, .. } = *attempt;
        self.observe(old)?;
        for _ in 0..PATIENCE_STEPS {
            match self.stage(old) {
                Stage::None => break,
                Stage::InProgress if attempt.held.is_none() => {
                    attempt.held = Some(self.held_probes(old));
                    // What the target has not received by now it will never receive.
                    if self.rng.chance(40) {
                        self.cut(old, target);
                    }
                }
                Stage::InProgress | Stage::Waiting => {}
            }
            self.pass_time(false);
            match self.rng.below(1000) {
                0..300 => self.turn()?,
                300..650 => self.link()?,
                650..720 => self.background()?,
                720..998 => self.act()?,
                _ => match self.rng.below(10) {
                    0..6 => self.cut(old, target),
                    6..8 => self.make_late(old, target),
                    8 => self.crash(target),
                    _ => self.order(target, &["CLIENT", "KILL", "TYPE", "normal"])?,
                },
            }
        }
        Ok(())
    }

    /// The probes of each client that a server has now.
    fn held_probes(&mut self, node: usize) -> Vec<u64> {
        let Some(process) = &self.nodes[node].process else { return Vec::new() };
        let probe = |client| {
            let value = process.peek(PROBES_DB, &probe_key(client))?;
            String::from_utf8(value).ok()?.parse().ok()
        };
        (0..self.clients.len()).map(|client| probe(client).unwrap_or(0)).collect()
    }

    /// Records the new primary; everything that was handed over must be there.
    fn settle(&mut self, attempt: &Attempt) -> Check {
        let Attempt { old, target, force, held } = attempt;
        let (old, target) = (*old, *target);
        let process = self.nodes[old].process.as_ref();
        let Some(followed) = process.and_then(|process| process.engine.repl.upstream.target())
        else {
            // The target may have taken over even if its reply was lost.
            let promoted = |process: &super::Process| !process.engine.repl.is_replica();
            if self.nodes[target].process.as_ref().is_some_and(promoted) {
                self.follow(target, old)?;
            }
            return Ok(());
        };
        let new = usize::from(followed.port - FIRST_PORT);
        self.seen.failovers += 1;
        self.primary = new;
        self.nodes[new].parent = None;
        self.nodes[old].parent = Some(new);
        if *force || self.nodes[new].process.is_none() {
            return Ok(());
        }
        let found = self.held_probes(new);
        let held = held.as_ref().ok_or("a failover has ended that did not begin")?;
        if held.iter().zip(&found).any(|(held, found)| found < held) {
            return Err(format!("node {new} took over with {found:?} of {held:?}"));
        }
        Ok(())
    }
}
