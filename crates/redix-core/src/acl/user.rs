//! A user, and the rules about it as a whole.

use super::DEFAULT_USER;
use super::password::{self, Passwords};
use super::selector::{RuleError, Selector};
use crate::command::table::CommandTable;
use crate::config::{PubsubDefault, split_args};
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
}

impl User {
    /// A user who may do nothing, not even log in.
    pub fn new(name: &[u8], rules: &Rules<'_>) -> Self {
        Self {
            name: name.into(),
            is_on: false,
            password: Passwords::default(),
            selectors: vec![Selector::new(rules)],
        }
    }

    /// The default user as it is unless said otherwise, where there are so many commands and
    /// `requirepass` has this value.
    pub fn default_user(commands: usize, requirepass: &[u8]) -> Self {
        let mut password = Passwords::default();
        password.require(requirepass);
        let selectors = vec![Selector::everything(commands)];
        Self { name: DEFAULT_USER.into(), is_on: true, password, selectors }
    }

    /// Whether no command can be denied to it.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(Selector::is_unrestricted)
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
            b"reset" => *self = Self { name: Arc::clone(&self.name), ..Self::new(b"", rules) },
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
