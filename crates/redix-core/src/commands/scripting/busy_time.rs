//! The time for which a script is recorded as one that runs for too long.

use crate::engine::Engine;
use crate::mailbox::Mail;
use crate::scripting::busy::Busy;
use crate::sync::Arc;

/// The script is recorded, and other threads do not wait for it, until this is dropped.
pub(super) struct BusyTime<'a> {
    engine: &'a Engine,
    /// The script.
    pub(super) script: Arc<Busy>,
}

impl<'a> BusyTime<'a> {
    /// Begins it; the caller holds the world.
    pub(super) fn begin(engine: &'a Engine, script: Busy) -> Self {
        let script = Arc::new(script);
        engine.scripting.set_busy(Some(Arc::clone(&script)));
        engine.keyspace.gates().set_busy(true);
        Self { engine, script }
    }
}

impl Drop for BusyTime<'_> {
    fn drop(&mut self) {
        self.engine.scripting.set_busy(None);
        self.engine.keyspace.gates().set_busy(false);
        // Connections may have been put off until now.
        self.engine.registry.post_all(&Mail::Resume);
    }
}
