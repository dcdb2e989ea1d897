//! Streams: entries in the order of their IDs, and the groups that read them.
//!
//! ```text
//! Stream ── Order: ID of the first entry -> number of live entries, block of a listpack
//!        ├─ Order: name -> Group ── Order: ID -> Pending
//!        │                       ├─ Order: time of delivery, ID (for XREADGROUP with CLAIM only)
//!        │                       ├─ Order: name -> number of a consumer
//!        │                       └─ Order: number -> Consumer ── Order: ID
//!        └─ Idempotence (for XADD with IDMP only)
//! ```
//!
//! A node holds up to as many bytes and entries as `stream-node-max-bytes` and
//! `stream-node-max-entries` say, in the bytes of Redis' files ([`node`]); where nodes begin and
//! when they go follows Redis too, since DUMP and XINFO STREAM show it. Entries are only added
//! behind the last one, so nodes are never split. A clone is a snapshot of everything: it counts
//! the roots of two maps.
//!
//! **Invariants** (checked by `Stream::check` in the tests):
//! * T1: a node's key is not greater than the ID of its first entry, and those ascend through all
//!   nodes; none is greater than `last_id`.
//! * T2: a node's count is that of its live entries, as the listpack says; `len` is their sum,
//!   `first_id` the first of them, 0-0 if there are none, and `blocks` the sum of the blocks.
//! * T3: every pending entry of a group belongs to one of its consumers, whose list has it, and
//!   the lists have nothing else.
//! * T4: the order by time of delivery, where a group has it, holds its pending entries.

use std::fmt;

use crate::block::Block;
use crate::listpack::BYTES_MAX;
use crate::value::HeapValue;

mod group;
mod id;
mod idempotence;
mod node;
mod order;
mod radix;
mod range;
#[cfg(test)]
mod tests;
mod told;
mod trim;

use group::name_memory;
pub use group::{COUNT_MAX, Consumer, Group, Name, Pending, RELEASED_MS};
pub use id::{IdText, Sequence, StreamId};
pub use idempotence::{Idempotence, Window};
pub use node::Entry;
pub use order::Order;
pub use range::{Range, RangeBack};
pub use told::Told;
pub use trim::{Cut, Refusal, Trim};

/// What a node may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `stream-node-max-bytes`; 0: no limit.
    pub bytes: u64,
    /// `stream-node-max-entries`; 0: no limit.
    pub entries: u64,
}

/// A node of the index.
#[derive(Clone)]
struct Node {
    live: u32,
    block: Block,
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Its ID is not greater than the last one.
    NotGreater,
    /// Its fields and values have more than 1 GB.
    TooLarge,
}

/// A stream. `clone` shares all of it until one side writes.
#[derive(Clone, Default)]
pub struct Stream {
    nodes: Order<StreamId, Node>,
    blocks: usize,
    len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    groups: Order<Name, Group>,
    /// Bytes of the groups and their names, but for those of `open`.
    groups_memory: usize,
    /// The group that was changed last.
    open: Option<Name>,
    /// Since the first entry that a producer has added under an identifier.
    idempotence: Option<Box<Idempotence>>,
}

/// What a stream knows of its past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of the entry that was added last.
    pub last_id: StreamId,
    /// The greatest that was deleted one by one.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
}

