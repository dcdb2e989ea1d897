//! Finishing migrations that clients of this worker have requested.

use super::Worker;
use crate::command::dispatch::Runner;
use crate::sync::Arc;

impl Worker {
    /// Deletes the keys that targets have accepted and replies to the blocked clients. To be called
    /// on `Mail::Migrated`, and when a pause has ended.
    pub fn finish_migrations(&mut self) {
        let finished = self.engine.migrations.take_finished(self.index);
        if finished.is_empty() {
            return;
        }
        let engine = Arc::clone(&self.engine);
        let mut runner = Runner::new(&engine, engine.config(), self.index);
        if runner.holds_migrations_back() {
            engine.migrations.put_back(finished);
            return;
        }
        for migration in finished {
            runner.yield_to_world();
            let end = runner.finish_migration(&migration);
            let (token, id) = (migration.waiter.token(), migration.waiter.client());
            if let (Some(end), Some(client)) = (end, self.client(token))
                && client.shared.id == id
            {
                client.session.write_offset = end;
            }
        }
        drop(runner);
    }
}
