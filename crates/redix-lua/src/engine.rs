//! The engine as its host sees it: values in, values out, limits.

use std::sync::Arc;

use crate::heap::{Heap, NoMemory};
use crate::number;
use crate::proto::Proto;
use crate::thread::Thread;
use crate::value::{Handle, HostFn, Str, TableRef, Value};

/// What a new engine needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bytes that scripts may allocate. An allocation over it is the error `not enough memory`.
    pub memory_limit: usize,
    /// The key of the hash of strings: from a source that clients cannot guess.
    pub hash_seed: (u64, u64),
    /// Units of work between two calls of [`Host::tick`]: about one per loop, call, or 16 bytes or
    /// elements that a library function visits.
    pub slice: u32,
    /// Whether `pcall` is that of the real servers, which returns the field `err` of an error that
    /// is a table with one.
    pub unwrap_errors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory_limit: 1 << 30, hash_seed: (0, 0), slice: 100_000, unwrap_errors: false }
    }
}

/// Whether a script goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tick {
    GoOn,
    /// Ends the run with [`RunError::Killed`]: no pcall catches it.
    Kill,
}

/// What a script can ask of its surroundings.
pub trait Host {
    /// Runs the host function `which` with the arguments of `call`, which takes its results. An
    /// error made by [`Call::error`], [`Call::error_here`] or [`Call::throw`] is thrown in the
    /// script.
    fn call(&mut self, which: HostFn, call: &mut Call<'_>) -> Result<(), Fault>;

    /// Asked each time a slice of work is done ([`Options::slice`]).
    fn tick(&mut self) -> Tick;

    /// The processor time used, in seconds: `os.clock`.
    fn clock(&mut self) -> f64;
}

/// What ends the evaluation of a call: passed on by `?`.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// An error with its value.
    Error(Value),
    /// The memory limit is reached. A script can catch it.
    Memory,
    /// The host said [`Tick::Kill`]. Nothing catches it.
    Kill,
    /// Not an error: a coroutine yields. Never reaches the host.
    #[doc(hidden)]
    Yield,
}

impl From<NoMemory> for Fault {
    fn from(_: NoMemory) -> Self {
        Self::Memory
    }
}

/// How a run failed.
#[derive(Debug, Clone)]
pub enum RunError {
    /// An uncaught error: its value, valid like the result of [`Engine::run`], and the chunk name
    /// and line of the innermost Lua function at that moment.
    Error { value: Value, at: Option<(Arc<[u8]>, u32)> },
    /// The memory limit, not caught.
    Memory,
    /// The host ended it; `at` as for errors.
    Killed { at: Option<(Arc<[u8]>, u32)> },
}

/// A function or another value that stays until it is unpinned.
#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
pub struct Pin(pub(crate) u32);

/// A Lua state: globals, libraries and everything that scripts allocate.
///
/// It is used by one thread at a time. Garbage is collected while scripts run and in
/// [`Engine::collect`] only, so a host function may hold the values that it makes until it returns.
pub struct Engine {
    pub(crate) heap: Heap,
    /// The running coroutine; its place in the slab is empty meanwhile.
    pub(crate) thread: Thread,
    pub(crate) running: Handle,
    pub(crate) main: Handle,
    /// The coroutines that resumed one another, outermost first, without the running one.
    pub(crate) resumers: Vec<Handle>,
    pub(crate) globals: TableRef,
    pub(crate) names: crate::names::Names,
    pub(crate) string_meta: Option<TableRef>,
    pub(crate) pins: Vec<Option<Value>>,
    pub(crate) free_pins: Vec<u32>,
    pub(crate) fuel: i64,
    pub(crate) slice: i64,
    /// Nested native calls.
    pub(crate) depth: usize,
    /// Collect when so many bytes are in use.
    pub(crate) threshold: usize,
    /// The bytes in use after the last collection.
    pub(crate) live_bytes: usize,
    pub(crate) collect_always: bool,
    /// The values that a coroutine yields: their place on its stack.
    pub(crate) yielded: (usize, usize),
    /// The library function that runs was called by a Lua function, not by another one.
    pub(crate) called_from_lua: bool,
    /// Where the captures of the last match are.
    pub(crate) captures: crate::library::Captures,
    /// A buffer for strings in the making.
    pub(crate) scratch: Vec<u8>,
    pub(crate) unwrap_errors: bool,
    /// Where the error that is being passed on came from.
    pub(crate) fault_at: Option<(Arc<[u8]>, u32)>,
    pub(crate) random: crate::random::Rand48,
}