impl Stream {
    /// A stream without entries and groups.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// The stream in a value; None if that is something else.
    pub fn of(value: crate::value::ValueRef<'_>) -> Option<&Stream> {
        match value {
            crate::value::ValueRef::Large(HeapValue::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none, which a stream may come to.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ID of the first entry; 0-0 if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The ID of the first entry of the first node, though it may be deleted; None if there are no
    /// nodes.
    pub fn oldest_id(&self) -> Option<StreamId> {
        self.nodes.first().map(|(id, _)| *id)
    }

    /// The ID of the last entry that is there; 0-0 if there is none.
    pub fn last_valid_id(&self) -> StreamId {
        match self.range_back(StreamId::MIN, StreamId::MAX).next() {
            Some(entry) => entry.id,
            None => StreamId::MIN,
        }
    }

    /// The ID of the entry that was added last, or that XSETID has set.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest ID that was deleted one by one.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// States the past of the stream. Callers see to it that no entry is behind `last_id`.
    pub fn set_marks(&mut self, marks: Marks) {
        let Marks { last_id, max_deleted_id, entries_added } = marks;
        (self.last_id, self.max_deleted_id, self.entries_added) =
            (last_id, max_deleted_id, entries_added);
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Nodes of Redis' radix tree of the nodes' IDs, as XINFO STREAM shows them.
    pub fn radix_nodes(&self) -> u64 {
        radix::nodes(self.nodes.iter().map(|(id, _)| id.to_bytes()), self.nodes.len() as u64)
    }

    /// The nodes in order: ID and listpack, as files have them.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &[u8])> {
        self.nodes.iter().map(|(id, node)| (*id, node::bytes(&node.block)))
    }

    /// Adds a node with the entries of a listpack; false, and nothing is added, if the bytes are
    /// none that follow the nodes so far.
    pub fn append_node(&mut self, id: StreamId, listpack: &[u8]) -> bool {
        let last = self.nodes.last().and_then(|(id, node)| node.entries(*id).last_id());
        if last.is_some_and(|last| id <= last) || !node::validate(listpack, id, last) {
            return false;
        }
        let Ok(live) = u32::try_from(node::Head::read(listpack).live) else { return false };
        let node = Node { live, block: node::from_bytes(listpack) };
        self.len += u64::from(live);
        self.blocks += node.block.size();
        if let Some(entry) = node.entries(id).next()
            && self.first_id == StreamId::MIN
        {
            self.first_id = entry.id;
        }
        self.last_id = self.last_id.max(node.entries(id).last_id().unwrap_or(id));
        self.nodes.insert(id, node);
        true
    }

    /// Adds an entry of fields and values in turn.
    pub fn append<'a>(
        &mut self,
        id: StreamId,
        pairs: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
        limits: Limits,
    ) -> Result<(), AppendError> {
        if id <= self.last_id {
            return Err(AppendError::NotGreater);
        }
        let bytes: usize = pairs.clone().map(<[u8]>::len).sum();
        if bytes > BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let bytes_max = match usize::try_from(limits.bytes).unwrap_or(BYTES_MAX) {
            0 => BYTES_MAX,
            bytes => bytes.min(BYTES_MAX),
        };
        let before = match self.nodes.last_mut() {
            Some((master, node)) if node.has_room(bytes, bytes_max, limits.entries) => {
                node.block.own();
                let before = node.block.size();
                node::append(&mut node.block, *master, id, pairs);
                node.live += 1;
                self.blocks += node.block.size();
                before
            }
            last => {
                let mut before = 0;
                if let Some((_, full)) = last {
                    full.block.own();
                    before = full.block.size();
                    node::tighten(&mut full.block);
                    self.blocks += full.block.size();
                }
                let mut block = node::new(pairs.clone());
                node::append(&mut block, id, id, pairs);
                self.blocks += block.size();
                self.nodes.insert(id, Node { live: 1, block });
                before
            }
        };
        self.blocks -= before;
        self.len += 1;
        self.entries_added += 1;
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// The entry with this ID.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (master, node) = self.nodes.iter_back_from(&id).next()?;
        node.entries(*master).find(id)
    }

    /// Whether there is an entry with this ID.
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// Deletes an entry; whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        if !self.erase(id) {
            return false;
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id || self.len == 0 {
            self.find_first();
        }
        true
    }

    /// Marks an entry as deleted, or drops its node if it was the last one there; the first ID may
    /// have to be found anew.
    fn erase(&mut self, id: StreamId) -> bool {
        let Some((master, node)) = self.nodes.iter_back_from(&id).next() else { return false };
        let master = *master;
        let Some(at) = node.entries(master).find(id).map(|entry| entry.offset()) else {
            return false;
        };
        self.len -= 1;
        if node.live == 1 {
            self.blocks -= node.block.size();
            self.nodes.remove(&master);
            return true;
        }
        let node = self.nodes.get_mut(&master).expect("it was just found");
        node.erase(&[at]);
        true
    }

    /// Finds the first ID anew.
    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.first_id = first.map_or(StreamId::MIN, |entry| entry.id);
    }

