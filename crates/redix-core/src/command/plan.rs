//! The plan of a command: its keys, found in its arguments and hashed, and the shards to lock.

use smallvec::SmallVec;

use super::args::Args;
use super::spec::{Begin, CommandSpec, Find, KeySpec};
use crate::keyspace::{Key, Keyspace};

/// Keys as (argument index, hash), in argument order. Boxed, it is one pointer.
#[derive(Debug, Clone)]
struct Several(SmallVec<[(u32, u64); 4]>);

/// The keys of one command with their hashes, in argument order.
///
/// The first key is stored inline, so that the plan fits in three registers: most commands have one
/// key, and a plan is made for each of them.
#[derive(Debug, Default, Clone)]
pub struct Plan {
    /// The first key's hash, if there is a key.
    first_hash: u64,
    /// One more than the first key's argument index; 0: no key.
    first_word: u32,
    /// All keys, the first included, where there are several.
    several: Option<Box<Several>>,
}

impl Plan {
    /// Finds and hashes the keys of a command.
    #[inline(always)]
    pub fn of(keyspace: &Keyspace, spec: &CommandSpec, args: Args<'_>) -> Self {
        if let [KeySpec { begin: Begin::Index(index), find, .. }] = spec.keys
            && *find == (Find::Range { last: 0, step: 1, limit: 0 })
        {
            // Most commands: one key at a fixed index.
            let index = *index as usize;
            if index >= args.len() {
                return Self::default();
            }
            let first_hash = keyspace.hasher().hash(args.get(index));
            return Self { first_hash, first_word: index as u32 + 1, several: None };
        }
        Self::search(keyspace, spec, args)
    }

    #[inline(never)]
    fn search(keyspace: &Keyspace, spec: &CommandSpec, args: Args<'_>) -> Self {
        let mut keys = SmallVec::new();
        for_each_key(spec, args, |index, _| {
            keys.push((index as u32, keyspace.hasher().hash(args.get(index))));
        });
        keys.sort_unstable();
        match keys.as_slice() {
            [] => Self::default(),
            [(word, hash)] => Self { first_hash: *hash, first_word: word + 1, several: None },
            [(word, hash), ..] => Self {
                first_hash: *hash,
                first_word: word + 1,
                several: Some(Box::new(Several(keys))),
            },
        }
    }

    /// The hashes of the keys.
    #[inline]
    pub fn hashes(&self) -> impl Iterator<Item = u64> {
        let first = (self.first_word != 0).then_some(self.first_hash);
        let others = self.several.as_deref().map_or(&[][..], |keys| &keys.0[1..]);
        first.into_iter().chain(others.iter().map(|(_, hash)| *hash))
    }

    /// The hash of the key at argument `index`, if the plan has it.
    #[inline]
    pub fn hash_at(&self, index: usize) -> Option<u64> {
        if self.first_word as usize == index + 1 {
            return Some(self.first_hash);
        }
        let keys = &self.several.as_deref()?.0;
        let found = keys.binary_search_by_key(&(index as u32), |(at, _)| *at).ok()?;
        Some(keys[found].1)
    }

    /// The only key's hash, where there is exactly one key.
    #[inline]
    pub fn single(&self) -> Option<u64> {
        (self.first_word != 0 && self.several.is_none()).then_some(self.first_hash)
    }

    /// The key at argument `index`; hashed here if the plan does not have it.
    #[inline(always)]
    pub fn key<'a>(&self, keyspace: &Keyspace, args: Args<'a>, index: usize) -> Key<'a> {
        let bytes = args.get(index);
        match self.hash_at(index) {
            Some(hash) => Key { bytes, hash },
            None => keyspace.key(bytes),
        }
    }
}

/// The shards of these hashes, ascending and unique.
pub fn shards_of(hashes: impl Iterator<Item = u64>) -> SmallVec<[usize; 8]> {
    let mut shards: SmallVec<[usize; 8]> = hashes.map(crate::keyspace::shard_of).collect();
    shards.sort_unstable();
    shards.dedup();
    shards
}

/// Calls `f(argument index, access bits)` for every key of a command, in the order of its key
/// specifications. Invalid arguments (a key number out of range) end the search: false.
pub fn for_each_key(spec: &CommandSpec, args: Args<'_>, mut f: impl FnMut(usize, u32)) -> bool {
    if let Some(get_keys) = spec.get_keys {
        let mut found = Vec::new();
        let is_valid = get_keys(args, &mut found);
        if is_valid {
            found.into_iter().for_each(|(index, access)| f(index, access));
        }
        return is_valid;
    }
    for key_spec in spec.keys {
        let Some(first) = begin(key_spec, args) else { continue };
        let Some((first, last, step)) = extent(key_spec, args, first) else { return false };
        (first..=last).step_by(step).for_each(|index| f(index, key_spec.access));
    }
    true
}

/// The keys of a call as (argument index, access bits): what it will touch, in the order of its key
/// specifications; none if its arguments are invalid, since it will touch nothing then.
pub fn keys_of_call(spec: &CommandSpec, args: Args<'_>) -> SmallVec<[(usize, u32); 4]> {
    let variable = spec.key_access.map(|key_access| key_access(args));
    let mut keys = SmallVec::new();
    let is_valid = for_each_key(spec, args, |index, access| {
        keys.push((index, variable.unwrap_or(access)));
    });
    if !is_valid {
        keys.clear();
    }
    keys
}

fn begin(spec: &KeySpec, args: Args<'_>) -> Option<usize> {
    match spec.begin {
        Begin::Index(index) => Some(index as usize).filter(|index| *index < args.len()),
        Begin::Keyword(word, from) if from >= 0 => {
            (from as usize..args.len()).find(|index| args.is(*index, word)).map(|index| index + 1)
        }
        Begin::Keyword(word, from) => {
            let start = args.len().checked_sub(from.unsigned_abs() as usize)?;
            (1..=start).rev().find(|index| args.is(*index, word)).map(|index| index + 1)
        }
        Begin::Unknown => None,
    }
    .filter(|index| *index < args.len())
}

/// First and last argument index and the step of a key specification's keys; `None` if the
/// arguments are invalid or there is no key.
fn extent(spec: &KeySpec, args: Args<'_>, first: usize) -> Option<(usize, usize, usize)> {
    let (first, last, step) = match spec.find {
        Find::Range { last, step, limit } => {
            let last = if last >= 0 {
                first + last as usize
            } else if last == -1 && limit > 1 {
                first + ((args.len() - first) / limit as usize).checked_sub(1)?
            } else {
                args.len().checked_sub(last.unsigned_abs() as usize)?
            };
            (first, last, step as usize)
        }
        Find::KeyNum { keynum, first: offset, step } => {
            let at = first + keynum as usize;
            let count = redix_types::num::parse_i64(args.try_get(at)?)?;
            let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
            let first = first + offset as usize;
            let last = count.checked_sub(1)?.checked_mul(step as usize)?.checked_add(first)?;
            (first, last, step as usize)
        }
        Find::Unknown => return None,
    };
    (last < args.len() && first <= last).then_some((first, last, step.max(1)))
}
