//! Editing a set wherever it is stored.

use std::ops::ControlFlow;

use super::sample::Picks;
use super::small::{self, Added};
use super::{Form, Limits, SetRef, Table};
use crate::entry::EntryBox;
use crate::intset::{self, Intset};
use crate::listpack::{self, Element};
use crate::splice::Splice;
use crate::table::KeyHasher;
use crate::value::{Compact, HeapValue, IntBuf, Value};

/// The storage of a set: what editing it needs.
pub trait Home {
    /// Borrows the set.
    fn view(&self) -> SetRef<'_>;

    /// The bytes of a compact set. Panics if it is a table.
    fn packed(&mut self) -> impl Splice + '_;

    /// The table of a large set. Panics if it is compact.
    fn table(&mut self) -> &mut Table;

    /// Replaces the set by another. Returns its heap value, for the caller to free.
    fn put(&mut self, set: SetBuf) -> Option<Box<HeapValue>>;
}

impl Home for EntryBox {
    fn view(&self) -> SetRef<'_> {
        SetRef::of(self.as_ref().value()).expect("an entry that holds a set")
    }

    fn packed(&mut self) -> impl Splice + '_ {
        self.packed_mut().expect("callers ask for the form first")
    }

    fn table(&mut self) -> &mut Table {
        match self.heap_mut() {
            Some(HeapValue::Set(table)) => table,
            _ => unreachable!("callers ask for the form first"),
        }
    }

    fn put(&mut self, set: SetBuf) -> Option<Box<HeapValue>> {
        self.replace_value(set.into())
    }
}

impl From<SetBuf> for HeapValue {
    fn from(set: SetBuf) -> Self {
        match set {
            SetBuf::Intset(bytes) => HeapValue::Packed(Compact::SetOfInts, bytes),
            SetBuf::Listpack(bytes) => HeapValue::Packed(Compact::Set, bytes),
            SetBuf::Table(table) => HeapValue::Set(Box::new(table)),
        }
    }
}

impl From<SetBuf> for Value<'_> {
    fn from(set: SetBuf) -> Self {
        Value::Heap(set.into())
    }
}

/// A set that is not stored in an entry.
#[derive(Clone, Debug)]
pub enum SetBuf {
    Intset(Vec<u8>),
    Listpack(Vec<u8>),
    Table(Table),
}

impl SetBuf {
    /// An empty set in the given encoding.
    pub fn new(form: Form) -> SetBuf {
        match form {
            Form::Intset => SetBuf::Intset(intset::EMPTY.to_vec()),
            Form::Listpack => SetBuf::Listpack(listpack::EMPTY.to_vec()),
            Form::Table => SetBuf::Table(Table::new()),
        }
    }
}

impl Home for SetBuf {
    fn view(&self) -> SetRef<'_> {
        match self {
            SetBuf::Intset(bytes) => SetRef::Intset(Intset::new(bytes)),
            SetBuf::Listpack(bytes) => SetRef::Listpack(bytes),
            SetBuf::Table(table) => SetRef::Table(table),
        }
    }

    fn packed(&mut self) -> impl Splice + '_ {
        match self {
            SetBuf::Intset(bytes) | SetBuf::Listpack(bytes) => bytes,
            SetBuf::Table(_) => unreachable!("callers ask for the form first"),
        }
    }

    fn table(&mut self) -> &mut Table {
        match self {
            SetBuf::Table(table) => table,
            _ => unreachable!("callers ask for the form first"),
        }
    }

    fn put(&mut self, set: SetBuf) -> Option<Box<HeapValue>> {
        *self = set;
        None
    }
}

/// When a removal leaves less than one in this many of what is removed, the rest moves to a new
/// set, compact if possible. Source: `spopWithCountCommand` of Redis 7.2, as OBJECT ENCODING shows.
const REST_TO_NEW: usize = 5;

/// A set being edited.
pub struct Edit<'a, H> {
    home: &'a mut H,
    limits: Limits,
    hasher: &'a KeyHasher,
    /// The table that the set was moved out of.
    left: Option<Box<HeapValue>>,
}

impl<'a, H: Home> Edit<'a, H> {
    /// Edits the set in `home`.
    pub fn new(home: &'a mut H, limits: Limits, hasher: &'a KeyHasher) -> Self {
        Edit { home, limits, hasher, left: None }
    }