    /// Bytes of memory behind the stream; O(log n) of its groups.
    pub fn memory(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |name| self.group_memory(name));
        let idempotence = self.idempotence.as_ref().map_or(0, |known| known.memory());
        let own = self.blocks + self.nodes.memory() + self.groups.memory();
        own + self.groups_memory + open + idempotence
    }

    /// Bytes of a group with its name; 0 if there is none.
    fn group_memory(&self, name: &Name) -> usize {
        self.groups.get(name).map_or(0, |group| group_memory(name, group))
    }

    /// Counts the group that was changed last.
    fn close_group(&mut self) {
        if let Some(name) = self.open.take() {
            self.groups_memory += self.group_memory(&name);
        }
    }

    /// Pieces of memory to free, about; of many groups not all are looked at.
    pub fn weight(&self) -> usize {
        let groups = self.groups.iter().take(WEIGHED_GROUPS_MAX);
        let groups: usize = groups.map(|(_, group)| group.weight()).sum();
        let idempotence = self.idempotence.as_ref().map_or(0, |known| known.weight());
        self.nodes.len() + self.nodes.weight() + self.groups.len() + groups + idempotence
    }

    /// Frees about `budget` pieces; whether none are left. What stays is of no use but to be freed.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.nodes.free_step(budget, &mut |_, _| true)
            && self.groups.free_step(budget, &mut Group::free_step)
            && self.idempotence.as_mut().is_none_or(|known| known.free_step(budget))
    }

    /// What producers have added under identifiers; None if none ever has.
    pub fn idempotence(&self) -> Option<&Idempotence> {
        self.idempotence.as_deref()
    }

    /// The same, to change.
    pub fn idempotence_mut(&mut self) -> Option<&mut Idempotence> {
        self.idempotence.as_deref_mut()
    }

    /// Sets for how long, and how many, identifiers are known; what is left to be freed of those
    /// that a change forgets.
    pub fn set_window(&mut self, window: Window) -> Option<HeapValue> {
        let forgotten = self.begin_idempotence().set_window(window)?;
        let remains = Stream { idempotence: Some(Box::new(forgotten)), ..Stream::default() };
        Some(HeapValue::Stream(Box::new(remains)))
    }

    /// The same, which is begun if need be.
    pub fn begin_idempotence(&mut self) -> &mut Idempotence {
        self.idempotence.get_or_insert_default()
    }

    /// The groups by name.
    pub fn groups(&self) -> &Order<Name, Group> {
        &self.groups
    }

    /// A group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get_by(|other| (**other).cmp(name))
    }

    /// A group, to change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.group(name)?;
        let name = match &self.open {
            Some(open) if **open == *name => open.clone(),
            _ => {
                self.close_group();
                let name = Name::from(name);
                self.groups_memory -= self.group_memory(&name);
                name
            }
        };
        let group = self.groups.get_mut(&name);
        self.open = Some(name);
        group
    }

    /// Adds a group; false if there is one of that name.
    pub fn create_group(&mut self, name: &[u8], group: Group) -> bool {
        let is_new = self.group(name).is_none();
        if is_new {
            self.groups_memory += group_memory(name, &group);
            self.groups.insert(Name::from(name), group);
        }
        is_new
    }

    /// Takes a group out.
    pub fn destroy_group(&mut self, name: &[u8]) -> Option<Group> {
        self.close_group();
        let group = self.groups.remove(&Name::from(name))?;
        self.groups_memory -= group_memory(name, &group);
        Some(group)
    }

    /// The names of the groups that have this entry still to read, or to acknowledge.
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.groups
            .iter()
            .any(|(_, group)| group.last_id < id || group.pending().get(&id).is_some())
    }

    /// Drops an entry from the pending ones of all groups; whether it was among them.
    pub fn forget(&mut self, id: StreamId) -> bool {
        let has_it = |(name, group): (&Name, &Group)| {
            group.pending().get(&id).is_some().then(|| name.clone())
        };
        let names: Vec<Name> = self.groups.iter().filter_map(has_it).collect();
        for name in &names {
            self.group_mut(name).expect("it was just seen").acknowledge(id);
        }
        !names.is_empty()
    }

    /// Whether an entry from `from` on was deleted, as far as is known.
    pub fn may_lack_entries_from(&self, from: StreamId) -> bool {
        self.len > 0 && self.max_deleted_id != StreamId::MIN && from <= self.max_deleted_id
    }

    /// How many entries were added up to `id`; None if that cannot be known.
    pub fn entries_up_to(&self, id: StreamId) -> Option<i64> {
        let added = self.entries_added as i64;
        if added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(added);
        }
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            if id < self.first_id {
                return Some(added - self.len as i64);
            }
            if id == self.first_id {
                return Some(added - self.len as i64 + 1);
            }
        }
        None
    }

    /// How many entries a group has read that has got `id`, the next one behind `last_id`, when it
    /// had read `read`.
    pub fn entries_read_with(
        &self,
        last_id: StreamId,
        read: Option<i64>,
        id: StreamId,
    ) -> Option<i64> {
        match read {
            Some(read) if last_id >= self.first_id && !self.may_lack_entries_from(last_id) => {
                Some(read + 1)
            }
            _ if self.entries_added > 0 => self.entries_up_to(id),
            read => read,
        }
    }

    /// How many entries a group has yet to read; None if that cannot be known.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.entries_added as i64;
        if added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.may_lack_entries_from(group.last_id) => Some(read),
            _ => self.entries_up_to(group.last_id),
        };
        Some(added - read?)
    }
}

/// Bytes of a group with its name.
fn group_memory(name: &[u8], group: &Group) -> usize {
    name_memory(name) + group.memory()
}

/// Of more groups than these the weight is not known.
const WEIGHED_GROUPS_MAX: usize = 1000;

impl Node {
    fn entries(&self, master: StreamId) -> node::Entries<'_> {
        node::Entries::of(node::bytes(&self.block), master)
    }

    /// Whether an entry with so many bytes of fields and values is added here.
    fn has_room(&self, added: usize, bytes_max: usize, entries_max: u64) -> bool {
        if self.block.used() + added >= bytes_max {
            return false;
        }
        let head = || node::Head::read(node::bytes(&self.block));
        entries_max == 0
            || u64::from(self.live) < entries_max && {
                let head = head();
                ((head.live + head.deleted) as u64) < entries_max
            }
    }

    /// Marks entries, which are live, as deleted.
    fn erase(&mut self, offsets: &[usize]) {
        self.block.own();
        let head = node::Head::read(node::bytes(&self.block));
        offsets.iter().for_each(|at| node::mark_deleted(&mut self.block, *at));
        let count = offsets.len() as i64;
        node::set_counts(&mut self.block, head.live - count, head.deleted + count);
        self.live -= offsets.len() as u32;
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stream { len, first_id, last_id, .. } = self;
        f.debug_struct("Stream")
            .field("len", len)
            .field("ids", &(first_id..=last_id))
            .field("nodes", &self.nodes.len())
            .field("groups", &self.groups.len())
            .finish()
    }
}
