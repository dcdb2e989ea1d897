//! The user that a client's certificate names.

use super::Worker;
use crate::acl::Identity;
use crate::acl::log::{Context, Entry, Reason};
use crate::command::line;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

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
            return;
        }
        let shared = &client.shared;
        let now_ms = shared.last_active_ms.load(Ordering::Relaxed);
        engine.stats.thread(shared.worker).cell.acl_denied_certificate.bump();
        let entry = Entry {
            count: 1,
            reason: Reason::Certificate,
            context: Context::TopLevel,
            object: Vec::new(),
            user: last.clone(),
            client: line::describe(shared, &engine, now_ms),
            id: 0,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let entries_max = self.config().acllog_max_len;
        lock(&engine.acl.log).note(entry, entries_max);
    }
}
