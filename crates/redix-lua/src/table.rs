//! Tables: an array for the keys 1..=n, and a hash for the others.
//!
//! The hash keeps its entries in the order of their insertion, with an index of positions beside
//! them once there are more than [`LINEAR_MAX`]: traversal does not depend on the seed. An entry
//! whose value became nil stays until the entries are rebuilt, which only the insertion of a new
//! key does, so a traversal may clear fields.
//!
//! Invariants: the key `array.len() + 1` is never in the hash; no key is NaN or nil.

#[cfg(test)]
mod tests;

use crate::heap::{Budget, NoMemory};
use crate::strings::Strings;
use crate::value::{Str, TableRef, Value};

/// Up to this many entries are searched without an index.
const LINEAR_MAX: usize = 8;

/// What a table costs besides its parts.
pub(crate) const OVERHEAD: usize = 144;

#[derive(Clone, Copy)]
struct Entry {
    key: Value,
    value: Value,
}

const ENTRY: usize = 32;
const ELEMENT: usize = 16;

#[derive(Default)]
pub(crate) struct Table {
    array: Vec<Value>,
    entries: Vec<Entry>,
    /// Positions + 1 in `entries`, by hash, linear probing; empty for small tables.
    index: Box<[u32]>,
    /// How many entries have had integer keys since the last rebuild.
    integers: u32,
    pub(crate) meta: Option<TableRef>,
    /// A bit per metamethod that this table, as a metatable, is known not to have.
    pub(crate) absent: u32,
    pub(crate) readonly: bool,
}

/// The integer that a number is, as a position counted from 0 in the array.
#[inline]
fn position(key: f64) -> usize {
    let whole = key as i64;
    if whole as f64 == key && whole > 0 { (whole - 1) as usize } else { usize::MAX }
}

impl Table {
    /// An empty table with room; the caller has charged [`Self::cost`].
    pub(crate) fn with_room(array: usize, hash: usize) -> Result<Self, NoMemory> {
        let mut table = Self::default();
        table.array.try_reserve_exact(array).map_err(|_| NoMemory)?;
        if hash > 0 {
            let room = hash.next_power_of_two().max(4);
            table.entries.try_reserve_exact(room).map_err(|_| NoMemory)?;
            table.build_index(room);
        }
        Ok(table)
    }

    /// The bytes that the table is charged for.
    pub(crate) fn cost(&self) -> usize {
        OVERHEAD
            + self.array.capacity() * ELEMENT
            + self.entries.capacity() * ENTRY
            + self.index.len() * 4
    }

    fn build_index(&mut self, room: usize) {
        self.index = match room > LINEAR_MAX {
            true => vec![0; room * 2].into_boxed_slice(),
            false => Box::default(),
        };
    }

    pub(crate) fn array(&self) -> &[Value] {
        &self.array
    }

    pub(crate) fn array_mut(&mut self) -> &mut [Value] {
        &mut self.array
    }

    #[inline]
    pub(crate) fn get(&self, key: &Value, strings: &Strings) -> Value {
        if let Value::Number(n) = key
            && let Some(value) = self.array.get(position(*n))
        {
            return *value;
        }
        match self.find(key, strings) {
            Some(at) => self.entries[at].value,
            None => Value::Nil,
        }
    }

    /// The value of a field whose name is interned.
    #[inline]
    pub(crate) fn get_short(&self, name: Str) -> Value {
        self.field(name).copied().unwrap_or(Value::Nil)
    }

    /// The value of a field whose name is interned, unless it is nil.
    #[inline]
    pub(crate) fn field(&self, name: Str) -> Option<&Value> {
        let is_it = |entry: &&Entry| matches!(&entry.key, Value::String(key) if *key == name);
        let found = if self.index.is_empty() {
            self.entries.iter().find(is_it)?
        } else {
            let mask = self.index.len() - 1;
            let mut at = Strings::short_hash(name) as usize & mask;
            loop {
                let entry = &self.entries[(self.index[at] as usize).checked_sub(1)?];
                if is_it(&entry) {
                    break entry;
                }
                at = (at + 1) & mask;
            }
        };
        (!found.value.is_nil()).then_some(&found.value)
    }

