//! The `user default` line of a configuration file.
//!
//! The real servers write one whenever they rewrite their file, so their files contain it. There is
//! one user here, who may do everything and whose password is `requirepass`: a line is accepted if
//! it says exactly that, and refused otherwise, since ignoring a restriction would give the user
//! more rights than intended.
//!
//! Behaviour checked against redis-server 7.0.15, Redis 8.2.3 and Valkey 9.1.2.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// A parsed `user default` line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DefaultUser {
    enabled: bool,
    keys: bool,
    channels: bool,
    commands: bool,
    password: Password,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Password {
    /// No password is accepted.
    #[default]
    Nothing,
    /// Any password is accepted (`nopass`).
    Anything,
    /// Passwords with these SHA-256 hashes, in lower-case hexadecimal digits.
    Hashes(Vec<Vec<u8>>),
}

impl DefaultUser {
    /// Applies the rules of a line, in order. Errors: a rule that needs a missing feature.
    pub(super) fn parse(rules: &[Vec<u8>]) -> Result<Self, String> {
        let mut user = Self::default();
        for rule in rules {
            user.apply(rule)?;
        }
        Ok(user)
    }

    fn apply(&mut self, rule: &[u8]) -> Result<(), String> {
        match rule.to_ascii_lowercase().as_slice() {
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => self.password = Password::Anything,
            b"resetpass" => self.password = Password::Nothing,
            b"~*" | b"%rw~*" | b"%wr~*" | b"allkeys" => self.keys = true,
            b"resetkeys" => self.keys = false,
            b"&*" | b"allchannels" => self.channels = true,
            b"resetchannels" => self.channels = false,
            b"+@all" | b"allcommands" => self.commands = true,
            b"-@all" | b"nocommands" => self.commands = false,
            // Every user may use all databases, and restored payloads are always checked.
            b"alldbs" | b"clearselectors" | b"sanitize-payload" | b"skip-sanitize-payload" => {}
            b"reset" => *self = Self::default(),
            _ => match rule {
                [b'>', password @ ..] => self.add_password(hash(password)),
                [b'#', hash @ ..] if is_hash(hash) => self.add_password(hash.to_vec()),
                [b'#', ..] => {
                    return Err(
                        "The password hash must be exactly 64 characters and contain only \
                                lowercase hexadecimal characters"
                            .into(),
                    );
                }
                _ => return Err(refusal(&format!("the rule '{}'", super::Shown(rule)))),
            },
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Vec<u8>) {
        match &mut self.password {
            Password::Hashes(hashes) if hashes.contains(&hash) => {}
            Password::Hashes(hashes) => hashes.push(hash),
            other => *other = Password::Hashes(vec![hash]),
        }
    }

    /// Checks that the line describes the only user, whose password is `requirepass`. The error is
    /// the difference.
    pub(super) fn agrees_with(&self, requirepass: &[u8]) -> Result<(), String> {
        let lacking = match () {
            () if !self.enabled => "a user who is off",
            () if !self.keys => "a user who may not use all keys (~*)",
            () if !self.channels => "a user who may not use all channels (&*)",
            () if !self.commands => "a user who may not use all commands (+@all)",
            () => return self.password_agrees_with(requirepass),
        };
        Err(refusal(lacking))
    }

    fn password_agrees_with(&self, requirepass: &[u8]) -> Result<(), String> {
        let agrees = match &self.password {
            Password::Nothing => false,
            Password::Anything => requirepass.is_empty(),
            Password::Hashes(hashes) => {
                !requirepass.is_empty() && hashes.as_slice() == [hash(requirepass)]
            }
        };
        if agrees { Ok(()) } else { Err(refusal("a user whose password is not 'requirepass'")) }
    }
}

fn refusal(what: &str) -> String {
    format!(
        "Redix does not have access control lists yet: the only user is 'default', who may do \
         everything and has the password 'requirepass'; the line means {what}"
    )
}

/// The line that describes the only user, as the real servers write it.
pub(super) fn default_user_line(requirepass: &[u8]) -> Vec<u8> {
    let password = match requirepass {
        [] => b"nopass".to_vec(),
        _ => [b"#", hash(requirepass).as_slice()].concat(),
    };
    [b"user default on ", password.as_slice(), b" ~* &* +@all"].concat()
}

fn hash(password: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(password) {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text.into_bytes()
}

fn is_hash(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
