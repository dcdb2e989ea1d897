//! A node: entries in a listpack, in the bytes that Redis writes to files.
//!
//! ```text
//! head    live entries | deleted ones | n | field * n | 0
//! entry   flags | ms - that of the node | seq - that of the node |
//!         value * n                        where it has the fields of the head,
//!         n | (field | value) * n          otherwise,
//!         elements of the entry before this one
//! ```
//!
//! Each part is an element of the listpack. The fields of the first entry are those of the head.
//! Deleted entries are only marked, until all of a node are. Source: the payloads that DUMP of
//! Redis 7.0.15 and Valkey 9.1.2 gives.

use super::StreamId;
use crate::block::Block;
use crate::listpack::{self, Depth, Element, Needle};
use crate::splice::{Splice, put, total};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Elements of an entry in front of its values, where it has the fields of the head, the count at
/// the end not included.
const ENTRY_FIXED: usize = 3;
/// Elements that one insertion writes.
const BATCH: usize = 4;
/// Room of a new node.
const ROOM_MIN: usize = 112;
/// Up to here the room of a node doubles.
const DOUBLING_MAX: usize = 4096;

/// The listpack of a node, to change.
pub(super) struct NodeMut<'a>(pub(super) &'a mut Block);

impl Splice for NodeMut<'_> {
    fn bytes(&self) -> &[u8] {
        bytes(self.0)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let used = self.0.used();
        &mut self.0.payload_mut()[..used]
    }

    fn splice(&mut self, at: usize, remove: usize, insert: &[&[u8]]) {
        let (old, added) = (self.0.used(), total(insert));
        assert!(at + remove <= old, "the bytes to remove lie within the value");
        let new = old + added - remove;
        if new > self.0.payload().len() {
            let room = if new <= DOUBLING_MAX { new.next_power_of_two() - 16 } else { new };
            self.0.relocate(room.max(new), old, 0);
        }
        self.0.set_used(new);
        let payload = self.0.payload_mut();
        if added != remove {
            payload.copy_within(at + remove..old, at + added);
        }
        put(&mut payload[at..], insert);
    }
}

/// The listpack of a node.
pub(super) fn bytes(block: &Block) -> &[u8] {
    &block.payload()[..block.used()]
}

/// A node of this listpack.
pub(super) fn from_bytes(bytes: &[u8]) -> Block {
    Block::from_parts(&[bytes])
}

/// A node without entries for entries with these fields. Pairs are fields and values in turn.
pub(super) fn new<'a>(pairs: impl ExactSizeIterator<Item = &'a [u8]>) -> Block {
    let mut block = Block::new(ROOM_MIN);
    put(block.payload_mut(), &[&listpack::EMPTY]);
    block.set_used(listpack::EMPTY.len());
    let mut writer = Writer::new(&mut block);
    writer.int(0);
    writer.int(0);
    writer.int((pairs.len() / 2) as i64);
    pairs.step_by(2).for_each(|field| writer.element(Element::of(field)));
    writer.int(0);
    writer.flush();
    block
}

/// Adds an entry; its ID is greater than all in the node, whose own ID is `master`.
pub(super) fn append<'a>(
    block: &mut Block,
    master: StreamId,
    id: StreamId,
    pairs: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) {
    let head = Head::read(bytes(block));
    let fields = pairs.len() / 2;
    let same = head.has_fields(bytes(block), fields, pairs.clone().step_by(2));
    let (ms, seq) = master.deltas_to(id);
    let mut writer = Writer::new(block);
    writer.int(if same { SAME_FIELDS } else { 0 });
    writer.int(ms);
    writer.int(seq);
    if same {
        pairs.skip(1).step_by(2).for_each(|value| writer.element(Element::of(value)));
        writer.int((fields + ENTRY_FIXED) as i64);
    } else {
        writer.int(fields as i64);
        pairs.for_each(|part| writer.element(Element::of(part)));
        writer.int((2 * fields + ENTRY_FIXED + 1) as i64);
    }
    writer.flush();
    set_counts(block, head.live + 1, head.deleted);
}

/// Gives back room that a node will not need to which nothing is added any more.
pub(super) fn tighten(block: &mut Block) {
    let used = block.used();
    if block.payload().len() >= used + 16 {
        block.relocate(used, used, 0);
    }
}