    /// The value of an element, unless it is nil or not in the array.
    #[inline]
    pub(crate) fn element(&self, key: f64) -> Option<&Value> {
        self.array.get(position(key)).filter(|value| !value.is_nil())
    }

    pub(crate) fn get_int(&self, key: usize, strings: &Strings) -> Value {
        match self.array.get(key.wrapping_sub(1)) {
            Some(value) => *value,
            None if self.integers == 0 => Value::Nil,
            None => self.get(&Value::Number(key as f64), strings),
        }
    }

    /// The position of a key among the entries.
    #[inline]
    fn find(&self, key: &Value, strings: &Strings) -> Option<usize> {
        if self.index.is_empty() {
            return match key {
                Value::String(s) if !s.is_long() => self
                    .entries
                    .iter()
                    .position(|entry| matches!(&entry.key, Value::String(other) if other == s)),
                _ => self.entries.iter().position(|entry| same_key(&entry.key, key, strings)),
            };
        }
        let mask = self.index.len() - 1;
        let mut at = hash(key, strings) & mask;
        loop {
            let found = (self.index[at] as usize).checked_sub(1)?;
            if same_key(&self.entries[found].key, key, strings) {
                return Some(found);
            }
            at = (at + 1) & mask;
        }
    }

    /// Stores a value under a key that is neither nil nor NaN.
    #[inline]
    pub(crate) fn set(
        &mut self,
        key: &Value,
        value: Value,
        strings: &Strings,
        budget: &mut Budget,
    ) -> Result<(), NoMemory> {
        if let Value::Number(n) = key {
            let at = position(*n);
            if let Some(place) = self.array.get_mut(at) {
                *place = value;
                return Ok(());
            }
            if at == self.array.len() {
                return self.push(value, strings, budget);
            }
        }
        if let Value::Number(n) = key
            && !value.is_nil()
            && self.is_dense_up_to(position(*n))
            && self.find(key, strings).is_none()
        {
            return self.extend_to(position(*n), value, strings, budget);
        }
        if let Some(at) = self.find(key, strings) {
            self.entries[at].value = value;
            self.absent = 0;
            return Ok(());
        }
        if value.is_nil() {
            return Ok(());
        }
        self.insert(*key, value, strings, budget)
    }

    /// Replaces the value of a key that is there and not nil; false if it is not.
    #[inline]
    pub(crate) fn replace(&mut self, key: &Value, value: Value, strings: &Strings) -> bool {
        let place = match key {
            Value::Number(n) if position(*n) < self.array.len() => &mut self.array[position(*n)],
            _ => match self.find(key, strings) {
                Some(at) => &mut self.entries[at].value,
                None => return false,
            },
        };
        let there = !place.is_nil();
        if there {
            *place = value;
        }
        there
    }

    /// Whether an array up to a position would be more than half full, as Lua's rule for arrays
    /// with holes demands.
    fn is_dense_up_to(&self, at: usize) -> bool {
        let used = self.array.len() + self.integers as usize + 1;
        at < used * 2 && used > (at + 1).next_power_of_two() / 2
    }

    /// Extends the array over holes to a position, with what the hash has for them.
    fn extend_to(
        &mut self,
        at: usize,
        value: Value,
        strings: &Strings,
        budget: &mut Budget,
    ) -> Result<(), NoMemory> {
        self.reserve(at + 1 - self.array.len(), budget)?;
        while self.array.len() < at {
            let key = Value::Number((self.array.len() + 1) as f64);
            let found = if self.integers == 0 { None } else { self.find(&key, strings) };
            let moved = found.map_or(Value::Nil, |entry| {
                std::mem::replace(&mut self.entries[entry].value, Value::Nil)
            });
            self.array.push(moved);
        }
        self.push(value, strings, budget)
    }

