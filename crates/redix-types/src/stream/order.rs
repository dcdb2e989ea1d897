//! An ordered map whose clone is a snapshot: a B+tree of reference-counted nodes.
//!
//! Streams keep their nodes, groups, consumers and pending entries in such maps. `clone` counts one
//! root; a write afterwards copies the nodes on its way, one per level. What is only ever added
//! behind the last key, as entries of a stream are, leaves full nodes behind.
//!
//! **Invariants** (checked by `Order::check` in the tests):
//! * O1: keys ascend; the key beside a child is no greater than any in it and greater than all
//!   before it.
//! * O2: no node but an empty root has less than one item, none more than [`WIDTH`], and all leaves
//!   are equally deep; an inner root has two children at least.
//! * O3: `len` is the number of items in the leaves.

use crate::block::size_class;
use crate::shared::Shared;

/// Most items of a node.
const WIDTH: usize = 64;

/// A node with fewer items is joined with a neighbour, if both together leave room.
const SPARSE: usize = WIDTH / 4;

/// Items that a node has room for once it has more than one.
const ROOM_MIN: usize = 4;

/// Keys with values, in ascending order.
#[derive(Clone)]
pub struct Order<K, V> {
    root: Option<Shared<Node<K, V>>>,
    len: usize,
}

#[derive(Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Inner(Vec<(K, Shared<Node<K, V>>)>),
}

/// A node that has split: the first key of the new one, which follows it.
type Split<K, V> = Option<(K, Shared<Node<K, V>>)>;

impl<K, V> Default for Order<K, V> {
    fn default() -> Self {
        Order { root: None, len: 0 }
    }
}

impl<K, V> Order<K, V> {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// About how many allocations there are to free, apart from those of the values.
    pub fn weight(&self) -> usize {
        2 * self.len.div_ceil(WIDTH / 2)
    }

    /// Bytes of the nodes by the allocator's classes, estimated from their number: full ones, and
    /// one with what is left.
    pub fn memory(&self) -> usize {
        let rest = self.len % WIDTH;
        self.len / WIDTH * Self::node_memory(WIDTH)
            + if rest > 0 { Self::node_memory(rest) } else { 0 }
    }

    /// The same of so many maps with so many items in all.
    pub fn memory_of_all(maps: usize, items: usize) -> usize {
        let full = items / WIDTH;
        let small = (items - full * WIDTH).checked_div(maps).unwrap_or(0);
        full * Self::node_memory(WIDTH) + maps * Self::node_memory(small.max(1))
    }

    /// Bytes of a leaf that has grown to so many items, and of what leads to it.
    fn node_memory(items: usize) -> usize {
        let room = if items == 1 { 1 } else { items.next_power_of_two().max(ROOM_MIN) };
        size_class(Shared::<Node<K, V>>::allocation())
            + size_class(room * size_of::<(K, V)>())
            + size_of::<(K, Shared<Node<K, V>>)>()
    }

    /// Frees about `budget` items from the end, whose values `free` frees in the same way and says
    /// whether nothing is left of; whether all are gone. What stays is of no use but to be freed.
    pub fn free_step(
        &mut self,
        budget: usize,
        free: &mut dyn FnMut(&mut V, usize) -> bool,
    ) -> bool {
        let mut budget = budget.max(1);
        while let Some(root) = &mut self.root {
            if budget == 0 {
                return false;
            }
            if free_end(root, &mut budget, free) {
                self.root = None;
            }
        }
        self.len = 0;
        true
    }
}

/// Frees some of the end of a node; whether nothing of it is left. What is shared is freed by its
/// last owner.
fn free_end<K, V>(
    node: &mut Shared<Node<K, V>>,
    budget: &mut usize,
    free: &mut dyn FnMut(&mut V, usize) -> bool,
) -> bool {
    match node.get_mut() {
        None => {
            *budget = budget.saturating_sub(1);
            true
        }
        Some(Node::Leaf(items)) => {
            while let Some((_, value)) = items.last_mut() {
                if *budget == 0 {
                    return false;
                }
                *budget -= 1;
                if free(value, *budget + 1) {
                    items.pop();
                }
            }
            true
        }
        Some(Node::Inner(children)) => {
            while let Some((_, child)) = children.last_mut() {
                if *budget == 0 {
                    return false;
                }
                if free_end(child, budget, free) {
                    children.pop();
                }
            }
            true
        }
    }
}

