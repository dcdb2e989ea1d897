//! `user` lines of a configuration file.
//!
//! What their rules mean is not known here: the lines are kept until the engine applies them.

use std::fmt;

use super::bytes::{ByteString, Shown};
use super::parse::ConfigError;
use super::syntax::quote_unless_plain;

/// A `user` line.
#[derive(Clone, PartialEq)]
pub struct UserLine {
    /// The user's name.
    pub name: ByteString,
    /// The rules, in order.
    pub rules: Vec<Vec<u8>>,
    /// Where the line is.
    place: ConfigError,
}

impl UserLine {
    /// A line at a place that is described by an error without a reason.
    pub(super) fn new(name: &[u8], rules: &[Vec<u8>], place: ConfigError) -> Self {
        let mut text = format!("user {}", Shown(name));
        for rule in rules {
            let shown = if is_secret(rule) { &rule[..1] } else { rule };
            text.push_str(&format!(" {}", Shown(shown)));
            text.push_str(if is_secret(rule) { "(redacted)" } else { "" });
        }
        Self { name: name.into(), rules: rules.to_vec(), place: ConfigError { text, ..place } }
    }

    /// The error that stops the start because of this line.
    pub fn refused(&self, reason: &str) -> ConfigError {
        let reason = format!("Error in user declaration '{}': {reason}", self.name);
        ConfigError { reason, ..self.place.clone() }
    }
}

/// Passwords are not shown.
impl fmt::Debug for UserLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserLine").field("name", &self.name).finish_non_exhaustive()
    }
}

fn is_secret(rule: &[u8]) -> bool {
    matches!(rule, [b'>' | b'<', _, ..])
}

/// What follows `user` in the line of a configuration file, given the words of a line of an ACL
/// file: the same, with quotes where they are needed.
pub(super) fn quoted(line: &[u8]) -> Vec<u8> {
    let words = line.split(|byte| *byte == b' ').skip(1);
    words.map(quote_unless_plain).collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests;