/// A call of a host function: its arguments, and the engine to make results in.
pub struct Call<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) base: usize,
    pub(crate) count: usize,
    pub(crate) results: usize,
}

impl Call<'_> {
    /// How many arguments there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Argument `at`, counted from 0; nil past the end.
    pub fn arg(&self, at: usize) -> Value {
        match at < self.count {
            true => self.engine.thread.stack[self.base + at],
            false => Value::Nil,
        }
    }

    /// The bytes of a string argument.
    pub fn arg_bytes(&self, at: usize) -> Option<&[u8]> {
        self.engine.bytes_of(self.arg(at))
    }

    pub fn engine(&mut self) -> &mut Engine {
        self.engine
    }

    pub fn engine_ref(&self) -> &Engine {
        self.engine
    }

    /// Adds a result.
    pub fn push(&mut self, value: Value) -> Result<(), Fault> {
        self.engine.push(value)?;
        self.results += 1;
        Ok(())
    }

    /// The string that `tostring` makes of a value, which may call a metamethod: the host is the
    /// one that is being called.
    pub fn to_text(&mut self, host: &mut dyn Host, value: Value) -> Result<Value, Fault> {
        crate::library::to_text(self.engine, host, value)
    }

    /// An error whose value is this string.
    pub fn error(&mut self, message: &[u8]) -> Fault {
        self.engine.error_text(message)
    }

    /// An error with the position of the caller before the message, as `error` gives it.
    pub fn error_here(&mut self, message: &[u8]) -> Fault {
        self.engine.error_at(1, message)
    }

    /// An error with any value.
    pub fn throw(&mut self, value: Value) -> Fault {
        Fault::Error(value)
    }
}

impl Engine {
    /// Makes a prototype into a function of this engine, pinned. Loading one again makes another
    /// function. Collects garbage if there is no room for it.
    pub fn load(&mut self, proto: &Arc<Proto>) -> Result<Pin, RunError> {
        if self.heap.budget.check(proto.memory_bytes()).is_err() {
            self.collect();
        }
        let loaded = self.heap.load(proto).map_err(|_| RunError::Memory)?;
        let function = self.heap.new_lua(loaded, Box::default()).map_err(|_| RunError::Memory)?;
        Ok(self.pin(Value::Function(function)))
    }

    /// Keeps a value until [`Self::unpin`].
    pub fn pin(&mut self, value: Value) -> Pin {
        if let Some(at) = self.free_pins.pop() {
            self.pins[at as usize] = Some(value);
            return Pin(at);
        }
        self.pins.push(Some(value));
        Pin(self.pins.len() as u32 - 1)
    }

    /// The value that is pinned; nil if it was unpinned.
    pub fn pinned(&self, pin: Pin) -> Value {
        self.pins.get(pin.0 as usize).copied().flatten().unwrap_or(Value::Nil)
    }

    /// Lets go of a value.
    pub fn unpin(&mut self, pin: Pin) {
        if let Some(place) = self.pins.get_mut(pin.0 as usize)
            && place.take().is_some()
        {
            self.free_pins.push(pin.0);
        }
    }

    /// Calls a function with arguments and gives its first result, nil if it has none; it is valid
    /// until the engine is used to run or collect again. The stack and what coroutines hold on it
    /// are reset before. Not to be called from within [`Host::call`].
    pub fn run(
        &mut self,
        function: Pin,
        args: &[Value],
        host: &mut dyn Host,
    ) -> Result<Value, RunError> {
        let function = self.pinned(function);
        self.run_value(function, args, host)
    }

    /// The table of the global variables.
    pub fn globals(&self) -> TableRef {
        self.globals
    }

    /// Makes another table that of the global variables, for all functions. Returns the old one,
    /// which the caller pins if it is to be used again.
    pub fn swap_globals(&mut self, globals: TableRef) -> TableRef {
        std::mem::replace(&mut self.globals, globals)
    }

    /// A string with these bytes.
    pub fn new_string(&mut self, bytes: &[u8]) -> Result<Value, Fault> {
        Ok(Value::String(self.heap.new_str(bytes)?))
    }

    /// A string of these bytes, without a copy if it is long.
    pub fn take_string(&mut self, bytes: Vec<u8>) -> Result<Value, Fault> {
        Ok(Value::String(self.heap.take_str(bytes)?))
    }