/// Marks the entry at `at`, which is not marked yet, as deleted.
pub(super) fn mark_deleted(block: &mut Block, at: usize) {
    let (flags, _) = int_at(bytes(block), at);
    listpack::replace(&mut NodeMut(block), at, Element::Int(flags | DELETED));
}

/// Writes the counts of live and deleted entries.
pub(super) fn set_counts(block: &mut Block, live: i64, deleted: i64) {
    let mut node = NodeMut(block);
    listpack::replace(&mut node, listpack::HEADER, Element::Int(live));
    let second = listpack::next(node.bytes(), listpack::HEADER);
    if int_at(node.bytes(), second).0 != deleted {
        listpack::replace(&mut node, second, Element::Int(deleted));
    }
}

/// Appends elements in batches.
struct Writer<'b, 'a> {
    node: NodeMut<'b>,
    waiting: [Element<'a>; BATCH],
    count: usize,
}

impl<'b, 'a> Writer<'b, 'a> {
    fn new(block: &'b mut Block) -> Self {
        Writer { node: NodeMut(block), waiting: [Element::Int(0); BATCH], count: 0 }
    }

    fn int(&mut self, value: i64) {
        self.element(Element::Int(value));
    }

    fn element(&mut self, element: Element<'a>) {
        if self.count == BATCH {
            self.flush();
        }
        self.waiting[self.count] = element;
        self.count += 1;
    }

    fn flush(&mut self) {
        let end = listpack::end(self.node.bytes());
        listpack::insert(&mut self.node, end, &self.waiting[..self.count]);
        self.count = 0;
    }
}

/// An element that is an integer, and the offset of the next.
fn int_at(lp: &[u8], at: usize) -> (i64, usize) {
    match listpack::read(lp, at) {
        (Element::Int(value), next) => (value, next),
        (Element::Str(_), _) => panic!("a node's numbers are integers"),
    }
}

/// What the head of a node says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) live: i64,
    pub(super) deleted: i64,
    fields: usize,
    fields_at: usize,
    /// Where the first entry begins.
    entries_at: usize,
}

impl Head {
    pub(super) fn read(lp: &[u8]) -> Head {
        let (live, at) = int_at(lp, listpack::HEADER);
        let (deleted, at) = int_at(lp, at);
        let (fields, fields_at) = int_at(lp, at);
        let fields = fields as usize;
        // The fields, and the zero behind them.
        let entries_at = (0..=fields).fold(fields_at, |at, _| listpack::next(lp, at));
        Head { live, deleted, fields, fields_at, entries_at }
    }

    fn has_fields<'a>(
        &self,
        lp: &[u8],
        count: usize,
        fields: impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        let mut at = self.fields_at;
        count == self.fields
            && fields.into_iter().all(|field| {
                let (own, next) = listpack::read(lp, at);
                at = next;
                Needle::new(field).is(own)
            })
    }
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    lp: &'a [u8],
    at: usize,
    fields: usize,
    /// Where the fields are, if they are those of the head.
    fields_at: Option<usize>,
    values_at: usize,
    is_deleted: bool,
}

impl<'a> Entry<'a> {
    /// Number of fields, each with a value.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// Whether it has no fields, as no entry has.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// Where it begins in its node.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Fields and values in turn.
    pub fn parts(self) -> impl Iterator<Item = Element<'a>> {
        let (mut field_at, mut at) = (self.fields_at, self.values_at);
        let mut field_is_due = true;
        (0..2 * self.fields).map(move |_| {
            let place = match &mut field_at {
                Some(field_at) if field_is_due => field_at,
                _ => &mut at,
            };
            let (element, next) = listpack::read(self.lp, *place);
            *place = next;
            field_is_due = !field_is_due;
            element
        })
    }
}

