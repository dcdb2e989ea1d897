//! Access control lists: users, what each may do, and the log of what was denied.
//!
//! A [`User`] is immutable. Changes are made in the world (ACL SETUSER, DELUSER and LOAD, CONFIG
//! SET requirepass): a changed user replaces the one of that name, and the version grows. A session
//! keeps its user together with the version as of which it was looked up ([`Identity`]); a session
//! whose user may do everything keeps only that version, so that the dispatcher's check is one
//! comparison for it.
//!
//! Rules are applied by [`selector`] and printed by [`text`]; [`check`] says what is denied.
//!
//! **Invariants.** There is always a user `default`. The version grows with every change, and only
//! while no command runs. Passwords are kept as SHA-256 digests and compared in constant time.
//!
//! Behaviour checked against Valkey 9.1.2.

pub mod check;
pub mod file;
pub mod log;
mod password;
pub mod quota;
pub mod selector;
mod text;
pub mod user;

use std::collections::BTreeMap;

use crate::config::UserLine;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use log::AclLog;
use quota::Quota;
pub use selector::RuleError;
pub use user::{Rules, User};

/// The user of connections that have not named another.
pub const DEFAULT_USER: &[u8] = b"default";

/// Users by name.
pub type Users = BTreeMap<Arc<[u8]>, Arc<User>>;

/// All users, and the log of denials.
pub struct Acl {
    users: Mutex<Users>,
    version: AtomicU64,
    default_is_open: AtomicBool,
    /// Some user has a limit of commands.
    limits_rates: AtomicBool,
    /// Some user has a limit of memory.
    limits_memory: AtomicBool,
    /// What was denied.
    pub log: Mutex<AclLog>,
}

/// Who a session is. The default value is the user `default`.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// `None`: the user `default`.
    name: Option<Arc<[u8]>>,
    /// The user as of `version`; `None`: none of that name.
    user: Option<Arc<User>>,
    version: u64,
    /// The version as of which the session may do everything; 0: it may not.
    unrestricted_at: u64,
}

impl Identity {
    /// The identity of a user who has authenticated.
    pub fn of(name: &Arc<[u8]>) -> Self {
        let name = (**name != *DEFAULT_USER).then(|| Arc::clone(name));
        Self { name, ..Self::default() }
    }

    /// The user's name.
    pub fn name(&self) -> &[u8] {
        self.name.as_deref().unwrap_or(DEFAULT_USER)
    }

    /// Whether the session was found to have every right, as of this version of the users.
    #[inline]
    pub fn is_unrestricted(&self, version: u64) -> bool {
        self.unrestricted_at == version
    }

    /// Records that the session has every right as of the version that it was last looked up at.
    pub fn set_unrestricted(&mut self) {
        self.unrestricted_at = self.version;
    }
}

impl Acl {
    /// The only user is `default`, who may do everything.
    pub fn new(commands: usize) -> Self {
        let default = Arc::new(User::default_user(commands, b""));
        let users = BTreeMap::from([(Arc::clone(&default.name), default)]);
        Self {
            users: Mutex::new(users),
            version: AtomicU64::new(1),
            default_is_open: AtomicBool::new(true),
            limits_rates: AtomicBool::new(false),
            limits_memory: AtomicBool::new(false),
            log: Mutex::default(),
        }
    }

    /// A number above 0 that grows with every change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether connections need not authenticate: the default user is on and needs no password.
    pub fn default_is_open(&self) -> bool {
        self.default_is_open.load(Ordering::Acquire)
    }

    /// Whether the default user may log in with any password.
    pub fn default_takes_any_password(&self) -> bool {
        self.get(DEFAULT_USER).is_some_and(|user| user.password.is_any())
    }

    /// The user of a session, `None` if it has been deleted. Looked up again after a change.
    pub fn user_of<'i>(&self, identity: &'i mut Identity) -> Option<&'i Arc<User>> {
        let version = self.version();
        if identity.version != version {
            identity.user = lock(&self.users).get(identity.name()).cloned();
            identity.version = version;
        }
        identity.user.as_ref()
    }

    /// A user.
    pub fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        lock(&self.users).get(name).cloned()
    }

    /// All users, by name.
    pub fn all(&self) -> Vec<Arc<User>> {
        lock(&self.users).values().cloned().collect()
    }

    /// Whether some user has a limit of commands.
    #[inline]
    pub fn limits_rates(&self) -> bool {
        self.limits_rates.load(Ordering::Relaxed)
    }

    /// Whether some user has a limit of memory.
    #[inline]
    pub fn limits_memory(&self) -> bool {
        self.limits_memory.load(Ordering::Relaxed)
    }

    /// Adds or replaces a user; in the world.
    pub fn put(&self, mut user: User) {
        if let Some(old) = self.get(&user.name) {
            user.keep_usage(&old);
        }
        lock(&self.users).insert(Arc::clone(&user.name), Arc::new(user));
        self.changed();
    }

    /// Removes a user; false if there was none. In the world; not for the default user.
    pub fn remove(&self, name: &[u8]) -> bool {
        let removed = lock(&self.users).remove(name).is_some();
        self.changed();
        removed
    }

    /// Replaces all users; in the world. There must be a default user among them.
    pub fn replace(&self, mut users: Users) {
        for old in self.all() {
            if let Some(new) = users.get_mut(&old.name) {
                Arc::make_mut(new).keep_usage(&old);
            }
        }
        assert!(users.contains_key(DEFAULT_USER), "there is always a default user");
        *lock(&self.users) = users;
        self.changed();
    }

    fn changed(&self) {
        let is_open =
            self.get(DEFAULT_USER).is_some_and(|user| user.is_on && user.password.is_any());
        self.default_is_open.store(is_open, Ordering::Release);
        let quotas: Vec<Quota> = lock(&self.users).values().map(|user| user.quota).collect();
        self.limits_rates.store(quotas.iter().any(|quota| quota.rate != 0), Ordering::Relaxed);
        self.limits_memory.store(quotas.iter().any(|quota| quota.memory != 0), Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Lets the default user in with `requirepass` alone, or with any password if it is empty; in
    /// the world.
    pub fn set_default_password(&self, requirepass: &[u8]) {
        let Some(default) = self.get(DEFAULT_USER) else { return };
        let mut default = (*default).clone();
        default.password.require(requirepass);
        self.put(default);
    }

    /// The users of the configuration; a line replaces what is known of its user.
    ///
    /// Errors: the first line with a rule that does not apply, and why.
    pub fn declare<'u>(
        &self,
        lines: &'u [UserLine],
        rules: &Rules<'_>,
    ) -> Result<(), (&'u UserLine, String)> {
        for line in lines {
            let mut user = User::new(line.name.as_bytes(), rules);
            let merged = selector::merge(line.rules.iter().map(Vec::as_slice))
                .map_err(|_| (line, "Wrong format".to_owned()))?;
            for rule in merged {
                user.apply(&rule, rules).map_err(|error| (line, error.to_string()))?;
            }
            self.put(user);
        }
        Ok(())
    }

    /// The text of an ACL file with all users.
    pub fn file_text(&self) -> Vec<u8> {
        let users = self.all();
        users.iter().flat_map(|user| [&user.file_line()[..], b"\n"].concat()).collect()
    }
}

#[cfg(test)]
mod tests;
