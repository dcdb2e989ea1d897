//! What must survive a power cut of a server with an append-only file.

use redix_core::aof::Phase;
use redix_core::config::AppendFsync;

use super::client::{PROBES_DB, probe_key};
use super::process::Process;

/// The probes that a server has acknowledged or shown.
pub(super) struct Durable {
    /// Of each client, the highest that must be found after a restart.
    least: Vec<u64>,
    /// Shown before the log ended at an offset: once that is durable, they are.
    pending: Vec<(u64, usize, u64)>,
}

impl Durable {
    /// Nothing yet.
    pub(super) fn new(clients: usize) -> Self {
        Self { least: vec![0; clients], pending: Vec::new() }
    }

    /// Notes that a reply has acknowledged or shown a probe, or confirmed that it is durable.
    pub(super) fn note(&mut self, client: usize, value: u64, confirmed: bool, process: &Process) {
        let aof = &process.engine.aof;
        if aof.phase() != Phase::On {
            return;
        }
        let always = process.engine.config().appendfsync == AppendFsync::Always;
        if confirmed || always && aof.holds_replies() {
            self.least[client] = self.least[client].max(value);
        } else {
            self.pending.push((process.engine.repl.log.end(), client, value));
        }
    }

    /// Looks at what a server has made durable. While its file is off, or that of another data set,
    /// nothing is promised.
    pub(super) fn observe(&mut self, process: &Process) {
        let Some(end) = process.engine.aof.durable_end() else {
            self.forget();
            return;
        };
        let Self { least, pending } = self;
        pending.retain(|&(offset, client, value)| {
            let waits = offset > end;
            if !waits {
                least[client] = least[client].max(value);
            }
            waits
        });
    }

    fn forget(&mut self) {
        self.least.fill(0);
        self.pending.clear();
    }

    /// Checks a server that has just started; returns how many clients' probes were checked. Those
    /// up to `swept` may have been deleted.
    pub(super) fn check(
        &mut self,
        node: usize,
        process: &Process,
        swept: &[u64],
    ) -> Result<u64, String> {
        self.pending.clear();
        let mut checked = 0;
        for (client, &least) in self.least.iter().enumerate().filter(|(_, least)| **least > 0) {
            let value = process.peek(PROBES_DB, &probe_key(client));
            let value = value.and_then(|value| String::from_utf8(value).ok()?.parse().ok());
            if value.unwrap_or(0) < least && least > swept[client] {
                return Err(format!(
                    "node {node} has lost {least} of client {client}: it has {value:?} after a \
                     restart"
                ));
            }
            checked += 1;
        }
        Ok(checked)
    }
}