    /// Borrows the set.
    pub fn view(&self) -> SetRef<'_> {
        self.home.view()
    }

    /// The old table, for the caller to free in slices.
    pub fn left(self) -> Option<Box<HeapValue>> {
        self.left
    }

    /// Announces that a command adds `count` members, duplicates and existing ones included.
    pub fn announce(&mut self, count: usize) {
        let form = self.view().form();
        if form.is_outgrown_by(count, self.limits) {
            self.become_table();
        }
    }

    /// Adds a member; returns whether it was missing.
    pub fn add(&mut self, member: Element<'_>) -> bool {
        let added = match self.view().form() {
            Form::Intset => small::add_to_intset(&mut self.home.packed(), member, self.limits),
            Form::Listpack => small::add_to_listpack(&mut self.home.packed(), member, self.limits),
            Form::Table => {
                let mut buf = IntBuf::new();
                return self.home.table().add(member.text(&mut buf), self.hasher);
            }
        };
        match added {
            Added::Yes => true,
            Added::No => false,
            Added::Outgrown => {
                self.become_table();
                true
            }
            Added::NeedsTable => {
                self.become_table();
                self.add(member)
            }
            Added::NeedsListpack => {
                self.become_listpack();
                self.add(member)
            }
        }
    }

    /// Converts it to a table, whatever the limits.
    pub fn become_table(&mut self) {
        let mut table = Table::new();
        let mut buf = IntBuf::new();
        self.view().for_each(|member| {
            table.add(member.text(&mut buf), self.hasher);
        });
        self.home.put(SetBuf::Table(table));
    }

    /// Converts it to an intset if all members are integers and within the limits.
    pub fn become_intset(&mut self) {
        let view = self.view();
        if view.form() == Form::Intset || view.len() > self.limits.ints {
            return;
        }
        let mut ints = intset::EMPTY.to_vec();
        let all = view.try_for_each(|member| match member {
            Element::Int(value) => {
                intset::insert(&mut ints, value);
                ControlFlow::Continue(())
            }
            Element::Str(_) => ControlFlow::Break(()),
        });
        if all.is_continue() {
            self.home.put(SetBuf::Intset(ints));
        }
    }

    fn become_listpack(&mut self) {
        let mut listpack = listpack::EMPTY.to_vec();
        self.view().for_each(|member| listpack::append(&mut listpack, member));
        self.home.put(SetBuf::Listpack(listpack));
    }

    /// Removes a member; returns whether it existed. An empty set is kept.
    pub fn remove(&mut self, member: Element<'_>) -> bool {
        match (self.view().form(), member) {
            (Form::Intset, Element::Int(value)) => intset::remove(&mut self.home.packed(), value),
            (Form::Intset, Element::Str(_)) => false,
            (Form::Listpack, _) => small::remove_from_listpack(&mut self.home.packed(), member),
            (Form::Table, _) => {
                let mut buf = IntBuf::new();
                self.home.table().remove(member.text(&mut buf), self.hasher)
            }
        }
    }

    /// Removes a member chosen by a random number, and returns `f` of it. `None` if the set is
    /// empty.
    pub fn take_one<R>(&mut self, word: u64, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let member = self.view().random(word)?;
        // The set may move when the member is removed.
        let mut buf = IntBuf::new();
        let text = member.text(&mut buf).to_vec();
        let result = f(member);
        self.remove(Element::of(&text));
        Some(result)
    }

    /// Removes `count` members, or all if there are no more, chosen as by [`SetRef::sample`], and
    /// calls `f` with them.
    pub fn take(
        &mut self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        f: &mut dyn FnMut(Element<'_>),
    ) {
        let len = self.view().len();
        let rest = len.saturating_sub(count);
        match self.view().form() {
            Form::Intset => {
                let mut picks = Picks::new(count, len);
                intset::retain(&mut self.home.packed(), |value| {
                    let taken = picks.next(random);
                    if taken {
                        f(Element::Int(value));
                    }
                    !taken
                });
            }
            Form::Table if rest.saturating_mul(REST_TO_NEW) > count => {
                let mut taken = Copies::default();
                self.view().sample(count, random, &mut |member| taken.push(member));
                for member in taken.iter() {
                    f(Element::of(member));
                    self.home.table().remove(member, self.hasher);
                }
            }
            Form::Listpack => {
                let mut picks = Picks::new(count, len);
                let mut kept = listpack::EMPTY.to_vec();
                self.view().for_each(|member| {
                    if picks.next(random) {
                        f(member);
                    } else {
                        listpack::append(&mut kept, member);
                    }
                });
                self.home.put(SetBuf::Listpack(kept));
            }
            Form::Table => {
                let mut picks = Picks::new(count, len);
                let mut kept = SetBuf::new(Form::Listpack);
                let mut edit = Edit::new(&mut kept, self.limits, self.hasher);
                self.view().for_each(|member| {
                    if picks.next(random) {
                        f(member);
                    } else {
                        edit.add(member);
                    }
                });
                self.left = self.home.put(kept);
            }
        }
    }
}

/// Copies of members, for use while the set changes.
#[derive(Default)]
struct Copies {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Copies {
    fn push(&mut self, member: Element<'_>) {
        let mut buf = IntBuf::new();
        self.bytes.extend_from_slice(member.text(&mut buf));
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}
