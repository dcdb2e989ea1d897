//! The command table: lookup of a command by name.
//!
//! An open-addressing table over names folded to lower case, eight bytes at a time; built once, at
//! startup, because `rename-command` changes names. Every command and subcommand has a dense id,
//! which indexes its statistics.

use std::collections::HashMap;

use super::spec::CommandSpec;
use crate::config::ByteString;

/// A command that was found: its specification and the index of its statistics.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// The specification.
    pub spec: &'static CommandSpec,
    /// The dense id.
    pub id: u16,
}

// It travels in two registers.
const _: () = assert!(size_of::<Option<Command>>() == 16);

/// The last short name that was looked up and its result: consecutive commands are often the same.
#[derive(Debug, Default)]
pub struct Memo {
    word: u64,
    len: usize,
    command: Option<Command>,
}

/// A name of up to 24 bytes, folded to lower case and padded with zeroes.
type Folded = [u64; 3];

/// All commands.
pub struct CommandTable {
    commands: Vec<Command>,
    /// By id, for subcommands.
    containers: Vec<Option<&'static CommandSpec>>,
    by_name: Vec<Option<(Folded, u16)>>,
    /// Original names that clients cannot use any more.
    renamed: Vec<(Folded, u16)>,
    by_subcommand: HashMap<(u16, Vec<u8>), u16>,
    /// By original name, subcommands as `container|sub`.
    by_full_name: HashMap<Vec<u8>, u16>,
}

const SLOTS: usize = 1024;
const NAME_MAX: usize = size_of::<Folded>();

/// Folds a name; `None` if it is longer than any command, or ends in a padding byte.
#[inline]
fn fold(name: &[u8]) -> Option<Folded> {
    if name.ends_with(b"\0") {
        return None;
    }
    if name.len() <= 8 {
        return Some([to_lower(load(name)), 0, 0]);
    }
    if name.len() > NAME_MAX {
        return None;
    }
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(name.chunks(8)) {
        *word = to_lower(load(bytes));
    }
    Some(words)
}

/// Up to eight bytes as a little-endian word. Overlapping loads, because a copy of variable length
/// through memory stalls on its own stores.
#[inline]
fn load(bytes: &[u8]) -> u64 {
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        return u64::from(head) | u64::from(tail) << (8 * (bytes.len() - 4));
    }
    if let [a, b, c] = *bytes {
        return u64::from(u32::from_le_bytes([a, b, c, 0]));
    }
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Lower-cases eight ASCII bytes at once; other bytes are unchanged.
#[inline]
fn to_lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW7: u64 = 0x7f * ONES;
    let low = word & LOW7;
    let from_a = low + (0x80 - u64::from(b'A')) * ONES;
    let past_z = low + (0x7f - u64::from(b'Z')) * ONES;
    let upper = (from_a & !past_z) & !word & (0x80 * ONES);
    word | (upper >> 2)
}

#[inline]
fn slot_of(name: &Folded) -> usize {
    let mixed = name[0] ^ name[1].rotate_left(25) ^ name[2].rotate_left(47);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
}

