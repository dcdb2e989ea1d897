//! The collector: marks from the roots without recursion, clears weak tables, sweeps.
//!
//! It runs at safe points only. Registers beyond those in use are cleared first, so that no stale
//! handle comes into use again when the stack grows over it.

use std::sync::Arc;

use crate::engine::Engine;
use crate::heap::{Function, Heap, Upvalue};
use crate::names::Event;
use crate::thread::Thread;
use crate::value::{Handle, Value};

/// What is reached but not looked into yet.
enum Gray {
    Table(Handle),
    Function(Handle),
    Thread(Handle),
}

/// The threshold of a small heap: collecting it more often would not pay.
pub(crate) const THRESHOLD_MIN: usize = 1 << 20;

struct Marker<'a> {
    heap: &'a mut Heap,
    gray: Vec<Gray>,
    weak: Vec<(Handle, bool, bool)>,
    mode: Value,
    /// Objects visited: the work to pay for.
    work: usize,
}

impl Engine {
    /// Collects garbage. Every value that is not pinned or on a stack becomes invalid.
    pub fn collect(&mut self) {
        self.collect_to(self.thread.extent());
    }

    /// Collects when the registers of the running coroutine are in use up to `extent`.
    pub(crate) fn collect_to(&mut self, extent: usize) {
        self.thread.stack[extent..].fill(Value::Nil);
        let mode = Value::String(self.names.event(Event::Mode));
        let mut marker =
            Marker { heap: &mut self.heap, gray: Vec::new(), weak: Vec::new(), mode, work: 0 };
        for name in self.names.all() {
            marker.value(&Value::String(name));
        }
        marker.value(&Value::Table(self.globals));
        if let Some(meta) = self.string_meta {
            marker.value(&Value::Table(meta));
        }
        for value in self.pins.iter().flatten() {
            marker.value(value);
        }
        for thread in self.resumers.iter().chain([&self.running, &self.main]) {
            marker.heap_thread(*thread);
        }
        marker.thread(&self.thread, extent);
        marker.finish();
        self.fuel -= (marker.work / 4) as i64;
        self.heap.sweep();
        let Self { heap, threshold, .. } = self;
        let (used, limit) = (heap.budget.used, heap.budget.limit);
        self.live_bytes = used;
        let twice = (used * 2).max(THRESHOLD_MIN);
        let near_limit = limit - limit / 16;
        *threshold = match twice <= near_limit {
            true => twice,
            // A heap that is full of live objects is not collected at each step.
            false => near_limit.max(used + limit / 16),
        };
    }
}

