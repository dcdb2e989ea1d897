//! The text of an ACL file: one `user` line for each user.

use super::selector::{is_blank, merge};
use super::user::{Rules, User};
use super::{DEFAULT_USER, RuleError, Users};
use crate::sync::Arc;

/// Reads the users in `text`. A default user who may do everything is added if there is none.
///
/// Errors: all that is wrong in the file called `path`, in the words of the real server.
pub fn parse(text: &[u8], path: &[u8], rules: &Rules<'_>) -> Result<Users, Vec<u8>> {
    let mut users = Users::new();
    let mut errors = Errors { path, text: Vec::new() };
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if !line.is_empty() {
            read_line(line, index + 1, &mut users, rules, &mut errors);
        }
    }
    if !errors.text.is_empty() {
        errors.text.extend_from_slice(
            b"WARNING: ACL errors detected, no change to the previously active ACL rules was \
              performed",
        );
        return Err(errors.text);
    }
    if !users.contains_key(DEFAULT_USER) {
        let default = User::default_user(rules.commands.all().len(), b"");
        users.insert(Arc::clone(&default.name), Arc::new(default));
    }
    Ok(users)
}

struct Errors<'a> {
    path: &'a [u8],
    text: Vec<u8>,
}

impl Errors<'_> {
    /// Adds `PATH:LINE` and the parts of an error.
    fn add(&mut self, line: usize, parts: &[&[u8]]) {
        self.text.extend_from_slice(self.path);
        self.text.extend_from_slice(format!(":{line}").as_bytes());
        self.text.extend_from_slice(&parts.concat());
    }
}

fn read_line(
    line: &[u8],
    number: usize,
    users: &mut Users,
    rules: &Rules<'_>,
    errors: &mut Errors<'_>,
) {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        errors.add(number, &[b" should start with user keyword followed by the username. "]);
        return;
    };
    if name.iter().any(|byte| is_blank(*byte)) {
        errors.add(number, &[b": username '", name, b"' contains invalid characters. "]);
        return;
    }
    if users.contains_key(name) {
        let at = format!("' found on line {number}. ");
        let parts = [b"WARNING: Duplicate user '", name, at.as_bytes()];
        errors.text.extend_from_slice(&parts.concat());
        return;
    }
    let mut user = User::new(name, rules);
    let Ok(merged) = merge(words) else {
        errors.add(number, &[b": Unmatched parenthesis in selector definition."]);
        return;
    };
    let mut has_other_error = false;
    for rule in merged {
        let rule = rule.trim_ascii();
        match user.apply(rule, rules) {
            Ok(()) => {}
            Err(error @ RuleError::UnknownCommand) => {
                let text = error.to_string();
                let parts =
                    [b": Error in applying operation '", rule, b"': ", text.as_bytes(), b". "];
                errors.add(number, &parts);
            }
            // A first error may cause further ones.
            Err(error) if !has_other_error => {
                has_other_error = true;
                errors.add(number, &[b": ", error.to_string().as_bytes(), b". "]);
            }
            Err(_) => {}
        }
    }
    users.insert(Arc::clone(&user.name), Arc::new(user));
}
