//! Users as text: lines of ACL LIST and of files, and the parts that ACL GETUSER shows.

use super::selector::{Allowed, KeyPattern, Selector, key_access};
use super::user::User;
use crate::config::quote;

/// For whom a user is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For people, as the real server does.
    Shown,
    /// For files: as `Shown`, except where that would be misread.
    Written,
}

impl User {
    /// `user NAME RULE …`: the line of ACL LIST.
    pub fn line(&self) -> Vec<u8> {
        self.text(Form::Shown)
    }

    /// The line of a file, which gives back this user.
    pub fn file_line(&self) -> Vec<u8> {
        self.text(Form::Written)
    }

    fn text(&self, form: Form) -> Vec<u8> {
        let state: &[u8] = if self.is_on { b" on" } else { b" off" };
        let mut out = [b"user ", &*self.name, state].concat();
        if self.password.is_any() {
            out.extend_from_slice(b" nopass");
        }
        for hash in self.password.texts() {
            out.extend_from_slice(b" #");
            out.extend_from_slice(hash.as_bytes());
        }
        for (name, limit) in [("mem", self.quota.memory), ("rate", self.quota.rate)] {
            if limit != 0 {
                out.extend_from_slice(format!(" %{name}={limit}").as_bytes());
            }
        }
        for (at, selector) in self.selectors.iter().enumerate() {
            out.push(b' ');
            match (at, selector.text(form)) {
                (0, text) => out.extend_from_slice(&text),
                (_, text) => out.extend_from_slice(&in_parentheses(&text, form)),
            }
        }
        out
    }
}

/// The words of a selector in parentheses. Their parser knows quotes, and ends at the first word
/// that ends in a parenthesis.
fn in_parentheses(words: &[u8], form: Form) -> Vec<u8> {
    let is_misread = |word: &[u8]| {
        form == Form::Written
            && (word.ends_with(b")") || word.iter().any(|byte| b"\"'".contains(byte)))
    };
    let words = words.split(|byte| *byte == b' ').map(|word| match is_misread(word) {
        true => quote(word).into_bytes(),
        false => word.to_vec(),
    });
    [b"(", &*words.collect::<Vec<_>>().join(&b' '), b")"].concat()
}

impl Selector {
    fn text(&self, form: Form) -> Vec<u8> {
        let channels = match &self.channels {
            Allowed::Some(patterns) if patterns.is_empty() => b"resetchannels".to_vec(),
            Allowed::Some(_) => [b"resetchannels ", &*self.channels_text()].concat(),
            Allowed::All => self.channels_text(),
        };
        let databases = match &self.databases {
            Allowed::All => Vec::new(),
            Allowed::Some(none) if none.is_empty() => b"resetdbs".to_vec(),
            Allowed::Some(_) => self.databases_text(),
        };
        let parts = [self.keys(form), channels, databases, self.commands_text()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b' ')
    }

    fn keys(&self, form: Form) -> Vec<u8> {
        match &self.keys {
            Allowed::All => b"~*".to_vec(),
            Allowed::Some(patterns) => {
                let texts = patterns.iter().map(|pattern| pattern.text(form));
                texts.collect::<Vec<_>>().join(&b' ')
            }
        }
    }

    /// The command rules.
    pub fn commands_text(&self) -> Vec<u8> {
        let first = if self.commands.from_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        let rules = std::iter::once(&first).chain(&self.commands.rules);
        rules.map(Vec::as_slice).collect::<Vec<_>>().join(&b' ')
    }

    /// The patterns of keys.
    pub fn keys_text(&self) -> Vec<u8> {
        self.keys(Form::Shown)
    }

    /// The patterns of channels.
    pub fn channels_text(&self) -> Vec<u8> {
        match &self.channels {
            Allowed::All => b"&*".to_vec(),
            Allowed::Some(patterns) => {
                let texts = patterns.iter().map(|pattern| [b"&", pattern.as_slice()].concat());
                texts.collect::<Vec<_>>().join(&b' ')
            }
        }
    }

    /// The databases; nothing if there are none.
    pub fn databases_text(&self) -> Vec<u8> {
        match &self.databases {
            Allowed::All => b"alldbs".to_vec(),
            Allowed::Some(none) if none.is_empty() => Vec::new(),
            Allowed::Some(databases) => {
                let numbers: Vec<_> = databases.iter().map(u32::to_string).collect();
                format!("db={}", numbers.join(",")).into_bytes()
            }
        }
    }
}

impl KeyPattern {
    fn text(&self, form: Form) -> Vec<u8> {
        let before: &[u8] = match self.access {
            key_access::READ => b"%R~",
            key_access::WRITE => b"%W~",
            // `~*` would mean all keys, after which no pattern may follow.
            _ if form == Form::Written && self.pattern == b"*" => b"%RW~",
            _ => b"~",
        };
        [before, &self.pattern].concat()
    }
}
