//! Finding a command by its name.
//!
//! An open-addressing table over the names folded to lower case; built once, at the start, because
//! `rename-command` changes names. Every command and subcommand has a dense id, under which its
//! statistics are kept.

use std::collections::HashMap;

use super::spec::CommandSpec;

/// A command as found: its specification and where its statistics are.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// The specification.
    pub spec: &'static CommandSpec,
    /// The dense id.
    pub id: u16,
    /// The container's specification, for a subcommand.
    pub container: Option<&'static CommandSpec>,
}

impl Command {
    /// `config|get` for a subcommand, `get` for a command.
    pub fn full_name(&self) -> String {
        match self.container {
            Some(container) => format!("{}|{}", container.name, self.spec.name),
            None => self.spec.name.to_owned(),
        }
    }
}

/// All commands.
pub struct CommandTable {
    commands: Vec<Command>,
    by_name: Vec<Option<(Box<[u8]>, u16)>>,
    by_subcommand: HashMap<(u16, Vec<u8>), u16>,
}

const SLOTS: usize = 2048;

fn slot_of(name: &[u8]) -> usize {
    let mut hash = name.len() as u64;
    for &byte in name.iter().take(16) {
        hash = (hash ^ u64::from(byte | 0x20)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (hash >> 53) as usize % SLOTS
}

impl CommandTable {
    /// The table of `families`, with names replaced by `renames` (an empty new name removes one).
    /// Fails with the name that does not exist or is taken.
    pub fn new(
        families: &[&'static [CommandSpec]],
        renames: &[(String, String)],
    ) -> Result<Self, String> {
        let mut table = Self {
            commands: Vec::new(),
            by_name: vec![None; SLOTS],
            by_subcommand: HashMap::new(),
        };
        for spec in families.iter().flat_map(|family| family.iter()) {
            let id = table.push(spec, None);
            table.insert_name(spec.name.as_bytes(), id);
            for sub in spec.subcommands {
                let sub_id = table.push(sub, Some(spec));
                table.by_subcommand.insert((id, sub.name.as_bytes().to_vec()), sub_id);
            }
        }
        for (old, new) in renames {
            let id = table
                .take_name(old.as_bytes())
                .ok_or_else(|| format!("No such command in rename-command: {old}"))?;
            if new.is_empty() {
                continue;
            }
            if table.find(new.as_bytes()).is_some() {
                return Err("Target command name already exists".to_owned());
            }
            table.insert_name(new.to_ascii_lowercase().as_bytes(), id);
        }
        Ok(table)
    }

    fn push(&mut self, spec: &'static CommandSpec, container: Option<&'static CommandSpec>) -> u16 {
        let id = u16::try_from(self.commands.len()).expect("there are a few hundred commands");
        self.commands.push(Command { spec, id, container });
        id
    }

    fn insert_name(&mut self, name: &[u8], id: u16) {
        let mut slot = slot_of(name);
        while self.by_name[slot].is_some() {
            slot = (slot + 1) % SLOTS;
        }
        self.by_name[slot] = Some((name.into(), id));
    }

    fn take_name(&mut self, name: &[u8]) -> Option<u16> {
        let id = self.find(name)?.id;
        // Removal from open addressing: rebuild, this happens a few times at the start.
        let kept: Vec<_> = self.by_name.iter_mut().filter_map(Option::take).collect();
        for (other, other_id) in kept {
            if !other.eq_ignore_ascii_case(name) {
                self.insert_name(&other, other_id);
            }
        }
        Some(id)
    }

    /// Finds a command by name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Command> {
        let mut slot = slot_of(name);
        loop {
            let (known, id) = self.by_name[slot].as_ref()?;
            if known.eq_ignore_ascii_case(name) {
                return Some(self.commands[*id as usize]);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Finds a subcommand of a container, in any case.
    pub fn find_subcommand(&self, container: Command, name: &[u8]) -> Option<Command> {
        let id = self.by_subcommand.get(&(container.id, name.to_ascii_lowercase()))?;
        Some(self.commands[*id as usize])
    }

    /// Every command and subcommand, by id.
    pub fn all(&self) -> &[Command] {
        &self.commands
    }

    /// Every command (no subcommands) under the name by which clients call it.
    pub fn named(&self) -> impl Iterator<Item = (&[u8], Command)> {
        self.by_name.iter().flatten().map(|(name, id)| (name.as_ref(), self.commands[*id as usize]))
    }

    /// A command by its id.
    pub fn by_id(&self, id: u16) -> Command {
        self.commands[id as usize]
    }
}
