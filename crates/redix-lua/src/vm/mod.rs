//! The virtual machine: calls, stack, fuel, runs.
//!
//! Lua calls Lua without native recursion: frames are on the thread. Library functions that call
//! back (pcall, sort, gsub, metamethods, resume) recurse natively, at most [`DEPTH_MAX`] deep.
//!
//! **Safe points** are the instructions that allocate, and each call of a library or host
//! function, before it runs. What a library function holds across a call back must be on the
//! stack.

mod debug;
mod execute;
mod instruction;
mod meta;
mod operand;
mod resume;

use std::sync::Arc;

pub(crate) use meta::{READONLY, compare_message, is_function};
pub(crate) use operand::{floor, modulo};

use crate::engine::{Call, Engine, Fault, Host, Options, RunError, Tick};
use crate::gc::THRESHOLD_MIN;
use crate::heap::{Function, Heap, Loaded, NoMemory, Upvalue};
use crate::names::{Event, Names};
use crate::thread::{ALL, Frame, Status, Thread};
use crate::value::{FnRef, Handle, Value};

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// Nested calls from library functions.
const DEPTH_MAX: usize = 200;

/// Nested calls of Lua functions.
const FRAMES_MAX: usize = 20_000;

/// The registers that a stack has at first.
const STACK_MIN: usize = 64;

/// The arguments of a library function, on the stack.
#[derive(Clone, Copy)]
pub(crate) struct Args {
    pub(crate) base: usize,
    pub(crate) count: usize,
    /// The function itself, for what is bound to it.
    pub(crate) callee: Value,
}

/// A library function: pushes its results and says how many they are.
pub(crate) type Native = fn(&mut Engine, &mut dyn Host, Args) -> Result<usize>;

impl Engine {
    /// An engine with the libraries in its globals.
    ///
    /// # Panics
    ///
    /// If the memory limit is too small for the libraries (100 KB).
    pub fn new(options: &Options) -> Self {
        let mut heap = Heap::new(usize::MAX, options.hash_seed);
        let made = Names::new(&mut heap).and_then(|names| {
            let globals = heap.new_table(0, 64)?;
            let main = heap.new_thread(Thread::new(0))?;
            Ok((names, globals, main))
        });
        let (names, globals, main) = made.expect("there is no limit yet");
        let mut thread = Thread::new(STACK_MIN);
        thread.status = Status::Running;
        let mut engine = Self {
            heap,
            thread,
            running: main,
            main,
            resumers: Vec::new(),
            globals,
            names,
            string_meta: None,
            pins: Vec::new(),
            free_pins: Vec::new(),
            fuel: 0,
            slice: i64::from(options.slice),
            depth: 0,
            threshold: 0,
            live_bytes: 0,
            collect_always: false,
            yielded: (0, 0),
            called_from_lua: false,
            captures: crate::library::NO_CAPTURES,
            scratch: Vec::new(),
            unwrap_errors: options.unwrap_errors,
            fault_at: None,
            random: crate::random::Rand48::new(),
        };
        crate::library::open(&mut engine).expect("there is no limit yet");
        engine.heap.budget.limit = options.memory_limit;
        assert!(engine.heap.budget.used < options.memory_limit, "the limit is too small");
        engine.threshold = THRESHOLD_MIN.min(options.memory_limit);
        engine.live_bytes = engine.heap.budget.used;
        engine
    }

    pub(crate) fn run_value(
        &mut self,
        function: Value,
        args: &[Value],
        host: &mut dyn Host,
    ) -> std::result::Result<Value, RunError> {
        debug_assert_eq!(self.depth, 0, "a host function must not run the engine");
        self.close_upvalues(0);
        self.thread.frames.clear();
        self.thread.top = 0;
        self.depth = 0;
        self.fuel = self.slice;
        self.fault_at = None;
        let result = self.run_on_stack(function, args, host);
        self.shrink_stack();
        self.thread.stack[0] = match result {
            Ok(value) | Err(Fault::Error(value)) => value,
            Err(_) => Value::Nil,
        };
        // Leaves room for what the host makes before the next run.
        self.safe_point(1);
        match result {
            Ok(value) => Ok(value),
            Err(Fault::Error(value)) => Err(RunError::Error { value, at: self.fault_at.take() }),
            Err(Fault::Memory) => Err(RunError::Memory),
            Err(Fault::Kill | Fault::Yield) => Err(RunError::Killed { at: self.fault_at.take() }),
        }
    }

