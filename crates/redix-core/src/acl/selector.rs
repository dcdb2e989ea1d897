//! A selector: commands together with the keys, channels and databases that they may access.
//!
//! Rules change it one by one; [`Selector::apply`] is the parser. The command rules are also kept
//! as words, without those that later ones made redundant, since the bits alone do not tell how to
//! print them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::user::Rules;
use crate::command::spec::acl;
use crate::command::table::{Command, CommandTable};
use crate::config::PubsubDefault;

/// Why a rule does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// It is no rule.
    Syntax,
    /// It names a command or category that does not exist.
    UnknownCommand,
    /// It names an argument of a subcommand.
    ArgumentOfSubcommand,
    /// A pattern of keys, where all are allowed.
    KeysAfterAll,
    /// A pattern of channels, where all are allowed.
    ChannelsAfterAll,
    /// A password that is not known cannot be removed.
    NoSuchPassword,
    /// It is no SHA-256 digest.
    BadHash,
    /// There can be no such database.
    DatabaseRange,
    /// It is no limit of memory or commands.
    BadLimit,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "Syntax error",
            Self::BadLimit => "The limit must be a memory value, or a number of commands",
            Self::UnknownCommand => "Unknown command or category name in ACL",
            Self::ArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            Self::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does \
                 not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            Self::DatabaseRange => "The provided database ID is out of range",
        })
    }
}

impl std::error::Error for RuleError {}

/// Kinds of access to a key.
pub mod key_access {
    /// Reading its value.
    pub const READ: u8 = 1;
    /// Changing it.
    pub const WRITE: u8 = 2;
    /// Both.
    pub const ALL: u8 = READ | WRITE;
}

/// Keys that may be accessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern {
    /// The glob.
    pub pattern: Vec<u8>,
    /// Bits of [`key_access`].
    pub access: u8,
}

/// Names that may be used: all, or those that match one of the patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed<P> {
    /// All.
    All,
    /// Those that match.
    Some(P),
}

/// Allowed commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// By id.
    bits: Vec<u64>,
    /// All are allowed.
    all: bool,
    /// The rules begin with all of them, rather than with none.
    pub(super) from_all: bool,
    /// First arguments with which a command is allowed, in lower case, where it is not otherwise.
    first_args: BTreeMap<u16, BTreeSet<Vec<u8>>>,
    /// The rules after the first, in lower case and with their signs.
    pub(super) rules: Vec<Vec<u8>>,
}

/// What one set of permissions allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Commands.
    pub commands: Commands,
    /// Keys.
    pub keys: Allowed<Vec<KeyPattern>>,
    /// Channels.
    pub channels: Allowed<Vec<Vec<u8>>>,
    /// Databases.
    pub databases: Allowed<BTreeSet<u32>>,
}

impl Commands {
    fn everything(count: usize) -> Self {
        Self { all: true, from_all: true, ..Self::nothing(count) }.filled(u64::MAX)
    }

    fn nothing(count: usize) -> Self {
        Self {
            bits: vec![0; count.div_ceil(64)],
            all: false,
            from_all: false,
            first_args: BTreeMap::new(),
            rules: Vec::new(),
        }
    }

    fn filled(mut self, word: u64) -> Self {
        self.bits.fill(word);
        self
    }

    /// Whether every command is allowed.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Whether a command is allowed with any arguments.
    pub fn has(&self, command: Command) -> bool {
        self.bits[usize::from(command.id) / 64] >> (command.id % 64) & 1 != 0
    }

    /// Whether a command is allowed with this first argument.
    pub fn has_with(&self, command: Command, first_arg: &[u8]) -> bool {
        let allowed = self.first_args.get(&command.id);
        allowed.is_some_and(|args| args.contains(first_arg.to_ascii_lowercase().as_slice()))
    }