    /// Appends to the array, and moves there what follows in the hash.
    pub(crate) fn push(
        &mut self,
        value: Value,
        strings: &Strings,
        budget: &mut Budget,
    ) -> Result<(), NoMemory> {
        if value.is_nil() {
            return Ok(());
        }
        self.append(value, budget)?;
        while self.integers > 0 {
            let Some(at) = self.find(&Value::Number((self.array.len() + 1) as f64), strings) else {
                break;
            };
            let value = self.entries[at].value;
            if value.is_nil() {
                break;
            }
            self.append(value, budget)?;
            self.entries[at].value = Value::Nil;
        }
        Ok(())
    }

    /// Appends a value, which may be nil, without a look at the hash.
    pub(crate) fn append(&mut self, value: Value, budget: &mut Budget) -> Result<(), NoMemory> {
        if self.array.len() == self.array.capacity() {
            self.reserve(self.array.capacity().max(4), budget)?;
        }
        self.array.push(value);
        Ok(())
    }

    /// Stores an element of a constructor: also nil takes its place in the array.
    pub(crate) fn set_listed(
        &mut self,
        at: usize,
        value: Value,
        strings: &Strings,
        budget: &mut Budget,
    ) -> Result<(), NoMemory> {
        if at == self.array.len() && value.is_nil() {
            return if self.integers == 0 { self.append(value, budget) } else { Ok(()) };
        }
        self.set(&Value::Number((at + 1) as f64), value, strings, budget)
    }

    /// Makes room for `more` further elements of the array.
    pub(crate) fn reserve(&mut self, more: usize, budget: &mut Budget) -> Result<(), NoMemory> {
        let before = self.array.capacity();
        let wanted = self.array.len().saturating_add(more);
        if wanted <= before {
            return Ok(());
        }
        let bytes = (wanted - before).checked_mul(ELEMENT).ok_or(NoMemory)?;
        budget.charge(bytes)?;
        if self.array.try_reserve_exact(more).is_err() {
            budget.release(bytes);
            return Err(NoMemory);
        }
        // The allocator may have given more than was asked for.
        budget.used += (self.array.capacity() - before) * ELEMENT - bytes;
        Ok(())
    }

    fn insert(
        &mut self,
        key: Value,
        value: Value,
        strings: &Strings,
        budget: &mut Budget,
    ) -> Result<(), NoMemory> {
        if self.entries.len() == self.entries.capacity() {
            self.rebuild(strings, budget)?;
        }
        if matches!(key, Value::Number(_)) {
            self.integers += 1;
        }
        self.absent = 0;
        if !self.index.is_empty() {
            self.enter(&key, self.entries.len(), strings);
        }
        self.entries.push(Entry { key, value });
        Ok(())
    }

    fn enter(&mut self, key: &Value, position: usize, strings: &Strings) {
        let mask = self.index.len() - 1;
        let mut at = hash(key, strings) & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = position as u32 + 1;
    }

    /// Drops the entries without value and makes room for new ones.
    fn rebuild(&mut self, strings: &Strings, budget: &mut Budget) -> Result<(), NoMemory> {
        let live = self.entries.iter().filter(|entry| !entry.value.is_nil()).count();
        // At least a third is free afterwards, so the cost is shared by many insertions.
        let room = (live + live / 2 + 1).next_power_of_two().max(4);
        let before = self.cost();
        let index = if room > LINEAR_MAX { room * 8 } else { 0 };
        budget.check(room * ENTRY + index)?;
        let mut entries = Vec::new();
        entries.try_reserve_exact(room).map_err(|_| NoMemory)?;
        entries.extend(self.entries.iter().filter(|entry| !entry.value.is_nil()));
        self.entries = entries;
        self.build_index(self.entries.capacity());
        self.integers = 0;
        for at in 0..self.entries.len() {
            let key = self.entries[at].key;
            if matches!(key, Value::Number(_)) {
                self.integers += 1;
            }
            if !self.index.is_empty() {
                self.enter(&key, at, strings);
            }
        }
        budget.used = (budget.used + self.cost()).saturating_sub(before);
        Ok(())
    }