    fn run_on_stack(
        &mut self,
        function: Value,
        args: &[Value],
        host: &mut dyn Host,
    ) -> Result<Value> {
        self.push(function)?;
        for arg in args {
            self.push(*arg)?;
        }
        self.call_at(host, 0, args.len(), Some(1))?;
        Ok(self.thread.stack[0])
    }

    /// After a run: the stack as it was at first, but for the result in its first register.
    fn shrink_stack(&mut self) {
        self.close_upvalues(0);
        self.thread.frames.clear();
        self.thread.top = 1;
        let len = self.thread.stack.len();
        if len > STACK_MIN * 16 {
            self.thread.stack.truncate(STACK_MIN);
            self.thread.stack.shrink_to_fit();
            self.heap.budget.release((len - STACK_MIN) * 16);
        }
    }

    // The stack.

    /// Makes room for registers below `end`.
    #[inline]
    pub(crate) fn ensure_stack(&mut self, end: usize) -> std::result::Result<(), NoMemory> {
        if end > self.thread.stack.len() {
            self.grow_stack(end)?;
        }
        Ok(())
    }

    #[cold]
    fn grow_stack(&mut self, end: usize) -> std::result::Result<(), NoMemory> {
        let len = self.thread.stack.len();
        let size = end.max(len * 2).max(STACK_MIN);
        self.heap.budget.charge((size - len) * 16)?;
        if self.thread.stack.try_reserve_exact(size - len).is_err() {
            self.heap.budget.release((size - len) * 16);
            return Err(NoMemory);
        }
        self.thread.stack.resize(size, Value::Nil);
        Ok(())
    }

    /// Pushes a value at the top.
    #[inline]
    pub(crate) fn push(&mut self, value: Value) -> Result<()> {
        let top = self.thread.top;
        self.ensure_stack(top + 1)?;
        self.thread.stack[top] = value;
        self.thread.top = top + 1;
        Ok(())
    }

    // Fuel and memory.

    /// Pays for work.
    #[inline]
    pub(crate) fn spend(&mut self, host: &mut dyn Host, work: usize) -> Result<()> {
        self.fuel -= work as i64;
        if self.fuel < 0 { self.tick(host) } else { Ok(()) }
    }

    #[cold]
    pub(crate) fn tick(&mut self, host: &mut dyn Host) -> Result<()> {
        while self.fuel < 0 {
            self.fuel += self.slice.max(1);
            if host.tick() == Tick::Kill {
                return Err(Fault::Kill);
            }
        }
        Ok(())
    }

    /// A safe point: collects if it is time to, when registers are in use up to `extent`.
    #[inline]
    pub(crate) fn safe_point(&mut self, extent: usize) {
        if self.heap.budget.used >= self.threshold || self.collect_always {
            self.collect_to(extent);
        }
    }

