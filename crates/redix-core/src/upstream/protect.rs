//! The link's half of [`crate::repl::protection`]: judges what the primary offers.

use super::{Broken, NOT_WANTED, Upstream};
use crate::persist::load::Contents;
use crate::repl::log::ReplId;
use crate::repl::protection::{Lack, Offer};

impl Upstream {
    /// Refuses an offer by its position in the stream, before its data set is received; in the
    /// world.
    pub(super) fn check_history(&self, id: ReplId, end: u64) -> Result<(), Broken> {
        let (protection, mode) = (&self.status().protection, self.engine.config().replica_protect);
        let here = (self.contents(), self.engine.repl.log.end());
        let offer = Offer { id, end: (!self.is_nameless).then_some(end) };
        match protection.judge_history(mode, here, offer) {
            Some(lack) => Err(self.refuse(lack, offer)),
            None => Ok(()),
        }
    }

    /// Refuses a data set by what is in it, before the old one is discarded.
    pub(super) fn check_contents(&self, id: ReplId, offered: Contents) -> Result<(), Broken> {
        let _world = self.engine.keyspace.gates().world();
        if !self.is_wanted() {
            return Err(Broken::new(NOT_WANTED));
        }
        let (protection, mode) = (&self.status().protection, self.engine.config().replica_protect);
        match protection.judge_contents(mode, self.contents(), offered) {
            Some(lack) => Err(self.refuse(lack, Offer { id, end: None })),
            None => Ok(()),
        }
    }

    /// What is in the data set here.
    fn contents(&self) -> Contents {
        let keyspace = &self.engine.keyspace;
        Contents {
            keys: (0..keyspace.databases()).any(|db| keyspace.key_count(db) > 0),
            libraries: !self.engine.scripting.functions.catalogue().is_empty(),
        }
    }

    fn refuse(&self, lack: Lack, offer: Offer) -> Broken {
        self.status().protection.refuse(lack, offer.id);
        let primary = self
            .target
            .as_ref()
            .map_or_else(String::new, |target| format!("{}:{}", target.host, target.port));
        let keyspace = &self.engine.keyspace;
        let keys: u64 = (0..keyspace.databases()).map(|db| keyspace.key_count(db)).sum();
        let why = match (lack, offer.end) {
            (Lack::Keys, None) => "is empty".into(),
            (Lack::Keys, Some(_)) => "was empty when it was refused first".into(),
            (Lack::History, end) => format!(
                "is at offset {}, behind the offset {} here",
                end.unwrap_or(0),
                self.engine.repl.log.end()
            ),
        };
        Broken::futile(format!(
            "The data set of PRIMARY {primary} is refused: it {why}, and {keys} keys would be \
             discarded for it (replica-protect). They are kept and served. To accept the data set, \
             send REPLICAOF again or set replica-protect to no; to make this replica the primary, \
             send REPLICAOF NO ONE."
        ))
    }
}
