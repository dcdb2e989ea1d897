//! The user that a client's certificate names.

use super::Worker;
use crate::acl::Identity;
use crate::acl::log::{Context, Entry, Reason};
use crate::command::audit::{Outcome, audit_certificate};
use crate::command::line;
use crate::sync::{Arc, lock};

/// Bytes of a name that the log of denials keeps.
const NAME_BYTES_MAX: usize = 1024;

impl Worker {
    /// Makes a client the first user of `names` who exists and is on: they are those that its
    /// certificate names, and nothing is done without any. If there is no such user, the client
    /// stays who it is, and that is logged.
    pub fn authenticate_by_certificate(&mut self, token: usize, names: &[Vec<u8>]) {
        let engine = Arc::clone(&self.engine);
        let Some(last) = names.last() else { return };
        let known = names.iter().find_map(|name| engine.acl.get(name).filter(|user| user.is_on));
        let Some(client) = self.client(token) else { return };
        if let Some(user) = known {
            client.session.authenticated = true;
            client.session.known = true;
            client.session.user = Identity::of(&user.name);
            lock(&client.shared.texts).user = user.name.to_vec();
            let shared = Arc::clone(&client.shared);
            audit_certificate(&engine, &self.config, &shared, &user.name, Outcome::Accepted);
            return;
        }
        let shared = &Arc::clone(&client.shared);
        let last = &last[..last.len().min(NAME_BYTES_MAX)];
        audit_certificate(&engine, &self.config, shared, last, Outcome::Refused);
        let now_ms = engine.env.clock.unix_us() / 1000;
        engine.stats.thread(shared.worker).cell.acl_denied_certificate.bump();
        let entry = Entry {
            count: 1,
            reason: Reason::Certificate,
            context: Context::TopLevel,
            object: Vec::new(),
            user: last.to_vec(),
            client: line::describe(shared, &engine, now_ms),
            id: 0,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let entries_max = self.config().acllog_max_len;
        lock(&engine.acl.log).note(entry, entries_max);
    }
}