    /// Makes room for an allocation of `bytes`, if need be by collecting. A safe point, with
    /// registers in use up to the top.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<()> {
        if self.heap.budget.check(bytes).is_err() || self.collect_always {
            self.collect_if_worth(self.thread.top);
        }
        Ok(self.heap.budget.check(bytes)?)
    }

    /// Collects unless the last collection left hardly less; true if it did.
    pub(crate) fn collect_if_worth(&mut self, extent: usize) -> bool {
        let budget = &self.heap.budget;
        let much = self.live_bytes.saturating_add(budget.limit / 32);
        let worth = budget.used > much || self.collect_always;
        if worth {
            self.collect_to(extent);
        }
        worth
    }

    // Calls.

    /// Calls the function at `at` with the `count` values after it; the results come to its place,
    /// and with `wanted` none the top is set after them.
    pub(crate) fn call_at(
        &mut self,
        host: &mut dyn Host,
        at: usize,
        count: usize,
        wanted: Option<usize>,
    ) -> Result<()> {
        self.call_by(host, at, count, wanted, true)
    }

    /// As [`Self::call_at`], for a library function or for the Lua function that runs.
    fn call_by(
        &mut self,
        host: &mut dyn Host,
        at: usize,
        count: usize,
        wanted: Option<usize>,
        by_native: bool,
    ) -> Result<()> {
        if self.depth >= DEPTH_MAX {
            return Err(self.error_text(b"C stack overflow"));
        }
        self.depth += 1;
        let from_lua = std::mem::replace(&mut self.called_from_lua, !by_native);
        let result = match self.begin_call(host, at, count, wanted) {
            Ok(Some(loaded)) => {
                if let Some(frame) = self.thread.frames.last_mut() {
                    frame.leaves = true;
                    frame.by_native = by_native;
                }
                self.execute(host, loaded)
            }
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        self.called_from_lua = from_lua;
        self.depth -= 1;
        result
    }

    /// Calls a function with arguments above the top and gives its first result.
    pub(crate) fn call_value(
        &mut self,
        host: &mut dyn Host,
        function: Value,
        args: &[Value],
    ) -> Result<Value> {
        let at = self.thread.top;
        self.push(function)?;
        for arg in args {
            self.push(*arg)?;
        }
        self.call_at(host, at, args.len(), Some(1))?;
        self.thread.top = at;
        Ok(self.thread.stack[at])
    }

    /// Begins a call: for a Lua function, its frame and what it runs; any other has run.
    pub(crate) fn begin_call(
        &mut self,
        host: &mut dyn Host,
        at: usize,
        count: usize,
        wanted: Option<usize>,
    ) -> Result<Option<Arc<Loaded>>> {
        match self.thread.stack[at] {
            Value::Function(f) => match self.heap.functions.get(f.0) {
                Function::Lua { proto, .. } => {
                    let loaded = Arc::clone(self.heap.loaded.get(*proto));
                    self.enter(host, f, &loaded, at, count, wanted)?;
                    Ok(Some(loaded))
                }
                Function::Bound { native, .. } => {
                    let native = crate::library::native(*native);
                    self.call_native(host, native, at, count, wanted)?;
                    Ok(None)
                }
            },
            Value::Native(native) => {
                self.call_native(host, crate::library::native(native), at, count, wanted)?;
                Ok(None)
            }
            Value::Host(which) => {
                self.begin_native(host, at, count)?;
                let mut call = Call { engine: self, base: at + 1, count, results: 0 };
                host.call(which, &mut call)?;
                let results = call.results;
                self.place_results(at, results, wanted)?;
                Ok(None)
            }
            value => {
                let meta = self.metamethod(&value, Event::Call);
                if meta.type_name() != "function" {
                    return Err(self.call_error(at, value));
                }
                self.thread.top = at + 1 + count;
                self.push(Value::Nil)?;
                self.thread.stack.copy_within(at..at + 1 + count, at + 1);
                self.thread.stack[at] = meta;
                self.begin_call(host, at, count + 1, wanted)
            }
        }
    }

    fn begin_native(&mut self, host: &mut dyn Host, at: usize, count: usize) -> Result<()> {
        self.thread.top = at + 1 + count;
        self.spend(host, 1)?;
        self.safe_point(self.thread.top);
        Ok(())
    }

    fn call_native(
        &mut self,
        host: &mut dyn Host,
        native: Native,
        at: usize,
        count: usize,
        wanted: Option<usize>,
    ) -> Result<()> {
        self.begin_native(host, at, count)?;
        let args = Args { base: at + 1, count, callee: self.thread.stack[at] };
        let results = match native(self, host, args) {
            Ok(results) => results,
            Err(fault) => {
                if matches!(fault, Fault::Yield) {
                    self.thread.resume_at = (at, wanted);
                }
                return Err(fault);
            }
        };
        self.place_results(at, results, wanted)
    }

    /// Moves the last `count` values below the top to `at`, as many as are wanted.
    pub(crate) fn place_results(
        &mut self,
        at: usize,
        count: usize,
        wanted: Option<usize>,
    ) -> Result<()> {
        self.ensure_stack(at + wanted.unwrap_or(0))?;
        self.place(self.thread.top - count, count, at, wanted);
        Ok(())
    }

    /// Moves `count` values at `from` down to `at`, as many as are wanted. There is room for those.
    #[inline]
    pub(crate) fn place(&mut self, from: usize, count: usize, at: usize, wanted: Option<usize>) {
        let stack = &mut self.thread.stack;
        match wanted {
            Some(1) => {
                stack[at] = if count > 0 { stack[from] } else { Value::Nil };
                self.thread.top = at + 1;
            }
            Some(0) => self.thread.top = at,
            None => {
                stack.copy_within(from..from + count, at);
                self.thread.top = at + count;
            }
            Some(wanted) => {
                let kept = count.min(wanted);
                stack.copy_within(from..from + kept, at);
                stack[at + kept..at + wanted].fill(Value::Nil);
                self.thread.top = at + wanted;
            }
        }
    }

    /// Pushes the frame of a Lua function.
    pub(crate) fn enter(
        &mut self,
        host: &mut dyn Host,
        function: FnRef,
        loaded: &Arc<Loaded>,
        at: usize,
        count: usize,
        wanted: Option<usize>,
    ) -> Result<()> {
        self.fuel -= 1;
        if self.fuel < 0 {
            self.tick(host)?;
        }
        if self.thread.frames.len() >= FRAMES_MAX {
            return Err(self.error_at(1, b"stack overflow"));
        }
        let proto = &loaded.proto;
        let params = usize::from(proto.params);
        let mut base = at + 1;
        if proto.vararg {
            base += count;
        }
        let end = base + usize::from(proto.registers);
        self.ensure_stack(end)?;
        if proto.vararg {
            for param in 0..params {
                self.thread.stack[base + param] = match param < count {
                    true => std::mem::replace(&mut self.thread.stack[at + 1 + param], Value::Nil),
                    false => Value::Nil,
                };
            }
            if proto.registers > proto.params {
                self.thread.stack[base + params] = Value::Nil;
            }
        } else if count < params {
            self.thread.stack[base + count..base + params].fill(Value::Nil);
        }
        self.thread.frames.push(Frame {
            function,
            loaded: None,
            base: base as u32,
            end: end as u32,
            at: at as u32,
            pc: 0,
            wanted: wanted.map_or(ALL, |wanted| wanted as u32),
            leaves: false,
            by_native: false,
            tails: 0,
        });
        if proto.arg_table {
            self.make_arg(at, params, count)?;
        }
        Ok(())
    }

    /// The table `arg` of a function with `...` that does not use it otherwise.
    #[cold]
    fn make_arg(&mut self, at: usize, params: usize, count: usize) -> Result<()> {
        let extra = count.saturating_sub(params);
        let table = self.heap.new_table(extra, 1)?;
        let end = self.thread.frames.last().map_or(0, Frame::base) + params;
        self.thread.stack[end] = Value::Table(table);
        for i in 0..extra {
            let value = self.thread.stack[at + 1 + params + i];
            self.heap.tables.get_mut(table.0).append(value, &mut self.heap.budget)?;
        }
        let n = Value::String(self.names.n);
        self.heap.table_set(table, &n, Value::Number(extra as f64))?;
        Ok(())
    }

    // Upvalues.

    #[inline]
    pub(crate) fn upvalue(&self, handle: Handle) -> Value {
        match *self.heap.upvalues.get(handle) {
            Upvalue::Closed(value) => value,
            Upvalue::Open { thread, at } => match thread == self.running {
                true => self.thread.stack[at as usize],
                false => self.heap.threads.get(thread).stack[at as usize],
            },
        }
    }

    #[inline]
    pub(crate) fn set_upvalue(&mut self, handle: Handle, value: Value) {
        match self.heap.upvalues.get_mut(handle) {
            Upvalue::Closed(place) => *place = value,
            &mut Upvalue::Open { thread, at } => match thread == self.running {
                true => self.thread.stack[at as usize] = value,
                false => self.heap.threads.get_mut(thread).stack[at as usize] = value,
            },
        }
    }

    /// The upvalue of a register of the running coroutine.
    pub(crate) fn open_upvalue(&mut self, at: usize) -> Result<Handle> {
        let place = self.thread.open.partition_point(|(open, _)| (*open as usize) < at);
        if let Some((open, handle)) = self.thread.open.get(place)
            && *open as usize == at
        {
            return Ok(*handle);
        }
        let open = Upvalue::Open { thread: self.running, at: at as u32 };
        let handle = self.heap.new_upvalue(open)?;
        self.thread.open.insert(place, (at as u32, handle));
        Ok(handle)
    }

    /// Closes the upvalues of the registers from `from` on.
    #[inline]
    pub(crate) fn close_upvalues(&mut self, from: usize) {
        while let Some((at, handle)) = self.thread.open.last().copied()
            && at as usize >= from
        {
            let value = self.thread.stack[at as usize];
            *self.heap.upvalues.get_mut(handle) = Upvalue::Closed(value);
            self.thread.open.pop();
        }
    }

    /// Calls in protected mode: as [`Self::call_at`], but an error is a value and the stack is as
    /// before. Kill passes.
    pub(crate) fn protected_call(
        &mut self,
        host: &mut dyn Host,
        at: usize,
        count: usize,
    ) -> Result<std::result::Result<(), Value>> {
        self.spend(host, 2)?;
        let frames = self.thread.frames.len();
        let depth = self.depth;
        let fault = match self.call_at(host, at, count, None) {
            Ok(()) => return Ok(Ok(())),
            Err(fault) => fault,
        };
        let value = match fault {
            Fault::Error(value) => value,
            Fault::Memory => Value::String(self.names.no_memory),
            Fault::Kill | Fault::Yield => return Err(fault),
        };
        self.close_upvalues(at);
        self.thread.frames.truncate(frames);
        self.depth = depth;
        self.thread.top = at;
        self.fault_at = None;
        Ok(Err(value))
    }
}