impl<K: Clone + Ord, V: Clone> Order<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.get_by(|other| other.cmp(key))
    }

    /// The value of the key that `compare` says is equal to the wanted one; it compares a key with
    /// that.
    pub fn get_by(&self, compare: impl Fn(&K) -> std::cmp::Ordering) -> Option<&V> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(items) => {
                    let at = items.binary_search_by(|(key, _)| compare(key)).ok()?;
                    return Some(&items[at].1);
                }
                Node::Inner(children) => {
                    let behind = children.partition_point(|(key, _)| compare(key).is_le());
                    node = &*children[behind.checked_sub(1)?].1;
                }
            }
        }
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let mut node = self.root.as_mut()?;
        loop {
            match node.make_mut() {
                Node::Leaf(items) => {
                    let at = items.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
                    return Some(&mut items[at].1);
                }
                Node::Inner(children) => {
                    let behind = children.partition_point(|(other, _)| other <= key);
                    node = &mut children[behind.checked_sub(1)?].1;
                }
            }
        }
    }

    /// The first key and its value.
    pub fn first(&self) -> Option<(&K, &V)> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(items) => return items.first().map(|(key, value)| (key, value)),
                Node::Inner(children) => node = &*children.first()?.1,
            }
        }
    }

    /// The last key and its value.
    pub fn last(&self) -> Option<(&K, &V)> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(items) => return items.last().map(|(key, value)| (key, value)),
                Node::Inner(children) => node = &*children.last()?.1,
            }
        }
    }

    /// The last value, to change, with its key.
    pub fn last_mut(&mut self) -> Option<(&K, &mut V)> {
        let mut node = self.root.as_mut()?;
        loop {
            match node.make_mut() {
                Node::Leaf(items) => return items.last_mut().map(|(key, value)| (&*key, value)),
                Node::Inner(children) => node = &mut children.last_mut()?.1,
            }
        }
    }

    /// Gives a key a value; returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Shared::new(Node::Leaf(vec![(key, value)])));
            self.len = 1;
            return None;
        };
        let (old, split) = insert_in(root, key, value);
        if let Some((second, right)) = split {
            let left = root.clone();
            let first = left.first_key().clone();
            self.root = Some(Shared::new(Node::Inner(vec![(first, left), (second, right)])));
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes a key; returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let root = self.root.as_mut()?;
        let old = remove_in(root, key)?;
        self.len -= 1;
        if self.len == 0 {
            self.root = None;
            return Some(old);
        }
        while let Some(root) = &mut self.root
            && let Node::Inner(children) = &**root
            && let [(_, only)] = &children[..]
        {
            self.root = Some(only.clone());
        }
        Some(old)
    }

    /// Removes the first key; returns it with its value.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let key = self.first()?.0.clone();
        let value = self.remove(&key)?;
        Some((key, value))
    }

    /// Keys from `from` on, ascending.
    pub fn iter_from(&self, from: &K) -> Iter<'_, K, V> {
        match self.seek(|key| key < from) {
            Some((leaf, at)) => Iter { order: self, leaf, at },
            None => Iter { order: self, leaf: &[], at: 0 },
        }
    }

    /// All keys, ascending.
    pub fn iter(&self) -> Iter<'_, K, V> {
        match self.seek(|_| false) {
            Some((leaf, at)) => Iter { order: self, leaf, at },
            None => Iter { order: self, leaf: &[], at: 0 },
        }
    }

    /// Keys up to `to`, descending.
    pub fn iter_back_from(&self, to: &K) -> IterBack<'_, K, V> {
        match self.seek_back(|key| key > to) {
            Some((leaf, at)) => IterBack { order: self, leaf, left: at + 1 },
            None => IterBack { order: self, leaf: &[], left: 0 },
        }
    }

    /// The first item whose key is not `before` the wanted place, within its leaf.
    fn seek(&self, before: impl Fn(&K) -> bool) -> Option<(&[(K, V)], usize)> {
        seek_in(self.root.as_deref()?, &before)
    }

    /// The last item whose key is not `after` the wanted place, within its leaf.
    fn seek_back(&self, after: impl Fn(&K) -> bool) -> Option<(&[(K, V)], usize)> {
        seek_back_in(self.root.as_deref()?, &after)
    }
}

fn seek_back_in<'a, K, V>(
    node: &'a Node<K, V>,
    after: &impl Fn(&K) -> bool,
) -> Option<(&'a [(K, V)], usize)> {
    match node {
        Node::Leaf(items) => {
            let behind = items.partition_point(|(key, _)| !after(key));
            Some((items, behind.checked_sub(1)?))
        }
        Node::Inner(children) => {
            let behind = children.partition_point(|(key, _)| !after(key));
            children[..behind].iter().rev().find_map(|(_, child)| seek_back_in(child, after))
        }
    }
}

fn seek_in<'a, K, V>(
    node: &'a Node<K, V>,
    before: &impl Fn(&K) -> bool,
) -> Option<(&'a [(K, V)], usize)> {
    match node {
        Node::Leaf(items) => {
            let at = items.partition_point(|(key, _)| before(key));
            (at < items.len()).then_some((items, at))
        }
        Node::Inner(children) => {
            let behind = children.partition_point(|(key, _)| before(key));
            let candidates = &children[behind.saturating_sub(1)..];
            candidates.iter().find_map(|(_, child)| seek_in(child, before))
        }
    }
}

