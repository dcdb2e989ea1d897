//! Walks in hash order, sweeps and random picks.

use super::node::{ChainIter, Slot};
use super::{Item, KeyHasher, ORDER_BITS, Pos, Sweep, Table, Wanted, order};

/// Random buckets tried before a pick falls back on a linear search.
const PICKS_MAX: u64 = 64;

/// Positions among which a pick chooses within a bucket, so that items of full and of sparse
/// buckets are equally likely; in the few buckets with more items each is slightly less likely.
const PICK_PLACES: u64 = 16;

impl<T: Item> Table<T> {
    /// Visits whole buckets in order, from the one that holds position `from`, until at least
    /// `budget` items or buckets have been visited. Returns the position to continue from, or
    /// `None` at the end. An item that exists from the first call to the last is visited at least
    /// once, whatever is inserted and removed between the calls.
    pub fn scan(&self, from: u64, budget: usize, mut f: impl FnMut(T::Ref<'_>)) -> Option<u64> {
        let mut next = from;
        let (mut items, mut buckets) = (0, 0);
        while items < budget && buckets < budget {
            let (bucket, end) = self.range_at(next)?;
            for slot in self.slots(bucket) {
                f(self.view(slot));
                items += 1;
            }
            buckets += 1;
            next = end?;
        }
        Some(next)
    }

    /// The snapshot's walk: visits the items at or after position `from` that are not done, and
    /// clears the done mark of the others, until at least `budget` items or buckets have been
    /// passed. Returns the position to continue from, or `None` at the end. An item before `from`
    /// is not visited even if a merge has put it into a bucket with later ones.
    pub fn walk(
        &mut self,
        from: u64,
        budget: usize,
        hasher: &KeyHasher,
        mut f: impl FnMut(T::Ref<'_>),
    ) -> Option<u64> {
        let mut next = from;
        let (mut items, mut buckets) = (0, 0);
        while items < budget && buckets < budget {
            let (bucket, end) = self.range_at(next)?;
            let whole = self.range_start(bucket) >= next;
            for node in self.segments.node(bucket).chain() {
                for index in node.items() {
                    let slot = node.slot(index);
                    let item = self.view(slot);
                    if !whole && order(hasher.hash(T::key(item))) < next {
                        continue;
                    }
                    if slot.is_done() {
                        node.set_slot(index, slot.with_done(false));
                    } else {
                        f(item);
                    }
                    items += 1;
                }
            }
            buckets += 1;
            next = end?;
        }
        Some(next)
    }

    /// Visits the marked and nested items of up to `buckets` buckets in order, from the one that
    /// holds position `from`. `judge` gets each with its done mark; condemned items are moved to
    /// `removed`. Returns the position to continue from, or `None` at the end. May merge buckets.
    pub fn sweep_marked(
        &mut self,
        from: u64,
        buckets: usize,
        mut judge: impl FnMut(T::Ref<'_>, bool) -> Sweep,
        mut removed: impl FnMut(T),
    ) -> Option<u64> {
        let mut next = from;
        for _ in 0..buckets {
            let (bucket, end) = self.range_at(next)?;
            let mut removals = 0;
            // Positions within a chain stay valid until the chain is compacted.
            let mut link = 0;
            let mut node = Some(self.segments.node(bucket));
            while let Some(current) = node {
                for index in current.items() {
                    let slot = current.slot(index);
                    let eligible = slot.is_marked() || slot.is_nested();
                    if !eligible || judge(self.view(slot), slot.is_done()) == Sweep::Keep {
                        continue;
                    }
                    let pos = Pos { bucket: bucket as u32, link, slot: index as u32 };
                    removed(self.take(pos));
                    removals += 1;
                }
                node = current.child();
                link += 1;
            }
            if removals > 0 {
                self.compact_bucket(bucket);
                for _ in 0..removals {
                    self.shrink();
                }
            }
            next = end?;
        }
        Some(next)
    }

    /// Visits the items wanted in whole buckets in order, from the one that holds position `from`,
    /// until at least `items` of them have been visited or `buckets` buckets have been looked at.
    /// Returns the position to continue from, or `None` at the end. The items of a bucket are
    /// prefetched together.
    pub fn sample(
        &self,
        from: u64,
        wanted: Wanted,
        (items, buckets): (usize, usize),
        mut f: impl FnMut(T::Ref<'_>),
    ) -> Option<u64> {
        let mut next = from;
        let (mut seen, mut looked) = (0, 0);
        while seen < items && looked < buckets {
            let (bucket, end) = self.range_at(next)?;
            let slots =
                || self.slots(bucket).filter(|slot| wanted == Wanted::All || slot.is_marked());
            slots().for_each(Slot::prefetch);
            for slot in slots() {
                f(self.view(slot));
                seen += 1;
            }
            looked += 1;
            next = end?;
        }
        Some(next)
    }

    /// Prefetches the bucket that holds a position.
    pub fn prefetch_bucket_at(&self, position: u64) {
        self.prefetch_bucket(order(position));
    }

    /// Prefetches the items of the bucket that holds a position.
    pub fn prefetch_items_at(&self, position: u64) {
        if let Some((bucket, _)) = self.range_at(position) {
            self.slots(bucket).for_each(Slot::prefetch);
        }
    }

    /// An item chosen by the random number `r`, each about equally likely. `None` if the table is
    /// empty.
    pub fn random(&self, r: u64) -> Option<T::Ref<'_>> {
        self.pick(r, self.len, |_| true)
    }

    /// A marked item chosen by the random number `r`. `None` if there are none. If marked items are
    /// rare, one after a long gap is likelier, and the search may visit the whole table.
    pub fn random_marked(&self, r: u64) -> Option<T::Ref<'_>> {
        self.pick(r, self.marked_len(), Slot::is_marked)
    }

    fn pick(&self, r: u64, eligible: usize, wanted: impl Fn(Slot) -> bool) -> Option<T::Ref<'_>> {
        if eligible == 0 {
            return None;
        }
        let buckets = self.segments.len() as u64;
        let mut state = r;
        for _ in 0..PICKS_MAX {
            state = splitmix(state);
            let bucket = (state >> 32) % buckets;
            let slots = || self.slots(bucket as usize).filter(|&slot| wanted(slot));
            let place = state % PICK_PLACES.max(slots().count() as u64);
            if let Some(slot) = slots().nth(place as usize) {
                return Some(self.view(slot));
            }
        }
        let start = r % buckets;
        let slot = (0..buckets)
            .flat_map(|step| self.slots(((start + step) % buckets) as usize))
            .find(|&slot| wanted(slot))?;
        Some(self.view(slot))
    }

    fn slots(&self, bucket: usize) -> impl Iterator<Item = Slot> {
        let chain: ChainIter = self.segments.node(bucket).chain();
        chain.flat_map(|node| node.items().map(move |index| node.slot(index)))
    }

    /// The bucket that holds a position, and the position of the next one unless it is the last.
    /// `None` in an empty table or for a position past the end.
    fn range_at(&self, position: u64) -> Option<(usize, Option<u64>)> {
        if position >> ORDER_BITS != 0 {
            return None;
        }
        // `order` is its own inverse.
        let bucket = self.segments.bucket_of(order(position))?;
        let shift = ORDER_BITS - self.segments.depth_of(bucket);
        let end = ((position >> shift) + 1) << shift;
        Some((bucket, (end >> ORDER_BITS == 0).then_some(end)))
    }

    fn range_start(&self, bucket: usize) -> u64 {
        order(bucket as u64)
    }
}

/// One step of SplitMix64, which turns any sequence of numbers into random-looking ones.
fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