impl Marker<'_> {
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(s) => self.heap.strings.mark(*s),
            Value::Table(t) if self.heap.tables.mark(t.0) => self.gray.push(Gray::Table(t.0)),
            Value::Function(f) if self.heap.functions.mark(f.0) => {
                self.gray.push(Gray::Function(f.0));
            }
            Value::Thread(t) => self.heap_thread(t.0),
            _ => {}
        }
    }

    fn heap_thread(&mut self, thread: Handle) {
        if self.heap.threads.mark(thread) {
            self.gray.push(Gray::Thread(thread));
        }
    }

    fn finish(&mut self) {
        while let Some(gray) = self.gray.pop() {
            self.work += 1;
            match gray {
                Gray::Table(handle) => self.table(handle),
                Gray::Function(handle) => self.function(handle),
                Gray::Thread(handle) => {
                    let empty = Thread::new(0);
                    let place = self.heap.threads.get_mut(handle);
                    let mut thread = std::mem::replace(place, empty);
                    let extent = thread.extent();
                    thread.stack[extent..].fill(Value::Nil);
                    self.thread(&thread, extent);
                    *self.heap.threads.get_mut(handle) = thread;
                }
            }
        }
        self.clear_weak();
    }

    fn table(&mut self, handle: Handle) {
        // Taken out while its contents are marked: a table may contain itself.
        let table = std::mem::take(self.heap.tables.get_mut(handle));
        let (mut weak_keys, mut weak_values) = (false, false);
        if let Some(meta) = table.meta {
            self.value(&Value::Table(meta));
            let mode = match meta.0 == handle {
                true => table.get(&self.mode, &self.heap.strings),
                false => self.heap.table_get(meta, &self.mode),
            };
            if let Value::String(s) = mode {
                let mode = self.heap.strings.bytes(s);
                (weak_keys, weak_values) = (mode.contains(&b'k'), mode.contains(&b'v'));
            }
        }
        if weak_keys || weak_values {
            self.weak.push((handle, weak_keys, weak_values));
        }
        self.work += table.slot_count();
        let (array, pairs) = table.slots();
        if !weak_values {
            array.iter().for_each(|value| self.value(value));
        }
        for (key, value) in pairs {
            if !weak_keys {
                self.value(key);
            }
            if !weak_values {
                self.value(value);
            }
        }
        *self.heap.tables.get_mut(handle) = table;
    }

    fn function(&mut self, handle: Handle) {
        let Heap { functions, strings: _, .. } = &mut *self.heap;
        match functions.get(handle) {
            Function::Lua { proto, upvalues } => {
                let (proto, upvalues) = (*proto, upvalues.clone());
                for upvalue in &upvalues {
                    self.upvalue(*upvalue);
                }
                self.loaded(proto);
            }
            Function::Bound { values, .. } => {
                let values = values.clone();
                values.iter().for_each(|value| self.value(value));
            }
        }
    }

    fn upvalue(&mut self, handle: Handle) {
        if !self.heap.upvalues.mark(handle) {
            return;
        }
        match *self.heap.upvalues.get(handle) {
            Upvalue::Closed(value) => self.value(&value),
            // Its register lives as long as its coroutine.
            Upvalue::Open { thread, .. } => self.heap_thread(thread),
        }
    }

    fn loaded(&mut self, handle: Handle) {
        let mut pending = vec![handle];
        while let Some(handle) = pending.pop() {
            if !self.heap.loaded.mark(handle) {
                continue;
            }
            let loaded = Arc::clone(self.heap.loaded.get(handle));
            self.work += loaded.constants.len();
            loaded.constants.iter().for_each(|value| self.value(value));
            pending.extend(&loaded.children);
        }
    }

    fn thread(&mut self, thread: &Thread, extent: usize) {
        self.work += extent;
        thread.stack[..extent].iter().for_each(|value| self.value(value));
        for frame in &thread.frames {
            self.value(&Value::Function(frame.function));
        }
        for (_, upvalue) in &thread.open {
            self.upvalue(*upvalue);
        }
    }

    /// Takes what nothing else refers to out of the weak tables. Strings count as values: they
    /// stay.
    fn clear_weak(&mut self) {
        for (handle, _, _) in &self.weak {
            let table = std::mem::take(self.heap.tables.get_mut(*handle));
            self.work += table.slot_count();
            let (array, pairs) = table.slots();
            for value in array.iter().chain(pairs.flat_map(|(key, value)| [key, value])) {
                if let Value::String(s) = value {
                    self.heap.strings.mark(*s);
                }
            }
            *self.heap.tables.get_mut(*handle) = table;
        }
        for (handle, weak_keys, weak_values) in std::mem::take(&mut self.weak) {
            let mut table = std::mem::take(self.heap.tables.get_mut(handle));
            table.clear_weak(|value, is_key| {
                (if is_key { weak_keys } else { weak_values }) && self.is_dead(value, handle)
            });
            *self.heap.tables.get_mut(handle) = table;
        }
    }

    fn is_dead(&self, value: &Value, owner: Handle) -> bool {
        match value {
            Value::Table(t) => t.0 != owner && !self.heap.tables.is_marked(t.0),
            Value::Function(f) => !self.heap.functions.is_marked(f.0),
            Value::Thread(t) => !self.heap.threads.is_marked(t.0),
            Value::String(s) => {
                debug_assert!(self.heap.strings.is_marked(*s));
                false
            }
            _ => false,
        }
    }
}