/// The entries of a node, from both ends; deleted ones are passed over.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    lp: &'a [u8],
    master: StreamId,
    head: Head,
    front: usize,
    back: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn of(lp: &'a [u8], master: StreamId) -> Self {
        let head = Head::read(lp);
        Entries { lp, master, head, front: head.entries_at, back: listpack::end(lp) }
    }

    /// What the entry at `at` has.
    #[inline]
    fn entry(&self, at: usize) -> Entry<'a> {
        let (flags, next) = int_at(self.lp, at);
        let (ms, next) = int_at(self.lp, next);
        let (seq, next) = int_at(self.lp, next);
        let id = self.master.plus(ms, seq);
        let (fields, fields_at, values_at) = if flags & SAME_FIELDS != 0 {
            (self.head.fields, Some(self.head.fields_at), next)
        } else {
            let (fields, next) = int_at(self.lp, next);
            (fields as usize, None, next)
        };
        let is_deleted = flags & DELETED != 0;
        Entry { id, lp: self.lp, at, fields, fields_at, values_at, is_deleted }
    }

    fn behind(&self, entry: &Entry<'a>) -> usize {
        let parts = if entry.fields_at.is_some() { entry.fields } else { 2 * entry.fields };
        (0..=parts).fold(entry.values_at, |at, _| listpack::next(self.lp, at))
    }

    /// The next entry, deleted or not.
    #[inline]
    fn next_any(&mut self) -> Option<Entry<'a>> {
        if self.front >= self.back {
            return None;
        }
        let entry = self.entry(self.front);
        self.front = self.behind(&entry);
        Some(entry)
    }

    /// The entry before the back, deleted or not.
    fn next_back_any(&mut self) -> Option<Entry<'a>> {
        if self.front >= self.back {
            return None;
        }
        let count_at = listpack::prev(self.lp, self.back);
        let (count, _) = int_at(self.lp, count_at);
        self.back = (0..count).fold(count_at, |at, _| listpack::prev(self.lp, at));
        Some(self.entry(self.back))
    }

    /// The ID of the last entry, deleted or not.
    pub(super) fn last_id(mut self) -> Option<StreamId> {
        Some(self.next_back_any()?.id)
    }

    /// The entry with this ID.
    pub(super) fn find(&self, id: StreamId) -> Option<Entry<'a>> {
        let mut rest = self.clone();
        loop {
            let entry = rest.next_any()?;
            if entry.id >= id {
                return (entry.id == id && !entry.is_deleted).then_some(entry);
            }
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = self.next_any()?;
            if !entry.is_deleted {
                return Some(entry);
            }
        }
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let entry = self.next_back_any()?;
            if !entry.is_deleted {
                return Some(entry);
            }
        }
    }
}

/// Whether `lp` is a node with the ID `master` whose entries come behind `last`: from the
/// first byte to the last one that this module would write, but for how the numbers are encoded.
pub(super) fn validate(lp: &[u8], master: StreamId, last: Option<StreamId>) -> bool {
    listpack::validate(lp, Depth::Elements) && Checker::new(lp).check(master, last).is_some()
}

/// A walk over the elements of a listpack that believes none of them.
struct Checker<'a> {
    elements: listpack::Iter<'a>,
}

impl<'a> Checker<'a> {
    fn new(lp: &'a [u8]) -> Self {
        Checker { elements: listpack::iter(lp) }
    }

    fn int(&mut self) -> Option<i64> {
        match self.elements.next()? {
            (_, Element::Int(value)) => Some(value),
            (_, Element::Str(_)) => None,
        }
    }

    /// A number of elements that follow.
    fn count(&mut self) -> Option<i64> {
        self.int().filter(|count| (0..=listpack::BYTES_MAX as i64).contains(count))
    }

    fn skip(&mut self, count: i64) -> Option<()> {
        (0..count).try_for_each(|_| self.elements.next().map(|_| ()))
    }

    fn check(&mut self, master: StreamId, mut last: Option<StreamId>) -> Option<()> {
        let (live, deleted, fields) = (self.count()?, self.count()?, self.count()?);
        self.skip(fields)?;
        let end = self.int()?;
        let mut seen_deleted = 0;
        for _ in 0..live.checked_add(deleted)? {
            let flags = self.int()?;
            let id = master.plus(self.int()?, self.int()?);
            let mut count = ENTRY_FIXED as i64;
            if flags & SAME_FIELDS != 0 {
                self.skip(fields)?;
                count += fields;
            } else {
                let fields = self.count()?;
                self.skip(2 * fields)?;
                count += 1 + 2 * fields;
            }
            let is_in_order = last.is_none_or(|last| id > last) && id >= master;
            if self.int()? != count || !is_in_order || flags & !(DELETED | SAME_FIELDS) != 0 {
                return None;
            }
            seen_deleted += flags & DELETED;
            last = Some(id);
        }
        let is_whole = end == 0 && live + deleted > 0 && seen_deleted == deleted;
        (is_whole && self.elements.next().is_none()).then_some(())
    }
}
