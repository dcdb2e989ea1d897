//! A user, and the rules about it as a whole.

use super::DEFAULT_USER;
use super::password::{self, Passwords};
use super::quota::{Quota, RATE_MAX, UsageOf};
use super::selector::{Allowed, RuleError, Selector};
use crate::command::table::CommandTable;
use crate::config::{PubsubDefault, parse_memory, split_args};
use crate::sync::Arc;

/// What rules refer to.
#[derive(Clone, Copy)]
pub struct Rules<'c> {
    /// The commands by their original names.
    pub commands: &'c CommandTable,
    /// The channels of new users and selectors.
    pub channels: PubsubDefault,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: Arc<[u8]>,
    /// Whether it may authenticate.
    pub is_on: bool,
    /// Its passwords.
    pub password: Passwords,
    /// What it may do: what one of these allows. The first is the one that rules outside of
    /// parentheses change.
    pub selectors: Vec<Selector>,
    /// Its limits.
    pub quota: Quota,
    /// What it has used.
    pub usage: UsageOf,
}

impl User {
    /// Continues what a user has used who is replaced by this one; debts at another rate are
    /// forgotten.
    pub fn keep_usage(&mut self, old: &Self) {
        self.usage = old.usage.clone();
        if self.quota.rate != old.quota.rate {
            self.usage.0.forget_debts();
        }
    }

    /// A user who may do nothing, not even log in.
    pub fn new(name: &[u8], rules: &Rules<'_>) -> Self {
        Self {
            name: name.into(),
            is_on: false,
            password: Passwords::default(),
            selectors: vec![Selector::new(rules)],
            quota: Quota::default(),
            usage: UsageOf::default(),
        }
    }

    /// The default user as it is unless said otherwise, where there are so many commands and
    /// `requirepass` has this value.
    pub fn default_user(commands: usize, requirepass: &[u8]) -> Self {
        let mut password = Passwords::default();
        password.require(requirepass);
        let selectors = vec![Selector::everything(commands)];
        Self {
            name: DEFAULT_USER.into(),
            is_on: true,
            password,
            selectors,
            quota: Quota::default(),
            usage: UsageOf::default(),
        }
    }

    /// Whether no command can be denied to it.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(Selector::is_unrestricted)
    }

    /// The databases that it may use, each once; `None`: all.
    pub fn databases(&self) -> Option<impl Iterator<Item = u32>> {
        if self.selectors.iter().any(|selector| selector.databases == Allowed::All) {
            return None;
        }
        let listed = self.selectors.iter().enumerate().flat_map(|(at, selector)| {
            let earlier = &self.selectors[..at];
            let is_new = move |db: &u32| {
                let mut earlier = earlier.iter().filter_map(Selector::listed_databases);
                !earlier.any(|databases| databases.contains(db))
            };
            selector.listed_databases().into_iter().flatten().copied().filter(is_new)
        });
        Some(listed)
    }

    /// Applies one rule. On an error nothing has changed.
    pub fn apply(&mut self, rule: &[u8], rules: &Rules<'_>) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"on" => self.is_on = true,
            b"off" => self.is_on = false,
            b"nopass" => self.password.accept_any(),
            b"resetpass" => self.password.clear(),
            // Restored payloads are always checked.
            b"sanitize-payload" | b"skip-sanitize-payload" => {}
            b"clearselectors" => self.selectors.truncate(1),
            b"reset" => {
                let (name, usage) = (Arc::clone(&self.name), self.usage.clone());
                *self = Self { name, usage, ..Self::new(b"", rules) };
            }
            [b'%', b'r', b'a', b't', b'e', b'=', rate @ ..] => {
                let rate = str::from_utf8(rate).ok().and_then(|text| text.parse().ok());
                self.quota.rate =
                    rate.filter(|rate| *rate <= RATE_MAX).ok_or(RuleError::BadLimit)?;
            }
            [b'%', b'm', b'e', b'm', b'=', size @ ..] => {
                self.quota.memory = parse_memory(size)
                    .filter(|bytes| !size.is_empty() && i64::try_from(*bytes).is_ok())
                    .ok_or(RuleError::BadLimit)?;
            }
            _ => match rule {
                [b'>', password @ ..] => self.password.add(password::digest(password)),
                [b'#', hash @ ..] => self.password.add(password::parse(hash)?),
                [b'<', password @ ..] => self.password.remove(&password::digest(password))?,
                [b'!', hash @ ..] => self.password.remove(&password::parse(hash)?)?,
                [b'(', inner @ .., b')'] => self.selectors.push(read_selector(inner, rules)?),
                _ => self.selectors[0].apply(rule, rules)?,
            },
        }
        Ok(())
    }
}

/// The selector that the rules between parentheses describe. Unbalanced quotes describe an empty
/// one.
fn read_selector(inner: &[u8], rules: &Rules<'_>) -> Result<Selector, RuleError> {
    // What follows a zero byte would be ignored, a restriction too.
    if inner.contains(&0) {
        return Err(RuleError::Syntax);
    }
    let mut selector = Selector::new(rules);
    for rule in split_args(inner).unwrap_or_default() {
        selector.apply(&rule, rules)?;
    }
    Ok(selector)
}