    /// A border: n such that element n is not nil and element n + 1 is.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self.array.last() {
            None => 0,
            Some(last) if !last.is_nil() => self.array.len(),
            Some(_) => {
                // As far as Lua's array would reach: which border is found depends on it.
                let (mut low, mut high) = (0, self.array.capacity());
                while high - low > 1 {
                    let middle = low.midpoint(high);
                    match self.array.get(middle - 1).is_none_or(Value::is_nil) {
                        true => high = middle,
                        false => low = middle,
                    }
                }
                low
            }
        }
    }

    /// Where a traversal continues after `key`; none if the key is not in the table.
    pub(crate) fn cursor_after(&self, key: &Value, strings: &Strings) -> Option<usize> {
        match key {
            Value::Nil => Some(0),
            Value::Number(n) if position(*n) < self.array.len() => Some(position(*n) + 1),
            _ => Some(self.array.len() + self.find(key, strings)? + 1),
        }
    }

    /// The first pair at or after a cursor, and the cursor after it.
    pub(crate) fn pair_at(&self, cursor: usize) -> Option<(usize, Value, Value)> {
        let mut at = cursor;
        while let Some(value) = self.array.get(at) {
            at += 1;
            if !value.is_nil() {
                return Some((at, Value::Number(at as f64), *value));
            }
        }
        let rest = self.entries.get(at - self.array.len()..)?;
        let found = rest.iter().position(|entry| !entry.value.is_nil())?;
        Some((at + found + 1, rest[found].key, rest[found].value))
    }

    /// All keys and values, for the collector: also keys whose value is nil.
    pub(crate) fn slots(&self) -> (&[Value], impl Iterator<Item = (&Value, &Value)>) {
        (&self.array, self.entries.iter().map(|entry| (&entry.key, &entry.value)))
    }

    /// Clears what `dead` says of a weak table's keys and values.
    pub(crate) fn clear_weak(&mut self, dead: impl Fn(&Value, bool) -> bool) {
        for value in &mut self.array {
            if dead(value, false) {
                *value = Value::Nil;
            }
        }
        for entry in &mut self.entries {
            if dead(&entry.key, true) {
                // No key is nil: the place stays taken and is never found.
                *entry = Entry { key: Value::Nil, value: Value::Nil };
            } else if dead(&entry.value, false) {
                entry.value = Value::Nil;
            }
        }
    }

    /// How many slots a traversal may visit: the work of a scan.
    pub(crate) fn slot_count(&self) -> usize {
        self.array.len() + self.entries.len()
    }
}

#[inline]
fn same_key(a: &Value, b: &Value, strings: &Strings) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => strings.equal(*a, *b),
        _ => a.same(b),
    }
}

#[inline]
fn hash(key: &Value, strings: &Strings) -> usize {
    let mix = |n: u64| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
    match key {
        Value::String(s) => strings.hash(*s) as usize,
        Value::Number(n) if *n == 0.0 => 0,
        // Integers differ in the upper bits of the mantissa: fold them down.
        Value::Number(n) => mix(n.to_bits() ^ (n.to_bits() >> 32)),
        Value::Nil => 0,
        Value::Boolean(b) => 1 + usize::from(*b),
        Value::Table(t) => mix(u64::from(t.0.index) + 3),
        Value::Function(f) => mix(u64::from(f.0.index) + (1 << 33)),
        Value::Native(f) => mix(u64::from(f.0) + (2 << 33)),
        Value::Host(f) => mix(u64::from(f.0) + (3 << 33)),
        Value::Thread(t) => mix(u64::from(t.0.index) + (4 << 33)),
        Value::Pointer(p) => mix(u64::from(*p) + (5 << 33)),
    }
}