impl CommandTable {
    /// The table of `families`, with names replaced by `renames` (an empty new name removes one).
    /// Fails with the name that does not exist or is taken.
    pub fn new(
        families: &[&'static [CommandSpec]],
        renames: &[(ByteString, ByteString)],
    ) -> Result<Self, String> {
        let mut table = Self {
            commands: Vec::new(),
            containers: Vec::new(),
            by_name: vec![None; SLOTS],
            renamed: Vec::new(),
            by_subcommand: HashMap::new(),
            by_full_name: HashMap::new(),
        };
        for spec in families.iter().flat_map(|family| family.iter()) {
            let id = table.push(spec, None);
            let name = fold(spec.name.as_bytes()).expect("command names are short");
            table.insert_name(name, id);
            for sub in spec.subcommands {
                let sub_id = table.push(sub, Some(spec));
                table.by_subcommand.insert((id, sub.name.as_bytes().to_vec()), sub_id);
            }
        }
        for (old, new) in renames {
            let id = table
                .take_name(old)
                .ok_or_else(|| format!("No such command in rename-command: {old}"))?;
            if new.is_empty() {
                continue;
            }
            if table.find(new).is_some() {
                return Err("Target command name already exists".to_owned());
            }
            let name = fold(new);
            table.insert_name(
                name.ok_or_else(|| format!("Command name too long or ending in NUL: {new}"))?,
                id,
            );
        }
        Ok(table)
    }

    fn push(&mut self, spec: &'static CommandSpec, container: Option<&'static CommandSpec>) -> u16 {
        let id = u16::try_from(self.commands.len()).expect("there are a few hundred commands");
        self.commands.push(Command { spec, id });
        self.containers.push(container);
        let name = self.full_name(self.by_id(id));
        self.by_full_name.insert(name.into_bytes(), id);
        id
    }

    fn insert_name(&mut self, name: Folded, id: u16) {
        let mut slot = slot_of(&name);
        while self.by_name[slot].is_some() {
            slot = (slot + 1) % SLOTS;
        }
        self.by_name[slot] = Some((name, id));
    }

    fn take_name(&mut self, name: &[u8]) -> Option<u16> {
        let id = self.find(name)?.id;
        let gone = fold(name)?;
        self.renamed.push((gone, id));
        // Removal from open addressing: rebuild; it happens a few times at startup.
        let kept: Vec<_> = self.by_name.iter_mut().filter_map(Option::take).collect();
        for (other, other_id) in kept {
            if other != gone {
                self.insert_name(other, other_id);
            }
        }
        Some(id)
    }

    /// Finds a command by name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Command> {
        let name = fold(name)?;
        let mut slot = slot_of(&name);
        loop {
            let (known, id) = self.by_name[slot].as_ref()?;
            if *known == name {
                return Some(self.commands[*id as usize]);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// As [`CommandTable::find`], at little cost where the name equals the last one.
    #[inline(always)]
    pub fn find_again(&self, name: &[u8], memo: &mut Memo) -> Option<Command> {
        if name.len() > 8 {
            return self.find(name);
        }
        let word = load(name);
        if memo.word != word || memo.len != name.len() {
            *memo = Memo { word, len: name.len(), command: self.find(name) };
        }
        memo.command
    }

    /// Finds a command of a primary's stream, under its present or its original name:
    /// `rename-command` is there to keep commands from clients, and the primary may not have the
    /// same renames.
    #[inline]
    pub fn find_for_primary(&self, name: &[u8], memo: &mut Memo) -> Option<Command> {
        self.find_again(name, memo).or_else(|| self.find_renamed(name))
    }

    #[cold]
    fn find_renamed(&self, name: &[u8]) -> Option<Command> {
        let name = fold(name)?;
        let (_, id) = self.renamed.iter().find(|(known, _)| *known == name)?;
        Some(self.commands[*id as usize])
    }

    /// Finds a subcommand of a container, in any case.
    pub fn find_subcommand(&self, container: Command, name: &[u8]) -> Option<Command> {
        let id = self.by_subcommand.get(&(container.id, name.to_ascii_lowercase()))?;
        Some(self.commands[*id as usize])
    }

    /// Finds a command by its original name, in any case; a subcommand as `container|sub`.
    pub fn original(&self, full_name: &[u8]) -> Option<Command> {
        let id = self.by_full_name.get(&full_name.to_ascii_lowercase())?;
        Some(self.commands[*id as usize])
    }

    /// The subcommands of a command.
    pub fn subcommands(&self, command: Command) -> &[Command] {
        let first = command.id as usize + 1;
        &self.commands[first..first + command.spec.subcommands.len()]
    }

    /// The specification of a subcommand's container.
    pub fn container(&self, command: Command) -> Option<&'static CommandSpec> {
        self.containers[command.id as usize]
    }

    /// The specification of a command, or of a subcommand's container.
    pub fn family(&self, command: Command) -> &'static CommandSpec {
        self.container(command).unwrap_or(command.spec)
    }

    /// `config|get` for a subcommand, `get` for a command.
    pub fn full_name(&self, command: Command) -> String {
        match self.container(command) {
            Some(container) => format!("{}|{}", container.name, command.spec.name),
            None => command.spec.name.to_owned(),
        }
    }

    /// Every command and subcommand, by id.
    pub fn all(&self) -> &[Command] {
        &self.commands
    }

    /// Every command (no subcommands) that clients can call.
    pub fn named(&self) -> impl Iterator<Item = Command> {
        self.by_name.iter().flatten().map(|(_, id)| self.commands[*id as usize])
    }

    /// A command by its id.
    #[inline]
    pub fn by_id(&self, id: u16) -> Command {
        self.commands[id as usize]
    }
}
