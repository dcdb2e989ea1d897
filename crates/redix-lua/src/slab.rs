//! A slab: objects at stable 32-bit indices, with a mark each for the collector.
//!
//! Invariant: a slot on the free list holds no object.

use crate::value::Handle;

struct Slot<T> {
    object: Option<T>,
    marked: bool,
    #[cfg(debug_assertions)]
    generation: u32,
}

pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Adds an object, unmarked.
    pub(crate) fn insert(&mut self, object: T) -> Handle {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.object = Some(object);
            slot.marked = false;
            return self.handle(index);
        }
        let index = u32::try_from(self.slots.len()).expect("bounded by the memory limit");
        self.slots.push(Slot {
            object: Some(object),
            marked: false,
            #[cfg(debug_assertions)]
            generation: 0,
        });
        self.handle(index)
    }

    fn handle(&self, index: u32) -> Handle {
        Handle {
            index,
            #[cfg(debug_assertions)]
            generation: self.slots[index as usize].generation,
        }
    }

    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> &T {
        let slot = &self.slots[handle.index as usize];
        #[cfg(debug_assertions)]
        assert_eq!(slot.generation, handle.generation, "a stale handle");
        slot.object.as_ref().expect("a handle names an object")
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, handle: Handle) -> &mut T {
        let slot = &mut self.slots[handle.index as usize];
        #[cfg(debug_assertions)]
        assert_eq!(slot.generation, handle.generation, "a stale handle");
        slot.object.as_mut().expect("a handle names an object")
    }

    /// Marks an object; true if it was not marked before.
    #[inline]
    pub(crate) fn mark(&mut self, handle: Handle) -> bool {
        let slot = &mut self.slots[handle.index as usize];
        #[cfg(debug_assertions)]
        assert_eq!(slot.generation, handle.generation, "a stale handle");
        !std::mem::replace(&mut slot.marked, true)
    }

    pub(crate) fn is_marked(&self, handle: Handle) -> bool {
        self.slots[handle.index as usize].marked
    }

    /// Drops what is not marked, passing each to `dropped`, and takes the marks off.
    pub(crate) fn sweep(&mut self, mut dropped: impl FnMut(&T)) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if std::mem::take(&mut slot.marked) {
                continue;
            }
            if let Some(object) = slot.object.take() {
                dropped(&object);
                #[cfg(debug_assertions)]
                {
                    slot.generation = slot.generation.wrapping_add(1);
                }
                self.free.push(index as u32);
            }
        }
    }

    /// The objects with their handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((self.handle(index as u32), slot.object.as_ref()?)))
    }
}