impl<K, V> Node<K, V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn first_key(&self) -> &K {
        match self {
            Node::Leaf(items) => &items[0].0,
            Node::Inner(children) => children[0].1.first_key(),
        }
    }
}

fn insert_in<K: Clone + Ord, V: Clone>(
    node: &mut Shared<Node<K, V>>,
    key: K,
    value: V,
) -> (Option<V>, Split<K, V>) {
    match node.make_mut() {
        Node::Leaf(items) => match items.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => (Some(std::mem::replace(&mut items[at].1, value)), None),
            Err(at) => {
                let right = place(items, at, (key, value));
                (None, right.map(|right| (right[0].0.clone(), Shared::new(Node::Leaf(right)))))
            }
        },
        Node::Inner(children) => {
            let behind = children.partition_point(|(other, _)| *other <= key);
            let at = behind.saturating_sub(1);
            if behind == 0 {
                children[0].0 = key.clone();
            }
            let (old, split) = insert_in(&mut children[at].1, key, value);
            let right = split.and_then(|new| place(children, at + 1, new));
            (old, right.map(|right| (right[0].0.clone(), Shared::new(Node::Inner(right)))))
        }
    }
}

/// Inserts an item; the items of a new node behind, if there was no room.
fn place<T>(items: &mut Vec<T>, at: usize, item: T) -> Option<Vec<T>> {
    if items.len() < WIDTH {
        items.insert(at, item);
        return None;
    }
    if at == WIDTH {
        return Some(vec![item]);
    }
    let mut right = items.split_off(WIDTH / 2);
    if at <= WIDTH / 2 {
        items.insert(at, item);
    } else {
        right.insert(at - WIDTH / 2, item);
    }
    Some(right)
}

fn remove_in<K: Clone + Ord, V: Clone>(node: &mut Shared<Node<K, V>>, key: &K) -> Option<V> {
    match node.make_mut() {
        Node::Leaf(items) => {
            let at = items.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
            let (_, old) = items.remove(at);
            if items.len() < items.capacity() / 4 {
                items.shrink_to(2 * items.len());
            }
            Some(old)
        }
        Node::Inner(children) => {
            let at = children.partition_point(|(other, _)| other <= key).checked_sub(1)?;
            let old = remove_in(&mut children[at].1, key)?;
            match children[at].1.len() {
                0 => drop(children.remove(at)),
                1..SPARSE => join(children, at),
                _ => {}
            }
            Some(old)
        }
    }
}

/// Joins a sparse child with a neighbour, if both together leave room for more.
fn join<K: Clone, V: Clone>(children: &mut Vec<(K, Shared<Node<K, V>>)>, at: usize) {
    let fits = |left: usize| {
        let right = children.get(left + 1)?;
        (children[left].1.len() + right.1.len() <= WIDTH * 3 / 4).then_some(left)
    };
    let Some(left) = at.checked_sub(1).and_then(fits).or_else(|| fits(at)) else { return };
    let (_, right) = children.remove(left + 1);
    match (children[left].1.make_mut(), &*right) {
        (Node::Leaf(items), Node::Leaf(more)) => items.extend_from_slice(more),
        (Node::Inner(items), Node::Inner(more)) => items.extend_from_slice(more),
        _ => unreachable!("O2: leaves are equally deep"),
    }
}

/// Items in ascending order.
pub struct Iter<'a, K, V> {
    order: &'a Order<K, V>,
    leaf: &'a [(K, V)],
    at: usize,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Iter { ..*self }
    }
}

impl<'a, K: Clone + Ord, V: Clone> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.leaf.len() {
            let last = &self.leaf.last()?.0;
            (self.leaf, self.at) = self.order.seek(|key| key <= last)?;
        }
        let (key, value) = &self.leaf[self.at];
        self.at += 1;
        Some((key, value))
    }
}

/// Items in descending order.
pub struct IterBack<'a, K, V> {
    order: &'a Order<K, V>,
    leaf: &'a [(K, V)],
    left: usize,
}

impl<K, V> Clone for IterBack<'_, K, V> {
    fn clone(&self) -> Self {
        IterBack { ..*self }
    }
}

impl<'a, K: Clone + Ord, V: Clone> Iterator for IterBack<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let first = &self.leaf.first()?.0;
            let (leaf, at) = self.order.seek_back(|key| key >= first)?;
            (self.leaf, self.left) = (leaf, at + 1);
        }
        self.left -= 1;
        let (key, value) = &self.leaf[self.left];
        Some((key, value))
    }
}

#[cfg(test)]
mod tests;