    fn set(&mut self, id: u16, allow: bool) {
        let bit = 1 << (id % 64);
        let word = &mut self.bits[usize::from(id) / 64];
        if allow {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    /// Allows or denies a command with its subcommands.
    fn change(&mut self, table: &CommandTable, command: Command, allow: bool) {
        self.set(command.id, allow);
        self.first_args.remove(&command.id);
        for sub in table.subcommands(command) {
            self.set(sub.id, allow);
        }
    }

    /// Records a rule about `subject` in place of earlier ones about it or a part of it.
    fn record(&mut self, subject: &[u8], allow: bool) {
        let subject = subject.to_ascii_lowercase();
        self.rules.retain(|rule| {
            let rest = rule[1..].strip_prefix(subject.as_slice());
            !matches!(rest, Some([] | [b'|', ..]))
        });
        self.rules.push([if allow { &b"+"[..] } else { b"-" }, &subject].concat());
    }

    fn apply_category(&mut self, name: &[u8], allow: bool, table: &CommandTable) -> Option<()> {
        let is_named = |(_, word): &&(u32, &str)| name[1..].eq_ignore_ascii_case(word.as_bytes());
        let (category, _) = acl::WORDS.iter().find(is_named)?;
        self.record(name, allow);
        for command in table.all() {
            if command.spec.categories() & category != 0 {
                self.change(table, *command, allow);
            }
        }
        Some(())
    }

    fn allow(&mut self, subject: &[u8], table: &CommandTable) -> Result<(), RuleError> {
        let Some(bar) = subject.iter().rposition(|byte| *byte == b'|') else {
            let command = table.original(subject).ok_or(RuleError::UnknownCommand)?;
            self.change(table, command, true);
            self.record(subject, true);
            return Ok(());
        };
        let container = table.original(&subject[..bar]).ok_or(RuleError::UnknownCommand)?;
        if table.container(container).is_some() {
            return Err(RuleError::ArgumentOfSubcommand);
        }
        let part = &subject[bar + 1..];
        // With a blank it could not be read back. Valkey accepts it and ends at the next ACL LIST.
        if part.is_empty() || part.iter().any(|byte| is_blank(*byte)) {
            return Err(RuleError::Syntax);
        }
        if container.spec.subcommands.is_empty() {
            self.first_args.entry(container.id).or_default().insert(part.to_ascii_lowercase());
        } else {
            let sub = table.original(subject).ok_or(RuleError::UnknownCommand)?;
            self.change(table, sub, true);
        }
        self.record(subject, true);
        Ok(())
    }

    fn deny(&mut self, subject: &[u8], table: &CommandTable) -> Result<(), RuleError> {
        let command = table.original(subject).ok_or(RuleError::UnknownCommand)?;
        self.change(table, command, false);
        self.record(subject, false);
        Ok(())
    }

    fn apply(&mut self, rule: &[u8], table: &CommandTable) -> Result<(), RuleError> {
        let allow = rule[0] == b'+';
        let subject = &rule[1..];
        match subject {
            [b'@', ..] => {
                self.apply_category(subject, allow, table).ok_or(RuleError::UnknownCommand)?;
            }
            _ if allow => self.allow(subject, table)?,
            _ => self.deny(subject, table)?,
        }
        self.all = self.from_all && self.bits.iter().all(|word| *word == u64::MAX);
        Ok(())
    }
}

impl Selector {
    /// Nothing is allowed, but all databases, and channels as the configuration says.
    pub fn new(rules: &Rules<'_>) -> Self {
        Self {
            commands: Commands::nothing(rules.commands.all().len()),
            keys: Allowed::Some(Vec::new()),
            channels: match rules.channels {
                PubsubDefault::AllChannels => Allowed::All,
                PubsubDefault::ResetChannels => Allowed::Some(Vec::new()),
            },
            databases: Allowed::All,
        }
    }

    /// Everything is allowed.
    pub(super) fn everything(commands: usize) -> Self {
        Self {
            commands: Commands::everything(commands),
            keys: Allowed::All,
            channels: Allowed::All,
            databases: Allowed::All,
        }
    }

    /// The databases that it allows; `None`: all.
    pub(super) fn listed_databases(&self) -> Option<&BTreeSet<u32>> {
        match &self.databases {
            Allowed::All => None,
            Allowed::Some(databases) => Some(databases),
        }
    }

    /// Whether nothing is denied.
    pub fn is_unrestricted(&self) -> bool {
        self.commands.all
            && self.keys == Allowed::All
            && self.channels == Allowed::All
            && self.databases == Allowed::All
    }

    /// Applies one rule.
    pub(super) fn apply(&mut self, rule: &[u8], rules: &Rules<'_>) -> Result<(), RuleError> {
        let table = rules.commands;
        let count = table.all().len();
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => self.keys = Allowed::All,
            b"resetkeys" => self.keys = Allowed::Some(Vec::new()),
            b"allchannels" | b"&*" => self.channels = Allowed::All,
            b"resetchannels" => self.channels = Allowed::Some(Vec::new()),
            b"allcommands" | b"+@all" => self.commands = Commands::everything(count),
            b"nocommands" | b"-@all" => self.commands = Commands::nothing(count),
            b"alldbs" => self.databases = Allowed::All,
            b"resetdbs" => self.databases = Allowed::Some(BTreeSet::new()),
            [b'd', b'b', b'=', ..] => self.databases = Allowed::Some(read_databases(&rule[3..])?),
            [b'~' | b'%', ..] => self.add_keys(rule)?,
            [b'&', ..] => self.add_channels(&rule[1..])?,
            [b'+' | b'-', ..] => self.commands.apply(rule, table)?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let Allowed::Some(patterns) = &mut self.keys else { return Err(RuleError::KeysAfterAll) };
        let (access, pattern) = match rule {
            [b'%', rest @ ..] => read_access(rest)?,
            _ => (key_access::ALL, &rule[1..]),
        };
        check_pattern(pattern)?;
        match patterns.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.access |= access,
            None => patterns.push(KeyPattern { pattern: pattern.to_vec(), access }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        let Allowed::Some(patterns) = &mut self.channels else {
            return Err(RuleError::ChannelsAfterAll);
        };
        check_pattern(pattern)?;
        if !patterns.iter().any(|known| known == pattern) {
            patterns.push(pattern.to_vec());
        }
        Ok(())
    }
}

/// The access and the pattern of a rule after its `%`. The pattern may be missing: it is empty
/// then.
fn read_access(rest: &[u8]) -> Result<(u8, &[u8]), RuleError> {
    let mut access = 0;
    for (at, byte) in rest.iter().enumerate() {
        let more = match byte.to_ascii_uppercase() {
            b'R' => key_access::READ,
            b'W' => key_access::WRITE,
            b'~' if access != 0 => return Ok((access, &rest[at + 1..])),
            _ => return Err(RuleError::Syntax),
        };
        if access & more != 0 {
            return Err(RuleError::Syntax);
        }
        access |= more;
    }
    if access == 0 { Err(RuleError::Syntax) } else { Ok((access, &[])) }
}

/// A pattern must not have blanks, which separate rules.
fn check_pattern(pattern: &[u8]) -> Result<(), RuleError> {
    if pattern.iter().any(|byte| is_blank(*byte)) { Err(RuleError::Syntax) } else { Ok(()) }
}

/// Whether a byte is white space or a zero byte.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0)
}

/// Numbers of databases between commas, as `strtol` reads them.
fn read_databases(list: &[u8]) -> Result<BTreeSet<u32>, RuleError> {
    list.split(|byte| *byte == b',').map(read_database).collect()
}

fn read_database(text: &[u8]) -> Result<u32, RuleError> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(RuleError::Syntax);
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i32>().ok());
    match number {
        Some(number) if !negative || number == 0 => Ok(number.unsigned_abs()),
        _ => Err(RuleError::DatabaseRange),
    }
}

/// Joins the words of a selector, `(` to `)`, to one rule. The error is the word with a parenthesis
/// that is not closed.
pub fn merge<'w>(words: impl Iterator<Item = &'w [u8]>) -> Result<Vec<Vec<u8>>, &'w [u8]> {
    let mut rules: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for word in words {
        match &mut open {
            Some((_, rule)) => {
                rule.push(b' ');
                rule.extend_from_slice(word);
                if word.ends_with(b")") {
                    rules.extend(open.take().map(|(_, rule)| rule));
                }
            }
            None if word.starts_with(b"(") && !word.ends_with(b")") => {
                open = Some((word, word.to_vec()));
            }
            None => rules.push(word.to_vec()),
        }
    }
    match open {
        Some((word, _)) => Err(word),
        None => Ok(rules),
    }
}