    /// An empty table with room for `array` elements and `fields` others.
    pub fn new_table(&mut self, array: usize, fields: usize) -> Result<TableRef, Fault> {
        Ok(self.heap.new_table(array, fields)?)
    }

    /// The bytes of a string.
    pub fn bytes(&self, string: Str) -> &[u8] {
        self.heap.strings.bytes(string)
    }

    /// The bytes of a value that is a string.
    pub fn bytes_of(&self, value: Value) -> Option<&[u8]> {
        match value {
            Value::String(s) => Some(self.bytes(s)),
            _ => None,
        }
    }

    /// The number that a value is, or that the text of a string says.
    pub fn number_of(&self, value: Value) -> Option<f64> {
        match value {
            Value::Number(n) => Some(n),
            Value::String(s) => number::parse(self.bytes(s)),
            _ => None,
        }
    }

    /// The text of a number as `tostring` gives it, appended to `out`.
    pub fn push_number_text(&self, number: f64, out: &mut Vec<u8>) {
        number::push_text(out, number);
    }

    /// The value of a key, without metamethods.
    pub fn raw_get(&self, table: TableRef, key: Value) -> Value {
        self.heap.table_get(table, &key)
    }

    /// The value of a field, without metamethods. Allocates if the name was never seen.
    pub fn raw_get_field(&mut self, table: TableRef, name: &[u8]) -> Result<Value, Fault> {
        let key = self.new_string(name)?;
        Ok(self.raw_get(table, key))
    }

    /// Element `at` of a table, counted from 1, without metamethods.
    pub fn raw_get_index(&self, table: TableRef, at: usize) -> Value {
        self.heap.table(table).get_int(at, &self.heap.strings)
    }

    /// Stores a value, without metamethods, in a read-only table too. The key must not be nil or
    /// NaN: such a value is not stored.
    pub fn raw_set(&mut self, table: TableRef, key: Value, value: Value) -> Result<(), Fault> {
        match key {
            Value::Nil => Ok(()),
            Value::Number(n) if n.is_nan() => Ok(()),
            _ => Ok(self.heap.table_set(table, &key, value)?),
        }
    }

    /// Stores a field, as [`Self::raw_set`].
    pub fn raw_set_field(
        &mut self,
        table: TableRef,
        name: &[u8],
        value: Value,
    ) -> Result<(), Fault> {
        let key = self.new_string(name)?;
        self.raw_set(table, key, value)
    }

    /// Appends a value after the last element. Nil is not stored.
    pub fn append(&mut self, table: TableRef, value: Value) -> Result<(), Fault> {
        Ok(self.heap.table_push(table, value)?)
    }

    /// The length of a table, as `#` gives it.
    pub fn length(&self, table: TableRef) -> usize {
        self.heap.table(table).len()
    }

    /// The first pair at or after a cursor, and the next cursor. A traversal begins at 0; the table
    /// must not get new keys meanwhile.
    pub fn pair_at(&self, table: TableRef, cursor: usize) -> Option<(usize, Value, Value)> {
        self.heap.table(table).pair_at(cursor)
    }

    /// Whether scripts may change a table: its elements, fields and metatable.
    pub fn set_readonly(&mut self, table: TableRef, readonly: bool) {
        self.heap.table_mut(table).readonly = readonly;
    }

    /// Whether a table is read-only for scripts.
    pub fn is_readonly(&self, table: TableRef) -> bool {
        self.heap.table(table).readonly
    }

    /// The metatable of a table.
    pub fn metatable(&self, table: TableRef) -> Option<TableRef> {
        self.heap.table(table).meta
    }

    /// Sets the metatable of a table, in a read-only table too.
    pub fn set_metatable(&mut self, table: TableRef, meta: Option<TableRef>) {
        self.heap.table_mut(table).meta = meta;
    }

    /// The metatable that all strings share.
    pub fn string_metatable(&self) -> Option<TableRef> {
        self.string_meta
    }

    /// The bytes that the engine has allocated for scripts, garbage included.
    pub fn memory_bytes(&self) -> usize {
        self.heap.budget.used
    }

    /// Changes the limit on memory. What is in use stays.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.heap.budget.limit = bytes;
        self.threshold = self.threshold.min(bytes);
    }

    /// Seeds `math.random`, as srand48 does.
    pub fn seed_random(&mut self, seed: i32) {
        self.random.seed(seed);
    }

    /// Collects garbage at every safe point: finds values that are not rooted. For tests.
    pub fn collect_at_every_safe_point(&mut self, always: bool) {
        self.collect_always = always;
    }
}
