//! Finishing migrations that clients of this worker have requested.

use super::Worker;
use crate::command::dispatch::Runner;
use crate::sync::Arc;

impl Worker {
    /// Deletes the keys that targets have accepted and replies to the blocked clients. To be called
    /// on `Mail::Migrated`, and when a pause or a script that ran for too long has ended.
    pub fn finish_migrations(&mut self) {
        let finished = self.engine.migrations.take_finished(self.index);
        if finished.is_empty() {
            return;
        }
        let engine = Arc::clone(&self.engine);
        let runner = Runner::try_new(&engine, engine.config(), self.index);
        let Some(mut runner) = runner.filter(|runner| !runner.holds_migrations_back()) else {
            engine.migrations.put_back(finished);
            return;
        };
        let mut finished = finished.into_iter();
        while let Some(migration) = finished.next() {
            runner.yield_to_world();
            if runner.over {
                engine.migrations.put_back(std::iter::once(migration).chain(finished).collect());
                return;
            }
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
